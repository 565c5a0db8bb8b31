"""Train a model: MMOCR's ``tools/train.py``, with checks that stop a run that cannot work.

    python tools/train.py CONFIG

It writes checkpoints and logs to ``work_dirs/<config name>``, or to ``--work-dir``. In addition to
MMOCR's arguments it has ``--seed`` and ``--deterministic``; ``--resume FILE`` resumes that
checkpoint, ``--resume`` alone the last one in the work directory, or starts at iteration 0.
"""

import argparse
import os

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
from mmengine.config import DictAction

from mmocr_da.engine.launch import (
    enable_amp,
    enable_auto_scale_lr,
    finish_cpu_launch,
    load_config,
    set_resume,
    set_seed,
    train,
)


def parse_args():
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Train a model')
    parser.add_argument('config', help='Train config file path')
    parser.add_argument('--work-dir', help='The dir to save logs and models')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='Resume from CHECKPOINT, or from the last checkpoint in the work dir',
    )
    parser.add_argument('--amp', action='store_true', help='Train in mixed precision')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='Scale the learning rate by batch size / `auto_scale_lr.base_batch_size`',
    )
    parser.add_argument('--seed', type=int, help='Random seed; default: as in the config')
    parser.add_argument(
        '--deterministic',
        action='store_true',
        help='Deterministic kernels only: same seed, same weights; slower. An operation that has '
        'none (CTC on a GPU) stops with an error',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='Override settings of the config: key=value pairs, as in optim_wrapper.clip_grad='
        'None, key="[a,b]" or key=a,b for lists; no white space, quotation marks needed',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='Job launcher',
    )
    # torchrun sets LOCAL_RANK; `torch.distributed.launch` passes an argument.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def main():
    args = parse_args()
    cfg = load_config(args.config, args.work_dir, args.launcher, args.cfg_options)
    set_seed(cfg, args.seed, args.deterministic)
    if args.amp:
        enable_amp(cfg)
    if args.auto_scale_lr:
        enable_auto_scale_lr(cfg)
    if args.resume is not None:
        set_resume(cfg, args.resume)
    joined = train(cfg)
    if joined:
        finish_cpu_launch()


if __name__ == '__main__':
    main()
