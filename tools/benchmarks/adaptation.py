"""Compare ways to adapt a small recognizer on pairs of domains, over several seeds.

    python tools/benchmarks/adaptation.py --pair numbers
    python tools/benchmarks/adaptation.py --pair receipts-photos=RECEIPTS,PHOTOS --jobs 2

A pair is ``numbers`` (printed to handwritten ones) or ``NAME=SOURCE,TARGET``, two folders of words
as configs/_base_/small_adaptation.py describes them. How many images have bright text on a dark
background is measured on the target's training images, for the augmentation. A third value,
``NAME=SOURCE,TARGET,SOURCE_ITERS``, is the length of the training on the source before the
adaptations. A NAME that ends with ``-attention`` takes the attention recognizer of words instead of
CTC's. Every run is a training and a test of a config in configs/self_training, printed before
it starts. All adaptations start from the recognizer that ``source-only`` trains (one with BIN from
``source-only, BIN``), and are compared with ``control``, which is trained as long on the source
alone. ``supervised`` learns the labels of
the target: the bound.

A run that is done is skipped, and a killed one resumes. ``results.md`` in the work directory has a
table for each pair: means and standard deviations over the seeds, the gain over the control with
its 95 % interval (bootstrap over test images, of which each counts with its mean over the seeds),
and which part of the gap between control and bound is closed. ``results.jsonl`` gets a line for
each run and domain, with all that the tables need; ``--results`` names another such file. A run
that has its lines there, of the same configs, is not repeated, so pairs and seeds can be measured
one after the other, on several machines. ``--no-training`` makes the tables of what is there, and
needs no images. The last checkpoint counts: a run chooses nothing by labels of the target.
"""

import argparse
import hashlib
import inspect
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple
from unittest.mock import patch

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
import numpy as np
from mmengine.config import Config
from mmengine.fileio import load
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmocr.registry import DATASETS

from mmocr_da import markdown
from mmocr_da.adaptation.image_sources import target_dataset
from mmocr_da.arguments import check_count
from mmocr_da.datasets.polarity import bright_text_share
from mmocr_da.domains import DOMAINS
from mmocr_da.evaluation import edit_distances, normalize, ratio_interval
from mmocr_da.outputs import check_outputs, output_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import quickstart  # noqa: E402  the folder of tools is no package

WRITER = 'benchmarks/adaptation'
START, CONTROL, BOUND = 'source-only', 'control', 'supervised'
BIN_START, BIN_CONTROL = 'source-only, BIN', 'control, BIN'
#: Rows that start from nothing. All others start from START, if STARTS_OF names no other one.
STARTS = {
    'source-only, plain images': 'ablations/small_plain-source-only',
    'source-only, standardized': 'ablations/small_standardized-source-only',
    START: 'small/small_augmented-source-only',
    BIN_START: 'small/small_augmented-bin-source-only',
}
#: Self-training with one part of it exchanged.
ABLATIONS = {
    f'self-training, {name.replace("-", " ")}': f'ablations/small_self-training-{name}'
    for name in ('threshold', 'same-view', 'own-teacher', 'fixed-teacher')
}
#: Names of rows: configs in configs/self_training.
CONFIGS = {
    **STARTS,
    CONTROL: 'small/small_augmented-control',
    BIN_CONTROL: 'small/small_augmented-bin-control',
    'GA': 'ablations/small_augmented-ga',
    'LA': 'ablations/small_augmented-la',
    'ASSDA': 'small/small_augmented-assda',
    'ASSDA, BIN': 'small/small_augmented-bin-assda',
    'domain confusion': 'ablations/small_augmented-confusion',
    'SymNet, as published': 'ablations/small_augmented-symnet-confusion',
    'SymNet': 'small/small_augmented-symnet',
    'self-training': 'small/small_self-training',
    **ABLATIONS,
    'self-training + ASSDA': 'small/small_self-training-assda',
    'self-training + ASSDA, rising': 'ablations/small_self-training-assda-rising',
    'self-training + ASSDA, BIN': 'small/small_self-training-bin-assda',
    'self-training + SymNet': 'small/small_self-training-symnet',
    'source-free': 'small/small_source-free',
    BOUND: 'small/small_augmented-supervised',
}
#: Parts of a config that a run depends on: what MMEngine's Runner takes, but folders and logs, and
#: what it looks up.
SETTINGS = {
    *inspect.signature(Runner.__init__).parameters,
    *('activation_checkpointing', 'compile', 'efficient_conv_bn_eval', 'find_unused_parameters'),
    *('model_wrapper_cfg', 'runner_type', 'sync_bn'),
} - {
    *('self', 'cfg', 'work_dir', 'load_from', 'resume', 'launcher'),
    *('log_processor', 'log_level', 'visualizer', 'experiment_name'),
}
STARTS_OF = {name: BIN_START for name in CONFIGS if name.endswith(', BIN') and name != BIN_START}
#: Rows that are trained without being asked for.
MAIN = (
    *(name for name in STARTS if name != BIN_START),
    CONTROL,
    'ASSDA',
    'SymNet',
    'self-training',
    'self-training + ASSDA',
    'self-training + SymNet',
    'source-free',
    BOUND,
)


