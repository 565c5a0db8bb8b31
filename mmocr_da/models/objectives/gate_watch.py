"""Warns of a gate that lets nothing pass, so that the loss of its objective is 0."""

import logging

import torch
from mmengine.logging import print_log
from torch import Tensor

from ..training_watch import may_warn

#: Number of batches in a row without a passed character that are accepted.
PATIENCE = 200


class GateWatch:
    """Warns if no character of a domain passed a gate in ``PATIENCE`` batches.

    Args:
        objective: Type of the objective, for the warning.
        threshold: Threshold of the gate, for the warning.
    """

    def __init__(self, objective: str, threshold: float) -> None:
        self.objective = objective
        self.threshold = threshold
        self._count = 0
        self._passed: Tensor | None = None

    def see(self, **passed: Tensor) -> None:
        """Record the number, or share, of the characters that passed in a batch, by domain."""
        latest = torch.stack([x.detach().float() for x in passed.values()])
        self._passed = latest if self._passed is None else self._passed + latest
        self._count += 1
        if self._count < PATIENCE:
            return
        # Fetched from the device once in this number of batches.
        empty = [domain for domain, x in zip(passed, self._passed.tolist()) if not x]
        self._count, self._passed = 0, None
        for domain in empty:
            if may_warn(f'gate/{self.objective}/{domain}', 'GateWatch'):
                print_log(
                    empty_gate(
                        self.objective, domain, self.threshold, f'in the last {PATIENCE} batches'
                    ),
                    logger='current',
                    level=logging.WARNING,
                )


def empty_gate(objective: str, domain: str, threshold: float, where: str) -> str:
    """Say that no character of a domain passes a gate, and what to change."""
    return (
        f'{objective} has looked at no character of the {domain} {where}: none was predicted with '
        f'a probability above threshold={threshold}. Lower it, or start from a better recognizer '
        '(load_from)'
    )
