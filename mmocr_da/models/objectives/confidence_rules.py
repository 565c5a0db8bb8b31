"""Rules that say how confident a teacher must be in a word for a student to learn it."""

from collections.abc import Callable, Sequence
from itertools import chain

import torch
from mmengine.dist import all_gather_object, all_reduce
from torch import Tensor, nn

from mmocr_da.arguments import check_count, check_number
from mmocr_da.registry import MODELS

from ..schedules import current_iteration


class ConfidenceRule(nn.Module):
    """Says which confidence a word must have at least to be learned; the same on all ranks."""

    #: Whether it compares with words of the source, which must then be trained with labels.
    needs_source = False

    def forward(self, confidences: Sequence[float], of_source: Callable[[], Tensor]) -> float:
        """Return the least confidence of a word that is kept.

        All ranks must call this, also without a word.

        Args:
            confidences: Of this rank's target images of a batch; 0 where a word cannot be learned.
            of_source: Returns the confidences ``(n,)`` of this rank's source images.
        """
        raise NotImplementedError

    def advice(self) -> str:
        """Say why no word was kept and what can be done, for a warning."""
        raise NotImplementedError


@MODELS.register_module()
class ConfidenceThreshold(ConfidenceRule):
    """Keeps words with a confidence of at least ``threshold`` (FixMatch, eq. 4).

    Args:
        threshold: Least confidence, 0 to 1. Confidences of one recognizer and domain are not those
            of another one: look at ``self_training_kept`` in the log.
    """

    def __init__(self, threshold: float) -> None:
        super().__init__()
        check_number('threshold', threshold, least=0, most=1, why='it is a probability')
        self.threshold = threshold

    def forward(self, confidences: Sequence[float], of_source: Callable[[], Tensor]) -> float:
        """See :meth:`ConfidenceRule.forward`."""
        return self.threshold

    def advice(self) -> str:
        """See :meth:`ConfidenceRule.advice`."""
        return f'none had a confidence of at least threshold={self.threshold}; lower it'


@MODELS.register_module()
class ConfidenceQuantile(ConfidenceRule):
    """Keeps the most confident share of the target images, whatever the confidences are.

    The share is ``start``, or rises linearly from ``start`` to ``end`` over the training: first the
    words that are easy, later nearly all (a curriculum, as in Cascante-Bonilla et al., "Curriculum
    labeling", AAAI 2021). The confidences of the last batches of all ranks, ``window`` images
    together, say which confidence that is. They are in the checkpoint. One word of them is always
    kept, so ``start`` may be 0.

    Images whose word cannot be learned, such as an empty one, count as the least confident: a share
    of 0.8 keeps half of the images if the teacher predicts only empty words for the other half.

    Args:
        start: Share of the target images whose words are kept, 0 to 1.
        end: The share at the end of the training; None for ``start``.
        window: Number of images that a share is of. A larger batch counts as a whole.
    """

    def __init__(self, start: float, end: float | None = None, window: int = 1000) -> None:
        super().__init__()
        end = start if end is None else end
        for name, share in dict(start=start, end=end).items():
            check_number(name, share, least=0, most=1, why='it is a share of the target images')
        if start == end == 0:
            raise ValueError('ConfidenceQuantile needs a share above 0, got start=0 and end=0')
        check_count('window', window, of='images')
        self.start = start
        self.end = end
        self.window = window
        self._batches: list[list[float]] = []

    def share(self) -> float:
        """Return the share of the target images that is kept now."""
        if self.start == self.end:
            return self.start
        iteration, total = current_iteration()
        return self.start + (self.end - self.start) * min(1.0, iteration / total)

    def forward(self, confidences: Sequence[float], of_source: Callable[[], Tensor]) -> float:
        """See :meth:`ConfidenceRule.forward`."""
        latest = list(chain.from_iterable(all_gather_object(list(confidences))))
        batches = [*self._batches, latest]
        while len(batches) > 1 and sum(map(len, batches)) > self.window:
            del batches[0]
        if self.training and torch.is_grad_enabled():
            self._batches = batches
        falling = sorted(chain.from_iterable(batches), reverse=True)
        kept = max(1, round(self.share() * len(falling)))
        return falling[kept - 1] if falling else float('inf')

    def get_extra_state(self) -> Tensor:
        """Return the confidences of the window and the batch of each, ``(2, window)``.

        The batch is -1 where there is no confidence. The shape is that of any other state, so that
        hooks can compare and average it. A batch that is larger than the window is left out: the
        next batch replaces it.
        """
        state = torch.full((2, self.window), -1.0, dtype=torch.double)
        rows = [(c, i) for i, batch in enumerate(self._batches) for c in batch]
        if rows and len(rows) <= self.window:
            state[:, : len(rows)] = torch.tensor(rows, dtype=torch.double).T
        return state

    def set_extra_state(self, state: Tensor) -> None:
        """Take over what :meth:`get_extra_state` returned."""
        batches: dict[float, list[float]] = {}
        for confidence, batch in zip(*state.tolist()):
            if batch >= 0:
                batches.setdefault(batch, []).append(confidence)
        self._batches = list(batches.values())

    def advice(self) -> str:
        """See :meth:`ConfidenceRule.advice`."""
        return (
            'none of the surest words came in these batches, or none of them can be written with '
            f'the dictionary; raise start={self.start}, the share at first (end={self.end})'
        )


@MODELS.register_module()
class RelativeThreshold(ConfidenceRule):
    """Keeps words that are nearly as sure as those of the source (AdaMatch).

    The relative confidence threshold of Berthelot et al., "AdaMatch", ICLR 2022: the least
    confidence is ``tau`` times the mean confidence of the recognizer in the labelled source images
    of the batch, of all ranks. It comes from the pass of the supervised loss, so it costs nothing;
    other than in AdaMatch, the recognizer is fed the labels there if its decoder has a step per
    character. Without a source image in a batch, no word is kept.

    Args:
        tau: Share of the source's confidence, 0 to 1; 0.9 in the paper.
    """

    needs_source = True

    def __init__(self, tau: float = 0.9) -> None:
        super().__init__()
        check_number('tau', tau, least=0, most=1, why='it is a share')
        self.tau = tau

    def forward(self, confidences: Sequence[float], of_source: Callable[[], Tensor]) -> float:
        """See :meth:`ConfidenceRule.forward`."""
        found = of_source().float()
        total = torch.stack([found.sum(), found.new_full((), len(found))])
        all_reduce(total)
        confidence, count = total.tolist()  # the teacher's words wait for the device, too
        return self.tau * confidence / count if count else float('inf')

    def advice(self) -> str:
        """See :meth:`ConfidenceRule.advice`."""
        return (
            f'none had a confidence of at least tau={self.tau} times the mean confidence in words '
            'of the source (without source images no word is kept); lower it'
        )
