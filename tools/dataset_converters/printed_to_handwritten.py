#!/usr/bin/env python
"""Write the data of "printed numbers -> handwritten numbers" in MMOCR's own format.

Source: labelled number strings, printed digit by digit in the fonts of installed packages.
Target: number strings made of the real handwritten digits that scikit-learn ships, whose
training split has no text. Nothing is downloaded::

    python tools/dataset_converters/printed_to_handwritten.py --out-dir data/printed_to_handwritten

It writes OUT/source and OUT/target, each with textrecog_{train,test}.json and the images in
textrecog_imgs/{train,test}/; the target has a labelled textrecog_val.json, too.
"""

import argparse
import hashlib
import json
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmocr_da.outputs import output_file, output_folder

# Raise it when the images of an unchanged command line change: the stamp then tells old data apart.
VERSION = 1
STAMP = 'complete.json'
HEIGHT = 32  # of the images
MASTER = 64  # height at which a glyph is drawn once, before it is bent and shrunk
DIGITS = '0123456789'
# Enough for a font package that is missing to be noticed rather than silently narrow the source.
FEW_FONTS = 40
# TeX's symbol fonts keep other signs at the places of the digits, or hanging figures.
SYMBOL_FONTS = ('cmex10', 'cmmi10', 'cmsy10', 'LastResortHE-Regular')
# Of each class, in per cent: 1797 digits -> about 1080 train, 180 val, 540 test.
TARGET_SHARES = dict(train=60, val=10, test=30)
SPLITS = ('source/train', 'source/test', 'target/train', 'target/val', 'target/test')


# ---------------------------------------------------------------------------- fonts


def font_files(folder=None):
    """Font files to look at: those below ``folder``, else those that Python packages carry."""
    if folder is not None:
        found = [p for p in Path(folder).rglob('*') if p.suffix.lower() in ('.ttf', '.otf')]
        if not found:
            raise ValueError(
                f'--fonts needs a folder with .ttf or .otf files, got none below '
                f'{folder}; leave it out to use the fonts of installed packages'
            )
        return sorted(found)
    import matplotlib

    found = list((Path(matplotlib.get_data_path()) / 'fonts' / 'ttf').glob('*.ttf'))
    for group in ('fonts_ttf', 'fonts_otf'):  # where packages named font-* announce their files
        for entry in entry_points(group=group):
            found += map(Path, entry.load().values())
    # By name, not by path: the order must not depend on where Python is installed.
    return sorted(found, key=lambda path: path.name)


class Face:
    """One font: grey masters of its characters, all cropped to the same band of lines.

    The band is what the alphabet needs (for digits: the height of a digit), so letters keep
    their relative heights. ``master(char, weight)`` is ``(MASTER, w)`` in [0, 1].
    """

    def __init__(self, path, alphabet):
        self.name = path.stem
        self.font = ImageFont.truetype(str(path), MASTER)
        boxes = [self.font.getbbox(char, anchor='ls') for char in alphabet]
        self.top = min(box[1] for box in boxes)
        self.bottom = max(box[3] for box in boxes)
        self.masters = {}

    def draw(self, char):
        """``(band, w)`` ink of one character at the size of the font."""
        left, _, right, _ = self.font.getbbox(char, anchor='ls')
        size = (max(1, right - left), max(1, self.bottom - self.top))
        image = Image.new('L', size)
        ImageDraw.Draw(image).text((-left, -self.top), char, fill=255, font=self.font, anchor='ls')
        return np.asarray(image)

    def master(self, char, weight=0):
        if (char, weight) not in self.masters:
            ink = self.draw(char)
            scale = MASTER / ink.shape[0]
            ink = cv2.resize(
                ink, (max(1, round(ink.shape[1] * scale)), MASTER), interpolation=cv2.INTER_AREA
            )
            ink = cv2.copyMakeBorder(ink, 4, 4, 4, 4, cv2.BORDER_CONSTANT)
            if weight:
                pen = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (1 + 2 * abs(weight),) * 2)
                changed = (cv2.dilate if weight > 0 else cv2.erode)(ink, pen)
                # A light face has no stroke to lose.
                ink = changed if changed.sum() > 0.6 * ink.sum() else ink
            self.masters[char, weight] = ink.astype(np.float32) / 255
        return self.masters[char, weight]


def load_faces(files, alphabet):
    """The distinct faces among ``files`` that can print every character of ``alphabet``."""
    faces, names = [], set()
    for path in files:
        if path.stem in SYMBOL_FONTS:
            continue
        try:
            face = Face(path, alphabet)
        except OSError:  # not a font that FreeType reads
            continue
        # A missing character is drawn as the font's box, or as nothing.
        missing = face.draw('\U0010fffe')
        drawn = [face.draw(char) for char in alphabet if not char.isspace()]
        if any(not ink.any() or np.array_equal(ink, missing) for ink in drawn):
            continue
        # The .ttf and the .otf of a face print the same.
        if (name := face.font.getname()) in names:
            continue
        names.add(name)
        faces.append(face)
    return faces


# ---------------------------------------------------------------------------- images


def tight(ink):
    """``ink`` without empty columns at its sides."""
    columns = np.flatnonzero((ink > 0.05).any(axis=0))
    return ink[:, columns[0] : columns[-1] + 1] if len(columns) else ink[:, :1]


