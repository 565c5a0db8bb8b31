"""The site: its pages, their links, figures, commands and code."""

import ast
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS, PACKAGE = ROOT / 'docs', ROOT / 'mmocr_da'
_spec = spec_from_file_location('docs_links', DOCS / 'links.py')
links = module_from_spec(_spec)
_spec.loader.exec_module(links)


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def ours(folder, pattern):
    return sorted(path for path in folder.rglob(pattern) if '_build' not in path.parts)


PAGES, NOTEBOOKS = ours(DOCS, '*.md'), ours(DOCS, '*.ipynb')
TEXTS = [*ROOT.glob('*.md'), *ours(ROOT / 'configs', '*.md'), *PAGES]
EXTENDING = [path for path in PAGES if path.parent.name == 'extend']


def blocks(text, language):
    """Code of a language on a page, each with the text that stands before it."""
    found = re.finditer(rf'^```{re.escape(language)}\n(.*?)^```$', text, re.M | re.S)
    return [(text[: m.start()], m[1]) for m in found]


def read(path):
    """The text of a page with the files that it includes."""

    def included(match):
        text = (path.parent / match[1]).read_text(encoding='utf-8')
        for option, half in (('start-after', 1), ('end-before', 0)):
            if mark := re.search(rf':{option}: "(.*)"', match[2]):
                text = text.split(mark[1], 1)[half]
        return text

    text = path.read_text(encoding='utf-8')
    return re.sub(r'^```\{include\} (\S+)\n(.*?)```$', included, text, flags=re.M | re.S)


# --------------------------------------------------------------------------- pages and links


def test_every_page_is_in_one_table_of_contents():
    listed = []
    for page in PAGES:
        for _, table in blocks(page.read_text(encoding='utf-8'), '{toctree}'):
            entries = [line for line in table.splitlines() if line and line[0] != ':']
            listed += [(page.parent / entry).relative_to(DOCS).as_posix() for entry in entries]
    there = [path.relative_to(DOCS).with_suffix('').as_posix() for path in [*PAGES, *NOTEBOOKS]]
    assert sorted(listed) == sorted(set(there) - {'index'})


@pytest.mark.parametrize('path', TEXTS, ids=name_of)
def test_no_level_of_headings_is_left_out(path):
    """The site has warnings as errors."""
    text = re.sub(r'^```.*?^```$', '', path.read_text(encoding='utf-8'), flags=re.M | re.S)
    levels = [len(marks) for marks in re.findall(r'^(#+) ', text, re.M)]
    assert all(b <= a + 1 for a, b in zip([0, *levels], levels))


def test_every_method_has_a_page():
    shown = links.pages()
    assert [p for p in (ROOT / 'configs').glob('*/README.md') if p.resolve() not in shown] == []


def slugs(text):
    """The anchors of headings, as GitHub and the site make them."""
    text = re.sub(r'^```.*?^```$', '', text, flags=re.M | re.S)
    heads = re.findall(r'^#{1,4} (.*)$', text, re.M)
    made = []
    for head in heads:
        slug = re.sub(r'[^\w\- ]', '', re.sub(r'\[(.*?)\]\(.*?\)', r'\1', head).lower())
        slug, count = slug.replace(' ', '-'), 0
        while (slug if not count else f'{slug}-{count}') in made:
            count += 1
        made.append(slug if not count else f'{slug}-{count}')
    return made


@pytest.mark.parametrize('path', TEXTS, ids=name_of)
def test_every_link_leads_to_a_file_and_a_heading(path):
    text = path.read_text(encoding='utf-8')
    for target in links.links(text):
        if re.match('[a-z]+:', target):
            continue
        file, _, anchor = target.partition('#')
        file = (path.parent / file).resolve() if file else path
        assert file.is_file(), target
        if anchor:
            assert anchor in slugs(read(file)), target


@pytest.mark.parametrize('path', TEXTS, ids=name_of)
def test_the_site_has_a_page_for_every_link(path):
    page = links.pages().get(path, 'index.md')
    text = links.for_page(path.read_text(encoding='utf-8'), path, page)
    for target in links.links(text):
        if not re.match('[a-z]+:|#', target):
            file, _, anchor = target.partition('#')
            file = DOCS / file[1:] if file[0] == '/' else (DOCS / page).parent / file
            assert file.exists(), target
            assert not anchor or anchor in slugs(read(file)), target


