"""Measure the time of a training step of detectors, relative to a reference.

    python tools/benchmarks/detector_step_cost.py CONFIG [CONFIG ...] REFERENCE --checkpoint FILE

It prints the median time of each config's step and its ratio to the step of the last config, the
reference. All get the same batches of the reference's ``train_dataloader``. Their steps alternate
within one run, so that other load of the machine affects all of them. For a config with a learned
surrogate, both kinds of steps are measured. An untrained detector finds other boxes than a trained
one: pass ``--checkpoint`` for the time within a real run.
"""

import argparse
import copy
import itertools
import statistics
from collections.abc import Iterator
from pathlib import Path

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
import torch
from mmengine.config import DictAction
from mmengine.device import get_device
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.runner import Runner, load_checkpoint
from mmocr.registry import MODELS
from mmocr.utils import register_all_modules
from step_cost import device_name, surrogate_iterations, time_of_step
from torch import nn

from mmocr_da.engine.launch import load_config


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        'configs',
        nargs='+',
        metavar='CONFIG',
        help='Configs of detectors, two or more; the last is the reference',
    )
    parser.add_argument('--checkpoint', help='Weights that all start from')
    parser.add_argument('--steps', type=int, default=20)
    parser.add_argument('--threads', type=int, help='CPU threads')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='Override settings of all configs: key=value pairs',
    )
    args = parser.parse_args()
    if len(args.configs) < 2:
        parser.error('two configs are needed, the last is the reference')
    return args


def build(cfg, checkpoint: str | None) -> tuple[nn.Module, OptimWrapper]:
    """Build a model for training, and its optimizer."""
    model = MODELS.build(cfg.model).train()
    if checkpoint:
        load_checkpoint(model, checkpoint, map_location='cpu')
    model.to(get_device())
    return model, build_optim_wrapper(model, cfg.optim_wrapper)


def endless(loader) -> Iterator[dict]:
    """Yield the batches of a dataloader, epoch after epoch."""
    for epoch in itertools.count():
        if hasattr(loader.sampler, 'set_epoch'):
            loader.sampler.set_epoch(epoch)
        yield from loader


def main() -> None:
    args = parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    register_all_modules(init_default_scope=True)
    hub = MessageHub.get_current_instance()
    hub.update_info('iter', 1)
    hub.update_info('max_iters', 2)
    cases: dict[str, tuple] = {}
    for path in args.configs:
        cfg = load_config(path, cfg_options=args.cfg_options)
        model = build(cfg, args.checkpoint)
        iterations = surrogate_iterations(model[0]) or {'step': 1}
        for kind, iteration in iterations.items():
            cases[f'{Path(path).stem}, {kind}'] = (*model, iteration)
    cfg.train_dataloader.update(num_workers=0, persistent_workers=False)
    batches = endless(Runner.build_dataloader(cfg.train_dataloader, seed=0))
    times = {name: [] for name in cases}
    for step in range(args.steps + 2):
        batch = next(batches)
        for name, (model, optim_wrapper, iteration) in cases.items():
            data = copy.deepcopy(batch)
            hub.update_info('iter', iteration)
            torch.manual_seed(step)
            taken = time_of_step(model, data, optim_wrapper)
            if step >= 2:  # warm-up
                times[name].append(taken)
    print(f'{device_name()}, torch {torch.__version__}, {len(batch["inputs"])} images')
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    last = list(medians.values())[-1]
    for name, seconds in medians.items():
        print(f'{name:60s} {1000 * seconds:8.1f} ms / step, ratio {seconds / last:.3f}')


if __name__ == '__main__':
    main()
