"""Items of two domains: no labels of the target, seeded augmentation, broken images replaced."""

import json
import logging
import pickle
import random
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import ConcatDataset, RepeatDataset, pseudo_collate
from mmengine.registry import DATASETS, init_default_scope
from mmengine.runner import Runner
from torch.utils.data import DataLoader

import mmocr_da.datasets  # noqa: F401
from mmocr_da.datasets import SeededSampler, TwoDomainDataset, TwoDomainSampler, seeded_dataset
from mmocr_da.datasets.seeded_sampler import Draw
from mmocr_da.datasets.two_domain_dataset import check_domains, check_sampler


class Noise:
    """Augmentation that draws from all generators."""

    def __call__(self, results):
        noise = [random.random(), np.random.rand(), torch.rand(()).item()]
        results['img'] = results['img'].astype(np.float32)
        results['img'][0, :3] += np.float32(noise)[:, None]
        return results


LOAD = dict(type='mmocr.LoadImageFromFile')
TEXT = dict(type='mmocr.LoadOCRAnnotations', with_text=True)
PACK = dict(type='mmocr.PackTextRecogInputs', meta_keys=('img_path', 'ori_shape', 'img_shape'))
PIPELINE = [LOAD, TEXT, Noise(), PACK]
SIZES = dict(source=7, target=5)


@pytest.fixture
def root(tmp_path):
    for domain, size in SIZES.items():
        write(tmp_path, domain, [f'{domain}{i}' for i in range(size)])
        for i in range(size):
            image = np.full((4, 6, 3), 20 * i + (domain == 'target'), np.uint8)
            cv2.imwrite(str(tmp_path / f'{domain}{i}.png'), image)
    return tmp_path


def write(root, domain, labels):
    data_list = [
        dict(img_path=f'{domain}{i}.png', instances=[dict(text=text)])
        for i, text in enumerate(labels)
    ]
    (root / f'{domain}.json').write_text(json.dumps(dict(metainfo=dict(), data_list=data_list)))


def labelled(root, domain, **kwargs):
    return dict(
        type='mmocr.OCRDataset',
        data_root=str(root),
        ann_file=f'{domain}.json',
        pipeline=None,
        serialize_data=False,
        **kwargs,
    )


def make(root, pipeline=PIPELINE, **kwargs):
    kwargs = {**dict(source=labelled(root, 'source'), target=labelled(root, 'target')), **kwargs}
    return DATASETS.build(dict(type='mmocr_da.TwoDomainDataset', pipeline=pipeline, **kwargs))


def loader(dataset, workers=0, skip=0, **kwargs):
    sampler = TwoDomainSampler(dataset, batch_size=4, seed=1)
    sampler.skip(skip)
    return DataLoader(
        dataset, 4, sampler=sampler, num_workers=workers, collate_fn=pseudo_collate, **kwargs
    )


def contents(batches):
    """Everything that reaches the model."""
    return [
        (image.numpy().tobytes(), sample.to_dict(), sample.metainfo)
        for batch in batches
        for image, sample in zip(batch['inputs'], batch['data_samples'])
    ]


def items(dataset):
    return [dataset[Draw(i, i)] for i in range(len(dataset))]


def test_the_source_has_its_text_and_the_target_has_none(root):
    dataset = make(root)
    assert dataset.domain_sizes == (7, 5)
    samples = [item['data_samples'] for item in items(dataset)]
    assert [s.domain for s in samples] == ['source'] * 7 + ['target'] * 5
    assert [s.gt_text.item for s in samples] == [f'source{i}' for i in range(7)] + [''] * 5
    assert [s.img_path.split('/')[-1] for s in samples[6:8]] == ['source6.png', 'target0.png']


def test_without_a_source_all_items_are_the_same_target_images(root):
    both, alone = make(root), make(root, source=None)
    assert alone.domain_sizes == (0, 5)
    batches = DataLoader(
        alone,
        4,
        sampler=TwoDomainSampler(alone, batch_size=4, ratio=(0, 1), seed=1),
        collate_fn=pseudo_collate,
    )
    for _, sample, metainfo in contents(batches):
        assert metainfo['domain'] == 'target' and sample['gt_text'] == dict(item='')
    for i in range(5):
        a, b = alone[Draw(i, 1)], both[Draw(7 + i, 1)]
        assert torch.equal(a['inputs'], b['inputs'])
        assert a['data_samples'].metainfo == b['data_samples'].metainfo


def test_a_broken_image_without_a_source_is_replaced(root):
    BREAKS['empty'](root / 'target4.png')
    name = Path(make(root, source=None)[4]['data_samples'].img_path).name
    assert name.startswith('target') and name != 'target4.png'


