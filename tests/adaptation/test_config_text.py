"""The texts of a config are values again when they are read."""

import pytest

from mmocr_da.adaptation.config_text import call, literal


@pytest.mark.parametrize('value', [dict(a=[1, (2,)]), {'a b': None}, ['x', dict(c=dict(d="e'f"))]])
def test_a_literal_is_the_value(value):
    assert eval(literal(value)) == value


def test_a_long_dict_has_a_line_for_each_item():
    items = {f'key_{i}': repr('x' * 20) for i in range(4)}
    text = call(items, 'dict(a=1)')
    assert text.count('\n') == len(items) + 2
    assert eval(text) == dict(a=1, **{key: 'x' * 20 for key in items})
