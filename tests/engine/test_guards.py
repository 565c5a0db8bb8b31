"""Every run gets the checks, once."""

from mmengine.runner import Runner

from mmocr_da.engine.guards import GUARDS, add_guards
from mmocr_da.engine.hooks import FiniteHook


def test_checks_are_added_once_and_those_of_the_config_are_kept():
    runner = Runner.__new__(Runner)
    own = FiniteHook(patience=7)
    runner._hooks = [own]
    add_guards(runner)
    add_guards(runner)
    assert {type(hook) for hook in runner.hooks} == {*GUARDS} and len(runner.hooks) == len(GUARDS)
    assert next(hook for hook in runner.hooks if isinstance(hook, FiniteHook)) is own
