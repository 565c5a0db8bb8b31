"""LS-IoU as the regression loss of a detector."""

import json
import math

import pytest
import torch
import torch.distributed as dist
from helpers.processes import run_ranks
from mmengine.logging import MessageHub

from mmocr_da.models.losses import LSIoULoss
from mmocr_da.registry import MODELS
from mmocr_da.structures import rotated_iou

LABELS = torch.tensor([[100.0, 50, 60, 20, 0.4], [30, 200, 40, 40, -1.2], [300, 300, 90, 10, 1.5]])
BOXES = LABELS + torch.tensor([[8.0, 2, 5, 3, 0.1], [0, 0, 0, 0, 0], [30, 9, -20, 2, -0.2]])


@pytest.fixture
def pairs(tmp_path):
    instances = [
        dict(polygon=[x, 9, x + w, 9, x + w, 9 + h, x, 9 + h], ignore=False)
        for x, w, h in ((0.0, 80, 20), (90.0, 30, 12), (200.0, 40, 30))
    ]
    (tmp_path / 'labels.json').write_text(
        json.dumps(dict(data_list=[dict(img_path='a.jpg', instances=instances)]))
    )
    return dict(
        ann_files=str(tmp_path / 'labels.json'), num_pairs=20000, cache_dir=str(tmp_path / 'cache')
    )


@pytest.fixture
def make_loss(pairs, progress):
    torch.manual_seed(0)
    progress(0, 100)

    def build(loss_weight=1.0, **kwargs):
        loss = LSIoULoss(dict(pairs=pairs, **kwargs), loss_weight=loss_weight)
        loss.init_weights()
        return loss

    return build


def test_a_step_of_the_surrogate_moves_the_surrogate_alone(make_loss, progress):
    progress(0, 100)
    loss = make_loss()
    pred = BOXES.clone().requires_grad_()
    with torch.no_grad():
        value = loss(pred, LABELS, torch.ones(3, 5), avg_factor=12)
    value.backward()
    assert pred.grad is None
    assert all(p.grad.abs().sum() > 0 for p in loss.parameters() if p.dim() == 2)


def test_a_step_of_the_detector_moves_the_boxes_alone(make_loss, progress):
    progress(1, 100)
    loss = make_loss()
    pred = BOXES.clone().requires_grad_()
    loss(pred, LABELS, torch.ones(3, 5), avg_factor=12).backward()
    assert all(p.grad is None for p in loss.parameters())
    assert pred.grad[0].abs().sum() > 0 and pred.grad.isfinite().all()


def test_both_in_one_step_is_refused(make_loss):
    with pytest.raises(ValueError, match='surrogate.alternate must be True in LSIoULoss, got Fals'):
        make_loss(alternate=False)


def test_its_value_is_the_distance_of_the_embeddings(make_loss, progress):
    progress(1, 100)
    loss = make_loss(loss_weight=2)
    s = loss.surrogate
    z, y = s.encode(BOXES, LABELS), s.encode(LABELS, LABELS)
    # A root of 1e-8 is what equal boxes have.
    by_hand = ((s.embedding(z) - s.embedding(y)).square().sum(1) + 1e-8).sqrt()
    weight = torch.tensor([1.0, 1, 0.5])
    expected = 2 * (by_hand * weight).sum() / 7
    assert loss(BOXES, LABELS, weight, avg_factor=7).item() == pytest.approx(
        expected.item(), rel=1e-5
    )


def test_the_losses_of_a_surrogate_step_are_those_of_eq_6(make_loss, progress):
    progress(0, 100)
    loss = make_loss(approximation='local', gradient_weight=0.5)
    s = loss.surrogate
    z, y = s.encode(BOXES, LABELS), s.encode(LABELS, LABELS)
    estimate, square, penalty = s.terms(z, y, s.metric(z, y))
    # The second pair is equal: no embedding has a gradient there, so it is left out of the mean.
    expected = square.mean() + 0.5 * penalty[[0, 2]].mean()
    assert loss(BOXES, LABELS).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_log_tells_errors_terms_and_the_true_iou(make_loss, progress):
    loss = make_loss()
    hub = MessageHub.get_current_instance()
    for iteration in (0, 1):
        progress(iteration, 100)
        loss(BOXES, LABELS)
    for name in ('loss_fit', 'loss_gradient', 'error_model', 'error_generated', 'rank_correlation'):
        assert math.isfinite(hub.get_scalar(f'train/lsiou_{name}').current())
    iou = rotated_iou(BOXES, LABELS).mean().item()
    assert hub.get_scalar('train/lsiou_iou').current() == pytest.approx(iou, abs=1e-3)
    estimated, true = loss.surrogate.latest
    assert true.item() == pytest.approx(1 - iou, abs=1e-3) and estimated > 0


