"""Global-level alignment of ASSDA (Zhang et al., eq. 8 to 11)."""

from typing import Any

from mmocr.models.textrecog.recognizers import EncoderDecoderRecognizer
from torch import Tensor

from mmocr_da.registry import MODELS

from .domain_adversary import DomainAdversary, mean_per_image
from .domain_features import DomainFeatures


@MODELS.register_module()
class GlobalAlignment(DomainAdversary):
    """Makes the feature maps of the two domains indistinguishable.

    The map comes from the backbone, after spatial normalisation if the recognizer has it (eq. 8),
    or from the encoder of a recognizer without a backbone (SVTR). Columns of padding never count.

    Args:
        in_channels: Channels of the feature map; ``C * H * W`` for ``pooling='flatten'``.
        pooling: The inputs of the discriminator. ``'mean'``: the mean over an image's map, for any
            image width. ``'position'``: each position of the map, averaged per image (the local
            style rather than the content of a whole string). ``'flatten'``: the whole map, as
            in the released code; all images must have one size.
        weight, schedule, discriminator: see :class:`DomainAdversary`.
    """

    name = 'global'

    def __init__(self, in_channels: int, pooling: str = 'mean', **kwargs: Any) -> None:
        super().__init__(in_channels, **kwargs)
        if pooling not in ('mean', 'position', 'flatten'):
            raise ValueError(f"pooling must be 'mean', 'position' or 'flatten', got {pooling!r}")
        self.pooling = pooling

    def attach(self, recognizer: EncoderDecoderRecognizer) -> None:
        """Check that the recognizer makes a feature map.

        Raises:
            ValueError: If it has neither a backbone nor an encoder.
        """
        if not (recognizer.with_backbone or recognizer.with_encoder):
            raise ValueError(
                'GlobalAlignment needs the feature map of a backbone or an encoder, '
                f'got a {type(recognizer).__name__} with neither; remove it'
            )

    def rows(self, domain: DomainFeatures) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        feature_map = domain.feature_map
        if feature_map is None:
            raise ValueError(
                'GlobalAlignment needs a feature map (N, C, H, W), got a recognizer without a '
                'backbone, with an encoder that returns neither a map nor a sequence with a step '
                'per column or position of its input; remove it, or let the encoder return its map'
            )
        n, c, h, w = feature_map.shape
        if self.pooling == 'flatten':
            if c * h * w != self.in_channels:
                raise ValueError(
                    f"pooling='flatten' needs in_channels = C * H * W, got in_channels="
                    f'{self.in_channels} for a map of {c} x {h} x {w} = {c * h * w}; images of '
                    "varying width need pooling='mean' or 'position'"
                )
            return feature_map.reshape(n, 1, c * h * w), feature_map.new_ones(n, 1), {}
        mask = domain.valid_columns()[:, None, :].expand(n, h, w).flatten(1)
        rows, weights = feature_map.flatten(2).transpose(1, 2), mean_per_image(mask)
        if self.pooling == 'mean':
            rows = (rows * weights[..., None].to(rows)).sum(1, keepdim=True)
            weights = weights.sum(1, keepdim=True)
        return rows, weights, {}
