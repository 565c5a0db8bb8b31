"""Unicode normalization of texts: labels and metrics accept the same forms."""

import unicodedata
from typing import Literal, get_args

UnicodeForm = Literal['NFC', 'NFD', 'NFKC', 'NFKD']
UNICODE_FORMS: tuple[str, ...] = get_args(UnicodeForm)


def check_unicode_form(form: str | None) -> None:
    """Raise a ValueError unless ``form`` is a Unicode normalization form or None."""
    if form not in (None, *UNICODE_FORMS):
        raise ValueError(
            f'unicode_form must be one of {", ".join(UNICODE_FORMS)} or None, got {form!r}'
        )


def to_unicode_form(text: str, form: UnicodeForm | None) -> str:
    """Convert ``text`` to a Unicode normalization form; None leaves it unchanged.

    >>> to_unicode_form('e\\u0301', 'NFC') == '\\u00e9'
    True
    """
    return unicodedata.normalize(form, text) if form else text


def named_character(char: str) -> str:
    """Name a character for a message, also one that cannot be seen.

    >>> named_character('\\u00e9')
    "'\u00e9' (U+00E9)"
    """
    return f'{char!r} (U+{ord(char):04X})'
