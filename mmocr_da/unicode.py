"""Unicode normalization of texts: labels and metrics accept the same forms."""

import unicodedata

UNICODE_FORMS = ('NFC', 'NFD', 'NFKC', 'NFKD')


def check_unicode_form(form: str | None) -> None:
    """Raise a ValueError unless ``form`` is a Unicode normalization form or None."""
    if form not in (None, *UNICODE_FORMS):
        raise ValueError(
            f'unicode_form must be one of {", ".join(UNICODE_FORMS)} or None, got {form!r}'
        )


def to_unicode_form(text: str, form: str | None) -> str:
    """``text`` in a Unicode normalization form; unchanged if ``form`` is None.

    >>> to_unicode_form('e\\u0301', 'NFC') == '\\u00e9'
    True
    """
    return unicodedata.normalize(form, text) if form else text
