#!/usr/bin/env python
"""Write scenes with rotated words for text detection, in MMOCR's format.

The words are strings of letters and digits in the fonts of installed packages, in any colour and at
any angle, on coloured backgrounds with lights, textures and shapes that are not text. Nothing is
downloaded::

    python tools/dataset_converters/rotated_scenes.py --out-dir data/rotated_scenes

A second domain for an adaptation are pages: dark lines of smaller words on bright paper::

    python tools/dataset_converters/rotated_scenes.py --style pages --out-dir data/drawn_pages

Axis-parallel words, for detectors of such boxes, are ``--max-angle 0``; ``--num-val`` draws a third
set, to choose settings by.

It writes OUT/instances_{train,test,val}.json, with the four corners of each word as its polygon,
and colour images in OUT/images/.
"""

import argparse
import json
import string
from pathlib import Path

import cv2
import numpy as np
from dataset_folder import check_out_dir, save_image, whole_folder
from glyphs import font_files, load_faces, print_glyph

# Raise it when an unchanged command line gives other images: the stamp then marks old data.
VERSION = 1
ALPHABET = string.digits + string.ascii_letters
# Their order is that of the random numbers.
SPLITS = ('train', 'test', 'val')
STYLES = ('scenes', 'pages')


def surface(rng, size, grey):
    """Paint a surface ``(size, size, 3)``: one colour of that grey level with spots of light."""
    coarse = rng.normal(0, 25, (int(rng.integers(2, 9)), int(rng.integers(2, 9)), 3))
    light = cv2.resize(coarse.astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    tint = rng.normal(0, 25, 3)
    return grey + tint - tint.mean() + light


def add_clutter(image, rng):
    """Draw lines and ellipses, which a detector must learn to ignore."""
    size = len(image)
    for _ in range(rng.integers(0, 8)):
        colour = [float(c) for c in rng.uniform(0, 255, 3)]
        start, end = rng.integers(0, size, (2, 2))
        if rng.random() < 0.5:
            cv2.line(image, start.tolist(), end.tolist(), colour, int(rng.integers(1, 5)))
        else:
            axes = (abs(end - start) // 2 + 1).tolist()
            cv2.ellipse(
                image,
                start.tolist(),
                axes,
                rng.uniform(0, 180),
                0,
                360,
                colour,
                int(rng.integers(1, 5)) if rng.random() < 0.5 else -1,
            )


def write_word(face, rng, height=None):
    """Print one random word of a random or a given height, cropped, ``(h, w)`` in [0, 1]."""
    height = int(rng.integers(14, 41)) if height is None else height
    slant = rng.normal(0, 0.1)
    glyphs = [
        print_glyph(face, ALPHABET[rng.integers(len(ALPHABET))], height, slant, rng)
        for _ in range(rng.integers(2, 10))
    ]
    gap = np.zeros((height, max(1, height // 8)), np.float32)
    ink = np.concatenate([part for glyph in glyphs for part in (glyph, gap)][:-1], 1)
    rows = np.flatnonzero((ink > 0.05).any(1))
    return np.clip(ink[rows[0] : rows[-1] + 1], 0, 1)


def place(image, taken, ink, rng, max_angle=None):
    """Draw ``ink`` into ``image`` at a random angle, within limits, where no other word is.

    Returns:
        Its polygon ``(4, 2)``, or None if no place was found.
    """
    size = len(image)
    h, w = ink.shape
    # Most text is nearly horizontal, some has any angle.
    degrees = rng.normal(0, 15) if rng.random() < 0.7 else rng.uniform(-90, 90)
    if max_angle is not None:
        degrees = np.clip(degrees, -max_angle, max_angle)
    rotation = cv2.getRotationMatrix2D((w / 2, h / 2), degrees, 1)
    corners = np.array([[0, 0], [w, 0], [w, h], [0, h]]) @ rotation[:, :2].T + rotation[:, 2]
    low, high = corners.min(0), corners.max(0)
    if (high - low > size - 4).any():
        return None
    for _ in range(20):
        shift = rng.uniform(2 - low, size - 2 - high)
        polygon = corners + shift
        mask = cv2.fillPoly(np.zeros((size, size), np.uint8), [np.rint(polygon).astype(int)], 1)
        if not (cv2.dilate(mask, np.ones((9, 9))) & taken).any():
            break
    else:
        return None
    taken |= mask
    rotation[:, 2] += shift
    hidden = cv2.warpAffine(ink, rotation, (size, size))[:, :, None]
    ground = float(image[mask > 0].mean())
    contrast = rng.uniform(60, 160)
    grey = ground - contrast if ground > rng.uniform(60, 195) else ground + contrast
    image += hidden * (surface(rng, size, grey) - image)
    return polygon


def draw(faces, size, rng, max_angle=None):
    """Draw a colour image ``(size, size, 3)``; return it with the polygons of its words."""
    image = np.ascontiguousarray(surface(rng, size, rng.uniform(40, 215)), np.float32)
    add_clutter(image, rng)
    taken, polygons = np.zeros((size, size), np.uint8), []
    for _ in range(rng.integers(1, 13)):
        word = write_word(faces[rng.integers(len(faces))], rng)
        polygon = place(image, taken, word, rng, max_angle)
        if polygon is not None:
            polygons.append(polygon)
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.2))
    image += rng.normal(0, rng.uniform(0, 10), image.shape)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), polygons


def draw_page(faces, size, rng):
    """Draw a page ``(size, size, 3)`` with lines of words; return it with their polygons."""
    paper = rng.uniform(190, 240)
    image = paper + 0.3 * surface(rng, size, 0)
    ink_of_page, face = rng.uniform(10, 90), faces[rng.integers(len(faces))]
    height = int(rng.integers(14, 25))
    margin, pitch = size // 16, height * rng.uniform(1.3, 2.2)
    polygons = []
    for top in np.arange(margin, size - margin - height, pitch).astype(int):
        left, end = margin, rng.uniform(size / 3, size - margin)
        while True:
            word = write_word(face, rng, height)[-height:]
            h, w = word.shape
            if left + w > end:
                break
            x, y = left, top + height - h
            part = image[y : y + h, x : x + w]
            part += word[:, :, None] * (ink_of_page - part)
            polygons.append(np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], float))
            left += w + int(height * rng.uniform(0.4, 1.2))
    skew = cv2.getRotationMatrix2D((size / 2, size / 2), rng.uniform(-2, 2), 1)
    image = cv2.warpAffine(
        image.astype(np.float32), skew, (size, size), borderMode=cv2.BORDER_REPLICATE
    )
    polygons = [polygon @ skew[:, :2].T + skew[:, 2] for polygon in polygons]
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.0))
    image += rng.normal(0, rng.uniform(0, 10), image.shape)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), polygons