class Pair(NamedTuple):
    """Two domains; without folders the printed and handwritten numbers."""

    name: str
    source: str = ''
    target: str = ''
    #: Of the training that all adaptations start from; 0 is as in the config.
    source_iters: int = 0
    #: Kind of the data and the recognizer of words, MMOCR_DA_DATA.
    words: str = 'words'

    @property
    def data(self) -> str:
        """Kind of the data, MMOCR_DA_DATA."""
        return self.words if self.source else 'numbers'

    @property
    def source_name(self) -> str:
        """Tells apart what trainings on the source alone see."""
        if not self.source:
            return self.name
        length = f'_{self.source_iters}' if self.source_iters else ''
        return f'{Path(self.source).name}_{bright_text(self.target)}{length}{self.ending}'

    @property
    def ending(self) -> str:
        """Of the name of a pair, for another recognizer than CTC's."""
        return self.words.removeprefix('words')

    @property
    def settings(self) -> dict[str, str]:
        """Options of the configs other than folders and what is measured in them."""
        length = dict(MMOCR_DA_SOURCE_ITERS=str(self.source_iters)) if self.source_iters else {}
        return dict(MMOCR_DA_DATA=self.data, **length)

    @property
    def environment(self) -> dict[str, str]:
        """What chooses the data of the configs."""
        if not self.source:
            return self.settings
        return dict(
            self.settings,
            MMOCR_DA_SOURCE=self.source,
            MMOCR_DA_TARGET=self.target,
            MMOCR_DA_BRIGHT_TEXT=str(bright_text(self.target)),
        )

    def folder(self, domain: str) -> str:
        """Folder of the images of ``'source'`` or ``'target'``."""
        return getattr(self, domain) or f'{quickstart.DATA}/{domain}'


@cache
def bright_text(folder: str) -> float:
    """Share of bright text in the training images of a folder of words.

    Raises:
        ValueError: If none can be read.
    """
    with DefaultScope.overwrite_default_scope('mmocr'):
        share = bright_text_share(DATASETS.build(target_dataset([f'{folder}/train.tsv'])))
    if share is None:
        raise ValueError(f'{folder}/train.tsv must name images that can be read, got none')
    return share


class Score(NamedTuple):
    """Test images of one domain.

    >>> score = Score(np.array([1.0, 0, 1]), edits=2, characters=10)
    >>> Score.read(score.written()).right
    array([1., 0., 1.])
    """

    #: Whether each prediction is right, 0 or 1.
    right: np.ndarray
    #: Of all predictions together, and the characters of their texts.
    edits: int
    characters: int

    @property
    def images(self) -> int:
        return len(self.right)

    @property
    def word_accuracy(self) -> float:
        return float(self.right.mean())

    @property
    def character_error_rate(self) -> float:
        return self.edits / max(self.characters, 1)

    def written(self) -> dict[str, Any]:
        """As JSON."""
        return dict(
            images=self.images,
            word_accuracy=round(self.word_accuracy, 5),
            cer=round(self.character_error_rate, 5),
            edits=self.edits,
            characters=self.characters,
            right=np.packbits(self.right.astype(bool)).tobytes().hex(),  # a bit for each image
        )

    @classmethod
    def read(cls, line: dict[str, Any]) -> 'Score':
        """The opposite of :meth:`written`."""
        bits = np.unpackbits(np.frombuffer(bytes.fromhex(line['right']), np.uint8))
        return cls(bits[: line['images']].astype(float), line['edits'], line['characters'])


