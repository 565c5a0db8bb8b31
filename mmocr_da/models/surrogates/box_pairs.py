"""Pairs of rotated boxes with their IoU: the generator of LS-IoU (Patel et al., section 4.3)."""

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmdet.structures.bbox import bbox_xyxy_to_cxcywh
from mmengine.dist import barrier
from mmengine.fileio import load
from mmengine.logging import print_log
from numpy.typing import NDArray

from mmocr_da.arguments import check_count, check_flag, check_number
from mmocr_da.outputs import whole_file
from mmocr_da.structures import (
    polygons_to_rotated,
    regularize,
    rotate,
    rotated_overlaps,
    surrounding,
)

#: Number of pairs per block of IoUs.
CHUNK = 1 << 18
VERSION = 1


class StoredBoxPairs:
    """Labels and jittered labels, stored once with their IoU and drawn uniformly over it.

    The jitter is bounded: the centre moves by up to ``max_shift`` times the label's sides, a side
    changes by up to the factor ``max_scale``, the angle by up to ``max_angle``. The share of
    these bounds that a box may use is drawn first, so that there are close boxes, too.

    The pairs are stored because a uniform IoU cannot be drawn directly: boxes at random places
    hardly ever overlap. The file is the same for the same labels, bounds and seed.

    Args:
        ann_files: Files of labels in MMOCR's format for text detection, one or several. Ignored
            instances, and instances without an area, are left out.
        num_pairs: Number of stored pairs, of 44 bytes each.
        max_shift: Largest shift, in sides of the label.
        max_scale: Largest factor of a side, at least 1.
        max_angle: Largest change of the angle, in degrees.
        axis_parallel: For detectors of boxes of four numbers: labels are the axis-parallel boxes
            around the polygons, and no box has an angle. ``max_angle`` is not used.
        seed: Seed of the stored pairs.
        cache_dir: Folder of the file. The file is named after a hash of the other arguments.

    Raises:
        ValueError: If an option is out of range, or the files have no label with an area.
    """

    def __init__(
        self,
        ann_files: str | Sequence[str],
        num_pairs: int = 3_000_000,
        max_shift: float = 1.0,
        max_scale: float = 2.0,
        max_angle: float = 45.0,
        seed: int = 0,
        cache_dir: str = 'work_dirs/box_pairs',
        axis_parallel: bool = False,
    ) -> None:
        check_count('num_pairs', num_pairs, of='pairs')
        check_number('max_shift', max_shift, least=0)
        check_number('max_scale', max_scale, least=1)
        check_number('max_angle', max_angle, least=0, most=90, why='it is in degrees')
        check_count('seed', seed, least=0)
        check_flag('axis_parallel', axis_parallel)
        self.labels = read_labels([ann_files] if isinstance(ann_files, str) else ann_files)
        if axis_parallel:
            around = bbox_xyxy_to_cxcywh(surrounding(torch.from_numpy(self.labels)))
            self.labels = F.pad(around, (0, 1)).numpy()
        self.num_pairs, self.seed = num_pairs, seed
        self.bounds: dict[str, Any] = dict(max_shift=max_shift, max_scale=max_scale)
        self.bounds['max_angle'] = None if axis_parallel else max_angle
        self.file = Path(cache_dir) / f'{self._fingerprint()}.npy'
        # Only one process per machine stores them; torchrun and the Slurm launcher set LOCAL_RANK.
        if os.environ.get('LOCAL_RANK', '0') == '0' and not self.file.exists():
            self._store()
        barrier()
        self.pairs = np.load(self.file, mmap_mode='r')
        #: The first row of each hundredth of the range of the IoU.
        self.bin_starts = np.searchsorted(self.pairs[:, 10], np.linspace(0, 1, 101)[:-1])

    def _fingerprint(self) -> str:
        what = json.dumps([VERSION, self.num_pairs, self.seed, self.bounds], sort_keys=True)
        return hashlib.sha256(what.encode() + self.labels.tobytes()).hexdigest()[:16]

    def _store(self) -> None:
        print_log(f'Storing {self.num_pairs} pairs of boxes in {self.file}', 'current')
        self.file.parent.mkdir(parents=True, exist_ok=True)
        pairs = np.empty((self.num_pairs, 11), np.float32)
        rng = np.random.default_rng(self.seed)
        for start in range(0, self.num_pairs, CHUNK):
            chunk = pairs[start : start + CHUNK]
            labels = torch.from_numpy(self.labels[rng.integers(len(self.labels), size=len(chunk))])
            boxes = jitter(labels, rng, **self.bounds)
            chunk[:, :5], chunk[:, 5:10] = boxes, labels
            chunk[:, 10] = rotated_overlaps(boxes, labels, is_aligned=True)
        pairs = pairs[np.argsort(pairs[:, 10], kind='stable')]
        # Another run may write the same file, and a killed run must leave no half file.
        with whole_file(self.file) as part, open(part, 'wb') as f:
            np.save(f, pairs)

    def draw(
        self, count: int, rng: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Draw pairs of boxes, uniformly over their IoU.

        First one of 100 equal bins of the IoU is drawn, then a pair in this bin or, if it is empty,
        in the next higher bin with pairs.

        Returns:
            Boxes ``(count, 5)``, their labels ``(count, 5)``, and the IoU ``(count,)``.
        """
        bins = rng.integers(len(self.bin_starts), size=count)
        # An empty bin ends where it starts.
        ends = np.append(self.bin_starts[1:], len(self.pairs))
        first = np.minimum(self.bin_starts[bins], len(self.pairs) - 1)
        last = np.maximum(ends[bins], first + 1)
        chosen = np.asarray(self.pairs[np.sort(rng.integers(first, last))])
        rows = torch.from_numpy(rng.permutation(chosen))
        return rows[:, :5], rows[:, 5:10], rows[:, 10]


def read_labels(ann_files: Sequence[str]) -> NDArray[np.float32]:
    """Read all labels with an area that are not ignored, as rotated boxes ``(N, 5)`` float32.

    Raises:
        ValueError: If a file is not in MMOCR's format, or no label has an area.
    """
    polygons, skipped = [], 0
    for file in ann_files:
        annotations = load(file)
        if not isinstance(annotations, dict) or 'data_list' not in annotations:
            raise ValueError(f"ann_files must be in MMOCR's format, with a data_list, got {file}")
        for image in annotations['data_list']:
            for instance in image['instances']:
                polygon = np.asarray(instance.get('polygon', ()), np.float32)
                if instance.get('ignore'):
                    continue
                if len(polygon) < 6 or not np.isfinite(polygon).all():
                    skipped += 1
                    continue
                polygons.append(polygon)
    boxes = polygons_to_rotated(polygons).numpy()
    has_area = boxes[:, 2:4].min(1, initial=np.inf) > 0
    skipped += int((~has_area).sum())
    if not has_area.any():
        raise ValueError(
            'ann_files must have labelled polygons with an area, got none in '
            f'{", ".join(map(str, ann_files))}'
        )
    if skipped:
        print_log(
            f'{skipped} labels without an area are skipped in {", ".join(map(str, ann_files))}',
            'current',
            logging.WARNING,
        )
    return boxes[has_area]


def jitter(
    labels: torch.Tensor,
    rng: np.random.Generator,
    max_shift: float,
    max_scale: float,
    max_angle: float | None,
) -> torch.Tensor:
    """Draw a random box within the bounds around each label, ``(N, 5) -> (N, 5)``.

    Without ``max_angle`` a box keeps the angle of its label, also if it is higher than wide.
    """
    count = len(labels)
    strength = rng.uniform(size=(count, 1)) ** 2
    shift, size, angle = torch.from_numpy(
        (strength * rng.uniform(-1, 1, (count, 5))).astype(np.float32)
    ).split((2, 2, 1), 1)
    centre = labels[:, :2] + rotate(max_shift * shift * labels[:, 2:4], labels[:, 4])
    sides = labels[:, 2:4] * max_scale**size
    if max_angle is None:
        return torch.cat([centre, sides, labels[:, 4:]], 1)
    return regularize(torch.cat([centre, sides, labels[:, 4:] + np.radians(max_angle) * angle], 1))
