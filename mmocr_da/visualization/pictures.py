"""Write a figure to a file: with fonts for its texts, and never over something that was given."""

import warnings
from argparse import ArgumentParser
from collections.abc import Iterable
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from mmocr_da.outputs import check_outputs, output_file

from .fonts import check_font, font_families


def add_picture_arguments(parser: ArgumentParser, default: str) -> None:
    """Add ``--out`` and ``--font`` to the arguments of a tool."""
    parser.add_argument('--out', default=default, help='Picture to write, PNG or as its name ends')
    parser.add_argument(
        '--font',
        help='Font file, or name of an installed family, for the texts; '
        'default: installed ones that have the characters',
    )


def check_picture(
    out_file: str, by: str, inputs: Iterable[str] = (), font: str | None = None
) -> None:
    """Raise a ValueError if the picture could not be written in the end; see check_outputs."""
    formats = FigureCanvasAgg.get_supported_filetypes()
    if Path(out_file).suffix[1:].lower() not in formats:
        raise ValueError(
            f'the picture must be a file that ends in one of {", ".join(formats)}, got {out_file}'
        )
    check_outputs([out_file], by, inputs)
    if font:
        check_font(font)


def save_picture(figure: Figure, out_file: str, by: str, font: str | None = None) -> None:
    """Write a figure.

    Args:
        figure: What to draw; its layout should be by a layout engine, as texts get their fonts
            here.
        out_file: PNG, or another format that matplotlib writes.
        by: The writer. What it wrote before is replaced, any other file is an error.
        font: See :func:`~mmocr_da.visualization.fonts.font_families`.
    """
    check_picture(out_file, by)
    texts = figure.findobj(Text)
    families = font_families([text.get_text() for text in texts], font)
    for text in texts:
        text.set_fontfamily(families)
    with output_file(out_file, by) as path, warnings.catch_warnings():
        # One line has named them all.
        warnings.filterwarnings('ignore', 'Glyph .* missing from font')
        figure.savefig(path, dpi=120)