def parse_pair(text: str, needs_images: bool = True) -> Pair:
    """Read a pair from the command line.

    Raises:
        ValueError: If it has another form, or if a folder lacks a split.
    """
    if text == 'numbers':
        return Pair(text)
    name, _, rest = text.partition('=')
    *paths, length = rest.split(',') if rest.count(',') == 2 else [*rest.split(','), '0']
    words = 'words-attention' if name.endswith('-attention') else 'words'
    if not needs_images and not rest:
        return Pair(name, 'source', 'target', words=words)
    if not name or len(paths) != 2 or not length.isdecimal():
        raise ValueError(
            "--pair must be 'numbers', NAME=SOURCE,TARGET or NAME=SOURCE,TARGET,SOURCE_ITERS, got "
            f'{text!r}'
        )
    if not needs_images:
        return Pair(name, 'source', 'target', int(length), words)
    for path in paths:
        for split in ('train', 'val', 'test'):
            if not Path(path, f'{split}.tsv').is_file():
                raise ValueError(
                    f'a folder of words has train.tsv, val.tsv and test.tsv, got {path} without '
                    f'{split}.tsv'
                )
    source, target = map(os.path.abspath, paths)
    return Pair(name, source, target, int(length), words)


def make_parser(
    description: str = __doc__.splitlines()[0],
    configs: Sequence[str] = tuple(CONFIGS),
    main: Sequence[str] = MAIN,
    work_dir: str = 'work_dirs/adaptation_benchmark',
    always: Sequence[str] = (START, CONTROL),
) -> argparse.ArgumentParser:
    """Make the parser of the command line.

    Args:
        description: What the tool does.
        configs: Names of rows.
        main: Those that are trained without being asked for.
        work_dir: The default folder.
        always: Those that are trained in any case.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('--pair', action='append', required=True, metavar='NAME=SOURCE,TARGET')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument(
        '--rows',
        nargs='+',
        default=main,
        choices=configs,
        help=f'What is trained beside {" and ".join(always)} (default: {", ".join(main)})',
    )
    parser.add_argument('--jobs', type=int, default=1, help='Runs at the same time')
    parser.add_argument(
        '--results', type=Path, help='File of lines (default: results.jsonl in the work directory)'
    )
    parser.add_argument(
        '--no-training',
        action='store_true',
        help='Rows that have all their runs in the file of lines; pairs are names alone',
    )
    parser.add_argument('--work-dir', type=Path, default=Path(work_dir))
    return parser


def score(file: Path, folder: str) -> Score:
    """Read the predictions of a test run; letters and digits count, letter case does not.

    Args:
        folder: Of the images that count.

    Raises:
        ValueError: If there is no image of the folder.
    """
    texts, truths = texts_of(file, folder)
    return Score(
        np.array([a == b for a, b in zip(texts, truths)], float),
        int(sum(edit_distances(texts, truths))),
        sum(map(len, truths)),
    )


def texts_of(file: Path, folder: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Read the predictions and ground truths of a folder's images, without case and symbols.

    Images without a letter or digit in their text do not count.

    Raises:
        ValueError: If there is no image of the folder.
    """
    found = [s for s in load(str(file), file_format='pkl') if f'{folder}/' in s['img_path']]
    if not found:
        raise ValueError(f'{file} must have predictions of images in {folder}, got none')
    options = dict(ignore_case=True, ignore_symbols=True)
    pairs = [
        (normalize(s['pred_text']['item'], **options), normalize(s['gt_text']['item'], **options))
        for s in found
    ]
    texts, truths = zip(*[pair for pair in pairs if pair[1]])
    return texts, truths


def gain(scores: Sequence[Score], control: Sequence[Score]) -> str:
    """Points of word accuracy above the control, with the interval of it.

    >>> ones, zeros = (Score(np.full(50, v), 0, 50) for v in (1.0, 0.0))
    >>> gain([ones, ones], [zeros, ones])
    '+50.0 (+50.0 to +50.0)'
    """
    differences = np.mean([a.right - b.right for a, b in zip(scores, control, strict=True)], axis=0)
    return f'{ratio_interval(100 * differences):+.1f}'


def closed(values: Sequence[float], control: Sequence[float], bound: Sequence[float]) -> str:
    """Part of the gap between control and bound that is closed, in percent of it.

    >>> closed([0.5], [0.25], [0.75]), closed([0.5], [0.75], [0.25])
    ('50 %', '-')
    """
    low, value, high = (np.mean(group) for group in (control, values, bound))
    return f'{100 * (value - low) / (high - low):.0f} %' if high > low else '-'


