"""Draw the features of source and target images in the plane, before and after an adaptation.

    python tools/analysis_tools/plot_embeddings.py CONFIG CHECKPOINT [BEFORE_CHECKPOINT]

It writes one picture, ``--out``, by t-SNE: the features of whole images (the mean of the feature
map) and those of single characters, coloured by domain, and the characters also by class. The
titles state the proxy A-distance, from 0, if a linear classifier cannot tell the domains apart, to
2, if it always can. A decoder whose characters cannot be told apart has features of images only.

Each model has a map of its own. Compare how the domains mix within a map; the places in two maps
have nothing to do with each other.

The images are drawn at random, by ``--seed``, from the two datasets of ``test_dataloader``, source
and target, or else from the ``TwoDomainDataset`` of ``train_dataloader``, without its augmentation.
Characters are those of the labels if both domains have them, and otherwise the predicted ones. The
models are those that an export gives.
"""

import argparse

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
from mmocr_da.arguments import check_count
from mmocr_da.engine.features import read_points
from mmocr_da.engine.launch import load_config
from mmocr_da.engine.samples import domain_items, text_of
from mmocr_da.export import load_plain
from mmocr_da.visualization import (
    add_picture_arguments,
    check_picture,
    embedding_figure,
    report_picture,
    save_picture,
)


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='Config of the adapted recognizer')
    parser.add_argument('checkpoint', help='Its checkpoint')
    parser.add_argument('before', nargs='?', help='A checkpoint from before the adaptation')
    parser.add_argument('--before-config', help='Its config, if that is another one')
    parser.add_argument('--num', type=int, default=300, help='Number of images of each domain')
    parser.add_argument(
        '--characters', type=int, default=1000, help='Most characters of each domain'
    )
    parser.add_argument('--seed', type=int, default=0, help='Of the images and the maps')
    parser.add_argument(
        '--split', choices=['train', 'test'], help='Which data of the config; see above'
    )
    parser.add_argument(
        '--level',
        choices=['backbone', 'encoder'],
        default='backbone',
        help='Whose feature map; that of the encoder if there is no backbone',
    )
    parser.add_argument(
        '--predicted', action='store_true', help='Predicted characters, despite of labels'
    )
    parser.add_argument('--device', default='cpu')
    add_picture_arguments(parser, 'embeddings.png')
    args = parser.parse_args()
    check_count('--characters', args.characters)
    given = [args.config, args.checkpoint, args.before, args.before_config]
    check_picture(args.out, 'plot_embeddings', given, args.font, args.tensorboard)
    cfg = load_config(args.config)
    items = domain_items(cfg, args.num, args.seed, args.split)
    labelled = all(text_of(item) for part in items.values() for item in part)
    labelled = labelled and not args.predicted
    options = (items, labelled, args.level, args.characters, args.seed)
    models = {}
    if args.before:
        before = load_config(args.before_config) if args.before_config else cfg
        model = load_plain(before, args.before, args.device)
        models['before'] = read_points(model, before, *options)
    model = load_plain(cfg, args.checkpoint, args.device)
    models['after' if args.before else 'features'] = read_points(model, cfg, *options)
    if len({tuple(points) for points in models.values()}) > 1:
        models = {name: {'images': points['images']} for name, points in models.items()}
    if not all('characters' in points for points in models.values()):
        print('Images only: the characters of this decoder cannot be told apart, or it has none.')
    else:
        print(f'Characters of the {"labels" if labelled else "predictions"}.')
    figure = embedding_figure(models, args.seed)
    save_picture(figure, args.out, 'plot_embeddings', args.font)
    for axes in figure.axes:
        print(axes.get_title())
    report_picture(args, 'embeddings')


if __name__ == '__main__':
    main()
