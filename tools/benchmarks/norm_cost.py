"""Measure time and memory of batch-instance norm in training, relative to batch norm.

    python tools/benchmarks/norm_cost.py

It prints a table of a forward and backward pass of three layers: batch norm, our batch-instance
norm, and the published formulation, which normalizes twice and adds. Their steps alternate within
one run, so that other load of the machine affects all of them; times are medians. Gates are drawn
from [0, 1]; in half precision the parameters stay in float32, as with AMP.

The peak of memory excludes the input and the gradient of the output, and includes tensors that are
saved for the backward pass. On a GPU it is measured by PyTorch's allocator, on a CPU (Linux) as the
resident memory of the process: PyTorch's profiler would count a third tensor for batch norm, which
its backward pass allocates and never touches.
"""

import argparse
import ctypes
import gc
import math
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmocr_da.cpu import M_MMAP_MAX
from mmocr_da.models.layers.batch_instance_norm import BatchInstanceNorm2d

SHAPES = ((64, 64, 32, 100), (16, 256, 8, 25))
DTYPES = dict(float32=torch.float32, bfloat16=torch.bfloat16, float16=torch.float16)
WARM_UP = 3


class TwoPassNorm2d(nn.BatchNorm2d):
    """Eq. 3 as two norms with folded weights: ``BN(x; rho * w) + IN(x; (1 - rho) * w)``."""

    def __init__(self, num_features: int) -> None:
        super().__init__(num_features)
        self.rho = nn.Parameter(torch.ones(num_features))

    def forward(self, x: Tensor) -> Tensor:
        batch = F.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.rho * self.weight,
            self.bias,
            True,
            self.momentum,
            self.eps,
        )
        return batch + F.instance_norm(x, weight=(1 - self.rho) * self.weight, eps=self.eps)


LAYERS = {'BN': nn.BatchNorm2d, 'BIN': BatchInstanceNorm2d, 'two-pass': TwoPassNorm2d}


def make_steps(
    shape: tuple[int, ...], dtype: torch.dtype, device: str, channels_last: bool
) -> dict[str, Callable[[], None]]:
    """Make a forward and backward pass by the layer's name, all on the same tensors."""
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    x, grad = (
        torch.randn(shape, device=device).to(dtype).contiguous(memory_format=memory_format)
        for _ in range(2)
    )
    x.requires_grad_()
    gates = torch.rand(shape[1], device=device)

    def step_of(layer: nn.Module) -> Callable[[], None]:
        inputs = [x, *layer.parameters()]

        def step() -> None:
            # As in a network, the output is kept: the next layer saves it.
            y = layer(x)
            torch.autograd.grad(y, inputs, grad)

        return step

    steps = {}
    for name, layer_type in LAYERS.items():
        layer = layer_type(shape[1]).to(device)
        if hasattr(layer, 'rho'):
            layer.rho.data.copy_(gates)
        steps[name] = step_of(layer)
    return steps


def median_seconds(
    steps: dict[str, Callable[[], None]], rounds: int, device: str
) -> dict[str, float]:
    """Measure the median time of each step; every round runs each of them once."""
    calls, wait = 1, lambda: None
    if torch.device(device).type == 'cuda':
        # Several calls per wait, which would otherwise take most of the time.
        calls, wait = 20, lambda: torch.cuda.synchronize(device)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for done in range(WARM_UP + rounds):
        for name, step in steps.items():
            wait()
            start = time.perf_counter()
            for _ in range(calls):
                step()
            wait()
            if done >= WARM_UP:
                times[name].append((time.perf_counter() - start) / calls)
    return {name: statistics.median(values) for name, values in times.items()}


def peak_bytes(step: Callable[[], None], device: str) -> int:
    """Measure the peak of the memory that ``step`` allocates, in bytes."""
    if torch.device(device).type == 'cuda':
        step()
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        step()
        return torch.cuda.max_memory_allocated(device) - before
    # From 64 KiB on, memory is requested from the system and returned to it. In the main thread,
    # the C library would first reuse memory that the imports have freed.
    libc, mmap_threshold = ctypes.CDLL(None), -3
    libc.mallopt(M_MMAP_MAX, 65536)  # its default, in case `keep_memory` was called
    libc.mallopt(mmap_threshold, 64 << 10)
    try:
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(_resident_peak, step).result()
    finally:
        libc.mallopt(mmap_threshold, 32 << 20)  # the upper limit of the C library's own adaptation


def _resident_peak(step: Callable[[], None]) -> int:
    step()
    gc.collect()
    # What threads before this one have freed would be used again without growing.
    ctypes.CDLL(None).malloc_trim(0)
    with open('/proc/self/clear_refs', 'w') as file:
        file.write('5')  # forget the peak so far
    before = _resident_bytes('VmRSS')
    step()
    return _resident_bytes('VmHWM') - before


def _resident_bytes(key: str) -> int:
    with open('/proc/self/status') as file:
        return 1024 * int(next(line.split()[1] for line in file if line.startswith(key)))


def table(rows: list[tuple[str, str, dict[str, float], dict[str, int]]]) -> str:
    """Format ``(shape, dtype, seconds by layer, bytes by layer)`` as Markdown, relative to BN."""
    lines = [
        '| input | dtype | layer | ms | / BN | peak MiB | / BN |',
        '|---|---|---|---|---|---|---|',
    ]
    for shape, dtype, seconds, peaks in rows:
        for name in seconds:
            # Less than a page of memory is measured as 0.
            of_peak = peaks[name] / peaks['BN'] if peaks['BN'] else math.nan
            lines.append(
                f'| {shape} | {dtype} | {name} | {1e3 * seconds[name]:.3f} '
                f'| {seconds[name] / seconds["BN"]:.2f} | {peaks[name] / 2**20:.1f} '
                f'| {of_peak:.2f} |'
            )
    return '\n'.join(lines)


def _shape(text: str) -> tuple[int, ...]:
    shape = tuple(int(size) for size in text.split(','))
    if len(shape) != 4 or min(shape) < 1:
        raise argparse.ArgumentTypeError(f'a shape is N,C,H,W, got {text}')
    return shape


def parse_args():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--shapes', nargs='+', type=_shape, default=SHAPES, metavar='N,C,H,W')
    parser.add_argument('--dtype', nargs='+', choices=DTYPES, default=['float32', 'bfloat16'])
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--threads', type=int, help='CPU threads')
    parser.add_argument('--channels-last', action='store_true')
    parser.add_argument(
        '--against',
        nargs='+',
        choices=[n for n in LAYERS if n != 'BN'],
        default=[n for n in LAYERS if n != 'BN'],
        help='Layers to compare with BN',
    )
    parser.add_argument('--rounds', type=int, default=20, help='Timed steps of each layer')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    rows = []
    for shape in args.shapes:
        for dtype in args.dtype:
            steps = make_steps(shape, DTYPES[dtype], args.device, args.channels_last)
            steps = {name: steps[name] for name in ('BN', *args.against)}
            seconds = median_seconds(steps, args.rounds, args.device)
            peaks = {name: peak_bytes(step, args.device) for name, step in steps.items()}
            rows.append((str(shape), dtype, seconds, peaks))
    device = (
        torch.cuda.get_device_name(args.device)
        if torch.device(args.device).type == 'cuda'
        else f'CPU, {torch.get_num_threads()} threads'
    )
    layout = 'channels last' if args.channels_last else 'contiguous'
    print(f'{device}, torch {torch.__version__}, {layout}\n\n{table(rows)}')


if __name__ == '__main__':
    main()
