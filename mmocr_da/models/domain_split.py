"""Divides a batch into source and target images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmocr.structures import TextRecogDataSample
from torch import Tensor

from mmocr_da.device import on_device

from .valid_ratio import valid_ratios


@dataclass(frozen=True)
class DomainSplit:
    """A batch, divided into source and target images.

    An image of the source has a label, an image of the target has none. An image without the
    metainfo ``domain`` comes from MMOCR's own datasets: it counts as source, and is an error if an
    objective needs the target.

    Attributes:
        samples: The data samples of all images.
        is_source: Whether each image is of the source.
        source, target: Indexes of the images of either domain, on the device.
        valid_ratio: ``(N,)`` on the CPU, see :mod:`mmocr_da.models.valid_ratio`.
    """

    samples: Sequence[TextRecogDataSample]
    is_source: list[bool]
    source: Tensor
    target: Tensor
    valid_ratio: Tensor

    @classmethod
    def of_batch(
        cls, samples: Sequence[TextRecogDataSample], device: torch.device, needs_target: bool
    ) -> 'DomainSplit':
        """Divide a batch by the ``domain`` of its data samples.

        Args:
            samples: One per image, in any order.
            device: Device of the images.
            needs_target: Whether an objective needs the target, so that images must have a tag.

        Raises:
            ValueError: If an image has no domain, or a target image a label.
        """
        is_source = [_is_source(sample, needs_target) for sample in samples]
        rows = torch.tensor(is_source, dtype=torch.bool)
        source, target = (on_device(x.nonzero().flatten(), device) for x in (rows, ~rows))
        return cls(samples, is_source, source, target, valid_ratios(samples))

    @property
    def source_samples(self) -> list[TextRecogDataSample]:
        """Data samples of the source images."""
        return [sample for sample, known in zip(self.samples, self.is_source) if known]

    @property
    def target_samples(self) -> list[TextRecogDataSample]:
        """Data samples of the target images."""
        return [sample for sample, known in zip(self.samples, self.is_source) if not known]


def rows_of(values: Any, index: Tensor) -> Tensor | None:
    """Select rows of a tensor; None for another type, such as the output of a custom encoder."""
    return values[index] if isinstance(values, Tensor) else None


def _is_source(sample: TextRecogDataSample, needs_target: bool) -> bool:
    domain = sample.get('domain')
    if domain is None and not needs_target:
        return True
    if domain not in ('source', 'target'):
        raise ValueError(
            f"a data sample needs domain='source' or 'target', got {domain!r} for "
            f'{sample.get("img_path")}: build the training data with mmocr_da.TwoDomainDataset'
        )
    label = getattr(sample.get('gt_text'), 'item', '') and 'a text'
    if len(sample.get('gt_instances', ())):
        label = 'instances'
    if domain == 'target' and label:
        raise ValueError(
            f'the target image {sample.get("img_path")} carries {label}: labels of the target '
            'must not reach training; load it with mmocr_da.UnlabelledDataset'
        )
    return domain == 'source'
