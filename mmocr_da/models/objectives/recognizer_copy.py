"""A copy of a recognizer's weights that is in its checkpoint and is not trained."""

import copy
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from torch import Tensor, nn

from mmocr_da.compat import expect_untrained_copies

from ..decoders.classifier import module_replaced

#: Children of a recognizer that are not copied.
NOT_COPIED = ('objectives', 'data_preprocessor')


class RecognizerCopy(nn.Module):
    """A copy of the parts of a recognizer, for an objective; it is not trained.

    The parts keep their names, and are always in evaluation mode.

    It is not a ``BaseModule``, so that ``init_weights`` of the recognizer does not draw new weights
    for it; call :meth:`copy_from` afterwards.

    Args:
        recognizer: The recognizer to copy.
    """

    #: Names within it are also those of what was copied, for globs of layers.
    has_names_of_twins = True

    def __init__(self, recognizer: nn.Module) -> None:
        super().__init__()
        for name, part in recognizer.named_children():
            if name not in NOT_COPIED:
                self.add_module(name, copy.deepcopy(part))
        self.requires_grad_(False)
        self.eval()
        expect_untrained_copies()

    def train(self, mode: bool = True) -> 'RecognizerCopy':
        """Stay in evaluation mode."""
        return super().train(False)

    def copy_from(self, recognizer: nn.Module) -> None:
        """Take the weights and buffers of the recognizer."""
        for name, part in self.named_children():
            part.load_state_dict(recognizer.get_submodule(name).state_dict())

    @contextmanager
    def replacing(self, recognizer: nn.Module) -> Iterator[None]:
        """Replace the parts of the recognizer by the copies within the block."""
        with ExitStack() as stack:
            for name, part in self.named_children():
                stack.enter_context(module_replaced(recognizer, name, part))
            yield

    def keys(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Names of each weight of the recognizer and of its copy, which is at ``prefix``."""
        for key in self.state_dict():
            yield key, f'{prefix}.{key}'

    def complete(self, state_dict: dict[str, Tensor], prefix: str, at: str) -> list[str]:
        """Add the copy to a checkpoint that has the recognizer's weights and no copy of them.

        Args:
            state_dict: The checkpoint, changed in place.
            prefix: Prefix of the recognizer's keys in it.
            at: Name of this module in the recognizer.

        Returns:
            Names of the weights that were copied.
        """
        copied = []
        for own, twin in self.keys(at):
            if prefix + own in state_dict and prefix + twin not in state_dict:
                state_dict[prefix + twin] = state_dict[prefix + own].clone()
                copied.append(own)
        return copied
