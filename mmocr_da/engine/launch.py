"""What ``tools/train.py`` and ``tools/test.py`` settle before a runner exists.

A run that cannot work stops here, with a reason, and not an hour later in the first iteration.
"""

import atexit
import glob
import logging
import os
import os.path as osp
import zipfile
from itertools import zip_longest
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_distributed
from mmengine.logging import print_log
from mmengine.runner import Runner, find_latest_checkpoint
from mmocr.registry import TASK_UTILS
from torch import Tensor, nn

from mmocr_da.arguments import some
from mmocr_da.compat import foreign_classes
from mmocr_da.cpu import keep_memory

from .guards import add_guards
from .hooks import CheckpointFitHook
from .resume import read_config


def load_config(
    path: str, work_dir: str | None = None, launcher: str = 'none', cfg_options: dict | None = None
) -> Config:
    """Read a config and set ``launcher`` and ``work_dir`` as MMOCR's tools do.

    The work directory is, by priority: ``work_dir``, the config's own, ``work_dirs/<config name>``.
    """
    if not osp.isfile(path):
        raise ValueError(
            f'config must be an existing file, got {path!r}; '
            'check the path, relative ones start at the current directory'
        )
    cfg = Config.fromfile(path)
    cfg.launcher = launcher
    if cfg_options is not None:
        cfg.merge_from_dict(cfg_options)
    name = osp.splitext(osp.basename(path))[0]
    cfg.work_dir = work_dir or cfg.get('work_dir') or osp.join('./work_dirs', name)
    return cfg


def check_checkpoint(path: str | None, name: str = 'load_from') -> None:
    """Raise a ValueError unless ``path`` is a whole checkpoint; remote ones are not looked at.

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
    # A zip's table of contents is its end, so a file cut anywhere is no zip, and nothing is read.
    if zipfile.is_zipfile(path):
        if message := foreign_classes(Path(path)):
            raise ValueError(f'{name}: {message}')
        return
    # Files from before PyTorch 1.6 are a pickle with the tensors behind it: they must be read.
    try:
        torch.load(path, map_location='cpu', weights_only=True)
    # By where the file ends, this is an EOFError, UnpicklingError, RuntimeError, OSError, ...
    except Exception as error:
        if message := foreign_classes(Path(path), error):
            raise ValueError(f'{name}: {message}') from error
        raise ValueError(
            f'{name} must be a whole checkpoint, got {path!r} of {osp.getsize(path)} bytes, which '
            'is cut off or no checkpoint; download or copy it again, or take an earlier one'
        ) from error


def check_finite(weights: dict[str, Tensor], model: nn.Module | None, path: str) -> None:
    """Raise a ValueError if weights are NaN or infinite; a constant of ``model`` may be.

    SVTR's masks, for example, are infinite in every checkpoint.
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


def read_checkpoint(path: str) -> dict:
    """A local checkpoint; tensors stay in the file until they are used, if it is of today."""
    return torch.load(path, map_location='cpu', weights_only=True, mmap=zipfile.is_zipfile(path))


def check_training(runner: Runner) -> None:
    """Stop a training run whose checkpoint does not fit before its data are loaded."""
    add_guards(runner)
    path = runner._load_from
    local = path is not None and '://' not in path
    hook = next(hook for hook in runner.hooks if isinstance(hook, CheckpointFitHook))
    hook.check_early(runner, read_checkpoint(path) if local else None)


def check_dictionary(cfg: Config, checkpoint: str | None, fine_tuning: bool = False) -> None:
    """Raise a ValueError if ``checkpoint`` was trained with another dictionary than the config's.

    Its classifier would load where the sizes agree, and read one character for another. In
    ``fine_tuning``, a model without objectives, or with its decoder among ``new_parts``, gets a
    warning only: it may be meant to change its alphabet.

    The checkpoint's dictionary is that of the config that MMEngine saves with it. Where there is
    none to be found, and for remote checkpoints, nothing is checked.
    """
    if checkpoint is None or '://' in checkpoint:
        return
    try:
        ours = TASK_UTILS.build(cfg.model.decoder.dictionary)
        arguments = _dictionary_of(read_checkpoint(checkpoint)['meta']['cfg'])
        if not osp.isfile(arguments['dict_file']):  # on this machine; nothing is downloaded
            print_log(
                f'the dictionary of {checkpoint!r} could not be compared with that of the '
                f'config, as {arguments["dict_file"]!r} is not there',
                logger='current',
                level=logging.WARNING,
            )
            return
        # The class is the config's own: what a checkpoint names is not run.
        theirs = type(ours)(**arguments)
    # No recognizer, no config inside, a dictionary of another class, ...: the rest is the runner's.
    except Exception:
        return
    if theirs.dict == ours.dict:
        return
    pairs = enumerate(zip_longest(theirs.dict, ours.dict))
    index, pair = next((i, pair) for i, pair in pairs if pair[0] != pair[1])
    there, here = ('nothing' if char is None else repr(char) for char in pair)
    message = (
        f'the checkpoint must be trained with the dictionary of the config, got {checkpoint!r} '
        f'with {theirs.num_classes} classes against {ours.num_classes}: class {index} is {there} '
        f'there and {here} here. '
    )
    if not fine_tuning or cfg.model.get('objectives') and not _is_new(cfg, 'decoder'):
        raise ValueError(
            f'{message}Set model.decoder.dictionary to what the checkpoint has, {arguments}, or '
            'train the source model with the dictionary of this config'
            + (", or set new_parts=['decoder'] to learn the characters again" * fine_tuning)
        )
    print_log(
        f'{message}Its classifier has to learn the characters again.',
        logger='current',
        level=logging.WARNING,
    )


