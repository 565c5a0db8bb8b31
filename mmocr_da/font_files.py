"""Font files: where they are, and which characters they have."""

from collections.abc import Iterable
from importlib.metadata import entry_points
from os import PathLike
from pathlib import Path

FONT_SUFFIXES = ('.otf', '.ttf')
#: TeX's symbol fonts have other signs, or old-style figures, at the code points of the digits; the
#: last one has a box with the name of the script for every character.
SYMBOL_FONTS = ('cmex10', 'cmmi10', 'cmsy10', 'LastResortHE-Regular')


def font_files(folder: str | PathLike[str] | None = None) -> list[Path]:
    """List the font files below ``folder``, or else the fonts of installed Python packages.

    These are matplotlib's and those of the packages ``font-*``.

    Raises:
        ValueError: If the folder has none.
    """
    if folder is not None:
        found = [path for path in Path(folder).rglob('*') if path.suffix.lower() in FONT_SUFFIXES]
        if not found:
            raise ValueError(
                f'a folder of fonts needs files {", ".join(FONT_SUFFIXES)}, got none below '
                f'{folder}; leave the option out to use the fonts of installed packages'
            )
        return sorted(found)
    import matplotlib

    found = list((Path(matplotlib.get_data_path()) / 'fonts' / 'ttf').glob('*.ttf'))
    for group in ('fonts_ttf', 'fonts_otf'):  # entry points of the packages font-*
        for entry in entry_points(group=group):
            found += map(Path, entry.load().values())
    # By name, not by path, so that the order does not depend on where Python is installed.
    return sorted(found, key=lambda path: path.name)


def covered(file: str | PathLike[str], characters: Iterable[str]) -> set[str]:
    """Return the characters that a font file has a glyph for.

    It is empty if the file is no font that matplotlib can draw.
    """
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(str(file))
        return {char for char in characters if font.get_char_index(ord(char))}
    except (OSError, RuntimeError):
        return set()
