import importlib
import math

import pytest
import torch
import torch.distributed as dist
from helpers.processes import run_ranks
from torch.autograd import gradcheck
from torch.nn.parallel import DistributedDataParallel
from torch.utils._python_dispatch import TorchDispatchMode

from mmocr_da.models.contrastive import NTXentLoss, nt_xent
from mmocr_da.registry import MODELS

# The package has a function of that name, too.
nt_xent_module = importlib.import_module('mmocr_da.models.contrastive.nt_xent')


def oracle(za, zb, temperature, reduction='mean'):
    """Eq. 1 instance by instance, in float64."""
    pairs = [(u, v) for a, b in zip(za.double(), zb.double()) for u, v in ((a, b), (b, a))]
    everything = [u for u, _ in pairs]
    total = za.double().sum() * 0
    for i, (u, v) in enumerate(pairs):

        def similarity(w):
            return (u @ w) / (u.norm() * w.norm()) / temperature

        others = torch.stack([similarity(w) for j, w in enumerate(everything) if j != i])
        total = total + torch.logsumexp(others, 0) - similarity(v)
    return total / len(pairs) if reduction == 'mean' else total


def instances(count=7, width=5, dtype=torch.float64):
    generator = torch.Generator().manual_seed(count)
    return [
        torch.randn(count, width, generator=generator, dtype=dtype).requires_grad_()
        for _ in range(2)
    ]


def value_and_gradients(function, za, zb, *args, **kwargs):
    za, zb = (z.detach().clone().requires_grad_() for z in (za, zb))
    value = function(za, zb, *args, **kwargs)
    value.backward()
    return value.detach(), za.grad, zb.grad


@pytest.mark.parametrize('reduction', ['mean', 'sum'])
@pytest.mark.parametrize('temperature', [0.1, 1.0])
@pytest.mark.parametrize('block_size', [1, 3, 1000])
def test_it_is_equation_1(reduction, temperature, block_size):
    za, zb = instances()
    ours = value_and_gradients(nt_xent, za, zb, temperature, reduction, block_size)
    theirs = value_and_gradients(oracle, za, zb, temperature, reduction)
    for a, b in zip(ours, theirs):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize('temperature', [0.01, 0.1, 1.0])
@pytest.mark.parametrize('scale', [1e-3, 1e3])
def test_float32_keeps_five_digits(temperature, scale):
    za, zb = instances(40, 16, torch.float32)
    zb = zb + 0.3 * za  # positives are closer than the rest
    ours = value_and_gradients(nt_xent, za * scale, zb * scale, temperature, block_size=7)
    theirs = value_and_gradients(oracle, za * scale, zb * scale, temperature)
    for a, b in zip(ours, theirs):
        assert (a - b).abs().max() <= 1e-5 * max(b.abs().max(), 1 if a.dim() == 0 else 0)


def test_gradients_by_finite_differences():
    assert gradcheck(lambda a, b: nt_xent(a, b, 0.5, block_size=2), instances(3, 4))
    # Also where an instance has a place in the loss twice.
    za, _ = instances(3, 4)
    assert gradcheck(lambda a: nt_xent(a, a.roll(1, 0), 0.5, 'sum'), za)


def test_by_hand():
    # e_1 sees its positive at 1, and both e_2 at 0: log(e + 1 + 1) - 1.
    z = torch.eye(2)
    assert nt_xent(z, z, 1.0).item() == pytest.approx(math.log(math.e + 2) - 1)
    # The positive is opposite, and so is one of the two others: log(2 / e + e) + 1.
    flipped = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert nt_xent(flipped, -flipped, 1.0, 'sum').item() == pytest.approx(
        4 * (math.log(2 / math.e + math.e) + 1)
    )


def test_laws():
    za, zb = instances(9)
    loss = nt_xent(za, zb)
    order = torch.randperm(9)
    torch.testing.assert_close(nt_xent(zb, za), loss)
    torch.testing.assert_close(nt_xent(za[order], zb[order]), loss)
    torch.testing.assert_close(nt_xent(za * torch.rand(9, 1).add(0.1).double(), zb), loss)
    torch.testing.assert_close(nt_xent(za, zb, reduction='sum'), 18 * loss)
    rotation = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64))[0]
    torch.testing.assert_close(nt_xent(za @ rotation, zb @ rotation), loss)
    # Equal views, and nothing else alike: the temperature's limit.
    assert nt_xent(torch.eye(4), torch.eye(4), 0.01) < 1e-6
    # All alike: each of the 2 M - 1 others is as likely.
    same = torch.ones(4, 3)
    assert nt_xent(same, same).item() == pytest.approx(math.log(7), abs=1e-5)
    assert isinstance(MODELS.build(dict(type='mmocr_da.NTXentLoss')), NTXentLoss)
    torch.testing.assert_close(NTXentLoss(0.3, 'sum', 2)(za, zb), nt_xent(za, zb, 0.3, 'sum'))


@pytest.mark.parametrize('count', [0, 1])
def test_without_negatives_it_is_a_connected_zero(count):
    za, zb = instances(count)
    loss = nt_xent(za, zb)
    loss.backward()
    assert abs(loss) < 1e-12 and za.grad.shape == za.shape and za.grad.abs().sum() < 1e-12


