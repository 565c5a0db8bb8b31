"""Loads images alike in training, validation and testing, and reports the notes on them."""

from collections import defaultdict

from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop

from mmocr_da.arguments import some
from mmocr_da.datasets.data_samples import data_samples_of
from mmocr_da.datasets.image_loading import load_as_shown
from mmocr_da.datasets.seeded_dataset import SeededDataset
from mmocr_da.registry import HOOKS


@HOOKS.register_module()
class NotesHook(Hook):
    """Load images as :mod:`mmocr_da.datasets.image_loading` does, and report the notes on them.

    Images that show nothing, have transparency or a low range of 16 bits, and labels that were
    left out are counted over all processes and named after each validation and at the end.
    """

    def __init__(self) -> None:
        self._notes: dict[str, set[str]] = defaultdict(set)
        self._reported: dict[str, int] = {}

    def before_train(self, runner) -> None:
        """Replace the image loaders of the training data."""
        if _trains_as_shown(runner):
            load_as_shown(runner.train_dataloader.dataset)

    def before_val(self, runner) -> None:
        """Replace the image loaders of the validation data, if training replaced its own."""
        # As in training, so that both get the same images.
        if _trains_as_shown(runner):
            load_as_shown(runner.val_dataloader.dataset)

    def before_test(self, runner) -> None:
        """Replace the image loaders of the test data."""
        load_as_shown(runner.test_dataloader.dataset)

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs: dict | None = None
    ) -> None:
        """Collect the notes of a batch."""
        self._collect(data_batch)

    def after_val_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Collect the notes of a batch."""
        self._collect(data_batch)

    def after_test_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Collect the notes of a batch."""
        self._collect(data_batch)

    def after_val(self, runner) -> None:
        """Report new notes."""
        self._report(runner)

    def after_train(self, runner) -> None:
        """Report new notes."""
        self._report(runner)

    def after_test(self, runner) -> None:
        """Report new notes."""
        self._report(runner)

    def _collect(self, data_batch) -> None:
        for sample in data_samples_of(data_batch):
            for kind, what in sample.get('notes', ()):
                self._notes[kind].add(what)

    def _report(self, runner) -> None:
        merged: defaultdict[str, set[str]] = defaultdict(set)
        for notes in all_gather_object(dict(self._notes)):
            for kind, names in notes.items():
                merged[kind] |= names
        for kind, names in sorted(merged.items()):
            if len(names) > self._reported.get(kind, 0):
                runner.logger.warning(f'{len(names)} {kind}: {some(sorted(names))}')
            self._reported[kind] = len(names)


def _trains_as_shown(runner) -> bool:
    loop = runner._train_loop
    # The workers of MMEngine's loop start before any hook, with a copy of the dataset.
    return type(loop) is not IterBasedTrainLoop or isinstance(
        loop.dataloader.dataset, SeededDataset
    )
