"""Check which parts work on this machine's GPU, and how fast, in a few minutes.

    python tools/benchmarks/gpu_check.py gpu_check.json

It writes one JSON file. Each kind of model takes steps in float32, float16 and bfloat16. The file
says whether losses and gradients are finite, how long a step takes compared with float32, and how
far the losses in float32 are from the CPU's losses on the same batch. Then it compares
batch-instance norm with batch norm in both memory formats, and overlaps and NMS of rotated boxes
with the results of the CPU. A case that fails is recorded with its error and the others continue;
cases that ``--minutes`` leaves no time for are recorded as skipped.

Without a GPU the same cases run on the CPU with small sizes; the file says so, and its times mean
nothing for a GPU.
"""

import argparse
import copy
import json
import statistics
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData, LabelData
from mmocr.registry import MODELS
from mmocr.structures import TextRecogDataSample
from mmocr.utils import register_all_modules
from norm_cost import make_steps, median_seconds, peak_bytes
from step_cost import device_name, make_batch, surrogate_iterations
from torch import Tensor, nn

from mmocr_da.models.detectors.rotated_nms import nms_rotated
from mmocr_da.outputs import check_outputs, output_file
from mmocr_da.structures import RotatedBoxes, rotated_overlaps

CONFIGS = Path(__file__).parents[2] / 'configs'
COMPONENTS = {
    'supervised': 'assda/small/small_source-only',
    'ASSDA': 'assda/small/small_assda',
    'SymNet': 'symnet/small/small_symnet',
    'BIN': 'bin/small/small_bin-assda',
    'BIN, statistics per domain': 'bin/ablations/small_bin-assda-per-domain',
    'SeqCLR': 'seqclr/small/small_seqclr-window',
    'LS-ED': 'learned_surrogate/small/small_lsed',
    'RRPN': 'learned_surrogate/small/small_rrpn_scenes',
    'LS-IoU': 'learned_surrogate/ablations/small_rrpn-lsiou-local_scenes',
}
PRECISIONS = dict(float32=torch.float32, float16=torch.float16, bfloat16=torch.bfloat16)
STEPS = 10
WRITER = 'gpu_check.py'
#: Images of a recognizer and of a detector, and the size of each; on a GPU and on a CPU.
SIZES, SMALL_SIZES = (128, 4, (32, 128), 512), (4, 1, (16, 64), 128)


class Check:
    """Runs cases until the time is over and counts failures."""

    def __init__(self, minutes: float, device: str) -> None:
        self.ends = time.monotonic() + 60 * minutes
        self.device = device
        self.failed = 0

    def run(self, case: Callable[[], dict]) -> dict:
        """Return the result of ``case``, or the reason why there is none."""
        if time.monotonic() > self.ends:
            return dict(skipped='no time was left; raise --minutes')
        try:
            return case()
        except Exception as error:  # the next case may work
            self.failed += 1
            where = traceback.extract_tb(error.__traceback__)[-1]
            return dict(
                error=f'{type(error).__name__}: {error}', where=f'{where.filename}:{where.lineno}'
            )


def timed(call: Callable, device: str) -> float:
    """Seconds until the device has finished ``call``."""
    wait = torch.cuda.synchronize if device == 'cuda' else lambda: None
    wait()
    start = time.perf_counter()
    call()
    wait()
    return time.perf_counter() - start


