"""Messages about options and lists, worded the same everywhere."""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from os import PathLike
from typing import Any

from mmengine.logging import print_log


def check_number(
    name: str,
    value: Any,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    why: str = '',
) -> None:
    """Raise a ValueError unless ``value`` is a finite number within the bounds.

    >>> check_number('threshold', 0.5, least=0, below=1)
    >>> check_number('weight', '0.5', least=0)
    Traceback (most recent call last):
        ...
    ValueError: weight must be a number of at least 0, got '0.5'
    """
    _check(name, value, Real, 'number', least, above, most, below, why)


def check_count(
    name: str, value: Any, least: int = 1, most: int | None = None, of: str = '', why: str = ''
) -> None:
    """Raise a ValueError unless ``value`` is an integer within the bounds.

    >>> check_count('warmup', 1.5, least=0, of='iterations')
    Traceback (most recent call last):
        ...
    ValueError: warmup must be an integer of at least 0 (iterations), got 1.5
    """
    _check(name, value, Integral, 'integer', least, None, most, None, why, f' ({of})' if of else '')


def check_flag(name: str, value: Any) -> None:
    """Raise a ValueError unless ``value`` is True or False.

    >>> check_flag('as_map', 'no')
    Traceback (most recent call last):
        ...
    ValueError: as_map must be True or False, got 'no'
    """
    if not isinstance(value, bool):
        raise ValueError(f'{name} must be True or False, got {value!r}')


def check_choice(name: str, value: Any, choices: Iterable[str]) -> None:
    """Raise a ValueError unless ``value`` is one of the texts.

    >>> check_choice('cell', 'rnn', ('gru', 'lstm'))
    Traceback (most recent call last):
        ...
    ValueError: cell must be one of gru, lstm, got 'rnn'
    """
    choices = list(choices)
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f'{name} must be one of {", ".join(choices)}, got {value!r}')


def check_text(name: str, value: Any, optional: bool = True) -> None:
    """Raise a ValueError unless ``value`` is a text or a path, or None if it is optional."""
    if not (isinstance(value, (str, PathLike)) or optional and value is None):
        raise ValueError(f'{name} must be a text{" or None" if optional else ""}, got {value!r}')


def check_config(name: str, value: Any) -> None:
    """Raise a ValueError unless ``value`` is a config, or None.

    >>> check_config('surrogate', 3)
    Traceback (most recent call last):
        ...
    ValueError: surrogate must be a config, such as dict(...), or None, got 3
    """
    if not (value is None or isinstance(value, Mapping)):
        raise ValueError(f'{name} must be a config, such as dict(...), or None, got {value!r}')


def check_list(name: str, value: Any, of: Any, what: str) -> None:
    """Raise a ValueError unless ``value`` is a list or tuple of this type.

    >>> check_list('objectives', dict(type='X'), dict, 'configs')
    Traceback (most recent call last):
        ...
    ValueError: objectives must be a list of configs, got {'type': 'X'}
    """
    if not isinstance(value, (list, tuple)):
        raise ValueError(f'{name} must be a list of {what}, got {value!r}')
    for item in value:  # which may be many, so one is named
        if not isinstance(item, of):
            raise ValueError(f'{name} must be a list of {what}, got {item!r} in it')


def check_numbers(name: str, value: Any, count: int | None = None, **bounds: Any) -> None:
    """Raise a ValueError unless ``value`` is a list of numbers within the bounds.

    Args:
        count: How many; None for one at least.
        bounds: See :func:`check_number`.

    >>> check_numbers('angles', [0, float('nan')])
    Traceback (most recent call last):
        ...
    ValueError: angles[1] must be a number that is finite, got nan
    """
    fits = isinstance(value, (list, tuple)) and (len(value) == count if count else len(value) > 0)
    if not fits:
        raise ValueError(
            f'{name} must be a list of {count or "one or more"} numbers, got {value!r}'
        )
    for i, number in enumerate(value):
        check_number(f'{name}[{i}]', number, **bounds)


def _check(
    name: str,
    value: Any,
    kind: type[Real] | type[Integral],
    noun: str,
    least: float | None,
    above: float | None,
    most: float | None,
    below: float | None,
    why: str,
    unit: str = '',
) -> None:
    # True and False are integers to Python, and never meant as such in a config.
    fits = isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value)
    if (
        fits
        and (least is None or value >= least)
        and (above is None or value > above)
        and (most is None or value <= most)
        and (below is None or value < below)
    ):
        return
    bounds = [
        f'{word} {bound:g}'
        for word, bound in (
            ('of at least', least),
            ('above', above),
            ('of at most', most),
            ('below', below),
        )
        if bound is not None
    ]
    article = 'an' if noun == 'integer' else 'a'
    raise ValueError(
        f'{name} must be {article} {noun} {" and ".join(bounds) or "that is finite"}'
        f'{unit}, got {value!r}{why and f": {why}"}'
    )


def warn_unused(name: str, value: Any, why: str) -> None:
    """Log a warning that an option of a config has no effect."""
    print_log(f'{name}={value!r} has no effect: {why}', logger='current', level=logging.WARNING)


def some(items: Sequence[Any], shown: int = 5) -> str:
    """Name the first items of a list and count the others.

    >>> some([1, 2, 3], shown=2)
    '1, 2 and 1 more'
    """
    more = f' and {len(items) - shown} more' if len(items) > shown else ''
    return (', '.join(map(str, items[:shown])) or 'nothing') + more
