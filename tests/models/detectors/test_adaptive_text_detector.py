"""Laws of adapted detectors, for every family of MMOCR and the rotated one of this package."""

import copy

import numpy as np
import pytest
import torch
from helpers.detectors import FILES, adaptive, narrow, plain, scenes
from mmengine.logging import MessageHub
from torch import nn

from mmocr_da import export
from mmocr_da.export import plain_model, plain_state_dict
from mmocr_da.registry import MODELS

BACKBONE = dict(
    type='mmocr_da.ImageAlignment', part='backbone', level=1, in_channels=16, weight=1.0
)  # of a detector whose backbone gives all levels
#: Channels of the neck that are aligned, by family.
NECK = dict(
    DBNet=16,
    PANet=8,
    PSENet=256,
    FCENet=16,
    TextSnake=16,
    DRRG=16,
    MMDetWrapper=16,
    RotatedMMDetWrapper=64,
)
FAMILIES = sorted(FILES)
#: One that MMOCR trains itself, and one in its wrapper of MMDetection.
TWO = ['DBNet', 'MMDetWrapper']
BOTH = ['source', 'target', 'source', 'target']


@pytest.fixture(autouse=True)
def lanms(monkeypatch):
    """The package that merges the boxes of DRRG; without merging there are only more of them."""
    for module in ('heads.drrg_head', 'module_losses.drrg_module_loss'):
        monkeypatch.setattr(f'mmocr.models.textdet.{module}.la_nms', lambda boxes, _: boxes)


def neck(kind, **options):
    return dict(type='mmocr_da.ImageAlignment', in_channels=NECK[kind], weight=1.0, **options)


def step(model, domains, kind, **options):
    """Losses by name, their sum, and the gradients of a batch; draws are those of one seed."""
    model.train()
    torch.manual_seed(3)
    np.random.seed(3)
    model.zero_grad()
    batch = model.data_preprocessor(scenes(kind, domains, **options), True)
    losses = model(**batch, mode='loss')
    total, log = model.parse_losses(losses)
    total.backward()
    grads = {k: p.grad for k, p in model.named_parameters() if p.grad is not None}
    return {k: v.item() for k, v in log.items()}, {k: g.clone() for k, g in grads.items()}


# --------------------------------------------------------------------------- supervised


@pytest.mark.parametrize('kind', FAMILIES)
def test_without_target_it_is_the_plain_detector_bit_for_bit(kind):
    adapted, stock = adaptive(kind), plain(kind)
    assert list(adapted.state_dict()) == list(stock.state_dict())
    (losses, grads), (expected, of_stock) = (
        step(model, ['source'] * 2, kind) for model in (adapted, stock)
    )
    assert losses == expected and grads.keys() == of_stock.keys()
    assert all(torch.equal(grads[k], of_stock[k]) for k in grads)
    buffers = dict(stock.named_buffers())
    assert all(torch.equal(b, buffers[k]) for k, b in adapted.named_buffers())


@pytest.mark.parametrize('kind', TWO)
def test_at_lambda_0_alignment_changes_no_gradient_of_the_detector(kind):
    aligned = adaptive(kind, dict(neck(kind), weight=0), dict(BACKBONE, weight=0))
    losses, grads = step(aligned, BOTH, kind)
    expected, without = step(adaptive(kind), BOTH, kind)
    assert expected.items() - {('loss', expected['loss'])} <= losses.items()
    own = {k: g for k, g in grads.items() if not k.startswith('objectives.')}
    assert own.keys() == without.keys() and len(own) < len(grads)
    assert all(torch.equal(own[k], without[k]) for k in own)


@pytest.mark.parametrize('kind', TWO)
def test_the_supervised_loss_has_the_value_of_the_source_alone(kind):
    """With norms that know nothing of the batch, up to the order of sums."""
    mixed, alone = (adaptive(kind) for _ in range(2))
    for model in (mixed, alone):
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eval()
                layer.train = lambda mode: None
    (losses, grads), (expected, of_source) = (
        step(model, domains, kind)
        for model, domains in ((mixed, ['source'] * 2 + ['target'] * 2), (alone, ['source'] * 2))
    )
    assert losses == pytest.approx(expected, rel=1e-4)
    for key, grad in grads.items():
        assert (grad - of_source[key]).norm() <= 1e-3 * of_source[key].norm() + 1e-7, key


