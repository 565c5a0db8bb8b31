"""L2-SP: the weights stay near those that the training starts from (Li et al., ICML 2018)."""

import logging

import torch
from mmengine.logging import print_log
from mmocr.models.textrecog.recognizers import EncoderDecoderRecognizer
from torch import Tensor

from mmocr_da.arguments import check_number, some, warn_unused
from mmocr_da.registry import MODELS

from .domain_features import DomainFeatures
from .objective import Objective
from .recognizer_copy import RecognizerCopy


@MODELS.register_module()
class L2SP(Objective):
    """Keeps the weights near those of the checkpoint that the training starts from.

    For adaptation without source data, where no labelled image corrects what the recognizer
    forgets. The loss is the first term of L2-SP (Li, Grandvalet & Davoine, "Explicit inductive bias
    for transfer learning with convolutional networks", ICML 2018, section 3.1)::

        loss = weight / 2 * sum over all weights w of (w - w0)^2

    ``w0`` are the weights of the checkpoint (``load_from``). A weight that the checkpoint does not
    have, as those of ``new_parts``, is left out; for it the paper has a second term, which is the
    weight decay of an optimizer. Weight decay pulls all weights to 0, also those that this
    objective keeps near ``w0``. Running statistics are no weights: they follow the data.

    ``w0`` is in the checkpoint, which grows by a copy of the recognizer. A run that starts from a
    checkpoint with a ``w0`` keeps it.

    The log shows ``l2sp_distance``, the norm of ``w - w0`` relative to the norm of ``w0``.

    Args:
        weight: alpha of the paper, which chooses it from 0.001 to 1.
    """

    name = 'l2sp'
    needs_source = False
    needs_target = False
    anchored: Tensor

    def __init__(self, weight: float = 0.01) -> None:
        super().__init__()
        check_number('weight', weight, least=0)
        if weight == 0:
            warn_unused('weight', weight, 'L2SP keeps nothing, the distance is only logged')
        self.weight = weight
        self._recognizer: list[EncoderDecoderRecognizer] = []
        self._loaded = False

    def attach(self, recognizer: EncoderDecoderRecognizer) -> None:
        """Create the copy of the start."""
        # In a list, so that the recognizer is not a submodule of its objective.
        self._recognizer = [recognizer]
        self.start = RecognizerCopy(recognizer)
        # 1 for each weight that the checkpoint has, else 0. Numbers, since hooks average buffers.
        self.register_buffer('anchored', torch.zeros(len([*self.start.parameters()])))

    def init_weights(self) -> None:
        """Copy the recognizer, which has been initialized before."""
        if self.is_init:
            return
        super().init_weights()
        self.start.copy_from(self._recognizer[0])

    def forward(self, source: DomainFeatures, target: DomainFeatures) -> dict[str, Tensor]:
        """Compute the loss and the relative distance."""
        self._fit_anchored()
        if self.training and not self._loaded:
            self._loaded = True  # said once
            print_log(
                'L2SP has NO effect: no checkpoint was loaded, so there is nothing to stay near; '
                'set load_from',
                logger='current',
                level=logging.WARNING,
            )
        weights = dict(self._recognizer[0].named_parameters())
        starts = dict(self.start.named_parameters())
        squares = torch.stack([(weights[k] - w0).square().sum() for k, w0 in starts.items()])
        square = (self.anchored * squares).sum()
        with torch.no_grad():
            norms = torch.stack(torch._foreach_norm([*starts.values()]))
            norm = (self.anchored * norms.square()).sum().sqrt()
            distance = square.sqrt() / norm.clamp(min=1e-12)
        return self.named(dict(loss=self.weight / 2 * square, distance=distance))

    def before_load(
        self, recognizer: EncoderDecoderRecognizer, state_dict: dict[str, Tensor], prefix: str
    ) -> None:
        """Start at the weights of a checkpoint without a start."""
        self._fit_anchored()
        at = f'objectives.{self.name}'
        copied = {*self.start.complete(state_dict, prefix, f'{at}.start')}
        key = f'{prefix}{at}.anchored'
        if key not in state_dict:
            # MMEngine skips weights of another shape.
            given = {
                name: name in copied and state_dict[prefix + name].shape == w0.shape
                for name, w0 in self.start.named_parameters()
            }
            state_dict[key] = torch.tensor([*given.values()], dtype=self.anchored.dtype)
            without = [name for name, is_given in given.items() if not is_given]
            but = f', all but {some(without)}' if without else ''
            print_log(
                f'L2SP: {sum(given.values())} weights stay near those of the checkpoint{but}',
                logger='current',
            )
        self._loaded = bool(state_dict[key].any())

    def _fit_anchored(self) -> None:
        """Count the weights again: ``WithBIN`` converts norms later, and these have one more."""
        count = len([*self.start.parameters()])
        if len(self.anchored) != count:
            self.anchored = self.anchored.new_zeros(count)
