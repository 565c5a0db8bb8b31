"""Warns of pseudo-labels that teach nothing."""

import logging
from collections.abc import Callable, Sequence

from mmengine.logging import print_log

from ..training_watch import may_warn

#: Number of batches in a row that are looked at together.
PATIENCE = 100


class PredictionWatch:
    """Warns if a teacher's predictions collapse, or if none of them passes the gate.

    Predictions have collapsed if all of them are empty, or if all others are one word.

    Args:
        advice: Says why no word passed and what can be done, for the warning.
    """

    def __init__(self, advice: Callable[[], str]) -> None:
        self.advice = advice
        self._reset()

    def _reset(self) -> None:
        self._batches = self._images = self._words = self._kept = 0
        self._distinct: set[str] = set()

    def see(self, texts: Sequence[str], kept: int) -> None:
        """Record the predictions of a batch, and how many of them became labels."""
        self._batches += 1
        self._images += len(texts)
        self._words += sum(map(bool, texts))
        self._kept += kept
        if len(self._distinct) < 2:
            self._distinct.update(filter(None, texts))
        if self._batches < PATIENCE:
            return
        fault = self._fault()
        if fault and may_warn('pseudo-labels', 'PredictionWatch'):
            print_log(
                f'SelfTraining: {fault} in the last {PATIENCE} batches',
                logger='current',
                level=logging.WARNING,
            )
        self._reset()

    def _fault(self) -> str | None:
        if not self._images:
            return None
        only = None
        if len(self._distinct) == 1 and self._words > 1:
            (word,) = self._distinct
            only = f'no word but {word!r}'
        return pseudo_label_fault(bool(self._words), only, bool(self._kept), self.advice)


def pseudo_label_fault(
    some: bool, only: str | None, kept: bool, advice: Callable[[], str]
) -> str | None:
    """Say what is wrong with a teacher's predictions, and what to change; None if nothing is.

    Args:
        some: Whether some predictions are not empty.
        only: How few different words there are, if they are too few.
        kept: Whether some predictions became labels.
        advice: See :class:`PredictionWatch`.
    """
    if not some:
        return (
            'the teacher predicted the empty text for every target image, so nothing was '
            'learned from them; start from a recognizer that reads some of them (load_from)'
        )
    if only:
        return (
            f'COLLAPSE: the teacher predicted {only}; keep fewer words, '
            'lower weight, or start from a better recognizer (load_from)'
        )
    if not kept:
        return (
            f'no prediction of the teacher became a label: {advice()}, or start from a '
            'better recognizer (load_from)'
        )
    return None
