"""Labels of an LMDB by index: the samples of MMOCR's dataset, whatever its options and wrappers."""

import pickle

import lmdb
import numpy as np
import pytest
from helpers.lmdbs import write_lmdb
from mmengine.config import ConfigDict
from mmengine.registry import DATASETS
from mmocr.datasets import RecogLMDBDataset
from torch.utils.data import DataLoader

from mmocr_da.datasets import LazyRecogLMDBDataset, label_texts, lmdb_files, seeded_dataset
from mmocr_da.datasets.building import build_dataset
from mmocr_da.datasets.image_loading import load_as_shown
from mmocr_da.datasets.label_texts import labels_of, unread_labels
from mmocr_da.datasets.lazy_list import LazyList

SIZE = 12
LOAD = dict(type='mmocr.LoadImageFromFile', color_type='grayscale')
TEXT = dict(type='mmocr.LoadOCRAnnotations', with_text=True)
PACK = dict(type='mmocr.PackTextRecogInputs', meta_keys=('img_path',))
#: With spaces around it, empty, and with characters of several bytes: nothing is stripped.
TEXTS = [' a ', '', '\u00e9\u4e2d', 'B\n', *map(str, range(SIZE - 4))]


@pytest.fixture
def path(tmp_path):
    return write_lmdb(tmp_path / 'lmdb', TEXTS)


@pytest.fixture
def change(path):
    """Sets entries of the LMDB, or deletes them by None."""

    def change(**entries):
        with lmdb.open(path, map_size=2**22) as env, env.begin(write=True) as transaction:
            for key, value in entries.items():
                key = key.replace('_', '-').encode()
                transaction.delete(key) if value is None else transaction.put(key, value)

    return change


@pytest.fixture
def logged(monkeypatch):
    """What the package has logged."""
    lines = []
    for module in (label_texts, lmdb_files, seeded_dataset):
        monkeypatch.setattr(module, 'print_log', lambda text, **_: lines.append(text))
    return lambda: '\n'.join(lines)


def shared(path, **kwargs):
    """MMOCR's dataset and ours."""
    return [cls(ann_file=path, **kwargs) for cls in (RecogLMDBDataset, LazyRecogLMDBDataset)]


def assert_equal(ours, theirs):
    assert len(ours) == len(theirs)
    assert ours.metainfo == theirs.metainfo
    # MMEngine's serialized list fails for the first item as -len(dataset).
    for i in (*range(len(theirs)), *range(1 - len(theirs), 0)):
        assert ours.get_data_info(i) == theirs.get_data_info(i)
        item, other = ours[i], theirs[i]
        assert np.array_equal(item.pop('img'), other.pop('img'))
        assert item == other


@pytest.mark.parametrize(
    'kwargs',
    [
        dict(),
        dict(img_color_type='grayscale'),
        dict(metainfo=dict(a=1)),
        dict(serialize_data=False, test_mode=True),
        dict(lazy_init=True),
        dict(indices=5),
        dict(indices=-5),
        dict(indices=[7, 0, 7]),
        dict(indices=[], serialize_data=False),
    ],
)
def test_the_items_are_those_of_mmocrs_dataset(path, kwargs):
    theirs, ours = shared(path, **kwargs)
    assert_equal(ours, theirs)
    assert isinstance(ours.data_list, LazyList)


@pytest.mark.parametrize('indices', [3, -3, [5, 5, 1]])
def test_subsets_are_those_of_mmocrs_dataset(path, indices):
    theirs, ours = shared(path, serialize_data=False)
    assert_equal(ours.get_subset(indices), theirs.get_subset(indices))
    assert len(ours) == SIZE
    for dataset in (theirs, ours):
        dataset.get_subset_(indices)
    assert_equal(ours, theirs)
    assert isinstance(ours.data_list, LazyList)


def test_no_label_is_read_before_its_image(path, monkeypatch):
    read = []
    parse = LazyRecogLMDBDataset.parse_data_info
    monkeypatch.setattr(
        LazyRecogLMDBDataset,
        'parse_data_info',
        lambda self, raw: [read.append(raw[0]), parse(self, raw)][1],
    )
    ours = LazyRecogLMDBDataset(ann_file=path, indices=[4, 2, 9])
    probed = len(read)
    assert probed < SIZE
    ours.get_data_info(1)
    assert read[probed:] == ['image-000000003']


def test_it_is_pickled_with_its_subset_and_without_its_annotations(path):
    _, ours = shared(path, indices=[4, 2])
    content = pickle.dumps(ours)
    assert b'image-0' not in content
    assert_equal(pickle.loads(content), ours)


