"""Measure the speed of SeqCLR's augmentation, relative to imgaug and to the training.

    python tools/benchmarks/view_speed.py configs/seqclr/small/small_seqclr-window.py

It prints the time of each operation of the paper for an image of 32 x 100 x 3, with our transforms
and with the transforms of imgaug. Then, for the config, it prints the number of images per second
that one process loads and augments, and the number that the model is trained on. At a ratio above
1, one worker is enough to keep the model busy.

Measurements that are compared alternate within one run, so that other load of the machine affects
both; times are medians.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
import cv2
import imgaug.augmenters as iaa
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.logging import MessageHub
from mmengine.optim import build_optim_wrapper
from mmengine.registry import TRANSFORMS
from mmocr.registry import DATASETS, MODELS
from mmocr.utils import register_all_modules

from mmocr_da.datasets.seeded_sampler import Draw
from mmocr_da.engine.launch import load_config

VIEWS = Path(__file__).parents[2] / 'configs/_base_/datasets/seqclr_views.py'
# The pseudo-code of the paper, in the order of the config.
IMGAUG = [
    iaa.LinearContrast((0.5, 1.0)),
    iaa.GaussianBlur((0.5, 1.5)),
    iaa.Crop(percent=((0, 0.4), 0, (0, 0.4), 0)),
    iaa.Crop(percent=(0, (0, 0.02), 0, (0, 0.02))),
    iaa.Sharpen(alpha=(0.0, 0.5), lightness=(0.0, 0.5)),
    iaa.PiecewiseAffine(scale=(0.02, 0.03), mode='edge'),
    iaa.PerspectiveTransform(scale=(0.01, 0.02)),
]


def parse_args():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', nargs='?', help='Without it, the operations alone')
    parser.add_argument('--steps', type=int, default=30, help='Steps of training, and repetitions')
    parser.add_argument('--threads', type=int, help='CPU threads of the training')
    args = parser.parse_args()
    if args.steps < 1:
        parser.error(f'--steps must be at least 1, got {args.steps}')
    return args


def seconds(function: Callable, repeats: int = 1) -> float:
    """Mean seconds of a call."""
    start = time.perf_counter()
    for _ in range(repeats):
        function()
    return (time.perf_counter() - start) / repeats


def time_operations(steps: int) -> None:
    """Measure each operation and print a row for it."""
    images = np.random.default_rng(0).integers(0, 256, (16, 32, 100, 3), dtype=np.uint8)
    augmentation = Config.fromfile(VIEWS).seqclr_augmentation
    rows = [
        (TRANSFORMS.build(op), other)
        for op, other in zip(augmentation.transforms, IMGAUG, strict=True)
    ]
    print(f'{"us per image of 32 x 100 x 3":30s} {"ours":>8s} {"imgaug":>8s} {"ratio":>6s}')
    for ours, theirs in rows:
        times = ([], [])
        for step in range(steps + 1):
            image = images[step % len(images)]
            pair = (
                seconds(lambda: ours(dict(img=image)), 5),
                seconds(lambda: theirs.augment_image(image), 5),
            )
            if step > 0:  # warm-up
                for kept, value in zip(times, pair):
                    kept.append(value)
        first, second = (1e6 * statistics.median(kept) for kept in times)
        name = type(ours).__name__
        print(f'{name:30s} {first:8.1f} {second:8.1f} {second / first:6.1f}')
    # imgaug's SomeOf does not run with NumPy 1.24 or later.
    some_of = TRANSFORMS.build(augmentation)
    mean = seconds(lambda: some_of(dict(img=images[0])), 10 * steps)
    print(f'{"SomeOf, mean":30s} {1e6 * mean:8.1f}')


def time_training(cfg: Config, steps: int) -> tuple[float, float]:
    """Median seconds to make a batch in this process, and to train on it."""
    hub = MessageHub.get_current_instance()
    hub.update_info('iter', 1)
    hub.update_info('max_iters', 2)
    torch.manual_seed(0)
    np.random.seed(0)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    model = MODELS.build(cfg.model).train()
    if torch.cuda.is_available():
        model.cuda()
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    order = itertools.cycle(np.random.permutation(len(dataset)).tolist())
    seeds = itertools.count()
    batch = []

    def load() -> None:
        batch[:] = [
            dataset[Draw(next(order), next(seeds))] for _ in range(cfg.train_dataloader.batch_size)
        ]

    def train() -> None:
        model.train_step(pseudo_collate(batch), optim_wrapper)
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    times = [(seconds(load), seconds(train)) for _ in range(steps + 3)]
    return tuple(statistics.median(column) for column in zip(*times[3:]))  # after the warm-up


def main() -> None:
    args = parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    cv2.setNumThreads(0)  # as MMEngine does in training
    register_all_modules(init_default_scope=True)
    device = (
        torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else f'CPU, {torch.get_num_threads()} threads'
    )
    print(f'{device}, torch {torch.__version__}, OpenCV {cv2.__version__}')
    time_operations(args.steps)
    if not args.config:
        return
    cfg = load_config(args.config)
    batch_size = cfg.train_dataloader.batch_size
    first, second = (batch_size / value for value in time_training(cfg, args.steps))
    print(f'{args.config}, {batch_size} images per step')
    print(f'{"views, one process":30s} {first:8.1f} images / s')
    print(f'{"training":30s} {second:8.1f} images / s')
    print(f'{"ratio":30s} {first / second:8.3f}')


if __name__ == '__main__':
    main()
