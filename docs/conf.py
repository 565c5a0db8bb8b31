"""The site: ``sphinx-build -W -b html docs docs/_build/html``."""

import sys
import warnings
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]
warnings.filterwarnings('ignore')  # deprecations in the hosts

import mmocr_da  # noqa: E402  before anything of MMOCR: it settles which versions may meet

# isort: split
import links  # noqa: E402
from myst_parser.parsers.sphinx_ import MystParser  # noqa: E402

project = 'mmocr_da'
author = 'The authors of mmocr_da'
version = release = mmocr_da.__version__

extensions = [
    'myst_parser',
    'sphinx.ext.autodoc',
    'sphinx.ext.napoleon',
    'sphinx.ext.viewcode',
]
exclude_patterns = ['_build', 'notebooks/data', 'notebooks/work_dirs']
html_theme = 'furo'
html_static_path, html_css_files = ['_static'], ['wide.css']
html_title = f'mmocr_da {release}'
html_show_copyright = html_show_sourcelink = html_copy_source = False
myst_heading_anchors = 4

# What the hosts document for a method that a class here replaces is theirs.
autodoc_inherit_docstrings = False
autodoc_default_options = {'members': True, 'show-inheritance': True}
autodoc_member_order = 'bysource'
autodoc_typehints = 'signature'
autodoc_typehints_format = 'short'
napoleon_use_ivar = True
python_use_unqualified_type_names = True
toc_object_entries_show_parents = 'hide'


class NotebookParser(MystParser):
    """Reads a notebook as a page; :func:`read_page` has made it Markdown."""

    supported = ('notebook',)


def read_page(app, page, content):
    """Make a notebook Markdown, and rewrite the links of a page."""
    path = Path(app.env.doc2path(page))
    if path.suffix == '.ipynb':
        content[0] = links.notebook_text(content[0])
    content[0] = links.for_page(content[0], path, page)


def read_included(app, path, _, content):
    """Rewrite the links of a file that a page includes."""
    content[0] = links.for_page(content[0], (DOCS / path).resolve(), app.env.docname)


def setup(app):
    app.add_source_suffix('.ipynb', 'notebook')
    app.add_source_parser(NotebookParser)
    app.connect('source-read', read_page)
    app.connect('include-read', read_included)