def print_glyph(face, char, height, slant, rng):
    """One printed character, bent and shrunk to ``(height, w)``."""
    if char.isspace():
        return np.zeros((height, max(1, height // 3)), np.float32)
    ink = face.master(char, int(rng.choice([-1, 0, 0, 2, 4])))
    slant = slant + rng.normal(0, 0.05)
    turn = np.deg2rad(rng.normal(0, 3))
    widen = rng.uniform(0.8, 1.2)
    rows, columns = ink.shape
    room = int(0.75 * rows)  # for what leans over the side
    bend = np.array([[widen * np.cos(turn), -slant - np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    middle = np.array([columns / 2, rows / 2])
    goal = np.array([widen * columns / 2 + room, rows / 2])
    bend = np.column_stack([bend, goal - bend @ middle]).astype(np.float32)
    ink = tight(cv2.warpAffine(ink, bend, (int(widen * columns) + 2 * room, rows)))[2:-2]
    width = max(1, round(ink.shape[1] * height / MASTER))
    ink = cv2.resize(ink, (width, height), interpolation=cv2.INTER_AREA)
    # A hairline would fade when shrunk; a scanner's exposure does not let it.
    return ink / max(0.4, float(ink.max()))


def compose(glyphs, rng):
    """Grey image ``(HEIGHT, W)`` of glyphs ``(h, w)`` side by side, dark ink on light paper.

    Both domains pass through here, so that they differ in their glyphs alone.
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
    # Enlarging from the few lines of the glyphs is what blurs them.
    size = (max(HEIGHT // 2, round(width * HEIGHT / len(ink))), HEIGHT)
    ways = [cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4]
    ink = cv2.resize(ink, size, interpolation=ways[rng.integers(3)])
    paper, black = rng.uniform(190, 255), rng.uniform(0, 80)
    image = paper + (black - paper) * np.clip(ink, 0, 1)
    image += rng.normal(0, rng.uniform(0, 6), image.shape)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def split_handwritten_digits():
    """``{split: {digit: [ink (8, w), ...]}}``; no digit image is in two splits.

    The assignment does not depend on ``--seed``: a digit that tests one run never trains another.
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
    """Printed strings: ``(text, rng) -> image``."""

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
    """Handwritten strings of one split: ``(text, rng) -> image``."""

    def __init__(self, pool):
        self.pool = pool

    def __call__(self, text, rng):
        glyphs = [self.pool[char][rng.integers(len(self.pool[char]))] for char in text]
        return compose(glyphs, rng)


# ---------------------------------------------------------------------------- files


def draw_text(rng, length, words):
    """One label: a word of the lexicon, or a number with a length of ``length`` (both ends)."""
    if words:
        return words[rng.integers(len(words))]
    return ''.join(DIGITS[i] for i in rng.integers(0, 10, rng.integers(length[0], length[1] + 1)))


def save_json(path, data_list):
    metainfo = dict(dataset_type='TextRecogDataset', task_name='textrecog')
    with open(path, 'w', encoding='utf-8') as file:
        json.dump(dict(metainfo=metainfo, data_list=data_list), file, ensure_ascii=False)


def save_image(path, image):
    if not cv2.imwrite(str(path), image):
        raise OSError(f'{path} could not be written; is the disk full?')


def save_sheet(root, sheet, options):
    """Write ``root/contact_sheet.png`` to data that are complete."""
    with output_file(root / 'contact_sheet.png', writer(options)) as path:
        save_image(path, sheet)


def write_split(root, split, count, draw, options, words):
    """Write ``count`` images of ``split`` ('domain/subset') and their annotation file(s)."""
    domain, subset = split.split('/')
    folder = root / domain / 'textrecog_imgs' / subset
    folder.mkdir(parents=True)
    labelled, unlabelled = [], []
    for i in range(count):
        # One stream per image: asking for more images leaves the first ones as they are.
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


def check_out_dir(out, options, force):
    """True if ``out`` already holds the data of ``options``; raises if it holds anything else."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    if not (out / STAMP).is_file():
        raise ValueError(
            f'--out-dir {out} exists and was not written by this converter; choose a '
            'new folder, nothing in it was touched'
        )
    there = json.loads((out / STAMP).read_text(encoding='utf-8'))
    if there.get('converter') != options.get('converter'):
        raise ValueError(
            f'--out-dir {out} holds data of another converter; choose a new folder, '
            'nothing in it was touched'
        )
    if there == options:
        return True
    if not force:
        keys = [k for k in options if options[k] != there.get(k)]
        different = ', '.join(f'{k}: {there.get(k)} there, {options[k]} asked for' for k in keys)
        raise ValueError(
            f'--out-dir {out} holds data of other options ({different}); choose '
            'another folder or replace the data with --force'
        )
    return False


def writer(options):
    """The converter that these options are of."""
    return options.get('converter', 'printed_to_handwritten')


@contextmanager
def whole_folder(out, options, force=False):
    """A folder to write the data of ``options`` to, which becomes ``out`` when all is written."""
    with output_folder(out, writer(options), replace=force) as partial:
        yield partial
        (partial / STAMP).write_text(json.dumps(options, indent=1) + '\n', encoding='utf-8')


def convert(out, options, faces, words, force=False):
    """Write the data of ``options`` to ``out``, all or nothing."""
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
        help='labelled strings to watch a run, not to choose a checkpoint with',
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
        'instead of numbers (your own unlabelled images are then the target)',
    )
    parser.add_argument(
        '--fonts',
        type=Path,
        help='folder of fonts to use instead of those in installed packages (matplotlib, font-*)',
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
                'The handwritten images are digits, so this lexicon gets a source only; point '
                'the target of the config to your own images.'
            )
    elif num_target and not handwritten:
        others = ''.join(sorted(set(alphabet) - set(DIGITS)))
        raise ValueError(
            f'--num-target {num_target} needs a lexicon of digits, got one with '
            f'{others!r}; leave it out and use your own images as the target'
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

    # A trailing slash or a symbolic link must not decide where the partial data goes.
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
