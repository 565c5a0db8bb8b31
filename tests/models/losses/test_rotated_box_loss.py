"""The interface that all losses of rotated boxes share, those with a surrogate, too."""

import copy
import math

import pytest
import torch
from mmengine.structures import InstanceData

from mmocr_da.models.losses import GWDLoss, KFIoULoss, LSIoULoss, RotatedBoxLoss, RotatedIoULoss
from mmocr_da.registry import MODELS

LOSSES = [
    RotatedIoULoss,
    KFIoULoss,
    GWDLoss,
    lambda **kwargs: LSIoULoss(surrogate=dict(approximation='local'), **kwargs).eval(),
]
NAMES = ['iou', 'kfiou', 'gwd', 'lsiou']

LABELS = torch.tensor([[50.0, 50, 40, 10, 0.3]] * 9)
# Equal, rotated by pi, touching, nested, apart, flat, a point, both flat (below), huge.
BOXES = torch.tensor(
    [
        [50.0, 50, 40, 10, 0.3],
        [50, 50, 40, 10, 0.3 - math.pi],
        [50 + 40 * math.cos(0.3), 50 + 40 * math.sin(0.3), 40, 10, 0.3],
        [50, 50, 20, 5, 0.3],
        [500, 10, 40, 10, 1],
        [50, 50, 40, 0, 0.3],
        [50, 50, 0, 0, 0],
        [60, 50, 40, 0, 0.3],
        [50, 50, 1e4, 1e4, 0],
    ]
)
LABELS[7, 3] = 0


@pytest.fixture(params=LOSSES, ids=NAMES)
def make(request):
    torch.manual_seed(0)
    return request.param


class Shift(RotatedBoxLoss):
    """How far the centre is off, along x."""

    def rows(self, pred, target):
        return (pred - target)[:, 0].abs()


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_finite_for_every_pair(make, dtype):
    pred = BOXES.detach().to(dtype).detach().clone().requires_grad_()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss = make(reduction='none')(pred, LABELS.to(dtype))
        loss.sum().backward()
    assert loss.shape == (9,) and loss.isfinite().all() and pred.grad.isfinite().all()
    assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)


def test_autocast_changes_no_bit(make):
    loss = make(reduction='none')
    expected = loss(BOXES, LABELS)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert torch.equal(loss(BOXES, LABELS), expected)


def test_equal_boxes_cost_nothing_and_others_something(make):
    loss = make(reduction='none')(BOXES, LABELS)
    assert loss[:2].max() < 1e-3 and loss[3:7].min() > 0.005


def test_the_size_of_the_text_does_not_matter(make):
    loss = make(reduction='none')
    scale = torch.tensor([0.25, 0.25, 0.25, 0.25, 1])
    torch.testing.assert_close(
        loss(BOXES * scale, LABELS * scale)[:5], loss(BOXES, LABELS)[:5], atol=1e-4, rtol=1e-4
    )


def test_no_boxes_give_a_zero_with_a_gradient(make):
    pred = torch.zeros(0, 5, requires_grad=True)
    loss = make()(pred, torch.zeros(0, 5), torch.zeros(0, 5), avg_factor=1)
    loss.backward()
    assert loss.item() == 0


def test_boxes_of_four_numbers_are_boxes_at_no_angle(make):
    flat = torch.tensor([[10.0, 20, 50, 40], [0, 0, 30, 8]])
    label = torch.tensor([[12.0, 18, 50, 42], [0, 0, 30, 10]])

    def rotated(b):
        return torch.stack(
            [
                (b[:, 0] + b[:, 2]) / 2,
                (b[:, 1] + b[:, 3]) / 2,
                b[:, 2] - b[:, 0],
                b[:, 3] - b[:, 1],
                torch.zeros(2),
            ],
            1,
        )

    loss = make(reduction='none')
    torch.testing.assert_close(loss(flat, label), loss(rotated(flat), rotated(label)))


