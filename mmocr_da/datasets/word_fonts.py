"""Which fonts draw which characters of rendered words."""

import logging
import os
import os.path as osp
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

from mmengine.logging import print_log
from PIL import ImageFont, features

from mmocr_da.arguments import some
from mmocr_da.font_files import SYMBOL_FONTS, covered, font_files
from mmocr_da.unicode import named_character

#: TeX's text fonts have other signs at the code points of some punctuation marks.
TEX_FONTS = ('cmb10', 'cmr10', 'cmss10', 'cmti10', 'cmtt10')

#: Font files that have the same characters: these, and the files.
FontGroup = tuple[frozenset[str], list[str]]


def group_fonts(files: Iterable[str], characters: set[str]) -> list[FontGroup]:
    """Group font files by which of the characters they draw.

    Fonts that cannot be loaded are named in the log and skipped; of equal fonts the first is kept.

    Raises:
        ValueError: If no font draws any of the characters.
    """
    groups: dict[frozenset[str], list[str]] = {}
    names, broken, number = set(), [], 0
    for number, file in enumerate(files, 1):
        try:
            name = ImageFont.truetype(file, 16).getname()
            has = drawn_by(file, frozenset(characters)) if name not in names else None
        except (OSError, ValueError) as error:
            broken.append(f'{file} ({error})')
            continue
        names.add(name)
        if has:
            groups.setdefault(has, []).append(file)
    if broken:
        print_log(
            f'{len(broken)} of {number} fonts cannot be loaded and are skipped: {some(broken)}',
            'current',
            logging.WARNING,
        )
    if not groups:
        raise ValueError(
            f'fonts must have some of the characters {some(sorted(characters), 10)}, got '
            f'{number - len(broken)} fonts without any of them'
        )
    return list(groups.items())


@lru_cache(1024)
def drawn_by(file: str, characters: frozenset[str]) -> frozenset[str]:
    """Return the characters that a font has, and does not draw as nothing or as a missing one."""
    font = ImageFont.truetype(file, 32)
    missing = bytes(font.getmask('\U0010fffe'))

    def visible(char: str) -> bool:
        ink = font.getmask(char)
        return ink.getbbox() is not None and bytes(ink) != missing

    has = covered(file, characters)
    return frozenset(char for char in has if char.isspace() or visible(char))


def listed_fonts(fonts: str | Sequence[str] | None) -> list[str]:
    """Return font files: those given, of folders all; None stands for those of installed packages.

    Raises:
        ValueError: If a file or folder does not exist.
    """
    if fonts is None:
        files = font_files()
        return [str(path) for path in files if path.stem not in SYMBOL_FONTS + TEX_FONTS]
    listed: list[str] = []
    for font in [fonts] if isinstance(fonts, (str, os.PathLike)) else fonts:
        if not osp.exists(font):
            raise ValueError(f'fonts must be existing files or folders, got {os.fspath(font)!r}')
        listed += map(str, font_files(font)) if osp.isdir(font) else [os.fspath(font)]
    return listed


def warn_of_layout(characters: Iterable[str]) -> None:
    """Warn if words need a layout that Pillow has only with libraqm."""
    complex_ = [
        char
        for char in sorted(characters)
        if unicodedata.bidirectional(char) in ('R', 'AL') or unicodedata.category(char) == 'Mc'
    ]
    if complex_ and not features.check('raqm'):
        print_log(
            'Pillow has no libraqm, which scripts like the one of '
            f'{named_character(complex_[0])} need: words are drawn without joined characters, from '
            'left to right',
            'current',
            logging.WARNING,
        )
