"""An unlabelled dataset has the images of its origin, in a fixed order, without labels."""

import json
import pickle

import cv2
import numpy as np
import pytest
from mmengine.registry import DATASETS
from torch.utils.data import DataLoader

import mmocr_da.datasets  # noqa: F401
from mmocr_da.datasets import UnlabelledDataset

PIPELINE = [
    dict(type='mmocr.LoadImageFromFile', color_type='grayscale'),
    dict(type='mmocr.LoadOCRAnnotations', with_text=True),
    dict(type='mmocr.PackTextRecogInputs', meta_keys=('img_path', 'ori_shape', 'img_shape')),
]


def build(**kwargs):
    # Serializing collects garbage, which takes longer than all the rest.
    kwargs = {**dict(pipeline=PIPELINE, serialize_data=False), **kwargs}
    return DATASETS.build(dict(type='mmocr_da.UnlabelledDataset', **kwargs))


@pytest.fixture
def folder(tmp_path):
    """Three images of the grey values 0, 10 and 20, and files that are not images."""
    folder = tmp_path / 'images'
    (folder / 'below').mkdir(parents=True)
    for i, name in enumerate(['a.png', 'below/b.PNG', 'c.png']):
        cv2.imwrite(str(folder / name), np.full((8, 12), 10 * i, np.uint8))
    (folder / 'labels.txt').write_text('a.png cat')
    return folder


def write_json(path, entries):
    metainfo = dict(dataset_type='TextRecogDataset', task_name='textrecog')
    path.write_text(json.dumps(dict(metainfo=metainfo, data_list=entries)))
    return str(path)


def write_lmdb(path, contents, labels=None):
    import lmdb

    env = lmdb.open(str(path), map_size=2**20)
    with env.begin(write=True) as transaction:
        transaction.put(b'num-samples', str(len(contents)).encode())
        for i, content in enumerate(contents, 1):
            transaction.put(b'image-%09d' % i, content)
            if labels:
                transaction.put(b'label-%09d' % i, labels[i - 1].encode())
    env.close()
    return str(path)


def png(value):
    return cv2.imencode('.png', np.full((8, 12), value, np.uint8))[1].tobytes()


def greys(dataset):
    return [int(dataset[i]['inputs'][0, 0, 0]) for i in range(len(dataset))]


def texts(dataset):
    return {dataset[i]['data_samples'].gt_text.item for i in range(len(dataset))}


def test_a_folder_is_read_recursively_and_in_order(folder):
    dataset = build(img_dir=folder)
    assert greys(dataset) == [0, 10, 20]
    assert texts(dataset) == {''}


def test_a_list_is_read_in_its_order(folder, tmp_path):
    names = tmp_path / 'list.txt'
    names.write_text('c.png\n\na.png\n')
    dataset = build(img_list=str(names), img_prefix=str(folder))
    assert greys(dataset) == [20, 0]
    assert texts(dataset) == {''}


@pytest.mark.parametrize('labels', [None, ['one', 'two', 'three']])
def test_an_lmdb_is_read_with_the_pipeline_for_files_and_without_labels(tmp_path, labels):
    path = write_lmdb(tmp_path / 'lmdb', [png(10 * i) for i in range(3)], labels)
    dataset = build(lmdb=path)
    assert greys(dataset) == [0, 10, 20]
    assert texts(dataset) == {''}
    # Workers that are spawned get it pickled, after it was read here.
    copied = pickle.loads(pickle.dumps(dataset))
    assert greys(copied) == [0, 10, 20]
    assert dataset[0]['inputs'].shape[0] == 1  # grey, as LoadImageFromFile was told to


def test_an_lmdb_that_was_read_is_read_in_workers_too(tmp_path):
    dataset = build(lmdb=write_lmdb(tmp_path / 'lmdb', [png(10 * i) for i in range(3)]))
    assert greys(dataset) == [0, 10, 20]
    loader = DataLoader(dataset, 1, num_workers=1, collate_fn=lambda items: items[0])
    assert [int(item['inputs'][0, 0, 0]) for item in loader] == [0, 10, 20]