def mean(values: Sequence[float]) -> str:
    """Mean and standard deviation in percent.

    >>> mean([0.1, 0.2, 0.3]), mean([0.5])
    ('20.0 ± 10.0', '50.0')
    """
    deviation = f' ± {100 * np.std(values, ddof=1):.1f}' if len(values) > 1 else ''
    return f'{100 * np.mean(values):.1f}{deviation}'


def table(results: dict[str, dict[str, list[Score]]]) -> str:
    """Lay out a pair's results; ``{row: {domain: scores over the seeds}}``."""
    rows = [
        [
            'recognizer',
            'target word accuracy',
            'gain over the control',
            'gap closed',
            'target CER',
            'source word accuracy',
        ]
    ]
    control = results[CONTROL]['target']
    accuracies = {
        name: [s.word_accuracy for s in found['target']] for name, found in results.items()
    }
    for name, found in results.items():
        target, source = found['target'], found['source']
        compared = name not in (*STARTS, CONTROL, BIN_CONTROL)
        gap = [accuracies[key] for key in (name, CONTROL, BOUND) if key in accuracies]
        rows.append(
            [
                name,
                mean(accuracies[name]),
                gain(target, control) if compared else '',
                closed(*gap) if compared and name != BOUND and BOUND in results else '',
                mean([s.character_error_rate for s in target]),
                mean([s.word_accuracy for s in source]),
            ]
        )
    return markdown.table(rows)


class Results:
    """A file with a line of JSON for each run and domain.

    Args:
        path: The file.
        score: Class of the scores.
        domains: Names of the sets of images that a run is tested on.
    """

    def __init__(
        self, path: Path, score: type = Score, domains: Sequence[str] = tuple(DOMAINS)
    ) -> None:
        self.path = path
        self.domains = domains
        self._score = score
        self._lock = Lock()
        text = path.read_text(encoding='utf-8') if path.exists() else ''
        self._lines = {self._key(line): line for line in map(json.loads, text.splitlines())}

    @staticmethod
    def _key(line: dict[str, Any]) -> tuple:
        return tuple(line[key] for key in ('pair', 'row', 'seed', 'domain', 'fingerprint'))

    @property
    def lines(self) -> list[dict[str, Any]]:
        """All of them."""
        return [*self._lines.values()]

    def find(self, **run) -> dict[str, Score] | None:
        """Return the scores of a run by domain, if it is there."""
        lines = [self._lines.get(self._key(dict(run, domain=domain))) for domain in self.domains]
        return dict(zip(self.domains, map(self._score.read, lines))) if all(lines) else None

    def add(self, scores: dict[str, Score], **run) -> None:
        """Append the lines of a run."""
        lines = [dict(run, domain=domain, **scores[domain].written()) for domain in self.domains]
        with self._lock:
            self._lines |= {self._key(line): line for line in lines}
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open('a', encoding='utf-8') as file:
                file.write(''.join(f'{json.dumps(line)}\n' for line in lines))


