"""Markdown of the pages and tables that tools write."""

from collections.abc import Sequence


def table(rows: Sequence[Sequence[str]]) -> str:
    r"""Lay out a table; the first row is its head. Columns are aligned for the terminal, too.

    >>> print(table([['name', 'CER'], ['a', '12.5']]))
    | name | CER  |
    |------|------|
    | a    | 12.5 |
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        '| ' + ' | '.join(cell.ljust(w) for cell, w in zip(row, widths)) + ' |' for row in rows
    ]
    lines.insert(1, '|' + '|'.join('-' * (w + 2) for w in widths) + '|')
    return '\n'.join(lines)


def literal(text: str) -> str:
    r"""Show a text of the data unchanged, also in a table.

    >>> print(literal('a|b'), literal('`'), literal(''))
    `a\|b` `` ` `` (empty)
    """
    if not text:
        return '(empty)'
    text = ' '.join(text.splitlines())
    fence = '`'
    while fence in text:
        fence += '`'
    pad = ' ' if len(fence) > 1 or text != text.strip() else ''
    return f'{fence}{pad}{text}{pad}{fence}'.replace('|', r'\|')
