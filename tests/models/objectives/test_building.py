import pytest

from mmocr_da.models.objectives import Objective
from mmocr_da.models.objectives.building import add_values, build_objectives, domains_needed
from mmocr_da.registry import MODELS


@pytest.fixture
def named():
    """Registers objectives of some names for a test."""
    made = []

    def make(kind, **attributes):
        cls = type(kind, (Objective,), {'name': kind, **attributes})
        MODELS.register_module(kind, module=cls)
        made.append(kind)
        return dict(type=f'mmocr_da.{kind}')

    yield make
    for name in made:
        MODELS.module_dict.pop(name)


def test_the_order_in_a_config_does_not_matter(named):
    a, b = named('zoo'), named('ant')
    first, listed = build_objectives([a, b], 1.0)
    second, _ = build_objectives([b, a], 1.0)
    assert list(first) == list(second) == ['ant', 'zoo'] and listed == ['zoo', 'ant']


def test_each_kind_of_model_has_objectives_of_its_own(named):
    cfgs = dict(recognizer=named('word'), detector=named('scene', adapts='detector'))
    for kind, cfg in cfgs.items():
        build_objectives([cfg], 1.0, kind)
        other = next(k for k in cfgs if k != kind)
        with pytest.raises(ValueError, match=f'a {other} needs objectives of {other}s, .*{kind}s'):
            build_objectives([cfg], 1.0, other)


def test_names_that_the_log_cannot_have_are_errors(named):
    for i, name in enumerate(('my_loss', 'a.b', '')):
        cfg = named(f'wrong_{i}', name=name)
        with pytest.raises(ValueError, match="without a dot and without 'loss'"):
            build_objectives([cfg], 1.0)
    with pytest.raises(ValueError, match='nothing to train'):
        build_objectives([], 0)


def test_domains_that_are_needed(named):
    objectives, _ = build_objectives([named('both'), named('alone', needs_source=False)], 0)
    assert domains_needed(objectives.values(), 0) == dict(
        source=["the objective 'both'"], target=["the objective 'alone'", "the objective 'both'"]
    )
    assert domains_needed([], 0.5) == dict(source=['supervised_weight=0.5'])


def test_a_value_never_replaces_another():
    losses = dict(a=1)
    add_values(losses, dict(b=2), 'mine')
    assert losses == dict(a=1, b=2)
    with pytest.raises(ValueError, match=r"got \['a'\] again from the objective 'mine'"):
        add_values(losses, dict(a=3), 'mine')