def test_without_positive_boxes_there_is_something_to_add_up(make_loss, progress):
    for iteration in (0, 1):
        progress(iteration, 100)
        loss = make_loss()
        pred = torch.zeros(0, 5, requires_grad=True)
        value = loss(pred, torch.zeros(0, 5), torch.zeros(0, 5), avg_factor=1)
        value.backward()
        assert value.isfinite()


def step_of_a_rank(rank, pairs):
    hub = MessageHub.get_current_instance()
    hub.update_info('iter', 0)
    hub.update_info('max_iters', 10)
    torch.manual_seed(0)
    loss = LSIoULoss(dict(pairs=pairs))
    loss.init_weights()  # as a runner does, in every process
    result = loss(BOXES, LABELS).detach() if rank == 0 else None
    # What DDP would do next: it must meet the other process's, and not a collective of the loss.
    value = torch.full((3,), float(rank))
    dist.all_reduce(value)
    assert value.tolist() == [1, 1, 1]
    return result


def test_a_process_without_a_positive_box_is_not_waited_for(make_loss, pairs):
    """MMDetection's RoI heads do not ask their loss there."""
    loss = make_loss()
    torch.testing.assert_close(run_ranks(step_of_a_rank, pairs)[0], loss(BOXES, LABELS).detach())


def test_boxes_can_be_moved_along_it(make_loss, progress):
    """With a surrogate that has learned, descending the estimate raises the true IoU."""
    progress(1, 100)
    loss = make_loss(
        pretrain_steps=400, num_generated=512, hidden_channels=(64,) * 4, pretrain_lr=3e-3
    )
    label = torch.tensor([[100.0, 50, 60, 20, 0.4]])
    box = torch.tensor([[112.0, 46, 50, 26, 0.2]], requires_grad=True)
    optimizer = torch.optim.Adam([box], 0.05)
    before = rotated_iou(box, label).item()
    for _ in range(200):
        optimizer.zero_grad()
        loss(box, label).backward()
        optimizer.step()
    assert before < 0.5 and rotated_iou(box, label).item() > before + 0.2


def test_the_labels_are_needed_for_training_alone(pairs):
    """A tuned detector is tested where its training labels are not."""
    loss = LSIoULoss(dict(pairs=dict(pairs, ann_files='nowhere.json'))).eval()
    assert loss(BOXES, LABELS).isfinite()
    with pytest.raises(FileNotFoundError, match='nowhere.json'):
        loss.init_weights()


def test_it_is_one_line_in_a_head(progress, pairs):
    """MMDetection's own head, boxes of four numbers."""
    progress(1, 100)
    head = MODELS.build(
        dict(
            _scope_='mmdet',
            type='Shared2FCBBoxHead',
            in_channels=4,
            fc_out_channels=8,
            roi_feat_size=2,
            num_classes=1,
            reg_decoded_bbox=True,
            loss_bbox=dict(type='mmocr_da.LSIoULoss', surrogate=dict(pairs=pairs)),
        )
    )
    rois = torch.tensor([[0.0, 10, 10, 60, 30], [0, 100, 20, 140, 50]])
    score, delta = head(torch.randn(2, 4, 2, 2))
    labels = torch.tensor([0, 1])  # the second one is background
    losses = head.loss(score, delta, rois, labels, torch.ones(2), rois[:, 1:] + 3, torch.ones(2, 4))
    losses['loss_bbox'].backward()
    assert head.fc_reg.weight.grad.abs().sum() > 0
    assert head.loss_bbox.surrogate.embedding[0].weight.grad is None
