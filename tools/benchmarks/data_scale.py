"""Measure start-up time, memory and loading speed with LMDBs of millions of words.

    python tools/benchmarks/data_scale.py --source 9000000 --target 1000000 --folder /tmp/scale

It writes two LMDBs of that size into the folder, a labelled source and a target, whose samples have
the same image, and removes them at the end. It builds a ``TwoDomainDataset`` of them, checks the
labels, starts a worker and loads batches, as a training does, in a fresh process for each row:

* start: seconds from the config to the first batch, without the imports, and how many of them the
  main process computes;
* resume: seconds that a ``TwoDomainSampler`` computes until it has drawn the batch in the middle of
  the third epoch;
* main, worker: peak memory of the two processes, without the pages of files that they have mapped:
  the system can drop those of the LMDBs, and top counts them;
* files: those pages of the worker at the end;
* images/s: what the worker loads in a second of computing, after the first batches.

Seconds of computing are those of the process alone, so other work of the machine has little effect.
``--lists`` adds a row with MMOCR's own dataset, which reads all labels at the start into a list.
With ``--recipe`` images have the size of a scanned word, 48 x 160 pixels, and are augmented as
tools/adapt.py does: the source once, and of the target both views are made.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
import cv2
import lmdb
import numpy as np
from mmengine.dataset import pseudo_collate
from mmengine.logging import MMLogger
from mmocr.datasets import RecogLMDBDataset
from mmocr.models.textrecog.module_losses import CEModuleLoss
from mmocr.registry import DATASETS
from mmocr.utils import register_all_modules
from torch.utils.data import DataLoader

from mmocr_da.datasets import TwoDomainSampler
from mmocr_da.engine.label_check import check_labels
from mmocr_da.markdown import table

ROOT = Path(__file__).parents[2]
BATCH_SIZE = 64
#: Batches that a worker loads before and while its speed is measured.
WARM_UP, MEASURED = 10, 200
COLUMNS = ('annotations', 'source + target', 'start, s', 'computing', 'resume, s')
COLUMNS += ('main, MB', 'worker, MB', 'files, MB', 'images/s')
LOAD = [
    dict(type='LoadImageFromFile', color_type='grayscale'),
    dict(type='LoadOCRAnnotations', with_text=True),
]
PREPARE = [
    dict(type='Resize', scale=(100, 32), keep_ratio=False),
    dict(type='PackTextRecogInputs', meta_keys=('img_path', 'ori_shape', 'img_shape')),
]
AUGMENT = dict(type='mmocr_da.TextAugmentation')
VIEWS = dict(type='mmocr_da.WeakStrongViews', weak=PREPARE, strong=[AUGMENT, *PREPARE])
#: Pipelines of both domains.
PLAIN = dict(pipeline=[*LOAD, *PREPARE])
RECIPE = dict(pipeline=[*LOAD, AUGMENT, *PREPARE], target_pipeline=[*LOAD, VIEWS])


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--source', type=int, default=100_000, help='Labelled images')
    parser.add_argument('--target', type=int, default=100_000, help='Images without labels')
    parser.add_argument(
        '--folder', type=Path, required=True, help='For the LMDBs, 0.4 GB for each million'
    )
    parser.add_argument('--keep', action='store_true', help='Leave the LMDBs there for another run')
    parser.add_argument('--lists', action='store_true', help="Also measure MMOCR's dataset")
    parser.add_argument('--recipe', action='store_true', help='Augment as tools/adapt.py does')
    parser.add_argument('--measure', choices=('index', 'list'), help=argparse.SUPPRESS)
    args = parser.parse_args()
    for name in ('source', 'target'):
        if getattr(args, name) < BATCH_SIZE:
            parser.error(f'--{name} must be at least {BATCH_SIZE}, got {getattr(args, name)}')
    return args


def write_lmdb(path: Path, count: int, labelled: bool, scale: int = 1) -> None:
    """Write an LMDB of MMOCR's format whose samples share one image, unless it is there.

    Args:
        scale: Of the image, whose height is 16 pixels.
    """
    if path.exists():
        return
    path.mkdir(parents=True)
    image = np.full((16 * scale, 48 * scale + 16 * (scale - 1) // 2), 255, np.uint8)
    cv2.putText(image, 'word', (2, 12 * scale), cv2.FONT_HERSHEY_SIMPLEX, 0.5 * scale, 0, scale)
    content = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 30])[1].tobytes()
    numbers = range(1, count + 1)
    entries = [((b'image-%09d' % i, content) for i in numbers)]
    if labelled:
        entries.append((b'label-%09d' % i, b'word%d' % (i % 9973)) for i in numbers)
    entries.append(iter([(b'num-samples', b'%d' % count)]))
    with lmdb.open(str(path), map_size=2**28 + 2**10 * count, sync=False) as environment:
        with environment.begin(write=True) as transaction, transaction.cursor() as cursor:
            for part in entries:  # in the order of the keys, which makes it fast
                cursor.putmulti(part, append=True)


def dataset_of(args: argparse.Namespace) -> Any:
    """Build the dataset of both domains, with labels by index or in MMOCR's list."""
    source: Any = dict(type='RecogLMDBDataset', ann_file=str(args.folder / 'source'), pipeline=None)
    if args.measure == 'list':
        source.pop('type')
        source = RecogLMDBDataset(**source)
    target = dict(type='mmocr_da.UnlabelledDataset', lmdb=str(args.folder / 'target'))
    return DATASETS.build(
        dict(
            type='mmocr_da.TwoDomainDataset',
            source=source,
            target=target,
            **(RECIPE if args.recipe else PLAIN),
        )
    )


