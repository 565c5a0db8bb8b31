"""Each image of a folder is found once, in a fixed order; skipped files are counted."""

import os
from collections import Counter

import cv2
import numpy as np
import pytest

from mmocr_da.datasets.image_files import IMAGE_SUFFIXES, describe, find_images, read_text

NAMES = ('a/1.png', 'a/2.JPG', 'b/3.png')


@pytest.fixture
def folder(tmp_path):
    for name in NAMES:
        path = tmp_path / 'root' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'')
    return tmp_path / 'root'


def found(*folders):
    paths, left_out = find_images([str(folder) for folder in folders])
    return [os.path.relpath(path, folders[0]) for path in paths], left_out


def test_links_that_form_a_loop_add_nothing(folder):
    (folder / 'a' / 'up').symlink_to(folder, target_is_directory=True)
    (folder / 'b' / 'self').symlink_to(folder / 'b', target_is_directory=True)
    (folder / 'parent').symlink_to(folder.parent, target_is_directory=True)
    assert found(folder) == (list(NAMES), {'links to files that are listed already': 3})


@pytest.mark.parametrize('link, target', [('b/0', 'a'), ('0', 'b'), ('a/0.png', 'b/3.png')])
def test_a_file_that_a_link_names_too_is_listed_by_its_own_path(folder, link, target):
    (folder / link).symlink_to(folder / target)
    assert found(folder)[0] == list(NAMES)


def test_links_to_other_folders_and_files_are_followed(folder, tmp_path):
    (tmp_path / 'out').mkdir()
    for name in ('4.png', '5.png'):
        (tmp_path / 'out' / name).write_bytes(b'')
    (folder / 'c').symlink_to(tmp_path / 'out', target_is_directory=True)
    (folder / 'd').symlink_to(tmp_path / 'out', target_is_directory=True)
    (folder / 'e.png').symlink_to(tmp_path / 'out' / '5.png')
    assert found(folder)[0] == [*NAMES, 'c/4.png', 'c/5.png']
    (folder / 'a.png').symlink_to(tmp_path / 'out' / '5.png')
    assert found(folder)[0] == ['a.png', *NAMES, 'c/4.png']
    assert found(folder / 'c')[0] == ['4.png', '5.png']  # the folder itself may be a link


def test_a_link_to_nowhere_stays_for_reading_to_name(folder):
    (folder / 'z.png').symlink_to(folder / 'nowhere.png')
    assert found(folder)[0] == [*NAMES, 'z.png']


def test_several_folders_are_one_list(folder):
    assert found(folder / 'b', folder / 'a', folder)[0] == ['../a/1.png', '../a/2.JPG', '3.png']


def test_thumbnails_of_hidden_folders_are_left_out(folder):
    for name in ('.thumbnails', '@eaDir', '__MACOSX', '.ipynb_checkpoints'):
        (folder / name).mkdir()
        (folder / name / 'x.png').write_bytes(b'')
    (folder / 'a' / '._1.png').write_bytes(b'')
    assert found(folder) == (list(NAMES), {'hidden files or folders': 5})


def test_other_files_are_counted_by_suffix(folder):
    for name in ('x.heic', 'y.HEIC', 'labels.txt', 'README'):
        (folder / name).write_bytes(b'')
    left_out = found(folder)[1]
    assert left_out == {'.heic': 2, '.txt': 1, 'no suffix': 1}
    assert describe(left_out) == '2 .heic, 1 no suffix, 1 .txt'
    assert describe(Counter('abcc'), shown=1) == '2 c, ...'


@pytest.mark.parametrize('suffix', sorted(set(IMAGE_SUFFIXES) - {'.jfif', '.ras', '.sr', '.pbm'}))
def test_opencv_reads_every_suffix(suffix):
    image = np.full((64, 64) if suffix == '.pgm' else (64, 64, 3), 100, np.uint8)
    content = cv2.imencode(suffix, image)[1]
    assert abs(int(cv2.imdecode(content, cv2.IMREAD_GRAYSCALE).mean()) - 100) < 3


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16'])
def test_texts_are_read_in_the_usual_encodings(tmp_path, encoding):
    path = tmp_path / 'list.txt'
    path.write_text('größe.png\n', encoding=encoding)
    assert read_text(str(path)) == 'größe.png\n'


@pytest.mark.parametrize(
    'encoding, message', [('cp1252', 'other bytes in line 2'), ('utf-16-le', 'zero bytes')]
)
def test_other_encodings_are_named(tmp_path, encoding, message):
    path = tmp_path / 'list.txt'
    path.write_text('a.png\ngröße.png\n', encoding=encoding)
    with pytest.raises(ValueError, match=f'list.txt must be a text file in UTF-8, got {message}'):
        read_text(str(path))
