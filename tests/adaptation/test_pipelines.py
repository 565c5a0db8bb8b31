"""Each pipeline of MMOCR's recognizers is divided into loading, augmentation and preparation."""

import copy
from pathlib import Path

import mmocr
import pytest
from mmengine.config import Config, ConfigDict

from mmocr_da.adaptation.pipelines import read_pipelines, type_of

CONFIGS = Path(mmocr.__file__).parent / '.mim' / 'configs' / 'textrecog'
#: One of each architecture, and the transforms of its own augmentation.
OWN = {
    'crnn/crnn_mini-vgg_5e_mj': [],
    'svtr/svtr-tiny_20e_st_mj': ['RandomApply'] * 2 + ['ConditionApply'] + ['RandomApply'] * 4,
    'abinet/abinet_20e_st-an_mj': ['RandomApply'] * 3,
    'aster/aster_resnet45_6e_st_mj': [],
    'master/master_resnet31_12e_toy': [],
    'nrtr/nrtr_modality-transform_6e_toy': [],
    'robust_scanner/robustscanner_resnet31_5e_toy': [],
    'sar/sar_resnet31_parallel-decoder_5e_toy': [],
    'satrn/satrn_shallow_5e_st_mj': [],
}
LOAD = dict(type='LoadImageFromFile')
TEXT = dict(type='LoadOCRAnnotations', with_text=True)
AUGMENT = dict(type='RandomApply', transforms=[dict(type='ReversePixels')])
RESIZE = dict(type='Resize', scale=(32, 16))
STEP = dict(type='ConditionApply', condition='results.update(img=results["img"] / 2)')
PACK = dict(type='PackTextRecogInputs', meta_keys=('img_path', 'valid_ratio'))


def config(train, test=None, train_name=None):
    test = copy.deepcopy(train if test is None else test)
    cfg = dict(test_pipeline=test, test_dataloader=dict(dataset=dict(pipeline=test)))
    if train is not None:
        cfg['train_dataloader'] = dict(dataset=dict(type='ConcatDataset', pipeline=train))
        cfg[train_name or 'train_pipeline'] = train
    return Config(cfg)


def evaluated(expression, cfg):
    return eval(expression, dict(_base_=ConfigDict(cfg.to_dict())))


def types(expression, cfg):
    return [type_of(step) for step in evaluated(expression, cfg)]


@pytest.mark.parametrize('name', OWN)
def test_every_recognizer_of_mmocr_loads_prepares_and_packs(name):
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    parts = read_pipelines(cfg)
    assert types(parts.load, cfg) == ['LoadImageFromFile', 'LoadOCRAnnotations']
    prepared = types(parts.prepare, cfg)
    assert prepared[-1] == 'PackTextRecogInputs' and len(prepared) > 1
    assert parts.left_out == OWN[name]
    # Nothing is lost, and nothing is there twice.
    train = [type_of(step) for step in cfg.train_pipeline]
    assert sorted(train) == sorted([*types(parts.load, cfg), *prepared, *parts.left_out])
    if name.startswith('crnn'):  # images differ in width
        assert parts.prepare_as_tested is None and parts.size == (100, 32)
    else:
        expected = [t for t in map(type_of, cfg.test_pipeline) if 'Load' not in t]
        assert types(parts.prepare_as_tested, cfg) == expected


@pytest.mark.parametrize(
    'train, test, prepared, left_out',
    [
        ([LOAD, TEXT, AUGMENT, RESIZE, PACK], [LOAD, RESIZE, TEXT, PACK], 2, 1),
        ([LOAD, RESIZE, AUGMENT, TEXT, PACK], [LOAD, RESIZE, PACK], 2, 1),
        # What testing does, too, is no augmentation.
        ([LOAD, TEXT, RESIZE, STEP, PACK], [LOAD, RESIZE, STEP, PACK], 3, 0),
        ([LOAD, TEXT, RESIZE, STEP, PACK], [LOAD, RESIZE, PACK], 2, 1),
        ([LOAD, PACK], None, 1, 0),
    ],
)
def test_the_test_pipeline_tells_preparation_from_augmentation(train, test, prepared, left_out):
    cfg = config(train, test)
    parts = read_pipelines(cfg)
    assert len(evaluated(parts.prepare, cfg)) == prepared
    assert len(parts.left_out) == left_out
    assert parts.transforms == evaluated(parts.load, cfg) + evaluated(parts.prepare, cfg)


def test_a_pipeline_is_found_where_the_dataset_has_it():
    pipeline = [LOAD, TEXT, RESIZE, PACK]
    part = dict(type='OCRDataset', pipeline=pipeline)
    for dataset, name in (
        (part, '_base_.train_dataloader.dataset.pipeline[:2]'),
        (
            dict(type='ConcatDataset', datasets=[dict(type='OCRDataset'), part]),
            '_base_.train_dataloader.dataset.datasets[1].pipeline[:2]',
        ),
        (
            dict(type='mmocr_da.TwoDomainDataset', source=part, target=dict(), pipeline=None),
            '_base_.train_dataloader.dataset.source.pipeline[:2]',
        ),
    ):
        cfg = config([LOAD, PACK], [LOAD, RESIZE, PACK])
        cfg.train_dataloader = dict(dataset=copy.deepcopy(dataset))
        parts = read_pipelines(cfg)
        assert parts.load == name
        assert types(parts.load, cfg) == ['LoadImageFromFile', 'LoadOCRAnnotations']


def test_without_training_data_the_test_pipeline_serves():
    cfg = config(None, [LOAD, RESIZE, TEXT, PACK])
    parts = read_pipelines(cfg)
    assert parts.load == '[_base_.test_pipeline[0], _base_.test_pipeline[2]]'
    assert types(parts.prepare, cfg) == ['Resize', 'PackTextRecogInputs']


@pytest.mark.parametrize(
    'train, test',
    [
        ([TEXT, LOAD, PACK], [LOAD, PACK]),
        ([LOAD, RESIZE], [LOAD, PACK]),
        ([LOAD, PACK], [RESIZE, LOAD, PACK]),
        ([LOAD, dict(type='mmocr_da.MultiView')], [LOAD, PACK]),
    ],
)
def test_a_pipeline_of_another_form_is_an_error_that_shows_it(train, test):
    with pytest.raises(ValueError, match='must begin with LoadImageFromFile and end with') as info:
        read_pipelines(config(train, test))
    assert (
        'MultiView' in str(info.value) or 'Resize' in str(info.value) or 'Load' in str(info.value)
    )
    assert 'train_pipeline is [LoadImageFromFile' in str(info.value)


def test_a_config_without_a_pipeline_is_an_error():
    with pytest.raises(ValueError, match='needs a pipeline in test_dataloader.dataset'):
        read_pipelines(Config(dict(model=dict())))


@pytest.mark.parametrize(
    'steps, size',
    [
        ([RESIZE], (32, 16)),
        ([dict(type='Resize', scale=(32, 16), keep_ratio=True)], None),
        ([dict(type='RescaleToHeight', height=48)], None),
        ([dict(type='RescaleToHeight', height=48), dict(type='PadToWidth', width=160)], (160, 48)),
        ([], None),
    ],
)
def test_the_size_of_prepared_images_is_known_if_all_get_one(steps, size):
    parts = read_pipelines(config([LOAD, *steps, PACK]))
    assert parts.size == size
    assert (parts.prepare_as_tested is None) == (size is None)