def memory_of(process: int | str = 'self') -> tuple[float, float]:
    """Peak memory of a process without pages of files, and those pages now, in MB."""
    lines = Path(f'/proc/{process}/status').read_text().splitlines()
    sizes = dict(line.split(':', 1) for line in lines)
    peak, files = (int(sizes[key].split()[0]) / 1024 for key in ('VmHWM', 'RssFile'))
    return peak - files, files


def computing(process: int) -> float:
    """Seconds that a process has computed."""
    fields = Path(f'/proc/{process}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def measure(args: argparse.Namespace) -> list[Any]:
    """Start as a training does, and return a row of the table."""
    register_all_modules(init_default_scope=True)
    dictionary = dict(
        type='Dictionary',
        dict_file=str(ROOT / 'configs/_base_/dicts/lower_english_digits.txt'),
        with_end=True,
        with_padding=True,
    )
    start, computed = time.perf_counter(), time.process_time()
    dataset = dataset_of(args)
    sampler = TwoDomainSampler(dataset, BATCH_SIZE, seed=0)
    loader = DataLoader(
        dataset, BATCH_SIZE, sampler=sampler, num_workers=1, collate_fn=pseudo_collate
    )
    check_labels(dataset, CEModuleLoss(dictionary), MMLogger.get_current_instance())
    batches: Any = iter(loader)
    next(batches)
    start, computed = time.perf_counter() - start, time.process_time() - computed
    (worker,) = batches._workers
    warm_up = min(WARM_UP, len(loader) // 2)
    count = min(MEASURED, len(loader) - 1 - warm_up)
    for _ in range(warm_up):
        next(batches)
    before = computing(worker.pid)
    for _ in range(count):
        next(batches)
    speed = count * BATCH_SIZE / (computing(worker.pid) - before)
    memory = memory_of()[0], *memory_of(worker.pid)

    before = time.process_time()
    resumed = TwoDomainSampler(dataset, BATCH_SIZE, seed=0)
    resumed.skip(5 * resumed.num_batches // 2)
    next(iter(resumed))
    resume = time.process_time() - before
    sizes = ' + '.join(f'{size:,}' for size in dataset.domain_sizes)
    kind = dict(index='by index', list="MMOCR's list")[args.measure]
    return [kind, sizes, f'{start:.1f}', f'{computed:.1f}', f'{resume:.2f}'] + [
        f'{number:,.0f}' for number in (*memory, speed)
    ]


def main() -> None:
    args = parse_args()
    if args.measure:
        print(json.dumps(measure(args)))
        return
    try:
        for name in ('source', 'target'):
            scale = 3 if args.recipe else 1
            write_lmdb(args.folder / name, getattr(args, name), name == 'source', scale)
        rows = [COLUMNS]
        for kind in ('index', 'list')[: 1 + args.lists]:
            # In a fresh process, as the memory of the former would stay.
            command = [sys.executable, __file__, *sys.argv[1:], '--measure', kind]
            result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            rows.append(json.loads(result.stdout.splitlines()[-1]))
    finally:
        if not args.keep:
            for name in ('source', 'target'):
                shutil.rmtree(args.folder / name, ignore_errors=True)
    print(table(rows))


if __name__ == '__main__':
    main()
