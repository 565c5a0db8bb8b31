"""The factor of a loss: sizes of gradients agree, directions stay, averages as defined."""

import pytest
import torch
from helpers.processes import run_ranks

from mmocr_da.models.losses import GradientBalance

REFERENCE = dict(type='SmoothL1Loss', beta=1.0)


def gradient(loss, offsets):
    return torch.autograd.grad(loss, offsets, retain_graph=True)[0]


@pytest.fixture
def offsets():
    return torch.randn(6, 5, requires_grad=True)


@pytest.fixture
def losses(offsets):
    """Of two shapes and sizes: reference and loss."""
    return offsets.abs().sum(), 0.01 * (offsets[:, 0] ** 4).mean() + 0.1 * offsets[:, 3].sum()


def test_the_gradient_is_as_large_as_the_reference_and_points_where_the_loss_does(offsets, losses):
    reference, loss = losses
    factor = GradientBalance(REFERENCE, momentum=1.0)(*losses, [offsets])
    balanced = gradient(factor * loss, offsets)
    torch.testing.assert_close(balanced.norm(), gradient(reference, offsets).norm())
    assert torch.cosine_similarity(
        balanced.flatten(), gradient(loss, offsets).flatten(), dim=0
    ).item() == pytest.approx(1)
    assert not factor.requires_grad


def test_the_size_of_the_loss_does_not_matter(offsets, losses):
    reference, loss = losses
    values = [
        GradientBalance(REFERENCE)(reference, c * loss, [offsets]) * c * loss for c in (1, 50)
    ]
    torch.testing.assert_close(*values)


def test_several_inputs_count_together(losses, offsets):
    other = torch.ones(2, requires_grad=True)
    reference, loss = losses[0] + (5 * other).sum(), losses[1] + other.prod()
    factor = GradientBalance(REFERENCE, momentum=1.0)(reference, loss, [offsets, other])
    sizes = [
        torch.cat([gradient(x, y).flatten() for y in (offsets, other)]).norm()
        for x in (reference, factor * loss)
    ]
    torch.testing.assert_close(*sizes)


def test_averages_by_hand():
    """Norms 2, 4 of the reference and 1, 10 of the loss, with the shares 3/4 and 1/4."""
    x = torch.ones(1, requires_grad=True)
    balance = GradientBalance(REFERENCE, momentum=0.25)
    assert balance(2 * x.sum(), x.sum(), [x]).item() == 2
    expected = (0.75 * 0.5 + 0.25 * 4) / (0.75 * 0.25 + 0.25 * 10)
    assert balance(4 * x.sum(), 10 * x.sum(), [x]).item() == pytest.approx(expected)
    # Of another process: the averages are a part of the checkpoint.
    again = GradientBalance(REFERENCE, momentum=0.25)
    again.load_state_dict(balance.state_dict())
    torch.testing.assert_close(*(b(x.sum(), x.sum(), [x]) for b in (balance, again)))


@pytest.mark.parametrize('what', ['zero', 'nan', 'unconnected'])
def test_a_batch_without_a_gradient_changes_no_average(what):
    x = torch.ones(1, requires_grad=True)
    odd = dict(zero=0 * x.sum(), nan=float('nan') * x.sum(), unconnected=torch.ones(()))[what]
    balance = GradientBalance(REFERENCE, momentum=0.5)
    assert balance(x.sum(), odd, [x]).item() == 1
    assert balance(6 * x.sum(), 2 * x.sum(), [x]).item() == 3
    for pair in ((odd, x.sum()), (x.sum(), odd)):
        assert balance(*pair, [x]).item() == 3


def test_the_factor_has_a_bound():
    x = torch.ones(1, requires_grad=True)
    assert GradientBalance(REFERENCE, max_factor=7.0)(x.sum(), x.sum() / 99, [x]).item() == 7


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(momentum=0), 'momentum must be a number above 0 and of at most 1, got 0'),
        (dict(max_factor=-1.0), 'max_factor must be a number above 0'),
        (dict(reference='L1'), "reference must be .*, got 'L1'"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        GradientBalance(**{'reference': REFERENCE, **options})


def factor_of_rank(rank):
    x = torch.ones(1, requires_grad=True)
    balance = GradientBalance(REFERENCE)
    # One of the processes has no text.
    factors = [balance(*[(c * (1 - rank)) * x.sum() for c in (3, 2)], [x])]
    return [*factors, balance(*[c * x.sum() for c in ((4, 1), (3, 7))[rank]], [x])]


def test_all_processes_have_the_factor_of_all_their_boxes():
    ranks = run_ranks(factor_of_rank)
    expected = [1.5, (0.95 * 3 + 5) / (0.95 * 2 + 50**0.5)]
    for factors in ranks:
        assert [f.item() for f in factors] == pytest.approx(expected)


def test_it_builds_a_loss_of_mmdetection_from_any_scope():
    loss = GradientBalance(dict(type='SmoothL1Loss', beta=0.5)).reference
    assert type(loss).__module__.startswith('mmdet.') and loss.beta == 0.5
