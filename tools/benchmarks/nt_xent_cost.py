"""Measure time and memory of the contrastive loss in blocks, relative to the plain form.

    python tools/benchmarks/nt_xent_cost.py --instances 4096
    python tools/benchmarks/nt_xent_cost.py --instances 16384 --no-plain --memory-only

It prints both for a forward and backward pass of each; the plain form has the whole matrix of
similarities. The two alternate within one run, on the same instances; times are medians. Memory is
the peak without the inputs: on a CPU of the process (a separate one for each form), on a GPU of the
allocator.
"""

import argparse
import multiprocessing
import resource
import statistics
import time

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
import torch
import torch.nn.functional as F
from torch import Tensor

from mmocr_da.models.contrastive import nt_xent

TEMPERATURE = 0.1


def parse_args():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--instances', type=int, default=4096, help='Per view')
    parser.add_argument('--width', type=int, default=256)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--threads', type=int, help='CPU threads')
    parser.add_argument(
        '--no-plain',
        action='store_true',
        help='Leave out the plain form, which may not fit in memory',
    )
    parser.add_argument('--memory-only', action='store_true')
    return parser.parse_args()


def plain(za: Tensor, zb: Tensor) -> Tensor:
    """Compute the loss from the matrix of all similarities."""
    z = F.normalize(torch.cat([za, zb]), dim=1)
    similarities = (z @ z.T / TEMPERATURE).fill_diagonal_(float('-inf'))
    return F.cross_entropy(similarities, torch.arange(len(z), device=z.device).roll(len(za)))


def blocks(za: Tensor, zb: Tensor) -> Tensor:
    """Compute the loss in blocks, as this package does."""
    return nt_xent(za, zb, TEMPERATURE)


def make_instances(count: int, width: int, device: str):
    """Make random instances of two views, with correlated pairs."""
    torch.manual_seed(0)
    za = torch.randn(count, width, device=device)
    zb = za + torch.randn(count, width, device=device)
    return za.requires_grad_(), zb.requires_grad_()


def seconds(function, za: Tensor, zb: Tensor) -> float:
    """Seconds of a forward and backward pass, until the device has finished it."""
    za.grad = zb.grad = None
    start = time.perf_counter()
    function(za, zb).backward()
    if za.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def peak_mib(name: str, count: int, width: int, threads: int, out) -> None:
    """Put the peak memory of a forward and backward pass, in MiB, into the queue ``out``."""
    if threads:
        torch.set_num_threads(threads)
    function = dict(plain=plain, blocks=blocks)[name]
    if torch.cuda.is_available():
        za, zb = make_instances(count, width, 'cuda')
        before = torch.cuda.memory_allocated()
        seconds(function, za, zb)
        out.put((torch.cuda.max_memory_allocated() - before) / 2**20)
        return
    # Exclude memory that a first call loads.
    seconds(function, *make_instances(8, width, 'cpu'))
    za, zb = make_instances(count, width, 'cpu')
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds(function, za, zb)
    out.put((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def main() -> None:
    args = parse_args()
    names = ['blocks'] if args.no_plain else ['blocks', 'plain']
    context = multiprocessing.get_context('spawn')
    memory = {}
    for name in names:
        queue = context.SimpleQueue()
        process = context.Process(
            target=peak_mib, args=(name, args.instances, args.width, args.threads, queue)
        )
        process.start()
        process.join()
        memory[name] = None if queue.empty() else queue.get()  # None: it did not fit

    if args.threads:
        torch.set_num_threads(args.threads)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    label = (
        torch.cuda.get_device_name()
        if device == 'cuda'
        else f'CPU, {torch.get_num_threads()} threads'
    )
    print(f'{label}, torch {torch.__version__}, 2 x {args.instances} instances of {args.width}')
    times = {name: [] for name in names}
    if not args.memory_only:
        za, zb = make_instances(args.instances, args.width, device)
        for round_ in range(args.rounds + 1):
            for name in names:
                taken = seconds(globals()[name], za, zb)
                if round_ > 0:  # the first one warms up
                    times[name].append(taken)
    medians = {name: statistics.median(t) for name, t in times.items() if t}
    for name in names:
        took = f'{1000 * medians[name]:9.1f} ms' if name in medians else ' ' * 12
        used = 'out of memory' if memory[name] is None else f'{memory[name]:9.1f} MiB'
        print(f'{name:8s} {took} {used}')
    if len(medians) == 2:
        print(f'ratio    {medians["blocks"] / medians["plain"]:9.3f}')


if __name__ == '__main__':
    main()
