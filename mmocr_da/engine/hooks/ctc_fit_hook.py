"""Names the labels that are too long for the frames of CTC, before training starts."""

from collections.abc import Iterable
from functools import partial
from itertools import islice
from typing import Any

import torch
from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmocr.models.textrecog.module_losses import CTCModuleLoss
from torch import nn

from mmocr_da.arguments import check_count
from mmocr_da.datasets.label_texts import labels_of, unread_labels
from mmocr_da.datasets.seeded_dataset import SeededDataset
from mmocr_da.datasets.two_domain_dataset import TwoDomainDataset
from mmocr_da.registry import HOOKS
from mmocr_da.rng import seeded

from ..label_check import (
    HOW_TO_SKIP,
    examples,
    in_case,
    pipeline_makes_labels,
    reload_data,
    share_left_out,
)
from ..model_parts import label_loss, unwrapped


@HOOKS.register_module()
class CTCFitHook(Hook):
    """Stop before the first iteration if a label is too long for CTC: its loss is infinite.

    A label needs a frame for each character, and a blank frame between two equal ones. The hook
    runs the model on an image from the training pipeline and counts the frames of its output. A
    pipeline that makes images of different widths is not checked here:
    :class:`FiniteHook` stops such a run at the batch.

    Args:
        max_labels: Number of labels that are checked, so that large data do not delay the start.
            With ``skip_unusable`` all labels are checked. Of an LMDB with more than 100,000 labels
            this number is checked, and with ``skip_unusable`` the others when they are drawn.
    """

    #: Number of images that must have one size for a pipeline to count as one of fixed size.
    probes = 4

    def __init__(self, max_labels: int = 1_000_000) -> None:
        check_count('max_labels', max_labels, of='labels')
        self.max_labels = max_labels

    def before_train(self, runner) -> None:
        """Count the frames of an image and check the labels against this number."""
        model = unwrapped(runner.model)
        module_loss = _ctc_loss(model)
        if module_loss is None or runner.iter >= runner.max_iters:
            return
        dataset = runner.train_dataloader.dataset
        frames = self._frames(model, dataset)
        if frames is not None:
            # With skip_unusable, every label must be checked.
            skips = getattr(dataset, 'skip_unusable', False)
            labels = islice(labels_of(dataset), None if skips else self.max_labels)
            left_out = check_frames(labels, frames, dataset, module_loss, runner.logger)
            if left_out or getattr(dataset, 'checks_labels', False):
                reload_data(runner.train_loop)

    def _frames(self, model: BaseModel, dataset) -> int | None:
        """Frames of the model for an image of the pipeline; None if the image size varies."""
        labelled = (
            dataset.domain_sizes[0] if isinstance(dataset, TwoDomainDataset) else len(dataset)
        )
        places = {i * (labelled - 1) // max(self.probes - 1, 1) for i in range(self.probes)}
        with seeded(0):
            items = [dataset[i] for i in sorted(places)]
        inputs = [item['inputs'] for item in items if item is not None]
        if not inputs or len({tuple(image.shape) for image in inputs}) > 1:
            return None
        return count_frames(model, items[0])


def check_frames(
    labels: Iterable[tuple[int, str | None]],
    frames: int,
    dataset,
    module_loss: CTCModuleLoss,
    logger: MMLogger,
) -> int:
    """Name or leave out the labels that need more than ``frames``, see :class:`CTCFitHook`.

    With ``skip_unusable`` of a :class:`SeededDataset` the images of these labels are left out.

    Returns:
        Number of images that the dataset leaves out.

    Raises:
        ValueError: If the loss of a label is infinite and its image is not to be left out.
    """
    endless, cut, total = [], [], 0
    skips = isinstance(dataset, SeededDataset) and dataset.skip_unusable
    unread = unread_labels(dataset)
    for index, text in labels:
        total += 1
        # Most labels fit even if all their characters were equal.
        if text is None or 2 * len(text) - 1 <= frames:
            continue
        tokens = _tokens(text, module_loss)
        if frames_needed(tokens[:frames]) > frames:  # MMOCR cuts a label by itself
            endless.append((index, text))
        elif len(tokens) > frames:
            cut.append((index, text))
    made = bool(endless or cut) and pipeline_makes_labels(dataset, endless + cut)
    if unread and skips:
        dataset.leave_out_labels(partial(_does_not_fit, frames=frames, module_loss=module_loss))
    if not (endless or cut) or made:
        return 0
    parts = []
    if endless:
        parts.append(
            f'{len(endless)} of {total} labels need more frames than the {frames} that '
            'CTC has for an image, one for each character and one between two equal ones'
            f'{examples(dataset, endless)}'
        )
    if cut:
        parts.append(
            f'{len(cut)} of {total} labels are longer than the {frames} frames of an '
            f'image and are trained without their end{examples(dataset, cut)}'
        )
    message = '. '.join(parts)
    zeroed = module_loss.ctc_loss.zero_infinity
    if skips:
        if len(endless) + len(cut) == total:
            raise ValueError(f'no label is left. {message}. {_REMEDY}')
        dataset.leave_out(index for index, _ in endless + cut)
        logger.warning(
            f'{message}. Images left out: {share_left_out(endless + cut, total, unread)}'
        )
        return len(endless) + len(cut)
    elif endless and not zeroed:
        raise ValueError(
            f'{message}. The loss of a label with too few frames is infinite. '
            f'{_REMEDY}, or set zero_infinity=True in model.decoder.module_loss, '
            'which gives it the loss 0'
        )
    else:
        fate = '. With zero_infinity=True the loss of the former is 0' if endless else ''
        logger.warning(f'{message}{fate}. {_REMEDY}')
    return 0


def _does_not_fit(text: str, frames: int, module_loss: CTCModuleLoss) -> bool:
    """Whether a label needs more than ``frames``."""
    return 2 * len(text) - 1 > frames and frames_needed(_tokens(text, module_loss)) > frames


_REMEDY = (
    'Make the images wider (the scale of Resize in the train_pipeline), or leave these '
    f'images out: {HOW_TO_SKIP}'
)


def _ctc_loss(model: nn.Module) -> CTCModuleLoss | None:
    """The CTC loss that trains a recognizer, if there is one."""
    module_loss = label_loss(model)
    weight: Any = getattr(model, 'supervised_weight', 1)
    return module_loss if weight and isinstance(module_loss, CTCModuleLoss) else None


@torch.no_grad()
def count_frames(model: BaseModel, item: dict) -> int:
    """Count the frames that a CTC model makes from an image.

    Args:
        item: An item of a dataset.
    """
    was_training = model.training
    model.eval()
    data = model.data_preprocessor(pseudo_collate([item]), False)
    frames = model(**data, mode='tensor').size(1)
    model.train(was_training)
    return frames


def frames_needed(indexes: list[int]) -> int:
    """Count the frames that CTC needs for a label, with a blank between two equal characters.

    >>> frames_needed([1, 2, 1]), frames_needed([1, 1, 1])
    (3, 5)
    """
    return len(indexes) + sum(a == b for a, b in zip(indexes, indexes[1:]))


def _tokens(text: str, module_loss: CTCModuleLoss) -> list[int]:
    known = module_loss.dictionary
    indexes = (known.char2idx(char, strict=False) for char in in_case(text, module_loss))
    # Unless it is an error, MMOCR leaves out a character without an index.
    return [index for index in indexes if index is not None]