def test_reductions_by_hand():
    pred, target = torch.ones(4, 5), torch.ones(4, 5)
    target[:, 0] = 0
    pred[:, 0] = torch.tensor([1.0, 2, 4, 8])
    weight = torch.tensor([1.0, 0, 1, 0.5])
    loss = Shift(loss_weight=2)
    assert loss(pred, target).item() == 2 * 15 / 4
    assert loss(pred, target, weight).item() == 2 * 9 / 4
    assert loss(pred, target, weight, avg_factor=9).item() == pytest.approx(2)
    assert loss(pred, target, weight, reduction_override='sum').item() == 18
    assert loss(pred, target, weight, reduction_override='none').tolist() == [2, 0, 8, 8]
    assert Shift(reduction='sum')(pred, target).item() == 15
    # As heads have it, a weight for each number of a box.
    assert loss(pred, target, weight[:, None].expand(4, 5)).item() == 2 * 9 / 4


def test_labels_without_an_area_cost_nothing():
    pred, target = (
        torch.ones(2, 5, requires_grad=True),
        torch.tensor([[0.0, 0, 9, 0, 0], [0.0] * 5]),
    )
    loss = Shift()(pred, target)
    loss.backward()
    assert loss.item() == 0 and (pred.grad == 0).all()


def test_pairs_without_weight_are_not_looked_at():
    pred = torch.tensor([[1.0, 0, 2, 2, 0], [float('nan')] * 5], requires_grad=True)
    target = torch.tensor([[0.0, 0, 2, 2, 0], [0.0, 0, 9, 9, 0]])
    loss = RotatedIoULoss()(pred, target, torch.tensor([1.0, 0]), avg_factor=1)
    loss.backward()
    assert loss.item() == pytest.approx(2 / 3, abs=1e-6)
    assert pred.grad.isfinite().all() and (pred.grad[1] == 0).all()


