"""Local-level alignment of ASSDA with its gate (Zhang et al., eq. 12 to 17)."""

import torch
from torch import Tensor, nn

from mmocr_da.arguments import check_number
from mmocr_da.registry import MODELS

from ..decoders.character_features import CharacterFeatures
from .domain_adversary import DomainAdversary, mean_per_image, refuse_with_published
from .domain_features import DomainFeatures
from .gate_watch import GateWatch


@MODELS.register_module()
class LocalAlignment(DomainAdversary):
    """Makes the features of single characters of the two domains indistinguishable.

    A character takes part when the probability of what the decoder reads there is above
    ``threshold`` (eq. 12). Start token, steps after the end token, padding and the blank frames of
    a CTC decoder never count.

    Args:
        in_channels: Width of the character features: for contexts the decoder's ``in_channels``,
            else the width of the final classifier's input.
        threshold: ``p_c`` of eq. 12; 0 lets every character pass.
        average: ``'image'``: mean over an image's gated characters, then over images that have any
            (eq. 15 and 16); ``'character'``: mean over all gated characters of the batch. By
            default ``'image'``, with ``published`` ``'character'``.
        weight, schedule, discriminator, published: see :class:`DomainAdversary`. ``published``
            gates by the raw logit and counts every step.
    """

    name = 'local'
    needs_characters = True

    def __init__(
        self, in_channels: int, threshold: float = 0.5, average: str | None = None, **kwargs
    ) -> None:
        super().__init__(in_channels, **kwargs)
        check_number(
            'threshold',
            threshold,
            least=0,
            below=1,
            why='it is a probability, and 1 would let nothing pass',
        )
        if average is None:
            average = 'character' if self.published else 'image'
        if average not in ('image', 'character'):
            raise ValueError(f"average must be 'image' or 'character', got {average!r}")
        self.threshold = threshold
        if self.published:
            refuse_with_published(average=(average, 'character'))
        self.average = average
        self._gate_watch = GateWatch('LocalAlignment', threshold)
        # The released code gates the steps behind the end token, too.
        self.needs_all_steps = self.published

    def check(self, recognizer: nn.Module) -> None:
        """Refuse a wrong width before the first image is read."""
        self._check_width(recognizer.tap.width(recognizer.decoder))

    def forward(self, source: DomainFeatures, target: DomainFeatures) -> dict[str, Tensor]:
        """See :class:`DomainAdversary`."""
        out = super().forward(source, target)
        if self.training:
            self._gate_watch.see(
                **{domain: out[f'{self.name}_gate_{domain}'] for domain in ('source', 'target')}
            )
        return out

    def gate(self, characters: CharacterFeatures) -> Tensor:
        """delta(c_k) of eq. 12 for valid characters, ``(N, T)`` bool."""
        if self.published:
            return characters.logits.detach().amax(-1) > self.threshold
        return characters.confident(self.threshold) & characters.valid

    def rows(self, domain: DomainFeatures) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        characters = domain.characters
        gate = self.gate(characters)
        weights = mean_per_image(gate) if self.average == 'image' else gate.float()
        candidates = torch.ones_like(gate) if self.published else characters.valid
        passed = gate.sum() / candidates.sum().clamp(min=1)
        return characters.features, weights, {'gate': passed}
