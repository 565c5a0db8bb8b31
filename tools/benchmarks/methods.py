"""Compare the methods of the papers on images as they are, on pairs of domains over several seeds.

    python tools/benchmarks/methods.py --pair numbers
    python tools/benchmarks/methods.py --pair rendered-sroie=RENDERED,RECEIPTS --jobs 2

The rows are configs of configs/assda, configs/symnet and configs/bin, whose READMEs say how their
weights were set, without standardized or augmented images and without self-training: what
adaptation.py compares is the recipe with them. All else is as there: pairs, options, the bootstrap,
and what is kept of each run. How long the source is learned is as in the configs.
"""

import sys
from pathlib import Path

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
sys.path.insert(0, str(Path(__file__).resolve().parent))
import adaptation  # noqa: E402  the folder of tools is no package
from adaptation import BIN_CONTROL, BIN_START, BOUND, CONTROL, START  # noqa: E402

WRITER = 'benchmarks/methods'
WORK_DIR = 'work_dirs/method_benchmark'
#: Rows that start from nothing.
STARTS = {START: 'assda/small/small_source-only', BIN_START: 'bin/small/small_bin-source-only'}
#: Schedules and the gate of ASSDA, and global alignment of pooled maps.
ASSDA_VARIANTS = {
    'GA, mean of the map': 'assda/ablations/small_ga-mean',
    'ASSDA, lambda constant': 'assda/ablations/small_assda-constant',
    'ASSDA, lambda falling': 'assda/ablations/small_assda-falling',
    'ASSDA, p_c = 0': 'assda/ablations/small_assda-pc0',
    'ASSDA, p_c = 0.8': 'assda/ablations/small_assda-pc0.8',
}
#: SymNet without one of its losses (Table 4).
SYMNET_VARIANTS = {
    'SymNet without E_task^t': 'symnet/ablations/small_symnet-no-task-target',
    'SymNet without M': 'symnet/ablations/small_symnet-no-entropy',
    'SymNet without confusion': 'symnet/ablations/small_symnet-no-confusion',
    'SymNet without category confusion': 'symnet/ablations/small_symnet-no-category',
}
#: Names of rows: configs.
CONFIGS = {
    **STARTS,
    CONTROL: 'assda/small/small_control',
    BIN_CONTROL: 'bin/small/small_bin-control',
    'GA': 'assda/small/small_ga',
    'LA': 'assda/small/small_la',
    'ASSDA': 'assda/small/small_assda',
    **ASSDA_VARIANTS,
    'ASSDA, BIN': 'bin/small/small_bin-assda',
    'domain confusion': 'symnet/small/small_confusion',
    'entropy minimization': 'symnet/small/small_source-em',
    'SymNet': 'symnet/small/small_symnet',
    **SYMNET_VARIANTS,
    'SymNet, reversal': 'symnet/small/small_symnet-reversal',
    BOUND: 'assda/small/small_target-supervised',
}
#: Rows that are trained without being asked for.
MAIN = tuple(row for row in CONFIGS if row not in {**ASSDA_VARIANTS, **SYMNET_VARIANTS})


class MethodBenchmark(adaptation.Benchmark):
    """Trains and tests what is not done yet; of recognizers, without the recipe."""

    #: Names of rows: configs; and those that start from nothing.
    configs, starts = CONFIGS, STARTS

    def config(self, row: str) -> str:
        """Config of a row, relative to ``configs`` and without its ending."""
        return CONFIGS[row]

    def check(self, pair: adaptation.Pair) -> None:
        """Raise a ValueError if the pair has a length that the configs do not know."""
        if pair.source_iters:
            raise ValueError(
                'the configs say how long the source is learned, got '
                f'{pair.name}=...,{pair.source_iters}; leave the third value out'
            )


if __name__ == '__main__':
    adaptation.main(
        MethodBenchmark,
        WRITER,
        description=__doc__.splitlines()[0],
        configs=tuple(CONFIGS),
        main=MAIN,
        work_dir=WORK_DIR,
    )
