"""Reads the predictions that ``tools/test.py --save-preds`` writes."""

import os.path as osp

from mmengine.fileio import load

from .prediction_change import Predictions


def read_predictions(file: str, only: str = '') -> tuple[list[str], Predictions, list[str | None]]:
    """Read the images of a test run whose paths contain ``only``.

    Returns:
        Paths, predictions, and labels: None where there is none.

    Raises:
        ValueError: If the file is none of ``tools/test.py --save-preds``, or no path contains it.
    """
    if not osp.isfile(file):
        raise ValueError(f'predictions must be a file of tools/test.py --save-preds, got {file}')
    samples = load(file, file_format='pkl')
    if not isinstance(samples, list) or not all(
        isinstance(sample, dict) and {'img_path', 'pred_text'} <= sample.keys()
        for sample in samples
    ):
        raise ValueError(
            f'{file} must hold the predictions of a text recognizer with the paths of the images, '
            "as tools/test.py --save-preds writes it; is 'img_path' in the meta_keys of the test "
            'pipeline?'
        )
    samples = [sample for sample in samples if only in sample['img_path']]
    if not samples:
        raise ValueError(f'--only must be a part of the paths in {file}, got {only!r}')
    paths = [sample['img_path'] for sample in samples]
    labels = [(sample.get('gt_text') or {}).get('item') or None for sample in samples]
    return paths, Predictions.of(samples), labels


def check_same_images(before: list[str], after: list[str]) -> None:
    """Raise a ValueError unless both test runs are of the same images in the same order."""
    if before != after:
        pairs = enumerate(zip(before, after))
        first = next((i for i, (a, b) in pairs if a != b), min(len(before), len(after)))
        names = [paths[first] if first < len(paths) else 'none' for paths in (before, after)]
        raise ValueError(
            'both files must be of the same images in the same order, got '
            f'{len(before)} and {len(after)}, of which number {first} is {" and ".join(names)}; '
            'test both recognizers with the same test_dataloader'
        )