def _is_new(cfg: Config, part: str) -> bool:
    """Whether ``new_parts`` of the config names a part or something within it."""
    names = cfg.get('new_parts') or ()
    return any(
        str(name).split('.')[0] == part for name in ([names] if isinstance(names, str) else names)
    )


def _dictionary_of(text: str) -> dict:
    """Arguments of ``model.decoder.dictionary`` in a config's text, which is read, not run.

    ``Config.fromstring`` would run it, and a checkpoint may come from anywhere.

    >>> _dictionary_of("model = dict(decoder=dict(dictionary=dict(type='Dictionary', n=1)))")
    {'n': 1}
    """
    arguments = read_config(text)['model']['decoder']['dictionary']
    return {key: value for key, value in arguments.items() if key not in ('type', '_scope_')}


def set_resume(cfg: Config, resume: str) -> None:
    """Resume from the checkpoint ``resume``, or with ``'auto'`` from the last in ``work_dir``.

    MMEngine, told to resume a config that has ``load_from``, resumes *that* file: an adaptation
    would continue with the iteration and the optimizer of its source-only checkpoint. And without
    ``load_from`` it trains from random weights if ``work_dir`` is still empty. So the file is
    looked up here, and if there is none yet, the run starts as it would without ``--resume``.
    """
    file = _latest_checkpoint(cfg.work_dir) if resume == 'auto' else resume
    if file is None:
        print_log(
            f'No checkpoint to resume in {cfg.work_dir}: the run starts at iteration 0.',
            logger='current',
        )
        cfg.resume = False
    else:
        cfg.resume = True
        cfg.load_from = file


def _latest_checkpoint(work_dir: str) -> str | None:
    path = find_latest_checkpoint(work_dir)
    if path is None or osp.isfile(path):
        return path
    # `last_checkpoint` holds the path as it was when written: the folder may have moved since,
    # or the run may have been started from another directory.
    moved = osp.join(work_dir, osp.basename(path))
    if path and osp.isfile(moved):
        return moved
    # A run that was killed while it wrote the name leaves an empty file: the newest whole one.
    whole = [
        file
        for pattern in ('iter_*.pth', 'epoch_*.pth')
        for file in glob.glob(osp.join(work_dir, pattern))
        if zipfile.is_zipfile(file)
    ]
    return max(whole, key=osp.getmtime) if whole else path or None


def enable_amp(cfg: Config) -> None:
    """Turn ``OptimWrapper`` into ``AmpOptimWrapper``."""
    wrapper = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if wrapper == 'AmpOptimWrapper':
        print_log('AMP training is already enabled in your config.', logger='current')
    elif wrapper == 'OptimWrapper':
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.loss_scale = 'dynamic'
    else:
        raise ValueError(
            f"--amp needs optim_wrapper.type='OptimWrapper', got {wrapper!r}; "
            'set the mixed precision of this wrapper in the config'
        )


def check_amp(cfg: Config) -> None:
    """Raise a ValueError if the config trains in mixed precision on a CPU."""
    wrapper = (cfg.get('optim_wrapper') or {}).get('type')
    # MMEngine's scaler knows no Apple GPU either.
    if wrapper == 'AmpOptimWrapper' and get_device() in ('cpu', 'mps'):
        raise ValueError(
            'mixed precision (--amp, or AmpOptimWrapper in the config) needs a GPU, '
            'got a machine without one; train in float32 (OptimWrapper)'
        )


def enable_auto_scale_lr(cfg: Config) -> None:
    """Scale the learning rate by the real batch size over ``auto_scale_lr.base_batch_size``."""
    if 'base_batch_size' not in (cfg.get('auto_scale_lr') or {}):
        raise ValueError(
            '--auto-scale-lr needs auto_scale_lr.base_batch_size in the config, got '
            f'auto_scale_lr={cfg.get("auto_scale_lr")}'
        )
    cfg.auto_scale_lr.enable = True


def set_seed(cfg: Config, seed: int | None, deterministic: bool) -> None:
    """Set the seed and, if asked for, deterministic kernels; keep the rest of ``randomness``."""
    randomness = dict(cfg.get('randomness') or {})
    if seed is not None:
        randomness['seed'] = seed
    if deterministic:
        randomness['deterministic'] = True
        # cuBLAS reads it once, when CUDA starts; without it PyTorch refuses to multiply.
        os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
    cfg.randomness = randomness


def prepare_cpu_launch(cfg: Config) -> None:
    """Let one or several processes train without a GPU: malloc, gloo, DDP without device numbers.

    MMEngine's launchers choose a CUDA device whatever the backend is, and its default wrapper
    hands DDP the local rank as a device. A process group that exists is left alone by the runner,
    and a wrapper that is configured is built as configured.
    """
    if get_device() != 'cpu':
        return
    keep_memory()
    if cfg.launcher == 'none':
        return
    if cfg.launcher != 'pytorch':
        raise ValueError(
            f"without a GPU, launcher must be 'none' or 'pytorch' (torchrun), got {cfg.launcher!r}"
        )
    cfg.setdefault('env_cfg', {})
    cfg.env_cfg.dist_cfg = dict(backend='gloo')
    wrapper = dict(
        type='MMDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False),
    )
    wrapper.update(cfg.get('model_wrapper_cfg') or {}, device_ids=None)
    cfg.model_wrapper_cfg = wrapper
    if not is_distributed():
        torch.distributed.init_process_group(backend='gloo')
        # Threads of gloo that are still there when Python ends may abort a finished process.
        atexit.register(_destroy_process_group)


def _destroy_process_group() -> None:
    if is_distributed():
        torch.distributed.destroy_process_group()
