"""Compare losses that tune a recognizer on the edit distance, on folders of words.

    python tools/benchmarks/edit_distance_losses.py --test receipts=FOLDER --test photos=FOLDER

A small attention recognizer is trained by cross-entropy on words that are drawn
(configs/_base_/small_lsed/rendered.py), one for each seed. Each row tunes it further on drawn
words, as long as the others, by a config of configs/learned_surrogate/small. ``cross-entropy`` is
the control. All images of a folder are tested, those of its labels.tsv with rows ``path<TAB>text``.
None of them is trained with, and they choose nothing: the last checkpoint counts.

``results.md`` in the work directory has a table for each folder: total edit distance, character
error rate and word accuracy, means and standard deviations over the seeds, without letter case and
symbols, and their differences from the control with 95 % intervals (bootstrap over images, which
stay together for both, and of which each counts with its mean over the seeds). The intervals know
nothing of the chance of a training: a difference that the seeds do not share is none. Runs, files
and the other options are those of adaptation.py: a run that is done is skipped, a killed one
resumes, and ``results.jsonl`` gets a line for each run and folder, with the edits of each image.
"""

import argparse
import base64
import hashlib
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
import numpy as np

from mmocr_da import markdown
from mmocr_da.arguments import check_count
from mmocr_da.evaluation import Estimate, edit_distances, ratio_interval
from mmocr_da.outputs import output_file

sys.path.insert(0, str(Path(__file__).resolve().parent))
import adaptation  # noqa: E402  the folder of tools is no package
from adaptation import mean  # noqa: E402

WRITER = 'benchmarks/edit_distance_losses'
WORK_DIR = 'work_dirs/edit_distance_losses'
START, CONTROL = 'before tuning', 'cross-entropy'
#: Names of rows: configs in configs/learned_surrogate.
CONFIGS = {
    name: f'small/small_{config}'
    for name, config in {
        START: 'supervised',
        CONTROL: 'ce',
        'LS-ED': 'lsed',
        'LS-ED, both in one step': 'lsed-both',
        'minimum risk': 'minimum-risk',
        'optimal completion': 'optimal-completion',
        'scheduled sampling': 'scheduled-sampling',
    }.items()
}


class Protocol(NamedTuple):
    """Drawn words to train with, and folders of words to test on."""

    #: ``((name, folder), ...)``
    tests: tuple[tuple[str, str], ...]
    #: Environment variables of configs/_base_/small_lsed/rendered.py, without the folders.
    options: tuple[tuple[str, str], ...] = ()

    #: Kind of the data, MMOCR_DA_DATA.
    data = 'rendered'
    #: The length of the training before the tuning is one of the options.
    source_iters = 0

    @property
    def name(self) -> str:
        return '+'.join(name for name, _ in self.tests)

    @property
    def source_name(self) -> str:
        """Tells apart what tunings see."""
        content = repr(sorted(self.options)).encode()
        return f'{self.data}_{hashlib.sha256(content).hexdigest()[:8]}'

    @property
    def start_name(self) -> str:
        """Tells apart what trainings before the tuning see."""
        options = tuple(o for o in self.options if o[0] != 'MMOCR_DA_TUNING_ITERS')
        return self._replace(options=options).source_name

    @property
    def settings(self) -> dict[str, str]:
        """Options of the configs, with the content of files instead of their place."""
        options = {
            name: content_of(value) if Path(value).exists() else value
            for name, value in self.options
        }
        return dict(options, MMOCR_DA_DATA=self.data, MMOCR_DA_TEST='test')

    @property
    def environment(self) -> dict[str, str]:
        """What chooses the data of the configs."""
        folders = ','.join(folder for _, folder in self.tests)
        return dict(self.options, MMOCR_DA_DATA=self.data, MMOCR_DA_TEST=folders)

    def folder(self, name: str) -> str:
        """Folder of the images of a test set."""
        return dict(self.tests)[name]


