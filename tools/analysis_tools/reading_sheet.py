"""Draw a sheet of images with what several models read, right readings green, wrong ones red.

    python tools/analysis_tools/reading_sheet.py --out sheet.png \\
        --model "source only" CONFIG CHECKPOINT --model adapted CONFIG CHECKPOINT

The images are drawn at random from the last dataset of the first config's ``test_dataloader``
(the target, where the datasets are source and target): nobody picked the ones that look good.
"""
import argparse
from typing import Dict, List, Sequence, Tuple

import matplotlib

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.runner.checkpoint import CheckpointLoader
from mmocr.registry import DATASETS, MODELS
from mmocr.utils import register_all_modules

from mmocr_da.engine.export import inference_pipeline, select_weights
from mmocr_da.engine.launch import check_checkpoint, load_config
from mmocr_da.evaluation import normalize

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # noqa: E402  the backend comes first

RIGHT, WRONG = '#1a7f37', '#cf222e'


def draw_samples(cfg: Config, num: int, seed: int = 0, dataset: int = -1
                 ) -> Tuple[List[str], List[str]]:
    """Return paths and texts of ``num`` random images of one dataset of ``test_dataloader``.

    The same seed draws the same images.
    """
    register_all_modules(init_default_scope=True)
    dataset_cfg = cfg.test_dataloader.dataset
    if 'datasets' in dataset_cfg:
        dataset_cfg = dataset_cfg['datasets'][dataset]
    built = DATASETS.build(dict(dataset_cfg, pipeline=[]))
    chosen = np.random.default_rng(seed).permutation(len(built))[:num]
    infos = [built.get_data_info(int(i)) for i in sorted(chosen)]
    for info in infos:
        if 'img_path' not in info:
            raise ValueError('the test dataset must list image files, got entries with '
                             f'{sorted(info)}; convert it to json annotations')
    return [info['img_path'] for info in infos], [info['instances'][0]['text'] for info in infos]


@torch.no_grad()
def read_images(cfg: Config, checkpoint: str, images: Sequence[str], device: str = 'cpu'
                ) -> List[str]:
    """Return what a recognizer reads on each image file, one at a time as MMOCR tests."""
    register_all_modules(init_default_scope=True)
    check_checkpoint(checkpoint, 'checkpoint')
    loaded = CheckpointLoader.load_checkpoint(checkpoint, 'cpu')
    model = MODELS.build(cfg.model).to(device).eval()
    model.load_state_dict(select_weights(loaded), strict=True)
    pipeline = inference_pipeline(cfg)
    return [model.test_step(pseudo_collate([pipeline(image)]))[0].pred_text.item
            for image in images]


def reading_sheet(images: Sequence[str], truths: Sequence[str], readings: Dict[str, Sequence[str]],
                  out_file: str, ignore_case: bool = False, ignore_symbols: bool = False
                  ) -> Dict[str, int]:
    """Draw one row per image: the image, the truth, every model's reading.

    Args:
        images: Paths of N image files.
        truths: Their N texts.
        readings: N readings by name of the model; the columns, in this order.

    Returns:
        Number of right readings by name of the model.
    """
    for name, texts in {'truths': truths, **readings}.items():
        if len(texts) != len(images):
            raise ValueError(f'{name} needs one text per image, got {len(texts)} texts for '
                             f'{len(images)} images')

    def same(reading: str, truth: str) -> bool:
        return len({normalize(t, ignore_case, ignore_symbols) for t in (reading, truth)}) == 1

    right = {name: [same(r, t) for r, t in zip(texts, truths)] for name, texts in readings.items()}
    counts = {name: sum(marks) for name, marks in right.items()}
    columns = 2 + len(readings)
    fig, axes = plt.subplots(len(images) + 1, columns, squeeze=False,
                             figsize=(2.6 * columns, 0.55 * (len(images) + 1)))
    for ax in axes.flat:
        ax.axis('off')
    heads = ['', 'truth', *(f'{name}\n{n}/{len(images)}' for name, n in counts.items())]
    for ax, head in zip(axes[0], heads):
        _write(ax, head, weight='bold')
    for i, (row, image) in enumerate(zip(axes[1:], images)):
        row[0].imshow(mmcv.imread(image, channel_order='rgb'))
        _write(row[1], truths[i])
        for ax, (name, texts) in zip(row[2:], readings.items()):
            # A mark beside the colour, for eyes that do not tell red from green.
            mark = '\u2713' if right[name][i] else '\u2717'
            _write(ax, f'{mark} {texts[i]}', color=RIGHT if right[name][i] else WRONG)
    fig.tight_layout(pad=0.3)
    fig.savefig(out_file, dpi=120)
    plt.close(fig)
    return counts


def _write(ax, text: str, **kwargs) -> None:
    # parse_math: a word of a price list, '$5 $6', is a text and not a formula.
    ax.text(0.5, 0.5, text, ha='center', va='center', transform=ax.transAxes, parse_math=False,
            **kwargs)


def main():
    parser = argparse.ArgumentParser(description='Draw a sheet of readings of several models')
    parser.add_argument(
        '--model', nargs=3, action='append', required=True,
        metavar=('NAME', 'CONFIG', 'CHECKPOINT'), help='A model, once per column')
    parser.add_argument('--num', type=int, default=12, help='Number of images')
    parser.add_argument('--seed', type=int, default=0, help='Which images are drawn')
    parser.add_argument('--dataset', type=int, default=-1, help='Index of the test dataset')
    parser.add_argument('--ignore-case', action='store_true')
    parser.add_argument('--ignore-symbols', action='store_true')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--out', default='sheet.png', help='PNG file to write')
    args = parser.parse_args()
    configs = {name: load_config(config) for name, config, _ in args.model}
    images, truths = draw_samples(configs[args.model[0][0]], args.num, args.seed, args.dataset)
    readings = {name: read_images(configs[name], checkpoint, images, args.device)
                for name, _, checkpoint in args.model}
    counts = reading_sheet(images, truths, readings, args.out, args.ignore_case,
                           args.ignore_symbols)
    print(args.out, *(f'{name}: {n}/{len(images)} right' for name, n in counts.items()), sep='\n')


if __name__ == '__main__':
    main()