@pytest.mark.parametrize('copy', [lambda x: x, lambda x: pickle.loads(pickle.dumps(x))])
def test_two_workers_load_the_items_of_none(path, copy):
    ours = copy(shared(path)[1])
    loader = DataLoader(ours, 3, num_workers=2, collate_fn=list)
    ours[0]  # the parent has opened the LMDB
    assert [item['instances'][0]['text'] for batch in loader for item in batch] == TEXTS


def test_wrappers_of_the_hosts(path):
    theirs, ours = shared(path, serialize_data=False)
    for name, kwargs in (
        ('RepeatDataset', dict(times=2)),
        ('ConcatDataset', dict()),
        ('mmocr.ConcatDataset', dict()),
    ):
        key = 'dataset' if 'times' in kwargs else 'datasets'
        built = [
            DATASETS.build({'type': name, key: x if key == 'dataset' else [x, x], **kwargs})
            for x in (ours, theirs)
        ]
        assert len(built[0]) == 2 * SIZE
        assert_equal(*built)


class Upper(LazyRecogLMDBDataset):
    def parse_data_info(self, raw):
        data = super().parse_data_info(raw)
        data['instances'][0]['text'] = raw[1].upper()
        return data


def test_a_subclass_parses_labels_in_its_own_way(path):
    ours = Upper(ann_file=path)
    assert [text for _, text in labels_of(ours)] == [text.upper() for text in TEXTS]
    assert ours[0]['instances'] == [dict(text=' A ')]


class Theirs(RecogLMDBDataset):
    pass


@pytest.mark.parametrize('type_', ['RecogLMDBDataset', 'mmocr.RecogLMDBDataset', RecogLMDBDataset])
def test_configs_of_mmocrs_dataset_build_ours(path, type_):
    plain = ConfigDict(type=type_, ann_file=path, _scope_='mmocr')
    assert type(build_dataset(plain)) is LazyRecogLMDBDataset
    for wrapped in (
        dict(type='mmocr.ConcatDataset', datasets=[plain]),
        dict(type='mmengine.RepeatDataset', dataset=plain, times=1),
        dict(type='mmocr_da.LabelFraction', dataset=plain, pipeline=[LOAD]),
    ):
        built = build_dataset(wrapped)
        inner = getattr(built, 'dataset', None) or built.datasets[0]
        assert type(inner) is LazyRecogLMDBDataset
    assert plain.type is type_
    assert type(build_dataset(dict(plain, type=Theirs))) is Theirs
    built = RecogLMDBDataset(ann_file=path)
    assert build_dataset(built) is built and type(built) is RecogLMDBDataset


def two_domains(path, source=None, **kwargs):
    return DATASETS.build(
        dict(
            type='mmocr_da.TwoDomainDataset',
            source=source or dict(type='mmocr.RecogLMDBDataset', ann_file=path, pipeline=None),
            target=dict(type='mmocr_da.UnlabelledDataset', lmdb=path),
            pipeline=[LOAD, TEXT, PACK],
            **kwargs,
        )
    )


def samples_of(dataset):
    items = [dataset[i] for i in range(len(dataset))]
    return [
        (x['data_samples'].img_path, x['data_samples'].gt_text.item, x['inputs'].tolist())
        for x in items
    ]


def test_a_training_gets_the_same_from_both(path):
    ours = two_domains(path)
    theirs = two_domains(path, RecogLMDBDataset(ann_file=path, pipeline=None))
    assert isinstance(ours.datasets[0].data_list, LazyList)
    assert not isinstance(theirs.datasets[0].data_list, LazyList)
    assert samples_of(ours) == samples_of(theirs)
    assert list(labels_of(ours)) == list(labels_of(theirs)) == list(enumerate(TEXTS))


@pytest.mark.parametrize('fraction', [0.5, 1.0])
def test_of_a_fraction_the_same_labels(path, fraction):
    def make(dataset):
        return DATASETS.build(
            dict(type='mmocr_da.LabelFraction', dataset=dataset, fraction=fraction)
        )

    ours, theirs = map(make, (dict(type='mmocr.RecogLMDBDataset', ann_file=path), shared(path)[0]))
    assert len(ours) == fraction * SIZE and ours.selected == theirs.selected
    assert list(labels_of(ours)) == list(labels_of(theirs))
    assert isinstance(ours.dataset.data_list, LazyList)