def batch_of(model: nn.Module, sizes) -> dict:
    """Make a batch of random pixels as the dataloader of the model would."""
    images, scenes, size, scene = sizes
    if hasattr(model, 'wrapped_model'):
        return detector_batch(scenes, scene)
    pixels = torch.randint(0, 256, (images, 1, *size), dtype=torch.uint8)
    if hasattr(model, 'mapping'):
        return views_batch(model, pixels)
    learns = surrogate_iterations(model)
    domains = ['source'] * images if learns else ['source', 'target'] * (images // 2)
    return make_batch(model, pixels, domains, 5)


def views_batch(model: nn.Module, pixels: Tensor) -> dict:
    """Make a batch of two views of each image, for contrastive learning."""
    channels = next(m.in_channels for m in model.modules() if isinstance(m, nn.Conv2d))
    sample = TextRecogDataSample(gt_text=LabelData(item=''))
    sample.set_metainfo(dict(valid_ratio=1.0, img_shape=tuple(pixels.shape[-2:])))
    view = list(pixels.repeat(1, channels, 1, 1))
    samples = [copy.deepcopy(sample) for _ in view]
    return dict(
        inputs=[view, [x.flip(0) for x in view]], data_samples=[samples, copy.deepcopy(samples)]
    )


def detector_batch(count: int, size: int) -> dict:
    """Make a batch of random pixels with two rotated boxes each."""
    boxes = torch.tensor([[0.3, 0.3, 0.4, 0.12, 0.3], [0.65, 0.7, 0.35, 0.1, -0.6]])
    boxes[:, :4] *= size
    samples = []
    for _ in range(count):
        sample = DetDataSample(
            metainfo=dict(img_shape=(size, size), ori_shape=(size, size), scale_factor=(1.0, 1.0))
        )
        sample.gt_instances = InstanceData(
            bboxes=RotatedBoxes(boxes.clone()), labels=torch.zeros(2, dtype=torch.long)
        )
        sample.ignored_instances = InstanceData(
            bboxes=RotatedBoxes(boxes[:0].clone()), labels=torch.zeros(0, dtype=torch.long)
        )
        samples.append(sample)
    return dict(
        inputs=list(torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8)),
        data_samples=samples,
    )


def losses_of(model: nn.Module, batch: dict):
    """Total loss and log of a batch, as in a training step."""
    data = model.data_preprocessor(copy.deepcopy(batch), True)
    return model.parse_losses(model(**data, mode='loss'))


def take_steps(model: nn.Module, batch: dict, precision: str, steps: int, device: str) -> dict:
    """Take training steps: median seconds, last losses, and whether all numbers are finite."""
    optimizer = torch.optim.SGD(model.parameters(), 1e-4)
    scaler = torch.amp.GradScaler(
        device, init_scale=2.0**10, enabled=device == 'cuda' and precision == 'float16'
    )
    losses: dict[str, Tensor] = {}

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(device, PRECISIONS[precision], enabled=precision != 'float32'):
            total, losses['log'] = losses_of(model, batch)
        scaler.scale(total).backward()
        scaler.step(optimizer)
        scaler.update()

    seconds = [timed(step, device) for _ in range(steps + 2)][2:]  # two to warm up
    values = {name: value.item() for name, value in losses['log'].items()}
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    return dict(
        seconds=statistics.median(seconds),
        losses=values,
        finite=all(torch.tensor(list(values.values())).isfinite().tolist())
        and all(bool(g.isfinite().all()) for g in gradients),
    )


def parity(model: nn.Module, batch: dict, device: str) -> dict:
    """Compare the losses of the device with the CPU's, for the same weights and batch."""
    found = []
    for place in ('cpu', device):
        torch.manual_seed(0)
        with torch.no_grad():
            log = losses_of(copy.deepcopy(model).to(place), batch)[1]
        found.append({name: value.item() for name, value in log.items()})
    cpu, other = found
    worst = max(abs(other[k] - v) / max(abs(v), 1e-3) for k, v in cpu.items() if 'loss' in k)
    return dict(cpu=cpu, device=other, largest_relative_difference=worst)


def component(path: str, check: Check, sizes, steps: int) -> dict:
    """Check a config's model in all precisions, and both kinds of steps of a surrogate."""
    cfg = Config.fromfile(CONFIGS / f'{path}.py')
    torch.manual_seed(0)
    hub = MessageHub.get_current_instance()
    hub.update_info('iter', 1)
    hub.update_info('max_iters', 100)
    model = MODELS.build(cfg.model).train()
    batch = batch_of(model, sizes)
    out = {}
    for kind, iteration in (surrogate_iterations(model) or {'step': 1}).items():
        hub.update_info('iter', iteration)
        row = dict(parity=check.run(lambda: parity(model, batch, check.device)))
        for precision in PRECISIONS:
            row[precision] = check.run(
                lambda: take_steps(
                    copy.deepcopy(model).to(check.device), batch, precision, steps, check.device
                )
            )
            compare(row[precision], row['float32'], 'against_float32')
        out[kind] = row
    return out


def compare(row: dict, reference: dict, name: str) -> None:
    """Add the ratio of the seconds of two results, if both have them."""
    if 'seconds' in row and 'seconds' in reference:
        row[name] = row['seconds'] / reference['seconds']


