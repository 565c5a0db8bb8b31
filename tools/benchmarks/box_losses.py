"""Compare losses of boxes by which a trained detector is tuned, over several seeds.

    python tools/benchmarks/box_losses.py --pair drawn --base-iters 20000 --iters 2000

A detector is trained by smooth-L1 (``base``, one for each seed, or one for all with ``--one-base``)
and then tuned by each loss with as many steps of the detector, all with the same settings, in the
second stage or in the proposals (``--stages``). The gradient of each loss at the offsets of the
boxes is made as large as smooth-L1 with a weight would have it: each weight of ``--weights`` is a
row, and the best one of each loss is chosen on the validation images. ``--weights 0`` takes losses
as they are. The control is smooth-L1 with weight 1. The configs are those of
configs/learned_surrogate; ``--detector mask-rcnn`` takes the ones of axis-parallel boxes, whose
control is L1. Each run is printed before it starts.

A pair is ``drawn``, scenes that are drawn first (``--images`` says how many), or ``NAME=FOLDER``, a
folder with instances_{train,val,test}.json and images/{train,val,test} in MMOCR's format.

``--jobs``, ``--results``, ``--no-training`` and the files are those of ``adaptation.py``.
``results.md`` has two tables: the chosen rows on the test images, and all on the validation images,
with the mean F1 at the IoUs 0.5 to 0.95, F1 at 0.5, 0.7 and 0.8, the mean IoU of the regions that
are found, and the gain over the control (95 % interval by bootstrap over images, which stay
together, and in square brackets the gain of each seed: the interval knows nothing of the chance of
a training). A region counts from a score of 0.5; the last checkpoint counts. Nothing is chosen by
the labels of the test images.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
import numpy as np
from mmengine.fileio import load
from mmengine.logging import MMLogger

from mmocr_da import markdown
from mmocr_da.arguments import check_count, check_number
from mmocr_da.evaluation import (
    IOUS,
    BoxQualityMetric,
    Estimate,
    MatchedRegions,
    f1_difference,
    mean_iou_difference,
)

sys.path.insert(0, str(Path(__file__).resolve().parent))
import adaptation  # noqa: E402  the folder of tools is no package
from adaptation import Pair, mean, quickstart  # noqa: E402

WRITER = 'benchmarks/box_losses'
WORK_DIR = 'work_dirs/box_loss_benchmark'
SPLITS = ('val', 'test')
START = 'base'
STAGES = dict(roi='second stage', rpn='proposals')
#: Names of losses: configs in configs/learned_surrogate, the control first.
LOSSES = {
    'rrpn': {
        'smooth-L1': 'small/small_rrpn-smooth-l1_scenes',
        'LS-IoU': 'small/small_rrpn-lsiou_scenes',
        'LS-IoU global': 'ablations/small_rrpn-lsiou-global_scenes',
        'LS-IoU local': 'ablations/small_rrpn-lsiou-local_scenes',
        'rotated IoU': 'ablations/small_rrpn-iou_scenes',
        'KFIoU': 'ablations/small_rrpn-kfiou_scenes',
        'GWD': 'ablations/small_rrpn-gwd_scenes',
    },
    'mask-rcnn': {
        'L1': 'small/small_mask-rcnn-l1_scenes',
        'LS-IoU': 'small/small_mask-rcnn-lsiou_scenes',
        'GIoU': 'small/small_mask-rcnn-giou_scenes',
    },
}
STARTS = {
    'rrpn': 'small/small_rrpn_scenes',
    'mask-rcnn': 'small/small_mask-rcnn_scenes',
}
DRAWN = {'rrpn': 'data/many_scenes', 'mask-rcnn': 'data/many_straight_scenes'}


class Scenes(Pair):
    """A folder of scenes, which is all that differs between pairs."""

    @property
    def source_name(self) -> str:
        """The folder of the base."""
        return self.name


class Score(MatchedRegions):
    """Regions of the images of one split.

    >>> score = Score([np.array([0.9, 0.6])], [2], [2])
    >>> Score.read(score.written()).ious[0].tolist()
    [0.9, 0.6]
    """

    @property
    def images(self) -> int:
        return len(self.ious)

    def written(self) -> dict[str, Any]:
        """As JSON."""
        return dict(
            images=self.images,
            f1=round(self.f1(*IOUS), 5),
            mean_iou=round(self.mean_iou, 5),
            ious=[np.round(found, 4).tolist() for found in self.ious],
            predicted=np.asarray(self.predicted).tolist(),
            labelled=np.asarray(self.labelled).tolist(),
        )

    @classmethod
    def read(cls, line: dict[str, Any]) -> 'Score':
        """The opposite of :meth:`written`."""
        ious = [np.array(found, float) for found in line['ious']]
        return cls(ious, np.array(line['predicted'], int), np.array(line['labelled'], int))


class BoxLossBenchmark(adaptation.Benchmark):
    """Trains and tests detectors; a row is a loss, a stage and a weight.

    Args:
        detector: A key of ``LOSSES``.
        losses: Names in it.
        stages: Keys of ``STAGES``.
        weights: Of smooth-L1, for the sizes of gradients.
        options: Of the trainings, by the names of environment variables.
        one_base: Whether all seeds tune the base of the first seed.
    """

    method = 'learned_surrogate'
    start = START
    counted = 'test'
    #: The test after the training is enough.
    train_options = ('val_cfg=None', 'val_dataloader=None', 'val_evaluator=None')

    def __init__(
        self,
        *args: Any,
        detector: str = 'rrpn',
        losses: Sequence[str] = (),
        stages: Sequence[str] = ('roi',),
        weights: Sequence[float] = (1.0,),
        options: dict[str, str] | None = None,
        one_base: bool = False,
    ) -> None:
        super().__init__(*args)
        self.one_base = one_base
        known = LOSSES[detector]
        name, *_ = known
        self._starts = {START: STARTS[detector]}
        self.options = options or {}
        self.control = row_name(name, 'roi', 1.0)
        #: ``{row: (loss, stage, weight)}``.
        self.tuned: dict[str, tuple[str, str, float]] = {self.control: (name, 'roi', 1.0)}
        for stage in stages:
            for loss in known:
                for weight in weights if loss in losses else ():
                    # Smooth-L1 with weight 1 is the same in both stages.
                    if (loss, weight) != (name, 1.0):
                        self.tuned[row_name(loss, stage, weight)] = loss, stage, weight
        self._configs = self._starts | {row: known[key[0]] for row, key in self.tuned.items()}

    @property
    def configs(self) -> dict[str, str]:
        """Names of rows: configs in the folder."""
        return self._configs

    @property
    def starts(self) -> dict[str, str]:
        """The base alone."""
        return self._starts

    @property
    def shared(self) -> Sequence[str]:
        """The base."""
        return (START,)

    def seed_of(self, row: str, seed: int) -> int:
        """Seed of a row in a run of all rows with a seed."""
        return self.seeds[0] if self.one_base and row == START else seed

    def training_seed(self, row: str, seed: int) -> int:
        """The tuning must not see the images of the base in the same order, cropped alike."""
        return 1000 + seed if row == START else seed

    def fingerprint(self, row: str, pair: Pair) -> str:
        """See :meth:`adaptation.Benchmark.fingerprint`; a base of another seed is another start."""
        found = super().fingerprint(row, pair)
        return f'{found}-one-base' if self.one_base and row != START else found

    def settings(self, pair: Pair, row: str) -> dict[str, str]:
        """Options of the config of a row other than the folder."""
        if row == START:
            names = ('MMOCR_DA_BASE_ITERS',)
            return {key: value for key, value in self.options.items() if key in names}
        _, stage, weight = self.tuned[row]
        return dict(self.options, MMOCR_DA_STAGE=stage, MMOCR_DA_GRADIENT=f'{weight:g}')

    def environment(self, pair: Pair, row: str, split: str = 'val') -> dict[str, str]:
        """What chooses the data and the options of a row; trainings do not see the test images."""
        settings = self.settings(pair, row)
        return dict(settings, MMOCR_DA_SCENES=pair.source, MMOCR_DA_SPLIT=split)

    def test(self, pair: Pair, row: str, seed: int, checkpoint: Path) -> dict[str, Score]:
        """Test a row on both splits."""
        out = {}
        for split in SPLITS:
            folder = self.folder(pair.name, row, seed) / split
            environment = self.environment(pair, row, split)
            quickstart.test(self.config(row), checkpoint, folder, environment)
            out[split] = score(quickstart.predictions_of(checkpoint, folder))
        return out


def row_name(loss: str, stage: str, weight: float) -> str:
    """Name of a row.

    >>> row_name('GWD', 'rpn', 0.5), row_name('GWD', 'roi', 0)
    ('GWD, proposals, weight 0.5', 'GWD, second stage, as it is')
    """
    return f'{loss}, {STAGES[stage]}, ' + (f'weight {weight:g}' if weight else 'as it is')


def score(file: Path) -> Score:
    """Match the regions of each image of a test run with its labels."""
    # The metric logs each call.
    MMLogger.get_instance(WRITER.replace('/', '_'), log_level='ERROR')
    metric = BoxQualityMetric()
    metric.process([], load(str(file), file_format='pkl'))
    return Score(*metric.regions())


def chosen(results: dict[str, dict[str, list[Score]]], benchmark: BoxLossBenchmark) -> list[str]:
    """Return base, control and the best weight of each loss and stage on the validation images."""
    best: dict[tuple[str, str], tuple[float, str]] = {}
    for row, (loss, stage, _) in benchmark.tuned.items():
        if row in results and row != benchmark.control:
            value = float(np.mean([run.f1(*IOUS) for run in results[row]['val']]))
            best[loss, stage] = max(best.get((loss, stage), (-1.0, '')), (value, row))
    rows = [START, benchmark.control, *(row for _, row in best.values())]
    return [row for row in results if row in rows]


def difference(compare: Callable[..., Estimate], runs: Sequence, control: Sequence) -> str:
    """Points of a row above the control, their interval, and those of each seed.

    >>> difference(lambda a, b: Estimate(sum(a) - sum(b), 0.0, 0.02), [0.01, 0.02], [0.0, 0.01])
    '+2.0 (+0.0 to +2.0) [+1.0, +1.0]'
    """
    found = [compare(runs, control), *(compare([a], [b]) for a, b in zip(runs, control))]
    points, *seeds = (f'{100 * estimate.value:+.1f}' for estimate in found)
    interval = f'{100 * found[0].low:+.1f} to {100 * found[0].high:+.1f}'
    return f'{points} ({interval}) [{", ".join(seeds)}]'


def table(
    results: dict[str, dict[str, list[Score]]], split: str, rows: Sequence[str], control: str
) -> str:
    """Lay out rows; ``{row: {split: scores over the seeds}}``."""
    columns = {
        'F1 0.5 to 0.95': lambda run: run.f1(*IOUS),
        'F1 at 0.5': lambda run: run.f1(0.5),
        'at 0.7': lambda run: run.f1(0.7),
        'at 0.8': lambda run: run.f1(0.8),
        'mean IoU': lambda run: run.mean_iou,
    }
    head = ['tuned by', *columns]
    head[2:2], head[7:7] = ['gain over the control'], ['gain of the IoU']
    lines, baseline = [head], results[control][split]
    for row in rows:
        runs = results[row][split]
        cells = [row, *(mean([value(run) for run in runs]) for value in columns.values())]
        gains = ['', '']
        if row not in (START, control):
            gains = [
                difference(lambda a, b: f1_difference(a, b, *IOUS), runs, baseline),
                difference(mean_iou_difference, runs, baseline),
            ]
        cells[2:2], cells[7:7] = gains[:1], gains[1:]
        lines.append(cells)
    return markdown.table(lines)


def layout(results: dict[str, dict[str, list[Score]]], benchmark: BoxLossBenchmark) -> str:
    """Lay out the chosen rows on the test images and all on the validation images."""
    rows, control = chosen(results, benchmark), benchmark.control
    return (
        f'{table(results, "test", rows, control)}\n\n'
        'Validation images, by which the weights were chosen (F1 0.5 to 0.95):\n\n'
        f'{table(results, "val", tuple(results), control)}'
    )


def parse_pair(text: str, detector: str, needs_images: bool = True) -> Scenes:
    """Read a pair from the command line.

    Raises:
        ValueError: If it has another form, or if a folder lacks a file.
    """
    if text == 'drawn':
        return Scenes(text, str(quickstart.ROOT / DRAWN[detector]))
    name, _, folder = text.partition('=')
    if not needs_images:
        return Scenes(name, folder)
    if not name or not folder:
        raise ValueError(f"--pair must be 'drawn' or NAME=FOLDER, got {text!r}")
    for split in ('train', *SPLITS):
        if not Path(folder, f'instances_{split}.json').is_file():
            raise ValueError(
                'a folder of scenes has instances_train.json, instances_val.json and '
                f'instances_test.json, got {folder} without instances_{split}.json'
            )
    return Scenes(name, str(Path(folder).absolute()))


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Raises:
        ValueError: If a number is out of range, or a loss is one of the other detector.
    """
    losses = tuple(dict.fromkeys(name for group in LOSSES.values() for name in group))
    parser = adaptation.make_parser(
        __doc__.splitlines()[0], losses, losses, WORK_DIR, (START, 'the control')
    )
    parser.add_argument('--detector', choices=LOSSES, default='rrpn')
    parser.add_argument('--stages', nargs='+', choices=STAGES, default=['roi'])
    parser.add_argument(
        '--weights',
        type=float,
        nargs='+',
        default=[1.0],
        help='Sizes of the gradient, as weights of smooth-L1; 0 leaves a loss as it is',
    )
    parser.add_argument('--one-base', action='store_true', help='All seeds tune the same base')
    parser.add_argument('--base-iters', type=int, default=1000)
    parser.add_argument('--iters', type=int, default=300, help='Iterations of the tuning')
    parser.add_argument('--lr', type=float, default=2e-4, help='Learning rate of the tuning')
    parser.add_argument(
        '--images',
        type=int,
        nargs=3,
        default=[2000, 200, 300],
        metavar=('TRAIN', 'VAL', 'TEST'),
        help='How many scenes are drawn',
    )
    args = parser.parse_args()
    for i, weight in enumerate(args.weights):
        check_number(f'--weights[{i}]', weight, least=0)
    for name in ('base_iters', 'iters'):
        check_count(f'--{name.replace("_", "-")}', getattr(args, name))
    check_number('--lr', args.lr, above=0)
    unknown = set(args.rows) - set(LOSSES[args.detector])
    if unknown and args.rows != losses:
        raise ValueError(
            f'--rows of {args.detector} must be some of {", ".join(LOSSES[args.detector])}, got '
            f'{", ".join(sorted(unknown))}'
        )
    return args


