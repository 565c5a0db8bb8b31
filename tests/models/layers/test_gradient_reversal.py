import pytest
import torch

from mmocr_da.models.layers import reverse_gradient


@pytest.mark.parametrize('scale', [0.0, 0.1, 3.0])
def test_value_is_untouched_and_gradient_is_reversed_and_scaled(scale):
    x = torch.randn(3, 4, requires_grad=True)
    weight = torch.randn(3, 4)
    y = reverse_gradient(x, scale)
    assert torch.equal(y, x)
    (y * weight).sum().backward()
    torch.testing.assert_close(x.grad, -scale * weight)


def test_reversing_twice_gives_the_plain_gradient_back():
    x = torch.randn(5, requires_grad=True)
    reverse_gradient(reverse_gradient(x, 2.0), 0.5).sum().backward()
    torch.testing.assert_close(x.grad, torch.ones(5))
