"""Prints varied single characters in the fonts of a folder or of installed packages."""

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmocr_da.font_files import SYMBOL_FONTS, font_files

__all__ = ['Face', 'font_files', 'load_faces', 'print_glyph', 'tight']

MASTER = 64  # height at which a glyph is drawn once, before it is deformed and shrunk


class Face:
    """A font, drawn as grey images of its characters that are all cropped to the same rows.

    The rows are those that the alphabet needs (for digits: the height of a digit), so that the
    characters keep their relative heights.
    """

    def __init__(self, path, alphabet):
        self.name = path.stem
        self.font = ImageFont.truetype(str(path), MASTER)
        boxes = [self.font.getbbox(char, anchor='ls') for char in alphabet]
        self.top = min(box[1] for box in boxes)
        self.bottom = max(box[3] for box in boxes)
        self.masters = {}

    def draw(self, char):
        """Draw one character at the size of the font, ``(rows, w)``, uint8."""
        left, _, right, _ = self.font.getbbox(char, anchor='ls')
        size = (max(1, right - left), max(1, self.bottom - self.top))
        image = Image.new('L', size)
        ImageDraw.Draw(image).text((-left, -self.top), char, fill=255, font=self.font, anchor='ls')
        return np.asarray(image)

    def master(self, char, weight=0):
        """One character with thicker or thinner strokes, ``(MASTER, w)`` in [0, 1]."""
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
                # Do not erode the strokes of a light face away.
                ink = changed if changed.sum() > 0.6 * ink.sum() else ink
            self.masters[char, weight] = ink.astype(np.float32) / 255
        return self.masters[char, weight]


def load_faces(files, alphabet):
    """Load the fonts that have every character of ``alphabet``, each face once."""
    faces, names = [], set()
    for path in files:
        if path.stem in SYMBOL_FONTS:
            continue
        try:
            face = Face(path, alphabet)
        except OSError:  # a format that FreeType does not read
            continue
        # A font draws a missing character as a box or as nothing.
        missing = face.draw('\U0010fffe')
        drawn = [face.draw(char) for char in alphabet if not char.isspace()]
        if any(not ink.any() or np.array_equal(ink, missing) for ink in drawn):
            continue
        # The .ttf and the .otf of a face are equal.
        if (name := face.font.getname()) in names:
            continue
        names.add(name)
        faces.append(face)
    return faces


def tight(ink):
    """Crop empty columns at the sides of ``ink``."""
    columns = np.flatnonzero((ink > 0.05).any(axis=0))
    return ink[:, columns[0] : columns[-1] + 1] if len(columns) else ink[:, :1]


def print_glyph(face, char, height, slant, rng):
    """Print one character, randomly slanted, rotated and widened, ``(height, w)`` in [0, 1]."""
    if char.isspace():
        return np.zeros((height, max(1, height // 3)), np.float32)
    ink = face.master(char, int(rng.choice([-1, 0, 0, 2, 4])))
    slant = slant + rng.normal(0, 0.05)
    rotation = np.deg2rad(rng.normal(0, 3))
    widen = rng.uniform(0.8, 1.2)
    rows, columns = ink.shape
    room = int(0.75 * rows)  # for strokes that lean over the side
    matrix = np.array(
        [
            [widen * np.cos(rotation), -slant - np.sin(rotation)],
            [np.sin(rotation), np.cos(rotation)],
        ]
    )
    middle = np.array([columns / 2, rows / 2])
    goal = np.array([widen * columns / 2 + room, rows / 2])
    matrix = np.column_stack([matrix, goal - matrix @ middle]).astype(np.float32)
    ink = tight(cv2.warpAffine(ink, matrix, (int(widen * columns) + 2 * room, rows)))[2:-2]
    width = max(1, round(ink.shape[1] * height / MASTER))
    ink = cv2.resize(ink, (width, height), interpolation=cv2.INTER_AREA)
    # Shrinking fades thin strokes; a scanner's exposure would compensate for it.
    return ink / max(0.4, float(ink.max()))