class Benchmark:
    """Trains and tests what is not done yet; of recognizers."""

    #: Folder of the configs.
    method = 'self_training'
    #: Rows that the others start from, and are compared with.
    start, control = START, CONTROL
    #: Name of the images whose number the page says.
    counted = 'target'
    #: Options of each training that change no weight, as key=value.
    train_options: Sequence[str] = ()

    @property
    def configs(self) -> dict[str, str]:
        """Names of rows: configs in the folder."""
        return CONFIGS

    @property
    def starts(self) -> dict[str, str]:
        """Those of them that start from nothing; all others start from ``start``."""
        return STARTS

    def start_of(self, row: str) -> str | None:
        """The row that a row starts from; None for nothing."""
        return None if row in self.starts else STARTS_OF.get(row, self.start)

    @property
    def shared(self) -> Sequence[str]:
        """Rows that learn no target, and are the same for all pairs of a source."""
        return (*self.starts, self.control, BIN_CONTROL)

    def settings(self, pair: Pair, row: str) -> dict[str, str]:
        """Options of the config of a row other than folders and what is measured in them."""
        return pair.settings

    def environment(self, pair: Pair, row: str) -> dict[str, str]:
        """What chooses the data and the options of a row."""
        return pair.environment

    def read(self, file: Path, folder: str) -> Any:
        """Read the score of the images of a folder from the predictions of a test run."""
        return score(file, folder)

    def config(self, row: str) -> str:
        """Config of a row, relative to ``configs`` and without its ending."""
        return f'{self.method}/{self.configs[row]}'

    def fingerprint(self, row: str, pair: Pair) -> str:
        """A hash of all settings of a row and of what it starts from."""
        rows = [row]
        while before := self.start_of(rows[0]):
            rows.insert(0, before)
        settings = tuple(self.settings(pair, row).items())
        return hash_of_configs(tuple(map(self.config, rows)), settings)

    def __init__(self, work_dir: Path, results: Results, seeds: Sequence[int], jobs: int) -> None:
        self.work_dir = work_dir
        self.results = results
        self.seeds = seeds
        self.jobs = jobs

    def check(self, pair: Pair) -> None:
        """Raise a ValueError if the configs cannot do what a pair says."""

    def seed_of(self, row: str, seed: int) -> int:
        """Seed of a row in a run of all rows with a seed; it names the folder and the line."""
        return seed

    def training_seed(self, row: str, seed: int) -> int:
        """Seed of a row's training."""
        return seed

    def checkpoint(self, pair: Pair, row: str, seed: int) -> Path:
        """Train a row, unless it is done; rows that learn no target are shared by pairs."""
        seed = self.seed_of(row, seed)
        domains = pair.source_name if row in self.shared else pair.name
        folder = self.folder(domains, row, seed)
        before = self.start_of(row)
        start = self.checkpoint(pair, before, seed) if before else None
        environment = self.environment(pair, row)
        return quickstart.train(
            *(self.config(row), folder, self.training_seed(row, seed), start, environment),
            *(self.train_options, self.fingerprint(row, pair)),
        )

    def scores(self, pair: Pair, row: str, seed: int) -> dict[str, Score]:
        """Train and test a row, unless it is done; return the scores by domain."""
        run = self.described(pair, row, seed)
        found = self.results.find(**run)
        if found is None:
            found = self.test(pair, row, seed, self.checkpoint(pair, row, seed))
            self.results.add(found, **run)
        return found

    def test(self, pair: Pair, row: str, seed: int, checkpoint: Path) -> dict[str, Any]:
        """Test a row; return the scores by domain."""
        folder = self.folder(pair.name, row, seed)
        quickstart.test(self.config(row), checkpoint, folder, self.environment(pair, row))
        file = quickstart.predictions_of(checkpoint, folder)
        return {domain: self.read(file, pair.folder(domain)) for domain in self.results.domains}

    def described(self, pair: Pair, row: str, seed: int) -> dict[str, Any]:
        """What makes a run."""
        return dict(
            pair=pair.name,
            row=row,
            config=f'configs/{self.config(row)}.py',
            seed=self.seed_of(row, seed),
            fingerprint=self.fingerprint(row, pair),
            **(dict(source_iters=pair.source_iters) if pair.source_iters else {}),
        )

    def folder(self, domains: str, row: str, seed: int) -> Path:
        """Where a run of a row writes to."""
        name = f'{re.sub("[ ,]", "", row)}_seed{self.seed_of(row, seed)}'
        return self.work_dir / domains / name

    def map(self, function, items: Sequence[tuple]) -> list:
        """Call a function for each item, some at the same time."""
        with ThreadPoolExecutor(self.jobs) as pool:
            return list(pool.map(lambda item: function(*item), items))

    def different(self, items: Iterable[tuple]) -> list[tuple]:
        """Those of pairs, rows and seeds that are runs of their own."""
        runs = {(p.name, row, self.seed_of(row, seed)): (p, row, seed) for p, row, seed in items}
        return [*runs.values()]

    def run(self, pairs: Sequence[Pair], rows: Sequence[str]) -> dict[str, dict]:
        """Return ``{pair: {row: {domain: scores over the seeds}}}``."""
        items = self.different((p, row, s) for s in self.seeds for p in pairs for row in rows)
        todo = [item for item in items if self.results.find(**self.described(*item)) is None]
        # One pair for each source: others find its runs done.
        sources = {(p.source_name, seed): (p, seed) for p, _, seed in todo}.values()
        alone = {*self.shared} - {self.start}
        shared = [self.start, *(row for row in rows if row in alone)]
        for row in shared:
            wanted = {(p.source_name, seed) for p, name, seed in todo if name == row}
            starts = [
                (p, row, seed)
                for p, seed in sources
                if row == self.start or (p.source_name, seed) in wanted
            ]
            self.map(self.checkpoint, self.different(starts))
        self.map(self.scores, items)
        return self.known(pairs, rows)

    def known(self, pairs: Sequence[Pair], rows: Sequence[str]) -> dict[str, dict]:
        """Return what :meth:`run` does, of rows that have the lines of all seeds."""
        out: dict[str, dict] = {}
        for pair in pairs:
            out[pair.name] = {}
            for row in rows:
                found = [self.results.find(**self.described(pair, row, s)) for s in self.seeds]
                if all(found):
                    domains = self.results.domains
                    of_domain = {domain: [run[domain] for run in found] for domain in domains}
                    out[pair.name][row] = of_domain
            if self.control not in out[pair.name]:
                raise ValueError(
                    f'{self.results.path} must have the lines of {self.control!r} with the seeds '
                    f'{list(self.seeds)} for the pair {pair.name!r}, got none of these settings'
                )
        return out


