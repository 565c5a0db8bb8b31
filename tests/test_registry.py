"""Registries: reachable by prefix from every scope, and complete.

They are imported directly: MMEngine swallows an ImportError of a registry file and then says
that the *name* is unknown.
"""

import importlib

import mmengine.registry
import pytest
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import DefaultScope, Registry

import mmocr_da.registry

OURS = {
    name: value
    for name, value in vars(mmocr_da.registry).items()
    if isinstance(value, Registry) and not name.startswith('MMENGINE_')
}


@pytest.mark.parametrize('name', OURS)
def test_is_a_child_of_the_root_of_the_same_name(name):
    root = getattr(mmengine.registry, name)
    assert root.children['mmocr_da'] is OURS[name]
    assert OURS[name].parent is root and OURS[name].scope == 'mmocr_da'


@pytest.mark.parametrize('name', OURS)
def test_its_locations_can_be_imported(name):
    for location in OURS[name]._locations:
        importlib.import_module(location)


@pytest.mark.parametrize('scope', ['mmengine', 'mmocr', 'mmdet'])
def test_the_prefix_works_from_every_scope(scope):
    importlib.import_module(f'{scope}.registry')
    name = f'OnlyHereForTheTestFrom_{scope}'
    OURS['HOOKS'].register_module(name=name, module=type(name, (), {}))
    with DefaultScope.overwrite_default_scope(scope):
        built = mmengine.registry.HOOKS.build(dict(type=f'mmocr_da.{name}'))
    assert type(built).__name__ == name


@pytest.mark.parametrize('name', OURS)
def test_plain_names_in_our_scope_mean_what_they_mean_in_the_scope_of_mmocr(name):
    root = getattr(mmengine.registry, name)
    found = {}
    for scope in ('mmocr', 'mmocr_da'):
        with root.switch_scope_and_registry(scope) as current:
            assert current.scope == scope
            current.import_from_location()
            names = {*root.module_dict, *root.children['mmocr'].module_dict}
            found[scope] = {each: current.get(each) for each in names - {*OURS[name].module_dict}}
    assert found['mmocr_da'] == found['mmocr'] and None not in found['mmocr'].values()


def test_a_name_of_mmocr_comes_before_one_of_mmengine():
    from mmocr.datasets import ConcatDataset

    root = mmengine.registry.DATASETS
    assert root.module_dict['ConcatDataset'] is not ConcatDataset
    assert OURS['DATASETS'].get('ConcatDataset') is ConcatDataset


def test_a_name_of_ours_comes_before_one_of_mmocr():
    ours = type('CRNN', (), {})
    registry = mmocr_da.registry._Registry(
        'model',
        parent=mmengine.registry.Registry('model', scope='test'),
        scope='mmocr_da',
        locations=['mmocr_da.registry'],
    )
    registry.register_module(module=ours)
    assert registry.get('CRNN') is ours


@pytest.mark.parametrize('name', OURS)
def test_a_name_nobody_knows_is_an_error(name):
    with pytest.raises(KeyError, match='NoSuchThing'):
        getattr(mmengine.registry, name).build(dict(type='mmocr_da.NoSuchThing'))


def test_mmengine_knows_where_our_configs_are():
    module = importlib.import_module(MODULE2PACKAGE['mmocr_da'])
    assert module.__package__ == 'mmocr_da'
