import pytest
import torch
from helpers.detectors import adaptive, scenes
from mmengine.structures import BaseDataElement
from torch import nn

from mmocr_da.models.objectives import DetectionFeatures
from mmocr_da.registry import MODELS

IMAGE = dict(type='mmocr_da.ImageAlignment', in_channels=16, weight=0)
INSTANCE = dict(type='mmocr_da.InstanceAlignment', in_channels=32, proposals=20, weight=0)
CONSISTENCY = dict(type='mmocr_da.DomainConsistency')


@pytest.fixture
def make():
    """The objective with two discriminators of images and one of instances, in float64."""

    def make(weight=0.3):
        torch.manual_seed(0)
        cfgs = (
            dict(IMAGE, in_channels=4),
            dict(IMAGE, in_channels=4, level=1),
            dict(INSTANCE, in_channels=3),
        )
        detector = nn.Module()
        detector.objectives = nn.ModuleDict(
            {built.name: built for built in (MODELS.build(cfg) for cfg in cfgs)}
        ).double()
        objective = MODELS.build(dict(CONSISTENCY, weight=weight))
        objective.attach(detector)
        return objective, detector.objectives

    return make


def domain(seed, image, shapes):
    """Two maps of images that the batch has padded to 16 x 16, and proposals of them."""
    generator = torch.Generator().manual_seed(seed)
    draw = [
        torch.randn(*size, generator=generator, dtype=torch.double).requires_grad_()
        for size in ((len(shapes), 4, 4, 4), (len(shapes), 4, 2, 2), (len(image), 3))
    ]
    samples = [BaseDataElement(metainfo=dict(img_shape=shape)) for shape in shapes]
    given = draw[2], torch.tensor(image, dtype=torch.long)
    images = torch.zeros(len(shapes), 3, 16, 16)
    return draw, DetectionFeatures(
        dict(neck=tuple(draw[:2])), images, samples, None, lambda _: given
    )


def test_the_loss_and_its_gradients_equal_a_slow_oracle(make):
    """``L_cst`` of Chen et al., with means for sums: minimized by both sides, nothing reversed."""
    objective, parts = make()
    (a, source), (b, target) = (
        domain(1, [0, 0, 1], ((16, 16), (8, 16))),
        domain(2, [1], ((16, 16), (16, 16))),
    )
    values = objective(source, target)
    values['loss_consistency'].backward()
    found = [[x.grad.clone() for x in draw] for draw in (a, b)]
    d_grads = [p.grad.clone() for p in parts.parameters()]

    parts.zero_grad()
    for x in a + b:
        x.grad = None
    losses = []
    for (first, second, rows), image, heights in ((a, [0, 0, 1], (16, 8)), (b, [1], (16, 16))):
        errors = {}
        for row, i in zip(rows, image):
            of_image = 0
            for level, x in (('image_neck_0', first), ('image_neck_1', second)):
                count = x.size(-1) * heights[i] // 16  # rows that are not padding
                positions = x[i, :, :count].flatten(1).T
                of_image = of_image + parts[level].discriminator(positions).sigmoid().mean() / 2
            p = parts['instance'].discriminator(row[None]).sigmoid()[0, 0]
            errors.setdefault(i, []).append((of_image - p).abs())
        losses.append(sum(sum(e) / len(e) for e in errors.values()) / len(errors))
    oracle = sum(losses) / 2
    oracle.backward()
    assert values['loss_consistency'].item() == pytest.approx(oracle.item(), rel=1e-6)
    assert values['consistency_lambda'].item() == pytest.approx(0.3)
    for grad, p in zip(d_grads, parts.parameters()):
        torch.testing.assert_close(grad, p.grad, rtol=1e-5, atol=1e-8)
    for grads, draw in zip(found, (a, b)):
        for grad, x in zip(grads, draw):
            torch.testing.assert_close(grad, 0.3 * x.grad, rtol=1e-5, atol=1e-8)


def test_it_is_zero_where_both_agree_and_by_hand_where_they_do_not(make):
    objective, parts = make()
    _, source = domain(1, [0, 1, 1], ((16, 16), (16, 8)))
    for p in parts.parameters():
        nn.init.zeros_(p)  # all say 1/2
    assert objective(source, source)['loss_consistency'] == 0
    # The discriminators of the image say 1/2 and 3/4, that of the instances 1/4.
    nn.init.constant_(
        parts['image_neck_1'].discriminator.layers[2].bias, torch.log(torch.tensor(3))
    )
    nn.init.constant_(parts['instance'].discriminator.layers[2].bias, -torch.log(torch.tensor(3)))
    assert objective(source, source)['loss_consistency'].item() == pytest.approx(5 / 8 - 1 / 4)


def test_a_batch_without_proposals_is_a_zero_in_the_graph(make):
    objective, _ = make()
    draw, nothing = domain(1, [], ((16, 16),))
    loss = objective(nothing, nothing)['loss_consistency']
    loss.backward()
    assert loss == 0 and all(x.grad is not None for x in draw)


def test_at_lambda_0_it_changes_no_gradient_of_the_detector():
    grads = {}
    for name, objectives in (
        ('with', (IMAGE, INSTANCE, dict(CONSISTENCY, weight=0))),
        ('without', (IMAGE, INSTANCE)),
    ):
        model = adaptive('MMDetWrapper', *(dict(o) for o in objectives)).train()
        torch.manual_seed(3)
        batch = model.data_preprocessor(scenes('MMDetWrapper', ['source', 'target']), True)
        losses = model(**batch, mode='loss')
        model.parse_losses(losses)[0].backward()
        grads[name] = {
            k: p.grad for k, p in model.named_parameters() if not k.startswith('objectives.')
        }
        # Whose parameters they are is not changed by a look at them.
        assert sum('discriminator' in k for k, _ in model.named_parameters()) == 8
    assert losses.keys() >= {'loss_image_neck_0', 'loss_instance'}
    for key, grad in grads['with'].items():
        assert grad is None or torch.equal(grad, grads['without'][key]), key


def test_it_needs_both_discriminators():
    with pytest.raises(ValueError, match=r"got the objectives \['consistency', 'instance'\]: add"):
        adaptive('MMDetWrapper', INSTANCE, CONSISTENCY)
    with pytest.raises(ValueError, match='weight must be a number of at least 0, got -1'):
        MODELS.build(dict(CONSISTENCY, weight=-1))
