"""A page of sections, written as one HTML file or as Markdown for the terminal."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mmocr_da import markdown

from .pictures import figure_bytes
from .sheet import FAINT, NEW, OLD, RIGHT, WRONG, Cell

#: Classes of the template by colours of a sheet, which differ on dark paper.
CLASSES = {RIGHT: 'right', WRONG: 'wrong', FAINT: 'faint', OLD: 'old', NEW: 'new'}
#: Largest width and height of a word image on a page, in pixels.
WORD_SIZE = (480, 96)


class Literal(str):
    """A text of the data, or a name, that is shown unchanged."""


#: A sentence, or its parts; a :class:`Literal` among them is shown as code.
Text = str | Sequence[str]


@dataclass(frozen=True)
class Paragraph:
    """A paragraph."""

    kind: ClassVar[str] = 'paragraph'
    text: Text


@dataclass(frozen=True)
class Notes:
    """A list of findings; ``level`` is ``'good'``, ``'bad'`` or ``'plain'``."""

    kind: ClassVar[str] = 'notes'
    items: Sequence[Text]
    level: str = 'plain'


@dataclass(frozen=True)
class Table:
    """A table; its first row is the head, and the first cell of a row says what the row is."""

    kind: ClassVar[str] = 'table'
    rows: Sequence[Sequence[Text]]


@dataclass(frozen=True)
class Picture:
    """A picture; ``alt`` says what it shows to those who cannot see it."""

    uri: str
    alt: str
    caption: Text = ''

    @classmethod
    def of(cls, figure: Figure, alt: str, caption: Text = '', form: str = 'svg') -> 'Picture':
        """Take a figure, as ``'svg'`` or, if it has many points or images, as ``'png'``."""
        kind = 'svg+xml' if form == 'svg' else form
        return cls(_data_uri(figure_bytes(figure, form), kind), alt, caption)

    @classmethod
    def read(cls, file: Path, alt: str, caption: Text = '') -> 'Picture':
        """Take a PNG file as it is."""
        return cls(_data_uri(file.read_bytes(), 'png'), alt, caption)


@dataclass(frozen=True)
class Pictures:
    """Pictures side by side, as many as there is room for."""

    kind: ClassVar[str] = 'pictures'
    pictures: Sequence[Picture]
    #: Whether each is as wide as the page.
    wide: bool = False


@dataclass(frozen=True)
class Sheet:
    """Images with lines of text, in groups below headings."""

    kind: ClassVar[str] = 'sheet'
    groups: Mapping[str, Sequence[Cell]]


@dataclass(frozen=True)
class Command:
    """A command of the shell, and what it does."""

    kind: ClassVar[str] = 'command'
    what: str
    command: str


@dataclass(frozen=True)
class Diff:
    """Lines of a unified diff, which the reader may open."""

    kind: ClassVar[str] = 'diff'
    summary: str
    lines: Sequence[str]


Block = Paragraph | Notes | Table | Pictures | Sheet | Command | Diff


@dataclass(frozen=True)
class Section:
    """A heading and what is below it."""

    heading: str
    blocks: Sequence[Block]

    @property
    def name(self) -> str:
        """The name of its place on the page.

        >>> Section('What is missing?', []).name
        'what-is-missing'
        """
        words = ''.join(c if c.isalnum() else ' ' for c in self.heading.lower()).split()
        return '-'.join(words)


@dataclass(frozen=True)
class Page:
    """A page: a title, a summary of answers by question, and sections."""

    title: str
    sections: Sequence[Section]
    summary: Mapping[str, Sequence[Block]] = field(default_factory=dict)

    def html(self) -> str:
        """The page as one HTML file, which loads nothing."""
        return _template().render(
            page=self,
            parts=parts,
            image_uri=word_uri,
            alt_of=alt_of,
            is_plain=lambda cells: all(len(cell.lines) < 2 for cell in cells),
            classes=CLASSES,
        )

    def markdown(self) -> str:
        """The page without its pictures, for the terminal."""
        found = [f'# {self.title}']
        for question, blocks in self.summary.items():
            found += [f'**{question}**', *_texts(blocks)]
        for section in self.sections:
            if texts := _texts(section.blocks):
                found += [f'## {section.heading}', *texts]
        return '\n\n'.join(found) + '\n'


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader('mmocr_da.visualization', 'templates'),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template('page.html')


def parts(text: Text) -> list[str]:
    """Return the parts of a text."""
    return [text] if isinstance(text, str) else [*text]


def alt_of(cell: Cell) -> str:
    """Return what stands for the picture of a cell.

    >>> from mmocr_da.visualization.sheet import Line
    >>> alt_of(Cell(np.zeros((1, 1)), [Line('label', [('a', None)])]))
    'image with label'
    """
    names = ', '.join(line.name for line in cell.lines)
    return f'image with {names}' if names else 'image'


def word_uri(image: NDArray[Any]) -> str:
    """Return an image, RGB or grey ``(H, W[, 3])`` uint8, as the address of a small JPEG."""
    scale = min(1.0, *(most / size for most, size in zip(WORD_SIZE, image.shape[1::-1])))
    shown = np.ascontiguousarray(image if image.ndim == 2 else image[..., ::-1])
    if scale < 1:
        size = [max(1, round(scale * n)) for n in image.shape[1::-1]]
        shown = cv2.resize(shown, size, interpolation=cv2.INTER_AREA)
    _, content = cv2.imencode('.jpg', shown, [cv2.IMWRITE_JPEG_QUALITY, 88])
    return _data_uri(content.tobytes(), 'jpeg')


def _data_uri(content: bytes, kind: str) -> str:
    return f'data:image/{kind};base64,{base64.b64encode(content).decode("ascii")}'


def _texts(blocks: Sequence[Block]) -> list[str]:
    return [text for block in blocks if (text := _text(block))]


def _text(block: Block) -> str:
    if isinstance(block, Paragraph):
        return _line(block.text)
    if isinstance(block, Notes):
        return '\n'.join(f'* {_line(item)}' for item in block.items)
    if isinstance(block, Table):
        return markdown.table([[_line(cell) for cell in row] for row in block.rows])
    if isinstance(block, Command):
        return f'{block.what}:\n\n```bash\n{block.command}\n```'
    if isinstance(block, Sheet):
        return '\n'.join(f'* {heading} (on the page)' for heading in block.groups if heading)
    return ''


def _line(text: Text) -> str:
    return ''.join(
        markdown.literal(part) if isinstance(part, Literal) else part for part in parts(text)
    )
