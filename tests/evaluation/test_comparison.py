"""Options of command lines that compare texts."""

import argparse
import unicodedata

import pytest

from mmocr_da.evaluation import normalize
from mmocr_da.evaluation.comparison import add_comparison_arguments, comparison_options


@pytest.fixture
def parser():
    parser = argparse.ArgumentParser()
    add_comparison_arguments(parser)
    return parser


def test_without_options_texts_are_compared_as_they_are(parser):
    options = comparison_options(parser.parse_args([]))
    text = unicodedata.normalize('NFD', 'Café!')
    assert normalize(text, **options) == text


@pytest.mark.parametrize(
    'given, compared',
    [
        (['--ignore-case'], unicodedata.normalize('NFD', 'café!')),
        (['--ignore-symbols'], unicodedata.normalize('NFD', 'Café')),
        (['--unicode-form', 'NFC'], 'Caf\u00e9!'),
    ],
)
def test_each_option_drops_one_difference(parser, given, compared):
    text = unicodedata.normalize('NFD', 'Café!')
    assert normalize(text, **comparison_options(parser.parse_args(given))) == compared


def test_an_unknown_form_is_an_error_of_the_command_line(parser, capsys):
    with pytest.raises(SystemExit):
        parser.parse_args(['--unicode-form', 'NFX'])
    assert "choose from 'NFC', 'NFD', 'NFKC', 'NFKD'" in capsys.readouterr().err.replace(
        'NFC, NFD, NFKC, NFKD', "'NFC', 'NFD', 'NFKC', 'NFKD'"
    )
