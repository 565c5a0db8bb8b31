"""Every constructor refuses an argument that cannot be meant, by its name."""

import inspect
import json
import math
import typing
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmocr.models.common.dictionary import Dictionary

from mmocr_da import registry
from mmocr_da.plain import is_ours

REGISTRIES = [r for r in vars(registry).values() if getattr(r, 'scope', None) == 'mmocr_da']
for _registry in REGISTRIES:
    _registry.import_from_location()
#: All that this package registers, by its first name.
PARTS = {
    name: part
    for part, name in {
        part: name
        for one in REGISTRIES
        for name, part in reversed(one.module_dict.items())
        if is_ours(part)
    }.items()
}
RESIZE = dict(type='Resize', scale=(32, 16))
#: What has an argument that must be given.
NEEDED = dict(
    AdaptiveRecognizer=lambda make: make.recognizer,
    AngleMaxIoUAssigner=lambda make: dict(pos_iou_thr=0.5, neg_iou_thr=0.3),
    AttentionDecoder=lambda make: make.decoder,
    BatchInstanceNorm=lambda make: dict(num_features=4),
    CharacterDecoder=lambda make: dict(
        in_channels=8, dictionary=dict(make.dictionary, with_start=False, same_start_end=False)
    ),
    ConfidenceQuantile=lambda make: dict(start=0.5),
    ConfidenceThreshold=lambda make: dict(threshold=0.5),
    EditDistanceSurrogate=lambda make: dict(
        dictionary=make.dictionary_object, max_length=4, surrogate_steps=1
    ),
    FreezeHook=lambda make: dict(modules='backbone'),
    InverseDecayParamScheduler=lambda make: dict(optimizer=make.optimizer, param_name='lr', end=5),
    LabelFraction=lambda make: dict(dataset=make.dataset),
    LazyRecogLMDBDataset=lambda make: dict(lazy_init=True),
    MultiView=lambda make: dict(transforms=[RESIZE]),
    RenderedWords=lambda make: dict(dict_file=make.dictionary['dict_file']),
    RotatedAnchorGenerator=lambda make: dict(strides=[8], ratios=[1.0], scales=[8]),
    RotatedIoUSurrogate=lambda make: dict(approximation='local'),
    SeededDataset=lambda make: dict(datasets=make.dataset),
    SeededSampler=lambda make: dict(dataset=range(9), batch_size=2),
    SeqCLR=lambda make: make.encoder,
    SomeOf=lambda make: dict(transforms=[RESIZE] * 5),
    TwoDomainDataset=lambda make: dict(source=make.dataset, target=make.dataset),
    TextResNet=lambda make: make.backbone,
    TwoDomainSampler=lambda make: dict(dataset=SimpleNamespace(domain_sizes=(9, 9)), batch_size=2),
    UnlabelledDataset=lambda make: dict(img_dir=make.folder),
    WeakStrongViews=lambda make: dict(weak=[RESIZE], strong=[RESIZE]),
    WithBIN=lambda make: dict(make.backbone, of='ResNet'),
    **dict.fromkeys(
        (
            'BiLSTMEncoder',
            'BiLSTMProjection',
            'DomainConfusion',
            'DomainDiscriminator',
            'GlobalAlignment',
            'ImageAlignment',
            'LocalAlignment',
            'MLPProjection',
        ),
        lambda make: dict(in_channels=4),
    ),
)
#: Parts that need a detector or a run, which check their configs.
LEFT_OUT = {
    'AdaptiveTextDetector',
    'BalancedBBoxHead',
    'BalancedRPNHead',
    'BINGateOptimWrapperConstructor',
    'DumpPredictions',
    'InverseDecayLR',
    'LSIoULoss',
    'PaintingHook',
    'ResumableIterBasedTrainLoop',
    'RotatedMMDetWrapper',
    'SurrogateMMDetWrapper',
    'RotatedRoIExtractor',
}
#: Texts that may be anything (names, paths, prefixes), and what MMEngine checks when it builds.
FREE = {
    'device',
    'dtype',
    'init_cfg',
    'optimizer',
    'lazy_init',
    'test_mode',
    'collect_device',
    'backend_args',
    'exclude',
}
FREE_TEXT = {
    'backgrounds',
    'checkpoint',
    'dict_file',
    'fonts',
    'img_dir',
    'img_list',
    'img_prefix',
    'include',
    'lexicon',
    'lmdb',
    'modules',
    'of',
    'prediction',
    'prefix',
    'skip_losses',
}

BROKEN = st.sampled_from([math.nan, math.inf, -math.inf])
CONTAINERS = st.sampled_from([[], {}, [1], dict(type='X')])
NOT_NUMBERS = st.one_of(BROKEN, CONTAINERS, st.text(), st.booleans())
#: Values that no argument of this kind can mean.
NONSENSE = {
    int: st.one_of(
        NOT_NUMBERS, st.integers(max_value=-1), st.floats(0.1, 9).filter(lambda x: x % 1)
    ),
    float: st.one_of(NOT_NUMBERS, st.floats(max_value=-1e-6)),
    bool: st.one_of(BROKEN, CONTAINERS, st.text(), st.integers(2), st.floats()),
    str: st.one_of(BROKEN, CONTAINERS, st.integers(), st.just('no such thing')),
    dict: st.one_of(BROKEN, st.text(min_size=1), st.integers(2), st.just([1])),
    tuple: st.one_of(
        BROKEN,
        st.text(min_size=1),
        st.integers(),
        st.lists(st.floats(1, 2), min_size=7, max_size=8),
        st.just((1.0, math.nan)),
        st.just(('a', 'b')),
    ),
    list: st.one_of(BROKEN, st.integers()),
}


