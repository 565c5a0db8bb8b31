"""A copy of a recognizer that checkpoints complete."""

import logging

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper

from mmocr_da.models.objectives.recognizer_copy import RecognizerCopy


def state(module):
    return {key: value.clone() for key, value in module.state_dict().items()}


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def own(model):
    return {k: v for k, v in state(model).items() if not k.startswith('objectives.')}


def test_it_has_all_but_the_objectives_and_is_not_trained(adaptive):
    model = adaptive(dict(type='mmocr_da.GlobalAlignment', in_channels=16))
    copy = RecognizerCopy(model).train()
    assert equal(state(copy), own(model))
    assert not any(p.requires_grad for p in copy.parameters())
    assert not any(m.training for m in copy.modules())


def test_it_takes_weights_and_statistics_and_shares_none(adaptive):
    model, other = adaptive(), adaptive()
    other.backbone.layer1[0].bn1.running_mean.add_(1)
    copy = RecognizerCopy(model)
    copy.copy_from(other)
    taken = state(copy)
    assert equal(taken, state(other)) and not equal(taken, state(model))
    with torch.no_grad():
        for value in other.state_dict().values():
            value.add_(1)
    assert equal(state(copy), taken)


@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_a_checkpoint_without_the_copy_gets_it_and_one_with_it_stays(adaptive, prefix):
    model = adaptive()
    copy = RecognizerCopy(model)
    checkpoint = {prefix + key: value for key, value in state(model).items()}
    before = {**checkpoint}
    assert set(copy.complete(checkpoint, prefix, 'objectives.x.at')) == state(model).keys()
    for own_key, twin in copy.keys('objectives.x.at'):
        assert torch.equal(checkpoint[prefix + twin], before[prefix + own_key])
        checkpoint[prefix + twin].add_(1)  # shares no memory
        assert torch.equal(checkpoint[prefix + own_key], before[prefix + own_key])
    changed = {**checkpoint}
    assert copy.complete(checkpoint, prefix, 'objectives.x.at') == []
    assert equal(checkpoint, changed)


def test_what_a_checkpoint_lacks_is_not_invented(adaptive):
    copy = RecognizerCopy(adaptive())
    checkpoint = {'decoder.fc.bias': torch.ones(13)}
    assert copy.complete(checkpoint, '', 'at') == ['decoder.fc.bias']
    assert checkpoint.keys() == {'decoder.fc.bias', 'at.decoder.fc.bias'}


def test_it_replaces_the_parts_of_the_recognizer_within_the_block(adaptive):
    model = adaptive()
    copy, parts = RecognizerCopy(model), dict(model.named_children())
    with pytest.raises(KeyError), copy.replacing(model):
        assert model.backbone is copy.backbone and model.decoder is copy.decoder
        raise KeyError
    assert dict(model.named_children()) == parts


def test_the_log_says_of_its_own_parts_alone_that_they_are_not_trained(adaptive):
    model = adaptive(dict(type='mmocr_da.SelfTraining'))
    model.encoder.requires_grad_(False)
    said = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    try:
        wrapper = build_optim_wrapper(
            model,
            dict(
                optimizer=dict(type='SGD', lr=0.1),
                paramwise_cfg=dict(custom_keys=dict(objectives=dict(lr_mult=5.0))),
            ),
        )
    finally:
        logger.removeHandler(handler)
    skipped = {message.split(' is skipped')[0] for message in said if ' is skipped' in message}
    assert skipped == {f'encoder.{name}' for name, _ in model.encoder.named_parameters()}
    assert sum(len(group['params']) for group in wrapper.optimizer.param_groups)
