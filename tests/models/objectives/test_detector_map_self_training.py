"""Laws of the self-training of detectors by pixels."""

import math

import numpy as np
import pytest
import torch
from helpers.detectors import adaptive, scenes
from mmocr.structures import TextRecogDataSample

from mmocr_da.models.objectives import DetectionFeatures
from mmocr_da.registry import MODELS

ST = dict(type='mmocr_da.DetectorMapSelfTraining', threshold=0.8)
KINDS = ['DBNet', 'PANet', 'PSENet', 'TextSnake']


class Target(DetectionFeatures):
    """Images whose logits are known."""

    def __init__(self, logits, samples=None, images=None):
        samples = (
            scenes('DBNet', ['target'] * len(logits))['data_samples']
            if samples is None
            else samples
        )
        images = torch.zeros(len(logits), 3, 64, 64) if images is None else images
        super().__init__({'neck': [logits]}, images, samples, text_maps=lambda: logits)


def objective_of(maps, **settings):
    """An objective whose teacher predicts these probabilities."""
    objective = adaptive('DBNet', dict(ST, **settings)).eval().objectives['map_self_training']
    objective.predict_maps = lambda target, size: maps
    return objective


def loss_of(objective, logits):
    return objective(None, Target(logits))['loss_map_self_training']


def oracle(logits, maps, threshold):
    """Pixel by pixel in float64."""
    total = 0.0
    for z_image, p_image in zip(logits.double(), maps.double()):
        of_maps = []
        for z, p in zip(z_image, p_image):
            learned = []
            for a, b in zip(z.flatten().tolist(), p.flatten().tolist()):
                if b >= threshold or b <= 1 - threshold:
                    learned.append(math.log1p(math.exp(-a if b >= threshold else a)))
            of_maps.append(sum(learned) / len(learned))
        if (p_image[0] >= threshold).any():
            total += sum(of_maps) / len(of_maps)
    return total / len(logits)


def test_the_loss_is_that_of_the_equation():
    torch.manual_seed(0)
    logits, maps = torch.randn(3, 2, 8, 8), torch.rand(3, 2, 8, 8)
    maps[1, 0].clamp_(max=0.7)  # no pixel of this image is sure to be text
    for threshold, weight in ((0.8, 1.0), (0.9, 0.5)):
        found = loss_of(objective_of(maps, threshold=threshold, weight=weight), logits)
        assert found.item() == pytest.approx(weight * oracle(logits, maps, threshold), rel=1e-5)


def test_a_sure_student_that_agrees_has_no_loss_and_an_unsure_teacher_gives_no_gradient():
    maps = torch.tensor([[[[0.9, 0.1], [0.6, 0.4]]]]).repeat(1, 1, 4, 4)
    logits = torch.where(maps > 0.5, 40.0, -40.0).requires_grad_()
    assert loss_of(objective_of(maps), logits).item() < 1e-12
    opposite = (-logits.detach()).requires_grad_()
    loss_of(objective_of(maps), opposite).backward()
    sure = (maps >= 0.8) | (maps <= 0.2)
    assert (opposite.grad[sure] != 0).all() and (opposite.grad[~sure] == 0).all()


def test_every_pixel_counts_alike_so_that_no_kind_grows():
    """By hand: the loss is least where the student finds as much text as its teacher."""
    maps = torch.zeros(1, 1, 8, 8)
    maps[0, 0, 0, 0] = 1
    logits = torch.zeros(1, 1, 8, 8, requires_grad=True)
    loss = loss_of(objective_of(maps), logits)
    assert loss.item() == pytest.approx(math.log(2))
    loss.backward()
    assert logits.grad[0, 0, 0, 0].item() == pytest.approx(-0.5 / 64)
    # A student that sees no difference between the pixels finds text in one of 64.
    bias = torch.tensor(math.log(1 / 63), requires_grad=True)
    loss_of(objective_of(maps), bias.expand(1, 1, 8, 8)).backward()
    assert bias.grad.item() == pytest.approx(0, abs=1e-7)


def test_what_is_not_of_the_image_is_not_learned():
    samples = scenes('DBNet', ['target'], img_shape=(32, 64))['data_samples']
    maps = torch.zeros(1, 1, 8, 8)
    maps[0, 0, 1, 1] = 1
    logits = torch.zeros(1, 1, 8, 8, requires_grad=True)
    found = objective_of(maps)(None, Target(logits, samples))
    found['loss_map_self_training'].backward()
    assert (logits.grad[:, :, 4:] == 0).all() and (logits.grad[:, :, :4] != 0).all()
    assert found['map_self_training_text'].item() == pytest.approx(1 / 32)
    assert found['map_self_training_kept'].item() == 1


def test_values_in_the_log():
    maps = torch.full((2, 1, 8, 8), 0.5)
    maps[0, 0, :2] = 0.9
    maps[0, 0, 2:4] = 0.1
    found = objective_of(maps)(None, Target(torch.zeros(2, 1, 8, 8)))
    values = {k.removeprefix('map_self_training_'): v.item() for k, v in found.items()}
    assert values['text'] == pytest.approx(1 / 8) and values['kept'] == pytest.approx(1 / 4)
    assert values['learned_images'] == 0.5 and values['weight'] == 1


