"""Writes the learned surrogate to a separate file with each checkpoint."""

from torch import nn

from mmocr_da.registry import HOOKS

from ..model_parts import find_surrogate
from .part_export_hook import PartExportHook


@HOOKS.register_module()
class SurrogateExportHook(PartExportHook):
    """Write the surrogate alone with each checkpoint: ``surrogate_iter_<N>.pth``.

    Another training starts from this file with the surrogate's option ``checkpoint``.

    Args:
        max_keep: See :class:`PartExportHook`.
    """

    part = 'surrogate'

    def find_part(self, model: nn.Module) -> None:
        """Find the surrogate."""
        self._name, self._surrogate = find_surrogate(model)

    def inputs(self) -> list[str]:
        """Return the checkpoint that the surrogate starts from."""
        checkpoint = self._surrogate.checkpoint
        return [] if checkpoint is None else [checkpoint]

    def key_of(self, key: str) -> str | None:
        """Return the key without the name of the surrogate in the model."""
        if key == self._name:
            return ''
        prefix = f'{self._name}.'
        return key[len(prefix) :] if key.startswith(prefix) else None

    def meta(self) -> dict:
        """Return the ``spec`` of the surrogate: the metric and inputs that it was trained for."""
        return dict(surrogate=self._surrogate.spec)
