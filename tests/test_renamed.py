"""Old names work, with a warning that says the new one."""

import importlib

import pytest
from mmengine.registry import HOOKS as ROOT_HOOKS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as ROOT_CONSTRUCTORS
from mmengine.registry import Registry

from mmocr_da import registry, renamed
from mmocr_da.engine import BINGateHook, BINGateOptimWrapperConstructor
from mmocr_da.models.objectives import Objective


@pytest.fixture(autouse=True)
def warnings(monkeypatch):
    """Messages of the test, each of which would be logged once per process."""
    said = []
    renamed._warn.cache_clear()
    monkeypatch.setattr(renamed, 'print_log', lambda message, **_: said.append(message))
    yield said
    renamed._warn.cache_clear()


def registered() -> dict[str, type]:
    """All classes in the registries of the package, by name."""
    found = {}
    for own in vars(registry).values():
        if isinstance(own, Registry) and own.scope == 'mmocr_da':
            own.import_from_location()
            found.update(own.module_dict)
    return found


def test_every_old_name_leads_to_a_class_and_is_none_itself():
    classes = registered()
    assert {*renamed.CLASSES.values()} <= classes.keys()
    assert classes.keys().isdisjoint([*renamed.CLASSES, *renamed.REMOVED])


@pytest.mark.parametrize(
    'root, own, old, new',
    [
        (ROOT_HOOKS, registry.HOOKS, 'GateHook', BINGateHook),
        (
            ROOT_CONSTRUCTORS,
            registry.OPTIM_WRAPPER_CONSTRUCTORS,
            'GateOptimWrapperConstructor',
            BINGateOptimWrapperConstructor,
        ),
    ],
)
def test_an_old_name_is_found_and_warned_about(warnings, root, own, old, new):
    for where, name in ((root, f'mmocr_da.{old}'), (own, f'mmocr_da.{old}'), (own, old)):
        assert where.get(name) is new
    assert warnings == [
        f'type mmocr_da.{old} is now mmocr_da.{new.__name__}; the old name works until the next '
        'minor version'
    ]


def test_a_removed_class_says_what_to_do(monkeypatch):
    monkeypatch.setitem(renamed.REMOVED, 'Gone', 'use New')
    for name in ('Gone', 'mmocr_da.Gone'):
        with pytest.raises(ValueError, match=r'mmocr_da\.Gone was removed; use New'):
            registry.HOOKS.get(name)


@pytest.mark.parametrize('old', renamed.MODULES)
def test_a_module_that_moved_says_where_it_is(old):
    with pytest.raises(ModuleNotFoundError, match=f'{old} is now {renamed.MODULES[old]};'):
        importlib.import_module(f'{old}.objective')
    importlib.import_module(renamed.MODULES[old])


def test_other_missing_modules_are_as_in_python():
    with pytest.raises(ModuleNotFoundError, match="No module named 'mmocr_da.models.nothing'"):
        importlib.import_module('mmocr_da.models.nothing')


class Gate:
    @renamed.renamed_arguments(source='approximation')
    def __init__(self, size, approximation='local'):
        self.size, self.approximation = size, approximation


class Child(Gate):
    def __init__(self, **kwargs):
        super().__init__(3, **kwargs)


@pytest.mark.parametrize('make', [lambda **kwargs: Gate(3, **kwargs), Child])
def test_an_old_argument_is_the_new_one(warnings, make):
    assert make(source='global').approximation == make(approximation='global').approximation
    assert make().approximation == 'local' and len(warnings) == 1
    assert 'source= of ' in warnings[0] and 'is now approximation=' in warnings[0]


def test_both_names_of_an_argument_are_an_error():
    with pytest.raises(ValueError, match='source is now approximation, got both in a Gate'):
        Gate(3, source='global', approximation='local')


def test_arguments_that_no_one_knows_stay_an_error():
    with pytest.raises(TypeError, match='sauce'):
        Gate(3, sauce='global')


class Mine(Objective):
    """A custom objective of today."""

    name = 'mine'

    def attach(self, recognizer, verbose=False):
        self.width = recognizer.decoder


@pytest.mark.parametrize(
    'old, new',
    [
        (dict(needs_reading=True), 'has needs_reading, .* rename it to needs_prediction'),
        (
            dict(holds_recognizer=property(lambda self: True)),
            'holds_recognizer, .* freezes_recognizer',
        ),
        (dict(needs_all_steps=True), 'has needs_all_steps, .* remove it'),
        (dict(check=lambda self, recognizer: None), r'has check, .* attach\(recognizer\)'),
        (
            dict(attach=lambda self, decoder, supervised_weight: None),
            r'now attach\(recognizer\), got attach\(decoder, supervised_weight\)',
        ),
        (
            dict(attach=lambda self, decoder, supervised_weight=1: None),
            r'now attach\(recognizer\), got attach\(decoder, supervised_weight\)',
        ),
    ],
)
def test_an_objective_of_before_is_refused_with_the_new_names(recognizer_cfg, old, new):
    def build(objective):
        registry.MODELS.register_module(name='Mine', module=objective, force=True)
        kwargs = dict(type='mmocr_da.AdaptiveRecognizer', objectives=[dict(type='mmocr_da.Mine')])
        return registry.MODELS.build({**recognizer_cfg(), **kwargs})

    try:
        assert build(Mine).objectives.mine.width
        with pytest.raises(ValueError, match=new):
            build(type('Old', (Mine,), old))
    finally:
        del registry.MODELS.module_dict['Mine']