def test_a_link_leads_to_the_page_that_includes_its_file():
    bin_readme = ROOT / 'configs/bin/README.md'

    def made(text):
        return links.for_page(text, bin_readme, 'methods/bin.md')

    assert made('[a](../assda/README.md#use)') == '[a](/methods/assda.md#use)'
    assert made('[a](../../docs/health.md)') == '[a](/health.md)'
    assert made('[a](../../README.md#two-commands)') == '[a](/start.md)'
    assert made('[a](../_base_/gates.py)') == '[a](../../configs/_base_/gates.py)'
    front = links.for_page('[a](#two-commands)', ROOT / 'README.md', 'by_hand.md')
    assert front == '[a](/start.md)'
    for same in ('[a](#use)', '[a](https://x.y/z)', '`[a](gone.md)`', '```\n[a](gone.md)\n```'):
        assert made(same) == same
    with pytest.raises(ValueError, match='links to gone.md, which is no file'):
        made('[a](gone.md)')
    with pytest.raises(ValueError, match='in FRONT of'):
        made('[a](../../README.md#license)')


# --------------------------------------------------------------------------- what pages say

#: Packages whose names other ones list, too.
JOINED = {'mmocr_da', 'mmocr_da.models'}


def packages():
    for path in PACKAGE.rglob('__init__.py'):
        if '.mim' in path.parts or '__all__' not in path.read_text(encoding='utf-8'):
            continue
        name = '.'.join(['mmocr_da', *path.parent.relative_to(PACKAGE).parts])
        if name not in JOINED:
            yield name


def public_names():
    """``(module, name)`` of all that packages export."""
    for package in packages():
        module = importlib.import_module(package)
        yield from ((module, name) for name in module.__all__)


def test_every_public_name_is_on_an_api_page():
    shown = []
    for page in ours(DOCS / 'api', '*.md'):
        shown += re.findall(r'^\.\. automodule:: (\S+)$', page.read_text(encoding='utf-8'), re.M)
    assert sorted(shown) == sorted(packages()), 'each package with __all__ once in docs/api'
    # A page shows what has a docstring of its own; constants are written out.
    text = '\n'.join(page.read_text(encoding='utf-8') for page in ours(DOCS / 'api', '*.md'))
    bare = []
    for module, name in public_names():
        value, place = getattr(module, name), f'{module.__name__}.{name}'
        own = vars(value).get('__doc__') if isinstance(value, type) else value.__doc__
        written = f'.. py:data:: {name}\n   :module: {module.__name__}\n'
        if not (own if callable(value) else written in text):
            bare.append(place)
    assert bare == [], 'these need a docstring, a constant a "py:data" in docs/api'


def figures(line):
    return re.findall(r'\d+\.\d+|\d{3,}', line)


def rows_with_figures():
    """``(figures, README)`` of the rows that compare methods; their sources are linked."""
    page = DOCS / 'choose.md'
    for line in page.read_text(encoding='utf-8').splitlines():
        if line.startswith('|') and (found := figures(line)):
            (source,) = (t for t in links.links(line) if 'README.md#results' in t)
            yield found, (page.parent / source.split('#')[0]).resolve()
    table = (ROOT / 'README.md').read_text(encoding='utf-8').split('#results')[1].split('\n\n')[1]
    for line in table.splitlines():
        yield re.findall(r'\d+\.\d+', line), ROOT / 'configs/self_training/README.md'


def test_every_figure_is_in_its_source():
    rows = list(rows_with_figures())
    assert len(rows) > 20 and sum(bool(found) for found, _ in rows) > 20
    for found, readme in rows:
        known = figures(readme.read_text(encoding='utf-8'))
        lost = [figure for figure in found if figure not in known]
        assert not lost, f'{lost} of a table in README.md or docs/choose.md: not in {readme}'


def strings_of_the_package():
    for path in PACKAGE.rglob('*.py'):
        if '.mim' not in path.parts:
            for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


def test_every_message_that_is_explained_exists():
    text = (DOCS / 'troubleshooting.md').read_text(encoding='utf-8').split('\n## Messages')[1]
    cells = re.findall(r'^\| (`.*?) \|', text, re.M)
    messages = [message for cell in cells for message in re.findall('`(.*?)`', cell)]
    assert len(messages) > 20
    known = '\0'.join(strings_of_the_package())
    assert [message for message in messages if message not in known] == []


