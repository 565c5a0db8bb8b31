"""The small RRPN, and MMDetection's heads for boxes of four numbers, with balanced losses."""

import copy
from pathlib import Path

import pytest
import torch
from helpers.detectors import BOXES, SIZE
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.structures import InstanceData

from mmocr_da.models.detectors import BalancedBBoxHead, BalancedRPNHead
from mmocr_da.registry import MODELS
from mmocr_da.structures import RotatedBoxes

CONFIG = Path(__file__).parents[3] / 'configs/learned_surrogate/small/small_rrpn_scenes.py'
REFERENCE = dict(type='SmoothL1Loss', beta=0.7, loss_weight=2.0)
BALANCE = dict(reference=REFERENCE, momentum=1.0)
LOSSES = [
    dict(type='mmocr_da.RotatedIoULoss'),
    dict(type='mmocr_da.KFIoULoss'),
    dict(type='mmocr_da.GWDLoss'),
    dict(type='mmocr_da.LSIoULoss', surrogate=dict(approximation='local')),
]
HEADS = ['rpn', 'roi']


@pytest.fixture(scope='module')
def cfg():
    return Config.fromfile(CONFIG).model


@pytest.fixture
def make(cfg):
    """The detector with options of one head; its weights do not depend on them."""

    def make(stage, loss=REFERENCE, decoded=False, balance=None):
        model = copy.deepcopy(cfg)
        kinds = dict(rpn='mmocr_da.BalancedRPNHead', roi='mmocr_da.BalancedBBoxHead')
        head = model.cfg.rpn_head if stage == 'rpn' else model.cfg.roi_head.bbox_head
        head.type, head.loss_bbox = kinds[stage], ConfigDict(loss)
        head.update(reg_decoded_bbox=decoded, balance=balance and ConfigDict(balance))
        torch.manual_seed(0)
        model = MODELS.build(model).train()
        torch.manual_seed(0)
        for name, parameter in model.named_parameters():
            if name.endswith('bias'):
                torch.nn.init.zeros_(parameter)
            elif 'surrogate' not in name and parameter.dim() > 1:
                torch.nn.init.kaiming_normal_(parameter)
                if '_reg.' in name:  # boxes near the anchors and proposals
                    parameter.data *= 0.02
        return model

    return make


def batch(*boxes):
    samples = []
    for found in boxes:
        sample = DetDataSample(
            metainfo=dict(img_shape=SIZE, ori_shape=SIZE, scale_factor=(1.0, 1.0))
        )
        for name, b in (('gt_instances', found), ('ignored_instances', found[:0])):
            labels = torch.zeros(len(b), dtype=torch.long)
            setattr(sample, name, InstanceData(bboxes=RotatedBoxes(b), labels=labels))
        samples.append(sample)
    pixels = torch.randint(0, 255, (3, *SIZE), generator=torch.Generator().manual_seed(0))
    return dict(inputs=[pixels.byte()] * len(boxes), data_samples=samples)


def gradients(model, stage, boxes=BOXES):
    """Losses, and what the loss of boxes of a stage sends to the offsets of its head."""
    parts = model.wrapped_model
    layer = parts.rpn_head.rpn_reg if stage == 'rpn' else parts.roi_head.bbox_head.fc_reg
    offsets = []
    handle = layer.register_forward_hook(lambda module, inputs, output: offsets.append(output))
    torch.manual_seed(1)
    data = model.data_preprocessor(batch(boxes, boxes), True)
    losses = model(**data, mode='loss')
    loss = losses['loss_rpn_bbox' if stage == 'rpn' else 'loss_bbox']
    handle.remove()
    total = sum(loss) if isinstance(loss, (list, tuple)) else loss
    found = torch.autograd.grad(total, offsets)
    return losses, torch.cat([gradient.flatten() for gradient in found])