@pytest.mark.parametrize('kind', ['DBNet', 'FCENet', 'PANet', 'TextSnake'])
def test_images_may_differ_in_size(kind):
    """What the largest one adds to the others is background, as after ``Pad``."""
    (losses, grads), (expected, of_padded) = (
        step(adaptive(kind), ['source'] * 2, kind, img_shape=shape)
        for shape in ((56, 64), (64, 64))
    )
    assert losses == expected
    assert all(torch.equal(grads[k], of_padded[k]) for k in grads)
    data = scenes(kind, BOTH)
    data['inputs'][1] = torch.zeros(3, 96, 70, dtype=torch.uint8)
    data['data_samples'][1].set_metainfo(dict(img_shape=(96, 70)))
    model = adaptive(kind, neck(kind)).train()
    losses = model(**model.data_preprocessor(data, True), mode='loss')
    assert all(v.isfinite().all() for v in losses.values())
    assert all(tuple(s.img_shape) == (64, 64) for s in data['data_samples'][::2])


@pytest.mark.parametrize('kind', TWO)
def test_the_weight_of_the_supervised_loss(kind):
    options = dict(supervised_weight=0.25)
    (losses, _), (full, _) = (
        step(model, BOTH, kind) for model in (adaptive(kind, **options), adaptive(kind))
    )
    assert {k: v for k, v in losses.items() if 'loss' in k} == pytest.approx(
        {k: 0.25 * v for k, v in full.items() if 'loss' in k}
    )
    alone = adaptive(kind, neck(kind), supervised_weight=0)
    losses, grads = step(alone, BOTH, kind)
    assert [k for k in losses if 'loss' in k] == ['loss', 'loss_image_neck_0']
    assert not any('head' in k for k in grads)


def test_a_batch_without_source_has_a_supervised_loss_of_0():
    losses, grads = step(adaptive('DBNet'), ['target'] * 2, 'DBNet')
    assert losses['loss'] == 0 and not any(g.any() for g in grads.values())


# --------------------------------------------------------------------------- norms


@pytest.mark.parametrize('kind', ['DBNet', 'PANet', 'MMDetWrapper'])
def test_with_statistics_per_domain_the_source_learns_as_if_it_were_alone(kind):
    """Also with norms that learn; the target has statistics of its own, and testing uses them."""
    mixed, alone, target = (
        adaptive(kind, norm_statistics=statistics)
        for statistics in ('per_domain', 'per_domain', 'joint')
    )
    (losses, grads), (expected, of_source) = (
        step(model, domains, kind)
        for model, domains in ((mixed, ['source'] * 2 + ['target'] * 2), (alone, ['source'] * 2))
    )
    assert losses == pytest.approx(expected, rel=1e-4)
    for key, grad in grads.items():
        assert (grad - of_source[key]).norm() <= 1e-3 * of_source[key].norm() + 1e-6, key
    images = target.data_preprocessor(scenes(kind, ['source'] * 2 + ['target'] * 2), True)['inputs']
    target.train().detector.extract_feat(images[2:])
    key = next(k for k in target.detector.backbone.state_dict() if k.endswith('running_mean'))
    means = (model.detector.backbone.state_dict()[key] for model in (mixed, target))
    torch.testing.assert_close(*means)
    mixed.eval(), target.eval()
    state = target.detector.backbone.state_dict()
    maps = (model.detector.backbone(images[2:])[0] for model in (mixed, target))
    assert set(mixed.detector.backbone.state_dict()) > set(state)
    torch.testing.assert_close(*maps)


