"""A fixed subset of a labelled dataset, alone and inside other datasets."""

import json

import cv2
import numpy as np
import pytest
from mmengine.registry import DATASETS

import mmocr_da.datasets  # noqa: F401
from mmocr_da.datasets import LabelFraction, SeededDataset, TwoDomainDataset

SIZE = 40
PIPELINE = [
    dict(type='mmocr.LoadImageFromFile'),
    dict(type='mmocr.LoadOCRAnnotations', with_text=True),
    dict(type='mmocr.PackTextRecogInputs', meta_keys=('img_path',)),
]


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp('words')
    for i in range(SIZE):
        cv2.imwrite(str(root / f'{i}.png'), np.full((4, 6, 3), i, np.uint8))
    (root / 'words.json').write_text(
        json.dumps(
            dict(
                metainfo=dict(a=1),
                data_list=[
                    dict(img_path=f'{i}.png', instances=[dict(text=str(i))]) for i in range(SIZE)
                ],
            )
        )
    )
    (root / 'none.json').write_text(json.dumps(dict(metainfo=dict(), data_list=[])))
    return root


def labelled(root, pipeline=None, **kwargs):
    return dict(
        type='mmocr.OCRDataset',
        data_root=str(root),
        ann_file='words.json',
        pipeline=pipeline,
        **kwargs,
    )


def make(root, pipeline=PIPELINE, **kwargs):
    return DATASETS.build(
        dict(type='mmocr_da.LabelFraction', dataset=labelled(root), pipeline=pipeline, **kwargs)
    )


def texts(dataset):
    return [dataset[i]['data_samples'].gt_text.item for i in range(len(dataset))]


@pytest.mark.parametrize(
    'fraction, count', [(0.05, 2), (0.06, 2), (0.07, 3), (0.1, 4), (0.5, 20), (1.0, 40), (1e-9, 1)]
)
def test_so_many_in_their_order(root, fraction, count):
    dataset = make(root, fraction=fraction)
    numbers = [int(t) for t in texts(dataset)]
    assert len(dataset) == len(numbers) == count and dataset.total == SIZE
    assert numbers == sorted(set(numbers)) == [i for i, _ in dataset.selected]
    assert [path for _, path in dataset.selected] == [str(root / f'{i}.png') for i in numbers]
    assert [dataset.get_data_info(i)['instances'][0]['text'] for i in range(count)] == [
        str(n) for n in numbers
    ]
    assert dataset.metainfo['a'] == 1


def test_parts_of_a_seed_are_nested_and_fixed(root):
    np.random.seed(1)
    small, large, same, other = (
        set(texts(make(root, fraction=f, seed=s)))
        for f, s in ((0.1, 3), (0.5, 3), (0.1, 3), (0.1, 4))
    )
    assert small < large and small == same != other
    # By numbers: what was drawn once must be drawn again, with any NumPy, on any machine.
    assert texts(make(root, fraction=0.1)) == ['4', '20', '22', '25']


@pytest.mark.parametrize('serialize', [True, False])
def test_other_datasets_take_it(root, serialize):
    part = dict(
        type='mmocr_da.LabelFraction',
        fraction=0.2,
        dataset=labelled(root, serialize_data=serialize),
    )
    alone = SeededDataset(part, pipeline=PIPELINE)
    assert texts(alone) == texts(make(root, fraction=0.2)) and len(alone) == 8
    both = TwoDomainDataset(source=part, target=labelled(root), pipeline=PIPELINE)
    assert both.domain_sizes == (8, SIZE)
    assert texts(both)[:8] == texts(alone) and set(texts(both)[8:]) == {''}


def test_a_broken_image_of_the_part_is_replaced_by_one_of_the_part(root, tmp_path):
    for i in range(SIZE):
        (tmp_path / f'{i}.png').write_bytes((root / f'{i}.png').read_bytes())
    (tmp_path / 'words.json').write_text((root / 'words.json').read_text())
    dataset = SeededDataset(
        dict(type='mmocr_da.LabelFraction', fraction=0.1, dataset=labelled(tmp_path)),
        pipeline=PIPELINE,
    )
    before = texts(dataset)
    (tmp_path / f'{before[1]}.png').write_bytes(b'no image')
    first, instead, *others = texts(dataset)
    assert [first, *others] == [before[0], before[2], before[3]] and instead in [first, *others]
    assert 'skipped_images' in dataset[1]['data_samples']


def test_the_datasets_own_pipeline_is_used_and_two_are_an_error(root):
    inner = labelled(root, pipeline=PIPELINE)
    assert texts(LabelFraction(inner, fraction=0.1)) == texts(make(root, fraction=0.1))
    assert texts(SeededDataset(LabelFraction(inner, fraction=0.1))) == texts(
        make(root, fraction=0.1)
    )
    with pytest.raises(ValueError, match='set one of them to None'):
        LabelFraction(inner, fraction=0.1, pipeline=PIPELINE)


