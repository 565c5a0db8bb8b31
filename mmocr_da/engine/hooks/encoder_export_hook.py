"""Writes the encoder to a separate file with each checkpoint."""

from collections.abc import Sequence

from torch import nn

from mmocr_da.registry import HOOKS

from ..checkpoint_fit import is_within
from ..model_parts import as_names, outermost
from .part_export_hook import PartExportHook


@HOOKS.register_module()
class EncoderExportHook(PartExportHook):
    """Write the encoder alone with each checkpoint, as a checkpoint of a recognizer.

    The weights of ``modules`` keep their names. A recognizer with parts of these names loads
    the file with ``load_from``; ``FreezeHook`` checks that all weights were in it.

    Args:
        modules: Names of modules, or patterns such as ``decoder.*``. By default the model's
            ``encoder_modules``.
        max_keep: See :class:`PartExportHook`.
    """

    part = 'encoder'

    def __init__(
        self, modules: str | Sequence[str] | None = None, max_keep: int | None = None
    ) -> None:
        super().__init__(max_keep)
        self.modules = None if modules is None else as_names(modules)
        self._names: list[str] = []

    def find_part(self, model: nn.Module) -> None:
        """Find ``modules``, or the ``encoder_modules`` of the model.

        Raises:
            ValueError: If the model has no such modules.
        """
        modules = self.modules
        if modules is None:
            modules = getattr(model, 'encoder_modules', None)
            if modules is None:
                raise ValueError(
                    f'EncoderExportHook needs modules for a {type(model).__name__}, '
                    'which has no encoder_modules, got None; name its parts, such as '
                    "modules=['backbone', 'encoder']"
                )
            modules = as_names(modules)
        self._names = outermost(model, modules)

    def key_of(self, key: str) -> str | None:
        """Return the key unchanged."""
        return key if is_within(key, self._names) else None

    def meta(self) -> dict:
        """Return the names of the modules in the file."""
        return dict(modules=list(self._names))
