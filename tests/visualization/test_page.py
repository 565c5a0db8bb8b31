"""One file that loads nothing, whatever is on it, and the same in Markdown."""

import base64
import html
import subprocess

import cv2
import numpy as np
import pytest
from helpers.pages import Page as Parsed
from helpers.pages import browser, dumped
from matplotlib.figure import Figure

from mmocr_da.visualization.page import (
    Command,
    Diff,
    Literal,
    Notes,
    Page,
    Paragraph,
    Picture,
    Pictures,
    Section,
    Sheet,
    Table,
    word_uri,
)
from mmocr_da.visualization.sheet import NEW, OLD, RIGHT, Cell, Line

NASTY = '<b>"&\'</code>'


def figure():
    made = Figure(figsize=(2, 1), layout='constrained')
    made.subplots().set_title('curve')
    return made


def page():
    noise = np.random.default_rng(0).integers(0, 255, (20, 60, 3), np.uint8)
    cell = Cell(noise, [Line('after', [('ab', NEW), (NASTY, None)], RIGHT, '9 %')])
    blocks = [
        Paragraph(['a ', Literal(NASTY)]),
        Notes(['one', ['two ', Literal('three')]], 'bad'),
        Table([['', 'first|'], ['row', Literal('x|y')]]),
        Pictures([Picture.of(figure(), f'A curve {NASTY}', NASTY)], wide=True),
        Sheet({'group': [cell, Cell(noise[..., 0], [Line('before', [('', OLD)])])], '': []}),
        Command('Do it', f'do {NASTY}'),
        Diff('2 lines', ['@@ -1 +1 @@', '-a', f'+{NASTY}', ' c']),
    ]
    return Page(f'Title {NASTY}', [Section(f'Part {i} {NASTY}', blocks) for i in range(3)])


def test_a_page_is_whole_and_loads_nothing():
    parsed = Parsed(page().html())
    assert parsed.errors == []
    assert [tag for tag, _ in parsed.tags].count('h1') == 1
    assert len(parsed.headings) == 3 and parsed.text.count('group') == 3
    assert ('a', {'href': f'#{parsed.headings[0]}'}) in parsed.tags
    classes = [attributes.get('class') for _, attributes in parsed.tags]
    assert {'new', 'right', 'add', 'del', 'at', 'same', 'notes bad', 'pictures wide'} <= {*classes}


def test_what_was_written_is_what_is_read():
    text = Parsed(page().html()).text
    assert text.count(NASTY) > 12 and '(empty)' in text and 'Do it:' in text
    assert Parsed(Page('t', []).html()).text == 't t'


@pytest.mark.parametrize(
    'text, error',
    [
        ('<p><b>x</p></b>', '</p> at line 1 closes another tag'),
        ('<p>', '<p> is not closed'),
        ('<img src="data:image/png;base64,x">', '<img> without alt'),
        ('<img alt="x" src="http://a/b.png">', "<img src='http://a/b.png'>"),
        ('<a href="#x">x</a>', '#x leads nowhere'),
        ('<script></script>', '<script>'),
        ('<style>@import x</style>', 'style loads @import'),
    ],
)
def test_the_check_of_pages_finds_what_is_wrong(text, error):
    assert Parsed(text).errors[0] == error


def test_the_same_page_is_the_same_file():
    assert page().html() == page().html()


def test_markdown_has_the_texts_and_no_picture():
    text = Page('T', [Section('S', [*page().sections[0].blocks]), Section('P', [])]).markdown()
    assert text.startswith('# T\n\n## S\n') and '## P' not in text and 'base64' not in text
    for wanted in ('* two `three`', r'| row | `x\|y` |', '* group (on the page)', '```bash\ndo '):
        assert wanted in text


@pytest.mark.parametrize('shape', [(10, 30), (10, 30, 3), (400, 900, 3), (1, 2000, 3), (200, 2)])
def test_images_of_words_are_small(shape):
    uri = word_uri(np.full(shape, 100, np.uint8))
    content = base64.b64decode(uri.removeprefix('data:image/jpeg;base64,'))
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    height, width = image.shape[:2]
    assert height <= 96 and width <= 480 and abs(int(image.mean()) - 100) < 3
    if shape[0] <= 96 and shape[1] <= 480:
        assert (height, width) == shape[:2]


def test_colours_of_an_image_stay():
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 200
    content = base64.b64decode(word_uri(red).partition(',')[2])
    blue, green, found = cv2.imdecode(np.frombuffer(content, np.uint8), 1).mean((0, 1))
    assert found > 180 and max(blue, green) < 30


@pytest.mark.slow
@pytest.mark.skipif(browser() is None, reason='there is no chromium to open the page in')
@pytest.mark.parametrize('width', [400, 1200])
def test_a_browser_shows_it_within_its_width(tmp_path, width):
    # The page measures itself, as a program of a page could not be on the page.
    measure = (
        '<script>addEventListener("load", () => document.body.setAttribute("data-seen", '
        '[document.documentElement.scrollWidth - document.documentElement.clientWidth, '
        '[...document.images].filter('
        'i => !i.naturalWidth).length, document.compatMode]))</script></body>'
    )
    shown = html.escape(page().html().replace('</body>', measure))
    # A window is 500 pixels wide at least; a frame may be narrower.
    (tmp_path / 'frame.html').write_text(
        f'<iframe srcdoc="{shown}" style="width:{width}px;height:900px;border:0"></iframe>'
        '<script>addEventListener("load", () => document.body.append('
        'document.querySelector("iframe").contentDocument.body.dataset.seen))</script>'
    )
    try:
        dom = dumped(tmp_path / 'frame.html', tmp_path / 'profile')
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f'the browser does not start here: {error}')
    # Nothing stands out at the side, every picture is one, and the browser knows the standard.
    assert '</script>0,0,CSS1Compat' in dom
