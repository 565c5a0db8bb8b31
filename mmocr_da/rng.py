"""Seeds the random numbers of a block of code and restores the state after it."""

import contextlib
import random
import sys
from collections.abc import Iterator

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.logging import MessageHub


@contextlib.contextmanager
def torch_seeded(seed: int) -> Iterator[None]:
    """Seed PyTorch's random numbers of the CPU; their state is restored on exit.

    >>> with torch_seeded(1):
    ...     first = torch.rand(2)
    >>> with torch_seeded(1):
    ...     print(torch.equal(torch.rand(2), first))
    True
    """
    state = torch.get_rng_state()
    # Not torch.manual_seed: it would also seed the GPU of a model that runs in this process.
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(state)


@contextlib.contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Seed ``random``, NumPy, PyTorch (CPU) and, if it is loaded, imgaug.

    The states are restored on exit, except imgaug's: see :func:`imgaug_restored`. With
    ``seed=None`` nothing is seeded or restored.

    >>> with seeded(1):
    ...     first = random.random()
    >>> with seeded(1):
    ...     print(random.random() == first)
    True
    """
    if seed is None:
        yield
        return
    python_state, numpy_state = random.getstate(), np.random.get_state()
    # First, because imgaug draws from NumPy when it makes its own generator, which need not be
    # restored: only augmentation uses it.
    if 'imgaug' in sys.modules:
        sys.modules['imgaug'].random.seed(seed)
    random.seed(seed)
    np.random.seed(seed)
    try:
        with torch_seeded(seed):
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)


def seed_of_iteration() -> int | None:
    """Return a seed for the iteration of the running MMEngine runner and this rank.

    It depends on the seed of the run and on nothing else, so a resumed run has the seeds of an
    uninterrupted one. None without a runner.
    """
    iteration = MessageHub.get_current_instance().get_info('iter')
    if iteration is None:
        return None
    entropy = [torch.initial_seed(), iteration, get_rank()]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


@contextlib.contextmanager
def imgaug_restored() -> Iterator[None]:
    """Restore the state of imgaug's random numbers on exit, if imgaug is loaded."""
    imgaug = sys.modules.get('imgaug')
    if imgaug is None:
        yield
        return
    numpy_state = np.random.get_state()
    generator = imgaug.random.get_global_rng()  # draws from NumPy when it makes its generator
    np.random.set_state(numpy_state)
    state = generator.state
    try:
        yield
    finally:
        generator.state = state
