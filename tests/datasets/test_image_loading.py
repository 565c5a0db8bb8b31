"""Images are decoded as by MMCV, except two kinds that MMCV may show as black."""

import io
import json
import pickle

import cv2
import mmcv
import numpy as np
import pytest
from mmengine.dataset import Compose
from mmengine.registry import DATASETS
from mmocr.datasets.transforms import InferencerLoader

import mmocr_da.datasets  # noqa: F401
from mmocr_da.datasets.image_loading import (
    BLANK,
    CONVERTED,
    decode,
    is_blank,
    load_as_shown,
    load_image,
    shown_pipeline,
)
from mmocr_da.datasets.notes import collect_notes

PACK = dict(type='mmocr.PackTextRecogInputs', meta_keys=('img_path',))
#: Ink on paper, 1 and 0.
INK = np.zeros((16, 40), bool)
INK[4:12, 5:30:3] = True


def png(image, suffix='.png'):
    return cv2.imencode(suffix, image)[1].tobytes()


def transparent(color, alpha=INK * 255):
    return np.dstack([np.full((16, 40, 3), color), alpha]).astype(np.uint8)


def noted(content, *args):
    with collect_notes() as notes:
        image = decode(content, *args)
    return image, [kind for kind, _ in notes]


@pytest.mark.parametrize('flag', ['color', 'grayscale'])
def test_text_in_the_alpha_channel_is_put_on_white(flag):
    image, notes = noted(png(transparent(0)), flag)
    assert ((image == 0) == (INK if flag == 'grayscale' else INK[..., None])).all()
    assert image.max() == 255 and notes == [CONVERTED]
    half = decode(png(transparent(0, INK * 51)), 'grayscale')
    assert set(np.unique(half)) == {204, 255}  # 255 * (1 - 51 / 255)


def test_white_text_in_the_alpha_channel_is_put_on_black():
    image, notes = noted(png(transparent(255)), 'grayscale')
    assert (image == INK * 255).all() and notes == [CONVERTED]


def test_16_bits_of_a_low_range_are_stretched():
    grey = (INK * 100 + 7).astype(np.uint16)
    assert mmcv.imfrombytes(png(grey), 'grayscale').max() == 0
    for flag in ('grayscale', 'color'):
        image, notes = noted(png(grey), flag)
        shown = image if flag == 'grayscale' else image[..., 1]
        assert (shown == INK * 255).all() and notes == [CONVERTED]
        assert image.ndim == 2 + (flag == 'color')
    tiff, notes = noted(png(grey, '.tiff'), 'grayscale')
    assert (tiff == INK * 255).all() and notes == [CONVERTED]


def plain_images():
    rng = np.random.default_rng(0)
    color, grey = rng.integers(0, 256, (16, 40, 3)), rng.integers(0, 256, (16, 40))
    for suffix in ('.png', '.jpg', '.bmp', '.webp', '.tiff', '.ppm'):
        yield png(color.astype(np.uint8), suffix)
    yield png(grey.astype(np.uint8))
    for factor in (257, 150):  # all of the 16 bits, and more than half
        yield png((grey * factor).astype(np.uint16))
    # An alpha that is the same everywhere says nothing, be it 255 or, by mistake, 0.
    for alpha in (255, 0):
        yield png(np.dstack([color, np.full((16, 40), alpha)]).astype(np.uint8))


@pytest.mark.parametrize('content', list(plain_images()))
@pytest.mark.parametrize('flag', ['color', 'grayscale', 'unchanged'])
def test_other_images_are_those_of_mmcv(content, flag):
    image, notes = noted(content, flag)
    assert (image == mmcv.imfrombytes(content, flag)).all() and notes == []


def test_a_palette_may_have_a_transparent_color():
    from PIL import Image

    file = io.BytesIO()
    palette = Image.fromarray(INK.astype(np.uint8), 'P')
    palette.putpalette([0, 0, 0, 0, 0, 0])
    palette.save(file, 'PNG', transparency=0)
    image, notes = noted(file.getvalue(), 'grayscale')
    assert (image == np.where(INK, 0, 255)).all() and notes == [CONVERTED]


@pytest.mark.parametrize('shape', [(1, 1), (5, 9), (16, 40, 3)])
def test_an_image_of_one_color_is_blank_and_noted(shape):
    image = np.full(shape, 200, np.uint8)
    assert is_blank(image)
    assert noted(png(image))[1] == [BLANK]
    if image.size > 1:
        image[-1, -1] = 0
        assert not is_blank(image) and noted(png(image))[1] == []


@pytest.fixture
def root(tmp_path):
    (tmp_path / 'a.png').write_bytes(png(transparent(0)))
    (tmp_path / 'b.png').write_bytes(png(np.full((16, 40, 3), 9, np.uint8)))
    (tmp_path / 'c.png').write_bytes(png(np.where(INK, 0, 200).astype(np.uint8)))
    (tmp_path / 'words.json').write_text(
        json.dumps(
            dict(
                metainfo=dict(),
                data_list=[
                    dict(img_path=f'{name}.png', instances=[dict(text=name)]) for name in 'abc'
                ],
            )
        )
    )
    return tmp_path


def dataset_of(root, **load):
    return DATASETS.build(
        dict(
            type='mmocr.OCRDataset',
            data_root=str(root),
            ann_file='words.json',
            serialize_data=False,
            pipeline=[dict(type='mmocr.LoadImageFromFile', **load), PACK],
        )
    )


def test_a_dataset_of_mmocr_loads_as_shown_and_notes_it(root):
    dataset = dataset_of(root, color_type='grayscale')
    assert dataset[0]['inputs'].max() == 0
    for _ in range(2):  # the second time changes nothing
        load_as_shown(dataset)
        assert dataset[0]['inputs'].max() == 255 and len(dataset.pipeline.transforms) == 2
    dataset = pickle.loads(pickle.dumps(dataset))
    samples = [dataset[i]['data_samples'] for i in range(3)]
    assert [s.get('notes') for s in samples] == [
        [(CONVERTED, f'{root}/a.png')],
        [(BLANK, f'{root}/b.png')],
        None,
    ]


def test_what_is_no_image_is_as_with_mmocr(root):
    (root / 'c.png').write_bytes(b'no image')
    with pytest.raises(OSError, match='c.png is broken'):
        load_image(str(root / 'c.png'))
    with pytest.raises(FileNotFoundError):
        load_image(str(root / 'd.png'))
    with pytest.raises(OSError, match='a.png is broken'):
        load_image(str(root / 'a.png'), min_size=17)
    dataset = dataset_of(root, ignore_empty=True)
    load_as_shown(dataset)
    with pytest.warns(UserWarning, match='c.png is left out: .* is broken'):
        assert dataset.prepare_data(2) is None


def test_an_inferencers_pipeline_loads_as_shown(root):
    pipeline = shown_pipeline(Compose([InferencerLoader(color_type='grayscale'), PACK]))
    item = pipeline(str(root / 'a.png'))
    assert item['inputs'].max() == 255
    assert (item['inputs'][0].numpy() == load_image(str(root / 'a.png'), 'grayscale')).all()
    assert pipeline(np.zeros((4, 4, 3), np.uint8))['inputs'].shape == (1, 4, 4)