def compare_with_baseline(components: dict[str, dict], name: str) -> None:
    """Compare the steps of a component with steps of its baseline on the same number of images."""
    baseline = components.get('RRPN' if name == 'LS-IoU' else 'supervised', {}).get('step', {})
    for row in components[name].values():
        for precision in PRECISIONS if isinstance(row, dict) and name != 'RRPN' else ():
            compare(row[precision], baseline.get(precision, {}), 'against_baseline')


def norms(shape, precision: str, channels_last: bool, device: str) -> dict:
    """Measure seconds and peak memory of batch-instance norm and of batch norm."""
    steps = make_steps(shape, PRECISIONS[precision], device, channels_last)
    steps = {name: steps[name] for name in ('BN', 'BIN')}
    seconds = median_seconds(steps, 5, device)
    out = dict(seconds=seconds, ratio=seconds['BIN'] / seconds['BN'])
    if device == 'cuda':
        out['peak_bytes'] = {name: peak_bytes(step, device) for name, step in steps.items()}
    return out


def boxes(labels: int, anchors: int, device: str) -> dict:
    """Compare overlaps and NMS of rotated boxes with the CPU's."""
    g = torch.Generator().manual_seed(0)
    found = torch.rand(anchors, 5, generator=g) * torch.tensor([900.0, 900, 80, 30, 3])
    found = found + torch.tensor([0.0, 0, 10, 5, -1.5])
    scores = torch.rand(anchors, generator=g)
    wanted = rotated_overlaps(found[:labels], found)
    kept = nms_rotated(found[:2000], scores[:2000], 0.5)[1]
    there, there_scores = found.to(device), scores.to(device)
    overlaps = rotated_overlaps(there[:labels], there)
    out = dict(
        overlaps_differ_by=(overlaps.cpu() - wanted).abs().max().item(),
        nms_is_the_same=torch.equal(
            nms_rotated(there[:2000], there_scores[:2000], 0.5)[1].cpu(), kept
        ),
        overlaps_seconds=timed(lambda: rotated_overlaps(there[:labels], there), device),
        nms_seconds=timed(lambda: nms_rotated(there[:2000], there_scores[:2000], 0.5), device),
    )
    if device == 'cuda':
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        rotated_overlaps(there[:labels], there)
        out['overlaps_peak_bytes'] = torch.cuda.max_memory_allocated() - before
    return out


@contextmanager
def plain_float32() -> Iterator[None]:
    """Disable TF32, which has another precision than the CPU."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = False
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('out', type=Path, help='The JSON file that is written')
    parser.add_argument('--minutes', type=float, default=8, help='No case starts after this time')
    parser.add_argument(
        '--only',
        nargs='+',
        choices=COMPONENTS,
        default=list(COMPONENTS),
        metavar='NAME',
        help=f'Some of {", ".join(COMPONENTS)}',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    check_outputs([args.out], WRITER)
    gpu = torch.cuda.is_available()
    check = Check(args.minutes, 'cuda' if gpu else 'cpu')
    sizes, steps = (SIZES, STEPS) if gpu else (SMALL_SIZES, 1)
    register_all_modules(init_default_scope=True)
    start = time.monotonic()
    result = dict(
        device=device_name(),
        is_gpu=gpu,
        torch=torch.__version__,
        note=''
        if gpu
        else 'No GPU was found: small sizes on the CPU, which test this '
        'script and say nothing about a GPU.',
    )
    print(result['device'], result['note'])
    with plain_float32():
        result['norms'] = [
            dict(
                shape=shape,
                precision=precision,
                channels_last=last,
                **check.run(lambda: norms(shape, precision, last, check.device)),
            )
            for shape in (((64, 64, 32, 100), (128, 256, 8, 25)) if gpu else ((4, 8, 4, 10),))
            for precision in PRECISIONS
            for last in (False, True)
        ]
        labels, anchors = (100, 200_000) if gpu else (10, 500)
        result['boxes'] = dict(
            labels=labels,
            anchors=anchors,
            **check.run(lambda: boxes(labels, anchors, check.device)),
        )
        result['components'] = {}
        for name in args.only:
            print(name, flush=True)
            result['components'][name] = check.run(
                lambda: component(COMPONENTS[name], check, sizes, steps)
            )
            compare_with_baseline(result['components'], name)
            result.update(seconds=time.monotonic() - start, failed=check.failed)
            # After each component, so that a stopped run keeps its results.
            with output_file(args.out, WRITER) as file:
                file.write_text(json.dumps(result, indent=2) + '\n')
    print(f'{check.failed} cases failed; all results are in {args.out}')


if __name__ == '__main__':
    main()