def test_statistics_of_the_source_are_not_exported():
    model = adaptive('DBNet', norm_statistics='per_domain')
    cfg = narrow('DBNet')
    of = cfg.pop('type')
    options = dict(type='mmocr_da.AdaptiveTextDetector', of=of, norm_statistics='per_domain')
    exported = plain_model(dict(cfg, **options))
    weights = plain_state_dict(model, exported, model.state_dict())
    stock = MODELS.build(copy.deepcopy(exported))
    stock.load_state_dict(weights, strict=True)
    assert export.same_predictions(model, stock, scenes('DBNet', [None]))


# --------------------------------------------------------------------------- alignment


@pytest.mark.parametrize('kind', TWO)
def test_gradients_reach_the_part_before_the_map_with_the_reversed_sign(kind):
    """``-lambda`` times the gradient of the discriminator's loss, and nothing after the map."""
    grads = {}
    for weight in (1.0, 0.5):
        model = adaptive(kind, dict(neck(kind), weight=weight), supervised_weight=0)
        losses, grads[weight] = step(model, BOTH, kind)
    assert not any('head' in k for k in grads[1.0])
    parts = {
        k.removeprefix('wrapped_model.').split('.')[0] for k, g in grads[1.0].items() if g.any()
    }
    assert parts == {'backbone', 'neck', 'objectives'}
    for key, grad in grads[1.0].items():
        scale = 1.0 if key.startswith('objectives.') else 0.5
        torch.testing.assert_close(grads[0.5][key], scale * grad, rtol=1e-4, atol=1e-7)
    # A small step against the gradient of the discriminator lowers its loss, one against that of
    # the detector raises it.
    for part, sign in (('objectives', -1), ('backbone', 1)):
        model = adaptive(kind, neck(kind), supervised_weight=0)
        before, found = step(model, BOTH, kind)
        with torch.no_grad():
            for name, p in model.named_parameters():
                if f'{part}.' in name and name in found:
                    p -= 1e-3 * found[name] / found[name].norm().clamp(min=1e-9)
        after, _ = step(model, BOTH, kind)
        assert (after['loss'] - before['loss']) * sign > 0, part


@pytest.mark.parametrize('kind', TWO)
def test_a_map_of_the_backbone_trains_nothing_after_it(kind):
    _, grads = step(adaptive(kind, BACKBONE, supervised_weight=0), BOTH, kind)
    learning = {k.removeprefix('wrapped_model.') for k, g in grads.items() if g.any()}
    assert any(k.startswith('backbone.layer2') for k in learning)
    assert not any(k.startswith(('backbone.layer3', 'neck', 'det_head')) for k in learning)


# --------------------------------------------------------------------------- errors


def test_wrong_settings_are_explained():
    def build(**cfg):
        return MODELS.build(dict(narrow('DBNet'), type='mmocr_da.AdaptiveTextDetector', **cfg))

    for of in (None, 'CRNN', 'DBHead'):
        with pytest.raises(ValueError, match='of=..., the type of a detector .*, got'):
            build(of=of)
    with pytest.raises(ValueError, match='objectives of detectors, .* got SelfTraining, which is'):
        build(of='DBNet', objectives=[dict(type='mmocr_da.SelfTraining')])
    with pytest.raises(ValueError, match='supervised_weight must be a number of at least 0'):
        build(of='DBNet', supervised_weight=-1)
    with pytest.raises(ValueError, match='leaves nothing to train'):
        build(of='DBNet', supervised_weight=0)
    with pytest.raises(
        ValueError, match="norm_statistics needs 'joint' or 'per_domain', got 'own'"
    ):
        build(of='DBNet', norm_statistics='own')
    with pytest.raises(ValueError, match="got \\['image_neck_0', 'image_neck_0'\\]"):
        build(of='DBNet', objectives=[neck('DBNet')] * 2)


def test_drrg_without_the_package_that_merges_its_boxes_says_what_to_install(monkeypatch):
    monkeypatch.setattr('mmocr.models.textdet.heads.drrg_head.la_nms', None)
    with pytest.raises(
        ImportError, match=r"pip install 'mmocr_da\[drrg\]', or pip install lanms-n"
    ):
        adaptive('DRRG')


