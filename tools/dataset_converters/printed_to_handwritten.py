#!/usr/bin/env python
"""Write the data of "printed numbers -> handwritten numbers" in MMOCR's format.

Source: labelled number strings, printed digit by digit in the fonts of installed packages.
Target: number strings composed of the real handwritten digits of scikit-learn; the training split
has no labels. Nothing is downloaded::

    python tools/dataset_converters/printed_to_handwritten.py --out-dir data/printed_to_handwritten

It writes OUT/source and OUT/target, each with textrecog_{train,test}.json and the images in
textrecog_imgs/{train,test}/; the target also has a labelled textrecog_val.json.
"""

import argparse
import hashlib
from pathlib import Path

import cv2
import numpy as np
from dataset_folder import check_out_dir, save_image, save_json, save_sheet, whole_folder
from glyphs import font_files, load_faces, print_glyph, tight

# Raise it when an unchanged command line gives other images: the stamp then marks old data.
VERSION = 1
HEIGHT = 32  # of the images
DIGITS = '0123456789'
# With fewer fonts, a package of fonts is missing, which is reported.
FEW_FONTS = 40
# Per cent of each class: 1797 digits -> about 1080 train, 180 val, 540 test.
TARGET_SHARES = dict(train=60, val=10, test=30)
SPLITS = ('source/train', 'source/test', 'target/train', 'target/val', 'target/test')


# ---------------------------------------------------------------------------- images


