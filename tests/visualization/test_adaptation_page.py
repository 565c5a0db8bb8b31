import re

import cv2
import numpy as np
import pytest
from helpers.pages import parsed

from mmocr_da.datasets.image_loading import load_image
from mmocr_da.evaluation import PredictionChange, Predictions
from mmocr_da.visualization import check_page
from mmocr_da.visualization import write_page as write_long_page
from mmocr_da.visualization.page import word_uri

NUM = 30


def write_page(folder, change, *args, num_images=4, **options):
    """A page with few images, since drawing takes most of the time."""
    return write_long_page(folder, change, *args, num_images=num_images, **options)


@pytest.fixture
def paths(tmp_path):
    rng = np.random.default_rng(0)
    files = [str(tmp_path / f'images/{i}.png') for i in range(NUM)]
    (tmp_path / 'images').mkdir()
    for file in files:
        cv2.imwrite(file, rng.integers(0, 255, (16, 40, 3), np.uint8))
    return files


TRUTH = [f'word{i}' for i in range(NUM)]
BEFORE = [text if i % 3 == 0 else f'x{text}' for i, text in enumerate(TRUTH)]
AFTER = [text if i % 5 else f'!|{text}' for i, text in enumerate(TRUTH)]


def make(paths, labels=None, confidences=None, before=BEFORE, after=AFTER, **options):
    return PredictionChange(
        paths, Predictions(before, confidences), Predictions(after, confidences), labels, **options
    )


def row(page, name):
    """The cells of the row of a table."""
    line = next(line for line in page.splitlines() if line.startswith(f'| {name}'))
    return [cell.strip() for cell in re.split(r'(?<!\\)\|', line)[2:-1]]


def test_the_page_has_the_numbers_of_the_comparison(tmp_path, paths):
    change = make(paths, TRUTH[:20] + [None] * 10, [0.25] * NUM, lexicon=TRUTH)
    folder = tmp_path / 'out'
    page = write_page(str(folder), change, {'Read images': 'python read.py'}, title='My title')
    assert page.startswith('# My title\n')
    before, after, difference = row(page, 'word accuracy')
    for text, estimate in ((before, change.scores.accuracy_before), (after, change.scores[2])):
        low, high = 100 * estimate.low, 100 * estimate.high
        assert text == f'{100 * estimate.value:.1f} ({low:.1f} to {high:.1f})'
    assert difference.startswith('+45.0 (+')
    assert row(page, 'CER')[2].startswith('-')
    assert f'{len(change.fixed)} words were wrong and are right now; {len(change.broken)} ' in page
    assert row(page, 'mean confidence, %')[:2] == ['25.0', '25.0']
    assert row(page, 'words of the lexicon, %')[:2] == ['33.3', '80.0']
    assert row(page, 'distinct predictions')[:2] == ['30', '30']
    assert '22 of 30 predictions changed (73.3 %)' in page
    assert r'`!\|word0` (1)' in page
    assert 'Read images:\n\n```bash\npython read.py\n```' in page
    html = parsed(folder / 'adaptation.html')
    assert html.headings == [
        *(None, None),
        'before-and-after-labelled-images',
        'before-and-after-all-images',
        'before-and-after-images-that-differ',
        'use-the-result',
    ]
    for text in (before, after, difference, '22 of 30 predictions changed', 'python read.py'):
        assert text in html.text
    shown = [i for i in range(NUM) if word_uri(load_image(paths[i])[..., ::-1]) in html.pictures]
    assert len(html.pictures) == 2 + 2 + 4 and {*shown} <= {*change.changed}


def test_what_is_not_known_is_not_on_the_page(tmp_path, paths):
    page = write_page(str(tmp_path / 'out'), make(paths))
    html = parsed(tmp_path / 'out/adaptation.html').text
    for text in (page, html):
        for name in ('labelled images', 'confidence', 'lexicon', 'Use the result', 'nan', 'None'):
            assert name not in text.replace('None of these', '')
    assert [p.name for p in (tmp_path / 'out').glob('[!.]*')] == ['adaptation.html']


def test_warnings_come_first(tmp_path, paths):
    change = make(paths, after=['the'] * NUM)
    page = write_page(str(tmp_path), change)
    listed = page[: page.index('## ')]
    assert change.warnings() and all(f'* {text}' in listed for text in change.warnings())


def test_equal_predictions_need_no_picture(tmp_path, paths):
    page = write_page(str(tmp_path), make(paths, TRUTH, after=BEFORE))
    assert 'No prediction changed' in page
    assert parsed(tmp_path / 'adaptation.html').pictures == []


@pytest.mark.parametrize('num, gained, drawn', [(6, 3, 3), (60, 22, 0)])
def test_half_of_the_images_are_drawn_at_random(tmp_path, paths, num, gained, drawn):
    before = Predictions(BEFORE, np.linspace(0, 0.5, NUM))
    change = PredictionChange(paths, before, Predictions(AFTER, np.linspace(0.1, 1, NUM)))
    loaded = []

    def load(i):
        loaded.append(i)
        return np.zeros((9, 9, 3), np.uint8)

    page = write_page(str(tmp_path), change, num_images=num, load=load)
    assert loaded[:gained] == change.gained(gained) and len({*loaded}) == gained + drawn
    assert {*loaded} <= {*change.changed}
    assert f'Greatest rise of confidence: {gained} of 22 that changed' in page
    assert (f'Others that changed: {drawn} of {22 - gained}, at random' in page) == bool(drawn)


def test_without_confidences_all_are_drawn_at_random(tmp_path, paths):
    page = write_page(str(tmp_path), make(paths), num_images=4)
    assert 'Images that changed: 4 of 22, at random' in page


def test_a_page_without_sheets_loads_no_image(tmp_path):
    page = write_page(str(tmp_path), make(['no file'] * NUM, TRUTH), num_images=0)
    assert 'word accuracy' in page and parsed(tmp_path / 'adaptation.html').pictures == []


def test_all_images_are_said_to_be_all(tmp_path, paths):
    page = write_page(str(tmp_path), make(paths), num_images=22)
    assert 'Images that changed: all 22' in page


def test_what_is_ignored_is_said(tmp_path, paths):
    change = make(paths, TRUTH, ignore_case=True, ignore_symbols=True)
    page = write_page(str(tmp_path), change)
    assert '; letter case and symbols ignored:' in page
    assert row(page, 'word accuracy')[1].startswith('100.0')


def test_the_page_replaces_its_own_and_nothing_else(tmp_path, paths):
    first = write_page(str(tmp_path), make(paths))
    assert write_page(str(tmp_path), make(paths)) == first
    (tmp_path / 'adaptation.html').write_text('mine')

    def attempted(folder):
        write_page(folder, make(paths), load=lambda i: pytest.fail('too late'))

    for attempt in (check_page, attempted):
        with pytest.raises(ValueError, match='adaptation.html exists and was not written by adapt'):
            attempt(str(tmp_path))
    assert (tmp_path / 'adaptation.html').read_text() == 'mine'


def test_texts_of_the_data_are_no_tags(tmp_path, paths):
    words = ['<b>&', '</dd><script>', '"x"', '\u0645\u0631', '', ' a '] * 5
    write_page(str(tmp_path), make(paths, before=words, after=words[::-1]), num_images=60)
    html = parsed(tmp_path / 'adaptation.html')
    assert '</dd><script>' in html.text and '(empty)' in html.text and '\u0645\u0631' in html.text
