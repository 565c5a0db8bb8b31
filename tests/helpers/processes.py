"""Other processes for tests, forked from one that has imported the hosts once.

A fresh interpreter spends five seconds of CPU time on imports; a fork of the server none.
"""

import multiprocessing
import os
import pickle
import tempfile
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing
from mmengine.registry import init_default_scope

CONTEXT = multiprocessing.get_context('forkserver')
TIMEOUT = 60  # of a collective that the other rank does not take part in
PARTS = ('models', 'datasets', 'engine', 'evaluation', 'visualization')
CONTEXT.set_forkserver_preload(
    [f'{package}.{part}' for package in ('mmocr_da', 'mmocr') for part in PARTS] + ['pytest']
)


def run_ranks(function, *args):
    """Run ``function(rank, *args)`` in the two processes of a group.

    Returns: the two results, by rank.
    Raises: what torch raises of a rank that failed, with its traceback.
    """
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.start_processes(
            _rank, (Path(folder), function, args), nprocs=2, start_method='forkserver'
        )
        return [pickle.loads(Path(folder, f'{rank}.pkl').read_bytes()) for rank in range(2)]


def _rank(rank, folder, function, args):
    os.environ['LOCAL_RANK'] = str(rank)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    init_default_scope('mmocr')
    # A file to meet at: a free port could be taken before both ranks are there.
    dist.init_process_group(
        'gloo',
        f'file://{folder}/meet',
        rank=rank,
        world_size=2,
        timeout=timedelta(seconds=TIMEOUT),
    )
    result = function(rank, *args)
    (folder / f'{rank}.pkl').write_bytes(pickle.dumps(result))
    dist.barrier()  # neither leaves while the other still needs it
    dist.destroy_process_group()