def test_an_lmdb_can_be_given_as_mmocrs_labelled_dataset(tmp_path):
    path = write_lmdb(tmp_path / 'lmdb', [png(7), png(8)], ['one', 'two'])
    dataset = build(dataset=dict(type='mmocr.RecogLMDBDataset', ann_file=path))
    assert greys(dataset) == [7, 8]
    assert texts(dataset) == {''}


@pytest.mark.parametrize(
    'entry',
    [
        dict(),
        dict(instances=[]),
        dict(instances=[dict(text='secret')]),
        dict(instances=[dict(text='secret')], text='secret', gt_texts=['secret']),
    ],
)
def test_nothing_of_a_label_is_left(folder, tmp_path, entry):
    entries = [dict(img_path=f'{folder}/{name}.png', **entry) for name in 'ac']
    ann_file = write_json(tmp_path / 'labelled.json', entries)
    dataset = build(
        dataset=dict(type='mmocr.OCRDataset', ann_file=ann_file, pipeline=PIPELINE),
        serialize_data=True,
    )
    assert greys(dataset) == [0, 20]
    assert texts(dataset) == {''}
    assert b'secret' not in pickle.dumps(dataset)
    assert dataset.metainfo['task_name'] == 'textrecog'


def test_detectors_get_images_without_instances(folder):
    dataset = UnlabelledDataset(img_dir=str(folder), instances=())
    assert dataset.get_data_info(0)['instances'] == []


@pytest.mark.parametrize('box', [dict(bbox=[0, 0, 5, 5]), dict(polygon=[0, 0, 5, 0, 5, 5, 0, 5])])
def test_images_of_a_dataset_for_detectors_have_no_instances(folder, tmp_path, box):
    """Not even those without text, whose own annotations do not say what they are for."""
    boxes = [dict(box, bbox_label=0, ignore=False, text='secret')]
    entries = [
        dict(img_path=f'{folder}/{name}.png', instances=instances)
        for name, instances in zip('ac', ([], boxes))
    ]
    of = dict(type='mmocr.OCRDataset', ann_file=write_json(tmp_path / 'boxes.json', entries))
    dataset = UnlabelledDataset(dataset=of)
    assert [dataset.get_data_info(i)['instances'] for i in range(2)] == [[], []]
    assert b'secret' not in pickle.dumps(dataset)
    chosen = UnlabelledDataset(dataset=of, instances=[dict(text='')])
    assert chosen.get_data_info(0)['instances'] == [dict(text='')]


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(), 'exactly one of .* got none'),
        (dict(img_dir='a', lmdb='b'), 'got img_dir, lmdb'),
        (dict(img_dir='/no/such/folder'), "existing folder, got '/no/such/folder'"),
        (dict(img_dir=[]), 'got an empty list'),
        (dict(img_dir='{tmp}/empty'), 'must hold images .* none in it or below'),
        (dict(img_list='/no/such/list'), 'existing text file'),
        (dict(img_list='{tmp}/empty.txt'), 'empty file'),
        (dict(img_list='{tmp}/names.txt'), 'set img_prefix'),
        (dict(lmdb='/no/such/lmdb'), 'existing LMDB'),
        (dict(lmdb='{tmp}/lmdb'), 'num-samples'),
        (
            dict(
                dataset=dict(
                    type='mmocr.OCRDataset', ann_file='{tmp}/none.json', serialize_data=False
                )
            ),
            'ann_file',
        ),
        (
            dict(dataset=dict(type='mmocr_da.RenderedWords', lexicon=['one'])),
            'of the target domain, got RenderedWords.*it is a source',
        ),
    ],
)
def test_an_origin_without_images_is_an_error_that_helps(tmp_path, kwargs, message):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'empty.txt').write_text('\n')
    (tmp_path / 'names.txt').write_text('nowhere.png\n')
    write_lmdb(tmp_path / 'lmdb', [])
    write_json(tmp_path / 'none.json', [])
    kwargs = json.loads(json.dumps(kwargs).replace('{tmp}', str(tmp_path)))
    with pytest.raises(ValueError, match=message):
        build(**kwargs)
