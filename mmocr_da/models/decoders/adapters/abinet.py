"""MMOCR's decoders of ABINet, which predict all characters in parallel."""

from collections.abc import Sequence
from typing import Any

import torch
from mmocr.models.textrecog.decoders import ABIFuser, ABIVisionDecoder
from mmocr.models.textrecog.module_losses import ABIModuleLoss
from mmocr.structures import TextRecogDataSample
from torch import Tensor

from mmocr_da.compat import no_grad
from mmocr_da.device import on_device

from ...freezing import evaluating
from ..character_features import AttendedSteps, DecodedSteps, DrawnTexts
from ..drawing import RandomDraws
from .adapter import DecoderAdapter, register_adapter
from .tokens import label_tokens, predicted_characters, token_steps


class ParallelAdapter(DecoderAdapter):
    """Base of adapters for decoders that need no labels, so that training predicts as testing."""

    def predict(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
    ) -> Tensor:
        """Logits of the last correction, see :meth:`DecoderAdapter.predict`."""
        return self.final_logits(self.decoder.forward_train(feature_map, sequence, samples))

    def attention(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
    ) -> AttendedSteps:
        """See :meth:`DecoderAdapter.attention`; where the vision model looks."""
        with no_grad(), evaluating(self.decoder):
            output = self.decoder.forward_train(feature_map, sequence, samples)
        classes = self.final_logits(output).argmax(-1)
        weights = output.get('out_vis', output)['attn_scores'].flatten(2)
        return AttendedSteps(classes, predicted_characters(self.decoder, classes)[0], weights)

    def check_drawing(self, purpose: str) -> None:
        """See :meth:`DecoderAdapter.check_drawing`; the steps are independent, none is fed."""
        self.check_greedy(purpose)

    def draw_texts(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
        draws: RandomDraws,
        count: int,
    ) -> DrawnTexts:
        logits = self.predict(feature_map, sequence, samples).repeat_interleave(count, 0)
        return self.drawn_texts(logits, draws.classes(logits), count)


@register_adapter(ABIVisionDecoder)
class ABIVisionAdapter(ParallelAdapter):
    """Adapter for the vision model by itself, which MMOCR trains only as a part of the fuser."""

    classifier_name = 'cls'

    def final_logits(self, output: Any) -> Tensor:
        """See :meth:`DecoderAdapter.final_logits`."""
        logits: Tensor = output['logits']
        return logits


@register_adapter(ABIFuser)
class ABIFuserAdapter(ParallelAdapter):
    """Adapter for the fuser of vision and, if the decoder has one, a correcting language model.

    The feature of a character is the fused one, or without a language model that of vision. The
    batch norms of the vision model see the images of both domains together.
    """

    has_characters = True

    @property
    def classifier_path(self) -> str:
        return 'vision_decoder.cls' if self.decoder.language_decoder is None else 'cls'

    @property
    def loss_names(self) -> tuple[str, ...]:
        names = [f'loss_{name}' for name in ('visual', 'lang', 'fusion')]
        return tuple(names if self.decoder.language_decoder is not None else names[:1])

    def loss_fits(self) -> bool:
        """Whether the loss is ABINet's, for which step ``k`` predicts character ``k``."""
        return isinstance(self.decoder.module_loss, ABIModuleLoss)

    def decode_steps(
        self,
        feature_map: Tensor,
        sequence: Tensor | None,
        samples: Sequence[TextRecogDataSample],
        labelled: Sequence[bool],
        valid_ratio: Tensor,
    ) -> DecodedSteps:
        output = self.decoder.forward_train(feature_map, sequence, samples)
        logits = self.final_logits(output)
        tokens, lengths = label_tokens(self.decoder, samples, labelled, logits.device)
        # The last step predicts what comes after the last token, which has no label.
        labels = torch.cat([tokens[:, 1:], torch.zeros_like(tokens[:, :1])], 1)
        lengths, forced = (on_device(x, logits.device) for x in (lengths, torch.tensor(labelled)))
        steps = token_steps(self.decoder, None, logits, labels, lengths, forced)
        return steps._replace(output=output)

    def final_logits(self, output: Any) -> Tensor:
        """Logits of the last correction, see :meth:`DecoderAdapter.final_logits`."""
        last = output['out_fusers'][-1] if output['out_fusers'] else output['out_vis']
        logits: Tensor = last['logits']
        return logits
