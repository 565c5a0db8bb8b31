"""The labels that are in use, by the index of their item."""

import json

import pytest
from mmengine.registry import DATASETS

import mmocr_da.datasets  # noqa: F401
from mmocr_da.datasets.label_texts import labels_of, path_of

PIPELINE = [dict(type='mmocr.LoadImageFromFile')]


@pytest.fixture
def plain(tmp_path):

    def make(*texts, **kwargs):
        name = f'{"_".join(texts)}.json'
        (tmp_path / name).write_text(
            json.dumps(
                dict(
                    metainfo=dict(),
                    data_list=[
                        dict(img_path=f'{text}.png', instances=[dict(text=text)]) for text in texts
                    ],
                )
            )
        )
        return dict(
            type='mmocr.OCRDataset',
            data_root=str(tmp_path),
            ann_file=name,
            **dict(dict(serialize_data=False), **kwargs),
        )

    return make


@pytest.mark.parametrize('serialize_data', [True, False])
def test_the_labels_of_a_plain_dataset(plain, serialize_data):
    dataset = DATASETS.build(plain('a', 'b', 'c', serialize_data=serialize_data, indices=[2, 0]))
    assert list(labels_of(dataset)) == [(0, 'c'), (1, 'a')]
    assert path_of(dataset, 0).endswith('/c.png')


def test_of_parts_and_several_domains_only_those_in_use(plain):
    part = dict(type='mmocr_da.LabelFraction', dataset=plain(*'abcd'), fraction=0.5)
    dataset = DATASETS.build(
        dict(
            type='mmocr_da.TwoDomainDataset',
            source=[plain('x', 'e\u0301'), part],
            target=plain('t'),
            pipeline=PIPELINE,
            unicode_form='NFC',
        )
    )
    labels = list(labels_of(dataset))
    assert labels[:2] == [(0, 'x'), (1, '\u00e9')]
    assert [i for i, _ in labels] == [0, 1, 2, 3]
    assert [text for _, text in labels[2:]] == [
        dataset.get_data_info(i)['instances'][0]['text'] for i in (2, 3)
    ]
    dataset.leave_out([0])
    assert list(labels_of(dataset)) == labels[1:]


def test_items_without_exactly_one_text_have_none(tmp_path):
    instances = [[], [dict(bbox=[0, 0, 1, 1])], [dict(text='a'), dict(text='b')], [dict(text='')]]
    (tmp_path / 'a.json').write_text(
        json.dumps(
            dict(
                metainfo=dict(),
                data_list=[dict(img_path='a.png', instances=value) for value in instances],
            )
        )
    )
    dataset = DATASETS.build(
        dict(type='mmocr.OCRDataset', ann_file=str(tmp_path / 'a.json'), serialize_data=False)
    )
    assert [text for _, text in labels_of(dataset)] == [None, None, None, '']
    assert list(labels_of(['no', 'dataset'])) == []
