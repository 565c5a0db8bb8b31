"""Maps of text: those from which the detectors predict, and their geometry."""

import cv2
import numpy as np
import pytest
import torch
from helpers.detectors import FILES, adaptive, scenes

from mmocr_da.models.detectors.text_maps import move_maps

KINDS = {'DBNet': 1, 'PANet': 2, 'PSENet': 7, 'TextSnake': 2}


@pytest.mark.parametrize('kind', KINDS)
def test_they_are_what_the_postprocessor_gets(kind, monkeypatch):
    """Where it takes logits, after a sigmoid, as the postprocessors of MMOCR do."""
    model = adaptive(kind).eval()
    seen = []
    post = type(model.det_head.postprocessor)
    monkeypatch.setattr(
        post, '__call__', lambda self, maps, samples, *_: seen.append(maps) or samples
    )
    batch = model.data_preprocessor(scenes(kind, [None] * 2), False)
    with torch.no_grad():
        maps = model.predict_text_maps(batch['inputs'])
        model.det_head.predict(model.extract_feat(batch['inputs']), batch['data_samples'])
    (given,) = seen
    given = given[:, None] if kind == 'DBNet' else given[:, : KINDS[kind]].sigmoid()
    assert maps.shape[:2] == (2, KINDS[kind])
    torch.testing.assert_close(maps, given)


@pytest.mark.parametrize('kind', sorted({*FILES} - {*KINDS}))
def test_other_heads_are_refused(kind, monkeypatch):
    for module in ('heads.drrg_head', 'module_losses.drrg_module_loss'):
        monkeypatch.setattr(f'mmocr.models.textdet.{module}.la_nms', lambda boxes, _: boxes)
    with pytest.raises(
        ValueError,
        match='DetectorMapSelfTraining needs a head that predicts the probability of text for each '
        'pixel, one of DBHead, PANHead, PSEHead, TextSnakeHead, got .*DetectorSelfTraining works',
    ):
        adaptive(kind, dict(type='mmocr_da.DetectorMapSelfTraining'))


def test_maps_move_as_the_image_does():
    """A map as large as the image, and one of a fourth of its size, are warped like its pixels."""
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.random((48, 64)).astype(np.float32), None, 6)
    image = (image - image.min()) / np.ptp(image)
    angle = cv2.getRotationMatrix2D((30.0, 20.0), 25, 0.9)
    matrix = np.vstack([angle, [0, 0, 1]])
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    of_pixels = np.linalg.inv(half) @ matrix @ half
    expected = cv2.warpPerspective(image, of_pixels, (64, 48), borderValue=0.5)
    whole = move_maps(torch.from_numpy(image)[None], matrix, (1, 1), (1, 1), (48, 64))
    np.testing.assert_allclose(whole[0], expected, atol=1e-6)
    small = torch.from_numpy(cv2.resize(image, (16, 12), interpolation=cv2.INTER_AREA))
    moved = move_maps(small[None], matrix, (4, 4), (4, 4), (12, 16))[0].numpy()
    coarse = cv2.resize(expected, (16, 12), interpolation=cv2.INTER_AREA)
    inside = coarse != 0.5
    assert np.abs(moved - coarse)[inside].mean() < 0.02
    assert np.abs(small.numpy() - coarse)[inside].mean() > 0.03


def test_the_same_view_changes_nothing_and_what_was_not_seen_is_unknown():
    maps = torch.rand(2, 5, 7)
    same = move_maps(maps, np.eye(3), (2, 3), (2, 3), (5, 7))
    torch.testing.assert_close(same, maps)
    beside = np.array([[1.0, 0, 14], [0, 1, 0], [0, 0, 1]])
    assert (move_maps(maps, beside, (2, 3), (2, 3), (5, 7)) == 0.5).all()
