"""Measure the time of an adaptation step, relative to a supervised step on as many images.

    python tools/benchmarks/step_cost.py configs/assda/small/small_assda.py

It prints the median time of each step and the ratio to the last one. Both recognizers are built
from the config, with and without its objectives, and get the same 2B images: B source and B target
images in the adaptation step, 2B labelled ones in the supervised step. With ``--against
OTHER_CONFIG`` the second step is the one of that config, on the same B + B images (all labelled if
its model is not an ``AdaptiveRecognizer``). All images have the size ``--size``, and the number of
channels that a model takes.

Where no objective needs the target, all images are labelled, as they are for a model with a learned
surrogate, of which all kinds of steps are measured: of the surrogate, of the model, of both.

The steps alternate within one run, so that other load of the machine affects both. A trained
recognizer ends its predictions early, an untrained one decodes to the last step: pass
``--checkpoint`` (and ``--against-checkpoint``) for the time within a real run.
"""

import argparse
import itertools
import statistics
import time
from pathlib import Path

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.runner import load_checkpoint
from mmengine.structures import LabelData
from mmocr.registry import MODELS
from mmocr.structures import TextRecogDataSample
from mmocr.utils import register_all_modules
from torch import nn

from mmocr_da.export import plain_model
from mmocr_da.models.recognizers import AdaptiveRecognizer
from mmocr_da.models.surrogates import LearnedSurrogate

#: Kinds of steps: whether the surrogate learns, and whether it trains the model.
KINDS = {
    (True, False): 'surrogate step',
    (False, True): 'model step',
    (True, True): 'step of both',
}


def parse_args():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config')
    parser.add_argument('--checkpoint', help='Weights to start from')
    parser.add_argument(
        '--against',
        metavar='CONFIG',
        help="Compare with this config's own step, not with a supervised one",
    )
    parser.add_argument('--against-checkpoint', help='Weights that it starts from')
    parser.add_argument('--half', type=int, default=64, help='B, images per domain')
    parser.add_argument('--size', type=int, nargs=2, default=(16, 64), metavar=('H', 'W'))
    parser.add_argument('--length', type=int, default=5, help='Characters per label')
    parser.add_argument('--steps', type=int, default=30)
    parser.add_argument('--threads', type=int, help='CPU threads')
    parser.add_argument(
        '--plain',
        action='store_true',
        help='Compare with the plain model, an EncoderDecoderRecognizer',
    )
    args = parser.parse_args()
    if args.against and args.plain:
        parser.error('--against and --plain cannot be set at the same time')
    if args.against_checkpoint and not args.against:
        parser.error('--against-checkpoint needs --against')
    return args


def build(cfg: Config, adaptive: bool, checkpoint: str | None, plain: bool = False) -> tuple:
    """Build the model of a config, adaptive, supervised or plain, and its optimizer."""
    if plain and not adaptive:
        model_cfg = plain_model(cfg.model)
    else:
        off = {} if adaptive else dict(objectives=[], supervised_weight=1.0)
        model_cfg = dict(cfg.model, **off)
    model = MODELS.build(model_cfg).train()
    if checkpoint:
        load_checkpoint(model, checkpoint, map_location='cpu')
    if torch.cuda.is_available():
        model.cuda()
    return model, build_optim_wrapper(model, cfg.optim_wrapper)


def make_batch(model: nn.Module, images: torch.Tensor, domains, length: int) -> dict:
    """Make a batch of grey images, in the model's number of channels; source images have labels."""
    channels = next(m.in_channels for m in model.modules() if isinstance(m, nn.Conv2d))
    # Special tokens have longer names. Neighbours differ, as CTC needs a frame between equal ones.
    characters = [c for c in model.decoder.dictionary.dict if len(c) == 1]
    text = ''.join(itertools.islice(itertools.cycle(characters), length))
    shape = tuple(images.shape[-2:])
    samples = []
    for domain in domains:
        labelled = domain == 'source' or not isinstance(model, AdaptiveRecognizer)
        sample = TextRecogDataSample(gt_text=LabelData(item=text if labelled else ''))
        sample.set_metainfo(dict(domain=domain, valid_ratio=1.0, img_shape=shape))
        samples.append(sample)
    return dict(inputs=list(images.repeat(1, channels, 1, 1)), data_samples=samples)


