"""Global-level alignment of ASSDA (Zhang et al., eq. 8 to 11)."""

from typing import Any

from mmengine.logging import print_log
from mmocr.models.textrecog.recognizers import EncoderDecoderRecognizer
from torch import Tensor

from mmocr_da.registry import MODELS

from .domain_adversary import DomainAdversary, mean_per_image
from .domain_features import DomainFeatures

LEVELS = ('backbone', 'encoder')


@MODELS.register_module()
class GlobalAlignment(DomainAdversary):
    """Makes the feature maps of the two domains indistinguishable.

    The map comes from the backbone, after spatial normalisation if the recognizer has it (eq. 8),
    or from the encoder of a recognizer without a backbone (SVTR). Columns of padding never count.

    The gradient reaches what is before the map. Where the encoder is most of the recognizer, as in
    NRTR and SATRN, ``level='encoder'`` aligns its output. Both together are two objectives. When
    the recognizer is built, the log says which share of its weights is reached.

    Args:
        in_channels: Channels of the feature map; ``C * H * W`` for ``pooling='flatten'``.
        pooling: The inputs of the discriminator. ``'mean'``: the mean over an image's map, for any
            image width. ``'position'``: each position of the map, averaged per image (the local
            style rather than the content of a whole string). ``'flatten'``: the whole map, as
            in the released code; all images must have one size.
        level: The map of the ``'backbone'`` or of the ``'encoder'``. A sequence with a step per
            column or position is a map, and a vector for each image is one of one position.
        weight, schedule, discriminator: see :class:`DomainAdversary`.
    """

    name = 'global'

    def __init__(
        self, in_channels: int, pooling: str = 'mean', level: str = 'backbone', **kwargs: Any
    ) -> None:
        super().__init__(in_channels, **kwargs)
        if pooling not in ('mean', 'position', 'flatten'):
            raise ValueError(f"pooling must be 'mean', 'position' or 'flatten', got {pooling!r}")
        if level not in LEVELS:
            raise ValueError(f"level must be 'backbone' or 'encoder', got {level!r}")
        self.pooling = pooling
        self.level = level
        if level == 'encoder':  # a recognizer may have both
            self.name = 'global_encoder'

    def attach(self, recognizer: EncoderDecoderRecognizer) -> None:
        """Check that the recognizer makes the feature map, and say what it reaches.

        Raises:
            ValueError: If it does not.
        """
        if not (recognizer.with_backbone or recognizer.with_encoder):
            raise ValueError(
                'GlobalAlignment needs the feature map of a backbone or an encoder, '
                f'got a {type(recognizer).__name__} with neither; remove it'
            )
        if self.level == 'encoder' and not recognizer.with_encoder:
            raise ValueError(
                "GlobalAlignment(level='encoder') needs an encoder, got a "
                f"{type(recognizer).__name__} without one; set level='backbone'"
            )
        shares = {level: share_before(recognizer, level) for level in LEVELS}
        message = (
            f'GlobalAlignment reaches {shares[self.level]:.0%} of the weights of the recognizer: '
            f'those before the map of its {self.level}'
        )
        if self.level == 'backbone' and shares['backbone'] < min(0.5, shares['encoder']):
            message += f"; with level='encoder' it would reach {shares['encoder']:.0%}"
        print_log(message, logger='current')

    def rows(self, domain: DomainFeatures) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """See :meth:`DomainAdversary.rows`; a row for each position of the map, or for each map."""
        feature_map = domain.feature_map if self.level == 'backbone' else domain.encoder_map
        if feature_map is None:
            where = 'the encoder' if self.level == 'encoder' else 'a recognizer without a backbone'
            raise ValueError(
                f'GlobalAlignment needs a feature map (N, C, H, W), got {where}, with an encoder '
                'that returns neither a map nor a sequence with a step per column or position of '
                'its input; remove it, or let the encoder return its map'
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
        mask = domain.valid_columns(feature_map)[:, None, :].expand(n, h, w).flatten(1)
        rows, weights = feature_map.flatten(2).transpose(1, 2), mean_per_image(mask)
        if self.pooling == 'mean':
            rows = (rows * weights[..., None].to(rows)).sum(1, keepdim=True)
            weights = weights.sum(1, keepdim=True)
        return rows, weights, {}


def share_before(recognizer: EncoderDecoderRecognizer, level: str) -> float:
    """Return the share of a recognizer's weights that a map depends on.

    Args:
        level: Whose map, ``'backbone'`` or ``'encoder'``. Without a backbone it is the encoder's.
    """
    parts = ['preprocessor', 'backbone']
    if level == 'encoder' or not recognizer.with_backbone:
        parts.append('encoder')
    counts = {
        name: sum(p.numel() for p in part.parameters())
        for name, part in recognizer.named_children()
        if name != 'objectives'
    }
    return sum(counts.get(name, 0) for name in parts) / max(sum(counts.values()), 1)