def main():
    args = parse_args()
    pairs = [parse_pair(text, args.detector, not args.no_training) for text in args.pair]
    adaptation.check_args(args, pairs, WRITER)
    if any(pair.name == 'drawn' for pair in pairs) and not args.no_training:
        train, val, test = args.images
        quickstart.run(
            'tools/dataset_converters/rotated_scenes.py',
            *('--num-train', train, '--num-val', val, '--num-test', test),
            *(('--max-angle', 0) if args.detector == 'mask-rcnn' else ()),
            '--out-dir',
            DRAWN[args.detector],
        )
    benchmark = BoxLossBenchmark(
        args.work_dir,
        adaptation.Results(args.results or args.work_dir / 'results.jsonl', Score, SPLITS),
        args.seeds,
        args.jobs,
        detector=args.detector,
        losses=args.rows,
        stages=args.stages,
        weights=args.weights,
        one_base=args.one_base,
        options=dict(
            MMOCR_DA_BASE_ITERS=str(args.base_iters),
            MMOCR_DA_ITERS=str(args.iters),
            MMOCR_DA_LR=f'{args.lr:g}',
        ),
    )
    args.rows = list(benchmark.configs)
    adaptation.report(args, benchmark, pairs, lambda results: layout(results, benchmark), WRITER)


if __name__ == '__main__':
    main()
