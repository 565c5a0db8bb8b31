"""Losses of boxes with gradients of the same size, so that their shapes can be compared."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn

from mmocr_da.arguments import check_config, check_number
from mmocr_da.registry import MODELS


class GradientBalance(nn.Module):
    """Factor by which a loss of boxes gets a gradient as large as a reference loss has.

    The gradients are those with respect to the offsets that a head predicts, of all boxes of a
    batch in all processes, and their size is the Euclidean norm. The factor is ``r / g``, the norms
    of reference and loss, each a moving average over the iterations. It has no gradient itself, so
    the direction of the gradient is that of the loss.

    Args:
        reference: Config of a loss of offsets. Its ``loss_weight`` is that of the balanced loss.
        momentum: Share of the current iteration in the moving averages; with 1 the norms are equal
            in each iteration.
        max_factor: Largest factor. A loss with a gradient of almost 0 is not enlarged without end.

    Raises:
        ValueError: If an option is out of range.
    """

    #: The moving averages of both norms, reference first.
    norms: Tensor

    def __init__(
        self, reference: dict[str, Any], momentum: float = 0.05, max_factor: float = 1000.0
    ) -> None:
        super().__init__()
        check_config('reference', reference)
        check_number('momentum', momentum, above=0, most=1)
        check_number('max_factor', max_factor, above=0)
        self.reference = MODELS.build(dict(_scope_='mmdet', **reference))
        self.momentum = momentum
        self.max_factor = max_factor
        self.register_buffer('norms', torch.zeros(2))

    def forward(self, reference: Tensor, loss: Tensor, offsets: Sequence[Tensor]) -> Tensor:
        """Compute the factor, a scalar; all processes must call this.

        Batches in which a norm is 0 or not finite, such as those without text, leave the moving
        averages as they are. Without averages yet the factor is 1.

        Args:
            reference: Value of the reference loss, a scalar.
            loss: Value of the loss, a scalar.
            offsets: What both depend on.
        """
        squares = torch.stack([squared_gradient(x, offsets) for x in (reference, loss)])
        all_reduce(squares)
        norms = squares.sqrt().to(self.norms)
        usable = (norms > 0).all() & norms.isfinite().all()
        # Both start at 0, which has no influence on their ratio.
        self.norms.copy_(torch.where(usable, self.norms.lerp(norms, self.momentum), self.norms))
        wanted, found = self.norms.clone()
        return torch.where(found > 0, wanted / found, 1.0).clamp(max=self.max_factor)


def squared_gradient(loss: Tensor, inputs: Sequence[Tensor]) -> Tensor:
    """Compute the squared norm of the gradient of a loss, and keep its graph.

    >>> x = torch.ones(2, requires_grad=True)
    >>> squared_gradient((3 * x).sum(), [x])
    tensor(18.)
    """
    learning = [x for x in inputs if x.requires_grad]
    if not (loss.requires_grad and learning):
        return loss.new_zeros(())
    gradients = torch.autograd.grad(loss, learning, retain_graph=True, allow_unused=True)
    norms = [g.float().square().sum() for g in gradients if g is not None]
    return torch.stack(norms).sum() if norms else loss.new_zeros(())
