"""What the decoder makes of images of a batch that was encoded once: losses and texts."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from mmengine.dist import get_world_size
from mmocr.models.textrecog.decoders.base import BaseDecoder
from mmocr.structures import TextRecogDataSample
from torch import Tensor

from mmocr_da.device import on_device

from ..decoders.adapters import adapter_of
from ..decoders.character_features import DrawnTexts
from ..decoders.drawing import RandomDraws
from ..distributed import sum_per_rank
from ..domain_split import rows_of
from ..valid_ratio import valid_ratios
from .label_encoding import encode_texts


class Encoded(NamedTuple):
    """A feature map ``(N, C, H, W)`` and the encoder's output; None without an encoder."""

    feature_map: Tensor
    sequence: Any


def forced_output(
    decoder: BaseDecoder, encoded: Encoded, samples: list[TextRecogDataSample], index: Tensor
) -> Any:
    """Run the decoder on some images alone, with their labels, as in training."""
    feature_map, sequence = encoded.feature_map[index], rows_of(encoded.sequence, index)
    adapter = adapter_of(decoder)
    if adapter.trains_by_steps and adapter.can_decode():
        # Ends with the longest label; MMOCR's decoder goes on to the last step.
        ratio, all_labelled = valid_ratios(samples), [True] * len(samples)
        decoded = adapter.decode(feature_map, sequence, samples, all_labelled, ratio)
        return decoded.training_output
    return decoder(feature_map, sequence, samples)


def zero_losses(
    decoder: BaseDecoder, encoded: Encoded, reached: list[Tensor] | None = None
) -> dict[str, Tensor]:
    """The decoder's losses without a sample, connected to all that they reach otherwise."""
    if reached is None:
        reached = [encoded.feature_map, *decoder.parameters()]
        reached += [encoded.sequence] if isinstance(encoded.sequence, Tensor) else []
    zero: Any = sum(x.sum() for x in reached) * 0
    return dict.fromkeys(adapter_of(decoder).loss_names, zero)


def share_of_ranks(count: Tensor | None, device: torch.device) -> float | Tensor:
    """Factor that turns DDP's average of means into the mean over all ranks' characters.

    Ranks hold different numbers of characters. All ranks must call this, also without a sample.
    """
    if count is None or get_world_size() == 1:
        return 1.0
    count = on_device(count, device)
    return count / sum_per_rank(count).clamp(min=1e-12)


def labelled_loss(
    decoder: BaseDecoder,
    encoded: Encoded,
    images: Tensor,
    rows: Sequence[int],
    samples: list[TextRecogDataSample],
    learned: Sequence[Sequence[bool]] | None = None,
) -> dict[str, Tensor]:
    """See :meth:`DomainFeatures.labelled_loss`; ``images`` are the indexes of the domain's."""
    adapter = adapter_of(decoder)
    encode_texts(decoder, samples, images.device)
    output = None
    if samples:
        index = images[on_device(list(rows), images.device)]
        output = forced_output(decoder, encoded, samples, index)
        if learned is not None:
            adapter.ignore_characters(samples, learned)
    return loss_over_ranks(decoder, encoded, output, samples)


def loss_over_ranks(
    decoder: BaseDecoder, encoded: Encoded, output: Any, samples: list[TextRecogDataSample]
) -> dict[str, Tensor]:
    """Compute the decoder's losses as means over the labelled samples of all ranks."""
    adapter = adapter_of(decoder)
    losses = adapter.loss(output, samples) if samples else zero_losses(decoder, encoded)
    count = adapter.count_supervised(samples)
    if count is None:  # a mean over texts
        count = torch.tensor(float(len(samples)))
    share = share_of_ranks(count, encoded.feature_map.device)
    return {k: v * share if 'loss' in k else v for k, v in losses.items()}


class DrawnDecoding(NamedTuple):
    """The ``OwnDecoding`` of a domain's images, of which ``images`` are the indexes."""

    decoder: BaseDecoder
    encoded: Encoded
    images: Tensor
    samples: list[TextRecogDataSample]

    @property
    def memory(self) -> tuple[Tensor, Tensor | None]:
        """The feature map and the sequence of the images."""
        return self.encoded.feature_map[self.images], rows_of(self.encoded.sequence, self.images)

    def nothing(self, *shape: int) -> Tensor:
        """A tensor without elements that is connected to all that a loss reaches."""
        return next(iter(zero_losses(self.decoder, self.encoded).values())).expand(shape)

    def texts(self, count: int) -> DrawnTexts:
        """See :meth:`DomainFeatures.draw_texts`."""
        if not self.samples:
            return DrawnTexts([], self.nothing(0, count))
        adapter = adapter_of(self.decoder)
        return adapter.draw_texts(*self.memory, self.samples, RandomDraws(), count)

    def steps(self, draws: RandomDraws) -> tuple[Tensor, Tensor]:
        """See :meth:`DomainFeatures.draw_steps`."""
        if not self.samples:
            logits = self.nothing(0, 1, self.decoder.dictionary.num_classes)
            return logits, logits.detach()[..., 0].long()
        return adapter_of(self.decoder).draw_steps(*self.memory, self.samples, draws)

    def mixed_loss(self, label_probability: float, draws: RandomDraws) -> dict[str, Tensor]:
        """See :meth:`DomainFeatures.mixed_loss`."""
        output = None
        if self.samples:
            output = adapter_of(self.decoder).mixed_output(
                *self.memory, self.samples, label_probability, draws
            )
        return loss_over_ranks(self.decoder, self.encoded, output, self.samples)


def predict_texts(
    decoder: BaseDecoder, encoded: Encoded, images: Tensor, samples: Sequence[TextRecogDataSample]
) -> list[str]:
    """See :meth:`DomainFeatures.predict_texts`."""
    copies = [TextRecogDataSample(metainfo=sample.metainfo) for sample in samples]
    memory = encoded.feature_map[images], rows_of(encoded.sequence, images)
    decoder.postprocessor(adapter_of(decoder).probabilities(*memory, copies), copies)
    return [sample.pred_text.item for sample in copies]


def label_confidences(
    decoder: BaseDecoder,
    output: Any,
    samples: Sequence[TextRecogDataSample],
    length_normalized: bool = False,
) -> Tensor:
    """See :meth:`DomainFeatures.word_confidences`; ``output`` is that of :func:`forced_output`."""
    adapter = adapter_of(decoder)
    probabilities = torch.softmax(adapter.final_logits(output).detach().float(), -1)
    return adapter.word_confidences(probabilities, valid_ratios(samples), length_normalized)
