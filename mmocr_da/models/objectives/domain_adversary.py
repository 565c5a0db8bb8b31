"""The minimax game of global and local alignment (ASSDA, eq. 9 to 11 and 15 to 17)."""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmocr_da.arguments import check_config, check_count, check_number, warn_unused
from mmocr_da.registry import MODELS
from mmocr_da.renamed import removed_arguments

from ..distributed import sum_per_rank
from ..layers import reverse_gradient
from ..schedules import Schedule
from .domain_features import DomainFeatures
from .objective import DomainJudgement, Objective


class DomainAdversary(Objective):
    """A discriminator that distinguishes the domains, and features that make it fail.

    ``L = (L_source + L_target) / 2`` is added to the training loss with weight 1. The discriminator
    minimizes it; the recognizer receives ``-lambda`` times its gradient.

    Args:
        in_channels: Width of the discriminator's inputs.
        weight: lambda, or the height of its schedule.
        schedule: How lambda follows the progress of training: ``'constant'``, ``'rising'``,
            ``'falling'`` or ``'product'``; see :class:`~mmocr_da.models.schedules.Schedule`.
        discriminator: Config of the discriminator; ``in_channels`` is filled in.
    """

    judges_domains = True

    @removed_arguments(published='no result was measured with it; see configs/assda/README.md')
    def __init__(
        self,
        in_channels: int,
        weight: float = 1.0,
        schedule: str = 'rising',
        discriminator: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_count('in_channels', in_channels)
        check_config('discriminator', discriminator)
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
                f'{type(self).__name__} trains its discriminator, but not the recognizer',
            )
        self.reversal = Schedule(schedule, weight)
        self.in_channels = in_channels
        cfg = dict(type='mmocr_da.DomainDiscriminator', in_channels=in_channels)
        self.discriminator = MODELS.build({**cfg, **(discriminator or {})})

    def rows(self, domain: DomainFeatures) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Select the rows of one domain that the discriminator gets.

        Returns:
            Features ``(N, S, D)``; weights ``(N, S)`` in the loss, 0 for padding and for rows that
            the gate stops; extra log values by name.
        """
        raise NotImplementedError

    def _check_width(self, width: int) -> None:
        if width != self.in_channels:
            raise ValueError(
                f'{type(self).__name__}(in_channels={self.in_channels}) got features '
                f'of width {width}: set in_channels={width}'
            )

    def forward(self, source: DomainFeatures, target: DomainFeatures) -> dict[str, Tensor]:
        """Compute losses and log values by name, with lambda at the current iteration."""
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

    def weight_now(self) -> tuple[float, float]:
        """Return lambda and the height of its schedule."""
        return self.reversal.now(), self.reversal.high

    def judge_domains(self, domain: DomainFeatures) -> DomainJudgement:
        """See :meth:`Objective.judge_domains`."""
        x, weights, _ = self.rows(domain)
        (z,) = self._discriminate([x.flatten(0, 1)])
        return DomainJudgement(x, z.float().mean(-1).reshape(x.shape[:2]), weights)

    def probabilities(self, domain: DomainFeatures, strength: float) -> tuple[Tensor, Tensor]:
        """Compute D(x) of the rows of one domain, for an objective that uses this discriminator.

        Args:
            domain: Features of the domain.
            strength: The features receive ``-strength`` times the gradient.

        Returns:
            Probabilities ``(N, S)`` of the target, and the weights ``(N, S)`` of :meth:`rows`.
        """
        x, weights, _ = self.rows(domain)
        self._check_width(x.size(-1))
        (z,) = self._discriminate([reverse_gradient(x.flatten(0, 1), strength)])
        # Not in half precision, which MMEngine's AMP gives.
        p = z.to(torch.promote_types(z.dtype, torch.float)).sigmoid().mean(-1)
        return p.reshape(x.shape[:2]), weights

    def _play(
        self, features: list[Tensor], weights: list[Tensor], strength: float
    ) -> tuple[dict[str, Tensor], Sequence[Tensor]]:
        """Compute losses by name, and the discriminator's logits of source and target."""
        logits = self._discriminate([reverse_gradient(x, strength) for x in features])
        errors = [self._error(z, w, label) for label, (z, w) in enumerate(zip(logits, weights))]
        return {f'loss_{self.name}': 0.5 * reduce(torch.add, errors)}, logits

    @staticmethod
    def _error(logits: Tensor, weight: Tensor, label: int) -> Tensor:
        """Mean cross-entropy of one domain's rows with a domain label, 0 or 1."""
        z = logits.float()
        loss = F.binary_cross_entropy_with_logits(
            z, torch.full_like(z, label), reduction='none'
        ).mean(-1)
        return (loss * weight).sum() / sum_per_rank(weight).clamp(min=1e-12)

    def _discriminate(self, features: list[Tensor]) -> Sequence[Tensor]:
        """Logits of each domain, in one pass."""
        return self.discriminator(torch.cat(features)).split([len(x) for x in features])


def mean_per_image(mask: Tensor) -> Tensor:
    """Compute weights for a mean over the marked rows of an image, then over images (eq. 15, 16).

    ``(N, S) bool -> (N, S)``; the weights of an image add up to 1, or to 0 if nothing is marked.

    >>> mean_per_image(torch.tensor([[True, True], [True, False], [False, False]]))
    tensor([[0.5000, 0.5000],
            [1.0000, 0.0000],
            [0.0000, 0.0000]])
    """
    mask = mask.float()
    return mask / mask.sum(1, keepdim=True).clamp(min=1)


def _mean_or_chance(right: Tensor, weight: Tensor) -> Tensor:
    """Weighted share of right answers; 0.5 if there are no weights."""
    total = weight.sum()
    share = (right * weight).sum() / total.clamp(min=1e-12)
    return torch.where(total > 0, share, torch.full_like(share, 0.5))
