"""The minimax game that global and local alignment share (ASSDA, eq. 9 to 11 and 15 to 17)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmocr_da.arguments import check_count, check_number, warn_unused
from mmocr_da.registry import MODELS

from ..distributed import sum_per_rank
from ..layers import reverse_gradient
from ..schedules import Schedule
from .domain_features import DomainFeatures
from .objective import Objective


class DomainAdversary(Objective):
    """A discriminator that tells the domains apart and features that make it fail.

    ``L = (L_source + L_target) / 2`` is added to the training loss with weight 1. The discriminator
    descends it; the recognizer receives ``-lambda`` times its gradient.

    Args:
        in_channels: Width of the rows that the discriminator sees.
        weight: lambda, or the height of its schedule.
        schedule: How lambda follows the progress of training: ``'constant'``, ``'rising'``,
            ``'falling'`` or ``'product'``; see :class:`~mmocr_da.models.schedules.Schedule`.
        discriminator: Config of the discriminator; ``in_channels`` is filled in.
        published: Behave as the paper's released code does: its discriminator with one pass per
            domain, no factor 1/2, reversal by a rising coefficient and both losses weighted by a
            falling one, renewed every 2000 iterations. ``weight``, ``schedule`` and
            ``discriminator`` must then be left out.
    """

    def __init__(
        self,
        in_channels: int,
        weight: float = 1.0,
        schedule: str = 'rising',
        discriminator: dict | None = None,
        published: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_count('in_channels', in_channels)
        check_number(
            'weight',
            weight,
            least=0,
            why='a negative lambda would teach the recognizer to tell the domains apart',
        )
        if weight == 0:
            warn_unused(
                'weight',
                weight,
                f'{type(self).__name__} trains its discriminator and nothing of the recognizer',
            )
        kind = 'DomainDiscriminator'
        self.reversal = Schedule(schedule, weight)
        self.loss_weight = Schedule('constant', 1.0)
        if published:
            refuse_with_published(
                weight=(weight, 1.0),
                schedule=(schedule, 'rising'),
                discriminator=(discriminator, None),
            )
            kind = 'PublishedDomainDiscriminator'
            self.reversal = Schedule('rising', 1.0, update_interval=2000)
            # Twice, because the released loss lacks the 1/2 of eq. 11 and 17.
            self.loss_weight = Schedule('falling', 2.0, update_interval=2000)
        self.published = published
        self.in_channels = in_channels
        cfg = dict(type=f'mmocr_da.{kind}', in_channels=in_channels)
        self.discriminator = MODELS.build({**cfg, **(discriminator or {})})

    def rows(self, domain: DomainFeatures) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """``(features (N, S, D), weights (N, S), extra log values)`` of one domain.

        The weights say how much each row counts: 0 for padding and for what the gate holds back.
        """
        raise NotImplementedError

    def _check_width(self, width: int) -> None:
        if width != self.in_channels:
            raise ValueError(
                f'{type(self).__name__}(in_channels={self.in_channels}) got features '
                f'of width {width}: set in_channels={width}'
            )

    def forward(self, source: DomainFeatures, target: DomainFeatures) -> dict[str, Tensor]:
        """Losses and log values by name; lambda is read off the iteration."""
        strength = self.reversal.now()
        features, weights, log = [], [], {}
        for domain, half in (('source', source), ('target', target)):
            x, weight, extra = self.rows(half)
            self._check_width(x.size(-1))
            features.append(x.flatten(0, 1))
            weights.append(weight.flatten())
            log.update({f'{self.name}_{k}_{domain}': v for k, v in extra.items()})
        losses, logits = self._play(features, weights, strength)
        for label, domain in enumerate(('source', 'target')):
            right = ((logits[label].detach().float().mean(-1) > 0) == bool(label)).float()
            log[f'{self.name}_acc_{domain}'] = _mean_or_chance(right, weights[label])
        log[f'{self.name}_lambda'] = logits[0].new_full((), strength, dtype=torch.float)
        return {**losses, **log}

    def _play(
        self, features: list[Tensor], weights: list[Tensor], strength: float
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Losses by name, and the discriminator's logits of source and target."""
        logits = self._discriminate([reverse_gradient(x, strength) for x in features])
        errors = [self._error(z, w, label) for label, (z, w) in enumerate(zip(logits, weights))]
        return {f'loss_{self.name}': 0.5 * self.loss_weight.now() * sum(errors)}, logits

    @staticmethod
    def _error(logits: Tensor, weight: Tensor, label: int) -> Tensor:
        """Mean over the rows of one domain of the cross-entropy with a label, 0 or 1."""
        z = logits.float()
        loss = F.binary_cross_entropy_with_logits(
            z, torch.full_like(z, label), reduction='none'
        ).mean(-1)
        return (loss * weight).sum() / sum_per_rank(weight).clamp(min=1e-12)

    def _discriminate(self, features: list[Tensor]) -> list[Tensor]:
        if self.published:  # batch norm of each domain by itself
            return [self.discriminator(x) for x in features]
        return self.discriminator(torch.cat(features)).split([len(x) for x in features])


def refuse_with_published(**options: tuple[Any, Any]) -> None:
    """Raise a ValueError for options ``name=(value, what published=True does)`` that differ."""
    for name, (value, published) in options.items():
        if value != published:
            raise ValueError(
                f'published=True is the released code with its own {name}, got {name}={value!r}, '
                f'which would have no effect; leave out one of the two'
            )


def mean_per_image(mask: Tensor) -> Tensor:
    """Weights of a mean over the marked rows of an image, then over images (eq. 15 and 16).

    ``(N, S) bool -> (N, S)``; the weights of an image add up to 1, or to 0 if nothing is marked.

    >>> mean_per_image(torch.tensor([[True, True], [True, False], [False, False]]))
    tensor([[0.5000, 0.5000],
            [1.0000, 0.0000],
            [0.0000, 0.0000]])
    """
    mask = mask.float()
    return mask / mask.sum(1, keepdim=True).clamp(min=1)


def _mean_or_chance(right: Tensor, weight: Tensor) -> Tensor:
    """Weighted share of right answers; 0.5 where there was nothing to answer."""
    total = weight.sum()
    share = (right * weight).sum() / total.clamp(min=1e-12)
    return torch.where(total > 0, share, torch.full_like(share, 0.5))
