"""L2-SP: the pull to the weights of the checkpoint."""

import copy

import pytest
import torch
from helpers.processes import run_ranks
from torch.nn.parallel import DistributedDataParallel

from mmocr_da.registry import MODELS


def l2sp(**options):
    return dict(type='mmocr_da.L2SP', **options)


@pytest.fixture
def said(monkeypatch):
    texts = []
    monkeypatch.setattr(
        'mmocr_da.models.objectives.l2sp.print_log', lambda text, **_: texts.append(text)
    )
    return texts


@pytest.fixture
def started(adaptive):
    """A recognizer that has loaded a checkpoint, and this checkpoint."""

    def make(*others, weight=0.5, leave_out=(), **kwargs):
        model = adaptive(l2sp(weight=weight), *others, **kwargs)
        checkpoint = {k: v for k, v in adaptive().state_dict().items() if k not in leave_out}
        model.load_state_dict(checkpoint, strict=False)
        return model, checkpoint

    return make


def move(model, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.startswith('objectives.'):
                parameter.add_(torch.randn(parameter.shape, generator=generator))
    return model


def anchor(model, batch):
    """The loss and the distance, with the gradient of the loss alone."""
    model.zero_grad()
    losses = model.loss(**batch())
    losses['loss_l2sp'].backward()
    grads = {k: p.grad for k, p in model.named_parameters() if p.grad is not None}
    return losses['loss_l2sp'].item(), losses['l2sp_distance'].item(), grads


def test_norms_that_are_converted_later_are_anchored_too(adaptive, batch):
    model = adaptive(l2sp(weight=0.5), type='mmocr_da.WithBIN', of='mmocr_da.AdaptiveRecognizer')
    plain = adaptive()
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.add_(0.1)
    model.load_state_dict(plain.state_dict(), strict=False)
    names = [name for name, _ in model.objectives['l2sp'].start.named_parameters()]
    anchored = {name for name, a in zip(names, model.objectives['l2sp'].anchored) if a}
    gates = {name for name in names if name.endswith('rho')}
    assert gates and anchored == {*names} - gates == {k for k, _ in plain.named_parameters()}
    assert anchor(model, batch)[0] == 0
    assert anchor(move(model), batch)[0] > 0


def test_at_the_start_loss_distance_and_gradient_are_zero(started, batch):
    loss, distance, grads = anchor(started()[0], batch)
    assert loss == distance == 0
    assert grads and not any(grad.any() for grad in grads.values())


@pytest.mark.parametrize('weight', [0.5, 2.0])
def test_the_gradient_is_weight_times_the_difference_and_the_loss_half_its_square(
    started, batch, weight
):
    model, checkpoint = started(weight=weight)
    loss, distance, grads = anchor(move(model), batch)
    own = {k: p for k, p in model.named_parameters() if not k.startswith('objectives.')}
    assert grads.keys() == own.keys()
    square = norm = 0.0
    for key, parameter in own.items():
        difference = (parameter - checkpoint[key]).detach()
        torch.testing.assert_close(grads[key], weight * difference)
        square += sum(d.item() ** 2 for d in difference.flatten())  # a slow oracle
        norm += sum(w.item() ** 2 for w in checkpoint[key].flatten())
    assert loss == pytest.approx(weight / 2 * square, rel=1e-4)
    assert distance == pytest.approx((square / norm) ** 0.5, rel=1e-4)


def test_one_number_by_hand(started, batch):
    model, checkpoint = started(weight=0.1)
    with torch.no_grad():
        model.decoder.fc.bias[3] += 3.0
        model.decoder.fc.bias[5] -= 4.0
    loss, _, grads = anchor(model, batch)
    assert loss == pytest.approx(0.1 / 2 * 25, rel=1e-5)
    wanted = torch.zeros_like(checkpoint['decoder.fc.bias'])
    wanted[3], wanted[5] = 0.3, -0.4
    torch.testing.assert_close(grads['decoder.fc.bias'], wanted)


def test_without_other_losses_it_leads_back_to_the_start(started, batch):
    model, checkpoint = started()
    distances = []
    for _ in range(5):
        optimizer = torch.optim.SGD(model.parameters(), 1.0)  # half of the way, with weight 0.5
        _, distance, _ = anchor(model if distances else move(model), batch)
        optimizer.step()
        distances.append(distance)
    for before, after in zip(distances, distances[1:]):
        assert after == pytest.approx(before / 2, rel=1e-4)


def test_it_needs_no_domain_and_statistics_may_move(started, batch):
    model, _ = started(supervised_weight=0)
    assert model.needed_domains == {}
    model.backbone.layer1[0].bn1.running_mean.add_(7)
    assert anchor(model, batch)[:2] == (0, 0)


def test_weights_that_the_checkpoint_lacks_are_free(started, batch, said):
    left_out = ('decoder.fc.weight', 'decoder.fc.bias')
    model, _ = started(leave_out=left_out)
    assert said == [
        'L2SP: 66 weights stay near those of the checkpoint, all but decoder.fc.weight, '
        'decoder.fc.bias'
    ]
    grads = anchor(move(model), batch)[2]
    free = {k for k, grad in grads.items() if not grad.any()}
    assert free == {*left_out}


def test_weights_of_another_shape_are_free(adaptive, batch):
    """MMEngine leaves them as they are."""
    from mmengine.runner.checkpoint import _load_checkpoint_to_model

    model, checkpoint = adaptive(l2sp()), adaptive().state_dict()
    checkpoint['decoder.fc.bias'] = torch.zeros(99)
    _load_checkpoint_to_model(model, dict(state_dict=checkpoint))
    grads = anchor(move(model), batch)[2]
    assert {k for k, grad in grads.items() if not grad.any()} == {'decoder.fc.bias'}


def test_without_a_checkpoint_it_does_nothing_and_says_so_once(adaptive, batch, said):
    model = adaptive(l2sp())
    for _ in range(2):
        assert anchor(move(model), batch)[:2] == (0, 0)
    (text,) = said
    assert 'NO effect' in text and 'load_from' in text


def test_a_resumed_run_keeps_the_start(started, adaptive, batch, said):
    model, checkpoint = started(leave_out=('decoder.fc.bias',))
    saved = copy.deepcopy(move(model).state_dict())
    said.clear()
    resumed = adaptive(l2sp(weight=0.5))
    resumed.load_state_dict(saved)
    assert said == []
    loss, distance, grads = anchor(model, batch)
    again = anchor(resumed, batch)
    assert (loss, distance) == again[:2] and loss > 0
    assert all(torch.equal(grad, again[2][key]) for key, grad in grads.items())
    assert said == []


def test_initial_weights_are_shared(adaptive):
    model = adaptive(l2sp())
    model.init_weights()
    for key, value in model.objectives['l2sp'].start.state_dict().items():
        assert torch.equal(value, model.state_dict()[key])


def test_a_frozen_recognizer_is_not_pulled(started, batch):
    model, _ = started()
    move(model).backbone.requires_grad_(False)
    assert not any(key.startswith('backbone') for key in anchor(model, batch)[2])


def test_it_is_beside_a_teacher_and_neither_is_in_the_other(started, batch):
    model, checkpoint = started(dict(type='mmocr_da.SelfTraining'))
    assert not any('objectives' in k for k in model.objectives['l2sp'].start.state_dict())
    assert not any(p.requires_grad for p in model.objectives['l2sp'].start.parameters())
    losses = move(model).loss(**batch())
    assert losses['l2sp_distance'] > 0 and 'self_training_kept' in losses


def test_the_loss_is_in_the_precision_of_the_weights(started, batch):
    model, _ = started()
    exact = anchor(move(model), batch)[:2]
    with torch.autocast('cpu', torch.bfloat16):
        losses = model.loss(**batch())
    assert losses['loss_l2sp'].dtype == torch.float32
    assert (losses['loss_l2sp'].item(), losses['l2sp_distance'].item()) == exact


def gradients_of(rank, cfg, checkpoint, data):
    torch.manual_seed(0)
    model = MODELS.build(copy.deepcopy(cfg)).train()
    model.load_state_dict(checkpoint, strict=False)
    wrapped = DistributedDataParallel(move(model), find_unused_parameters=True)
    wrapped(**data, mode='loss')['loss_l2sp'].backward()
    return [p.grad for p in model.parameters() if p.grad is not None]


def test_two_ranks_equal_one(recognizer_cfg, adaptive, batch):
    cfg = recognizer_cfg()
    cfg.update(type='mmocr_da.AdaptiveRecognizer', objectives=[l2sp()])
    checkpoint = adaptive().state_dict()
    two = run_ranks(gradients_of, cfg, checkpoint, batch())
    model = MODELS.build(copy.deepcopy(cfg)).train()
    model.load_state_dict(checkpoint, strict=False)
    move(model).loss(**batch())['loss_l2sp'].backward()
    one = [p.grad for p in model.parameters() if p.grad is not None]
    for grads in two:
        for a, b in zip(grads, one, strict=True):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize('weight', [-1, '1', float('nan')])
def test_settings_that_cannot_be_meant(weight):
    with pytest.raises(ValueError, match='weight must be a number of at least 0'):
        MODELS.build(l2sp(weight=weight))
