import time

import cv2
import numpy as np
import pytest
from matplotlib.offsetbox import AnnotationBbox

from mmocr_da.evaluation import normalize
from mmocr_da.visualization import prediction_sheet as draw
from mmocr_da.visualization.sheet import (
    CELL,
    MARGIN,
    NEW,
    Cell,
    Line,
    differing,
    draw_sheet,
    marked,
)

GREY = np.full((16, 40, 3), 128, np.uint8)


@pytest.fixture
def images():
    return [GREY] * 3


@pytest.fixture
def figures(monkeypatch):
    """The figures that are drawn, kept beside their files."""
    kept = []
    module = 'mmocr_da.visualization.sheet'
    from mmocr_da.visualization.pictures import save_picture

    monkeypatch.setattr(
        f'{module}.save_picture', lambda figure, *a: (kept.append(figure), save_picture(figure, *a))
    )
    return kept


def texts_of(figure):
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def pixels(path, colour):
    """How many pixels are nearer to the colour's channel than any grey is."""
    blue, green, red = np.moveaxis(cv2.imread(str(path)).astype(int), -1, 0)
    return int((green - red > 60).sum() if colour == 'green' else (red - green > 60).sum())


def test_the_sheet_counts_what_is_right(images, tmp_path):
    predictions = {'old': ['ab', 'X', ''], 'new': ['ab', 'c$', '$x$']}
    ground_truths = ['ab', 'x', '$x$']
    out_file = str(tmp_path / 'sheet.png')
    assert draw(images, ground_truths, predictions, out_file) == dict(old=1, new=2)
    in_lower_case = draw(
        images, ground_truths, predictions, out_file, lambda text: normalize(text, True)
    )
    assert in_lower_case == dict(old=2, new=2)
    assert cv2.imread(out_file).std() > 1


@pytest.mark.parametrize(
    'prediction, colour, other', [('ab', 'green', 'red'), ('ax', 'red', 'green')]
)
def test_right_is_green_and_wrong_is_red(images, tmp_path, prediction, colour, other):
    draw(images, ['ab'] * 3, dict(model=[prediction] * 3), str(tmp_path / 's.png'))
    assert pixels(tmp_path / 's.png', colour) > 50
    assert pixels(tmp_path / 's.png', other) == 0


def test_a_missing_prediction_is_an_error(images):
    with pytest.raises(ValueError, match='new needs one text per image, got 1 texts for 3 images'):
        draw(images, ['a'] * 3, dict(new=['a']), 'sheet.png')