class Score(NamedTuple):
    """The edits in the prediction of each image of a folder, and the lengths of their texts.

    >>> score = Score(np.array([0, 2]), np.array([3, 5]))
    >>> score.ted, score.character_error_rate, score.word_accuracy
    (2, 0.25, 0.5)
    >>> Score.read(score.written()).edits
    array([0, 2])
    """

    edits: np.ndarray
    characters: np.ndarray

    @property
    def images(self) -> int:
        return len(self.edits)

    @property
    def ted(self) -> int:
        """Total edit distance."""
        return int(self.edits.sum())

    @property
    def character_error_rate(self) -> float:
        return self.ted / max(int(self.characters.sum()), 1)

    @property
    def right(self) -> np.ndarray:
        """Whether each prediction is right, 0 or 1."""
        return (self.edits == 0).astype(float)

    @property
    def word_accuracy(self) -> float:
        return float(self.right.mean())

    def written(self) -> dict[str, Any]:
        """As JSON; the numbers of the images are compressed."""
        return dict(
            images=self.images,
            ted=self.ted,
            cer=round(self.character_error_rate, 5),
            word_accuracy=round(self.word_accuracy, 5),
            **{
                name: base64.b64encode(zlib.compress(values.astype('<u2').tobytes())).decode()
                for name, values in self._asdict().items()
            },
        )

    @classmethod
    def read(cls, line: dict[str, Any]) -> 'Score':
        """The opposite of :meth:`written`."""
        packed = (zlib.decompress(base64.b64decode(line[name])) for name in cls._fields)
        return cls(*(np.frombuffer(content, '<u2').astype(int) for content in packed))


class TuningBenchmark(adaptation.Benchmark):
    """Trains recognizers, tunes them and tests what comes of it."""

    method = 'learned_surrogate'
    configs = CONFIGS
    starts = {START: CONFIGS[START]}
    start, control = START, CONTROL

    def read(self, file: Path, folder: str) -> Score:
        """Read the score of the images of a folder from the predictions of a test run."""
        texts, truths = adaptation.texts_of(file, folder)
        return Score(np.array(edit_distances(texts, truths)), np.array([*map(len, truths)]))

    def checkpoint(self, pair: Any, row: str, seed: int) -> Path:
        """Train a row, unless it is done; the sets that are tested later have no part in it."""
        start, name = None, pair.start_name
        if row not in self.starts:
            start, name = self.checkpoint(pair, self.start, seed), pair.source_name
        environment = dict(pair.environment, MMOCR_DA_TEST='none')
        folder = self.folder(name, row, seed)
        return adaptation.quickstart.train(
            *(self.config(row), folder, seed, start, environment, self.train_options),
            self.fingerprint(row, pair),
        )


def content_of(path: str) -> str:
    """Name of a file with a hash of its content, or name of a folder."""
    file = Path(path)
    if file.is_dir():
        return file.name
    return f'{file.name}_{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}'


def parse_test(text: str) -> tuple[str, str]:
    """Read a test set from the command line.

    Raises:
        ValueError: If it has another form, or if the folder has no labels.
    """
    name, _, folder = text.partition('=')
    if not name or not folder or ',' in folder:
        raise ValueError(f'--test must be NAME=FOLDER, without a comma, got {text!r}')
    if not Path(folder, 'labels.tsv').is_file():
        raise ValueError(
            'a folder of words to test has labels.tsv, with rows path<TAB>text, got '
            f'{folder} without it'
        )
    return name, str(Path(folder).absolute())


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--test', action='append', required=True, metavar='NAME=FOLDER')
    parser.add_argument('--lexicon', help='File of words to draw (default: random strings)')
    parser.add_argument('--fonts', help='Folder of fonts (default: of installed packages)')
    parser.add_argument('--supervised-iters', type=int, default=6000)
    parser.add_argument('--tuning-iters', type=int, default=1000)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument(
        '--rows',
        nargs='+',
        default=tuple(CONFIGS),
        choices=CONFIGS,
        help=f'What is trained beside {START} and {CONTROL} (default: all)',
    )
    parser.add_argument('--jobs', type=int, default=1, help='Runs at the same time')
    parser.add_argument(
        '--results', type=Path, help='File of lines (default: results.jsonl in the work directory)'
    )
    parser.add_argument('--work-dir', type=Path, default=Path(WORK_DIR))
    return parser.parse_args()


def options_of(args: argparse.Namespace) -> tuple[tuple[str, str], ...]:
    """Return the environment variables of the configs.

    Raises:
        ValueError: If a file is not there, or a length is no number of iterations.
    """
    for name in ('supervised_iters', 'tuning_iters'):
        check_count(f'--{name.replace("_", "-")}', getattr(args, name), of='iterations')
    found = []
    for name, kind in dict(lexicon=Path.is_file, fonts=Path.is_dir).items():
        value = getattr(args, name)
        if value is not None:
            if not kind(Path(value)):
                noun = 'folder' if name == 'fonts' else 'file'
                raise ValueError(f'--{name} must be a {noun} that is there, got {value}')
            found.append((f'MMOCR_DA_{name.upper()}', str(Path(value).absolute())))
    found.append(('MMOCR_DA_SUPERVISED_ITERS', str(args.supervised_iters)))
    found.append(('MMOCR_DA_TUNING_ITERS', str(args.tuning_iters)))
    return tuple(found)