def test_options_of_the_source_have_no_effect_without_one(root, monkeypatch):
    said = []
    monkeypatch.setattr(
        'mmocr_da.datasets.two_domain_dataset.warn_unused', lambda *args: said.append(args[:2])
    )
    make(root, source=None)
    make(root, source=None, pipeline=None, target_pipeline=PIPELINE)
    make(root, unicode_form='NFC', skip_unusable=True, target_pipeline=PIPELINE)
    assert said == []
    make(root, source=None, target_pipeline=PIPELINE)
    make(root, source=None, skip_unusable=True)
    assert said == [
        ('pipeline', '[...]'),
        ('TwoDomainDataset', dict(unicode_form=None, skip_unusable=True)),
    ]


def domains(root, has_source, ratio, needed):
    dataset = make(root, **{} if has_source else dict(source=None))
    sampler = TwoDomainSampler(dataset, batch_size=4, ratio=ratio)
    check_domains(DataLoader(dataset, 4, sampler=sampler), needed)


def test_a_domain_that_is_needed_and_missing_is_an_error_before_the_first_batch(root):
    need = dict(source=['supervised_weight=1'], target=["the objective 'global'"])
    of_target, of_source = ({name: need[name]} for name in ('target', 'source'))
    domains(root, True, (1, 1), need)
    domains(root, False, (0, 1), of_target)
    domains(root, True, (0, 1), of_target)
    domains(root, True, (1, 0), of_source)
    alone = 'on the target alone, set model.supervised_weight=0'
    with pytest.raises(ValueError, match=f'supervised_weight=1, and .* has none.*{alone}'):
        domains(root, False, (0, 1), need)
    with pytest.raises(ValueError, match=f'supervised_weight=1, and the ratio.*{alone}'):
        domains(root, True, (0, 1), need)
    with pytest.raises(ValueError, match="of the target, for the objective 'global'") as error:
        domains(root, True, (1, 0), need)
    assert 'alone' not in str(error.value)


def test_changing_every_target_label_changes_no_item(root):
    before = pickle.dumps(make(root)), contents(loader(make(root)))
    write(root, 'target', ['other'] * 5)
    after = pickle.dumps(make(root)), contents(loader(make(root)))
    assert contents(loader(make(root))) == before[1] == after[1]
    assert b'target0.png' in before[0] and b'source0' in before[0]
    assert not any(re.search(rb'target\d(?!\.png)|other', data) for data in (before[0], after[0]))


def test_several_datasets_per_domain_are_concatenated(root):
    folder = dict(type='mmocr_da.UnlabelledDataset', img_dir=str(root), serialize_data=False)
    dataset = make(
        root,
        source=[labelled(root, 'source', indices=2), labelled(root, 'source')],
        target=[folder, labelled(root, 'target')],
    )
    assert dataset.domain_sizes == (9, 17)
    domains = [dataset[i]['data_samples'].domain for i in range(26)]
    assert domains == ['source'] * 9 + ['target'] * 17


def test_each_domain_can_have_a_pipeline(root):
    dataset = make(root, target_pipeline=[LOAD, TEXT, PACK])
    assert dataset[0]['inputs'].dtype == torch.float32
    assert dataset[7]['inputs'].dtype == torch.uint8


class Label:
    """A transform that makes a label from the image."""

    def __call__(self, results):
        results['gt_texts'] = ['7']
        return results


def test_a_label_that_a_pipeline_makes_for_the_target_is_an_error(root):
    dataset = make(root, pipeline=[LOAD, TEXT, Label(), PACK])
    assert dataset[0]['data_samples'].gt_text.item == '7'
    with pytest.raises(ValueError, match="target0.png must carry no label .* got '7'"):
        dataset[7]


@pytest.mark.parametrize(
    'workers, kwargs',
    [
        (1, dict()),
        (2, dict()),
        (2, dict(persistent_workers=True)),
        pytest.param(1, dict(multiprocessing_context='spawn'), marks=pytest.mark.slow),
    ],
)
def test_items_do_not_depend_on_the_workers(root, workers, kwargs):
    alone, shared = loader(make(root)), loader(make(root), workers, **kwargs)
    for epoch in range(2 if kwargs.get('persistent_workers') else 1):
        alone.sampler.set_epoch(epoch)
        shared.sampler.set_epoch(epoch)
        assert contents(alone) == contents(shared)


