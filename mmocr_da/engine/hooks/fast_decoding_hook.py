"""Decodes faster in validation and testing."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log

from mmocr_da.models.decoders import decode_fast
from mmocr_da.registry import HOOKS


@HOOKS.register_module()
class FastDecodingHook(Hook):
    """Let MMOCR's autoregressive decoders compute no step twice, and stop with the last text.

    The predictions are those of MMOCR's own loop, see
    :func:`~mmocr_da.models.decoders.decode_fast`. It is one line of a config, also of MMOCR's own
    tools, and it changes nothing in training and in checkpoints::

        custom_hooks = [dict(type='mmocr_da.FastDecodingHook')]
    """

    # Before hooks that copy the model, such as EMAHook.
    priority = 'VERY_HIGH'

    def before_run(self, runner: Any) -> None:
        """Replace the decoding of the model."""
        if found := decode_fast(runner.model):
            print_log(f'FastDecodingHook: {", ".join(found)} decodes faster', logger='current')
