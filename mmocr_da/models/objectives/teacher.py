"""A moving average of a recognizer (Tarvainen & Valpola, "Mean teachers", NeurIPS 2017)."""

import torch
from torch import Tensor, nn

from .recognizer_copy import RecognizerCopy


class Teacher(RecognizerCopy):
    """A copy of the parts of a recognizer that follows the recognizer.

    Running statistics are averaged like weights: the teacher's weights are those of some steps ago
    on average, and so must be the statistics that normalize their features. Counters of batches are
    copied, and so are constants that are infinite, such as the masks of SVTR: an average of two
    infinite numbers is NaN.
    """

    def __init__(self, recognizer: nn.Module) -> None:
        super().__init__(recognizer)
        self._infinite = {
            key
            for key, value in self.state_dict().items()
            if value.is_floating_point() and not value.isfinite().all()
        }

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
                if value.is_floating_point() and f'{name}.{key}' not in self._infinite:
                    averaged.append((value, student[key]))
                else:
                    value.copy_(student[key])
        own, others = (list(values) for values in zip(*averaged))
        torch._foreach_lerp_(own, others, 1 - decay)
