"""Imports within the package flow one way."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / 'mmocr_da'
#: By floor, the parts that stand there beside each other; all other modules are the ground floor.
#: Pictures stand above what they show: weights of models, labels of datasets, measures.
FLOORS = [
    {'structures'},
    {'datasets', 'evaluation', 'models'},
    {'visualization'},
    {'engine'},
    {'export'},
    {'onnx_export'},
    {'reporting'},
    {'adaptation'},
]
#: The same within ``models``, whose single modules are the ground floor.
MODEL_FLOORS = [
    {'layers'},
    {'backbones', 'data_preprocessors', 'decoders', 'encoders'},
    {'contrastive', 'surrogates'},
    {'losses', 'objectives'},
    {'detectors', 'recognizers'},
]
MODULES = {
    '.'.join(['mmocr_da', *path.relative_to(PACKAGE).with_suffix('').parts]): path
    for path in PACKAGE.rglob('*.py')
    if '.mim' not in path.parts
}


def in_models(name):
    return name.startswith('mmocr_da.models.') and name != 'mmocr_da.models.__init__'


def imported(name):
    """All modules of this package that one imports, also within its functions."""
    folder = name.split('.')[:-1]
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = folder[: len(folder) - node.level + 1] if node.level else []
            module = '.'.join([*base, *filter(None, [node.module])])
            found = [module, *(f'{module}.{alias.name}' for alias in node.names)]
        else:
            continue
        for other in found:
            yield from (m for m in (other, f'{other}.__init__') if m in MODULES and m != name)


def floor_of(name, floors):
    part = name.split('.')[2 if floors is MODEL_FLOORS else 1]
    return next((i for i, floor in enumerate(floors, 1) if part in floor), 0), part


def check_floors(name, others, floors):
    floor, part = floor_of(name, floors)
    for other in others:
        below, where = floor_of(other, floors)
        # On the ground floor, modules may import each other.
        assert where == part or below < floor or below == floor == 0, f'{name} imports {other}'


def test_every_folder_stands_on_a_floor():
    folders = {path.parent.relative_to(PACKAGE).parts for path in MODULES.values()}
    assert set().union(*FLOORS) == {*(parts[0] for parts in folders if parts), 'export'}
    assert set().union(*MODEL_FLOORS) == {
        parts[1] for parts in folders if parts[:1] == ('models',) and len(parts) > 1
    }


@pytest.mark.parametrize('name', sorted(MODULES))
def test_a_module_imports_from_its_own_part_and_from_floors_below(name):
    check_floors(name, imported(name), FLOORS)


@pytest.mark.parametrize('name', sorted(filter(in_models, MODULES)))
def test_within_models_imports_go_down(name):
    check_floors(name, filter(in_models, imported(name)), MODEL_FLOORS)


def test_no_module_imports_itself_through_others():
    # A package's own file stands for all that is in it, so parts name modules and not packages.
    graph = {
        name: {other for other in imported(name) if not other.endswith('__init__')}
        for name in MODULES
        if not name.endswith('__init__')
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f'a cycle: {" -> ".join(error.args[1])}')
