"""Checks and reads checkpoint files."""

import os.path as osp
import re
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmocr_da.arguments import some
from mmocr_da.compat import foreign_classes


def check_checkpoint(path: str | None, name: str = 'load_from') -> None:
    """Check that a checkpoint is whole; remote ones are not checked.

    Raises:
        ValueError: If the file does not exist, is cut off or is no checkpoint.

    >>> check_checkpoint('https://example.com/crnn.pth')
    >>> check_checkpoint('/no/such/file.pth')
    Traceback (most recent call last):
        ...
    ValueError: load_from must be a checkpoint file, got '/no/such/file.pth', which does not exist
    """
    if path is None or '://' in path:
        return
    if not osp.isfile(path):
        is_what = 'is a folder' if osp.isdir(path) else 'does not exist'
        raise ValueError(f'{name} must be a checkpoint file, got {path!r}, which {is_what}')
    # The table of contents of a zip is its end, so a file that is cut off is no zip.
    if zipfile.is_zipfile(path):
        if message := foreign_classes(Path(path)):
            raise ValueError(f'{name}: {message}')
        return
    # Files from before PyTorch 1.6 are a pickle followed by the tensors: they must be read.
    try:
        torch.load(path, map_location='cpu', weights_only=True)
    # An EOFError, UnpicklingError, RuntimeError, OSError, ..., depending on where the file ends.
    except Exception as error:
        if message := foreign_classes(Path(path), error):
            raise ValueError(f'{name}: {message}') from error
        raise ValueError(
            f'{name} must be a whole checkpoint, got {path!r} of {osp.getsize(path)} bytes, which '
            'is cut off or no checkpoint; download or copy it again, or take an earlier one'
        ) from error


def read_checkpoint(path: str) -> dict:
    """Read a local checkpoint; if possible, tensors stay on the disk until they are used."""
    return torch.load(path, map_location='cpu', weights_only=True, mmap=zipfile.is_zipfile(path))


def weights_of(checkpoint: dict, raw: bool = False) -> dict[str, Tensor]:
    """Return the weights in a checkpoint as the runner loads them, without the prefix of DDP.

    A checkpoint of MMEngine's ``EMAHook`` has the *averaged* weights in ``state_dict`` and the
    trained ones in ``ema_state_dict``: the hook swaps the two when it saves.

    Args:
        raw: Return the trained weights instead of their average.

    Raises:
        ValueError: If ``raw`` is set and the checkpoint has no average.
    """
    found = checkpoint.get('state_dict', checkpoint)
    if raw:
        if 'ema_state_dict' not in checkpoint:
            raise ValueError(
                '--raw needs a checkpoint of EMAHook, got one without ema_state_dict; '
                'its weights are the raw ones already, leave --raw out'
            )
        trained = checkpoint['ema_state_dict']
        trained = {key: trained[key] for key in trained if key.startswith('module.')}
    weights = OrderedDict(
        (re.sub(r'^module\.', '', str(key)), value)
        for key, value in [*found.items(), *(trained.items() if raw else ())]
        if isinstance(value, Tensor)
    )
    set_versions(weights, getattr(found, '_metadata', OrderedDict()))
    return weights


def versions_of(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the versions of the layers that wrote the weights, by layer name."""
    return getattr(weights, '_metadata', {})


def set_versions(weights: Mapping[str, Tensor], versions: Mapping[str, Any] | None) -> None:
    """Attach versions to weights; without them, some layers take the keys for old ones."""
    setattr(weights, '_metadata', versions)  # where torch looks for them


def check_finite(weights: dict[str, Tensor], model: nn.Module | None, path: str) -> None:
    """Check that all weights are finite numbers; a constant of ``model`` may be infinite.

    SVTR's masks, for example, are infinite in every checkpoint.

    Raises:
        ValueError: If a weight is NaN or infinite.
    """
    constants = (
        {}
        if model is None
        else {key.removeprefix('module.'): value for key, value in model.state_dict().items()}
    )
    broken = [
        key
        for key, value in weights.items()
        if value.is_floating_point()
        and not value.isfinite().all()
        and not (key in constants and torch.equal(value, constants[key].to(value)))
    ]
    if broken:
        raise ValueError(
            f'all weights must be finite numbers, got NaN or infinity in {some(broken, 3)}'
            f' of {path!r}: its training has diverged; take an earlier checkpoint, and train '
            'with a lower learning rate or with clip_grad'
        )
