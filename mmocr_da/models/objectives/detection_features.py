"""The features of one domain that an objective of detectors gets."""

from collections.abc import Callable, Mapping, Sequence

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor

from mmocr_da.device import on_device

from ..valid_ratio import num_valid

#: The parts of a detector whose feature maps an objective can choose.
PARTS = ('backbone', 'neck')


class DetectionFeatures:
    """Features of the ``N`` images of one domain; ``N`` may be 0.

    Args:
        levels: By part, ``'backbone'`` and, if there is one, ``'neck'``: its feature maps
            ``(N, C, H, W)``, in the order of the part.
        images: ``(N, C, H, W)``, preprocessed, with padding at the right and at the bottom.
        samples: The data samples of the images.
        labelled_loss: See :meth:`labelled_loss`.
        instances: Computes what :meth:`instances` returns; None for detectors without proposals.
        text_maps: Computes what :meth:`text_maps` returns; None for heads without such maps.
    """

    def __init__(
        self,
        levels: Mapping[str, Sequence[Tensor]],
        images: Tensor,
        samples: Sequence[BaseDataElement] = (),
        labelled_loss: Callable[..., dict[str, Tensor]] | None = None,
        instances: Callable[[int], tuple[Tensor, Tensor]] | None = None,
        text_maps: Callable[[], Tensor] | None = None,
    ) -> None:
        self.levels = levels
        self.images = images
        self.samples = samples
        self._labelled_loss = labelled_loss
        self._compute_instances = instances
        self._compute_text_maps = text_maps
        self._instances: dict[int, tuple[Tensor, Tensor]] = {}

    def level(self, part: str, index: int) -> Tensor:
        """Return one feature map of a part, ``(N, C, H, W)``.

        Raises:
            ValueError: If the part has no such map.
        """
        maps = self.levels.get(part, ())
        if index >= len(maps):
            raise ValueError(
                f'level must be below {len(maps)}, the number of feature maps of the {part}, got '
                f'{index}'
            )
        return maps[index]

    def valid_positions(self, feature_map: Tensor) -> Tensor:
        """Mark the positions of a feature map that are not padding, ``(N, H, W)`` bool.

        An image covers ``img_shape`` of its data sample, from the left and the top; without it, all
        of the batch. At least one position of each image counts.

        >>> sample = BaseDataElement(metainfo=dict(img_shape=(8, 6)))
        >>> domain = DetectionFeatures({}, torch.zeros(1, 3, 8, 16), [sample])
        >>> domain.valid_positions(torch.zeros(1, 2, 1, 4))
        tensor([[[ True,  True, False, False]]])
        """
        size = self.images.shape[-2:]
        shapes = [tuple(sample.get('img_shape', size))[:2] for sample in self.samples]
        ratios = torch.tensor(shapes, dtype=torch.float).reshape(-1, 2) / torch.tensor(size)
        inside = []
        for ratio, count in zip(ratios.T, feature_map.shape[-2:]):
            valid = on_device(num_valid(ratio, count), feature_map.device)
            inside.append(torch.arange(count, device=feature_map.device) < valid[:, None])
        rows, columns = inside
        return rows[:, :, None] & columns[:, None, :]

    def zero(self) -> Tensor:
        """Return a loss of 0 that is connected to all feature maps."""
        return zero_of(self.levels)

    def instances(self, count: int) -> tuple[Tensor, Tensor]:
        """Return the features of the best proposals of each image, computed once.

        Args:
            count: Number of proposals of an image.

        Returns:
            Features ``(M, D)``, and of each its image, ``(M,)`` integers from 0 to ``N - 1``.
        """
        if count not in self._instances:
            assert self._compute_instances is not None
            self._instances[count] = self._compute_instances(count)
        return self._instances[count]

    def text_maps(self) -> Tensor:
        """Compute the logits of the maps of text that the head predicts, ``(N, K, h, w)``."""
        assert self._compute_text_maps is not None
        return self._compute_text_maps()

    def labelled_loss(
        self, rows: Sequence[int], samples: list[BaseDataElement]
    ) -> dict[str, Tensor]:
        """Compute the detector's own losses of some images with instances of an objective's making.

        Args:
            rows: Which of the images, at least one.
            samples: One per row, with the instances as ``gt_instances``.

        Returns:
            One scalar for each loss of the detector, by its name there.
        """
        assert self._labelled_loss is not None
        return self._labelled_loss(rows, samples)


def zero_of(levels: Mapping[str, Sequence[Tensor]]) -> Tensor:
    """Return 0, connected to all feature maps."""
    maps = [x for part in levels.values() for x in part]
    return torch.stack([x.sum() for x in maps]).sum() * 0