def trained(kind, domains, **settings):
    """Losses and gradients of a batch of a real detector whose teacher is sure of bright boxes."""
    model = adaptive(kind, dict(ST, **settings), supervised_weight=0).train()
    batch = model.data_preprocessor(scenes(kind, domains), True)

    def boxes(images):
        with torch.no_grad():
            size = type(model).predict_text_maps(model, images).shape
        maps = torch.zeros(size)
        maps[..., size[2] // 4 : size[2] // 2, size[3] // 4 : size[3] // 2] = 1
        return maps

    model.predict_text_maps = boxes
    total, log = model.parse_losses(model(**batch, mode='loss'))
    total.backward()
    return log, {k: p.grad for k, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize('kind', KINDS)
def test_it_reaches_backbone_neck_and_head_of_each_detector(kind):
    log, grads = trained(kind, ['source', 'target'])
    assert log['loss_map_self_training'] > 0 and log['map_self_training_kept'] == 1
    for part in ('backbone', 'neck', 'det_head'):
        found = [g for k, g in grads.items() if k.startswith(part)]
        assert any(g.any() for g in found) and all(g.isfinite().all() for g in found)


@pytest.mark.parametrize('kind', KINDS)
def test_all_weights_have_a_gradient_whatever_there_is_to_learn(kind):
    """Else DDP would wait for those of thresholds, or of a process without an image."""
    keys = trained(kind, ['target'])[1].keys()
    log, grads = trained(kind, ['source'])
    assert grads.keys() == keys and log['loss_map_self_training'] == 0
    assert not any(g.any() for g in grads.values())


@pytest.mark.parametrize('kind', KINDS)
def test_the_teacher_predicts_as_in_testing(kind):
    model = adaptive(kind, dict(ST)).train()
    objective = model.objectives.map_self_training
    with torch.no_grad():
        for p in objective.teacher.parameters():
            p.mul_(1.1)
    batch = model.data_preprocessor(scenes(kind, ['target']), False)
    domain = DetectionFeatures({}, batch['inputs'], batch['data_samples'])
    with torch.no_grad(), objective.teacher.replacing(model):
        known = model.eval().predict_text_maps(batch['inputs'])
    model.train()
    found = objective.predict_maps(domain, tuple(known.shape[2:]))
    torch.testing.assert_close(found, known)
    assert not found.requires_grad


def weak_view(sample, image, **meta):
    view = TextRecogDataSample(metainfo=dict(img_shape=tuple(image.shape[1:]), **meta))
    view.set_data(dict(image=image.numpy()))
    sample.set_data(dict(weak_view=view))


def test_maps_are_carried_to_a_view_that_is_flipped():
    """As the maps of the flipped view, for a teacher that looks at pixels alone."""
    model = adaptive('DBNet', dict(ST)).eval()
    objective = model.objectives.map_self_training
    model.predict_text_maps = lambda images: images[:, :1].sigmoid()
    data = scenes('DBNet', ['target'])
    (strong,), (image,) = data['data_samples'], data['inputs']
    flip = np.array([[-1.0, 0, 64], [0, 1, 0], [0, 0, 1]])
    weak_view(strong, image, to_strong=flip)
    flipped = model.data_preprocessor(dict(data, inputs=[image.flip(-1)]), False)['inputs']
    found = objective.predict_maps(DetectionFeatures({}, flipped, [strong]), (64, 64))
    torch.testing.assert_close(found, flipped[:, :1].sigmoid(), atol=1e-5, rtol=0)


def test_padding_of_the_teachers_view_is_unknown():
    model = adaptive('DBNet', dict(ST)).eval()
    objective = model.objectives.map_self_training
    model.predict_text_maps = lambda images: torch.zeros(len(images), 1, 64, 64)
    data = scenes('DBNet', ['target'] * 2)
    small, large = data['data_samples']
    down = np.array([[1.0, 0, 0], [0, 2, 0], [0, 0, 1]])
    weak_view(small, data['inputs'][0][:, :32], to_strong=down)
    weak_view(large, data['inputs'][1], to_strong=np.eye(3))
    domain = DetectionFeatures({}, torch.zeros(2, 3, 64, 64), [small, large])
    maps = objective.predict_maps(domain, (64, 64))
    assert (maps == 0).float().mean((1, 2, 3)).tolist() == pytest.approx([1, 1], abs=0.05)
    # Rows of the padded view that lie below the image move out of the larger one.
    small.weak_view.set_metainfo(dict(to_strong=np.eye(3)))
    small.set_metainfo(dict(img_shape=(64, 64)))
    maps = objective.predict_maps(domain, (64, 64))
    assert (maps[0, 0, 33:] == 0.5).all() and (maps[0, 0, :31] == 0).all()


@pytest.mark.parametrize('threshold', [0.5, 1.1, float('nan'), None])
def test_the_threshold_separates_text_from_background(threshold):
    with pytest.raises((ValueError, TypeError), match='threshold must be .*above 0.5'):
        MODELS.build(dict(ST, threshold=threshold))


def test_the_teacher_is_exported():
    model = adaptive('DBNet', dict(ST, decay=0.5)).eval()
    with torch.no_grad():
        model.det_head.binarize[0].weight.add_(1.0)
    state = model.state_dict()
    exported = model.plain_state_dict(state)
    key = 'det_head.binarize.0.weight'
    assert torch.equal(exported[key], state[f'objectives.map_self_training.teacher.{key}'])
    assert not torch.equal(exported[key], state[key])
