"""Adapt a recognizer to images without labels, in one command.

    python tools/adapt.py CONFIG CHECKPOINT --target FOLDER --source rendered

CONFIG is a file or a name, such as crnn_mini-vgg_5e_mj, whose weights are downloaded if there is no
CHECKPOINT. The checks come first: what is wrong with
the images, the labels or the checkpoint, and how long it will take (--dry-run stops there). Then
the recognizer is trained, exported for plain MMOCR, and its predictions are compared with those of
the checkpoint. Everything is in the work directory, with the config that was trained. The same
command again goes on where it was stopped.
"""

import argparse
import os

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
from mmengine.config import DictAction
from mmengine.device import get_device
from mmengine.dist import is_distributed

from mmocr_da.adaptation import adapt
from mmocr_da.engine.launch import finish_cpu_launch
from mmocr_da.evaluation.label_free_metric import SCORES


def parse_args():
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='Config of the recognizer: a file, or a name of MMOCR')
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help='Weights of the recognizer: a file or a URL (default: those that are published for '
        'the name, by MMOCR or in configs/zoo)',
    )
    parser.add_argument(
        '--target',
        nargs='+',
        required=True,
        metavar='FOLDER',
        help='Images without labels: folders, or an LMDB, or a text file with their paths',
    )
    parser.add_argument(
        '--source',
        nargs='+',
        default=['config'],
        help='Labelled images: "config" (default) takes the training data of the config, '
        '"rendered" draws words, "none" trains without; else a .tsv with rows path<TAB>text, a '
        '.json of MMOCR, an LMDB, or a folder of one of them. Several are joined; "rendered" is '
        'half of them then',
    )
    parser.add_argument('--lexicon', help='Words to render, one per line')
    parser.add_argument('--fonts', help='Folder of fonts to render with')
    parser.add_argument('--work-dir', help='Default: work_dirs/<config name>_adapted')
    parser.add_argument('--max-iters', type=int, default=2000, help='Iterations (default: 2000)')
    parser.add_argument(
        '--batch-size', type=int, help='Images of a batch (default: 256 on a GPU, else 96)'
    )
    parser.add_argument(
        '--eval',
        metavar='LABELS.tsv',
        help='Labels of some target images, rows path<TAB>text: accuracy before and after. They '
        'are not used in the training',
    )
    parser.add_argument(
        '--keep',
        default='last',
        choices=['last', *SCORES],
        help='The checkpoint that is exported: the last one (default), or the one with the highest '
        'score, which needs no labels (configs/self_training/README.md)',
    )
    parser.add_argument('--seed', type=int, default=0, help='Random seed (default: 0)')
    parser.add_argument('--dry-run', action='store_true', help='Write the config, check, and stop')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='Further settings of the config that is trained, key=value pairs',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='Job launcher',
    )
    # torchrun sets LOCAL_RANK; `torch.distributed.launch` passes an argument.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def main():
    args = parse_args()
    adapt(
        args.config,
        args.checkpoint,
        args.target,
        args.source,
        lexicon=args.lexicon,
        fonts=args.fonts,
        work_dir=args.work_dir,
        max_iters=args.max_iters,
        batch_size=args.batch_size,
        eval_labels=args.eval,
        seed=args.seed,
        cfg_options=args.cfg_options,
        keep=args.keep,
        dry_run=args.dry_run,
        launcher=args.launcher,
    )
    if is_distributed() and get_device() == 'cpu':
        finish_cpu_launch()


if __name__ == '__main__':
    main()
