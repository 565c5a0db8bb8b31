"""The record of which labels a run has seen."""

import json
from types import SimpleNamespace
from unittest.mock import MagicMock, patch

import pytest
from mmengine.dataset import BaseDataset, ConcatDataset, RepeatDataset
from torch.utils.data import Subset

from mmocr_da.datasets import LabelFraction, SeededDataset, TwoDomainDataset
from mmocr_da.registry import HOOKS


@pytest.fixture
def part(tmp_path):
    """``part(name, size, **kwargs)``: a part of a dataset with the images ``<name>0.png``, ..."""

    def make(name, size=10, **kwargs):
        (tmp_path / f'{name}.json').write_text(
            json.dumps(
                dict(
                    metainfo=dict(),
                    data_list=[
                        dict(img_path=f'{name}{i}.png', instances=[dict(text='a')])
                        for i in range(size)
                    ],
                )
            )
        )
        return LabelFraction(
            dict(
                type='mmocr.OCRDataset',
                ann_file=f'{tmp_path}/{name}.json',
                data_prefix=dict(img_path='img'),
                pipeline=[len],
            ),
            **kwargs,
        )

    return make


@pytest.fixture
def record(tmp_path):
    """``record(dataset, iteration)``: starts a run there; returns its files and its warnings."""

    def start(dataset, iteration=0):
        runner = SimpleNamespace(
            work_dir=str(tmp_path),
            iter=iteration,
            logger=MagicMock(),
            train_loop=SimpleNamespace(dataloader=MagicMock(dataset=dataset)),
        )
        HOOKS.build(dict(type='mmocr_da.LabelSubsetHook')).before_train(runner)
        files = {path.name: path.read_text() for path in tmp_path.glob('*.txt')}
        return files, [call.args[0] for call in runner.logger.warning.call_args_list]

    return start


TEXT = '# fraction=0.2, seed=0: 2 of 10 images\nimg/a2.png\nimg/a8.png\n'


def test_each_image_is_a_line(part, record):
    assert record(part('a', fraction=0.2)) == ({'labelled_subset.txt': TEXT}, [])


def test_all_images_are_not_listed(part, record):
    assert record(part('a')) == (
        {'labelled_subset.txt': '# fraction=1.0, seed=0: 10 of 10 images\n'},
        [],
    )


@pytest.mark.parametrize(
    'wrap',
    [
        lambda dataset, other: SeededDataset([other, dataset]),
        lambda dataset, other: TwoDomainDataset(source=dataset, target=other),
        lambda dataset, other: ConcatDataset([other, dataset]),
        lambda dataset, other: RepeatDataset(dataset, 2),
        lambda dataset, other: Subset(RepeatDataset(dataset, 2), [0]),
    ],
    ids=['SeededDataset', 'TwoDomainDataset', 'ConcatDataset', 'RepeatDataset', 'nested'],
)
def test_it_is_found_inside_other_datasets(part, record, wrap):
    other = part('b').dataset
    other.pipeline = part('b').pipeline
    assert record(wrap(part('a', fraction=0.2), other))[0] == {'labelled_subset.txt': TEXT}


def test_several_are_numbered(part, record):
    files, _ = record(SeededDataset([part('a', fraction=0.2), part('b', 4, fraction=0.5, seed=1)]))
    assert files['labelled_subset_0.txt'] == TEXT
    header, *paths = files['labelled_subset_1.txt'].splitlines()
    assert header == '# fraction=0.5, seed=1: 2 of 4 images' and len(paths) == 2
    assert set(paths) < {f'img/b{i}.png' for i in range(4)} and len(files) == 2


def test_a_resumed_run_must_have_the_same(part, record):
    record(part('a', fraction=0.2))
    assert record(part('a', fraction=0.2), iteration=5)[0] == {'labelled_subset.txt': TEXT}
    for kwargs in (dict(fraction=0.3), dict(fraction=0.2, seed=1)):
        with pytest.raises(ValueError, match="'# fraction=0.2, seed=0: 2 of 10 images' there and"):
            record(part('a', **kwargs), iteration=5)
    with pytest.raises(ValueError, match="'img/a2.png' there and 'img/c2.png' here"):
        record(part('c', fraction=0.2), iteration=5)


def test_a_file_that_was_cut_off_is_another(part, record, tmp_path):
    (tmp_path / 'labelled_subset.txt').write_text(TEXT[:-11])
    with pytest.raises(ValueError, match="'another end' there"):
        record(part('a', fraction=0.2), iteration=5)


def test_a_new_run_and_one_resumed_without_a_file_write_it(part, record, tmp_path):
    record(part('a', fraction=0.5, seed=7))
    assert record(part('a', fraction=0.2))[0] == {'labelled_subset.txt': TEXT}
    (tmp_path / 'labelled_subset.txt').unlink()
    assert record(part('a', fraction=0.2), iteration=5)[0] == {'labelled_subset.txt': TEXT}


def test_data_without_a_part_are_a_warning(part, record):
    files, warnings = record(part('a').dataset)
    assert files == {} and len(warnings) == 1 and 'has nothing to record' in warnings[0]
    # Of any kind.
    assert record([1, 2])[0] == {} and isinstance(part('a').dataset, BaseDataset)


def test_only_the_first_rank_writes(part, record):
    with patch('mmengine.dist.utils.get_rank', return_value=1):
        assert record(part('a', fraction=0.2)) == ({}, [])
