"""Tests of the memory order of convolution weights."""

import copy

import pytest
import torch
from mmocr.models.textrecog.preprocessors import STN
from torch import nn

from mmocr_da.models.channels_last import use_channels_last


@pytest.mark.parametrize('order', [torch.contiguous_format, torch.channels_last])
def test_the_rectifier_of_mmocr_gives_the_same_images(order):
    torch.manual_seed(0)
    plain = STN(3, resized_image_size=(32, 64), output_image_size=(8, 32), num_control_points=8)
    with torch.no_grad():
        plain.stn_fc2.weight.normal_(std=0.1)  # else all images are rectified alike
    fast = copy.deepcopy(plain)
    use_channels_last(fast)
    assert fast.stn_convnet[0].conv.weight.is_contiguous(memory_format=torch.channels_last)
    images = torch.rand(2, 3, 16, 48)
    expected = plain.eval()(images)
    assert (expected[0] - plain(images[1:])[0]).abs().max() > 0.1
    found = fast.eval()(images.to(memory_format=order))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('stride', [2, (2, 1)])
@pytest.mark.parametrize('channels', [(8, 8), (3, 15), (5, 4), (8, 16), (12, 16), (3, 64)])
def test_narrow_convolutions_with_a_stride_do_not_crash_torch(stride, channels):
    """They did with maps of this size; 3 x 3 ones and those of more channels do not."""
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(channels[0], channels[1], 1, stride=stride), nn.ReLU())
    fast = copy.deepcopy(plain)
    use_channels_last(fast)
    assert fast[0].weight.is_contiguous() and fast[0]._forward_pre_hooks
    images, gradients = torch.randn(4, channels[0], 32, 80), []
    for model, order in ((plain, torch.contiguous_format), (fast, torch.channels_last)):
        x = images.clone(memory_format=order).requires_grad_()
        out = model(x)
        out.square().contiguous(memory_format=order).sum().backward()
        gradients.append([out, x.grad, *(p.grad for p in model.parameters())])
    for a, b in zip(*gradients):
        torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-4)


def test_other_convolutions_are_in_the_fast_order():
    wide = nn.Sequential(nn.Conv2d(16, 8, 1, stride=2), nn.Conv2d(8, 8, 3, stride=2))
    use_channels_last(wide)
    for conv in wide:
        assert conv.weight.is_contiguous(memory_format=torch.channels_last)
        assert not conv._forward_pre_hooks