def needs_target(model: nn.Module) -> bool:
    """Whether a model adapts to images without labels, or has no objectives at all."""
    objectives = getattr(model, 'objectives', {})
    return not len(objectives) or any(o.needs_target for o in objectives.values())


def surrogate_iterations(model: nn.Module) -> dict[str, int]:
    """Return an iteration of each kind of a model with a learned surrogate; else an empty dict."""
    surrogate = next((m for m in model.modules() if isinstance(m, LearnedSurrogate)), None)
    if surrogate is None:
        return {}
    last = surrogate.warmup + surrogate.surrogate_steps + surrogate.model_steps + 1
    found: dict[str, int] = {}
    for i in range(last):
        trains = surrogate.learns_at(i), surrogate.teaches_at(i)
        found.setdefault(KINDS[trains], i)
    return {name: found[name] for name in KINDS.values() if name in found}


def time_of_step(model: nn.Module, data: dict, optim_wrapper: OptimWrapper) -> float:
    """Seconds of a training step, until the device has finished it."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    model.train_step(data, optim_wrapper)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def device_name() -> str:
    """Name of the GPU, or of the CPU with its number of threads."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f'CPU, {torch.get_num_threads()} threads'


def main() -> None:
    args = parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    cfg = Config.fromfile(args.config)
    register_all_modules(init_default_scope=True)
    hub = MessageHub.get_current_instance()
    hub.update_info('iter', 1)
    hub.update_info('max_iters', 2)
    torch.manual_seed(0)
    mixed = ['source', 'target'] * args.half
    labelled = ['source'] * len(mixed)
    adaptation = build(cfg, True, args.checkpoint)
    iterations = surrogate_iterations(adaptation[0])
    domains = labelled if iterations or not needs_target(adaptation[0]) else mixed
    if iterations:
        cases = [(name, *adaptation, domains, iteration) for name, iteration in iterations.items()]
    else:
        name = Path(args.config).stem if args.against else 'adaptation'
        cases = [(name, *adaptation, domains, 1)]
    if args.against:
        other = build(Config.fromfile(args.against), True, args.against_checkpoint)
        cases.append((Path(args.against).stem, *other, domains, 1))
    else:
        supervised = build(cfg, False, args.checkpoint, args.plain)
        cases.append(('supervised', *supervised, labelled, 1))
    times = [[] for _ in cases]
    for step in range(args.steps + 3):
        images = torch.randint(0, 256, (len(mixed), 1, *args.size), dtype=torch.uint8)
        for (_, model, optim_wrapper, domains, iteration), seconds in zip(cases, times):
            data = make_batch(model, images, domains, args.length)
            hub.update_info('iter', iteration)
            taken = time_of_step(model, data, optim_wrapper)
            if step >= 3:  # warm-up
                seconds.append(taken)
    print(
        f'{device_name()}, torch {torch.__version__}, {args.config}, {args.half} + {args.half} '
        'images'
    )
    medians = [statistics.median(seconds) for seconds in times]
    width = max(12, *(len(name) for name, *_ in cases)) + len('ratio ') * bool(iterations)
    for (name, *_), seconds in zip(cases, medians):
        print(f'{name:{width}s} {1000 * seconds:8.1f} ms / step')
    for (name, *_), seconds in zip(cases[:-1], medians):
        name = f'ratio {name}' if iterations else 'ratio'
        print(f'{name:{width}s} {seconds / medians[-1]:8.3f}')


if __name__ == '__main__':
    main()
