"""Adapts the hosts, which were released in 2023, to today's torch.

``import mmocr_da`` calls :func:`check_hosts` and :func:`apply` before anything imports MMOCR.
Nothing here changes what a function computes; each entry says when it can be deleted.
"""

import contextlib
import functools
import importlib.metadata
import importlib.util
import logging
import pickle
import re
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import CodeType
from typing import Any

from mmocr_da.config_names import CONFIGS, near_configs
from mmocr_da.version import HOSTS, __version__

_applied: list[bool] = []
_libraries: list[Any] = []  # an operator lives as long as the Library object that declared it


def check_hosts(
    hosts: Mapping[str, str] = HOSTS, installed: Mapping[str, str] | None = None
) -> None:
    """Check the versions of the hosts.

    Args:
        hosts: Version specifier by distribution.
        installed: Version by distribution; by default, the installed versions.

    Raises:
        RuntimeError: If a host is missing or has another version; the message names all of them.
            It is not an ImportError, because MMEngine's registries catch ImportErrors, and the
            user would read only that "X is not in the model registry".

    >>> check_hosts({'mmocr': '==1.0.1'}, {'mmocr': '1.0.1'})
    """
    # Imported here, so that this check fails, and no earlier line, if `packaging` is missing.
    from packaging.specifiers import SpecifierSet

    problems, requirements = [], []
    for name, wanted in hosts.items():
        found = _installed_version(name) if installed is None else installed.get(name)
        if found is None or not SpecifierSet(wanted).contains(found, prereleases=True):
            problems.append(f'{name}: wanted {wanted}, found {found or "none"}')
            requirements.append(f'"{name}{wanted}"')
    if installed is None and not problems and not _has_operators():
        # `pip install mmcv` has this result in an isolated build, where setup.py sees no torch.
        problems.append('mmcv: wanted with compiled operators, found without (no mmcv._ext)')
    if problems:
        by_hand = f', or by hand: python -m pip install {" ".join(requirements)}'
        raise RuntimeError(
            f'mmocr_da {__version__} cannot run with what is installed in {sys.prefix}:\n  '
            + '\n  '.join(problems)
            + '\nRun `python tools/setup_env.py` of its repository, which '
            'also builds MMCV' + (by_hand if requirements else '')
        )


def apply() -> None:
    """Apply every adaptation, once."""
    if _applied:
        return
    _declare_torchvision_operators()
    _allow_history_buffers()
    _name_broken_checkpoints()
    _name_missing_configs()
    _applied.append(True)


@contextlib.contextmanager
def no_grad() -> Iterator[None]:
    """``torch.no_grad()`` that clears the cache of autocast at its end.

    Symptom: under autocast, a pass without gradients is followed by a pass with gradients through
    the same weights. The second pass reuses the casts of the first, which have no gradient, so the
    weights are not trained. There is no error.
    Upstream: https://github.com/pytorch/pytorch/issues/158232, up to torch 2.9.
    Delete when: the oldest supported torch is one with the fix, pull request 165068.
    """
    import torch

    try:
        with torch.no_grad():
            yield
    finally:
        torch.clear_autocast_cache()


def _installed_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _has_operators() -> bool:
    folder = _folder_of('mmcv')
    return folder is None or any(folder.glob('_ext*'))