def test_a_picture_of_korean_takes_the_font_it_is_given(images, tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(
        'mmocr_da.visualization.pictures.font_families',
        lambda text, font: given.append((text, font)) or ['DejaVu Sans'],
    )
    draw(images, ['\ud55c'] * 3, dict(m=['\uae00'] * 3), str(tmp_path / 's.png'), font='some.ttf')
    ((texts, font),) = given
    assert font == 'some.ttf' and {'\ud55c', '\u2717 ', '\uae00'} <= set(texts)


@pytest.mark.parametrize('ignore_case', [False, True])
def test_parts_are_the_text_and_equal_parts_are_in_the_other_one(ignore_case):
    rng = np.random.default_rng(0)
    for _ in range(200):
        text, other = (''.join(rng.choice(list('abAB '), rng.integers(0, 8))) for _ in range(2))
        parts = differing(text, other, NEW, ignore_case)
        assert ''.join(part for part, _ in parts) == text
        shared = ''.join(part for part, behind in parts if not behind)
        remaining = iter(other.lower() if ignore_case else other)
        assert all(char in remaining for char in (shared.lower() if ignore_case else shared))
        assert differing(text, text, NEW) == ([(text, None)])


@pytest.mark.parametrize(
    'text, other, ignore_case, expected',
    [
        ('abc', 'axc', False, [('a', None), ('b', NEW), ('c', None)]),
        ('aBc', 'abc', False, [('a', None), ('B', NEW), ('c', None)]),
        ('aBc', 'abc', True, [('aBc', None)]),
        ('abc', '', False, [('abc', NEW)]),
        ('', 'abc', False, [('', None)]),
        ('\u05e9\u05dc', '\u05e9', False, [('\u05e9\u05dc', NEW)]),  # Hebrew, from right to left
        ('\u0939\u093f', '\u0939', False, [('\u0939\u093f', NEW)]),  # a mark of Hindi
        ('\u0130bx', '\u0130b', True, [('\u0130b', None), ('x', NEW)]),  # two in lower case
    ],
)
def test_parts_by_hand(text, other, ignore_case, expected):
    assert differing(text, other, NEW, ignore_case) == expected


@pytest.mark.parametrize(
    'text',
    ['W' * 60, 'word', 'i' * 80, '\u65e5' * 40, 'a b ' * 20, 'CAPITALS' * 3, 'Mm@%' * 4],
)
@pytest.mark.parametrize('note', ['', '100 %'])
def test_every_text_stays_in_its_cell(figures, tmp_path, text, note):
    lines = [Line('before', differing(text, 'word', NEW), note=note), marked('x' * 30, text, False)]
    draw_sheet({'all': [Cell(GREY, lines)] * 2}, str(tmp_path / 'a.png'), 'test')
    (figure,) = figures
    boxes = [box.get_window_extent() for box in figure.findobj(AnnotationBbox)]
    edges = [box.x1 / figure.dpi for box in boxes]
    assert max(edges[:2]) <= CELL + MARGIN and max(edges[2:]) <= 2 * CELL + MARGIN
    assert max(edges[:2]) > 3  # inches: the text itself is there


def test_cells_do_not_touch_and_pictures_keep_their_shape(figures, tmp_path):
    tall, wide = np.zeros((90, 10), np.uint8), np.zeros((10, 300, 3), np.uint8)
    cells = [Cell(p, [Line('a', [('text', None)])] * 3) for p in (tall, wide, GREY, tall, wide)]
    draw_sheet({'one': cells, 'two': cells[:2]}, str(tmp_path / 'a.png'), 'test', 'title')
    extents = [image.get_extent() for image in figures[0].axes[0].images]
    assert len(extents) == 7
    for (x0, x1, y1, y0), cell in zip(extents, cells + cells[:2]):
        rows, columns = cell.picture.shape[:2]
        assert (x1 - x0) / (y1 - y0) == pytest.approx(columns / rows)
    boxes = [(*extent[:2], extent[3], extent[2]) for extent in extents]
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            assert a[0] >= b[1] or b[0] >= a[1] or a[2] >= b[3] or b[2] >= a[3]


def test_what_is_drawn_is_said(figures, tmp_path):
    lines = [Line('before', [('a b', NEW)], note='5 %'), Line('after', [('', None)])]
    cells = dict(first=[Cell(GREY, lines)], none=[], second=[Cell(GREY, lines)])
    draw_sheet(cells, str(tmp_path / 'a.png'), 'test', 'A title')
    texts = texts_of(figures[0])
    assert {'first', 'second', 'A title', 'a\u2423b', '  5 %', '(empty)', 'before'} <= {*texts}
    assert 'none' not in texts and texts.count('after') == 2


def test_the_same_sheet_is_the_same_file(tmp_path):
    cells = {'': [Cell(GREY, [Line('a', [('text', NEW)])])] * 3}
    files = [tmp_path / name for name in ('a.png', 'b.png')]
    for file in files:
        draw_sheet(cells, str(file), 'test')
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_sheet_of_the_usual_size_takes_seconds(tmp_path):
    cells = {'': [Cell(GREY, [Line('a', [('text', NEW)])] * 3)] * 24}
    start = time.process_time()
    draw_sheet(cells, str(tmp_path / 'a.png'), 'test')
    assert time.process_time() - start < 10