def test_zero_vectors_are_no_nan():
    za = torch.zeros(3, 4, requires_grad=True)
    loss = nt_xent(za, torch.zeros(3, 4))
    loss.backward()
    assert loss.item() == pytest.approx(math.log(5)) and za.grad.isfinite().all()


def test_half_precision_is_computed_in_float32():
    za, zb = (z.detach().bfloat16() for z in instances(30, 8, torch.float32))
    with torch.autocast('cpu', torch.bfloat16):
        ours = value_and_gradients(nt_xent, za, zb, 0.1)
        assert ours[0].dtype == torch.float32 and ours[1].dtype == torch.bfloat16
    theirs = value_and_gradients(oracle, za.float(), zb.float(), 0.1)
    assert abs(ours[0] - theirs[0]) < 1e-5
    torch.testing.assert_close(ours[1].float(), theirs[1].float(), rtol=1e-2, atol=1e-6)


class _Largest(TorchDispatchMode):
    """The largest tensor that any operation returns."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for x in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(x, torch.Tensor):
                self.numel = max(self.numel, x.untyped_storage().nbytes() // x.element_size())
        return out


def test_no_matrix_of_all_similarities():
    sizes = {}
    for count in (200, 400):
        za, zb = (torch.randn(count, 4, requires_grad=True) for _ in range(2))
        with _Largest() as largest:
            nt_xent(za, zb, block_size=20).backward()
        sizes[count] = largest.numel
    assert sizes == {200: 20 * 400, 400: 20 * 800}


@pytest.mark.parametrize('length', [0.0, 1e-12, 1e-6, 1e-4])
def test_an_instance_without_a_direction_has_a_bounded_gradient(length):
    """An image of one colour can give features of zeros; its gradient must not drown the others."""
    torch.manual_seed(0)
    za, zb = (torch.randn(16, 8) for _ in range(2))
    za[3] = torch.nn.functional.normalize(za[3], dim=0) * length
    za.requires_grad_()
    nt_xent(za, zb).backward()
    assert za.grad.isfinite().all()
    # Of the loss by a unit vector: at most (1 + 1) * 2 / tau / (2 M).
    assert za.grad[3].norm() <= 4 / 0.1 / 32 * 1024 * 1.001
    assert za.grad[3].norm() > 0  # it can leave that place


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_the_bound_changes_no_bit_of_other_instances(dtype, monkeypatch):
    results = []
    for eps in (nt_xent_module.MIN_LENGTH, 1e-12):
        monkeypatch.setattr(nt_xent_module, 'MIN_LENGTH', eps)
        torch.manual_seed(0)
        za, zb = (
            torch.randn(16, 8, dtype=dtype).mul_(0.002**i).requires_grad_() for i in range(2)
        )  # also short ones
        loss = nt_xent(za, zb)
        loss.backward()
        results.append((loss.detach(), za.grad, zb.grad))
    assert results[0][0] > 0 and all(torch.equal(a, b) for a, b in zip(*results))


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(temperature=0), 'temperature'),
        (dict(temperature='abc'), "got 'abc'"),
        (dict(reduction='max'), 'reduction'),
        (dict(block_size=0), 'block_size'),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        NTXentLoss(**options)


def test_wrong_shapes():
    with pytest.raises(ValueError, match=r'\(3, 4\) and \(2, 4\)'):
        nt_xent(torch.zeros(3, 4), torch.zeros(2, 4))


# --------------------------------------------------------------------------- several processes


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(6, 4)

    def forward(self, xa, xb, **options):
        return nt_xent(self.layer(xa), self.layer(xb), **options)


def gradients(xa, xb, wrap, **options):
    torch.manual_seed(0)
    net = Net().double()
    forward = DistributedDataParallel(net) if wrap else net  # which must live until backward
    loss = forward(xa, xb, **options)
    loss.backward()
    return loss.detach(), [p.grad for p in net.parameters()]


CASES = {
    '2 x 4': ([range(4), range(4, 8)], {}),
    'uneven': ([range(1), range(1, 8)], dict(block_size=3)),
    'empty': ([range(0), range(8)], {}),
    'sum': ([range(3), range(3, 8)], dict(reduction='sum')),
}


def gradients_of_rank(rank, data):
    results = {}
    for name, (shares, options) in CASES.items():
        rows = list(shares[rank])
        loss, grads = gradients(data[0][rows], data[1][rows], wrap=True, **options)
        dist.all_reduce(loss)
        results[name] = loss / 2, grads
    return results


def test_two_ranks_of_four_are_one_of_eight():
    data = [torch.randn(8, 6, dtype=torch.float64) for _ in range(2)]
    two = run_ranks(gradients_of_rank, data)[0]
    for name, (_, options) in CASES.items():
        loss, grads = gradients(*data, wrap=False, **options)
        torch.testing.assert_close(two[name][0], loss, msg=lambda m: f'{name}: {m}')
        for a, b in zip(two[name][1], grads):
            torch.testing.assert_close(a, b, msg=lambda m: f'{name}: {m}')
    # The comparison can tell: with negatives of one's own rank alone, it is another loss.
    alone = [
        nt_xent(*(torch.nn.functional.normalize(x[rows]) for x in data))
        for rows in (slice(0, 4), slice(4, 8))
    ]
    assert abs(sum(alone) / 2 - two['2 x 4'][0]) > 0.01
