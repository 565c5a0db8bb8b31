"""Writes a figure to a file, with fonts for its texts, without overwriting files of the user."""

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
    """Check that a picture can be written, before it is computed.

    Args:
        out_file: The picture, PNG or another format that matplotlib writes.
        by: The writer; only files that it wrote before are replaced.
        inputs: Files that must not be overwritten.
        font: A font file or an installed family, if one is given.

    Raises:
        ValueError: If the format, the place or the font cannot be used.
    """
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
        figure: The figure. It should have a layout engine, because this function sets the fonts of
            its texts.
        out_file: PNG, or another format that matplotlib writes.
        by: The writer; only files that it wrote before are replaced.
        font: See :func:`~mmocr_da.visualization.fonts.font_families`.
    """
    check_picture(out_file, by)
    texts = figure.findobj(Text)
    families = font_families([text.get_text() for text in texts], font)
    for text in texts:
        text.set_fontfamily(families)
    with output_file(out_file, by) as path, warnings.catch_warnings():
        # font_families has warned of all of them.
        warnings.filterwarnings('ignore', 'Glyph .* missing from font')
        figure.savefig(path, dpi=120)
