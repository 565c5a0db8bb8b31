"""LS-IoU: the IoU of rotated boxes as a loss (Patel et al., ECCV 2020, section 4.3)."""

from functools import cached_property
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from mmocr_da.arguments import (
    check_config,
    check_count,
    check_list,
    check_number,
    check_numbers,
    warn_unused,
)
from mmocr_da.device import constant, on_device
from mmocr_da.registry import MODELS
from mmocr_da.structures import rotated_overlaps

from .box_pairs import StoredBoxPairs
from .learned_surrogate import LearnedSurrogate


@MODELS.register_module()
class RotatedIoUSurrogate(LearnedSurrogate):
    """``1 - IoU`` of two rotated boxes, so that a distance of 0 means equal boxes.

    A box is six numbers: centre, width and height, cosine and sine of twice its angle (twice,
    because rotation by pi does not change a box). Centre and size are in units of the label:
    its centre is the origin, and the root of its area is 1. This does not change the IoU, and boxes
    of 20 px are as far from each other as boxes of 200 px. The paper divides by the size of the
    image, as ``image_size`` does; then the IoU of small boxes changes much faster than the gradient
    term of eq. 6 allows.

    Args:
        pairs: Arguments of :class:`~mmocr_da.models.surrogates.StoredBoxPairs`, the generator. Not
            needed with ``approximation='local'``.
        num_generated: Number of pairs that are generated in a step.
        pretrain_steps: Number of steps on generated pairs before the training starts, without
            images: 1,000 take 20 seconds on one core. Not used with a ``checkpoint``.
        pretrain_lr: Learning rate of Adam in these steps; it falls to 0 along a cosine.
        image_size: ``(w, h)`` in px to divide by, instead of the size of the label.
        hidden_channels: Widths of the four hidden layers.
        out_channels: Dimension of the embedding.
        gradient_weight: lambda in eq. 6. The IoU is flat where boxes do not touch, and steeper than
            1 where they nearly agree; a large lambda pushes the slope towards 1.
        kwargs: See :class:`LearnedSurrogate`.

    Raises:
        ValueError: If an option is out of range, or a generator without ``pairs`` is needed.
    """

    def __init__(
        self,
        pairs: dict[str, Any] | None = None,
        num_generated: int = 1024,
        pretrain_steps: int = 0,
        pretrain_lr: float = 2e-3,
        image_size: tuple[int, int] | None = None,
        hidden_channels: tuple[int, int, int, int] = (128,) * 4,
        out_channels: int = 16,
        gradient_weight: float = 0.001,
        **kwargs: Any,
    ) -> None:
        super().__init__(gradient_weight=gradient_weight, **kwargs)
        check_config('pairs', pairs)
        check_list('hidden_channels', hidden_channels, int, 'widths')
        if image_size is not None:
            check_numbers('image_size', image_size, 2, above=0)
        if self.approximation != 'local' and pairs is None:
            raise ValueError(
                f'approximation={self.approximation!r} needs pairs=dict(ann_files=...), the labels '
                "of the training images, got none; only approximation='local' needs no pairs"
            )
        check_count('num_generated', num_generated)
        check_count('pretrain_steps', pretrain_steps, least=0)
        check_number('pretrain_lr', pretrain_lr, above=0)
        check_count('out_channels', out_channels)
        for value in hidden_channels:
            check_count('hidden_channels', value)
        if len(hidden_channels) != 4:
            raise ValueError(
                'hidden_channels must be 4 widths, between five layers, got '
                f'{list(hidden_channels)}'
            )
        if pretrain_steps and self.approximation == 'local':
            raise ValueError(
                "pretrain_steps needs a generator, got approximation='local'; use warmup"
            )
        if pairs is not None and self.approximation == 'local':
            warn_unused('pairs', pairs, "approximation='local' generates no pairs")
        if pretrain_steps and self.checkpoint is not None:
            warn_unused('pretrain_steps', pretrain_steps, 'the checkpoint is loaded instead')
        self.pretrain_steps, self.pretrain_lr = pretrain_steps, pretrain_lr
        self.pairs_cfg = pairs
        self.num_generated = num_generated
        self.image_size = image_size
        self.hidden_channels, self.out_channels = list(hidden_channels), out_channels
        layers = []
        for c_in, c_out in zip((6, *hidden_channels), (*hidden_channels, out_channels)):
            layers += [nn.Linear(c_in, c_out), nn.ReLU()]
        self.embedding = nn.Sequential(*layers[:-1])

    @cached_property
    def pairs(self) -> StoredBoxPairs:
        """The generator, made on first use: a detector that is only tested needs no label files."""
        assert self.pairs_cfg is not None  # checked where pairs are drawn
        return StoredBoxPairs(**self.pairs_cfg)

    @property
    def spec(self) -> dict[str, Any]:
        return dict(
            super().spec,
            image_size=self.image_size,
            hidden_channels=self.hidden_channels,
            out_channels=self.out_channels,
        )

    def init_weights(self) -> None:
        """Open the pairs, and load the checkpoint or run the pretraining steps."""
        if self.approximation != 'local':
            self.pairs  # stores the pairs, or finds a missing file, before the training starts
        if self.pretrain_steps and self.checkpoint is None and not self.is_init:
            self._pretrain()
        super().init_weights()

    def _pretrain(self) -> None:
        optimizer = torch.optim.Adam(self.parameters(), self.pretrain_lr)
        schedule = CosineAnnealingLR(optimizer, self.pretrain_steps)
        rng = np.random.default_rng(self.seed)
        like = next(self.parameters()).new_zeros(0)
        for _ in range(self.pretrain_steps):
            z, y, e = (on_device(x.to(like.dtype), like.device) for x in self.generate(like, rng))
            estimate, square, penalty = self.terms(z, y, e)
            loss = square.mean() + self.gradient_weight * penalty.mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        # The first step of the training would add to these gradients.
        optimizer.zero_grad()
        error = (estimate - e).detach().abs().mean().item()
        print_log(
            f'The surrogate of IoU has taken {self.pretrain_steps} steps on generated pairs; '
            f'its mean error on the last {len(e)} is {error:.3f}',
            'current',
        )

    def encode(self, boxes: Tensor, labels: Tensor) -> Tensor:
        """Encode each box as six numbers, relative to its label, ``(N, 5), (N, 5) -> (N, 6)``."""
        centre, size, angle = boxes.split((2, 2, 1), 1)
        if self.image_size is None:
            unit = (labels[:, 2:3] * labels[:, 3:4]).clamp(min=1e-6).sqrt()
            centre = centre - labels[:, :2]
        else:
            unit = constant(self.image_size, centre)
        return torch.cat([centre / unit, size / unit, (2 * angle).cos(), (2 * angle).sin()], 1)

    def decode(self, x: Tensor) -> Tensor:
        """Decode six numbers to boxes, ``(N, 6) -> (N, 5)``, in units of the label or in px."""
        unit = 1 if self.image_size is None else constant(self.image_size, x)
        return torch.cat(
            [x[:, :2] * unit, x[:, 2:4] * unit, torch.atan2(x[:, 5:], x[:, 4:5]) / 2], 1
        )

    def metric(self, z: Tensor, y: Tensor) -> Tensor:
        """Compute ``1 - IoU`` of two boxes of six numbers, ``(N,)``."""
        return 1 - rotated_overlaps(self.decode(z), self.decode(y), is_aligned=True)

    def generate(self, y: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw ``num_generated`` stored pairs; the labels ``y`` of the batch are not used."""
        boxes, labels, iou = self.pairs.draw(self.num_generated, rng)
        if self.image_size is not None:
            # The label is at a random place in the image.
            place = torch.from_numpy(rng.uniform(size=(len(labels), 2)).astype(np.float32))
            shift = place * torch.tensor(self.image_size) - labels[:, :2]
            boxes, labels = (torch.cat([b[:, :2] + shift, b[:, 2:]], 1) for b in (boxes, labels))
        return self.encode(boxes, labels), self.encode(labels, labels), 1 - iou