@pytest.mark.parametrize('workers', [0, 1])
@pytest.mark.parametrize(
    'sampler', [dict(type='DefaultSampler', shuffle=True), dict(type='InfiniteSampler')]
)
def test_batches_of_a_sampler_that_knows_no_domains_are_refused(root, sampler, workers):
    """By the dataset itself, so also in MMEngine's loops and MMOCR's tools."""
    init_default_scope('mmocr')
    dataset = make(root)
    assert all(dataset[i] for i in (0, 11))  # looking at it is no training
    batches = Runner.build_dataloader(
        dict(batch_size=4, num_workers=workers, sampler=sampler, dataset=dataset)
    )
    with pytest.raises(ValueError, match='both domains into each batch.*TwoDomainSampler'):
        next(iter(batches))
    with pytest.raises(ValueError, match='SeededSampler knows no domains, got a TwoDomainDataset'):
        SeededSampler(dataset, 4)


def test_items_do_not_depend_on_what_ran_before(root):
    whole = contents(loader(make(root)))
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    assert contents(loader(make(root), skip=1)) == whole[4:]


def test_the_same_image_is_augmented_differently_each_time(root):
    dataset = make(root)
    first, second = dataset[Draw(0, 1)], dataset[Draw(0, 2)]
    assert not torch.equal(first['inputs'], second['inputs'])


def test_imgaug_is_seeded_too(root):
    imgaug = dict(type='mmocr.ImgAugWrapper', args=[dict(cls='Affine', rotate=[-90, 90])])
    dataset = make(root, pipeline=[LOAD, TEXT, Noise(), imgaug, PACK])
    assert torch.equal(dataset[Draw(3, 1)]['inputs'], dataset[Draw(3, 1)]['inputs'])
    assert not torch.equal(dataset[Draw(3, 1)]['inputs'], dataset[Draw(3, 2)]['inputs'])


def test_the_first_item_of_a_fresh_process_is_like_any_other(root, monkeypatch):
    dataset = make(root)
    expected = dataset[Draw(0, 1)]['inputs']
    # imgaug takes a number from NumPy when it is used for the first time.
    monkeypatch.setattr('imgaug.random.GLOBAL_RNG', None)
    assert torch.equal(dataset[Draw(0, 1)]['inputs'], expected)


def test_random_numbers_of_the_model_are_not_disturbed(root):
    def numbers():
        return random.random(), np.random.rand(), torch.rand(()).item()

    def seed():
        random.seed(9), np.random.seed(9), torch.manual_seed(9)

    dataset = make(root)
    seed()
    expected = numbers()
    seed()
    dataset[Draw(0, 1)]
    assert numbers() == expected


BREAKS = {
    'empty': lambda path: path.write_bytes(b''),
    'no image': lambda path: path.write_bytes(b'hello'),
    'cut': lambda path: path.write_bytes(path.read_bytes()[:30]),
    'missing': lambda path: path.unlink(),
}


@pytest.mark.parametrize('how', BREAKS)
@pytest.mark.parametrize('ignore_empty', [False, True])
def test_a_broken_image_is_replaced_by_another_of_its_domain(root, how, ignore_empty, caplog):
    for name in ('source6', 'target1', 'target2'):
        BREAKS[how](root / f'{name}.png')
    dataset = make(root, [dict(LOAD, ignore_empty=ignore_empty), TEXT, Noise(), PACK])
    for broken, name in [(6, 'source6'), (8, 'target1'), (9, 'target2')]:
        item = dataset[Draw(broken, 1)]
        sample = item['data_samples']
        instead = Path(sample.img_path).stem
        domain, number = instead[:6], int(instead[6:])
        assert domain == sample.domain == name[:6] and instead != name
        # Also its augmentation is that of this draw.
        other = dataset[Draw(number + 7 * (domain == 'target'), 1)]
        assert torch.equal(item['inputs'], other['inputs'])
        assert 'skipped_images' not in other['data_samples']
        first, *more = sample.skipped_images
        assert first == str(root / f'{name}.png')
        assert {*more} <= {str(root / f'{domain}{i}.png') for i in (1, 2)} - {first}


@pytest.fixture
def log(monkeypatch):
    lines = []
    monkeypatch.setattr(
        seeded_dataset, 'print_log', lambda line, logger, level: lines.append((level, line))
    )
    return lines


def test_a_broken_image_is_named_once(root, log):
    BREAKS['empty'](root / 'source2.png')
    dataset = make(root)
    for _ in range(3):
        items(dataset)
    ((level, line),) = log
    assert level == logging.WARNING and str(root / 'source2.png') in line


