"""Gradient reversal (Ganin & Lempitsky, ICML 2015): a minimax game in one backward pass."""

from typing import Any

import torch
from torch import Tensor


class _ReverseGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float) -> Tensor:
        ctx.scale = scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return -ctx.scale * grad, None


def reverse_gradient(x: Tensor, scale: float = 1.0) -> Tensor:
    """Return ``x``; in the backward pass, multiply its gradient by ``-scale``.

    Modules after it descend their loss with weight 1; modules before it receive ``-scale`` times
    the gradient: the updates of ASSDA's eq. 20 to 23 in a single backward.

    >>> x = torch.ones(2, requires_grad=True)
    >>> reverse_gradient(x, scale=0.5).sum().backward()
    >>> x.grad
    tensor([-0.5000, -0.5000])
    """
    return _ReverseGradient.apply(x, float(scale))
