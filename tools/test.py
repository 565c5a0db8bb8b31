"""Evaluate a checkpoint: MMOCR's ``tools/test.py``, with checks that stop a run that cannot work.

    python tools/test.py CONFIG CHECKPOINT

It writes logs and metrics to ``work_dirs/<config name>``, or to ``--work-dir``. With
``--save-preds`` it also writes the predictions, with ``--show-dir`` pictures of them.
"""

import argparse
import os
import os.path as osp
import time

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
from mmengine.config import Config, DictAction
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader
from mmocr.registry import TASK_UTILS

from mmocr_da.engine.checkpoints import check_checkpoint, check_finite, weights_of
from mmocr_da.engine.dictionary_check import check_dictionary
from mmocr_da.engine.guards import add_guards
from mmocr_da.engine.launch import finish_cpu_launch, load_config, prepare_cpu_launch
from mmocr_da.engine.model_parts import unwrapped
from mmocr_da.engine.work_dir import check_work_dir
from mmocr_da.visualization.fonts import font_file


def parse_args():
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Test (and eval) a model')
    parser.add_argument('config', help='Test config file path')
    parser.add_argument('checkpoint', help='Checkpoint file')
    parser.add_argument('--work-dir', help='The directory for logs and evaluation metrics')
    parser.add_argument(
        '--save-preds',
        action='store_true',
        help='Dump predictions to a pickle file for offline evaluation',
    )
    parser.add_argument('--show', action='store_true', help='Show prediction results')
    parser.add_argument(
        '--show-dir', help='Directory where painted images will be saved, under a time stamp'
    )
    parser.add_argument(
        '--font',
        help='Font file, or name of an installed family, for the texts '
        'in them; default: an installed one that has the characters',
    )
    parser.add_argument('--wait-time', type=float, default=2, help='The interval of show (s)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='Override settings of the config: key=value pairs, as in test_dataloader.batch_size='
        '8, key="[a,b]" or key=a,b for lists; no white space, quotation marks needed',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='Job launcher',
    )
    parser.add_argument('--tta', action='store_true', help='Test time augmentation')
    # torchrun sets LOCAL_RANK; `torch.distributed.launch` passes an argument.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    if args.show and args.show_dir:
        parser.error('--show and --show-dir cannot be set at the same time')
    if args.font and not (args.show or args.show_dir):
        parser.error('--font needs --show or --show-dir')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def trigger_visualization_hook(cfg: Config, args) -> None:
    """Enable the visualization hook for ``--show`` and ``--show-dir``.

    Raises:
        ValueError: If the config has no such hook.
    """
    if 'visualization' not in cfg.default_hooks:
        raise ValueError(
            '--show and --show-dir need default_hooks.visualization in the config, '
            "add visualization=dict(type='VisualizationHook')"
        )
    hook = cfg.default_hooks['visualization']
    hook.update(enable=True, draw_gt=True, draw_pred=True)
    if hook.type.removeprefix('mmocr.') == 'VisualizationHook':
        hook.type = 'mmocr_da.PaintingHook'
    if args.show:
        hook.update(show=True, wait_time=args.wait_time)
    if args.show_dir:
        # A new folder, since the images of an earlier run have the same names.
        cfg.visualizer['save_dir'] = osp.join(args.show_dir, time.strftime('%Y%m%d_%H%M%S'))
        cfg.visualizer['vis_backends'] = [dict(type='LocalVisBackend')]
    set_font(cfg, args.font)


def set_font(cfg: Config, font: str | None) -> None:
    """Set a font of the visualizer that has the characters of the recognizer's dictionary."""
    dictionary = (cfg.model.get('decoder') or {}).get('dictionary')
    if font is None and (
        dictionary is None or {'font_properties', 'font_families'} & {*cfg.visualizer}
    ):
        return
    characters = TASK_UTILS.build(dictionary).dict if dictionary else []
    # Longer entries are names of tokens, such as <UKN>.
    file = font_file([char for char in characters if len(char) == 1], font)
    if file is not None:
        cfg.visualizer['font_properties'] = file


def use_tta(cfg: Config) -> None:
    """Wrap the model for test time augmentation.

    Raises:
        ValueError: If the config has no settings for it.
    """
    for key in ('tta_pipeline', 'tta_model'):
        if key not in cfg:
            raise ValueError(f'--tta needs {key} in the config, got none')
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    cfg.tta_model.module = cfg.model
    cfg.model = cfg.tta_model


def save_predictions(cfg: Config, checkpoint: str) -> None:
    """Add a metric that dumps all predictions to a file in the work directory."""
    out_file = osp.join(cfg.work_dir, f'{osp.basename(checkpoint)}_predictions.pkl')
    dump = dict(type='mmocr_da.DumpPredictions', out_file_path=out_file)
    evaluator = cfg.test_evaluator
    # `dict(type='MultiDatasetsEvaluator', metrics=[...])` is an evaluator, not a metric, and must
    # not be in a list of metrics. So the dump is added to the evaluator's own list.
    if isinstance(evaluator, dict) and 'metrics' in evaluator:
        evaluator['metrics'] = [*_as_list(evaluator['metrics']), dump]
    else:
        cfg.test_evaluator = [*_as_list(evaluator), dump]


def _as_list(value) -> list:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def main():
    args = parse_args()
    cfg = load_config(args.config, args.work_dir, args.launcher, args.cfg_options)
    check_checkpoint(args.checkpoint, 'checkpoint')
    check_dictionary(cfg, args.checkpoint)
    check_work_dir(cfg, training=False)
    cfg.load_from = args.checkpoint
    # Resuming would load an optimizer, and a test has none.
    cfg.resume = False
    if args.show or args.show_dir:
        trigger_visualization_hook(cfg, args)
    if args.tta:
        use_tta(cfg)
    if args.save_preds:
        save_predictions(cfg, args.checkpoint)
    joined = prepare_cpu_launch(cfg)
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    weights = weights_of(CheckpointLoader.load_checkpoint(args.checkpoint, 'cpu'))
    check_finite(weights, unwrapped(runner.model), args.checkpoint)
    add_guards(runner)
    runner.test()
    if joined:
        finish_cpu_launch()


if __name__ == '__main__':
    main()
