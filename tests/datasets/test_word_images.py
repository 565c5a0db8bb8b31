"""Images of words: the text that is asked for, whole, and distinct from its background."""

import random
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from mmocr_da.datasets import word_images
from mmocr_da.datasets.word_images import (
    GREY,
    Style,
    crop_image,
    draw_background,
    draw_border,
    draw_margins,
    draw_word,
    place,
    print_word,
    separate,
)

FOLDER = Path(matplotlib.get_data_path()) / 'fonts' / 'ttf'
SANS, SERIF = (str(FOLDER / f'{name}.ttf') for name in ('DejaVuSans', 'STIXGeneral'))
WORDS = ['stale', 'least', 'steal', 'slate', 'tales', 'teals', 'Steal', 'STEAL', 'st-al', '57341']


def font(path=SANS, size=32):
    return ImageFont.truetype(path, size)


def test_the_ink_of_a_word_is_what_pillow_draws_of_the_whole_word():
    for path in (SANS, SERIF):
        for word in (*WORDS, 'AVATAR', 'fjord', 'Qy_', '\u00c4\u0416', "'", 'a b'):
            canvas = Image.new('L', (400, 120))
            ImageDraw.Draw(canvas).text((30, 30), word, fill=255, font=font(path))
            expected = np.asarray(canvas.crop(canvas.getbbox()))
            assert np.array_equal(print_word(word, font(path)) * 255, expected)


def test_a_word_is_kerned():
    def width(text):
        return print_word(text, font(SANS, 64)).shape[1]

    apart = width('AXV') - width('X')  # nearly no kerning with X
    assert width('AV') < apart - 3


def test_the_same_text_has_the_same_pixels_and_another_text_others():
    inks = {word: print_word(word, font()) for word in WORDS}
    assert all(np.array_equal(print_word(word, font()), ink) for word, ink in inks.items())
    assert len({ink.tobytes() for ink in inks.values()}) == len(WORDS)


def test_a_word_looks_most_like_itself_at_another_size():
    def shape(word, size):
        ink = cv2.resize(print_word(word, font(size=size)), (80, 24), interpolation=cv2.INTER_AREA)
        return (ink - ink.mean()).ravel() / ink.std()

    for word in WORDS:
        alike = {other: shape(word, 20) @ shape(other, 48) for other in WORDS}
        assert max(alike, key=alike.get) == word


def test_a_stroke_thickens_and_keeps_the_word():
    thin, thick = print_word('steal', font()), print_word('steal', font(), stroke=2)
    assert thick.shape == (thin.shape[0] + 4, thin.shape[1] + 4)
    assert (thick[2:-2, 2:-2] >= thin).all() and thick.sum() > 1.3 * thin.sum()


def test_nothing_to_draw_is_an_error():
    with pytest.raises(ValueError, match=r"DejaVu Sans.* draws nothing for ' '"):
        print_word(' ', font())


@pytest.mark.parametrize('cropped', [0, 1])
def test_margins_keep_the_whole_text_unless_a_crop_is_drawn(cropped):
    rng = random.Random(0)
    ink = print_word('steal', font())
    for _ in range(300):
        margins = draw_margins(ink.shape[0], 32, rng, cropped)
        assert sum(side < 0 for side in margins) == cropped
        placed = place(ink, margins)
        if not cropped:
            left, top, right, bottom = margins
            rows, columns = placed.shape
            assert np.array_equal(placed[top : rows - bottom, left : columns - right], ink)
            assert placed.sum() == pytest.approx(ink.sum())
        else:
            # The text has as much less as was cut off.
            assert 0.6 * ink.sum() < placed.sum() <= ink.sum()
            assert min(margins) >= -ink.shape[0] // 6


def test_a_crop_leaves_most_of_a_narrow_character():
    ink = print_word('l', font())
    for margins in ((-9, 0, 0, 0), (0, 0, -9, 0)):
        assert place(ink, margins).sum() > 0.6 * ink.sum()


def backgrounds(rng):
    noise = np.random.default_rng(0)
    yield np.full((20, 60, 3), 128.0)
    yield noise.uniform(0, 255, (20, 60, 3))
    yield np.where(noise.random((20, 60, 1)) < 0.5, 0.0, 255.0) * np.ones(3)
    for _ in range(60):
        yield draw_border(draw_background((20, 60), rng, noise), rng)


@pytest.mark.parametrize('contrast', [0, 50, 100, 127])
def test_a_text_differs_from_every_pixel_of_its_background(contrast):
    rng = random.Random(0)
    for image in backgrounds(rng):
        behind, color = separate(image.astype(np.float32), rng, contrast)
        assert 0 <= behind.min() and behind.max() <= 255 and 0 <= color.min() <= color.max() <= 255
        difference = np.abs(np.rint(behind) @ GREY - np.rint(color) @ GREY)
        assert difference.min() >= contrast


def test_a_background_with_room_for_the_text_is_left_as_it_is():
    image = np.full((4, 4, 3), 200, np.float32)
    assert separate(image, random.Random(0), 50)[0] is image


def test_texts_are_darker_and_lighter_than_their_backgrounds():
    rng = random.Random(0)
    image = np.full((4, 4, 3), 128, np.float32)
    darker = [float(separate(image, rng, 50)[1] @ GREY) < 128 for _ in range(100)]
    assert 20 < sum(darker) < 80


@pytest.mark.parametrize('path', [SANS, SERIF])
def test_no_image_is_empty_or_without_its_text(path):
    style = Style(sizes=(20, 48), min_contrast=60, cropped=0)
    for i in range(150):
        image = draw_word('HERE', path, random.Random(i), style)
        assert image.dtype == np.uint8 and image.shape[2] == 3
        height, width = image.shape[:2]
        assert 10 < height < 120 and width > height
        grey = image[..., ::-1] @ GREY
        assert np.ptp(grey) >= 55


def test_random_numbers_alone_decide():
    def draw(seed, text='steal', path=SANS):
        return draw_word(text, path, random.Random(seed))

    state = random.getstate(), np.random.get_state()[1].tolist()
    images = [draw(i) for i in range(20)]
    assert all(np.array_equal(image, draw(i)) for i, image in enumerate(images))
    assert len({image.tobytes() for image in images}) == 20
    assert draw(0, 'least').tobytes() != images[0].tobytes() != draw(0, path=SERIF).tobytes()
    assert (random.getstate(), np.random.get_state()[1].tolist()) == state


def test_parts_of_images_are_backgrounds(tmp_path):
    path = str(tmp_path / 'image.png')
    cv2.imwrite(path, np.full((30, 50, 3), (10, 20, 230), np.uint8))
    rng = random.Random(0)
    for shape in ((20, 40), (60, 300), (29, 50), (30, 50)):
        image = crop_image(path, *shape, rng)
        assert image.shape == (*shape, 3) and (image == (230, 20, 10)).all()
    noise = np.random.default_rng(0)
    drawn = [draw_background((20, 60), rng, noise, [path]) for _ in range(200)]
    assert 70 < sum((image == (230, 20, 10)).all() for image in drawn) < 130


def test_the_file_of_a_background_is_read_once(tmp_path, monkeypatch):
    path, read = str(tmp_path / 'image.png'), []
    cv2.imwrite(path, np.zeros((30, 50, 3), np.uint8))
    load = word_images.load_image
    monkeypatch.setattr(word_images, 'load_image', lambda path: read.append(path) or load(path))
    for i in range(5):
        crop_image(path, 10, 20, random.Random(i))
    assert read == [path]