@pytest.mark.parametrize('serialize', [True, False])
def test_a_dataset_that_is_built_stays_as_it_is(root, serialize):
    whole = DATASETS.build(labelled(root, pipeline=PIPELINE, serialize_data=serialize))
    small, large = (LabelFraction(whole, fraction=fraction) for fraction in (0.1, 0.5))
    assert (len(small), len(large), len(whole)) == (4, 20, SIZE)
    assert texts(whole) == [str(i) for i in range(SIZE)]
    assert texts(small) == ['4', '20', '22', '25'] and set(texts(small)) < set(texts(large))
    assert small[0]['data_samples'].img_path == str(root / '4.png')


def test_annotations_are_read_when_they_are_needed(root):
    dataset = make(root, fraction=0.1, lazy_init=True)
    assert not dataset._fully_initialized
    dataset.full_init()
    before = texts(dataset)
    dataset.full_init()
    assert texts(dataset) == before and len(before) == 4
    assert len(make(root, fraction=0.1, lazy_init=True)) == 4
    assert make(root, fraction=0.1, lazy_init=True).get_data_info(0)['instances'] == [
        dict(text='4')
    ]


def test_an_item_that_its_pipeline_refuses_is_replaced_as_in_mmengine(root):
    class Refuse:
        def __call__(self, results):
            return results if results['instances'][0]['text'] == '20' else None

    dataset = make(root, [Refuse(), *PIPELINE], fraction=0.1)
    assert dataset.prepare_data(0) is None
    assert set(texts(dataset)) == {'20'}
    # A transform after an LMDB image that is missing would get None.
    dataset.dataset.prepare_data = lambda idx: None
    assert dataset.prepare_data(0) is None


def test_how_it_is_tested_is_the_datasets(root):
    dataset = LabelFraction(labelled(root, test_mode=True, max_refetch=7))
    assert dataset.test_mode and dataset.max_refetch == 7


def test_no_part_of_a_part(root):
    with pytest.raises(NotImplementedError, match='is a subset already'):
        make(root).get_subset_([0])
    with pytest.raises(NotImplementedError, match='is a subset already'):
        make(root).get_subset([0])
    unlabelled = dict(type='mmocr_da.UnlabelledDataset', dataset=labelled(root))
    several = dict(type='mmengine.ConcatDataset', datasets=[labelled(root)] * 2)
    nested = dict(type='mmocr_da.LabelFraction', dataset=labelled(root))
    for dataset in (unlabelled, several, nested):
        with pytest.raises(ValueError, match='one labelled dataset without a wrapper, got a'):
            LabelFraction(dataset)


def test_an_lmdb_is_read_by_the_dataset_that_it_belongs_to(root, tmp_path):
    import lmdb

    with (
        lmdb.open(str(tmp_path / 'db'), map_size=2**20) as environment,
        environment.begin(write=True) as transaction,
    ):
        transaction.put(b'num-samples', b'10')
        for i in range(10):
            transaction.put(f'image-{i + 1:09d}'.encode(), (root / f'{i}.png').read_bytes())
            transaction.put(f'label-{i + 1:09d}'.encode(), str(i).encode())
    pack = [*PIPELINE[1:2], dict(type='mmocr.PackTextRecogInputs', meta_keys=())]
    dataset = LabelFraction(
        dict(type='mmocr.RecogLMDBDataset', ann_file=str(tmp_path / 'db'), pipeline=pack),
        fraction=0.3,
    )
    assert len(dataset) == 3
    assert texts(dataset) == [str(i) for i, _ in dataset.selected]
    assert [key for _, key in dataset.selected] == [
        f'image-{i + 1:09d}' for i, _ in dataset.selected
    ]
    assert [int(dataset[i]['inputs'].float().mean()) for i in range(3)] == [
        i for i, _ in dataset.selected
    ]


@pytest.mark.parametrize('fraction', [0, -0.1, 1.5, 5, '5 %', None, float('nan')])
def test_a_wrong_fraction(root, fraction):
    with pytest.raises(ValueError, match='above 0 and of at most 1'):
        make(root, fraction=fraction)


@pytest.mark.parametrize('seed', [-1, 2**32, None, 0.5])
def test_a_wrong_seed(root, seed):
    with pytest.raises(ValueError, match='seed must be an integer'):
        make(root, seed=seed)


def test_an_empty_dataset(root):
    with pytest.raises(ValueError, match='empty OCRDataset'):
        LabelFraction(dict(labelled(root, serialize_data=False), ann_file='none.json'))
