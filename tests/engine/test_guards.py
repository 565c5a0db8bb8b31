"""Every run gets the checks, once."""

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from mmocr_da.engine.guards import GUARDS, add_guards, check_strategy
from mmocr_da.engine.hooks import FiniteHook


def test_checks_are_added_once_and_those_of_the_config_are_kept():
    runner = Runner.__new__(Runner)
    own = FiniteHook(patience=7)
    runner._hooks = [own]
    add_guards(runner)
    add_guards(runner)
    assert {type(hook) for hook in runner.hooks} == {*GUARDS} and len(runner.hooks) == len(GUARDS)
    assert next(hook for hook in runner.hooks if isinstance(hook, FiniteHook)) is own


@pytest.mark.parametrize(
    'cfg, named',
    [
        (
            dict(runner_type='FlexibleRunner', strategy=dict(type='DeepSpeedStrategy')),
            'DeepSpeedStrategy',
        ),
        (dict(runner_type='FlexibleRunner', strategy=dict(type='FSDPStrategy')), 'FSDPStrategy'),
        (dict(runner_type='FlexibleRunner'), 'FlexibleRunner'),
        (
            dict(model_wrapper_cfg=dict(type='MMFullyShardedDataParallel')),
            'MMFullyShardedDataParallel',
        ),
    ],
)
def test_a_model_that_is_divided_over_processes_is_refused(cfg, named):
    with pytest.raises(ValueError, match=f'the whole model in each process .* got {named}; remove'):
        check_strategy(Config(cfg))


def test_one_model_in_each_process_is_accepted():
    for cfg in ({}, dict(runner_type='Runner'), dict(model_wrapper_cfg=dict(type='MMSeparate'))):
        check_strategy(Config(cfg))


def test_another_runner_is_refused_in_the_tools_of_mmocr_too():
    class FlexibleRunner:
        hooks = ()

    with pytest.raises(ValueError, match='got FlexibleRunner; remove runner_type'):
        add_guards(FlexibleRunner())
