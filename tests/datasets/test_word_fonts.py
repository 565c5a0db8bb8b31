"""Which fonts draw which characters."""

from pathlib import Path

import pytest
from helpers.fonts import make_font

from mmocr_da.datasets import word_fonts
from mmocr_da.datasets.word_fonts import group_fonts, listed_fonts, warn_of_layout


@pytest.fixture
def logged(monkeypatch):
    lines = []
    monkeypatch.setattr(word_fonts, 'print_log', lambda line, *_, **__: lines.append(line))
    return lines


@pytest.fixture
def fonts(tmp_path):
    return {
        name: make_font(tmp_path / f'{name}.ttf', name, characters)
        for name, characters in dict(one='ab', two='ab', three='bc').items()
    }


def test_fonts_of_the_same_characters_are_one_group(fonts):
    groups = dict(group_fonts(fonts.values(), set('abcd')))
    assert groups == {
        frozenset('ab'): [fonts['one'], fonts['two']],
        frozenset('bc'): [fonts['three']],
    }
    assert group_fonts(fonts.values(), {'c'}) == [(frozenset('c'), [fonts['three']])]


def test_fonts_that_cannot_be_loaded_are_named_and_skipped(tmp_path, logged):
    (tmp_path / 'broken.ttf').write_text('no font')
    make_font(tmp_path / 'font.ttf', 'Some', 'ab')
    make_font(tmp_path / 'same.ttf', 'Some', 'ab')
    groups = group_fonts(listed_fonts(str(tmp_path)), set('ab'))
    assert [files for _, files in groups] == [[str(tmp_path / 'font.ttf')]]
    assert logged[-1].startswith('1 of 3 fonts cannot be loaded and are skipped: ')
    assert 'broken.ttf' in logged[-1]


def test_files_and_folders_can_be_mixed(fonts, tmp_path):
    (tmp_path / 'more').mkdir()
    more = make_font(tmp_path / 'more' / 'four.ttf', 'four', 'x')
    assert listed_fonts([fonts['one'], str(tmp_path / 'more')]) == [fonts['one'], more]
    with pytest.raises(ValueError, match='existing files or folders, got .*nothing.ttf'):
        listed_fonts(str(tmp_path / 'nothing.ttf'))


def test_installed_fonts_have_no_signs_of_tex():
    names = [Path(file).stem for file in listed_fonts(None)]
    assert len(names) > 20 and not any(name.startswith(('cm', 'LastResort')) for name in names)


def test_scripts_that_need_another_layout_are_warned_of_without_it(monkeypatch, logged):
    monkeypatch.setattr(word_fonts.features, 'check', lambda name: False)
    warn_of_layout('ab\u00e9')
    assert not logged
    warn_of_layout('a\u0639')
    assert "libraqm, which scripts like the one of '\u0639'" in logged[0]
