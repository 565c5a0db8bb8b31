"""Characters of any script get an installed font, or a warning that there is none."""

import matplotlib
import numpy as np
import pytest
from helpers.fonts import make_font
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager

from mmocr_da.visualization import fonts, save_picture

KOREAN, HINDI = '\ud55c\uae00', '\u0939\u093f'


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Fonts that are new to matplotlib, by their family."""
    files = {
        family: make_font(tmp_path / f'{family}.ttf', family, characters)
        for family, characters in (('Some', KOREAN[:1]), ('Both', KOREAN), ('Third', HINDI))
    }
    monkeypatch.setattr(fonts, 'findSystemFonts', lambda: list(files.values()))
    monkeypatch.setattr(fontManager, 'ttflist', list(fontManager.ttflist))
    # Its answers are kept.
    yield files
    fontManager._findfont_cached.cache_clear()


@pytest.fixture
def warned(monkeypatch):
    lines = []
    monkeypatch.setattr(fonts, 'print_log', lambda line, *_: lines.append(line))
    return lines


def test_matplotlibs_own_font_comes_first_and_the_fewest_others_as_needed(installed, warned):
    assert fonts.font_families(['abc\n \u0416', '\u2713\u2717']) == ['DejaVu Sans']
    assert fonts.font_families(['a', KOREAN]) == ['DejaVu Sans', 'Both']
    assert fonts.font_families([KOREAN, HINDI, 'b']) == ['DejaVu Sans', 'Both', 'Third']
    assert not warned


def test_what_no_font_has_is_said_in_one_line(installed, warned):
    assert fonts.font_families(['\u4e2d' + KOREAN]) == ['DejaVu Sans', 'Both']
    assert fonts.font_families(''.join(map(chr, range(0x4E00, 0x4E08)))) == ['DejaVu Sans']
    assert len(warned) == 2
    assert warned[0].startswith('No font for \u4e2d (U+4E2D): boxes are drawn instead.')
    assert '(U+4E04) and 3 more: ' in warned[1] and '--font' in warned[1]


def test_the_last_resort_is_no_font():
    """It has the same glyph for every character."""
    assert not any('LastResort' in file for file in fonts._installed_files())


def test_a_font_that_is_asked_for_comes_first(installed, warned):
    for font in ('Some', installed['Some']):
        assert fonts.font_families(['a', KOREAN], font) == ['Some', 'DejaVu Sans', 'Both']


def test_what_is_no_font_is_an_error(installed, tmp_path):
    (tmp_path / 'text.ttf').write_text('no font')
    with pytest.raises(ValueError, match='must be a TrueType or OpenType file, got .*text.ttf'):
        fonts.check_font(str(tmp_path / 'text.ttf'))
    with pytest.raises(
        ValueError, match="must be a font file or .* family, got 'No such', which is neither"
    ):
        fonts.check_font('No such')


def test_one_font_for_as_much_as_possible(installed, warned):
    assert fonts.font_file(['abc']) is None
    assert fonts.font_file([KOREAN]) == installed['Both']
    assert not warned
    assert fonts.font_file([KOREAN, 'a']) == installed['Both']
    assert warned == [line for line in warned if line.startswith('No font for a (U+0061)')] != []
    assert fonts.font_file(['a'], 'Both') == fonts.font_file(['a'], installed['Both'])
    assert warned[1:] == 2 * warned[:1]
    # Most of the text is Latin: then matplotlib's own.
    assert fonts.font_file(['abcdef', KOREAN]) is None


def ink(path):
    return float((np.asarray(matplotlib.image.imread(path))[..., :3] < 0.5).mean())


def test_the_texts_of_a_picture_are_drawn_with_it(installed, tmp_path):
    figure = Figure(figsize=(2, 1))
    figure.text(0.1, 0.2, KOREAN, fontsize=40)
    save_picture(figure, str(tmp_path / 'with.png'), 'test')
    files = [findfont(FontProperties(family=family)) for family in figure.texts[0].get_fontfamily()]
    assert installed['Both'] in files
    assert ink(tmp_path / 'with.png') > 0.2  # two full squares


def test_a_picture_without_a_font_for_it_is_drawn_with_boxes(warned, tmp_path, recwarn):
    figure = Figure(figsize=(2, 1))
    figure.text(0.1, 0.2, '\U0010fffd', fontsize=40)
    figure.text(0.1, 0.2, KOREAN[0], fontsize=40)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fonts, '_installed_files', lambda: [])
        save_picture(figure, str(tmp_path / 'a.png'), 'test')
    # Of private use and unassigned: nobody expects a glyph.
    assert [line.split(':')[0] for line in warned] == ['No font for \ud55c (U+D55C)']
    assert not [w for w in recwarn if 'Glyph' in str(w.message)]
