"""Fonts are found in a fixed order, and only their own characters count."""

from pathlib import Path

import matplotlib
import pytest
from helpers.fonts import make_font

from mmocr_da.font_files import SYMBOL_FONTS, covered, font_files


def test_the_installed_fonts_are_in_the_order_of_their_names():
    names = [path.name for path in font_files()]
    assert names == sorted(names) and {'DejaVuSans.ttf', 'cmr10.ttf'} <= set(names)
    assert all(path.is_file() for path in font_files())
    assert set(SYMBOL_FONTS) - {'LastResortHE-Regular'} <= {Path(name).stem for name in names}


def test_a_folder_is_searched_at_any_depth(tmp_path):
    for name in ('b.ttf', 'a/c.OTF', 'a/d.txt'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b'')
    assert font_files(tmp_path) == [tmp_path / 'a/c.OTF', tmp_path / 'b.ttf']
    (tmp_path / 'none').mkdir()
    with pytest.raises(ValueError, match='needs files .otf, .ttf, got none below .*none'):
        font_files(tmp_path / 'none')


def test_a_font_has_the_characters_of_its_table(tmp_path):
    font = make_font(tmp_path / 'font.ttf', 'Some', 'ab\u0416')
    assert covered(font, 'abc\u0416\u4e2d') == {'a', 'b', '\u0416'}
    dejavu = Path(matplotlib.get_data_path(), 'fonts/ttf/DejaVuSans.ttf')
    assert covered(dejavu, 'a\u0416\u4e2d') == {'a', '\u0416'}
    (tmp_path / 'text.ttf').write_text('no font')
    assert covered(tmp_path / 'text.ttf', 'a') == set()