def compose(glyphs, rng):
    """Compose glyphs ``(h, w)`` side by side, as a grey image ``(HEIGHT, W)`` with dark ink.

    Both domains use it, so that they differ only in their glyphs.
    """
    tallest = max(len(glyph) for glyph in glyphs)
    margin = int(rng.integers(1, 3)) * max(1, round(tallest / 8))
    jitter = max(1, round(tallest / 10))
    tops = rng.integers(-jitter, jitter + 1, len(glyphs)) * (rng.random(len(glyphs)) < 0.4)
    gaps = np.rint(rng.uniform(-0.6, 1.6, len(glyphs)) * tallest / 8).astype(int)
    gaps[0] = 0
    width = sum(glyph.shape[1] for glyph in glyphs) + gaps.sum() + 2 * margin
    ink = np.zeros((tallest + 2 * margin, width), np.float32)
    x = margin
    for glyph, gap, top in zip(glyphs, gaps, tops):
        x += gap
        y = int(np.clip(margin + (tallest - len(glyph)) // 2 + top, 0, len(ink) - len(glyph)))
        place = ink[y : y + len(glyph), x : x + glyph.shape[1]]
        np.maximum(place, glyph, out=place)
        x += glyph.shape[1]
    # Glyphs have few rows, so enlarging them blurs them.
    size = (max(HEIGHT // 2, round(width * HEIGHT / len(ink))), HEIGHT)
    ways = [cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4]
    ink = cv2.resize(ink, size, interpolation=ways[rng.integers(3)])
    paper, black = rng.uniform(190, 255), rng.uniform(0, 80)
    image = paper + (black - paper) * np.clip(ink, 0, 1)
    image += rng.normal(0, rng.uniform(0, 6), image.shape)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def split_handwritten_digits():
    """Assign each handwritten digit to one split: ``{split: {digit: [ink (8, w), ...]}}``.

    The assignment does not depend on ``--seed``: a test digit of one run never trains another.
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    rng = np.random.default_rng(0)
    pools = {split: {} for split in TARGET_SHARES}
    for digit in range(10):
        order = rng.permutation(np.flatnonzero(data.target == digit))
        bounds = np.cumsum([0, *TARGET_SHARES.values()]) * len(order) // 100
        for split, start, stop in zip(TARGET_SHARES, bounds, bounds[1:]):
            pools[split][str(digit)] = [
                tight(data.images[i].astype(np.float32) / 16) for i in order[start:stop]
            ]
    return pools


class Source:
    """Draws printed strings: ``(text, rng) -> image``."""

    def __init__(self, faces):
        self.faces = faces

    def __call__(self, text, rng):
        height = int(rng.integers(8, 15))
        slant = rng.normal(0, 0.15)
        glyphs = []
        for char in text:
            face = self.faces[rng.integers(len(self.faces))]
            tall = max(7, height + int(rng.integers(-1, 2)))
            glyphs.append(print_glyph(face, char, tall, slant, rng))
        return compose(glyphs, rng)


class Target:
    """Draws handwritten strings of one split: ``(text, rng) -> image``."""

    def __init__(self, pool):
        self.pool = pool

    def __call__(self, text, rng):
        glyphs = [self.pool[char][rng.integers(len(self.pool[char]))] for char in text]
        return compose(glyphs, rng)


# ---------------------------------------------------------------------------- files


def draw_text(rng, length, words):
    """Draw a label: one of ``words``, or a number of ``length[0]`` to ``length[1]`` digits."""
    if words:
        return words[rng.integers(len(words))]
    return ''.join(DIGITS[i] for i in rng.integers(0, 10, rng.integers(length[0], length[1] + 1)))


def write_split(root, split, count, draw, options, words):
    """Write ``count`` images of ``split`` ('domain/subset') and their annotation file(s)."""
    domain, subset = split.split('/')
    folder = root / domain / 'textrecog_imgs' / subset
    folder.mkdir(parents=True)
    labelled, unlabelled = [], []
    for i in range(count):
        # One stream per image: with more images, the first ones stay the same.
        rng = np.random.default_rng([options['seed'], SPLITS.index(split), i])
        text = draw_text(rng, options['length'], words)
        name = f'textrecog_imgs/{subset}/{i:06d}.png'
        save_image(root / domain / name, draw(text, rng))
        labelled.append(dict(img_path=name, instances=[dict(text=text)]))
        unlabelled.append(dict(img_path=name))
    if split != 'target/train':
        save_json(root / domain / f'textrecog_{subset}.json', labelled)
        return
    save_json(root / domain / f'textrecog_{subset}.json', unlabelled)
    if options['with_target_train_labels']:
        save_json(root / domain / f'textrecog_{subset}_labelled.json', labelled)


def write_sheet(root, options, rows=20):
    """``contact_sheet.png``: training images of the source (left) and the target (right)."""
    cell = (HEIGHT + 8, 180)
    sheet = np.full((rows * cell[0], 4 * cell[1]), 128, np.uint8)
    for side, domain in enumerate(('source', 'target')):
        images = sorted((root / domain / 'textrecog_imgs' / 'train').glob('*.png'))[: 2 * rows]
        for i, path in enumerate(images):
            image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)[:, : cell[1] - 4]
            y, x = i // 2 * cell[0] + 4, (2 * side + i % 2) * cell[1] + 2
            sheet[y : y + HEIGHT, x : x + image.shape[1]] = image
    save_sheet(root, sheet, options)


def convert(out, options, faces, words, force=False):
    """Write the data of ``options`` to ``out``, completely or not at all."""
    with whole_folder(out, options, force) as folder:
        source = Source(faces)
        write_split(folder, 'source/train', options['num_source'], source, options, words)
        write_split(folder, 'source/test', options['num_source_test'], source, options, words)
        if options['num_target']:
            pools = split_handwritten_digits()
            for split in ('train', 'val', 'test'):
                count = options['num_target' if split == 'train' else f'num_target_{split}']
                write_split(folder, f'target/{split}', count, Target(pools[split]), options, words)


def parse_args(argv=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n\n')[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument('--out-dir', type=Path, default=Path('data/printed_to_handwritten'))
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--num-source', type=int, default=12000, help='printed training strings')
    parser.add_argument('--num-source-test', type=int, default=1000)
    parser.add_argument(
        '--num-target',
        type=int,
        help='handwritten training strings without text '
        '(8000; 0 with a lexicon that is not digits alone)',
    )
    parser.add_argument(
        '--num-target-val',
        type=int,
        default=500,
        help='labelled strings to monitor a run, not to choose a checkpoint',
    )
    parser.add_argument('--num-target-test', type=int, default=1000)
    parser.add_argument(
        '--length',
        type=int,
        nargs=2,
        default=[3, 6],
        metavar=('MIN', 'MAX'),
        help='digits in a string',
    )
    parser.add_argument(
        '--lexicon',
        type=Path,
        help='file of words, one per line, to print '
        'instead of numbers (the target is then a custom set of unlabelled images)',
    )
    parser.add_argument(
        '--fonts',
        type=Path,
        help='folder of fonts to use, not the fonts of installed packages (matplotlib, font-*)',
    )
    parser.add_argument(
        '--with-target-train-labels',
        action='store_true',
        help='also write target/textrecog_train_labelled.json, for the supervised '
        'upper bound; the training of a method never reads it',
    )
    parser.add_argument('--sheet', action='store_true', help='write OUT/contact_sheet.png')
    parser.add_argument(
        '--force',
        action='store_true',
        help='replace data that this converter wrote with other options',
    )
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    if not 1 <= args.length[0] <= args.length[1]:
        raise ValueError(f'--length needs 1 <= MIN <= MAX, got {args.length}')
    words, alphabet = None, DIGITS
    if args.lexicon:
        lines = args.lexicon.read_text(encoding='utf-8').splitlines()
        words = [line.strip() for line in lines if line.strip()]
        if not words:
            raise ValueError(f'--lexicon needs one word per line, got an empty file {args.lexicon}')
        alphabet = ''.join(sorted(set(''.join(words))))
    handwritten = set(alphabet) <= set(DIGITS)
    num_target = args.num_target
    if num_target is None:
        num_target = 8000 if handwritten else 0
        if not handwritten:
            print(
                'The handwritten images are digits, so only a source is written for this '
                'lexicon; set the target of the config to other images.'
            )
    elif num_target and not handwritten:
        others = ''.join(sorted(set(alphabet) - set(DIGITS)))
        raise ValueError(
            f'--num-target {num_target} needs a lexicon of digits, got one with '
            f'{others!r}; leave it out and use other images as the target'
        )

    faces = load_faces(font_files(args.fonts), alphabet)
    if not faces:
        raise ValueError(
            f'no font can print all of {alphabet!r}; pass --fonts a folder with fonts that can'
        )
    if args.fonts is None and len(faces) < FEW_FONTS:
        print(f'Only {len(faces)} fonts found: the font packages of the requirements are missing.')
    options = dict(
        version=VERSION,
        seed=args.seed,
        num_source=args.num_source,
        num_source_test=args.num_source_test,
        num_target=num_target,
        num_target_val=args.num_target_val,
        num_target_test=args.num_target_test,
        length=args.length,
        with_target_train_labels=args.with_target_train_labels,
        lexicon=words and hashlib.sha256('\n'.join(words).encode()).hexdigest(),
        fonts=[face.name for face in faces],
    )

    # So that neither a trailing slash nor a symbolic link changes the place of partial data.
    out = args.out_dir.resolve()
    if check_out_dir(out, options, args.force):
        print(f'{out} is complete, nothing to do.')
    else:
        convert(out, options, faces, words, args.force)
        print(
            f'Wrote {out}: {args.num_source} printed strings in {len(faces)} fonts, '
            f'{num_target} handwritten ones.'
        )
    if args.sheet:
        write_sheet(out, options)


if __name__ == '__main__':
    main()
