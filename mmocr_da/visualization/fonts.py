"""Finds fonts for the texts of a picture; matplotlib's default lacks many scripts."""

import logging
import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from matplotlib.font_manager import FontProperties, findfont, findSystemFonts, fontManager
from mmengine.logging import print_log

from mmocr_da.arguments import some
from mmocr_da.font_files import covered


def font_families(text: Sequence[str], font: str | None = None) -> list[str]:
    """Return font families that together have all characters, in order of preference.

    The first is ``font``, the next is matplotlib's default, then come installed fonts as needed. A
    warning names characters that no font has.

    Args:
        text: The texts that will be drawn, or one text.
        font: A font file, or the name of an installed family.

    Raises:
        ValueError: If ``font`` is neither.

    >>> font_families('a \u0436')
    ['DejaVu Sans']
    """
    chosen = [check_font(font)] if font else []
    files = [*(findfont(FontProperties(family=family)) for family in chosen), _default_file()]
    files += _add_fonts(_uncovered(text, files))
    _warn_of(_uncovered(text, files))
    return list(
        dict.fromkeys(
            [*chosen, *(FontProperties(fname=file).get_name() for file in files[len(chosen) :])]
        )
    )


def font_file(text: Sequence[str], font: str | None = None) -> str | None:
    """Return ``font`` as a file, or else the installed file with most of the characters.

    Returns None if no installed font has more of the characters than matplotlib's default.

    Raises:
        ValueError: If ``font`` is neither a font file nor the name of an installed family.
    """
    if font:
        file = font if os.path.isfile(font) else findfont(FontProperties(family=check_font(font)))
        _warn_of(_uncovered(text, [file]))
        return file
    default = _default_file()
    if not _uncovered(text, [default]):
        return None
    # Among equally good ones min() returns the first: matplotlib's default.
    best = min([default, *_installed_files()], key=lambda file: len(_uncovered(text, [file])))
    _warn_of(_uncovered(text, [best]))
    return None if best == default else best


def check_font(font: str) -> str:
    """Return the family name of a font file or of an installed font.

    Raises:
        ValueError: If ``font`` is neither.
    """
    if os.path.isfile(font):
        try:
            fontManager.addfont(font)
            return FontProperties(fname=font).get_name()
        except (OSError, RuntimeError) as error:
            raise ValueError(
                f'font must be a TrueType or OpenType file, got {font!r}, which is none ({error})'
            ) from error
    if font not in {entry.name for entry in fontManager.ttflist}:
        _add_new_fonts()
    try:
        findfont(FontProperties(family=font), fallback_to_default=False)
    except ValueError as error:
        raise ValueError(
            f'font must be a font file or the name of an installed family, got '
            f'{font!r}, which is neither'
        ) from error
    return font


def _add_new_fonts() -> None:
    """Add fonts that were installed after matplotlib made its list."""
    for file in {*findSystemFonts()} - {entry.fname for entry in fontManager.ttflist}:
        try:
            fontManager.addfont(file)
        except (OSError, RuntimeError):  # a format that it cannot draw
            continue


def _default_file() -> str:
    return findfont(FontProperties())


def _uncovered(text: Iterable[str], files: Sequence[str]) -> set[str]:
    """Characters that none of the font files has."""
    # Separators, control characters and marks of direction need no glyph.
    wanted = {char for part in text for char in part if unicodedata.category(char)[0] not in 'CZ'}
    for file in files:
        if wanted:
            wanted -= covered(file, wanted)
    return wanted


def _installed_files() -> Iterator[str]:
    files = {*(entry.fname for entry in fontManager.ttflist), *findSystemFonts()}
    # The font LastResort has a box with the name of the script for every character.
    return (file for file in sorted(files) if 'LastResort' not in os.path.basename(file))


def _add_fonts(missing: set[str]) -> list[str]:
    """Add installed font files until all characters are covered, as far as possible."""
    if not missing:
        return []
    has = {file: covered(file, missing) for file in _installed_files()}
    files = []
    while missing:
        best = max(has, key=lambda file: len(has[file] & missing), default=None)
        if best is None or not has[best] & missing:
            break
        files.append(best)
        missing = missing - has[best]
        fontManager.addfont(best)
    return files


def _warn_of(missing: set[str]) -> None:
    if missing:
        names = [f'{char} (U+{ord(char):04X})' for char in sorted(missing)]
        print_log(
            f'No font for {some(names)}: boxes are drawn instead. Install a '
            'font of this script, or pass a file by --font',
            'current',
            logging.WARNING,
        )