@pytest.mark.parametrize('stage', HEADS)
@pytest.mark.parametrize('loss', LOSSES, ids=lambda loss: loss['type'][9:])
def test_the_offsets_get_as_large_a_gradient_as_from_the_reference(make, progress, stage, loss):
    progress(1, 100)  # an iteration of the detector
    _, expected = gradients(make(stage), stage)
    _, plain = gradients(make(stage, loss, True), stage)
    losses, balanced = gradients(make(stage, loss, True, BALANCE), stage)
    assert balanced.norm().item() == pytest.approx(expected.norm().item(), rel=1e-4)
    assert torch.cosine_similarity(balanced, plain, dim=0).item() == pytest.approx(1, abs=1e-4)
    factor = losses['rpn_bbox_factor' if stage == 'rpn' else 'bbox_factor']
    torch.testing.assert_close(balanced, factor * plain, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize('stage', HEADS)
def test_a_loss_balanced_against_itself_gets_the_weight_of_the_reference(make, stage):
    losses, _ = gradients(make(stage, dict(REFERENCE, loss_weight=1.0), False, BALANCE), stage)
    factor = losses['rpn_bbox_factor' if stage == 'rpn' else 'bbox_factor']
    assert factor.item() == pytest.approx(2)


@pytest.mark.parametrize('stage', HEADS)
def test_without_a_balance_it_is_the_head_of_mmdetection(make, cfg, stage):
    model = make(stage)
    plain = copy.deepcopy(cfg)
    plain.cfg.rpn_head.type, plain.cfg.roi_head.bbox_head.type = 'RPNHead', 'Shared2FCBBoxHead'
    for head in (plain.cfg.rpn_head, plain.cfg.roi_head.bbox_head):
        head.pop('balance')
    head = plain.cfg.rpn_head if stage == 'rpn' else plain.cfg.roi_head.bbox_head
    head.loss_bbox = ConfigDict(REFERENCE)
    plain = MODELS.build(plain).train()
    plain.load_state_dict(model.state_dict(), strict=True)
    (losses, found), (theirs, expected) = (gradients(m, stage) for m in (model, plain))
    assert torch.equal(found, expected) and losses.keys() == theirs.keys()


@pytest.mark.parametrize('stage', HEADS)
def test_images_without_text_have_no_factor_yet_and_a_finite_loss(make, stage):
    model = make(stage, LOSSES[1], True, BALANCE)
    losses, found = gradients(model, stage, BOXES[:0])
    factor = losses['rpn_bbox_factor' if stage == 'rpn' else 'bbox_factor']
    assert factor.item() == 1 and (found == 0).all()


@pytest.mark.parametrize('stage', HEADS)
def test_the_loss_of_a_surrogate_is_not_balanced(make, progress, stage):
    progress(0, 100)
    model = make(stage, LOSSES[3], True, BALANCE)
    data = model.data_preprocessor(batch(BOXES, BOXES), True)
    losses = model(**data, mode='loss')
    assert not any('factor' in name for name in losses)
    assert not any(b.any() for name, b in model.named_buffers() if 'balance' in name)


def test_weights_that_are_replaced_are_reported(make, monkeypatch):
    lines = []
    monkeypatch.setattr('mmocr_da.arguments.print_log', lambda text, *_, **__: lines.append(text))
    make('roi', dict(LOSSES[2], loss_weight=5.0), True, BALANCE)
    assert len(lines) == 1 and 'loss_bbox.loss_weight=5.0' in lines[0]


@pytest.mark.parametrize('loss', ['GIoULoss', 'mmocr_da.RotatedIoULoss'])
def test_boxes_of_four_numbers(loss):
    """MMDetection's own head and coder."""
    rois = torch.tensor([[0.0, 10, 10, 60, 30], [0, 100, 20, 140, 50], [0, 9, 9, 30, 30]])
    labels, boxes = torch.tensor([0, 0, 1]), rois[:, 1:] + torch.tensor([3.0, -2, 6, 4])
    weights = (labels == 0).float()[:, None].expand(3, 4)
    norms = []
    for kind, decoded, balance in ((REFERENCE, False, None), (dict(type=loss), True, BALANCE)):
        torch.manual_seed(0)
        head = MODELS.build(
            dict(
                _scope_='mmdet',
                type='mmocr_da.BalancedBBoxHead',
                in_channels=4,
                fc_out_channels=8,
                roi_feat_size=2,
                num_classes=1,
                reg_decoded_bbox=decoded,
                loss_bbox=dict(kind),
                balance=balance,
            )
        )
        score, offsets = head(torch.randn(3, 4, 2, 2))
        targets = boxes if decoded else head.bbox_coder.encode(rois[:, 1:], boxes)
        losses = head.loss(score, offsets, rois, labels, torch.ones(3), targets, weights)
        norms.append(torch.autograd.grad(losses['loss_bbox'], offsets)[0].norm().item())
    assert norms[1] == pytest.approx(norms[0], rel=1e-4) and norms[0] > 0


def test_offsets_of_several_classes_are_refused():
    head = dict(
        _scope_='mmdet',
        type='mmocr_da.BalancedBBoxHead',
        in_channels=4,
        roi_feat_size=2,
        num_classes=3,
        balance=BALANCE,
    )
    with pytest.raises(ValueError, match='balance needs num_classes=1 or .*, got num_classes=3'):
        MODELS.build(head)
    assert MODELS.build(dict(head, reg_class_agnostic=True))


@pytest.mark.parametrize('head', [BalancedBBoxHead, BalancedRPNHead])
def test_its_plain_head_is_the_one_of_mmdetection(make, head):
    stage = 'rpn' if head is BalancedRPNHead else 'roi'
    model = make(stage, balance=BALANCE).wrapped_model
    ours = model.rpn_head if stage == 'rpn' else model.roi_head.bbox_head
    plain = head.plain_cfg(dict(type='x', balance=BALANCE, in_channels=4))
    assert plain == dict(type=f'mmdet.{head.__mro__[2].__name__}', in_channels=4)
    state = ours.state_dict()
    assert set(state) - set(ours.plain_state_dict(state)) == {'balance.norms'}
