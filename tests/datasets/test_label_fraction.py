"""A fixed part of the labels, alone and inside other datasets."""
import json

import cv2
import numpy as np
import pytest
from mmengine.registry import DATASETS

import mmocr_da.datasets  # noqa: F401
from mmocr_da.datasets import LabelFraction, SeededDataset, TwoDomainDataset

SIZE = 40
PIPELINE = [
    dict(type='mmocr.LoadImageFromFile'), dict(type='mmocr.LoadOCRAnnotations', with_text=True),
    dict(type='mmocr.PackTextRecogInputs', meta_keys=('img_path', ))
]


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp('words')
    for i in range(SIZE):
        cv2.imwrite(str(root / f'{i}.png'), np.full((4, 6, 3), i, np.uint8))
    (root / 'words.json').write_text(json.dumps(dict(metainfo=dict(a=1), data_list=[
        dict(img_path=f'{i}.png', instances=[dict(text=str(i))]) for i in range(SIZE)])))
    (root / 'none.json').write_text(json.dumps(dict(metainfo=dict(), data_list=[])))
    return root


def labelled(root, pipeline=None, **kwargs):
    return dict(type='mmocr.OCRDataset', data_root=str(root), ann_file='words.json',
                pipeline=pipeline, **kwargs)


def make(root, pipeline=PIPELINE, **kwargs):
    return DATASETS.build(dict(type='mmocr_da.LabelFraction', dataset=labelled(root),
                               pipeline=pipeline, **kwargs))


def texts(dataset):
    return [dataset[i]['data_samples'].gt_text.item for i in range(len(dataset))]


@pytest.mark.parametrize('fraction, count', [(0.05, 2), (0.1, 4), (0.5, 20), (1.0, 40), (1e-9, 1)])
def test_so_many_in_their_order(root, fraction, count):
    dataset = make(root, fraction=fraction)
    numbers = [int(t) for t in texts(dataset)]
    assert len(dataset) == len(numbers) == count and dataset.total == SIZE
    assert numbers == sorted(set(numbers)) == [i for i, _ in dataset.selected]
    assert [path for _, path in dataset.selected] == [str(root / f'{i}.png') for i in numbers]
    assert [dataset.get_data_info(i)['instances'][0]['text'] for i in range(count)] == [
        str(n) for n in numbers]
    assert dataset.metainfo['a'] == 1


def test_parts_of_a_seed_are_nested_and_fixed(root):
    np.random.seed(1)
    small, large, same, other = (
        set(texts(make(root, fraction=f, seed=s))) for f, s in ((.1, 3), (.5, 3), (.1, 3), (.1, 4)))
    assert small < large and small == same != other
    # Of what was drawn with one seed, on any machine: a change would change published numbers.
    assert sorted(map(int, texts(make(root, fraction=0.1)))) == sorted(
        np.random.default_rng(0).permutation(SIZE)[:4].tolist())


@pytest.mark.parametrize('serialize', [True, False])
def test_other_datasets_take_it(root, serialize):
    part = dict(type='mmocr_da.LabelFraction', fraction=0.2,
                dataset=labelled(root, serialize_data=serialize))
    alone = SeededDataset(part, pipeline=PIPELINE)
    assert texts(alone) == texts(make(root, fraction=0.2)) and len(alone) == 8
    both = TwoDomainDataset(source=part, target=labelled(root), pipeline=PIPELINE)
    assert both.domain_sizes == (8, SIZE)
    assert texts(both)[:8] == texts(alone) and set(texts(both)[8:]) == {''}


def test_a_broken_image_of_the_part_is_replaced_by_one_of_the_part(root, tmp_path):
    for i in range(SIZE):
        (tmp_path / f'{i}.png').write_bytes((root / f'{i}.png').read_bytes())
    (tmp_path / 'words.json').write_text((root / 'words.json').read_text())
    dataset = SeededDataset(dict(type='mmocr_da.LabelFraction', fraction=0.1,
                                 dataset=labelled(tmp_path)), pipeline=PIPELINE)
    before = texts(dataset)
    (tmp_path / f'{before[1]}.png').write_bytes(b'no image')
    assert texts(dataset) == [before[0], before[2], before[2], before[3]]
    assert 'skipped_images' in dataset[1]['data_samples']


def test_the_pipeline_of_the_dataset_is_used_unless_there_is_another(root):
    inner = labelled(root, pipeline=PIPELINE)
    dataset = LabelFraction(inner, fraction=0.1)
    assert texts(dataset) == texts(make(root, fraction=0.1))
    other = LabelFraction(inner, fraction=0.1, pipeline=PIPELINE[:1])
    assert 'img' in other[0] and 'data_samples' not in other[0]


def test_an_lmdb_is_read_by_the_dataset_that_it_belongs_to(root, tmp_path):
    import lmdb
    with lmdb.open(str(tmp_path / 'db'), map_size=2**20) as environment, \
            environment.begin(write=True) as transaction:
        transaction.put(b'num-samples', b'10')
        for i in range(10):
            transaction.put(f'image-{i + 1:09d}'.encode(), (root / f'{i}.png').read_bytes())
            transaction.put(f'label-{i + 1:09d}'.encode(), str(i).encode())
    pack = [*PIPELINE[1:2], dict(type='mmocr.PackTextRecogInputs', meta_keys=())]
    dataset = LabelFraction(dict(type='mmocr.RecogLMDBDataset', ann_file=str(tmp_path / 'db'),
                                 pipeline=pack), fraction=0.3)
    assert len(dataset) == 3
    assert texts(dataset) == [str(i) for i, _ in dataset.selected]
    assert [int(dataset[i]['inputs'].float().mean()) for i in range(3)] == [
        i for i, _ in dataset.selected]


@pytest.mark.parametrize('fraction', [0, -0.1, 1.5, 5, True, '5 %'])
def test_a_wrong_fraction(root, fraction):
    with pytest.raises(ValueError, match='above 0 and at most 1'):
        make(root, fraction=fraction)


def test_an_empty_dataset(root):
    with pytest.raises(ValueError, match='empty OCRDataset'):
        LabelFraction(dict(labelled(root, serialize_data=False), ann_file='none.json'))
