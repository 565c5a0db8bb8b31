"""The images that a file is verified with show different texts of the recognizer's alphabet."""

import numpy as np
import pytest

from mmocr_da.onnx_export import verification
from mmocr_da.onnx_export.inferencer import Prediction


@pytest.mark.parametrize('color', ['bgr', 'gray'])
def test_example_images_differ_in_size_and_colour_and_are_the_same_each_time(color):
    arguments = ['a', 'B', '<UKN>', ' ', 'é'], color
    images = verification.example_images(*arguments)
    assert len({image.shape for image in images}) > 5
    assert all(image.dtype == np.uint8 and image.shape[2] == 3 for image in images)
    for image, again in zip(images, verification.example_images(*arguments)):
        np.testing.assert_array_equal(image, again)
        assert np.array_equal(image, image[..., ::-1]) == (color == 'gray')
    # Of an alphabet that OpenCV cannot draw, there is noise.
    assert all(np.ptp(image) > 200 for image in verification.example_images(['é', '字']))


@pytest.fixture
def compare(monkeypatch):
    """``compare(ours, theirs)``: predictions, of the graph and of the recognizer, of each image."""

    def make(ours, theirs):
        class Inferencer:
            metadata = dict(characters=['a'], image=dict(color='bgr'))

            def __init__(self, *_, **__):
                pass

            def __call__(self, images):
                return [ours] * len(images)

        class Sample:
            class pred_text:
                item, score = theirs.text, theirs.scores

        monkeypatch.setattr(verification, 'OnnxInferencer', Inferencer)
        monkeypatch.setattr(verification, 'inference_pipeline', lambda cfg: None)
        monkeypatch.setattr(verification, 'predict', lambda *a: [Sample] * len(a[2]))
        return verification.largest_difference(None, None, b'')

    return make


def test_the_largest_difference_of_a_character_is_returned(compare):
    first, second = (Prediction('ab', 0, scores) for scores in ([0.5, 0.3], [0.5001, 0.2995]))
    assert compare(first, second) == pytest.approx(0.0005)
    assert compare(first, first) == 0


@pytest.mark.parametrize(
    'other, message',
    [
        (Prediction('ac', 0, [0.5, 0.3]), "predicts 'ab' .* recognizer predicts 'ac'"),
        (Prediction('ab', 0, [0.5, 0.31]), 'difference of 0.01'),
        (Prediction('ab', 0, [0.5, float('nan')]), 'difference of nan'),
    ],
)
def test_other_predictions_are_an_error(compare, other, message):
    with pytest.raises(RuntimeError, match=message):
        compare(Prediction('ab', 0, [0.5, 0.3]), other)