def difference(
    scores: Sequence[Score], control: Sequence[Score], key: str, below: np.ndarray | None = None
) -> Estimate:
    """Mean over the images of a number, minus the mean of the control, with the interval of it.

    Args:
        scores: Of a row, over the seeds.
        control: Of the control.
        key: Attribute of a score with a number for each image.
        below: What to divide by instead, a number for each image.

    >>> ones, zeros = (Score(np.full(50, v), np.full(50, 2)) for v in (1, 0))
    >>> print(f'{difference([ones, ones], [zeros, ones], "edits"):+.1f}')
    +0.5 (+0.5 to +0.5)
    """
    rows = [getattr(a, key) - getattr(b, key) for a, b in zip(scores, control, strict=True)]
    return ratio_interval(np.mean(rows, axis=0), below)


def times(estimate: Estimate, factor: float) -> Estimate:
    """An estimate and its interval in another unit."""
    return Estimate(*(factor * value for value in estimate))


def counts(values: Sequence[int]) -> str:
    """Mean and standard deviation of numbers that are counted.

    >>> counts([10, 20, 30]), counts([5])
    ('20 ± 10', '5')
    """
    deviation = f' ± {np.std(values, ddof=1):.0f}' if len(values) > 1 else ''
    return f'{np.mean(values):.0f}{deviation}'


def table(results: dict[str, dict[str, list[Score]]], test: str) -> str:
    """Lay out a test set's results; ``{row: {test set: scores over the seeds}}``."""
    head = [
        *('tuned by', 'TED', 'difference', 'of each seed'),
        *('CER', 'difference', 'word accuracy', 'difference'),
    ]
    rows = [head]
    control = results[CONTROL][test]
    for name, found in results.items():
        scores = found[test]
        differences = [''] * 4
        if name not in (START, CONTROL):
            characters = scores[0].characters
            edits = difference(scores, control, 'edits')
            differences = [
                f'{times(edits, len(characters)):+.0f}',
                ', '.join(f'{a.ted - b.ted:+d}' for a, b in zip(scores, control)),
                f'{times(difference(scores, control, "edits", characters), 100):+.2f}',
                f'{times(difference(scores, control, "right"), 100):+.2f}',
            ]
        rows.append(
            [
                name,
                counts([s.ted for s in scores]),
                *differences[:2],
                mean([s.character_error_rate for s in scores]),
                differences[2],
                mean([s.word_accuracy for s in scores]),
                differences[3],
            ]
        )
    return markdown.table(rows)


def main() -> None:
    args = parse_args()
    tests = tuple(map(parse_test, args.test))
    if len(dict(tests)) < len(tests):
        raise ValueError(f'each name of --test counts once, got {args.test}')
    protocol = Protocol(tests, options_of(args))
    args.pair = args.test
    adaptation.check_args(args, [protocol], WRITER)
    results = adaptation.Results(
        args.results or args.work_dir / 'results.jsonl', Score, tuple(dict(tests))
    )
    benchmark = TuningBenchmark(args.work_dir, results, args.seeds, args.jobs)
    rows = [row for row in CONFIGS if row in (START, CONTROL, *args.rows)]
    found = benchmark.run([protocol], rows)[protocol.name]
    seeds = ', '.join(map(str, args.seeds))
    page = (
        f'Recognizers, tuned for {args.tuning_iters:,} iterations; seeds {seeds}; last '
        'checkpoints. CER and word accuracy in percent, without letter case and symbols; '
        f'differences from {CONTROL}, with 95 % intervals over images.\n'
    )
    for name, _ in tests:
        images = found[CONTROL][name][0].images
        page += f'\n## {name} ({images:,} images)\n\n{table(found, name)}\n'
    with output_file(args.work_dir / 'results.md', WRITER) as file:
        file.write_text(page, encoding='utf-8')
    print(f'\n{page}\n{args.work_dir / "results.md"}')


if __name__ == '__main__':
    main()
