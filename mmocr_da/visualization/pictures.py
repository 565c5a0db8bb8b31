"""Writes a figure to a file, with fonts for its texts, without overwriting files of the user."""

import io
import warnings
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import matplotlib
import mmcv
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from mmengine.visualization import TensorboardVisBackend

from mmocr_da.outputs import check_outputs, output_file

from .fonts import check_font, font_families

#: Formats that can be shown in TensorBoard.
SHOWN = ('.png', '.jpg', '.jpeg')


def add_picture_arguments(parser: ArgumentParser, default: str) -> None:
    """Add ``--out``, ``--font`` and ``--tensorboard`` to the arguments of a tool."""
    parser.add_argument('--out', default=default, help='Picture to write, PNG or as its name ends')
    parser.add_argument(
        '--font',
        help='Font file, or name of an installed family, for the texts; '
        'default: installed ones that have the characters',
    )
    parser.add_argument(
        '--tensorboard',
        metavar='DIR',
        help='Folder of TensorBoard logs, such as vis_data of a run, to show the picture in',
    )


def check_picture(
    out_file: str,
    by: str,
    inputs: Iterable[str] = (),
    font: str | None = None,
    tensorboard: str | None = None,
) -> None:
    """Check that a picture can be written, before it is computed.

    Args:
        out_file: The picture, PNG or another format that matplotlib writes.
        by: The writer; only files that it wrote before are replaced.
        inputs: Files that must not be overwritten.
        font: A font file or an installed family, if one is given.
        tensorboard: A folder for :func:`report_picture`, if one is given.

    Raises:
        ValueError: If the format, a place or the font cannot be used.
    """
    formats = FigureCanvasAgg.get_supported_filetypes()
    if Path(out_file).suffix[1:].lower() not in formats:
        raise ValueError(
            f'the picture must be a file that ends in one of {", ".join(formats)}, got {out_file}'
        )
    check_outputs([out_file], by, inputs)
    if font:
        check_font(font)
    if tensorboard is None:
        return
    if Path(out_file).suffix.lower() not in SHOWN:
        raise ValueError(
            f'TensorBoard shows pictures that end in {" or ".join(SHOWN)}, got {out_file}'
        )
    if Path(tensorboard).is_file():
        raise ValueError(f'--tensorboard must be a folder, got the file {tensorboard}')


def report_picture(args: Namespace, name: str) -> None:
    """Print where the picture of a tool is, and show it in TensorBoard if that is asked for.

    Args:
        args: Of :func:`add_picture_arguments`.
        name: Of the picture in TensorBoard.
    """
    if args.tensorboard is not None:
        backend = TensorboardVisBackend(args.tensorboard)
        backend.add_image(name, mmcv.imread(args.out, channel_order='rgb'))
        backend.close()
    print(args.out)


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
    with output_file(out_file, by) as path:
        _write(figure, path, path.suffix[1:], font)


def figure_bytes(figure: Figure, form: str = 'svg', font: str | None = None) -> bytes:
    """Return a figure as the content of a file; the same figure gives the same bytes.

    Args:
        figure: As for :func:`save_picture`.
        form: ``'svg'``, ``'png'`` or another format that matplotlib writes.
        font: As for :func:`save_picture`.
    """
    file = io.BytesIO()
    # Else the names of its parts and a date differ each time.
    with matplotlib.rc_context({'svg.hashsalt': 'mmocr_da'}):
        _write(figure, file, form, font, dict(Date=None) if form == 'svg' else {})
    return file.getvalue()


def _write(
    figure: Figure,
    file: Path | IO[bytes],
    form: str,
    font: str | None,
    metadata: dict[str, None] | None = None,
) -> None:
    texts = figure.findobj(Text)
    families = font_families([text.get_text() for text in texts], font)
    for text in texts:
        text.set_fontfamily(families)
    with warnings.catch_warnings():
        # font_families has warned of all of them.
        warnings.filterwarnings('ignore', 'Glyph .* missing from font')
        figure.savefig(file, format=form, dpi=120, metadata=metadata)
