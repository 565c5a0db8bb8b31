import argparse

import mmcv
import pytest
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mmocr_da.visualization import (
    add_picture_arguments,
    check_picture,
    report_picture,
    save_picture,
)


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
    assert vars(parser.parse_args([])) == dict(out='a.png', font=None, tensorboard=None)


def test_a_picture_is_shown_in_tensorboard_if_that_is_asked_for(tmp_path, capsys):
    out_file, logs = str(tmp_path / 'a.png'), tmp_path / 'logs'
    save_picture(Figure(figsize=(2, 1), facecolor='red'), out_file, 'plot')
    report_picture(argparse.Namespace(out=out_file, tensorboard=None), 'curves')
    assert not logs.exists() and capsys.readouterr().out == f'{out_file}\n'
    report_picture(argparse.Namespace(out=out_file, tensorboard=str(logs)), 'curves')
    events = EventAccumulator(str(logs)).Reload()
    (image,) = events.Images('curves')
    assert (image.width, image.height) == (240, 120)
    pixels = mmcv.imfrombytes(image.encoded_image_string, channel_order='rgb')
    assert (pixels == [255, 0, 0]).all()


@pytest.mark.parametrize(
    'picture, folder, message',
    [
        ('a.svg', 'logs', 'shows pictures that end in .png or .jpg or .jpeg, got .*a.svg'),
        ('a.png', 'file', '--tensorboard must be a folder, got the file .*file'),
    ],
)
def test_what_tensorboard_cannot_show_is_known_before(tmp_path, picture, folder, message):
    (tmp_path / 'file').touch()
    with pytest.raises(ValueError, match=message):
        check_picture(str(tmp_path / picture), 'plot', tensorboard=str(tmp_path / folder))
