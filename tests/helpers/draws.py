"""Draws that a test chooses: given classes, or ones that do not depend on the batch."""

import itertools
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import torch

from mmocr_da.models.decoders.drawing import RandomDraws


class Scripted(RandomDraws):
    """Draws given classes ``(N, T)``, step by step or all at once."""

    def __init__(self, classes):
        super().__init__()
        self.columns = iter(torch.as_tensor(classes).unbind(1))
        self.whole = torch.as_tensor(classes)

    def classes(self, logits):
        return next(self.columns) if logits.dim() == 2 else self.whole


def _by_row(self, logits):
    """Of the 64 texts of an image the best classes for eight, the second best for eight, ...

    Where each image has one row, there are fewer than eight: they have the best classes.
    """
    order = logits.argsort(-1, descending=True)
    place = torch.arange(len(logits)) % 64 // 8 % 3
    place = place.view(-1, *[1] * (logits.dim() - 1))
    return order.gather(-1, place.expand(*logits.shape[:-1], 1)).squeeze(-1)


def _by_column(self, shape, probability, device):
    return (torch.arange(shape[-1]) % 2 == 0).expand(*shape)


@contextmanager
def independent_of_the_batch():
    """All draws of the package depend on a row alone, so that a batch can be divided by images."""
    with ExitStack() as stack:
        for name, function in dict(classes=_by_row, events=_by_column).items():
            stack.enter_context(patch.object(RandomDraws, name, function))
        yield


def all_texts(num_classes, end, steps):
    """Every row of classes up to its first end token, which class 0 follows: ``(M, steps)``."""
    found = set()
    for row in itertools.product(range(num_classes), repeat=steps):
        kept = row[: row.index(end) + 1] if end in row else row
        found.add((*kept, *[0] * (steps - len(kept))))
    return torch.tensor(sorted(found))
