"""Local-level alignment of ASSDA with its gate (Zhang et al., eq. 12 to 17)."""

from typing import Any

from mmocr.models.textrecog.recognizers import EncoderDecoderRecognizer
from torch import Tensor

from mmocr_da.arguments import check_number
from mmocr_da.registry import MODELS

from ..decoders.adapters import adapter_of
from ..decoders.character_features import CharacterFeatures
from .domain_adversary import DomainAdversary, mean_per_image
from .domain_features import DomainFeatures
from .gate_watch import GateWatch


@MODELS.register_module()
class LocalAlignment(DomainAdversary):
    """Makes the features of single characters of the two domains indistinguishable.

    A character takes part when the probability of the predicted class is above
    ``threshold`` (eq. 12). Start token, steps after the end token, padding and the blank frames of
    a CTC decoder never count.

    Args:
        in_channels: Width of the character features: for contexts the decoder's ``in_channels``,
            else the width of the final classifier's input.
        threshold: ``p_c`` of eq. 12; 0 lets every character pass.
        average: ``'image'``: mean over an image's gated characters, then over images that have any
            (eq. 15 and 16); ``'character'``: mean over all gated characters of the batch.
        weight, schedule, discriminator: see :class:`DomainAdversary`.
    """

    name = 'local'
    gated_domains = ('source', 'target')
    needs_characters = True

    def __init__(
        self, in_channels: int, threshold: float = 0.5, average: str = 'image', **kwargs: Any
    ) -> None:
        super().__init__(in_channels, **kwargs)
        check_number(
            'threshold',
            threshold,
            least=0,
            below=1,
            why='it is a probability, and 1 would let nothing pass',
        )
        if average not in ('image', 'character'):
            raise ValueError(f"average must be 'image' or 'character', got {average!r}")
        self.threshold = threshold
        self.average = average
        self._gate_watch = GateWatch('LocalAlignment', threshold)

    def attach(self, recognizer: EncoderDecoderRecognizer) -> None:
        """Check the width of the features before the first image is loaded."""
        adapter = adapter_of(recognizer.decoder)
        self._check_width(adapter.feature_channels(recognizer.character_feature))

    def forward(self, source: DomainFeatures, target: DomainFeatures) -> dict[str, Tensor]:
        """Compute losses and log values by name, and warn if no character passes the gate."""
        out = super().forward(source, target)
        if self.training:
            self._gate_watch.see(
                **{domain: out[f'{self.name}_gate_{domain}'] for domain in ('source', 'target')}
            )
        return out

    def gate(self, characters: CharacterFeatures) -> Tensor:
        """Compute delta(c_k) of eq. 12 at steps that are characters, ``(N, T)`` bool."""
        return characters.confident(self.threshold) & characters.is_character

    def rows(self, domain: DomainFeatures) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        characters = domain.characters
        gate = self.gate(characters)
        weights = mean_per_image(gate) if self.average == 'image' else gate.float()
        passed = gate.sum() / characters.is_character.sum().clamp(min=1)
        return characters.features, weights, {'gate': passed}
