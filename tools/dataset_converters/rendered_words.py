#!/usr/bin/env python
"""Write rendered words as files: a labelled source that can be looked at, copied and trained on.

``mmocr_da.RenderedWords`` draws them, which also draws while it trains, without files::

    python tools/dataset_converters/rendered_words.py --lexicon words.txt --out-dir OUT

Without --lexicon it draws random strings of the characters in --dict-file. It writes
OUT/{train,val,test}.tsv with rows ``path<TAB>text``, and the images. No image is in two splits, but
a word may be.
"""

import argparse
from pathlib import Path

import mmocr_da  # noqa: F401  before anything of MMOCR: it settles which versions may meet

# isort: split
from dataset_folder import check_out_dir, whole_folder
from mmengine.registry import init_default_scope

from mmocr_da.arguments import check_count
from mmocr_da.datasets import RenderedWords

# Raise it when an unchanged command line gives other images: the stamp then marks old data.
VERSION = 3
SPLITS = ('train', 'val', 'test')
DICT_FILE = Path(__file__).resolve().parents[2] / 'configs/_base_/dicts/lower_english_digits.txt'


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--lexicon', type=Path, help='Words to draw, one per line')
    parser.add_argument('--fonts', type=Path, help='Folder of fonts (default: installed ones)')
    parser.add_argument(
        '--dict-file', type=Path, default=DICT_FILE, help='Characters (default: a-z, 0-9)'
    )
    parser.add_argument(
        '--num-images',
        type=int,
        nargs=3,
        default=(16_000, 500, 1_250),
        metavar=tuple(split.upper() for split in SPLITS),
        help='Images of each split',
    )
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out-dir', type=Path, required=True)
    parser.add_argument('--force', action='store_true', help='Replace data of other options')
    return parser.parse_args()


def write_split(folder, split, dataset):
    """Write the images and the table of a split."""
    (folder / split).mkdir()
    rows = []
    for i in range(len(dataset)):
        item = dataset.prepare_data(i)
        path = Path(split, f'{i:06d}.bmp')
        (folder / path).write_bytes(item['content'])
        rows.append(f'{path.as_posix()}\t{item["instances"][0]["text"]}\n')
    (folder / f'{split}.tsv').write_text(''.join(rows), encoding='utf-8')


def main():
    args = parse_args()
    check_count('--seed', args.seed, least=0)
    for split, count in zip(SPLITS, args.num_images):
        check_count(f'--num-images of {split}', count)
    options = dict(
        converter='rendered_words',
        version=VERSION,
        lexicon=args.lexicon and str(args.lexicon.resolve()),
        fonts=args.fonts and str(args.fonts.resolve()),
        dict_file=str(args.dict_file.resolve()),
        num_images=list(args.num_images),
        seed=args.seed,
    )
    if check_out_dir(args.out_dir, options, args.force):
        print(f'{args.out_dir} has these words already.')
        return
    init_default_scope('mmocr')
    datasets = [
        RenderedWords(
            lexicon=args.lexicon and str(args.lexicon),
            dict_file=str(args.dict_file),
            fonts=args.fonts and str(args.fonts),
            num_images=count,
            seed=len(SPLITS) * args.seed + i,
            skip_unusable=True,
        )
        for i, count in enumerate(args.num_images)
    ]
    with whole_folder(args.out_dir, options, args.force) as folder:
        for split, dataset in zip(SPLITS, datasets):
            write_split(folder, split, dataset)
    print(f'Wrote {args.out_dir}: {sum(args.num_images)} images.')


if __name__ == '__main__':
    main()
