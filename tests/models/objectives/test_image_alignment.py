import math

import pytest
import torch
from mmengine.structures import BaseDataElement
from torch import nn

from mmocr_da.models.objectives import DetectionFeatures, ImageAlignment
from mmocr_da.registry import MODELS


@pytest.fixture
def make():
    def make(**options):
        torch.manual_seed(0)
        cfg = dict(type='mmocr_da.ImageAlignment', in_channels=4, weight=0.3)
        objective = MODELS.build(dict(cfg, **options))
        objective.init_weights()
        return objective.double()

    return make


def domain(maps, img_shapes=((16, 16),) * 3, size=(16, 16)):
    """Features of images of which the batch has padded each to ``size``."""
    samples = [BaseDataElement(metainfo=dict(img_shape=shape)) for shape in img_shapes[: len(maps)]]
    return DetectionFeatures(dict(neck=(maps,)), torch.zeros(len(maps), 3, *size), samples)


def maps(num, seed, size=(4, 4)):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num, 4, *size, generator=generator, dtype=torch.double).requires_grad_()


def test_the_loss_and_its_gradients_equal_a_slow_oracle(make):
    """The image-level adaptation of Chen et al., position by position, with means for sums."""
    objective = make()
    shapes = [((16, 16), (8, 16)), ((16, 4), (9, 13), (16, 16))]
    given = [maps(2, 1), maps(3, 2)]
    halves = [domain(x, s) for x, s in zip(given, shapes)]
    objective(*halves)['loss_image_neck_0'].backward()
    d_grads = [p.grad.clone() for p in objective.parameters()]
    x_grads = [x.grad.clone() for x in given]

    objective.zero_grad()
    losses = []
    for label, (x, sizes) in enumerate(zip(given, shapes)):
        x.grad = None
        images = []
        for image, (height, width) in zip(x, sizes):
            errors = []
            for v in range(4):
                for u in range(4):
                    if 4 * v >= height or 4 * u >= width:  # the position begins in the padding
                        continue
                    p = torch.sigmoid(objective.discriminator(image[:, v, u][None])[0, 0])
                    errors.append(-torch.log(p if label else 1 - p))
            images.append(sum(errors) / len(errors))
        losses.append(sum(images) / len(images))
    oracle = sum(losses) / 2
    oracle.backward()
    found = objective(*halves)
    assert found['loss_image_neck_0'].item() == pytest.approx(oracle.item(), rel=1e-6)
    for grad, p in zip(d_grads, objective.parameters()):
        torch.testing.assert_close(grad, p.grad, rtol=1e-5, atol=1e-8)
    for grad, x in zip(x_grads, given):  # reversed, and lambda of it
        torch.testing.assert_close(grad, -0.3 * x.grad, rtol=1e-5, atol=1e-8)


def test_what_is_in_the_padding_and_how_large_it_is_changes_nothing(make):
    objective = make()
    source, target = maps(2, 1), maps(2, 2)
    shapes = ((16, 12), (8, 16))
    expected = objective(domain(source, shapes), domain(target, shapes))
    expected['loss_image_neck_0'].backward()
    with torch.no_grad():
        other = source.clone()
        other[0, :, :, 3] = 1e3
        other[1, :, 2:] = -1e3
    values = objective(domain(other, shapes), domain(target, shapes))
    larger = torch.full((2, 4, 6, 5), 7.0, dtype=torch.double)
    larger[:, :, :4, :4] = source.detach()
    padded = objective(domain(larger, shapes, (24, 20)), domain(target, shapes))
    for key, value in expected.items():
        assert torch.equal(values[key], value), key
        torch.testing.assert_close(padded[key], value, rtol=1e-6, atol=0)
    assert not source.grad[0, :, :, 3].any() and not source.grad[1, :, 2:].any()
    assert source.grad[0, :, :, :3].all()


def test_numbers_by_hand(make):
    """A discriminator that says 3/4 everywhere; an image counts alike whatever its size."""
    objective = make()
    for p in objective.parameters():
        nn.init.zeros_(p)
    nn.init.constant_(objective.discriminator.layers[2].bias, math.log(3))
    values = objective(domain(maps(2, 1), ((16, 16), (4, 4))), domain(maps(1, 2)))
    expected = 0.5 * (-math.log(1 / 4) - math.log(3 / 4))
    assert values['loss_image_neck_0'].item() == pytest.approx(expected)
    assert values['image_neck_0_acc_source'] == 0 and values['image_neck_0_acc_target'] == 1
    assert values['image_neck_0_lambda'].item() == pytest.approx(0.3)


def test_a_domain_without_images_is_a_zero_in_the_graph(make):
    x = maps(0, 1)
    values = make()(domain(x, ()), domain(maps(0, 2), ()))
    assert values['loss_image_neck_0'] == 0
    values['loss_image_neck_0'].backward()
    assert x.grad is not None


def test_each_level_has_a_name(make):
    assert make().name == 'image_neck_0'
    assert make(part='backbone', level=2).name == 'image_backbone_2'


def test_wrong_settings_are_explained(make):
    with pytest.raises(ValueError, match="part must be 'backbone' or 'neck', got 'head'"):
        make(part='head')
    with pytest.raises(ValueError, match='level must be an integer of at least 0, got -1'):
        make(level=-1)
    with pytest.raises(ValueError, match='set in_channels=4'):
        make(in_channels=5)(domain(maps(1, 1)), domain(maps(1, 2)))
    with pytest.raises(ValueError, match='level must be below 1, the number .* of the neck, got 1'):
        make(level=1)(domain(maps(1, 1)), domain(maps(1, 2)))
    without = nn.Module()
    without.detector = nn.Module()
    without.detector.backbone = nn.Identity()
    with pytest.raises(ValueError, match="without; set part='backbone'"):
        make().attach(without)
    ImageAlignment(4, part='backbone').attach(without)
