import pytest

from mmocr_da.markdown import literal, table


def test_all_lines_of_a_table_have_one_width_and_all_cells():
    lines = table([['a', 'long head'], ['a long cell', 'b'], ['', 'c']]).splitlines()
    assert len({*map(len, lines)}) == 1 and len(lines) == 4
    assert [c.strip() for c in lines[2].split('|')] == ['', 'a long cell', 'b', '']


def test_rows_of_different_lengths_are_an_error():
    with pytest.raises(ValueError):
        table([['a', 'b'], ['c']])


@pytest.mark.parametrize(
    'text, expected',
    [
        ('word', '`word`'),
        ('', '(empty)'),
        ('a|b', r'`a\|b`'),
        ('a`b', '`` a`b ``'),
        ('``', '``` `` ```'),
        (' a', '`  a `'),
        ('*a*', '`*a*`'),
        ('a\nb', '`a b`'),
    ],
)
def test_a_text_is_shown_as_it_is(text, expected):
    assert literal(text) == expected