def kind_of(annotation):
    """The type of an argument, one of ``NONSENSE``; None for another one."""
    for option in typing.get_args(annotation) if _is_union(annotation) else (annotation,):
        origin = typing.get_origin(option) or option
        if origin is typing.Literal:
            return str
        for kind in (bool, int, float, str, dict, tuple):
            if origin is kind:
                return kind
        if inspect.isclass(origin) and issubclass(origin, typing.Mapping):
            return dict
        if inspect.isclass(origin) and issubclass(origin, typing.Sequence):
            return list
    return None


def _is_union(annotation):
    return type(annotation).__name__ in ('UnionType', '_UnionGenericAlias', 'Union')


def own_arguments(part):
    """``{name: annotation}`` of the arguments that this package defines."""
    makers = (
        [part]
        if inspect.isfunction(part)
        else [vars(c)['__init__'] for c in part.__mro__ if is_ours(c) and '__init__' in vars(c)]
    )
    found = {}
    for make in makers:
        hints = typing.get_type_hints(inspect.unwrap(make))
        for name, parameter in inspect.signature(make).parameters.items():
            if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                found.setdefault(name, hints.get(name))
    return found


def needed_by(name, part, make):
    names = [name] + [c.__name__ for c in getattr(part, '__mro__', ())]
    return next((NEEDED[n](make) for n in names if n in NEEDED), {})


CASES = [
    (name, argument, kind_of(annotation))
    for name, part in sorted(PARTS.items())
    if name not in LEFT_OUT
    for argument, annotation in sorted(own_arguments(part).items())
    if argument not in FREE and kind_of(annotation) is not None
]


@pytest.fixture(scope='module')
def make(tmp_path_factory):
    """What the constructors need."""
    folder = tmp_path_factory.mktemp('images')
    cv2.imwrite(str(folder / '0.png'), np.zeros((8, 8, 3), np.uint8))
    images = [dict(img_path='0.png', instances=[dict(text='1')])]
    metainfo = dict(dataset_type='TextRecogDataset', task_name='textrecog')
    (folder / 'labels.json').write_text(json.dumps(dict(metainfo=metainfo, data_list=images)))
    (folder / 'digits.txt').write_text('\n'.join('0123456789'))
    dictionary = dict(
        type='Dictionary',
        dict_file=str(folder / 'digits.txt'),
        with_start=True,
        with_end=True,
        same_start_end=True,
        with_padding=True,
    )
    backbone = dict(
        in_channels=1,
        stem_channels=[4],
        block_cfgs=dict(type='BasicBlock', use_conv1x1=False),
        arch_layers=[1],
        arch_channels=[4],
        strides=[1],
    )
    decoder = dict(
        in_channels=4,
        emb_dims=4,
        attn_dims=4,
        hidden_size=4,
        max_seq_len=4,
        dictionary=dictionary,
        postprocessor=dict(type='AttentionPostprocessor'),
        module_loss=dict(
            type='CEModuleLoss', flatten=True, ignore_first_char=True, reduction='mean'
        ),
    )
    options = {k: v for k, v in dictionary.items() if k != 'type'}
    parts = dict(backbone=dict(backbone, type='ResNet'))
    return SimpleNamespace(
        folder=str(folder),
        dictionary=dictionary,
        dictionary_object=Dictionary(**options),
        backbone=backbone,
        decoder=decoder,
        recognizer=dict(parts, decoder=dict(decoder, type='mmocr_da.AttentionDecoder')),
        encoder=dict(parts, representation='V'),
        dataset=dict(
            type='OCRDataset',
            data_root=str(folder),
            ann_file='labels.json',
            pipeline=[dict(type='LoadImageFromFile')],
        ),
        optimizer=torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1),
    )


def nonsense_for(argument, kind):
    if argument in FREE_TEXT:
        return NONSENSE[kind].filter(lambda value: not isinstance(value, str))
    return NONSENSE[kind]


@pytest.mark.parametrize('name, argument, kind', CASES)
@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_nonsense_is_an_error_that_names_the_argument(name, argument, kind, make, data):
    value = data.draw(nonsense_for(argument, kind))
    part = PARTS[name]
    arguments = {**needed_by(name, part, make), argument: value}
    with pytest.raises((ValueError, TypeError)) as error:
        part(**arguments)
    assert argument in str(error.value)
    assert len(str(error.value).split()) >= 4


def test_all_parts_can_be_made_without_nonsense(make):
    for name, part in PARTS.items():
        if name not in LEFT_OUT:
            part(**needed_by(name, part, make))
    assert LEFT_OUT <= PARTS.keys()
    assert {name.split('.')[0] for name in NEEDED} - {'BatchInstanceNorm'} <= PARTS.keys()
