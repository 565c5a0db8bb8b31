"""Builds the decoders of ``helpers/decoders.py``, alone and in a recognizer."""

import copy

import pytest
from helpers.decoders import (
    ABINET,
    ENCODERS,
    ISOLATED,
    OTHERS,
    STEPWISE,
    class_of,
    prepared,
    without_dropout,
)

from mmocr_da.registry import MODELS


@pytest.fixture
def decoder_cfg(recognizer_cfg, digits_dictionary):
    """Configs of all decoders of the table, for 16 channels."""

    def make(kind, **changes):
        without_start = dict(digits_dictionary, with_start=False, same_start_end=False)
        if kind in STEPWISE | OTHERS:
            cfg = recognizer_cfg(kind.split('(')[0])['decoder']
            options = (STEPWISE | OTHERS)[kind]
            if options is not None:
                names = ('type', 'max_seq_len', 'postprocessor', 'module_loss')
                cfg = {name: cfg[name] for name in names} | copy.deepcopy(options)
            if kind in ABINET:
                cfg['module_loss'] = dict(type='ABIModuleLoss')
            cfg['dictionary'] = dict(digits_dictionary)
        elif kind == ISOLATED:
            cfg = dict(
                type=kind,
                in_channels=16,
                dictionary=without_start,
                module_loss=dict(type='CEModuleLoss', flatten=True, reduction='mean'),
                postprocessor=dict(type='AttentionPostprocessor'),
            )
        else:
            cfg = dict(
                type=kind.split('(')[0],
                in_channels=16,
                dictionary=dict(without_start, with_end=False),
                module_loss=dict(type='CTCModuleLoss', zero_infinity=True),
                postprocessor=dict(type='CTCPostProcessor'),
            )
            if 'rnn_flag' in kind:
                cfg['rnn_flag'] = True
        for part, options in changes.items():
            cfg[part].update(options)
        return cfg

    return make


@pytest.fixture
def decoder(decoder_cfg):
    """Decoders in training mode and in float64, but ASTER's and MASTER's, whose first state
    or mask is float32."""

    def make(kind, **changes):
        model = prepared(MODELS.build(decoder_cfg(kind, **changes)).train())
        return model if kind in ('ASTERDecoder', 'MasterDecoder') else model.double()

    return make


@pytest.fixture
def recognizer(adaptive, decoder_cfg):
    """The tiny recognizer with a decoder of the matrix, and what it needs before it."""

    def make(kind, *objectives, **kwargs):
        if class_of(kind) in ENCODERS:
            kwargs['encoder'] = copy.deepcopy(ENCODERS[class_of(kind)])
        model = adaptive(*objectives, decoder=decoder_cfg(kind), **kwargs)
        without_dropout(model)
        prepared(model.decoder)
        return model

    return make
