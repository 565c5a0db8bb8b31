"""Domain confusion (Tzeng et al., ICCV 2015) as in SymNets, eq. 2 to 4."""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from mmocr.models.textrecog.recognizers import EncoderDecoderRecognizer
from torch import Tensor
from torch.func import functional_call

from mmocr_da.registry import MODELS

from ..decoders.adapters import adapter_of
from .domain_adversary import DomainAdversary
from .domain_features import DomainFeatures


@MODELS.register_module()
class DomainConfusion(DomainAdversary):
    """Makes a discriminator of single characters undecided, rather than wrong.

    The discriminator minimizes E_domain (eq. 2). The features minimize ``lambda * F_domain``
    (eq. 3), the cross-entropy between its output and a coin flip. Its inputs are the inputs of the
    final classifier, at the characters and end tokens of both domains; each mean is over all.

    Args:
        in_channels: Width of the input of the final classifier.
        weight, schedule, discriminator: see :class:`DomainAdversary`.
    """

    name = 'confusion'
    needs_characters = True

    def __init__(
        self,
        in_channels: int,
        weight: float = 1.0,
        schedule: str = 'rising',
        discriminator: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(in_channels, weight, schedule, discriminator)

    def attach(self, recognizer: EncoderDecoderRecognizer) -> None:
        """Check the width of the features before the first image is loaded."""
        self._check_width(adapter_of(recognizer.decoder).feature_channels('hidden'))

    def rows(self, domain: DomainFeatures) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        return domain.characters.hidden, domain.characters.comparable.float(), {}

    def _play(
        self, features: list[Tensor], weights: list[Tensor], strength: float
    ) -> tuple[dict[str, Tensor], Sequence[Tensor]]:
        logits = self._discriminate([x.detach() for x in features])
        errors = [self._error(z, w, label) for label, (z, w) in enumerate(zip(logits, weights))]
        frozen = {k: p.detach() for k, p in self.discriminator.named_parameters()}
        from_frozen = functional_call(self.discriminator, frozen, (torch.cat(features),))
        from_frozen = from_frozen.split([len(x) for x in features])
        by_coin = [
            self._error(z, w, label) for z, w in zip(from_frozen, weights) for label in (0, 1)
        ]
        confusion = 0.5 * reduce(torch.add, by_coin)
        losses = {
            f'loss_{self.name}_domain': reduce(torch.add, errors),
            f'loss_{self.name}': strength * confusion,
        }
        return losses, logits
