"""Sets how training on the CPU uses threads and memory. Settings of the user win."""

import ctypes
import os
from pathlib import Path

SPINS = 1000  # the number that GNU's OpenMP uses if it has more threads than cores
#: Numbers of glibc's ``mallopt``.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def spin_briefly() -> None:
    """Let OpenMP's threads sleep soon while they wait for each other.

    Call it before torch is imported. By default, GNU's OpenMP lets them spin for milliseconds: if
    other programs need the same cores, the threads with work get none, and a step takes 17 times as
    long. Nothing is changed on a machine with a GPU.
    """
    given = {'OMP_WAIT_POLICY', 'GOMP_SPINCOUNT'} & set(os.environ)
    if not given and not Path('/proc/driver/nvidia/version').exists():
        os.environ['GOMP_SPINCOUNT'] = str(SPINS)


def keep_memory() -> bool:
    """Have malloc keep freed memory for the next step instead of giving it back to the system.

    Otherwise every 4 kB of the memory for the next step cost a page fault.

    Returns:
        True if it was done: this needs glibc and an environment that does not set malloc.
    """
    if any(name.startswith(('MALLOC_', 'GLIBC_TUNABLES')) for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return False
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, -1))
