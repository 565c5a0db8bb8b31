"""Texts of values in a config that is written."""

import textwrap
from collections.abc import Mapping
from typing import Any

#: Dicts that are longer have a line for each item.
WIDTH = 76


def literal(value: Any) -> str:
    """The text of a value in a config, ``dict(...)`` where possible.

    >>> literal(dict(a=[1, dict(b='x')]))
    "dict(a=[1, dict(b='x')])"
    """
    if isinstance(value, Mapping):
        items = {key: literal(item) for key, item in value.items()}
        if all(isinstance(key, str) and key.isidentifier() for key in items):
            return call(items)
        return '{' + ', '.join(f'{key!r}: {item}' for key, item in items.items()) + '}'
    if isinstance(value, list):
        return f'[{", ".join(map(literal, value))}]'
    if isinstance(value, tuple):
        return f'({", ".join(map(literal, value))}{"," * (len(value) == 1)})'
    return repr(value)


def call(items: Mapping[str, str], first: str = '') -> str:
    """The text of a dict with expressions as its values, on several lines if it is long.

    >>> call(dict(a='1', b='c'), '_base_.d')
    'dict(_base_.d, a=1, b=c)'
    """
    parts = [first] * bool(first) + [f'{key}={item}' for key, item in items.items()]
    line = f'dict({", ".join(parts)})'
    if len(line) <= WIDTH:
        return line
    lines = ''.join(f'{part},\n' for part in parts)
    return f'dict(\n{textwrap.indent(lines, "    ")})'


def indented(text: str, levels: int) -> str:
    """A text within brackets of a config: all but its first line are indented."""
    return text.replace('\n', '\n' + '    ' * levels)
