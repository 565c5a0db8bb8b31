"""Compare ways to adapt a small detector on pairs of domains, over several seeds.

    python tools/benchmarks/detector_adaptation.py --pair drawn
    python tools/benchmarks/detector_adaptation.py --pair photos-receipts=PHOTOS,RECEIPTS --jobs 2

As ``adaptation.py``, whose options and files these are, with the configs of
configs/detection/small. A pair is ``drawn`` (drawn scenes to drawn pages) or
``NAME=SOURCE,TARGET``, two folders of scenes as configs/_base_/small_detection.py describes them.
``source-only`` starts from one detector that is trained on drawn scenes, whatever the seed. A line
of ``results.jsonl`` has for each image how many regions were found (IoU above 0.5), predicted (with
a score of at least 0.5) and labelled. The gain over the control in F1 has its 95 % interval from
them (bootstrap over test images, which stay together for both, and a mean over the seeds).
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
import numpy as np
from mmengine.fileio import load
from mmengine.logging import MMLogger
from mmocr.evaluation.metrics import HmeanIOUMetric

from mmocr_da import markdown
from mmocr_da.evaluation import f1_interval

sys.path.insert(0, str(Path(__file__).resolve().parent))
import adaptation  # noqa: E402  the folder of tools is no package
from adaptation import BOUND, CONTROL, START, Pair, closed, mean, quickstart  # noqa: E402

WRITER = 'benchmarks/detector_adaptation'
WORK_DIR = 'work_dirs/detector_adaptation_benchmark'
#: What the source is learned from; it is no row of the tables.
PRETRAINED = 'pretrained'
#: Names of rows: configs in configs/detection.
CONFIGS = {
    name: f'small/small_detection-{config}'
    for name, config in {
        START: 'source-only',
        CONTROL: 'control',
        'alignment': 'aligned',
        'self-training': 'self-training',
        'map self-training': 'map-self-training',
        'self-training + alignment': 'adapted',
        BOUND: 'supervised',
    }.items()
}
#: The score from which a region counts: it is not chosen by labels, as the metric's best one is.
SCORE = dict(start=0.5, stop=0.55, step=0.1)
DRAWN = dict(source='data/rotated_scenes', target='data/drawn_pages')


class ScenePair(Pair):
    """Two domains; without folders the drawn ones."""

    @property
    def data(self) -> str:
        """Kind of the data, MMOCR_DA_DATA."""
        return 'scenes' if self.source else 'drawn'

    @property
    def source_name(self) -> str:
        """Tells apart what trainings on the source alone see."""
        return Path(self.folder('source')).name

    @property
    def environment(self) -> dict[str, str]:
        """What chooses the data of the configs."""
        if not self.source:
            return self.settings
        return dict(self.settings, MMOCR_DA_SOURCE=self.source, MMOCR_DA_TARGET=self.target)

    def folder(self, domain: str) -> str:
        """Folder of the images of ``'source'`` or ``'target'``."""
        return getattr(self, domain) or DRAWN[domain]


class Score(NamedTuple):
    """Test images of one domain: regions of each that were found, predicted, and labelled.

    >>> score = Score(np.array([1, 2]), np.array([2, 2]), np.array([1, 3]))
    >>> score.f1, Score.read(score.written()).found
    (0.75, array([1, 2]))
    """

    found: np.ndarray
    predicted: np.ndarray
    labelled: np.ndarray

    @property
    def images(self) -> int:
        return len(self.found)

    @property
    def f1(self) -> float:
        return float(2 * self.found.sum() / max(self.counts.sum(), 1))

    @property
    def counts(self) -> np.ndarray:
        """Predicted and labelled regions together."""
        return self.predicted + self.labelled

    def written(self) -> dict[str, Any]:
        """As JSON."""
        numbers = {name: values.tolist() for name, values in self._asdict().items()}
        return dict(images=self.images, f1=round(self.f1, 5), **numbers)

    @classmethod
    def read(cls, line: dict[str, Any]) -> 'Score':
        """The opposite of :meth:`written`."""
        return cls(*(np.array(line[name], int) for name in cls._fields))


class DetectorBenchmark(adaptation.Benchmark):
    """Trains and tests detectors."""

    method = 'detection'
    configs = CONFIGS
    starts = {START: CONFIGS[START]}
    #: The test after the training is enough.
    train_options = ('val_cfg=None', 'val_dataloader=None', 'val_evaluator=None')

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._pretraining = Lock()

    def config(self, row: str) -> str:
        """Config of a row, or of what the source is learned from."""
        name = 'small/small_detection-pretrained' if row == PRETRAINED else self.configs[row]
        return f'{self.method}/{name}'

    def start_of(self, row: str) -> str | None:
        """The row that a row starts from; None for nothing."""
        return {PRETRAINED: None, START: PRETRAINED}.get(row, START)

    def checkpoint(self, pair: Pair, row: str, seed: int) -> Path:
        """Train a row, unless it is done; all share what the source is learned from."""
        if row != PRETRAINED:
            return super().checkpoint(pair, row, seed)
        with self._pretraining:  # else two jobs would do it
            return super().checkpoint(ScenePair('drawn'), row, 0)

    def read(self, file: Path, folder: str) -> Score:
        """Read the score of the images of a folder from the predictions of a test run."""
        return score(file, folder)


def parse_pair(text: str, needs_images: bool = True) -> ScenePair:
    """Read a pair from the command line.

    Raises:
        ValueError: If it has another form, or if a folder lacks a file.
    """
    if text == 'drawn':
        return ScenePair(text)
    name, _, folders = text.partition('=')
    if not needs_images:
        return ScenePair(name, 'source', 'target')
    paths = folders.split(',')
    if not name or len(paths) != 2:
        raise ValueError(f"--pair must be 'drawn' or NAME=SOURCE,TARGET, got {text!r}")
    for path in paths:
        for split in ('train', 'test'):
            if not Path(path, f'instances_{split}.json').is_file():
                raise ValueError(
                    'a folder of scenes has instances_train.json and instances_test.json, got '
                    f'{path} without instances_{split}.json'
                )
    return ScenePair(name, *(str(Path(path).absolute()) for path in paths))


def score(file: Path, folder: str) -> Score:
    """Count the regions of each image of a folder, as MMOCR's metric matches them.

    Raises:
        ValueError: If there is no image of the folder.
    """
    samples = [s for s in load(str(file), file_format='pkl') if f'{folder}/' in s['img_path']]
    if not samples:
        raise ValueError(f'{file} must have predictions of images in {folder}, got none')
    # The metric logs each call.
    MMLogger.get_instance(WRITER.replace('/', '_'), log_level='ERROR')
    metric = HmeanIOUMetric(pred_score_thrs=SCORE)
    metric.process([], samples)
    found, predicted, labelled = [], [], []
    for result in metric.results:
        labelled.append(len(result['iou_metric']))
        predicted.append(int((result['pred_scores'] >= SCORE['start']).sum()))
        found.append(round(metric.compute_metrics([result])['recall'] * labelled[-1]))
    return Score(*map(np.array, (found, predicted, labelled)))


def gain(scores: Sequence[Score], control: Sequence[Score]) -> str:
    """Points of F1 above the control, with the interval of it.

    >>> found, three = np.array([3, 1]), np.array([3, 3])
    >>> gain([Score(three, three, three)], [Score(0 * found, three, three)])
    '+100.0 (+100.0 to +100.0)'
    """
    (found, counts), baseline = (
        tuple(np.stack([getattr(s, key) for s in group]) for key in ('found', 'counts'))
        for group in (scores, control)
    )
    value, low, high = f1_interval(found, counts, baseline)
    return f'{100 * value:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})'


def table(results: dict[str, dict[str, list[Score]]]) -> str:
    """Lay out a pair's results; ``{row: {domain: scores over the seeds}}``."""
    rows = [['detector', 'target F1', 'gain over the control', 'gap closed', 'source F1']]
    control = results[CONTROL]['target']
    numbers = {name: [s.f1 for s in found['target']] for name, found in results.items()}
    for name, found in results.items():
        compared = name not in (START, CONTROL)
        gap = [numbers[key] for key in (name, CONTROL, BOUND) if key in numbers]
        rows.append(
            [
                name,
                mean(numbers[name]),
                gain(found['target'], control) if compared else '',
                closed(*gap) if compared and name != BOUND and BOUND in results else '',
                mean([s.f1 for s in found['source']]),
            ]
        )
    return markdown.table(rows)


def main():
    rows = tuple(CONFIGS)
    args = adaptation.make_parser(__doc__.splitlines()[0], rows, rows, WORK_DIR).parse_args()
    pairs = [parse_pair(text, not args.no_training) for text in args.pair]
    adaptation.check_args(args, pairs, WRITER)
    results = adaptation.Results(args.results or args.work_dir / 'results.jsonl', Score)
    if not args.no_training:
        converter = 'tools/dataset_converters/rotated_scenes.py'
        quickstart.run(converter, '--out-dir', DRAWN['source'])
    if any(not pair.source for pair in pairs) and not args.no_training:
        quickstart.run(converter, '--style', 'pages', '--out-dir', DRAWN['target'])
    benchmark = DetectorBenchmark(args.work_dir, results, args.seeds, args.jobs)
    adaptation.report(args, benchmark, pairs, table, WRITER)


if __name__ == '__main__':
    main()