# ---------------------------------------------------------------------------- files


def write_split(root, split, count, faces, size, seed, style, max_angle=None):
    """Write ``count`` images of ``split`` and their annotation file."""
    (root / 'images' / split).mkdir(parents=True)
    data_list = []
    for i in range(count):
        # One stream per image: with more images, the first ones stay the same.
        rng = np.random.default_rng([seed, SPLITS.index(split), i])
        if style == 'pages':
            image, polygons = draw_page(faces, size, rng)
        else:
            image, polygons = draw(faces, size, rng, max_angle)
        name = f'images/{split}/{i:05d}.jpg'
        save_image(root / name, image)
        instances = [
            dict(
                polygon=polygon.round(1).ravel().tolist(),
                bbox_label=0,
                ignore=False,
                bbox=[*polygon.min(0).round(1).tolist(), *polygon.max(0).round(1).tolist()],
            )
            for polygon in polygons
        ]
        data_list.append(dict(img_path=name, height=size, width=size, instances=instances))
    metainfo = dict(
        dataset_type='TextDetDataset', task_name='textdet', category=[dict(id=0, name='text')]
    )
    (root / f'instances_{split}.json').write_text(
        json.dumps(dict(metainfo=metainfo, data_list=data_list)), encoding='utf-8'
    )


def parse_args(argv=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n\n')[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument('--out-dir', type=Path, default=Path('data/rotated_scenes'))
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--num-train', type=int, default=400)
    parser.add_argument('--num-test', type=int, default=100)
    parser.add_argument('--num-val', type=int, default=0)
    parser.add_argument('--size', type=int, default=512, help='height and width of the images, px')
    parser.add_argument('--style', choices=STYLES, default=STYLES[0], help='what is drawn')
    parser.add_argument(
        '--max-angle',
        type=float,
        help='largest angle of a word in scenes, degrees; 0 makes all axis-parallel (default: any)',
    )
    parser.add_argument(
        '--fonts',
        type=Path,
        help='folder of fonts to use, not the fonts of installed packages (matplotlib, font-*)',
    )
    parser.add_argument(
        '--force',
        action='store_true',
        help='replace data that this converter wrote with other options',
    )
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    if args.size < 64:
        raise ValueError(f'--size must be at least 64 px, got {args.size}')
    if args.max_angle is not None and not (args.style == STYLES[0] and 0 <= args.max_angle <= 90):
        raise ValueError(
            f'--max-angle must be from 0 to 90, for scenes, got {args.max_angle:g} for {args.style}'
        )
    faces = load_faces(font_files(args.fonts), ALPHABET)
    if not faces:
        raise ValueError(
            'no font can print digits and letters; pass --fonts a folder with one that can'
        )
    options = dict(
        converter='rotated_scenes',
        version=VERSION,
        seed=args.seed,
        num_train=args.num_train,
        num_test=args.num_test,
        size=args.size,
        fonts=[face.name for face in faces],
    )
    if args.style != STYLES[0]:  # the stamp of scenes is as it was before there were pages
        options['style'] = args.style
    # Nor does it have what there is not.
    if args.num_val:
        options['num_val'] = args.num_val
    if args.max_angle is not None:
        options['max_angle'] = args.max_angle
    # So that neither a trailing slash nor a symbolic link changes the place of partial data.
    out = args.out_dir.resolve()
    if check_out_dir(out, options, args.force):
        print(f'{out} is complete, nothing to do.')
        return
    with whole_folder(out, options, args.force) as folder:
        for split in SPLITS:
            count = options.get(f'num_{split}')
            if count is not None:
                write_split(
                    folder, split, count, faces, args.size, args.seed, args.style, args.max_angle
                )
    validation = f', {args.num_val} to choose settings by' if args.num_val else ''
    print(
        f'Wrote {out}: {args.num_train} {args.style} to train with, {args.num_test} to test '
        f'with{validation}.'
    )


if __name__ == '__main__':
    main()
