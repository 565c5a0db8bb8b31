"""Wrapped datasets are replaced by the datasets in them."""

import json
from collections import Counter

import cv2
import numpy as np
import pytest
from mmengine.registry import DATASETS

import mmocr_da.datasets  # noqa: F401
from mmocr_da.datasets import seeded_dataset
from mmocr_da.datasets.building import places

PIPELINE = [
    dict(type='mmocr.LoadImageFromFile', color_type='grayscale'),
    dict(type='mmocr.LoadOCRAnnotations', with_text=True),
    dict(type='mmocr.PackTextRecogInputs', meta_keys=('img_path',)),
]
E_ACUTE = ('e\u0301', '\u00e9')


@pytest.fixture
def plain(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), np.eye(8, dtype=np.uint8) * 255)

    def make(*texts, **kwargs):
        name = f'{abs(hash(texts))}.json'
        (tmp_path / name).write_text(
            json.dumps(
                dict(
                    metainfo=dict(),
                    data_list=[
                        dict(img_path='a.png', instances=[dict(text=text)]) for text in texts
                    ],
                )
            )
        )
        return dict(
            type='mmocr.OCRDataset',
            data_root=str(tmp_path),
            ann_file=name,
            serialize_data=kwargs.pop('serialize_data', False),
            **kwargs,
        )

    return make


def texts(dataset):
    return [dataset[i]['data_samples'].gt_text.item for i in range(len(dataset))]


def seeded(datasets, **kwargs):
    return DATASETS.build(
        dict(
            type='mmocr_da.SeededDataset',
            datasets=datasets,
            **dict(dict(pipeline=PIPELINE), **kwargs),
        )
    )


@pytest.mark.parametrize('scope', ['', 'mmocr.'])
def test_concatenated_and_repeated_datasets_are_accepted(plain, scope):
    both = dict(
        type=f'{scope}ConcatDataset',
        datasets=[plain('a', 'b'), dict(type='RepeatDataset', times=2, dataset=plain('c'))],
    )
    if scope:  # MMOCR's takes plain datasets only
        both['datasets'][1] = plain('c', 'c')
    assert texts(seeded(both)) == ['a', 'b', 'c', 'c']
    own = dict(both, datasets=[plain('a', 'b', pipeline=PIPELINE)])
    assert texts(seeded(own, pipeline=None)) == ['a', 'b']


def test_they_are_source_and_target_too(plain):
    repeated = dict(type='RepeatDataset', times=3, dataset=plain('a'))
    dataset = DATASETS.build(
        dict(type='mmocr_da.TwoDomainDataset', source=repeated, target=repeated, pipeline=PIPELINE)
    )
    assert dataset.domain_sizes == (3, 3)
    assert texts(dataset) == ['a'] * 3 + [''] * 3
    assert len({id(part) for part in dataset.datasets}) == 2
    unlabelled = DATASETS.build(
        dict(
            type='mmocr_da.UnlabelledDataset',
            dataset=repeated,
            serialize_data=False,
            pipeline=PIPELINE,
        )
    )
    assert texts(unlabelled) == [''] * 3


def test_other_wrappers_are_named(plain):
    balanced = dict(
        type='ClassBalancedDataset', oversample_thr=0.1, dataset=plain('a'), lazy_init=True
    )
    with pytest.raises(ValueError, match='got a ClassBalancedDataset; give the datasets in it'):
        seeded(balanced)


def test_an_empty_annotation_file_is_named(plain):
    empty = plain(serialize_data=True)
    for cfg in (empty, dict(type='mmocr_da.LabelFraction', dataset=empty)):
        with pytest.raises(ValueError, match=r'got an empty mmocr.OCRDataset from .*\.json'):
            seeded(cfg)


def test_errors_of_a_dataset_name_it(plain):
    text = dict(plain('a'), type='mmocr.RecogTextDataset')
    with pytest.raises(Exception) as caught:
        seeded(text)
    assert caught.value.__notes__ == [
        f'This is in the dataset mmocr.RecogTextDataset from {text["ann_file"]}'
    ]


def test_labels_can_be_had_in_one_unicode_form(plain):
    decomposed, composed = E_ACUTE
    assert texts(seeded(plain(decomposed))) == [decomposed]
    repeated = dict(type='RepeatDataset', times=2, dataset=plain(decomposed))
    assert texts(seeded(repeated, unicode_form='NFC')) == [composed] * 2
    assert texts(seeded(plain(composed), unicode_form='NFD')) == [decomposed]
    with pytest.raises(ValueError, match="one of NFC, NFD, NFKC, NFKD or None, got 'nfc'"):
        seeded(plain('a'), unicode_form='nfc')


def test_what_is_left_out_is_replaced_by_another(plain):
    dataset = seeded(plain('a', 'b', 'c'))
    dataset.leave_out([0, 2])
    assert texts(dataset) == ['b'] * 3
    dataset.leave_out([1])
    with pytest.raises(RuntimeError, match='3 of 3 images were tried and none can be used'):
        dataset[0]


def test_no_image_stands_in_for_many(plain, monkeypatch):
    monkeypatch.setattr(seeded_dataset, 'MAX_SKIPS', 3)
    dataset = seeded(plain(*map(str, range(100))))
    dataset.leave_out(range(10, 60))  # more in a row than may be broken
    counts = Counter(texts(dataset))
    assert sum(counts.values()) == 100 and len(counts) == 50
    assert max(counts.values()) <= 6
    assert texts(dataset)[:10] == [str(i) for i in range(10)]


def test_places_are_those_of_the_concatenation():
    datasets = ['abc', '', 'd', 'ef']
    everywhere = [(x, i) for x in datasets for i in range(len(x))]
    assert places(datasets, range(6)) == everywhere
    assert places(datasets, np.array([5, 0])) == [everywhere[5], everywhere[0]]