def test_a_recognizer_refuses_objectives_of_detectors(request):
    with pytest.raises(ValueError, match='objectives of recognizers, .* got ImageAlignment'):
        request.getfixturevalue('adaptive')(BACKBONE)


def test_a_learned_surrogate_needs_a_detector_without_objectives():
    cfg = narrow('RotatedMMDetWrapper')
    head = cfg.cfg.roi_head.bbox_head
    head.reg_decoded_bbox, head.loss_bbox = (
        True,
        dict(type='mmocr_da.LSIoULoss', surrogate=dict(approximation='local')),
    )
    of = cfg.pop('type')
    cfg = dict(cfg, type='mmocr_da.AdaptiveTextDetector', of=of)
    with pytest.raises(ValueError, match='without a learned surrogate'):
        MODELS.build(dict(copy.deepcopy(cfg), objectives=[neck('RotatedMMDetWrapper')]))
    MODELS.build(cfg)


@pytest.mark.parametrize('kind', TWO)
def test_images_need_a_domain_and_the_target_no_label(kind):
    with pytest.raises(ValueError, match="needs domain='source' or 'target', got None"):
        step(adaptive(kind, BACKBONE), [None, None], kind)
    step(adaptive(kind), [None, None], kind)  # MMOCR's own datasets, if nothing needs a target
    model = adaptive(kind, BACKBONE)
    batch = model.data_preprocessor(scenes(kind, ['source', 'source']), True)
    batch['data_samples'][1].set_metainfo(dict(domain='target'))
    with pytest.raises(ValueError, match='carries instances: labels of the target must not'):
        model(**batch, mode='loss')


# --------------------------------------------------------------------------- draws, export


@pytest.mark.parametrize('kind', ['DRRG', 'MMDetWrapper'])
def test_draws_depend_on_the_iteration_alone(kind):
    """So a resumed run draws what an uninterrupted one does."""
    hub = MessageHub.get_current_instance()
    model = adaptive(kind).eval()
    batch = model.data_preprocessor(scenes(kind, ['source']), True)

    def losses(iteration):
        hub.update_info('iter', iteration)
        np.random.rand(iteration + 1)
        torch.rand(iteration + 1)
        with torch.no_grad():
            return model.parse_losses(model(**copy.deepcopy(batch), mode='loss'))[1]

    torch.manual_seed(0)
    try:
        first = losses(5)
        assert losses(6) != first
        assert losses(5) == first
    finally:
        hub.runtime_info.pop('iter')


@pytest.mark.parametrize('kind', [k for k in FAMILIES if k != 'RotatedMMDetWrapper'])
def test_the_plain_model_of_an_export_predicts_the_same(kind):
    model = adaptive(kind, neck(kind))
    cfg = narrow(kind)
    of = cfg.pop('type')
    cfg = dict(cfg, type='mmocr_da.AdaptiveTextDetector', of=of, objectives=[neck(kind)])
    exported = plain_model(cfg)
    assert exported.type == of and 'mmocr_da' not in str(exported)
    state = model.state_dict()
    weights = plain_state_dict(model, exported, state)
    assert weights.keys() == {k for k in state if not k.startswith('objectives.')}
    stock = MODELS.build(copy.deepcopy(exported))
    stock.load_state_dict(weights, strict=True)
    if kind == 'DRRG':  # its graph needs a trained detector
        return
    batch = scenes(kind if 'MMDet' not in kind else 'DBNet', [None])
    assert export.same_predictions(model, stock, batch)
    with torch.no_grad():
        next(iter(stock.parameters())).add_(0.1)
    assert not export.same_predictions(model, stock, batch)


def test_a_rotated_detector_says_why_it_has_no_plain_model():
    cfg = dict(narrow('RotatedMMDetWrapper'), of='mmocr_da.RotatedMMDetWrapper')
    with pytest.raises(ValueError, match='MMOCR has no rotated boxes'):
        plain_model(dict(cfg, type='mmocr_da.AdaptiveTextDetector'))
