#!/usr/bin/env python
"""Write isolated characters in many styles, as on signs and screens, in MMOCR's format.

The characters are digits and letters in the fonts of installed packages, in any colour on any
background: light on dark and dark on light, faint or strong, on gradients and textures, blurred,
noisy, with pieces of their neighbours. No font family is in both splits, so all test styles are
unseen in training. Nothing is downloaded::

    python tools/dataset_converters/styled_characters.py --out-dir data/styled_characters

It writes OUT/textrecog_{train,test}.json and 32 x 32 colour images in OUT/textrecog_imgs/.
"""

import argparse
import re
import string
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
from dataset_folder import check_out_dir, save_image, save_json, save_sheet, whole_folder
from glyphs import font_files, load_faces, print_glyph, tight

# Raise it when an unchanged command line gives other images: the stamp then marks old data.
VERSION = 1
SIZE = 32  # of the images, both ways
CLASSES = string.digits + string.ascii_lowercase
ALPHABET = string.digits + string.ascii_letters
SPLITS = ('train', 'test')


def split_families(faces):
    """Group fonts by family: ``{split: [[face, ...], ...]}``; each third family is for the test."""
    families = defaultdict(list)
    for face in faces:
        # 'DejaVu Sans' and 'DejaVu Serif' are one family, and so are TeX's cmr10, cmss10 and so on.
        families[re.match(r'cm|[^\W_]+', face.font.getname()[0])[0]].append(face)
    ordered = [families[name] for name in sorted(families)]
    return dict(train=[f for i, f in enumerate(ordered) if i % 3 != 2], test=ordered[2::3])


# ---------------------------------------------------------------------------- images


def smooth_noise(rng, scale):
    """Noise ``(SIZE, SIZE)`` in about [-1, 1] with spots ``SIZE / scale`` pixels wide."""
    coarse = rng.uniform(-1, 1, (scale, scale)).astype(np.float32)
    return cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)


