"""The moving average of a recognizer."""

import copy

import pytest
import torch

from mmocr_da.models.objectives.teacher import Teacher
from mmocr_da.registry import MODELS


def moved(model):
    """The model with other weights and statistics."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        for value in other.state_dict().values():
            value += 1
    return other


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_it_starts_as_a_copy_without_objectives_and_is_not_trained(adaptive):
    model = adaptive(dict(type='mmocr_da.GlobalAlignment', in_channels=16))
    teacher = Teacher(model).train()
    own = {k: v for k, v in model.state_dict().items() if not k.startswith('objectives.')}
    assert equal(teacher.state_dict(), own)
    assert not any(p.requires_grad for p in teacher.parameters())
    assert not any(m.training for m in teacher.modules())


def test_a_decay_of_one_keeps_it_and_of_zero_copies(adaptive):
    model = adaptive()
    teacher, student = Teacher(model), moved(model)
    before = copy.deepcopy(teacher.state_dict())
    teacher.follow(student, 1.0)
    assert equal(teacher.state_dict(), before)
    teacher.follow(student, 0.0)
    assert equal(teacher.state_dict(), student.state_dict())
    teacher.copy_from(model)
    assert equal(teacher.state_dict(), before)


@pytest.mark.parametrize('decay', [0.25, 0.9])
def test_weights_and_statistics_are_averaged_and_counters_copied(adaptive, decay):
    model = adaptive()
    teacher, student = Teacher(model), moved(model)
    teacher.follow(student, decay)
    teacher.follow(student, decay)
    first, last = model.state_dict(), student.state_dict()
    counters = 0
    for key, value in teacher.state_dict().items():
        if value.is_floating_point():
            wanted = decay**2 * first[key] + (1 - decay**2) * last[key]
            torch.testing.assert_close(value, wanted)
        else:
            assert torch.equal(value, last[key])
            counters += 1
    assert counters


def test_gates_and_statistics_of_domains_are_averaged_too(recognizer_cfg):
    cfg = recognizer_cfg()
    cfg.update(
        type='mmocr_da.WithBIN',
        of='mmocr_da.AdaptiveRecognizer',
        norm_statistics='per_domain',
        objectives=[dict(type='mmocr_da.SelfTraining', decay=0.5)],
    )
    model = MODELS.build(cfg)
    objective = model.objectives['self_training']
    keys = [k for k in objective.teacher.state_dict() if k.endswith(('rho', 'source_mean'))]
    assert {k.rsplit('.')[-1] for k in keys} == {'rho', 'source_mean'}
    assert not any(p.requires_grad for p in objective.teacher.parameters())
    with torch.no_grad():
        for key in keys:
            model.state_dict()[key].fill_(0.5)
    before = {k: objective.teacher.state_dict()[k].clone() for k in keys}
    objective.teacher.follow(model, 0.5)
    for key in keys:
        wanted = before[key] / 2 + 0.25
        torch.testing.assert_close(objective.teacher.state_dict()[key], wanted)


def test_it_replaces_the_parts_of_the_recognizer_within_the_block(adaptive, batch):
    model = adaptive()
    teacher = Teacher(moved(model))
    names, parts = list(model.state_dict()), dict(model.named_children())
    with pytest.raises(KeyError), teacher.replacing(model):
        assert model.backbone is teacher.backbone and model.decoder is teacher.decoder
        assert list(model.state_dict()) == names
        raise KeyError
    assert dict(model.named_children()) == parts


def test_infinite_constants_stay_as_they_are(adaptive):
    """The masks of SVTR: their average would be NaN, and so would be all predictions."""
    model = adaptive()
    model.backbone.register_buffer('mask', torch.tensor([0.0, -torch.inf]))
    teacher = Teacher(model)
    for _ in range(2):
        teacher.follow(model, 0.5)
    assert torch.equal(teacher.backbone.mask, model.backbone.mask)
