"""A moving average of a recognizer (Tarvainen & Valpola, "Mean teachers", NeurIPS 2017)."""

import copy
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from ..decoders.classifier import module_replaced

#: Children of a recognizer that its teacher has no copy of.
NOT_COPIED = ('objectives', 'data_preprocessor')


class Teacher(nn.Module):
    """A copy of the parts of a recognizer that is not trained: it follows the recognizer.

    The parts keep their names, and are always in evaluation mode. Running statistics are averaged
    like weights: the teacher's weights are those of some steps ago on average, and so must be the
    statistics that normalize their features. Counters of batches are copied.

    It is not a ``BaseModule``, so that ``init_weights`` of the recognizer does not draw new weights
    for it; call :meth:`copy_from` afterwards.

    Args:
        recognizer: The recognizer to copy.
    """

    def __init__(self, recognizer: nn.Module) -> None:
        super().__init__()
        for name, part in recognizer.named_children():
            if name not in NOT_COPIED:
                self.add_module(name, copy.deepcopy(part))
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> 'Teacher':
        """Stay in evaluation mode."""
        return super().train(False)

    def copy_from(self, recognizer: nn.Module) -> None:
        """Start as a copy of the recognizer's weights and buffers."""
        self.follow(recognizer, 0.0)

    @torch.no_grad()
    def follow(self, recognizer: nn.Module, decay: float) -> None:
        """Set ``teacher = decay * teacher + (1 - decay) * recognizer``; 1 changes nothing."""
        if decay == 1:
            return
        averaged: list[tuple[Tensor, Tensor]] = []
        for name, part in self.named_children():
            student = recognizer.get_submodule(name).state_dict()
            for key, value in part.state_dict().items():
                if value.is_floating_point():
                    averaged.append((value, student[key]))
                else:
                    value.copy_(student[key])
        own, others = (list(values) for values in zip(*averaged))
        torch._foreach_lerp_(own, others, 1 - decay)

    @contextmanager
    def replacing(self, recognizer: nn.Module) -> Iterator[None]:
        """Replace the parts of the recognizer by the teacher's within the block."""
        with ExitStack() as stack:
            for name, part in self.named_children():
                stack.enter_context(module_replaced(recognizer, name, part))
            yield
