"""Prepares the config of ``tools/train.py`` and ``tools/test.py``, and trains.

A run that cannot work stops here with a reason, and not later in the first iteration.
"""

import atexit
import glob
import logging
import os
import os.path as osp
import sys
import zipfile
from collections.abc import Sequence

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_distributed
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import RUNNERS
from mmengine.runner import Runner, find_latest_checkpoint
from mmocr.registry import VISUALIZERS

from mmocr_da.config_names import near_configs
from mmocr_da.cpu import keep_memory

from .checkpoints import check_checkpoint, read_checkpoint
from .dictionary_check import check_dictionary
from .guards import add_guards, check_strategy
from .hooks import CheckpointFitHook
from .hooks.whole_checkpoints_hook import PART
from .work_dir import check_work_dir


def load_config(
    path: str, work_dir: str | None = None, launcher: str = 'none', cfg_options: dict | None = None
) -> Config:
    """Read a config and set ``launcher`` and ``work_dir`` as MMOCR's tools do.

    A dataloader without workers loses ``persistent_workers``, which PyTorch refuses there.

    The work directory is, by priority: ``work_dir``, the config's own, ``work_dirs/<config name>``.

    Raises:
        ValueError: If the config does not exist.
    """
    if not osp.isfile(path):
        raise ValueError(
            f'config must be an existing file, got {path!r}; '
            f'check the path, relative ones start at the current directory{near_configs(path)}'
        )
    cfg = Config.fromfile(path)
    cfg.launcher = launcher
    if cfg_options is not None:
        cfg.merge_from_dict(cfg_options)
    _end_idle_workers(cfg)
    name = osp.splitext(osp.basename(path))[0]
    cfg.work_dir = work_dir or cfg.get('work_dir') or osp.join('./work_dirs', name)
    return cfg


def _end_idle_workers(cfg: Config) -> None:
    for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loaders = cfg.get(key) or []
        for loader in [loaders] if isinstance(loaders, dict) else loaders:
            if loader.get('num_workers') == 0:
                loader.pop('persistent_workers', None)


def train(cfg: Config, hooks: Sequence[Hook] = ()) -> bool:
    """Check the config of a training run, and train.

    Args:
        cfg: As :func:`load_config` returns it.
        hooks: Further hooks, which are not in the config.

    Returns:
        Whether this process has joined a group, which :func:`finish_cpu_launch` leaves.

    Raises:
        ValueError: If the run cannot work; nothing is written then.
    """
    check_config(cfg)
    joined = prepare_cpu_launch(cfg)
    name_visualizer(cfg)
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    for hook in hooks:
        runner.register_hook(hook)
    check_training(runner)
    runner.train()
    return joined


def check_config(cfg: Config) -> None:
    """Check the config of a training run, before anything is built.

    Raises:
        ValueError: If the run cannot work.
    """
    check_strategy(cfg)
    check_amp(cfg)
    check_checkpoint(cfg.get('load_from'), '--resume' if cfg.get('resume') else 'load_from')
    check_dictionary(cfg, cfg.get('load_from'), fine_tuning=not cfg.get('resume'))
    check_work_dir(cfg, training=True)


def name_visualizer(cfg: Config) -> None:
    """Rename the visualizer if this program has one of its name.

    MMEngine has one visualizer for each name. That of an earlier run would write the curves of this
    one into the folder of the earlier one.
    """
    visualizer = cfg.get('visualizer')
    if not visualizer or 'name' not in visualizer:  # MMEngine's own name has the time in it
        return
    kind, name, number = visualizer['type'], visualizer['name'], 2
    cls = VISUALIZERS.get(kind) if isinstance(kind, str) else kind
    while cls is not None and cls.check_instance_created(visualizer['name']):
        visualizer['name'] = f'{name}_{number}'
        number += 1


def check_training(runner: Runner) -> None:
    """Check the checkpoint of a training run before its data are loaded.

    Raises:
        ValueError: If it does not fit the model.
    """
    add_guards(runner)
    path = runner._load_from
    local = path is not None and '://' not in path
    hook = next(hook for hook in runner.hooks if isinstance(hook, CheckpointFitHook))
    hook.check_early(runner, read_checkpoint(path) if local else None)


