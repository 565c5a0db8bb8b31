import cv2
import numpy as np
import pytest
from mmengine.visualization import Visualizer
from mmocr.structures import TextRecogDataSample

from mmocr_da.engine import PaintingHook


class Painter:
    """Keeps what it is given instead of painting it."""

    def add_datasample(self, name, image, **kwargs):
        self.painted = name, image


@pytest.fixture
def paint(monkeypatch):
    """``paint(path)``: the name and the RGB image that the visualizer gets."""
    monkeypatch.setattr(Visualizer, 'get_current_instance', Painter)

    def make(path):
        hook = PaintingHook(enable=True)
        sample = TextRecogDataSample(metainfo=dict(img_path=str(path)))
        hook.after_test_iter(None, 0, outputs=[sample])
        return hook._visualizer.painted

    return make


def test_text_in_an_alpha_channel_is_painted_on_white(paint, tmp_path):
    image = np.zeros((8, 16, 4), np.uint8)
    image[2:5, 3:6, 3] = 255
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    name, painted = paint(tmp_path / 'a.png')
    assert name == 'a' and painted.flags.c_contiguous
    np.testing.assert_array_equal(painted, np.repeat(255 - image[..., 3:], 3, axis=2))


def test_an_image_of_an_lmdb_is_painted_as_its_file(paint, toy, toy_lmdb):
    name, painted = paint(toy_lmdb / 'image-000000002')
    assert name == 'image-000000002'
    np.testing.assert_array_equal(painted, cv2.imread(str(toy.parent / 'target_1.png'))[..., ::-1])


def test_a_file_that_is_missing_is_named(paint, tmp_path):
    with pytest.raises(FileNotFoundError, match='no.png'):
        paint(tmp_path / 'no.png')