def _folder_of(name: str) -> Path | None:
    """Find the folder of a package without importing it; None if it is not installed."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def _declare_torchvision_operators() -> None:
    """Let torchvision be imported where its compiled library does not fit the torch.

    Symptom: ``RuntimeError: operator torchvision::nms does not exist`` on ``import mmocr.datasets``
    or in ``Runner``, with a CPU torch and the torchvision of PyPI, which is linked to CUDA.
    Upstream: https://github.com/pytorch/vision/issues/9085.
    MMOCR uses only torchvision's transforms, which are written in Python. The declared operators
    have no kernel: calling one raises torchvision's own "Couldn't load custom C++ ops".
    Delete when: torchvision registers these two only after its library has loaded.
    """
    import torch

    folder = _folder_of('torchvision')
    if folder is None or 'torchvision' in sys.modules:
        return
    for path in [*folder.glob('_C*.so'), *folder.glob('_C*.pyd')]:
        try:
            torch.ops.load_library(str(path))
            return  # as torchvision itself will: nothing to do
        except OSError:
            pass
    library = torch.library.Library('torchvision', 'FRAGMENT')
    _libraries.append(library)
    for name in ('nms', 'qnms'):
        if not hasattr(torch.ops.torchvision, name):
            library.define(f'{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')


def _allow_history_buffers() -> None:
    """Let ``torch.load`` read what MMEngine saves, with ``weights_only=True``.

    Symptom: ``UnpicklingError: Weights only load failed ... mmengine.logging.history_buffer`` on
    ``--resume`` with torch>=2.6, which made ``weights_only=True`` the default.
    Upstream: https://github.com/open-mmlab/mmengine/issues/1655. MMEngine's main branch sets
    ``weights_only=False``, which runs whatever code a downloaded checkpoint contains.
    Delete when: MMEngine saves its message hub as plain numbers, or allows the class itself.
    """
    import numpy as np
    import torch
    from mmengine.logging import HistoryBuffer
    from numpy.core import multiarray

    allowed: list[Any] = [
        HistoryBuffer,
        np.ndarray,
        np.dtype,
        # A buffer holds references to its own methods, pickled as getattr(cls, name).
        (_statistic_of_history_buffer, 'builtins.getattr'),
    ]
    for name in ('_reconstruct', 'scalar'):
        function = getattr(multiarray, name)
        # The second is the name in files that were written with numpy 2.
        allowed += [
            (function, f'numpy.core.multiarray.{name}'),
            (function, f'numpy._core.multiarray.{name}'),
        ]
    allowed += [
        type(np.dtype(name))
        for name in ('bool', 'int32', 'int64', 'uint32', 'uint64', 'float16', 'float32', 'float64')
    ]
    torch.serialization.add_safe_globals(allowed)


def _statistic_of_history_buffer(owner: type, name: str) -> Any:
    """``getattr`` for the unpickler, restricted to the statistics of ``HistoryBuffer``."""
    from mmengine.logging import HistoryBuffer

    if owner is not HistoryBuffer or name not in HistoryBuffer()._statistics_methods:
        raise pickle.UnpicklingError(
            f'a checkpoint may not look up {name!r} of {owner!r}; if you trust its source, load it '
            'with torch.load(..., weights_only=False) and save only its state_dict'
        )
    return getattr(owner, name)


def _name_broken_checkpoints() -> None:
    """Explain which checkpoint is cut off or holds foreign classes, and what to do.

    Replaces MMEngine's loader of local files by one that calls the original and explains its
    errors.

    Symptom: ``RuntimeError: PytorchStreamReader failed reading zip archive: failed finding central
    directory``, with no file name, after a run was killed while it saved; or ``UnpicklingError:
    Weights only load failed`` with a checkpoint of another program; the advice in that message
    runs the code of the file.
    Upstream: MMEngine writes checkpoints in place (``LocalBackend.put``), not to a temporary file,
    and passes errors of ``torch.load`` on.
    Delete when: MMEngine writes to a temporary file and explains these errors.
    """
    from mmengine.runner.checkpoint import CheckpointLoader
    from mmengine.runner.checkpoint import load_from_local as load

    @CheckpointLoader.register_scheme(prefixes='', force=True)
    def load_from_local(filename: str, map_location: Any) -> Any:
        path = Path(filename).expanduser()
        try:
            return load(filename, map_location)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f'there is no checkpoint {filename}; {_whole_checkpoints(path)}'
            ) from error
        except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
            if message := foreign_classes(path, error):
                raise pickle.UnpicklingError(message) from error
            if not _is_cut_off(path, error):
                raise
            raise ValueError(
                f'{filename} ({path.stat().st_size} bytes) is not a whole checkpoint: it was cut '
                'off, as when a run is killed while it saves. Delete it and resume from an earlier '
                f'one; {_whole_checkpoints(path)}'
            ) from error


def _name_missing_configs() -> None:
    """Say which configs are most like one that does not exist.

    Symptom: ``FileNotFoundError: file ".../small_assda_p2h.py" does not exist`` for a
    ``_base_ = 'mmocr_da::...'``, as this version has another name for that config.
    Upstream: MMEngine's metafiles list only configs with released weights.
    Delete when: MMEngine lets a package say where a config went.
    """
    from mmengine.config import Config

    find = Config._get_cfg_path

    def get_cfg_path(base: str, filename: str) -> tuple[str, str | None]:
        package, _, name = base.rpartition('::')
        try:
            path, scope = find(base, filename)
        except FileNotFoundError as error:
            near = near_configs(CONFIGS / name) if package == 'mmocr_da' else ''
            raise FileNotFoundError(f'{error}{near}') from None
        if not Path(path).is_file() and (near := near_configs(path)):
            raise FileNotFoundError(f'file "{path}" does not exist{near}')
        return path, scope

    Config._get_cfg_path = staticmethod(get_cfg_path)


def foreign_classes(path: Path, error: Exception | None = None) -> str | None:
    """Explain a checkpoint that holds objects which ``weights_only`` refuses.

    Args:
        path: The checkpoint.
        error: The error that loading it raised. Needed for files in the format before PyTorch 1.6;
            later ones list their classes.

    Returns:
        The message, or None if there are no such objects.
    """
    import torch

    if zipfile.is_zipfile(path):
        try:
            names = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
        except Exception:  # not a checkpoint: loading it will say so
            names = []
    else:
        names = re.findall(r'(?:GLOBAL|class) (\S+) was not an allowed', str(error))
    if not names:
        return None
    load = f"c = torch.load('{path}', map_location='cpu', weights_only=False)"
    save = "torch.save(dict(state_dict=c.get('state_dict', c)), 'weights.pth')"
    return (
        f'{path} is whole, but holds objects of {", ".join(sorted(names))} beside its weights, '
        'which are not loaded, since that could run any code. If you trust its source, save '
        f'the weights alone: python -c "import torch; {load}; {save}"'
    )


def share_lmdb_environments(environment: Callable[[str], Any]) -> None:
    """Have MMOCR's ``RecogLMDBDataset`` use ``environment(path)``, which can be opened twice.

    Symptom: ``lmdb.Error: The environment '...' is already open in this process`` if one LMDB is
    the target and a validation set; a bus error if ``data.mdb`` is cut off.
    Upstream: https://github.com/jnwatson/py-lmdb/issues/230; LMDB itself forbids it.
    Called by ``mmocr_da.datasets``, as ``mmocr.datasets`` is slow to import.
    Delete when: RecogLMDBDataset keeps one environment per path and process.
    """
    from mmocr.datasets import RecogLMDBDataset

    def make_environment(dataset: Any) -> None:
        if not hasattr(dataset, 'env'):
            dataset.env = environment(dataset.ann_file)

    RecogLMDBDataset._make_env = make_environment


def parse_conditions_once() -> None:
    """Have MMOCR's ``ConditionApply`` parse its condition once, and not for each image.

    Symptom: 0.17 ms for each image and the condition of ``configs/_base_/standardized.py``, which
    computes 0.03 ms.
    Called by ``mmocr_da.datasets``, as ``mmocr.datasets`` is slow to import.
    Delete when: ConditionApply compiles its condition.
    """
    from mmocr.datasets.transforms import ConditionApply, wrappers

    @functools.cache
    def parsed(condition: str) -> CodeType:
        return compile(condition.lstrip(' \t'), '<condition>', 'eval')  # as `eval` does

    def transform(self: Any, results: dict[str, Any]) -> dict[str, Any] | None:
        names = dict(self=self, results=results)
        holds = eval(parsed(self.condition), vars(wrappers), names)
        return (self.true_transforms if holds else self.false_transforms)(results)

    ConditionApply.transform = transform


def _is_cut_off(path: Path, error: Exception) -> bool:
    with open(path, 'rb') as file:
        head = file.read(4)
    if len(head) < 4:
        return True
    if head == b'PK\3\4':
        # A zip's table of contents is its end.
        return not zipfile.is_zipfile(path) or 'PytorchStreamReader' in str(error)
    # The format before PyTorch 1.6: a pickle, then the tensors.
    return isinstance(error, EOFError) or any(
        sign in str(error) for sign in ('truncated', 'unexpected EOF')
    )


def _whole_checkpoints(path: Path) -> str:
    others = [
        other for other in path.parent.glob('*.pth') if other != path and zipfile.is_zipfile(other)
    ]
    if not others:
        return f'{path.parent} has no other: start the run again'
    latest = max(others, key=lambda other: other.stat().st_mtime)
    return f'the latest whole one beside it is {latest} (load_from={latest} resume=True)'


class _CopyIsNotTrained(logging.Filter):
    """Drops the message that a weight of a copy of the recognizer is not trained."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = str(record.msg)
        return not (
            message.startswith('objectives.') and ' is skipped since its requires_' in message
        )


def expect_untrained_copies() -> None:
    """Let the log of a run be silent about weights that objectives copy, and do not train.

    Symptom: with a ``paramwise_cfg``, MMEngine warns of each weight without a gradient, a hundred
    lines for a teacher.
    """
    from mmengine.logging import MMLogger

    logger = MMLogger.get_current_instance()
    if not any(isinstance(f, _CopyIsNotTrained) for f in logger.filters):
        logger.addFilter(_CopyIsNotTrained())