def gradient(rng):
    """A ramp ``(SIZE, SIZE)`` in [-1, 1] that rises in a random direction."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    return (np.cos(angle) * x + np.sin(angle) * y) / np.sqrt(2)


def paint(rng, grey, variation):
    """Paint a surface ``(SIZE, SIZE, 3)``: one colour of that grey level, light and a texture."""
    tint = rng.normal(0, rng.uniform(0, 40), 3)
    surface = grey + tint - tint.mean()
    light = rng.uniform(0, variation) * gradient(rng)
    texture = rng.uniform(0, variation) * smooth_noise(rng, int(rng.choice([3, 5, 8, 16, 32])))
    return surface + (light + texture)[:, :, None]


def cover(face, char, rng):
    """Share of each pixel that the character and its neighbours cover, ``(SIZE, SIZE, 1)``."""
    glyph = print_glyph(face, char, 40, rng.normal(0, 0.1), rng)
    glyph = tight(tight(glyph).T).T
    height = rng.uniform(20, 30)
    width = min(30, glyph.shape[1] * height / glyph.shape[0] * rng.uniform(0.75, 1.25))
    size = (max(2, round(width)), round(height))
    glyph = cv2.resize(glyph, size, interpolation=cv2.INTER_AREA)
    middle = np.array([SIZE / 2, SIZE / 2]) + rng.normal(0, 1.2, 2)
    rotation = cv2.getRotationMatrix2D((size[0] / 2, size[1] / 2), rng.normal(0, 5), 1)
    rotation[:, 2] += middle - np.array(size) / 2
    hidden = cv2.warpAffine(glyph, rotation, (SIZE, SIZE))
    for side in (-1, 1):
        if rng.random() < 0.25:
            other = print_glyph(face, ALPHABET[rng.integers(len(ALPHABET))], size[1], 0.0, rng)
            other = tight(other)
            edge = middle[0] + side * (size[0] / 2 + rng.uniform(1, 5))
            left = edge if side > 0 else edge - other.shape[1]
            shift = np.array([[1, 0, left], [0, 1, middle[1] - size[1] / 2]])
            hidden = np.maximum(hidden, cv2.warpAffine(other, shift, (SIZE, SIZE)))
    return np.clip(hidden, 0, 1)[:, :, None]


def draw(face, char, rng):
    """Draw one character in a random style, ``(SIZE, SIZE, 3)``."""
    contrast = rng.uniform(80, 220)
    darker = rng.uniform(0, 255 - contrast)
    levels = (darker, darker + contrast)
    ink, ground = levels if rng.random() < 0.75 else levels[::-1]
    image = paint(rng, ground, 0.35 * contrast)
    hidden = cover(face, char, rng)
    if rng.random() < 0.15:  # a shadow, or a second edge
        shift = np.float32([[1, 0, rng.integers(-2, 3)], [0, 1, rng.integers(-2, 3)]])
        shadow = cv2.warpAffine(hidden, shift, (SIZE, SIZE))[:, :, None]
        image += shadow * (rng.uniform(0, 255) - image) * rng.uniform(0.2, 0.7)
    image += hidden * (paint(rng, ink, 0.2 * contrast) - image)
    if rng.random() < 0.7:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.4))
    image += rng.normal(0, rng.uniform(0, 0.1) * contrast, image.shape)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


# ---------------------------------------------------------------------------- files


def write_split(root, split, count, families, seed):
    """Write ``count`` images of ``split`` and their annotation file."""
    (root / 'textrecog_imgs' / split).mkdir(parents=True)
    data_list = []
    for i in range(count):
        # One stream per image: with more images, the first ones stay the same.
        rng = np.random.default_rng([seed, SPLITS.index(split), i])
        # A family with 20 weights is as frequent as one with a single face.
        family = families[rng.integers(len(families))]
        face = family[rng.integers(len(family))]
        char = CLASSES[rng.integers(len(CLASSES))]
        text = char.upper() if rng.random() < 0.5 else char
        name = f'textrecog_imgs/{split}/{i:06d}.png'
        save_image(root / name, draw(face, text, rng))
        data_list.append(dict(img_path=name, instances=[dict(text=text)]))
    save_json(root / f'textrecog_{split}.json', data_list)


def write_sheet(root, options, rows=16):
    """``contact_sheet.png``: images of the training split (left) and of the test split (right)."""
    cell = SIZE + 4
    sheet = np.full((rows * cell, (2 * rows + 1) * cell, 3), 255, np.uint8)
    for side, split in enumerate(SPLITS):
        images = sorted((root / 'textrecog_imgs' / split).glob('*.png'))[: rows * rows]
        for i, path in enumerate(images):
            y, x = i // rows * cell, (i % rows + side * (rows + 1)) * cell
            sheet[y : y + SIZE, x : x + SIZE] = cv2.imread(str(path))
    save_sheet(root, sheet, options)


def parse_args(argv=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n\n')[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument('--out-dir', type=Path, default=Path('data/styled_characters'))
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--num-train', type=int, default=6000)
    parser.add_argument('--num-test', type=int, default=2000)
    parser.add_argument(
        '--fonts',
        type=Path,
        help='folder of fonts to use, not the fonts of installed packages (matplotlib, font-*)',
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
    faces = load_faces(font_files(args.fonts), ALPHABET)
    families = split_families(faces)
    if not families['test']:
        raise ValueError(
            'the splits share no font family, which needs 3 families that can print '
            f'digits and letters, got {len(families["train"])}; pass --fonts a folder '
            'with more'
        )
    names = {
        split: [[face.name for face in family] for family in families[split]] for split in SPLITS
    }
    options = dict(
        converter='styled_characters',
        version=VERSION,
        seed=args.seed,
        num_train=args.num_train,
        num_test=args.num_test,
        fonts=names,
    )
    # So that neither a trailing slash nor a symbolic link changes the place of partial data.
    out = args.out_dir.resolve()
    if check_out_dir(out, options, args.force):
        print(f'{out} is complete, nothing to do.')
    else:
        with whole_folder(out, options, args.force) as folder:
            for split in SPLITS:
                count = options[f'num_{split}']
                write_split(folder, split, count, families[split], args.seed)
        print(
            f'Wrote {out}: {args.num_train} characters of {len(names["train"])} font families to '
            f'train with, {args.num_test} of {len(names["test"])} others to test with.'
        )
    if args.sheet:
        write_sheet(out, options)


if __name__ == '__main__':
    main()
