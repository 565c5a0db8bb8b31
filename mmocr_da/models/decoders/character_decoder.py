"""A classifier of isolated characters, as a decoder of one step."""

from collections.abc import Sequence
from typing import Any

from mmocr.models.common.dictionary import Dictionary
from mmocr.models.textrecog.decoders.base import BaseDecoder
from mmocr.structures import TextRecogDataSample
from torch import Tensor, nn

from mmocr_da.arguments import check_config, check_count
from mmocr_da.registry import MODELS


@MODELS.register_module()
class CharacterDecoder(BaseDecoder):
    """Global average pooling and a linear classifier: one character per image.

    Works with MMOCR's ``CEModuleLoss`` and ``AttentionPostprocessor``. Its dictionary has no start
    token, and needs none for end or padding if the loss has ``pad_with='none'``.

    Shape: feature map ``(N, in_channels, H, W)``, of the backbone or of the encoder if there is
    one; logits ``(N, 1, num_classes)``.
    """

    def __init__(self, in_channels: int, dictionary: dict[str, Any], **kwargs: Any) -> None:
        check_count('in_channels', in_channels)
        if not isinstance(dictionary, Dictionary):
            check_config('dictionary', dictionary)
        super().__init__(dictionary=dictionary, max_seq_len=1, **kwargs)
        if self.dictionary.start_idx is not None:
            # It would be the first, and so the only, label of every image.
            raise ValueError(
                'CharacterDecoder needs a dictionary without a start token, got '
                'with_start=True; leave it out'
            )
        self.fc = nn.Linear(in_channels, self.dictionary.num_classes)

    def forward_train(
        self,
        feat: Tensor | None = None,
        out_enc: Tensor | None = None,
        data_samples: Sequence[TextRecogDataSample] | None = None,
    ) -> Tensor:
        """Return logits, ``(N, 1, K)``.

        Raises:
            ValueError: If a text is not a single character.
        """
        # The loss would cut a longer text, or fail with a message about shapes.
        for sample in data_samples or ():
            if len(sample.gt_text.indexes) != 1:
                raise ValueError(
                    'CharacterDecoder reads one character per image, got the text '
                    f'{sample.gt_text.item!r} of {sample.get("img_path")}, which has '
                    f'{len(sample.gt_text.indexes)} in the dictionary; remove the image or use a '
                    'decoder of words'
                )
        return self._classify(feat, out_enc)

    def forward_test(
        self,
        feat: Tensor | None = None,
        out_enc: Tensor | None = None,
        data_samples: Sequence[TextRecogDataSample] | None = None,
    ) -> Tensor:
        """Return probabilities, ``(N, 1, K)``."""
        return self._classify(feat, out_enc).softmax(-1)

    def _classify(self, feat: Tensor | None, out_enc: Tensor | None) -> Tensor:
        feature_map = feat if out_enc is None else out_enc
        assert feature_map is not None
        return self.fc(feature_map.mean((2, 3))).unsqueeze(1)