@cache
def hash_of_configs(names: tuple[str, ...], settings: tuple[tuple[str, str], ...]) -> str:
    """A hash of what the runner gets from configs, whatever the folders are.

    Args:
        names: Configs, relative to ``configs`` and without their endings.
        settings: Items of :attr:`Pair.settings`.
    """
    options = dict(settings, MMOCR_DA_SOURCE='source', MMOCR_DA_TARGET='target')
    texts = []
    for name in names:
        with patch.dict(os.environ, options), without_notes():
            cfg = Config.fromfile(quickstart.ROOT / f'configs/{name}.py')
        used = {key: value for key, value in cfg.to_dict().items() if key in SETTINGS}
        texts.append(json.dumps(used, sort_keys=True, default=str))
    text = '\n'.join(texts).replace(str(quickstart.ROOT), '')
    return hashlib.sha256(text.encode()).hexdigest()[:8]


@contextmanager
def without_notes() -> Iterator[None]:
    """Keep MMEngine from naming each environment variable of each config that is read."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def check_args(args: argparse.Namespace, pairs: Sequence[Pair], writer: str) -> None:
    """Make the work directory absolute and go to the repository.

    Raises:
        ValueError: If a pair or a seed is there twice, or a file of somebody else is in the way.
    """
    check_count('--jobs', args.jobs)
    if len({pair.name for pair in pairs}) < len(pairs) or len({*args.seeds}) < len(args.seeds):
        raise ValueError(f'each pair and each seed counts once, got {args.pair}, {args.seeds}')
    args.work_dir = args.work_dir.absolute()
    check_outputs([args.work_dir / 'results.md'], writer)
    if args.results:
        args.results = args.results.absolute()
    os.chdir(quickstart.ROOT)
    os.environ.setdefault('PYTHONWARNINGS', 'ignore')  # the hosts' deprecation warnings


def report(
    args: argparse.Namespace,
    benchmark: Benchmark,
    pairs: Sequence[Pair],
    layout: Callable[[dict[str, dict[str, list[Any]]]], str],
    writer: str,
) -> None:
    """Run a benchmark, or read what is there, and write its page."""
    wanted = {benchmark.start, benchmark.control, *args.rows}
    rows = [row for row in benchmark.configs if row in wanted]
    found = benchmark.known(pairs, rows) if args.no_training else benchmark.run(pairs, rows)
    seeds = ', '.join(map(str, args.seeds))
    page = f'Test sets, in percent; seeds {seeds}; last checkpoints.\n'
    for name, scores in found.items():
        images = scores[benchmark.control][benchmark.counted][0].images
        page += f'\n## {name} ({images:,} {benchmark.counted} images)\n\n{layout(scores)}\n'
    with output_file(args.work_dir / 'results.md', writer) as file:
        file.write_text(page, encoding='utf-8')
    print(f'\n{page}\n{args.work_dir / "results.md"}')


def main(benchmark_type: type[Benchmark] = Benchmark, writer: str = WRITER, **options: Any) -> None:
    """Run a benchmark of recognizers.

    Args:
        benchmark_type: Which one.
        writer: Name of the tool in what it writes.
        options: See :func:`make_parser`.
    """
    args = make_parser(**options).parse_args()
    pairs = [parse_pair(text, not args.no_training) for text in args.pair]
    check_args(args, pairs, writer)
    results = Results(args.results or args.work_dir / 'results.jsonl')
    if any(not pair.source for pair in pairs) and not args.no_training:
        quickstart.run(
            'tools/dataset_converters/printed_to_handwritten.py',
            '--with-target-train-labels',
            '--out-dir',
            quickstart.DATA,
        )
    benchmark = benchmark_type(args.work_dir, results, args.seeds, args.jobs)
    for pair in pairs:
        benchmark.check(pair)
    report(args, benchmark, pairs, table, writer)


if __name__ == '__main__':
    main()
