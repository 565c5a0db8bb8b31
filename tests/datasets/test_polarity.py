"""Whether text is brighter than its background, and how often in a dataset."""

import cv2
import numpy as np
import pytest
from mmengine.registry import DATASETS

from mmocr_da.datasets.polarity import bright_text_share, has_bright_text


def word(background=230, ink=20, channels=None):
    shape = (32, 100) if channels is None else (32, 100, channels)
    return cv2.putText(np.full(shape, background, np.uint8), 'Word', (8, 24), 0, 1, (ink,) * 4, 2)


@pytest.mark.parametrize('channels', [None, 1, 3])
@pytest.mark.parametrize(('background', 'ink'), [(230, 20), (255, 0), (120, 100), (60, 10)])
def test_it_is_the_order_of_ink_and_background_alone_that_counts(channels, background, ink):
    assert not has_bright_text(word(background, ink, channels))
    assert has_bright_text(word(ink, background, channels))


def test_brightness_and_contrast_do_not_matter():
    image = word().astype(float)
    for scale, shift in ((0.2, 0), (1, -500), (3, 80)):
        assert not has_bright_text(image * scale + shift)
        assert has_bright_text(image * -scale + shift)


def test_an_image_of_one_colour_has_no_bright_text():
    assert not has_bright_text(np.full((8, 8), 7, np.uint8))


@pytest.fixture
def folder(tmp_path):
    for i in range(20):
        cv2.imwrite(str(tmp_path / f'{i:02d}.png'), word(20, 230) if i < 6 else word())
    return tmp_path


def images(folder):
    return DATASETS.build(dict(type='mmocr_da.UnlabelledDataset', img_dir=str(folder)))


def test_the_share_in_a_dataset(folder):
    dataset = images(folder)
    assert bright_text_share(dataset) == 0.3
    assert dataset.pipeline.transforms == []  # it is as it was


def test_images_that_cannot_be_read_do_not_count(folder):
    for i in range(10, 20):
        (folder / f'{i}.png').write_bytes(b'none')
    assert bright_text_share(images(folder)) == 0.6
    for i in range(10):
        (folder / f'{i:02d}.png').write_bytes(b'none')
    assert bright_text_share(images(folder)) is None


def test_a_sample_of_many_images_is_drawn_by_the_seed(folder, monkeypatch):
    monkeypatch.setattr('mmocr_da.datasets.polarity.SAMPLE', 5)
    dataset = images(folder)
    shares = [bright_text_share(dataset, seed) for seed in range(20)]
    assert shares == [bright_text_share(dataset, seed) for seed in range(20)]
    assert len({*shares}) > 1 and {*shares} <= {0.0, 0.2, 0.4, 0.6, 0.8, 1.0}