@pytest.mark.parametrize(
    'wrap', [lambda cfg: cfg, lambda cfg: dict(type='RepeatDataset', times=2, dataset=cfg)]
)
def test_labels_of_a_target_are_not_read(path, wrap):
    cfg = wrap(dict(type='mmocr.RecogLMDBDataset', ann_file=path, indices=[5, 3]))
    target = DATASETS.build(dict(type='mmocr_da.UnlabelledDataset', dataset=cfg))
    keys = ['image-000000006', 'image-000000004'] * (len(target) // 2)
    items = [target.get_data_info(i) for i in range(len(target))]
    assert [item['img_key'] for item in items] == keys
    assert [item['img_path'] for item in items] == [f'{path}/{key}' for key in keys]
    assert all(item['instances'] == [dict(text='')] for item in items)
    assert isinstance(target.data_list, LazyList) and len(target) in (2, 4)


@pytest.mark.parametrize(
    'entries, reason',
    [
        (dict(image_000000003=None), 'image-000000003 without its image'),
        (dict(label_000000003=None), 'image-000000003 without a label in UTF-8'),
        (dict(label_000000003=b'\xff'), 'image-000000003 without a label in UTF-8'),
        (dict(image_000000003=b'no image'), 'image-000000003 is broken'),
    ],
)
def test_a_sample_that_lacks_something_is_replaced_and_named(path, change, entries, reason, logged):
    change(**entries)
    dataset = two_domains(path)
    sample = dataset[2]['data_samples']
    instead = int(sample.img_path[-9:])
    assert instead != 3 and sample.gt_text.item == TEXTS[instead - 1]
    assert sample.skipped_images == [f'{path}/image-000000003']
    assert reason in logged()
    warned = 'entries, and its num-samples of 12 needs 25: some are missing' in logged()
    assert warned == (None in entries.values())
    texts = [text for _, text in labels_of(dataset)]
    assert len(texts) == SIZE - any('label' in key for key in entries)


def test_without_a_seeded_dataset_it_is_loaded_as_in_mmocr(path, change):
    change(image_000000003=None, label_000000005=None, image_000000006=b'no image')
    ours = LazyRecogLMDBDataset(ann_file=path, pipeline=[TEXT])
    assert [ours.prepare_data(i) is None for i in range(6)] == [0, 0, 1, 0, 1, 1]
    np.random.seed(0)
    assert ours[2]['img_key'] != 'image-000000003'  # another one, by chance
    ours.max_refetch = -1
    with pytest.raises(Exception, match='Cannot find valid image'):
        ours[2]
    tested = LazyRecogLMDBDataset(ann_file=path, pipeline=[TEXT], test_mode=True)
    for i, what in ((2, 'its image'), (4, 'a label'), (5, 'an image that can be decoded')):
        with pytest.raises(ValueError, match=f'image-{i + 1:09d} without {what}'):
            tested[i]


@pytest.mark.parametrize('value', [None, b'', b'0', b'many', b'-3'])
@pytest.mark.parametrize(
    'make',
    [
        lambda path: LazyRecogLMDBDataset(ann_file=path),
        lambda path: DATASETS.build(dict(type='mmocr_da.UnlabelledDataset', lmdb=path)),
    ],
)
def test_an_lmdb_that_does_not_say_its_size_is_an_error(path, change, value, make):
    change(num_samples=value)
    with pytest.raises(ValueError, match="number under 'num-samples', got .* without the number"):
        make(path)


def test_no_lmdb_and_one_without_labels_are_errors(path, tmp_path):
    for wrong in (str(tmp_path / 'nowhere'), str(tmp_path)):
        with pytest.raises(ValueError, match='LMDB'):
            LazyRecogLMDBDataset(ann_file=wrong)
    with lmdb.open(path, map_size=2**22) as env, env.begin(write=True) as transaction:
        for i in range(SIZE):
            transaction.delete(b'label-%09d' % (i + 1))
    with pytest.raises(ValueError, match='if it has no labels, use mmocr_da.UnlabelledDataset'):
        LazyRecogLMDBDataset(ann_file=path)


def test_of_a_large_lmdb_some_labels_are_read(path, monkeypatch, logged):
    monkeypatch.setattr(label_texts, 'MOST_READ', 4)
    for dataset in (LazyRecogLMDBDataset(ann_file=path), two_domains(path)):
        labels = list(labels_of(dataset))
        assert [i // 3 for i, _ in labels] == [0, 1, 2, 3]
        assert all(TEXTS[i] == text for i, text in labels)
        assert unread_labels(dataset) == SIZE - 4
    assert logged().count('4 of its 12 labels are looked at before training') == 1
    assert unread_labels(RecogLMDBDataset(ann_file=path)) == 0
    monkeypatch.setattr(label_texts, 'MOST_READ', SIZE)
    assert unread_labels(dataset) == 0 and len(list(labels_of(dataset))) == SIZE
    assert logged().count('looked at') == 1


def test_one_that_is_loaded_already_stays_in_its_list(path):
    theirs, ours = shared(path, pipeline=[LOAD, TEXT, PACK])
    for dataset in (theirs, ours):
        load_as_shown(dataset)
    assert type(theirs) is type(ours) and not theirs.data_list
    assert samples_of(ours) == samples_of(theirs)
