"""The converter that writes rendered words as files."""

import json

import cv2
import pytest
from helpers import tools


@pytest.fixture
def convert(run_tool, tmp_path, monkeypatch):
    """``convert(*options)`` writes to a folder; returns it."""
    monkeypatch.syspath_prepend(tools.TOOLS / 'dataset_converters')

    def make(*options, name='out'):
        counts = '--num-images', 5, 2, 3
        run_tool(
            'dataset_converters/rendered_words', '--out-dir', tmp_path / name, *counts, *options
        )
        return tmp_path / name

    return make


def rows(folder, split):
    lines = (folder / f'{split}.tsv').read_text().splitlines()
    return [tuple(line.split('\t')) for line in lines]


def test_each_split_has_its_images_and_their_words(convert, tmp_path):
    (tmp_path / 'words.txt').write_text('alpha\nbeta\n')
    folder = convert('--lexicon', tmp_path / 'words.txt')
    pixels = set()
    for split, count in dict(train=5, val=2, test=3).items():
        assert len(rows(folder, split)) == count
        for path, text in rows(folder, split):
            pixels.add(cv2.imread(str(folder / path)).tobytes())
            assert text.isalnum()
    assert len(pixels) == 10  # no image twice
    assert json.loads((folder / 'complete.json').read_text())['num_images'] == [5, 2, 3]


def test_the_seed_decides_and_a_folder_that_is_complete_stays(convert, capsys):
    first, again, other = convert(), convert(name='again'), convert('--seed', 1, name='other')
    for split in ('train', 'val', 'test'):
        assert rows(first, split) == rows(again, split) != rows(other, split)
    (first / 'train.tsv').write_text('mine')
    convert()
    assert 'has these words already' in capsys.readouterr().out
    assert (first / 'train.tsv').read_text() == 'mine'
    with pytest.raises(ValueError, match='seed: 0 there, 1 requested'):
        convert('--seed', 1)


def test_counts_are_checked(convert):
    with pytest.raises(ValueError, match='--num-images of val must be'):
        convert('--num-images', 5, 0, 3)
