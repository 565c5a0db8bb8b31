"""Warns of pseudo-labels that teach nothing."""

import logging
from collections.abc import Callable, Sequence

from mmengine.logging import print_log

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
        if fault := self._fault():
            print_log(
                f'SelfTraining: {fault} in the last {PATIENCE} batches',
                logger='current',
                level=logging.WARNING,
            )
        self._reset()

    def _fault(self) -> str | None:
        if not self._images:
            return None
        if not self._words:
            return (
                'the teacher predicted the empty text for every target image, so nothing was '
                'learned from them; start from a recognizer that reads some of them (load_from)'
            )
        if len(self._distinct) == 1 and self._words > 1:
            (word,) = self._distinct
            return (
                f'COLLAPSE: the teacher predicted no word but {word!r}; keep fewer words, '
                'lower weight, or start from a better recognizer (load_from)'
            )
        if not self._kept:
            return (
                f'no prediction of the teacher became a label: {self.advice()}, or start from a '
                'better recognizer (load_from)'
            )
        return None
