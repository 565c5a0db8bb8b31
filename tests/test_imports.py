"""Imports within the package flow one way."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / 'mmocr_da'
#: By floor, the parts that stand there beside each other; all other modules are the ground floor.
FLOORS = [
    {'structures'},
    {'datasets', 'evaluation', 'models'},
    {'visualization'},
    {'engine'},
    {'export'},
    {'export'},
]
MODULES = {
    '.'.join(['mmocr_da', *path.relative_to(PACKAGE).with_suffix('').parts]): path
    for path in PACKAGE.rglob('*.py')
    if '.mim' not in path.parts
}


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


def floor_of(name):
    parts = name.split('.')
    part = parts[1] if len(parts) > 1 else ''
    return next((i for i, floor in enumerate(FLOORS, 1) if part in floor), 0), part


def test_the_parts_of_every_floor_exist():
    assert set().union(*FLOORS) <= {name.split('.')[1] for name in MODULES}


@pytest.mark.parametrize('name', sorted(MODULES))
def test_a_module_imports_from_its_own_part_and_from_floors_below(name):
    floor, part = floor_of(name)
    for other in imported(name):
        below, where = floor_of(other)
        # On the ground floor, modules may import each other.
        assert where == part or below < floor or below == floor == 0, f'{name} imports {other}'


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
