"""Draw where a recognizer looks for each character, before and after an adaptation.

    python tools/analysis_tools/plot_attention.py CONFIG CHECKPOINT word.png other.png
    python tools/analysis_tools/plot_attention.py CONFIG CHECKPOINT --num 6 --before BEFORE.pth

It writes one picture, ``--out``: a row per image and model, with the predicted text and the image
once for each of its characters, on which the places that the character was predicted from are
coloured. The image is the one that the model sees: resized, and rectified if it does that.

Attention decoders show their weights: transformers those of the last layer, averaged over the
heads, RobustScanner those of its hybrid branch. CTC decoders show the frames of each character on
the best path. For another decoder the tool ends with a sentence.

Without images, ``--num`` random ones of the last dataset of ``test_dataloader`` are drawn, the
target, if the datasets are source and target. The models are those that an export gives.
"""

import argparse
from functools import partial

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
from mmengine.config import Config

from mmocr_da.engine.attention import read_attention
from mmocr_da.engine.inference import item_pipeline
from mmocr_da.engine.launch import load_config
from mmocr_da.engine.samples import Item, dataset_of, draw_items, text_of
from mmocr_da.evaluation import normalize
from mmocr_da.evaluation.comparison import add_comparison_arguments, comparison_options
from mmocr_da.export import load_plain
from mmocr_da.visualization import (
    AttendedText,
    add_picture_arguments,
    attention_figure,
    check_picture,
    report_picture,
    save_picture,
)


def attended(
    cfg: Config, checkpoint: str, items: list[Item], device: str = 'cpu'
) -> list[AttendedText]:
    """Read texts and weights of items with the plain model of a checkpoint."""
    model = load_plain(cfg, checkpoint, device)
    return read_attention(model, item_pipeline(cfg, items), items)


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='Config of the recognizer')
    parser.add_argument('checkpoint', help='Its checkpoint')
    parser.add_argument('images', nargs='*', help='Image files of words')
    parser.add_argument('--before', help='A checkpoint from before the adaptation')
    parser.add_argument('--before-config', help='Its config, if that is another one')
    parser.add_argument('--num', type=int, default=6, help='Number of test images')
    parser.add_argument('--seed', type=int, default=0, help='Which test images are drawn')
    parser.add_argument('--dataset', type=int, default=-1, help='Index of the test dataset')
    add_comparison_arguments(parser)
    parser.add_argument('--device', default='cpu')
    add_picture_arguments(parser, 'attention.png')
    args = parser.parse_args()
    given = [args.config, args.checkpoint, args.before, args.before_config, *args.images]
    check_picture(args.out, 'plot_attention', given, args.font, args.tensorboard)
    cfg = load_config(args.config)
    if args.images:
        items = [dict(img_path=path, instances=[dict(text='')]) for path in args.images]
    else:
        items = draw_items([dataset_of(cfg.test_dataloader, args.dataset)], args.num, args.seed)
    models = {}
    if args.before:
        before = load_config(args.before_config) if args.before_config else cfg
        models['before'] = attended(before, args.before, items, args.device)
    models['after' if args.before else 'model'] = attended(cfg, args.checkpoint, items, args.device)
    texts = [text_of(item) for item in items]
    compared = partial(normalize, **comparison_options(args))
    figure = attention_figure(models, texts if all(texts) else None, normalized=compared)
    save_picture(figure, args.out, 'plot_attention', args.font)
    report_picture(args, 'attention')


if __name__ == '__main__':
    main()
