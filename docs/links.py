"""Links of Markdown files of the repository, as the pages of the site need them.

A page and what it includes link to files as GitHub shows them, relative to the file that the link
is in. In the site such a link leads to the page that includes the file, or to a copy of the file.
"""

import json
import os
import re
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
FRONT_PAGE = ROOT / 'README.md'
#: Pages for the sections of the front page that other files link to.
FRONT = {
    '': 'index.md',
    '#two-commands': 'start.md',
    '#your-own-images-one-command': 'adapt.md',
    '#your-own-data-in-a-dozen-lines': 'by_hand.md',
    '#no-source-data': 'data.md#no-source-data',
}
# Code, in which nothing is a link, or a link: its text, its target.
_CODE_OR_LINK = re.compile(
    r'^(`{3,})[^\n]*\n.*?^\1`*\s*?$|(`+)(?!`).+?(?<!`)\2(?!`)|(?<=\])\((?P<target>[^()\s]+)\)',
    re.S | re.M,
)
_INCLUDE = re.compile(r'^```\{include\} (\S+)\n```$', re.M)


def pages() -> dict[Path, str]:
    """Return the page of each Markdown file: itself, or the one that includes it whole."""
    found = {}
    for page in sorted([*DOCS.rglob('*.md'), *DOCS.rglob('*.ipynb')]):
        if '_build' in page.parts:
            continue
        name = page.relative_to(DOCS).as_posix()
        found[page] = name
        if page.suffix == '.ipynb':
            continue
        for included in _INCLUDE.findall(page.read_text(encoding='utf-8')):
            found[(page.parent / included).resolve()] = name
    return found


def links(text: str) -> list[str]:
    """Return the targets of all links of a Markdown text.

    >>> links('[a](b.md), `[c](d.md)`, ![e](f.png)')
    ['b.md', 'f.png']
    """
    return [m['target'] for m in _CODE_OR_LINK.finditer(text) if m['target']]


def for_page(text: str, file: Path, page: str) -> str:
    """Return a Markdown text with links that lead from a page of the site.

    Args:
        text: The text of ``file``.
        file: The file that the links are relative to.
        page: Name of the page that shows the text, such as ``methods/bin.md``.

    Raises:
        ValueError: If a link leads nowhere.
    """
    known = pages()

    def replaced(match: re.Match[str]) -> str:
        target = match['target']
        if file == FRONT_PAGE and target in FRONT:  # of which a page includes parts alone
            return f'(/{FRONT[target]})'
        if not target or re.match(r'[a-z]+:|#', target):
            return match[0]
        path, anchor = re.fullmatch(r'([^#]*)(#.*)?', target).groups(default='')
        path = (file.parent / path).resolve()
        if not path.is_file():
            raise ValueError(f'{file.relative_to(ROOT)} links to {target}, which is no file')
        if path == FRONT_PAGE:
            if anchor not in FRONT:
                raise ValueError(
                    f'{file.relative_to(ROOT)} links to {target}: name its page in FRONT of '
                    'docs/links.py'
                )
            return f'(/{FRONT[anchor]})'
        if path in known:
            return f'(/{known[path]}{anchor})'
        return f'({os.path.relpath(path, (DOCS / page).parent)})'

    return _CODE_OR_LINK.sub(replaced, text)


def markdown_of(notebook: Path) -> str:
    """Return the cells of a notebook as the Markdown of a page."""
    return notebook_text(notebook.read_text(encoding='utf-8'))


def notebook_text(content: str) -> str:
    """Return the cells of a notebook, given as JSON, as Markdown."""
    parts = []
    for cell in json.loads(content)['cells']:
        text = ''.join(cell['source'])
        parts.append(f'```python\n{text}\n```' if cell['cell_type'] == 'code' else text)
    return '\n\n'.join(parts) + '\n'
