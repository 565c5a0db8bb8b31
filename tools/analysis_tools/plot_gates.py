"""Plot histograms of the gates (rho) of batch-instance norm in a trained model, per depth.

    python tools/analysis_tools/plot_gates.py CHECKPOINT --out gates.png

It writes one picture, ``--out``, and prints the shares of gates below 0.1 and above 0.9.
"""

import argparse

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
from mmengine.runner.checkpoint import CheckpointLoader

from mmocr_da.engine.checkpoints import check_checkpoint, check_finite, weights_of
from mmocr_da.visualization import (
    add_picture_arguments,
    check_picture,
    gates_of,
    plot_gates,
    report_picture,
)


def main():
    parser = argparse.ArgumentParser(description='Plot histograms of the gates of a checkpoint')
    parser.add_argument('checkpoint', help='Checkpoint of a model with batch-instance norm')
    add_picture_arguments(parser, 'gates.png')
    parser.add_argument(
        '--by-stage',
        action='store_true',
        help='One histogram per stage (backbone.layer1) instead of per depth',
    )
    parser.add_argument(
        '--raw',
        action='store_true',
        help='With EMAHook, plot the trained weights instead of their moving average',
    )
    args = parser.parse_args()
    check_picture(args.out, 'plot_gates', [args.checkpoint], args.font, args.tensorboard)
    check_checkpoint(args.checkpoint, 'checkpoint')
    weights = weights_of(CheckpointLoader.load_checkpoint(args.checkpoint, 'cpu'), args.raw)
    gates = gates_of(weights)
    if not gates:
        raise ValueError(
            f'{args.checkpoint} must be of a model with BatchInstanceNorm, got no '
            'gates among its weights; check the norm layers in its config'
        )
    check_finite(gates, None, args.checkpoint)
    drawn = plot_gates(gates, args.out, args.by_stage, args.font)
    for name, (num, below, above) in drawn.items():
        print(f'{name}: {num} gates, {below:.1%} below 0.1, {above:.1%} above 0.9')
    report_picture(args, 'gates')


if __name__ == '__main__':
    main()
