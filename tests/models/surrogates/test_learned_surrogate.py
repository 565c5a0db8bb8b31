"""The general part, on a third metric: half the number of differing entries of two vectors."""

import copy

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from torch import nn

from mmocr_da.models.surrogates import (
    EditDistanceSurrogate,
    LearnedSurrogate,
    RotatedIoUSurrogate,
)
from mmocr_da.models.surrogates.learned_surrogate import EPS, safe_norm
from mmocr_da.registry import MODELS
from mmocr_da.renamed import _warn

DIGITS = dict(type='Dictionary', dict_file='configs/_base_/dicts/digits.txt', with_end=True)
TEXTS = dict(dictionary=DIGITS, max_length=8, channels=(4,), hidden_channels=4, out_channels=4)
BOXES = dict(pairs=dict(ann_files='labels.json'))


class HalfHamming(LearnedSurrogate):
    """All that a custom metric needs."""

    def __init__(self, width=4, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.embedding = nn.Sequential(nn.Linear(width, 16), nn.Tanh(), nn.Linear(16, 8))

    def metric(self, z, y):
        return (z.round() != y.round()).sum(1) / 2

    def generate(self, y, rng):
        z = torch.from_numpy(rng.integers(0, 2, y.shape)).to(y)
        return z, y, self.metric(z, y)

    @property
    def spec(self):
        return dict(super().spec, width=self.width)


def pairs(count=6, width=4, dtype=torch.float64):
    generator = torch.Generator().manual_seed(3)
    z = torch.rand(count, width, generator=generator, dtype=dtype)
    return z, torch.randint(0, 2, (count, width), generator=generator).to(dtype)


@pytest.fixture
def surrogate(progress):
    progress(0, 100)
    return HalfHamming().double()


def linear(matrix, **kwargs):
    out = HalfHamming(len(matrix[0]), **kwargs)
    out.embedding = nn.Linear(len(matrix[0]), len(matrix), bias=False).double()
    out.embedding.weight.data = torch.tensor(matrix, dtype=torch.float64)
    return out


# --------------------------------------------------------------------------- eq. 3 and 6


def test_it_is_a_distance(surrogate):
    z, y = pairs()
    torch.testing.assert_close(surrogate.distance(z, y), surrogate.distance(y, z))
    assert (surrogate.distance(y, y) == EPS**0.5).all()
    other = z.flip(0)
    assert (
        surrogate.distance(z, y)
        <= surrogate.distance(z, other) + surrogate.distance(other, y) + 1e-4
    ).all()


def test_rows_do_not_matter_to_each_other(surrogate):
    z, y = pairs()
    whole = surrogate.terms(z, y, surrogate.metric(z, y))
    for row in range(len(z)):
        alone = surrogate.terms(
            z[row : row + 1], y[row : row + 1], surrogate.metric(z, y)[row : row + 1]
        )
        for a, b in zip(whole, alone):
            torch.testing.assert_close(a[row], b[0])


def test_equation_6_by_hand():
    """h(x) = 2 x on a line: e_hat = 2 |z - y|, and its gradient is 2 long."""
    surrogate = linear([[2.0]])
    z, y = torch.tensor([[0.5], [3.0]]).double(), torch.tensor([[0.0], [1.0]]).double()
    estimate, square, penalty = surrogate.terms(z, y, torch.tensor([3.0, 3.0]).double())
    for found, wanted in ((estimate, [1, 4]), (square, [4, 1]), (penalty, [1, 1])):
        assert found.tolist() == pytest.approx(wanted, abs=1e-6)


def test_equation_6_against_an_oracle(surrogate):
    """Row by row, with the gradient by finite differences."""
    z, y = pairs()
    e = surrogate.metric(z, y).double()

    def h(x):
        a, b = surrogate.embedding[0], surrogate.embedding[2]
        return (torch.tanh(x @ a.weight.T + a.bias) @ b.weight.T + b.bias).detach()

    def e_hat(x, label):
        return float((h(x) - h(label)).pow(2).sum()) ** 0.5

    estimate, square, penalty = surrogate.terms(z, y, e)
    for n in range(len(z)):
        step, slopes = 1e-6, []
        for i in range(z.size(1)):
            d = torch.zeros_like(z[n])
            d[i] = step
            slopes.append((e_hat(z[n] + d, y[n]) - e_hat(z[n] - d, y[n])) / (2 * step))
        wanted = e_hat(z[n], y[n])
        assert estimate[n].item() == pytest.approx(wanted, abs=1e-6)
        assert square[n].item() == pytest.approx((wanted - e[n].item()) ** 2, abs=1e-6)
        assert penalty[n].item() == pytest.approx((np.linalg.norm(slopes) - 1) ** 2, abs=1e-5)


def test_gradients_through_the_gradient_term(surrogate):
    """gradcheck differentiates the penalty, so this is the second derivative of the embedding."""
    z, y = pairs(3)
    parameters = list(surrogate.parameters())

    def loss(*weights):
        names = [name for name, _ in surrogate.embedding.named_parameters()]
        twin = copy.deepcopy(surrogate)
        twin.embedding = _Functional(surrogate.embedding, dict(zip(names, weights)))
        estimate, square, penalty = twin.terms(z, y, surrogate.metric(z, y))
        return square.sum() + penalty.sum()

    assert torch.autograd.gradcheck(loss, [p.detach().requires_grad_() for p in parameters])


class _Functional(nn.Module):
    def __init__(self, module, weights):
        super().__init__()
        self.call = lambda x: torch.func.functional_call(module, weights, (x,))

    def forward(self, x):
        return self.call(x)


def test_gradients_of_the_prediction(surrogate):
    z, y = pairs()
    assert torch.autograd.gradcheck(lambda x: surrogate.frozen_distance(x, y), z.requires_grad_())


@pytest.mark.parametrize('rows', ['equal', 'nearly equal', 'some equal'])
def test_finite_where_the_prediction_is_the_label(surrogate, rows):
    surrogate = surrogate.float()
    z, y = pairs(dtype=torch.float32)
    z = dict(
        [
            ('equal', y.clone()),
            ('nearly equal', y + 1e-6),
            ('some equal', torch.cat([y[:2], z[2:]])),
        ]
    )[rows].requires_grad_()
    losses = surrogate.fit(z, y)
    (losses['loss_fit'] + losses['loss_gradient']).backward()
    assert all(p.grad.isfinite().all() for p in surrogate.parameters())
    surrogate.frozen_distance(z, y).sum().backward()
    assert z.grad.isfinite().all()


def test_equal_rows_have_no_gradient_term():
    """There it is 0 for every embedding, and 10 times 1 in the mean would only hide the others."""
    surrogate = linear([[1.0, 0.0], [0.0, 1.0]], approximation='local')
    z, y = pairs(4, 2)
    z[:2] = y[:2]
    assert surrogate.fit(z, y)['loss_gradient'].item() == pytest.approx(0, abs=1e-6)
    surrogate = linear([[3.0, 0.0], [0.0, 3.0]], approximation='local')
    assert surrogate.fit(z, y)['loss_gradient'].item() == pytest.approx(10 * 4, abs=1e-4)
    assert surrogate.terms(z, y, surrogate.metric(z, y))[2].tolist() == pytest.approx(
        [0, 0, 4, 4], abs=1e-5
    )


def test_half_precision_does_not_reach_it(surrogate):
    surrogate = surrogate.float()
    z, y = pairs(dtype=torch.float32)
    wanted = surrogate.terms(z, y, surrogate.metric(z, y))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = surrogate.terms(z, y, surrogate.metric(z, y))
        half = surrogate.distance(z.bfloat16(), y.bfloat16())
    assert all(torch.equal(a, b) for a, b in zip(found, wanted))
    assert half.dtype == torch.float32


def test_safe_norm_is_a_norm():
    x = torch.randn(5, 3, 2, dtype=torch.float64)
    torch.testing.assert_close(safe_norm(x), x.flatten(1).norm(dim=1))


def test_different_shapes_are_refused(surrogate):
    with pytest.raises(ValueError, match=r'same shape, got \(2, 4\) and \(2, 3\)'):
        surrogate.distance(torch.zeros(2, 4), torch.zeros(2, 3))


# --------------------------------------------------------------------------- who learns what


def test_the_model_learns_and_the_surrogate_does_not(surrogate):
    z, y = pairs()
    z.requires_grad_()
    distance = surrogate.frozen_distance(z, y)
    torch.testing.assert_close(distance, surrogate.distance(z, y))
    distance.sum().backward()
    assert z.grad.any() and all(p.grad is None for p in surrogate.parameters())


def test_the_surrogate_learns_and_the_model_does_not(surrogate):
    z, y = pairs()
    z.requires_grad_()
    losses = surrogate.fit(z, y)
    (losses['loss_fit'] + losses['loss_gradient']).backward()
    assert z.grad is None and all(p.grad.any() for p in surrogate.embedding[0].parameters())


def test_it_learns_a_metric_by_its_values_alone(progress):
    torch.manual_seed(0)
    surrogate = HalfHamming(approximation='global', gradient_weight=0.01)
    optimizer = torch.optim.Adam(surrogate.parameters(), 1e-2)
    y = torch.randint(0, 2, (64, 4)).float()
    errors = []
    for iteration in range(300):
        progress(iteration, 300)
        out = surrogate.fit(y, y)
        errors.append(out['error_generated'].item())
        optimizer.zero_grad()
        (out['loss_fit'] + out['loss_gradient']).backward()
        optimizer.step()
    assert np.mean(errors[-20:]) < 0.2 and errors[0] > 0.4
    assert out['rank_correlation'] > 0.9


@pytest.mark.parametrize(
    'approximation, shown',
    [
        ('global', {'error_model', 'error_generated'}),
        ('local', {'error_model'}),
        ('local-global', {'error_model', 'error_generated'}),
    ],
)
def test_what_it_learns_from(progress, approximation, shown):
    progress(0, 10)
    surrogate = HalfHamming(approximation=approximation).double()
    z, y = pairs()
    out = surrogate.fit(z, y)
    assert {k for k in out if k.startswith('error')} == shown
    generated = surrogate.generate(y, surrogate._rng())
    wanted = [(z, y, surrogate.metric(z, y))] * ('local' in approximation)
    wanted += [generated] * ('global' in approximation)
    squares = [surrogate.terms(*sample)[1].mean() for sample in wanted]
    torch.testing.assert_close(out['loss_fit'], sum(squares))
    gradients = []
    for a, b, e in wanted:
        differ = (a != b).any(1)
        gradients.append(surrogate.terms(a, b, e)[2][differ].mean())
    torch.testing.assert_close(out['loss_gradient'], 10 * sum(gradients))


@pytest.mark.parametrize('approximation', ['global', 'local', 'local-global'])
def test_without_a_label_the_loss_is_a_connected_zero(progress, approximation):
    progress(0, 10)
    surrogate = HalfHamming(approximation=approximation)
    losses = surrogate.fit(torch.zeros(0, 4), torch.zeros(0, 4))
    assert set(losses) == {'loss_fit', 'loss_gradient'}
    sum(losses.values()).backward()
    assert all((p.grad == 0).all() for p in surrogate.parameters())


def test_pairs_are_a_function_of_seed_and_iteration(progress):
    def drawn(seed, iteration):
        progress(iteration, 10)
        return HalfHamming(seed=seed)._rng().integers(0, 2**30)

    assert drawn(0, 3) == drawn(0, 3)
    assert len({drawn(0, 3), drawn(1, 3), drawn(0, 4)}) == 3


# --------------------------------------------------------------------------- alternation


@pytest.mark.parametrize(
    'options, turns',
    [
        (dict(), 'SMSMSMSM'),
        (dict(surrogate_steps=2, model_steps=3), 'SSMMMSSM'),
        (dict(surrogate_steps=1, model_steps=2, warmup=3), 'SSSSMMSM'),
        (dict(surrogate_steps=0, model_steps=1, warmup=3), 'SSSMMMMM'),
        (dict(surrogate_steps=1, model_steps=0), 'SSSSSSSS'),
        (dict(alternate=False), 'BBBBBBBB'),
        (dict(alternate=False, warmup=3), 'SSSBBBBB'),
    ],
)
def test_turns(progress, options, turns):
    surrogate = HalfHamming(**options)
    kinds = {(True, False): 'S', (False, True): 'M', (True, True): 'B'}
    found = [kinds[surrogate.learns_at(i), surrogate.teaches_at(i)] for i in range(8)]
    assert ''.join(found) == turns
    for iteration, turn in enumerate(turns):
        progress(iteration, 8)
        assert surrogate.learns == (turn in 'SB') and surrogate.teaches == (turn in 'MB')


def test_numbers_of_steps_without_turns_are_reported(monkeypatch):
    said = []
    monkeypatch.setattr('mmocr_da.arguments.print_log', lambda text, **_: said.append(text))
    HalfHamming(alternate=False)
    assert not said
    HalfHamming(alternate=False, surrogate_steps=0, model_steps=2)
    assert [text.split()[0] for text in said] == ['surrogate_steps=0', 'model_steps=2']
    assert all('with alternate=False each iteration trains both' in text for text in said)


def test_a_training_that_ends_in_the_warm_up_is_named_once(progress, monkeypatch):
    said = []
    monkeypatch.setattr(
        'mmocr_da.models.surrogates.learned_surrogate.print_log',
        lambda text, **_: said.append(text),
    )
    for warmup, total, warnings in ((4, 5, 0), (5, 5, 1)):
        surrogate = HalfHamming(warmup=warmup)
        for iteration in range(total):
            progress(iteration, total)
            surrogate.teaches  # noqa: B018  each iteration asks
        assert len(said) == warnings
    assert 'of 5 iterations trains the surrogate alone: its warm-up has 5' in said[0]


def test_turns_need_a_runner():
    MessageHub.get_current_instance().runtime_info.pop('iter', None)
    with pytest.raises(RuntimeError, match='needs a running MMEngine Runner'):
        HalfHamming().learns


# --------------------------------------------------------------------------- checkpoint, options


def write(surrogate, path):
    torch.save(dict(meta=dict(surrogate=surrogate.spec), state_dict=surrogate.state_dict()), path)
    return str(path)


def test_a_surrogate_is_loaded_from_its_own_file(surrogate, tmp_path):
    path = write(surrogate, tmp_path / 's.pth')
    other = HalfHamming(checkpoint=path).double()
    assert not torch.equal(other.embedding[0].weight, surrogate.embedding[0].weight)
    other.init_weights()
    for a, b in zip(other.parameters(), surrogate.parameters()):
        assert torch.equal(a, b)


def test_a_surrogate_of_other_inputs_is_refused(surrogate, tmp_path):
    path = write(HalfHamming(5), tmp_path / 's.pth')
    with pytest.raises(ValueError, match='other inputs: width=5 instead of 4; use one'):
        surrogate.load(path)
    torch.save(dict(meta={}, state_dict=surrogate.state_dict()), tmp_path / 'm.pth')
    with pytest.raises(ValueError, match='SurrogateExportHook wrote.*load_from'):
        surrogate.load(str(tmp_path / 'm.pth'))


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(approximation='both'), "one of global, local, local-global, got 'both'"),
        (dict(gradient_weight=-1), 'gradient_weight must be a number of at least 0, got -1'),
        (
            dict(gradient_weight=float('nan')),
            'gradient_weight must be a number of at least 0, got nan',
        ),
        (
            dict(surrogate_steps=1.5),
            r'surrogate_steps must be an integer of at least 0 \(iterations\), got 1.5',
        ),
        (dict(model_steps=-1), 'model_steps must be an integer of at least 0.*got -1'),
        (dict(alternate=1), 'alternate must be True or False, got 1'),
        (dict(warmup='no'), "warmup must be an integer of at least 0.*got 'no'"),
        (dict(surrogate_steps=0, model_steps=0), 'must not both be 0'),
        (dict(surrogate_steps=0), 'need the checkpoint of a surrogate, got None'),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        HalfHamming(**options)


