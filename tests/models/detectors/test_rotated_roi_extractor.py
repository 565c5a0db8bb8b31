"""Pooling from rotated boxes: against a plane, against MMDetection's at no angle, rotated maps."""

import math

import numpy as np
import pytest
import torch
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.registry import MODELS as MMDET_MODELS

from mmocr_da.models.detectors import RotatedRoIExtractor
from mmocr_da.structures import RotatedBoxes

STRIDES = [4, 8]


def extractor(strides=STRIDES, size=(3, 7), channels=4, **kwargs):
    return RotatedRoIExtractor(
        dict(output_size=size, sampling_ratio=2),
        out_channels=channels,
        featmap_strides=strides,
        **kwargs,
    )


def pyramid(channels=4, images=2, size=256, strides=STRIDES, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(images, channels, size // s, size // s, generator=generator) for s in strides
    ]


def random_rois(count, images=2, size=256, seed=0):
    """Wholly inside, on both levels."""
    rng = np.random.default_rng(seed)
    w = rng.uniform(20, 120, count)
    h = w * rng.uniform(0.2, 1, count)
    h[::2] = w[::2] = rng.uniform(112, 130, len(w[::2]))  # of the second level
    rois = [
        rng.integers(images, size=count),
        *rng.uniform(0.45 * size, 0.55 * size, (2, count)),
        w,
        h,
        rng.uniform(-math.pi / 2, 0, count),
    ]
    return torch.from_numpy(np.stack(rois, 1)).float()


# --------------------------------------------------------------------------- laws


def test_a_plane_is_sampled_at_the_cells():
    """Interpolation is exact on it, so this is an oracle for places, sides, angle and order."""
    slopes = np.array([[1.0, 0], [0, 1], [0.3, -0.7]])
    feats = []
    for stride in STRIDES:
        centres = (torch.arange(256 // stride) + 0.5) * stride  # of the pixels of a map
        y, x = torch.meshgrid(centres, centres, indexing='ij')
        feats.append(torch.stack([a * x + b * y + 5 for a, b in slopes])[None].float())
    rois = random_rois(20, images=1)
    found = extractor(channels=3)(feats, rois)
    assert found.shape == (20, 3, 3, 7)
    for cells, (_, x, y, w, h, angle) in zip(found, rois.double().tolist()):
        for i in range(3):
            for j in range(7):
                along, across = ((j + 0.5) / 7 - 0.5) * w, ((i + 0.5) / 3 - 0.5) * h
                at = [
                    x + along * math.cos(angle) - across * math.sin(angle),
                    y + along * math.sin(angle) + across * math.cos(angle),
                ]
                np.testing.assert_allclose(cells[:, i, j], slopes @ at + 5, atol=1e-2)


@pytest.mark.parametrize('finest_scale', [56, 30])
def test_at_no_angle_it_is_the_extractor_of_mmdetection(finest_scale):
    feats, rois = pyramid(), random_rois(30)
    rois[:, 5] = 0
    half = rois[:, 3:5] / 2
    flat = torch.cat([rois[:, :1], rois[:, 1:3] - half, rois[:, 1:3] + half], 1)
    flat[:4, 1:3] -= 60  # over the border
    rois[:4, 3:5] += 60
    rois[:4, 1:3] -= 30
    theirs = SingleRoIExtractor(
        dict(type='RoIAlign', output_size=(3, 7), sampling_ratio=2),
        4,
        STRIDES,
        finest_scale=finest_scale,
    )
    ours = extractor(finest_scale=finest_scale)
    levels = ours.map_roi_levels(rois, 2)
    assert levels.unique().tolist() == [0, 1]
    assert torch.equal(levels, theirs.map_roi_levels(flat, 2))
    torch.testing.assert_close(ours(feats, rois), theirs(feats, flat), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        ours(feats, rois, 1.3), theirs(feats, flat, 1.3), atol=1e-4, rtol=1e-4
    )
    assert (ours(feats, rois, 1.3) - ours(feats, rois)).abs().max() > 0.1


def test_turning_the_maps_and_the_boxes_changes_nothing():
    feats, rois = pyramid(), random_rois(30)
    wanted = extractor()(feats, rois)
    boxes = RotatedBoxes(rois[:, 1:])
    boxes.rotate_((128, 128), 90)  # clockwise, and within the range of angles
    rotated = torch.cat([rois[:, :1], boxes.tensor], 1)
    square = rois[:, 3] == rois[:, 4]
    assert (boxes.tensor[~square, 4] > 0).all()
    found = extractor()([feat.rot90(-1, (2, 3)).contiguous() for feat in feats], rotated)
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-3)
    assert (extractor()(feats, rotated) - wanted).abs().max() > 0.1


def test_a_turn_by_180_degrees_reverses_the_cells():
    feats, rois = pyramid(), random_rois(10)
    rotated = rois + torch.tensor([0, 0, 0, 0, 0, math.pi])
    torch.testing.assert_close(
        extractor()(feats, rotated), extractor()(feats, rois).flip(2, 3), atol=1e-3, rtol=1e-3
    )


def test_the_memory_format_does_not_matter():
    feats, rois = pyramid(), random_rois(6)
    last = [feat.to(memory_format=torch.channels_last) for feat in feats]
    torch.testing.assert_close(extractor()(last, rois), extractor()(feats, rois))


def test_a_roi_is_of_its_own_image_and_others_do_not_matter():
    feats, rois = pyramid(images=3), random_rois(12, images=3)
    wanted = extractor()(feats, rois)
    for roi, pooled in zip(rois, wanted):
        image = int(roi[0])
        alone = torch.cat([torch.zeros(1), roi[1:]])[None]
        found = extractor()([feat[image : image + 1] for feat in feats], alone)
        torch.testing.assert_close(found[0], pooled)


# --------------------------------------------------------------------------- levels


def test_levels_by_hand():
    sides = [
        (56, 56),
        (111, 112),
        (112, 112),
        (224, 56),
        (448, 28),
        (220, 224),
        (224, 224),
        (2000, 1000),
        (5, 3),
        (10, 0),
        (-3, 4),
        (111.99999, 111.99999),
    ]
    rois = torch.tensor([[0, 0, 0, w, h, 0.7] for w, h in sides]).float()
    wanted = [0, 0, 1, 1, 1, 1, 2, 4, 0, 0, 0, 1]
    assert extractor().map_roi_levels(rois, 5).tolist() == wanted
    assert extractor().map_roi_levels(rois, 2).tolist() == [min(1, level) for level in wanted]
    assert extractor(finest_scale=28).map_roi_levels(rois[:1], 4).tolist() == [1]


def test_rescaled_boxes_keep_their_level_and_centre():
    rois = random_rois(8)
    found = extractor().roi_rescale(rois, 1.5)
    assert torch.equal(found, rois * torch.tensor([1, 1, 1, 1.5, 1.5, 1]))
    feats = pyramid()
    small = rois[rois[:, 3] * rois[:, 4] < 112**2]
    alone = extractor([4])([feats[0]], small * torch.tensor([1, 1, 1, 1.5, 1.5, 1]))
    torch.testing.assert_close(extractor()(feats, small, 1.5), alone)


@pytest.mark.parametrize('strides', [[4], STRIDES])
def test_no_boxes(strides):
    feats = [feat.requires_grad_() for feat in pyramid(strides=strides)]
    assert extractor(strides)(feats, torch.zeros(0, 6)).shape == (0, 4, 3, 7)


# --------------------------------------------------------------------------- precision, gradient


@pytest.mark.parametrize('strides', [[4], STRIDES])
def test_under_autocast(strides):
    """Half-precision features, boxes with places that half precision does not know."""
    feats, rois = pyramid(strides=strides), random_rois(10)
    rois[:, 1:3] += 0.37
    feats = [feat.bfloat16() for feat in feats]
    wanted = extractor(strides)([feat.float() for feat in feats], rois)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = extractor(strides)(feats, rois)
    assert found.dtype == torch.bfloat16 and wanted.dtype == torch.float32
    assert torch.equal(found, wanted.bfloat16())
    # The same without autocast, as a model in half precision has it.
    assert torch.equal(extractor(strides)(feats, rois), found)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_the_gradient_reaches_the_features(dtype):
    """Weights of interpolation sum to one in each cell: that many are given back to the maps."""
    feats = [feat.to(dtype).requires_grad_() for feat in pyramid()]
    rois = random_rois(6)
    with torch.autocast('cpu', dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        extractor()(feats, rois).float().sum().backward()
    levels = extractor().map_roi_levels(rois, 2)
    for level, feat in enumerate(feats):
        assert feat.grad.dtype == dtype and feat.grad.isfinite().all()
        assert feat.grad.float().sum().item() == pytest.approx(
            (levels == level).sum().item() * 4 * 3 * 7, rel=1e-2
        )


def test_a_level_without_boxes_has_a_gradient_of_zero():
    feats = [feat.requires_grad_() for feat in pyramid()]
    small = torch.tensor([[0.0, 100, 100, 40, 10, 0.3]])
    extractor()(feats, small).sum().backward()
    assert feats[0].grad.any() and feats[1].grad is not None and not feats[1].grad.any()


# --------------------------------------------------------------------------- options


def test_another_direction_of_angles():
    with pytest.raises(ValueError, match='clockwise=True.*got clockwise=False'):
        RotatedRoIExtractor(
            dict(output_size=7, clockwise=False), out_channels=4, featmap_strides=[4]
        )


def test_it_is_found_by_its_name():
    built = MMDET_MODELS.build(
        dict(
            type='mmocr_da.RotatedRoIExtractor',
            out_channels=4,
            featmap_strides=[4, 8, 16],
            roi_layer=dict(type='RoIAlignRotated', output_size=5, sampling_ratio=1, clockwise=True),
        )
    )
    assert type(built) is RotatedRoIExtractor and built.num_inputs == 3
    for layer, stride in zip(built.roi_layers, (4, 8, 16)):
        assert layer.clockwise and layer.spatial_scale == 1 / stride
        assert layer.output_size == (5, 5) and layer.sampling_ratio == 1