def set_resume(cfg: Config, resume: str) -> None:
    """Resume from the checkpoint ``resume``, or with ``'auto'`` from the last in ``work_dir``.

    If a config has ``load_from``, MMEngine resumes *this* file: an adaptation
    would continue with the iteration and the optimizer of its source-only checkpoint. And without
    ``load_from`` it trains from random weights if ``work_dir`` is still empty. So the file is
    looked up here, and if there is none yet, the run starts as without ``--resume``.
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
    """The checkpoint that a run wrote last, or the newest whole one if that one is lost."""
    named = find_latest_checkpoint(work_dir)
    if named is None:
        return None
    if named and not osp.isfile(named):
        # `last_checkpoint` holds the path at the time of writing: the folder may have moved since,
        # or the run may have been started from another directory.
        moved = osp.join(work_dir, osp.basename(named))
        named = moved if osp.isfile(moved) else named
    for part in glob.glob(osp.join(work_dir, f'*.pth{PART}')):
        print_log(
            f'{part} is a checkpoint whose writing was interrupted; the one before it is whole',
            logger='current',
        )
    if named and zipfile.is_zipfile(named):
        return named
    # A run that is killed while it writes the name leaves an empty file, and a full disk a
    # checkpoint that is cut off.
    whole = [
        file
        for pattern in ('iter_*.pth', 'epoch_*.pth')
        for file in glob.glob(osp.join(work_dir, pattern))
        if zipfile.is_zipfile(file)
    ]
    if not whole:
        return named or None
    newest = max(whole, key=osp.getmtime)
    lost = f'{named}, which last_checkpoint names, is not whole' if named else 'no name in it'
    print_log(
        f'{work_dir}/last_checkpoint: {lost}. The run is resumed from {newest}, the newest whole '
        'checkpoint',
        logger='current',
        level=logging.WARNING,
    )
    return newest


def enable_amp(cfg: Config) -> None:
    """Replace ``OptimWrapper`` by ``AmpOptimWrapper``.

    Raises:
        ValueError: If the config has another wrapper.
    """
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
    """Scale the learning rate by the real batch size over ``auto_scale_lr.base_batch_size``.

    Raises:
        ValueError: If the config does not have it.
    """
    if 'base_batch_size' not in (cfg.get('auto_scale_lr') or {}):
        raise ValueError(
            '--auto-scale-lr needs auto_scale_lr.base_batch_size in the config, got '
            f'auto_scale_lr={cfg.get("auto_scale_lr")}'
        )
    cfg.auto_scale_lr.enable = True


def set_seed(cfg: Config, seed: int | None, deterministic: bool) -> None:
    """Set the seed and, on request, deterministic kernels; keep the rest of ``randomness``."""
    randomness = dict(cfg.get('randomness') or {})
    if seed is not None:
        randomness['seed'] = seed
    if deterministic:
        randomness['deterministic'] = True
        # cuBLAS reads it once, when CUDA starts; without it PyTorch refuses matrix products.
        os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
    cfg.randomness = randomness


def prepare_cpu_launch(cfg: Config) -> bool:
    """Let one or several processes train without a GPU: malloc, gloo, DDP without device numbers.

    MMEngine's launchers choose a CUDA device whatever the backend is, and its default wrapper
    hands DDP the local rank as a device. So this makes the process group and configures the wrapper
    before the runner does.

    Returns:
        Whether it has joined a group of processes, which :func:`finish_cpu_launch` leaves.

    Raises:
        ValueError: If the launcher is neither ``'none'`` nor ``'pytorch'``.
    """
    if get_device() != 'cpu':
        return False
    keep_memory()
    if cfg.launcher == 'none':
        return False
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
    if is_distributed():
        return False
    torch.distributed.init_process_group(backend='gloo')
    return True


def finish_cpu_launch() -> None:
    """End a process of a distributed run on CPUs that has done its work, with exit status 0.

    The processes wait for each other and leave their group. Then the process ends at once, after
    all that is registered with ``atexit``: the model still holds threads of gloo, which may abort a
    process that Python takes apart, and the launcher would report a failed run.
    """
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