def test_a_broken_image_is_named_once_by_all_workers(root, log):
    BREAKS['empty'](root / 'source2.png')
    dataset = make(root)
    batches = loader(dataset, workers=2)
    skipped = [s.img_path for b in batches for s in b['data_samples'] if 'skipped_images' in s]
    assert skipped
    items(dataset)
    assert log == []  # a worker has done it


def test_a_broken_image_in_an_lmdb_is_replaced(root):
    import lmdb

    env = lmdb.open(str(root / 'lmdb'), map_size=2**20)
    with env.begin(write=True) as transaction:
        transaction.put(b'num-samples', b'3')
        transaction.put(b'image-000000001', (root / 'target1.png').read_bytes())
        transaction.put(b'image-000000002', b'')
        transaction.put(b'image-000000003', (root / 'target3.png').read_bytes())
    env.close()
    target = dict(type='mmocr_da.UnlabelledDataset', lmdb=str(root / 'lmdb'))
    dataset = make(root, target=target, pipeline=[LOAD, TEXT, PACK])
    first, second, third = (int(dataset[i]['inputs'][0, 0, 0]) for i in (7, 8, 9))
    assert (first, third) == (21, 61) and second in (21, 61)
    sample = dataset[8]['data_samples']
    assert sample.skipped_images == [f'{root}/lmdb/image-000000002']


class Bug:
    def __call__(self, results):
        raise OSError('this is no broken image')


def test_an_error_that_is_no_broken_image_is_raised_as_it_is(root):
    dataset = make(root, [LOAD, TEXT, Bug(), PACK])
    with pytest.raises(OSError, match='this is no broken image'):
        dataset[0]


class Reject:
    """An augmentation that returns nothing for the first target image."""

    def __call__(self, results):
        return None if results['img'][0, 0, 0] == 1 else results


def test_an_image_that_the_pipeline_rejects_is_replaced_but_not_called_broken(root, log):
    dataset = make(root, [LOAD, TEXT, Reject(), PACK])
    sample = dataset[7]['data_samples']
    assert Path(sample.img_path).name in [f'target{i}.png' for i in range(1, 5)]
    assert 'skipped_images' not in sample and log == []


def test_a_domain_without_a_readable_image_is_an_error(root):
    for path in root.glob('target*.png'):
        path.unlink()
    dataset = make(root)
    assert dataset[0]['data_samples'].domain == 'source'
    with pytest.raises(RuntimeError, match='5 of 5 target images .* check the data_root') as error:
        dataset[8]
    assert isinstance(error.value.__cause__, FileNotFoundError)


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(source=[]), r'source needs at least one dataset, got \[\]; .* source=None'),
        (dict(target=[]), 'target needs at least one dataset'),
        (dict(source='unlabelled'), 'source needs labelled datasets'),
        (dict(pipeline=None), 'has no pipeline'),
        (dict(target_pipeline=[LOAD], target='own pipeline'), 'target_pipeline is given too'),
        (dict(pipeline=[LOAD, TEXT]), "packs 'data_samples'"),
    ],
)
def test_errors_help(root, kwargs, message):
    if kwargs.get('source') == 'unlabelled':
        kwargs = dict(kwargs, source=dict(type='mmocr_da.UnlabelledDataset', img_dir=str(root)))
    if kwargs.get('target') == 'own pipeline':
        kwargs = dict(kwargs, target=dict(labelled(root, 'target'), pipeline=PIPELINE))
    with pytest.raises(ValueError, match=message):
        make(root, **kwargs)[0]


def test_built_datasets_are_taken_as_they_are(root):
    source = DATASETS.build(labelled(root, 'source'))
    dataset = TwoDomainDataset(
        source, labelled(root, 'target') | dict(type='mmocr.OCRDataset'), pipeline=PIPELINE
    )
    assert dataset.datasets[0] is source


@pytest.mark.parametrize(
    'wrap', [lambda cfg: RepeatDataset(cfg, 2), lambda cfg: ConcatDataset([cfg])]
)
def test_a_wrapper_that_hides_the_domains_from_the_sampler_is_an_error(root, wrap):
    dataset = make(root)
    sampler = TwoDomainSampler(dataset, batch_size=4)
    check_sampler(DataLoader(dataset, batch_size=4, sampler=sampler))
    check_sampler(DataLoader(RepeatDataset(dataset.datasets[0], 2)))
    wrapped = wrap(
        dict(
            type='mmocr_da.TwoDomainDataset',
            source=labelled(root, 'source'),
            target=labelled(root, 'target'),
            pipeline=PIPELINE,
        )
    )
    with pytest.raises(ValueError, match=f'dataset itself.* a {type(wrapped).__name__}: '):
        check_sampler(DataLoader(wrapped, batch_size=4))
