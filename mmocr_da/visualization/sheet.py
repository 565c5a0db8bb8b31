"""Draws word images with the texts that recognizers predict for them."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, HPacker, TextArea
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from .pictures import save_picture

RIGHT, WRONG = '#1a7f37', '#cf222e'
INK, FAINT = '#1f2328', '#6e7781'
#: Behind characters that only the earlier, or only the later, of two texts has. They differ in
#: brightness, too, for people who cannot tell the colours.
OLD, NEW = '#ffd8a8', '#a5d8ff'

#: Sizes in inches: of a cell, the picture in it, a line, a heading, of what is left empty.
CELL, PICTURE, LINE, HEADING, MARGIN = 5.4, (2.2, 0.62), 0.23, 0.34, 0.15
#: Size of the texts in points. Those that do not fit are smaller, and cut at the smallest size.
SIZE, SMALLEST = 11, 6
#: Size of names and notes, and most characters of a name.
SMALL, LONGEST_NAME = 8, 14

#: A text and the colour behind it, or None.
Part = tuple[str, str | None]


class Line(NamedTuple):
    """A line beside a picture.

    Args:
        name: What the text is, such as 'before'.
        parts: The text, in parts.
        color: Its colour.
        note: A short remark at the end, such as a confidence.
    """

    name: str
    parts: Sequence[Part]
    color: str = INK
    note: str = ''


class Cell(NamedTuple):
    """A picture, RGB or grey ``(H, W[, 3])`` uint8, and its lines."""

    picture: NDArray[Any]
    lines: Sequence[Line]


def marked(name: str, text: str, right: bool, parts: Sequence[Part] | None = None) -> Line:
    """Make a line with a mark that says whether the text is right."""
    # A mark beside the colour, for people who cannot tell red from green.
    mark = '\u2713 ' if right else '\u2717 '
    return Line(name, [(mark, None), *(parts or [(text, None)])], RIGHT if right else WRONG)


def differing(text: str, other: str, color: str, ignore_case: bool = False) -> list[Part]:
    """Split a text into parts, with a colour behind those that ``other`` does not have.

    Texts that a program must join or reorder (Arabic, Devanagari, combining marks) are one part.

    >>> differing('house', 'mouse', 'red')
    [('h', 'red'), ('ouse', None)]
    >>> differing('house', 'houses', 'red')
    [('house', None)]
    """
    if not text:
        return [(text, None)]
    if any(map(_needs_neighbours, text)):
        return [(text, color if text != other else None)]
    compared = text
    if ignore_case and len(text.lower()) == len(text):  # some letters are two in lower case
        compared, other = text.lower(), other.lower()
    return [
        (text[op.src_start : op.src_end], None if op.tag == 'equal' else color)
        for op in Levenshtein.opcodes(compared, other)
        if op.src_end > op.src_start
    ]


def draw_sheet(
    groups: Mapping[str, Sequence[Cell]],
    out_file: str,
    by: str,
    title: str = '',
    font: str | None = None,
    columns: int = 2,
) -> None:
    """Write the picture of :func:`sheet_figure`.

    Args:
        groups, title, columns: See :func:`sheet_figure`.
        out_file: PNG, or another format that matplotlib writes.
        by: The writer; only files that it wrote before are replaced.
        font: For the texts, see :func:`~mmocr_da.visualization.pictures.save_picture`.
    """
    save_picture(sheet_figure(groups, title, columns), out_file, by, font)


def sheet_figure(groups: Mapping[str, Sequence[Cell]], title: str = '', columns: int = 2) -> Figure:
    """Draw pictures with lines of text beside them, in groups.

    Args:
        groups: The cells below each heading; an empty heading takes no place.
        title: Lines above all.
        columns: Number of cells side by side.
    """
    groups = {heading: cells for heading, cells in groups.items() if cells}
    names = {line.name for cells in groups.values() for cell in cells for line in cell.lines}
    names_width = _inches(max((len(_short(name)) for name in names), default=0), SMALL) + 0.15
    columns = min(columns, max(map(len, groups.values()), default=1))
    tops, height = [], MARGIN + (HEADING * 0.7 * len(title.splitlines()))
    for heading, cells in groups.items():
        height += HEADING if heading else 0.06
        tops.append(height)
        height += _cell_height(cells) * -(-len(cells) // columns)
    width = MARGIN + columns * CELL
    figure = Figure(figsize=(width, height + MARGIN))
    # One plane in inches, from the top left: the place of everything is known before it is drawn.
    ax = figure.add_axes((0, 0, 1, 1))
    ax.axis('off')
    if title:
        ax.text(MARGIN, MARGIN, title, va='top', color=INK, size=12, parse_math=False)
    for top, (heading, cells) in zip(tops, groups.items()):
        if heading:
            ax.text(MARGIN, top - 0.1, heading, color=INK, size=11, weight='bold', parse_math=False)
        step = _cell_height(cells)
        for i, cell in enumerate(cells):
            left = MARGIN + i % columns * CELL
            _draw_cell(ax, cell, left, top + i // columns * step, step, names_width)
    ax.set(xlim=(0, width), ylim=(height + MARGIN, 0), autoscale_on=False)
    return figure


def prediction_sheet(
    images: Sequence[NDArray[Any]],
    ground_truths: Sequence[str],
    predictions: Mapping[str, Sequence[str]],
    out_file: str,
    normalized: Any = str,
    font: str | None = None,
) -> dict[str, int]:
    """Draw images, each with its ground truth and the prediction of every model.

    Args:
        images: N images, RGB.
        ground_truths: Their N texts.
        predictions: N predictions by the model's name; the lines, in this order.
        out_file: PNG, or another format that matplotlib writes.
        normalized: Brings a text into the form in which it is compared.
        font: For the texts, see :func:`~mmocr_da.visualization.pictures.save_picture`.

    Returns:
        Number of right predictions by the model's name.

    Raises:
        ValueError: If the numbers of texts and images differ.
    """
    for name, texts in {'ground_truths': ground_truths, **predictions}.items():
        if len(texts) != len(images):
            raise ValueError(
                f'{name} needs one text per image, got {len(texts)} texts for {len(images)} images'
            )
    right = {
        name: [normalized(p) == normalized(t) for p, t in zip(texts, ground_truths)]
        for name, texts in predictions.items()
    }
    counts = {name: sum(marks) for name, marks in right.items()}
    cells = [
        Cell(
            image,
            [
                Line('ground truth', [(ground_truths[i], None)]),
                *(marked(name, texts[i], right[name][i]) for name, texts in predictions.items()),
            ],
        )
        for i, image in enumerate(images)
    ]
    title = '   '.join(f'{name}: {n}/{len(images)} right' for name, n in counts.items())
    draw_sheet({'': cells}, out_file, 'prediction_sheet', title, font)
    return counts


def _cell_height(cells: Sequence[Cell]) -> float:
    lines = max(len(cell.lines) for cell in cells)
    return max(PICTURE[1], LINE * lines) + 0.2


def _draw_cell(
    ax: Axes, cell: Cell, left: float, top: float, height: float, names_width: float
) -> None:
    middle = top + height / 2
    rows, columns = cell.picture.shape[:2]
    scale = min(PICTURE[0] / columns, PICTURE[1] / rows)
    x, w, h = left + PICTURE[0] / 2, scale * columns / 2, scale * rows / 2
    ax.imshow(
        cell.picture,
        cmap='gray',
        vmin=0,
        vmax=255,
        extent=(x - w, x + w, middle + h, middle - h),
        aspect='auto',
        interpolation='bicubic',
    )
    names = left + PICTURE[0] + MARGIN
    start = names + names_width
    notes = max(_inches(len(line.note) + 2, SMALL) for line in cell.lines)
    room = left + CELL - MARGIN - notes - start
    size = min(_fitting_size(line.parts, room) for line in cell.lines)
    for i, line in enumerate(cell.lines):
        y = middle + (i + 0.5 - len(cell.lines) / 2) * LINE
        ax.text(names, y, _short(line.name), va='center', color=FAINT, size=SMALL, parse_math=False)
        parts = _cut(line.parts, room, size)
        areas = [_area(text, line.color, size, behind) for text, behind in parts]
        if line.note:
            areas.append(_area('  ' + line.note, FAINT, SMALL, None))
        packed = HPacker(children=[*areas], pad=0, sep=0.6, align='baseline')
        ax.add_artist(
            AnnotationBbox(packed, (start, y), box_alignment=(0, 0.5), frameon=False, pad=0)
        )


def _area(text: str, color: str, size: float, behind: str | None) -> TextArea:
    # parse_math: a word of a price list, '$5 $6', is a text and not a formula.
    style: dict[str, Any] = dict(color=color, size=size, parse_math=False)
    if behind:
        style['bbox'] = dict(boxstyle='square,pad=0.08', facecolor=behind, edgecolor='none')
    return TextArea(text, textprops=style)


def _fitting_size(parts: Sequence[Part], room: float) -> float:
    """The size in points, within bounds, at which a text fits into ``room``."""
    wanted = _inches(sum(_width(char) for text, _ in parts for char in text), SIZE)
    return max(SIZE * min(1, room / max(wanted, 1e-6)), SMALLEST)


def _cut(parts: Sequence[Part], room: float, size: float) -> list[Part]:
    """The parts as they are drawn, as far as there is room."""
    if not ''.join(text for text, _ in parts).strip('\u2713\u2717 '):
        return [*parts, ('(empty)', None)]
    drawn: list[Part] = []
    for text, behind in parts:
        kept = ''
        for char in text:
            room -= _inches(_width(char), size)
            if room < -1e-6:
                return [*drawn, (kept + '\u2026', behind)]
            kept += char
        # A space at the end of a part has no width to matplotlib.
        drawn.append((kept if behind is None else kept.replace(' ', '\u2423'), behind))
    return drawn


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + '\u2026'


def _inches(width: float, size: float) -> float:
    """Width of as many lower-case letters of matplotlib's font, which are 0.6 of its size wide."""
    return 0.6 * width * size / 72


def _width(char: str) -> float:
    """About how many lower-case letters a character is as wide as."""
    if unicodedata.east_asian_width(char) in 'WF':
        return 2
    return 1.65 if char in 'MW@%mw' else 1.25 if char.isupper() else 1


def _needs_neighbours(char: str) -> bool:
    """Whether a program must join or reorder a character with those beside it."""
    return unicodedata.category(char)[0] == 'M' or unicodedata.bidirectional(char) in ('R', 'AL')
