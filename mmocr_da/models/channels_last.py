"""The memory order in which the convolutions of small networks are fast."""

import torch
from mmocr.models.textrecog.preprocessors import STN
from torch import Tensor, nn


def use_channels_last(model: nn.Module) -> None:
    """Keep the convolution weights of a model in channels-last memory order; no number changes.

    Two kinds of modules get and give maps in the usual order:

    * The localization network of MMOCR's STN ends in ``view``, which fails in the other one ("view
      size is not compatible").
    * 1 x 1 convolutions with a stride and fewer than 16 input channels: with several threads their
      backward pass writes outside of its memory on CPUs with AVX-512 (torch 2.13).

    Args:
        model: Changed in place.
    """
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # only in the code
    for module in model.modules():
        if isinstance(module, STN):
            module.stn_convnet.register_forward_hook(_give_usual_order)
        elif isinstance(module, nn.Conv2d) and _crashes(module):
            # `contiguous` would do nothing: by its strides a 1 x 1 kernel is in both orders.
            module.weight.data = module.weight.data.clone(memory_format=torch.contiguous_format)
            module.register_forward_pre_hook(_take_usual_order)


def _crashes(conv: nn.Conv2d) -> bool:
    return conv.kernel_size == (1, 1) and max(conv.stride) > 1 and conv.in_channels < 16


def _take_usual_order(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(x.contiguous() for x in inputs)


def _give_usual_order(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return output.contiguous()
