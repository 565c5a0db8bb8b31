"""Learned surrogates (Patel, Hodan & Matas, ECCV 2020): learned, differentiable metrics.

A subclass for a metric defines the embedding ``h``, the value ``e`` and a generator ``R`` of pairs.
The base class implements the rest: eq. 3 and 6, the three kinds of approximation, and the
alternation of Algorithm 1.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn
from torch.func import functional_call

from mmocr_da.arguments import (
    check_choice,
    check_count,
    check_flag,
    check_number,
    check_text,
    warn_unused,
)
from mmocr_da.device import on_device
from mmocr_da.renamed import renamed_arguments

from ..distributed import mean_over_ranks
from ..schedules import current_iteration
from .quality import rank_correlation

APPROXIMATIONS = ('global', 'local', 'local-global')
#: Added under the root of a norm, so that it has first and second derivatives at 0.
EPS = 1e-8


class LearnedSurrogate(BaseModule):
    """A metric ``e(z, y)``, approximated by ``e_hat(z, y) = ||h(z) - h(y)||_2`` (eq. 3).

    By eq. 6, the embedding ``h`` learns from values of the metric to make distances equal to the
    metric. Then ``e_hat`` is a loss for the model that predicts ``z``. Each iteration trains either
    the surrogate or the model (Algorithm 1), or with ``alternate=False`` both.

    A custom metric is a subclass with :attr:`embedding`, :meth:`metric` and :meth:`generate`.
    Predictions ``z`` and labels ``y`` are float tensors ``(N, ...)`` of the same shape; their rows
    must not influence each other in the embedding (no batch norm).

    Args:
        approximation: The pairs that the surrogate learns from: ``'global'``, generated pairs;
            ``'local'``, predictions of the model; ``'local-global'``, both (the paper's choice).
        gradient_weight: lambda in eq. 6. The paper does not state it; 10 is the value of WGAN-GP,
            the origin of the term.
        surrogate_steps: I_a, the number of consecutive iterations that train the surrogate. The
            paper does not state it.
        model_steps: I_b, the number of consecutive iterations that train the model after them. The
            paper does not state it.
        warmup: Number of iterations at the beginning that train the surrogate alone.
        alternate: Whether iterations train either the surrogate or the model, in turns. If not,
            each one after the warm-up trains both from one prediction: the surrogate, and the model
            by the surrogate as it is before the step. This is not in the paper.
        seed: Seed of the generator. Its pairs are a function of seed, iteration and rank, so a
            resumed run draws the same pairs as an uninterrupted one.
        checkpoint: File of a surrogate to start from, written by ``SurrogateExportHook``.

    Raises:
        ValueError: If an option is out of range, or an untrained surrogate would train the model.
    """

    #: h, ``(N, ...) -> (N, D)``.
    embedding: nn.Module

    @renamed_arguments(source='approximation')
    def __init__(
        self,
        approximation: str = 'local-global',
        gradient_weight: float = 10.0,
        surrogate_steps: int = 1,
        model_steps: int = 1,
        warmup: int = 0,
        seed: int = 0,
        checkpoint: str | None = None,
        alternate: bool = True,
    ) -> None:
        super().__init__()
        check_choice('approximation', approximation, APPROXIMATIONS)
        check_number('gradient_weight', gradient_weight, least=0)
        check_count('seed', seed, least=0)
        check_text('checkpoint', checkpoint)
        check_flag('alternate', alternate)
        for name, value in (
            ('surrogate_steps', surrogate_steps),
            ('model_steps', model_steps),
            ('warmup', warmup),
        ):
            check_count(name, value, least=0, of='iterations')
        if not alternate:
            for name, value in (('surrogate_steps', surrogate_steps), ('model_steps', model_steps)):
                if value != 1:
                    warn_unused(name, value, 'with alternate=False each iteration trains both')
        elif not surrogate_steps + model_steps:
            raise ValueError(
                'surrogate_steps and model_steps must not both be 0: nothing would be trained'
            )
        if alternate and not surrogate_steps + warmup and checkpoint is None:
            raise ValueError(
                'surrogate_steps=0 and warmup=0 need the checkpoint of a surrogate, '
                'got None: the model would be trained by a random one'
            )
        self.approximation = approximation
        self.gradient_weight = gradient_weight
        self.surrogate_steps = surrogate_steps
        self.model_steps = model_steps
        self.warmup = warmup
        self.seed = seed
        self.checkpoint = checkpoint
        self.alternate = alternate
        #: Means of ``e_hat`` and ``e`` in the last step of the model, for ``SurrogateWatchHook``.
        self.latest: tuple[Tensor, Tensor] | None = None
        self._told = False

    # A metric defines these.

    def metric(self, z: Tensor, y: Tensor) -> Tensor:
        """Compute e, the true metric of each row, ``(N,)``, without a gradient."""
        raise NotImplementedError

    def generate(self, y: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Generate pairs ``(z_r, y_r)`` with their ``e``, uniform over its range.

        Args:
            y: Labels of the batch; a generator may start from them.
            rng: The only source of random numbers.

        Returns:
            The pairs and their ``e``, on any device; usually one pair per row of ``y``.
        """
        raise NotImplementedError

    @property
    def spec(self) -> dict[str, Any]:
        """Settings that must be equal for a surrogate to load the weights of another."""
        return dict(kind=type(self).__name__)

    # All metrics share these.

    def learns_at(self, iteration: int) -> bool:
        """Whether an iteration trains the surrogate."""
        if iteration < self.warmup or not self.alternate:
            return True
        cycle = self.surrogate_steps + self.model_steps
        return (iteration - self.warmup) % cycle < self.surrogate_steps

    def teaches_at(self, iteration: int) -> bool:
        """Whether an iteration trains the model by the surrogate."""
        if self.alternate:
            return not self.learns_at(iteration)
        return iteration >= self.warmup

    @property
    def learns(self) -> bool:
        """Whether the current iteration of the running MMEngine runner trains the surrogate."""
        return self.learns_at(current_iteration()[0])

    @property
    def teaches(self) -> bool:
        """Whether the current iteration of the running MMEngine runner trains the model by it."""
        iteration, total = current_iteration()
        if self.warmup >= total and not self._told:
            self._told = True
            print_log(
                f'This training of {total} iterations trains the surrogate alone: its warm-up has '
                f'{self.warmup}. To train the model by it, train longer, set a shorter warmup=, or '
                'start from the checkpoint= of a trained surrogate with warmup=0.',
                logger='current',
                level=logging.WARNING,
            )
        return self.teaches_at(iteration)

    def init_weights(self) -> None:
        """Load the checkpoint, if there is one."""
        if self.checkpoint is not None and not self.is_init:
            self.load(self.checkpoint)
        super().init_weights()

    def load(self, file: str) -> None:
        """Load the weights of a surrogate's own checkpoint.

        Raises:
            ValueError: If the file holds no surrogate, or one with another :attr:`spec`.
        """
        checkpoint = CheckpointLoader.load_checkpoint(file, map_location='cpu')
        found = checkpoint.get('meta', {}).get('surrogate')
        if found is None:
            raise ValueError(
                f'checkpoint must be a file that SurrogateExportHook wrote '
                f'(surrogate_*.pth), got {file}; a whole model is for load_from'
            )
        wrong = [
            f'{k}={found.get(k)!r} instead of {v!r}'
            for k, v in self.spec.items()
            if found.get(k) != v
        ]
        if wrong:
            raise ValueError(
                f'the surrogate in {file} is for other inputs: {"; ".join(wrong)}; '
                'use one that was trained with this dictionary and length, or train '
                'one: checkpoint=None'
            )
        self.load_state_dict(checkpoint['state_dict'])

    def plain_state_dict(self, state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return no weights: only training needs a surrogate (:mod:`mmocr_da.plain`)."""
        return {}

    def distance(self, z: Tensor, y: Tensor) -> Tensor:
        """Compute e_hat (eq. 3), ``(N,)``, in float32 or float64, also under AMP."""
        return self._distance(z, y, self.embedding)

    def frozen_distance(self, z: Tensor, y: Tensor) -> Tensor:
        """Compute e_hat with frozen weights of the surrogate, to train the model."""
        frozen = {k: p.detach() for k, p in self.embedding.named_parameters()}
        return self._distance(z, y, lambda x: functional_call(self.embedding, frozen, (x,)))

    @staticmethod
    def _distance(z: Tensor, y: Tensor, h: Callable[[Tensor], Tensor]) -> Tensor:
        if z.shape != y.shape:
            raise ValueError(
                'predictions and labels must have the same shape, got '
                f'{tuple(z.shape)} and {tuple(y.shape)}'
            )
        dtype = torch.promote_types(z.dtype, torch.float32)
        with torch.autocast(z.device.type, enabled=False):
            return safe_norm(h(z.to(dtype)) - h(y.to(dtype)))

    def terms(self, z: Tensor, y: Tensor, e: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute e_hat and both terms of eq. 6 for each row.

        The second term is 0 for rows with ``z = y``: every embedding has the gradient 0 there.

        Returns:
            ``e_hat``, ``(e_hat - e)^2`` and ``(||de_hat/dz|| - 1)^2``, ``(N,)`` each.
        """
        # autograd.grad would run in the precision of the caller, not of the forward pass.
        with torch.enable_grad(), torch.autocast(z.device.type, enabled=False):
            z = z.detach().requires_grad_()
            estimate = self.distance(z, y)
            # Rows do not influence each other, so this is the gradient of each row's own distance.
            (gradient,) = torch.autograd.grad(estimate.sum(), z, create_graph=True)
            penalty = (safe_norm(gradient) - 1).square() * rows_differ(z, y)
        return estimate, (estimate - e).square(), penalty

    def fit(
        self,
        z: Tensor,
        y: Tensor,
        mean: Callable[..., Tensor] = mean_over_ranks,
        e: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Compute the loss of the surrogate (Algorithm 1, line 6), and measures of its quality.

        Args:
            z: Predictions of the model.
            y: Their labels. They may be on the CPU, so that :meth:`metric` and :meth:`generate`
                need not wait for a GPU.
            mean: Averages a term over all rows. The default waits for all processes: if some may
                not call this, pass :func:`~mmocr_da.models.distributed.mean_of_rank`.
            e: Their metric, if it is known already.

        Returns:
            ``loss_fit`` and ``loss_gradient``, the terms of eq. 6; ``error_model`` and
            ``error_generated``, the mean of ``|e_hat - e|`` on predictions and on generated pairs;
            ``rank_correlation`` of ``e_hat`` and ``e`` on both together. Errors and correlation
            are left out if there are no rows for them.
        """
        z, y = z.detach(), y.detach()
        e = self.metric(z, y) if e is None else e
        samples: dict[str, Sequence[Tensor]] = dict(model=(z, y, e))
        if self.approximation != 'local':
            samples['generated'] = self.generate(y, self._rng())
        samples = {
            name: [on_device(x.to(z.dtype), z.device) for x in sample]
            for name, sample in samples.items()
        }
        zero = sum(p.sum() for p in self.parameters()) * 0
        loss, penalty, log, pairs = zero, zero, {}, []
        for name, (z, y, e) in samples.items():
            if name == 'model' and self.approximation == 'global':
                with torch.no_grad():
                    estimate = self.distance(z, y)
            else:
                estimate, square, slope_penalty = self.terms(z, y, e)
                loss = loss + mean(square)
                penalty = penalty + mean(slope_penalty, rows_differ(z, y))
            estimate = estimate.detach()
            pairs.append((estimate, e))
            if len(e):
                log[f'error_{name}'] = (estimate - e).abs().mean()
        # One transfer from the device for both.
        estimates, values = torch.stack([torch.cat(column) for column in zip(*pairs)]).tolist()
        correlation = rank_correlation(estimates, values)
        if correlation is not None:
            log['rank_correlation'] = zero.new_full((), correlation)
        return dict(loss_fit=loss, loss_gradient=self.gradient_weight * penalty, **log)

    def observe(self, estimate: Tensor, e: Tensor) -> dict[str, Tensor]:
        """Return log values of a step of the model, and keep its means for ``SurrogateWatchHook``.

        Args:
            estimate: e_hat of at least one row, without a gradient.
            e: The metric of the same rows.

        Returns:
            ``error_model``, the mean of ``|e_hat - e|``, as in :meth:`fit`.
        """
        self.latest = estimate.mean(), e.mean()
        return dict(error_model=(estimate - e).abs().mean())

    def _rng(self) -> np.random.Generator:
        return np.random.default_rng([self.seed, current_iteration()[0], get_rank()])


def rows_differ(z: Tensor, y: Tensor) -> Tensor:
    """Mark the rows in which two tensors differ, ``(N, ...), (N, ...) -> (N,)`` bool."""
    return (z != y).flatten(1).any(1)


def safe_norm(x: Tensor) -> Tensor:
    """Compute the Euclidean norm of each row, ``(N, ...) -> (N,)``, twice differentiable at 0.

    >>> x = torch.zeros(1, 3, requires_grad=True)
    >>> g, = torch.autograd.grad(safe_norm(x).sum(), x, create_graph=True)
    >>> torch.autograd.grad(safe_norm(g).sum(), x)[0].isfinite().all()
    tensor(True)
    """
    return (x.square().flatten(1).sum(1) + EPS).sqrt()