@pytest.mark.parametrize(
    'build',
    [
        lambda: HalfHamming(source='global'),
        lambda: EditDistanceSurrogate(**TEXTS, source='global'),
        lambda: RotatedIoUSurrogate(**BOXES, source='global'),
        lambda: MODELS.build(
            dict(type='mmocr_da.LSIoULoss', surrogate=dict(BOXES, source='global'))
        ),
        lambda: MODELS.build(dict(type='mmocr_da.EditDistanceSurrogate', **TEXTS, source='global')),
    ],
    ids=['subclass', 'texts', 'boxes', 'config of boxes', 'config of texts'],
)
def test_the_old_name_of_an_option_works_with_one_warning(build, monkeypatch):
    said = []
    monkeypatch.setattr('mmocr_da.renamed.print_log', lambda text, **_: said.append(text))
    _warn.cache_clear()
    built = [build(), build()]
    surrogates = [getattr(module, 'surrogate', module) for module in built]
    assert {surrogate.approximation for surrogate in surrogates} == {'global'}
    (warning,) = said
    assert 'source= of' in warning and 'is now approximation=' in warning


def test_both_names_of_an_option_are_refused():
    with pytest.raises(ValueError, match='source is now approximation, got both'):
        HalfHamming(source='local', approximation='global')
