"""LS-IoU: the six numbers, the metric, learning it, and the turns it takes with a detector."""

import json
import math

import numpy as np
import pytest
import torch
import torch.distributed as dist
from helpers.processes import run_ranks
from mmengine.logging import MessageHub

from mmocr_da.models.losses import LSIoULoss
from mmocr_da.models.surrogates import RotatedIoUSurrogate
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
def make(pairs, progress):
    torch.manual_seed(0)
    progress(0, 100)

    def build(**kwargs):
        return RotatedIoUSurrogate(pairs, **kwargs)

    return build


@pytest.fixture
def make_loss(pairs, progress):
    torch.manual_seed(0)
    progress(0, 100)

    def build(loss_weight=1.0, **kwargs):
        loss = LSIoULoss(dict(pairs=pairs, **kwargs), loss_weight=loss_weight)
        loss.init_weights()
        return loss

    return build


# --------------------------------------------------------------------------- six numbers


@pytest.mark.parametrize('image_size', [None, (640, 480)])
def test_decoding_gives_the_iou_of_the_boxes(make, image_size):
    s = make(image_size=image_size)
    z, y = s.encode(BOXES, LABELS), s.encode(LABELS, LABELS)
    assert z.shape == (3, 6)
    torch.testing.assert_close(s.metric(z, y), 1 - rotated_iou(BOXES, LABELS), atol=1e-3, rtol=0)
    assert s.metric(y, y).max() < 1e-5


def test_six_numbers_by_hand(make):
    box, label = torch.tensor([[12.0, 5, 8, 4, 0]]), torch.tensor([[10.0, 5, 8, 2, math.pi / 4]])
    x = make().encode(box, label)
    assert x[0].tolist() == pytest.approx([0.5, 0, 2, 1, 1, 0])
    x = make(image_size=(20, 10)).encode(label, label)
    assert x[0].tolist() == pytest.approx([0.5, 0.5, 0.4, 0.2, 0, 1], abs=1e-6)


def test_a_box_turned_by_pi_is_the_same_box(make):
    s = make()
    turned = BOXES + torch.tensor([0, 0, 0, 0, math.pi])
    torch.testing.assert_close(s.encode(turned, LABELS), s.encode(BOXES, LABELS), atol=1e-5, rtol=0)


def test_place_and_size_of_the_text_do_not_matter(make):
    s = make()

    def moved(b):
        return torch.cat([b[:, :2] * 3 + 50, b[:, 2:4] * 3, b[:, 4:]], 1)

    torch.testing.assert_close(
        s.encode(moved(BOXES), moved(LABELS)), s.encode(BOXES, LABELS), atol=1e-5, rtol=1e-5
    )


def test_the_embedding_is_of_the_paper(make):
    layers = [m for m in make().embedding if isinstance(m, torch.nn.Linear)]
    assert len(layers) == 5 and layers[0].in_features == 6 and layers[-1].out_features == 16


# --------------------------------------------------------------------------- learning


@pytest.mark.parametrize('image_size', [None, (640, 480)])
def test_generated_pairs_have_their_metric(make, image_size):
    s = make(image_size=image_size, num_generated=300)
    z, y, e = s.generate(torch.zeros(0, 6), np.random.default_rng(0))
    assert z.shape == y.shape == (300, 6) and e.shape == (300,)
    torch.testing.assert_close(s.metric(z, y), e, atol=5e-3, rtol=0)


def test_pretraining_learns_the_iou(make):
    """Far better than to say the mean, whose error is 0.25 on a uniform IoU."""
    s = make(pretrain_steps=300, num_generated=512, hidden_channels=(64,) * 4, pretrain_lr=3e-3)
    s.init_weights()
    torch.manual_seed(1)
    z, y, e = s.generate(torch.zeros(0, 6), np.random.default_rng(99))
    assert (s.distance(z, y) - e).abs().mean() < 0.08


def test_pretraining_is_a_function_of_the_seed(make):
    weights = []
    for _ in range(2):
        torch.manual_seed(5)
        s = make(pretrain_steps=3)
        s.init_weights()
        weights.append(s.embedding[0].weight.detach().clone())
        # Nothing is left that the first step of the training would add to.
        assert all(p.grad is None for p in s.parameters())
    assert torch.equal(*weights)


def test_a_checkpoint_is_taken_instead_of_pretraining(make, tmp_path):
    first = make()
    torch.save(
        dict(state_dict=first.state_dict(), meta=dict(surrogate=first.spec)), tmp_path / 's.pth'
    )
    s = make(pretrain_steps=3, checkpoint=str(tmp_path / 's.pth'))
    s.init_weights()
    assert torch.equal(s.embedding[0].weight, first.embedding[0].weight)
    other = make(checkpoint=str(tmp_path / 's.pth'), image_size=(640, 480))
    with pytest.raises(ValueError, match='image_size=None instead of'):
        other.init_weights()


# --------------------------------------------------------------------------- the loss


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
    loss = make_loss(source='local', gradient_weight=0.5)
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


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(pairs=None), 'needs pairs=dict'),
        (dict(source='local', pretrain_steps=5), 'pretrain_steps needs a generator'),
        (dict(num_generated=0), 'num_generated must be'),
        (dict(gradient_weight='abc'), "gradient_weight must be a number of at least 0, got 'abc'"),
        (dict(pretrain_lr=float('nan')), 'pretrain_lr must be a number above 0, got nan'),
        (dict(hidden_channels=(8, 8)), 'hidden_channels must be 4 widths'),
    ],
)
def test_bad_options_are_named(pairs, kwargs, message):
    with pytest.raises(ValueError, match=message):
        RotatedIoUSurrogate(**{'pairs': pairs, **kwargs})


def test_options_without_an_effect_are_named(pairs, monkeypatch):
    said = []
    monkeypatch.setattr('mmocr_da.arguments.print_log', lambda text, **_: said.append(text))
    RotatedIoUSurrogate(pairs)
    RotatedIoUSurrogate(source='local')
    assert said == []
    RotatedIoUSurrogate(pairs, source='local')
    RotatedIoUSurrogate(pairs, pretrain_steps=5, checkpoint='surrogate.pth')
    assert [text.split('=')[0] for text in said] == ['pairs', 'pretrain_steps']


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