def tool_commands():
    """``(page, words)`` of all commands of a tool on a page or in a notebook."""
    for path in [ROOT / 'README.md', *PAGES]:
        for _, block in blocks(path.read_text(encoding='utf-8'), 'bash'):
            for line in block.replace('\\\n', ' ').splitlines():
                words = shlex.split(line, comments=True)
                if any(word.startswith('tools/') for word in words):
                    yield path, words


@pytest.mark.parametrize(
    'path, words',
    [pytest.param(*c, id=f'{name_of(c[0])}-{i}') for i, c in enumerate(tool_commands())],
)
def test_a_command_names_a_tool_and_its_options(path, words):
    tool = next(word for word in words if word.startswith('tools/'))
    source = (ROOT / tool).read_text(encoding='utf-8')
    shared = (PACKAGE / 'visualization/pictures.py').read_text(encoding='utf-8')
    for word in words:
        if word.startswith('--'):
            assert f"'{word}'" in source or f"'{word}'" in shared, word


@pytest.mark.parametrize('path', [*PAGES, *NOTEBOOKS], ids=name_of)
def test_python_on_a_page_can_be_parsed(path):
    text = links.markdown_of(path) if path.suffix == '.ipynb' else path.read_text(encoding='utf-8')
    for _, block in blocks(text, 'python'):
        ast.parse(block)


# --------------------------------------------------------------------------- what is run

RUN_PAGE = """
import os, pathlib, runpy, sys, warnings
warnings.simplefilter('ignore')
for number, folder in enumerate(sys.argv[1:]):
    os.chdir(folder)
    sys.path[0] = folder
    runpy.run_path('page.py')
"""


def test_the_code_on_pages_for_authors_runs(tmp_path):
    """In a program of its own, as it registers names."""
    folders = []
    for page in EXTENDING:
        folder = tmp_path / page.stem
        folder.mkdir()
        folders.append(folder)
        program = []
        for before, code in blocks(page.read_text(encoding='utf-8'), 'python'):
            file = re.search(r'Save as `(\w+\.py)`:\n\n$', before)
            if file:
                name = file[1].replace('my_config', f'config_{page.stem}')
                (folder / name).write_text(code)
            else:
                program.append(code.replace('my_config', f'config_{page.stem}'))
        assert program and list(folder.iterdir())
        (folder / 'page.py').write_text('\n'.join(program))
    done = subprocess.run(
        [sys.executable, '-c', RUN_PAGE, *map(str, folders)],
        text=True,
        capture_output=True,
        env=dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1'),
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize('path', NOTEBOOKS, ids=name_of)
def test_a_notebook_is_committed_without_outputs(path):
    cells = json.loads(path.read_text(encoding='utf-8'))['cells']
    assert not any(cell.get('outputs') or cell.get('execution_count') for cell in cells)
    assert cells[0]['cell_type'] == 'markdown' and cells[0]['source'][0].startswith('# ')


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize('path', NOTEBOOKS, ids=name_of)
def test_a_notebook_runs(path, tmp_path):
    cells = json.loads(path.read_text(encoding='utf-8'))['cells']
    code = '\n'.join(''.join(c['source']) for c in cells if c['cell_type'] == 'code')
    (tmp_path / 'notebook.py').write_text(code)
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', 'notebook.py'],
        cwd=tmp_path,
        text=True,
        capture_output=True,
        env=dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1'),
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(
    not all(map(find_spec, ('sphinx', 'myst_parser', 'furo'))), reason="pip install '.[docs]'"
)
def test_the_site_is_built_without_a_warning_and_has_every_public_name(tmp_path):
    done = subprocess.run(
        [sys.executable, *'-m sphinx -W -j auto -b html docs'.split(), tmp_path / 'html'],
        cwd=ROOT,
        text=True,
        capture_output=True,
        env=dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1'),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    from sphinx.util.inventory import InventoryFile

    with open(tmp_path / 'html/objects.inv', 'rb') as file:
        inventory = InventoryFile.load(file, '', lambda base, path: path)
    known = {name for kind, names in inventory.items() if kind.startswith('py:') for name in names}
    places = {}  # a name that two packages export is on the page of one
    for module, name in public_names():
        key = name, id(getattr(module, name))
        places.setdefault(key, set()).add(f'{module.__name__}.{name}')
    assert [names for names in places.values() if known.isdisjoint(names)] == []
    for page in (tmp_path / 'html').rglob('*.html'):  # nothing is loaded from elsewhere
        loaded = re.findall(
            r'<(?:script|img|link)\b[^>]*\b(?:src|href)="(https?:[^"]*)"', page.read_text()
        )
        assert not loaded, (page, loaded)
