import argparse

import pytest
from matplotlib.figure import Figure

from mmocr_da.visualization import add_picture_arguments, check_picture, save_picture


def test_a_picture_replaces_its_own_earlier_one_only(tmp_path):
    out_file = str(tmp_path / 'new/a.png')
    for _ in range(2):
        save_picture(Figure(), out_file, 'plot')
    before = (tmp_path / 'new/a.png').read_bytes()
    with pytest.raises(ValueError, match='a.png exists and was not written by other plot'):
        save_picture(Figure(), out_file, 'other plot')
    assert (tmp_path / 'new/a.png').read_bytes() == before


@pytest.mark.parametrize(
    'name, message',
    [
        ('sheet', 'must be a file that ends in one of .*png.*, got .*sheet'),
        ('model.pth', 'got .*model.pth'),
        ('given.png', 'is an input'),
        ('foreign.png', 'was not written by plot'),
    ],
)
def test_what_cannot_be_written_is_known_before(tmp_path, name, message):
    for given in ('given.png', 'foreign.png'):
        (tmp_path / given).touch()
    with pytest.raises(ValueError, match=message):
        check_picture(str(tmp_path / name), 'plot', [str(tmp_path / 'given.png')])


def test_a_font_is_checked_before(tmp_path):
    with pytest.raises(ValueError, match="got 'none', which is neither"):
        check_picture(str(tmp_path / 'a.svg'), 'plot', font='none')
    check_picture(str(tmp_path / 'a.SVG'), 'plot', font='DejaVu Serif')


def test_the_arguments_of_a_tool():
    parser = argparse.ArgumentParser()
    add_picture_arguments(parser, 'a.png')
    assert vars(parser.parse_args([])) == dict(out='a.png', font=None)