@pytest.mark.parametrize(
    'call, message',
    [
        (lambda: Shift(loss_weight='abc'), "loss_weight must be a number of at least 0, got 'abc'"),
        (lambda: Shift(reduction='all'), 'reduction must be one of mean, sum, none'),
        (
            lambda: Shift()(torch.zeros(1, 5), torch.zeros(1, 5), reduction_override='no'),
            'reduction must be one of',
        ),
        (lambda: Shift()(torch.zeros(1, 5), torch.zeros(2, 5)), 'of one shape'),
        (lambda: Shift()(torch.zeros(1, 6), torch.zeros(1, 6)), 'reg_decoded_bbox=True'),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


ROIS = torch.tensor([[0.0, 10, 10, 60, 30], [0, 100, 20, 140, 50], [0, 20, 70, 40, 80]])


def head_loss(kind, loss, reg_decoded_bbox, labels):
    """One of MMDetection's heads, boxes of four numbers, and no wrapper that could look at it."""
    torch.manual_seed(0)
    boxes = torch.cat([ROIS[:, 1:3] - labels, ROIS[:, 3:] + 2 * labels], 1)
    if kind == 'rpn':
        head = MODELS.build(
            dict(
                _scope_='mmdet',
                type='RPNHead',
                in_channels=4,
                feat_channels=4,
                reg_decoded_bbox=reg_decoded_bbox,
                loss_bbox=loss,
                anchor_generator=dict(
                    type='AnchorGenerator', scales=[2], ratios=[1.0], strides=[16]
                ),
                train_cfg=dict(
                    assigner=dict(
                        type='MaxIoUAssigner',
                        pos_iou_thr=0.5,
                        neg_iou_thr=0.3,
                        min_pos_iou=0.1,
                        ignore_iof_thr=-1,
                    ),
                    sampler=dict(
                        type='RandomSampler',
                        num=64,
                        pos_fraction=0.5,
                        neg_pos_ub=-1,
                        add_gt_as_proposals=False,
                    ),
                    allowed_border=-1,
                    pos_weight=-1,
                    debug=False,
                ),
            )
        )
        instances = InstanceData(bboxes=boxes, labels=torch.zeros(3, dtype=torch.long))
        losses = head.loss_by_feat(
            *head([torch.randn(1, 4, 10, 10)]),
            [instances],
            [dict(img_shape=(160, 160), pad_shape=(160, 160))],
        )
        return sum(losses['loss_rpn_bbox'])
    head = MODELS.build(
        dict(
            _scope_='mmdet',
            type='Shared2FCBBoxHead',
            in_channels=4,
            fc_out_channels=8,
            roi_feat_size=2,
            num_classes=1,
            reg_decoded_bbox=reg_decoded_bbox,
            loss_bbox=loss,
        )
    )
    score, delta = head(torch.randn(3, 4, 2, 2))
    targets = boxes if reg_decoded_bbox else head.bbox_coder.encode(ROIS[:, 1:], boxes)
    return head.loss(
        score,
        delta,
        ROIS,
        torch.zeros(3, dtype=torch.long),
        torch.ones(3),
        targets,
        torch.ones(3, 4),
    )['loss_bbox']


@pytest.mark.parametrize('kind', ['rpn', 'roi'])
@pytest.mark.parametrize(
    'loss',
    [
        dict(type='mmocr_da.RotatedIoULoss'),
        dict(type='mmocr_da.KFIoULoss'),
        dict(type='mmocr_da.GWDLoss'),
        dict(type='mmocr_da.LSIoULoss', surrogate=dict(approximation='local')),
    ],
)
@pytest.mark.parametrize('labels', [1.0, -2.0])
def test_a_head_that_gives_offsets_is_found_out_by_its_labels(progress, kind, loss, labels):
    progress(0, 10)
    assert head_loss(kind, copy.deepcopy(loss), True, labels) > 0
    with pytest.raises(ValueError, match='negative or 0: offsets.*reg_decoded_bbox=True'):
        head_loss(kind, copy.deepcopy(loss), False, labels)


def test_boxes_are_looked_at_in_the_beginning_of_training():
    boxes = torch.tensor([[0.0, 0, 4, 4, 0]]).expand(100, 5)
    wrong = torch.tensor([[0.0, 0, 4, -4, 0]])
    loss = Shift()
    loss(boxes[:1], wrong, torch.zeros(1))  # without a weight it is no label
    Shift().eval()(boxes[:1], wrong)
    with pytest.raises(ValueError, match='Shift compares boxes'):
        loss(boxes[:1], wrong)
    with pytest.raises(ValueError, match='Shift compares boxes, got 3 with'):
        Shift()(boxes[:3] * torch.tensor([[1.0], [0.0], [-1.0]]), boxes[:3])
    # A single prediction without an area may be a bad one.
    loss(boxes[:3] * torch.tensor([[1.0], [1.0], [0.0]]), boxes[:3])
    for _ in range(3):
        loss(boxes, boxes)
    loss(boxes[:1], wrong)


def test_a_subclass_must_say_what_a_row_costs():
    with pytest.raises(NotImplementedError):
        RotatedBoxLoss()(torch.ones(1, 5), torch.ones(1, 5))


@pytest.mark.parametrize('loss', LOSSES[:3], ids=NAMES[:3])
def test_gradients_are_those_of_finite_differences(loss):
    pred = torch.tensor([[44.0, 53, 34, 14, 0.2], [53, 49, 44, 9, 0.5]], dtype=torch.float64)
    target = torch.tensor([[50.0, 50, 40, 12, 0.4]] * 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda p: loss(reduction='none')(p, target), pred.requires_grad_()
    )


def test_gradients_where_boxes_do_not_touch():
    """Only those that compare Gaussians have one."""
    for loss, moves in ((RotatedIoULoss, False), (KFIoULoss, True), (GWDLoss, True)):
        pred = BOXES[4:5].clone().requires_grad_()
        loss()(pred, LABELS[4:5]).backward()
        assert (pred.grad[0, 0].item() > 0) is moves
