import math

import pytest
import torch
from helpers.detectors import adaptive, scenes
from mmengine.structures import BaseDataElement
from torch import nn

from mmocr_da.models.objectives import DetectionFeatures
from mmocr_da.registry import MODELS

BOTH = ['source', 'target', 'source', 'target']
#: Width of the features that the narrow detectors classify.
WIDTHS = dict(MMDetWrapper=32, RotatedMMDetWrapper=128)


@pytest.fixture
def make():
    def make(**options):
        torch.manual_seed(0)
        cfg = dict(type='mmocr_da.InstanceAlignment', in_channels=4, weight=0.3)
        objective = MODELS.build(dict(cfg, **options))
        objective.init_weights()
        return objective.double()

    return make


def domain(features, image, num_images):
    """Proposals of images; ``image`` says of which image each is."""
    samples = [BaseDataElement() for _ in range(num_images)]
    given = features, torch.tensor(image, dtype=torch.long)
    return DetectionFeatures({}, torch.zeros(num_images, 3, 8, 8), samples, None, lambda _: given)


def proposals(num, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num, 4, generator=generator, dtype=torch.double).requires_grad_()


def step(model, kind):
    """Losses by name and gradients of a batch of both domains; draws are those of one seed."""
    model.train()
    torch.manual_seed(3)
    model.zero_grad()
    batch = model.data_preprocessor(scenes(kind, BOTH), True)
    total, log = model.parse_losses(model(**batch, mode='loss'))
    total.backward()
    grads = {k: p.grad.clone() for k, p in model.named_parameters() if p.grad is not None}
    return {k: v.item() for k, v in log.items()}, grads


def test_the_loss_and_its_gradients_equal_a_slow_oracle(make):
    """The instance-level adaptation of Chen et al., proposal by proposal, with means for sums."""
    objective = make()
    given = [proposals(3, 1), proposals(4, 2)]
    images = [[0, 0, 1], [0, 2, 2, 2]]  # the second image of the target has no proposal
    objective(*(domain(x, i, 3) for x, i in zip(given, images)))['loss_instance'].backward()
    d_grads = [p.grad.clone() for p in objective.parameters()]
    x_grads = [x.grad.clone() for x in given]

    objective.zero_grad()
    losses = []
    for label, (x, image) in enumerate(zip(given, images)):
        x.grad = None
        by_image = {}
        for row, i in zip(x, image):
            p = torch.sigmoid(objective.discriminator(row[None])[0, 0])
            by_image.setdefault(i, []).append(-torch.log(p if label else 1 - p))
        losses.append(sum(sum(e) / len(e) for e in by_image.values()) / len(by_image))
    oracle = sum(losses) / 2
    oracle.backward()
    found = objective(*(domain(x, i, 3) for x, i in zip(given, images)))
    assert found['loss_instance'].item() == pytest.approx(oracle.item(), rel=1e-6)
    for grad, p in zip(d_grads, objective.parameters()):
        torch.testing.assert_close(grad, p.grad, rtol=1e-5, atol=1e-8)
    for grad, x in zip(x_grads, given):  # reversed, and lambda of it
        torch.testing.assert_close(grad, -0.3 * x.grad, rtol=1e-5, atol=1e-8)


def test_numbers_by_hand(make):
    """A discriminator that says 3/4 everywhere; an image counts alike however many it proposes."""
    objective = make()
    for p in objective.parameters():
        nn.init.zeros_(p)
    nn.init.constant_(objective.discriminator.layers[2].bias, math.log(3))
    values = objective(domain(proposals(4, 1), [0, 0, 0, 1], 2), domain(proposals(1, 2), [0], 1))
    expected = 0.5 * (-math.log(1 / 4) - math.log(3 / 4))
    assert values['loss_instance'].item() == pytest.approx(expected)
    assert values['instance_acc_source'] == 0 and values['instance_acc_target'] == 1
    assert values['instance_proposals_source'] == 2 and values['instance_proposals_target'] == 1


def test_a_batch_without_proposals_is_a_zero_in_the_graph(make):
    x = proposals(0, 1)
    values = make()(domain(x, [], 2), domain(proposals(0, 2), [], 0))
    assert values['loss_instance'] == 0
    values['loss_instance'].backward()
    assert x.grad is not None


@pytest.mark.parametrize('kind', sorted(WIDTHS))
def test_it_trains_what_classes_and_boxes_share_with_the_reversed_sign(kind):
    """``-lambda`` times the gradient of the discriminator's loss; nothing of 0 at lambda 0."""
    cfg = dict(type='mmocr_da.InstanceAlignment', in_channels=WIDTHS[kind], proposals=20)
    grads = {}
    for weight in (1.0, 0.5, 0):
        model = adaptive(kind, dict(cfg, weight=weight), supervised_weight=0)
        losses, grads[weight] = step(model, kind)
        assert losses['loss'] == losses['loss_instance'] > 0
        assert 0 < losses['instance_proposals_target'] <= 20
    learning = {k.removeprefix('wrapped_model.') for k, g in grads[1.0].items() if g.any()}
    assert {k.split('.')[0] for k in learning} == {'backbone', 'neck', 'roi_head', 'objectives'}
    shared = 'roi_head.bbox_head.shared_fcs'
    assert all(k.startswith(shared) for k in learning if k.startswith('roi_head'))
    for key, grad in grads[1.0].items():
        own = key.startswith('objectives.')
        torch.testing.assert_close(grads[0.5][key], grad * (1 if own else 0.5))
        assert own or not grads[0][key].any()


def test_at_lambda_0_it_changes_no_gradient_of_the_detector():
    kind = 'MMDetWrapper'
    cfg = dict(type='mmocr_da.InstanceAlignment', in_channels=WIDTHS[kind], weight=0)
    losses, grads = step(adaptive(kind, cfg), kind)
    expected, without = step(adaptive(kind), kind)
    assert expected.items() - {('loss', expected['loss'])} <= losses.items()
    own = {k: g for k, g in grads.items() if not k.startswith('objectives.')}
    assert own.keys() == without.keys() and len(own) < len(grads)
    assert all(torch.equal(own[k], without[k]) for k in own)


def test_wrong_settings_are_explained(make):
    with pytest.raises(
        ValueError, match='needs a two-stage detector .* got a AdaptiveDBNet; align'
    ):
        adaptive('DBNet', dict(type='mmocr_da.InstanceAlignment'))
    with pytest.raises(ValueError, match='features of width 32: set in_channels=32'):
        adaptive('MMDetWrapper', dict(type='mmocr_da.InstanceAlignment'))
    with pytest.raises(ValueError, match='proposals must be an integer of at least 1, got 0'):
        make(proposals=0)
