"""One environment per LMDB and process; LMDBs that are cut off are refused."""

import multiprocessing
import os
import pickle

import cv2
import numpy as np
import pytest
from mmengine.registry import DATASETS
from torch.utils.data import DataLoader

import mmocr_da.datasets  # noqa: F401
from mmocr_da.datasets import lmdb_files
from mmocr_da.datasets.label_texts import labels_of, path_of

LOAD = dict(type='mmocr.LoadImageFromFile', color_type='grayscale')
LOAD_ARRAY = dict(type='mmocr.LoadImageFromNDArray')
TEXT = dict(type='mmocr.LoadOCRAnnotations', with_text=True)
PACK = dict(type='mmocr.PackTextRecogInputs', meta_keys=('img_path',))


@pytest.fixture
def path(tmp_path):
    import lmdb

    rng = np.random.default_rng(0)
    env = lmdb.open(str(tmp_path / 'lmdb'), map_size=2**22)
    with env.begin(write=True) as transaction:
        transaction.put(b'num-samples', b'3')
        for i in range(3):
            image = rng.integers(0, 256, (32, 64, 3)).astype(np.uint8)
            image[0, 0] = 10 * i
            transaction.put(b'image-%09d' % (i + 1), cv2.imencode('.png', image)[1].tobytes())
            transaction.put(b'label-%09d' % (i + 1), b'word%d' % i)
    env.close()
    return str(tmp_path / 'lmdb')


def labelled(path, *pipeline):
    return dict(
        type='mmocr.RecogLMDBDataset',
        ann_file=path,
        pipeline=list(pipeline) or None,
        serialize_data=False,
    )


def first_pixels(dataset):
    return [int(dataset[i]['inputs'][0, 0, 0]) for i in range(len(dataset))]


@pytest.mark.parametrize('keep', [0.9, 0.5, 0.3])
def test_a_file_that_is_cut_off_is_an_error_and_no_bus_error(path, keep):
    size = os.path.getsize(f'{path}/data.mdb')
    os.truncate(f'{path}/data.mdb', int(keep * size))
    for cfg in (dict(type='mmocr_da.UnlabelledDataset', lmdb=path), labelled(path, LOAD, PACK)):
        with pytest.raises(ValueError, match=f'must be whole, got .* of which {size} are needed'):
            DATASETS.build(cfg)


@pytest.mark.parametrize('size', [0, 100])
def test_what_is_no_lmdb_is_named(path, size):
    os.truncate(f'{path}/data.mdb', size)
    with pytest.raises(ValueError, match='an LMDB is needed, got .*, which cannot be opened'):
        DATASETS.build(dict(type='mmocr_da.UnlabelledDataset', lmdb=path))


def test_the_folder_of_several_lmdbs_names_them(path):
    parent = os.path.dirname(path)
    with pytest.raises(ValueError, match=r'without; below it are LMDBs: lmdb\. Give each'):
        DATASETS.build(dict(type='mmocr_da.UnlabelledDataset', lmdb=parent))
    with pytest.raises(ValueError, match='must be one path'):
        DATASETS.build(dict(type='mmocr_da.UnlabelledDataset', lmdb=[path]))


@pytest.mark.parametrize('workers', [0, 1])
def test_one_lmdb_is_target_and_labelled_validation(path, workers):
    target = DATASETS.build(
        dict(
            type='mmocr_da.UnlabelledDataset',
            lmdb=path,
            pipeline=[LOAD, PACK],
            serialize_data=False,
        )
    )
    validation = DATASETS.build(labelled(path, LOAD_ARRAY, TEXT, PACK))
    for _ in range(2):
        for dataset in (target, validation):
            loader = DataLoader(dataset, 1, num_workers=workers, collate_fn=lambda x: x[0])
            assert [int(item['inputs'][0, 0, 0]) for item in loader] == [0, 10, 20]
    assert first_pixels(pickle.loads(pickle.dumps(validation))) == [0, 10, 20]
    validation.close()
    assert first_pixels(target) == [0, 10, 20]


@pytest.mark.parametrize(
    'wrap',
    [
        lambda cfg: cfg,
        lambda cfg: dict(type='mmocr_da.LabelFraction', dataset=cfg, pipeline=None),
    ],
)
@pytest.mark.parametrize('load', [LOAD, dict(LOAD, color_type='color'), LOAD_ARRAY, None])
def test_mmocrs_lmdb_is_a_source_under_any_loader(path, wrap, load):
    pipeline = [x for x in (load, TEXT, PACK) if x]
    dataset = DATASETS.build(
        dict(type='mmocr_da.SeededDataset', datasets=wrap(labelled(path)), pipeline=pipeline)
    )
    items = [dataset[i] for i in range(3)]
    assert [item['data_samples'].gt_text.item for item in items] == ['word0', 'word1', 'word2']
    assert first_pixels(dataset) == [0, 10, 20]
    assert items[0]['inputs'].shape[0] == (1 if load == LOAD else 3)
    assert items[1]['data_samples'].img_path == f'{path}/image-000000002'
    assert path_of(dataset, 1) == f'{path}/image-000000002'  # as another may have this key
    assert [text for _, text in labels_of(dataset)] == ['word0', 'word1', 'word2']
    part = dataset.datasets[0]
    if hasattr(part, 'selected'):
        assert part.selected[1] == (1, 'image-000000002')


def test_an_lmdb_without_labels_is_no_source(path):
    import lmdb

    env = lmdb.open(path, map_size=2**22)
    with env.begin(write=True) as transaction:
        for i in range(3):
            transaction.delete(b'label-%09d' % (i + 1))
    env.close()
    with pytest.raises(
        ValueError,
        match='got .*lmdb without one of them; if it has no labels, use mmocr_da.UnlabelledDataset',
    ):
        DATASETS.build(dict(type='mmocr_da.SeededDataset', datasets=labelled(path, LOAD, PACK)))


def test_a_process_does_not_use_the_environment_of_its_parent(path):
    lmdb_files.open_lmdb(path)
    with multiprocessing.get_context('fork').Pool(1) as pool:
        owner = pool.apply(_owner, [path])
    assert owner != os.getpid()


def _owner(path):
    lmdb_files.open_lmdb(path)
    return lmdb_files._environments[os.path.realpath(f'{path}/data.mdb')][0]


def test_a_process_keeps_one_environment_per_real_path(path, tmp_path):
    (tmp_path / 'link').symlink_to(path)
    for same in (f'{tmp_path}/link', f'{path}/', f'{path}/data.mdb'):
        assert lmdb_files.open_lmdb(same) is lmdb_files.open_lmdb(path)
