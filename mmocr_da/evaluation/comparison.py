"""Options of command lines: what does not count where texts are compared."""

import argparse
from typing import Any

from mmocr_da.unicode import UNICODE_FORMS


def add_comparison_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of which :func:`comparison_options` reads the values."""
    parser.add_argument('--ignore-case', action='store_true', help='Letter case does not count')
    parser.add_argument(
        '--ignore-symbols', action='store_true', help='Letters, digits and marks alone count'
    )
    parser.add_argument(
        '--unicode-form',
        choices=UNICODE_FORMS,
        help='Form in which texts are compared: labels may have accents as marks of their own '
        '(default: as they are)',
    )


def comparison_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the options of :func:`~mmocr_da.evaluation.normalize` from a command line.

    >>> parser = argparse.ArgumentParser()
    >>> add_comparison_arguments(parser)
    >>> comparison_options(parser.parse_args(['--ignore-case', '--unicode-form', 'NFC']))
    {'ignore_case': True, 'ignore_symbols': False, 'unicode_form': 'NFC'}
    """
    return {name: getattr(args, name) for name in ('ignore_case', 'ignore_symbols', 'unicode_form')}
