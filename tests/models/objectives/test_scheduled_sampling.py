"""Scheduled sampling: the decays of the paper, and what its ends are."""

import math

import pytest
import torch

from mmocr_da.models.decoders.drawing import RandomDraws
from mmocr_da.models.objectives import ScheduledSampling
from mmocr_da.registry import MODELS


def scheduled(**options):
    return dict(type='mmocr_da.ScheduledSampling', **options)


# --------------------------------------------------------------------------- decays


@pytest.mark.parametrize(
    'options, formula',
    [
        (dict(decay='linear', k=0.9, c=0.01), lambda i: max(0, 0.9 - 0.01 * i)),
        (dict(decay='linear', c=0.02, least=0.3), lambda i: max(0.3, 1 - 0.02 * i)),
        (dict(decay='linear'), lambda i: 1 - i / 200),
        (dict(decay='linear', k=1.5, c=0.01), lambda i: min(1, max(0, 1.5 - 0.01 * i))),
        (dict(decay='exponential', k=0.98), lambda i: 0.98**i),
        (dict(decay='inverse_sigmoid', k=20), lambda i: 20 / (20 + math.exp(i / 20))),
        (
            dict(decay='inverse_sigmoid', k=20, least=0.5),
            lambda i: max(0.5, 20 / (20 + math.exp(i / 20))),
        ),
    ],
)
def test_decays(options, formula):
    objective = ScheduledSampling(**options)
    values = [objective.label_probability(i, 200) for i in range(201)]
    assert values == pytest.approx([formula(i) for i in range(201)])
    assert all(a >= b for a, b in zip(values, values[1:]))


def test_a_long_training_overflows_nothing():
    assert ScheduledSampling(decay='inverse_sigmoid', k=1).label_probability(10**9, 10**9) < 1e-99


# --------------------------------------------------------------------------- in a recognizer


def losses_of(model, data):
    losses = model.loss(**data)
    return losses, next(v for k, v in losses.items() if k.startswith('loss_scheduled'))


@pytest.mark.parametrize('decoder', ['ASTERDecoder', 'mmocr_da.AttentionDecoder'])
def test_with_labels_alone_it_is_the_supervised_loss(adaptive, batch, progress, decoder):
    progress(0, 10)
    data = batch(('12', '345', '6'), targets=0)
    plain = adaptive(decoder=decoder).eval()
    model = adaptive(scheduled(weight=2.0), decoder=decoder, supervised_weight=0).eval()
    model.load_state_dict(plain.state_dict())
    wanted = plain.loss(**data)['loss_ce']
    losses, found = losses_of(model, data)
    torch.testing.assert_close(found, 2 * wanted)
    assert losses['scheduled_sampling_label_probability'] == 1
    gradients = []
    for loss, of in ((found / 2, model), (wanted, plain)):
        loss.backward()
        gradients.append({k: p.grad for k, p in of.named_parameters()})
    for name, gradient in gradients[1].items():
        torch.testing.assert_close(gradients[0][name], gradient, msg=name)


def test_at_the_end_it_is_fed_its_own_text(adaptive, batch, progress):
    """The loss by hand, of the greedy prediction and the label step by step."""
    progress(10, 10)
    data = batch(('12', '345'), targets=0)
    model = adaptive(scheduled(own='greedy'), supervised_weight=0).eval()
    losses, found = losses_of(model, data)
    assert losses['scheduled_sampling_label_probability'] == 0
    sequence = model.encoder(model.extract_feat(data['inputs']), data['data_samples'])
    log_p = model.adapter.predict(None, sequence, data['data_samples']).log_softmax(-1)
    end = model.decoder.dictionary.end_idx
    labels = [[1, 2, end], [3, 4, 5, end]]
    terms = [-log_p[i, step, c] for i, row in enumerate(labels) for step, c in enumerate(row)]
    torch.testing.assert_close(found, torch.stack(terms).mean())


def test_the_share_of_labels_is_epsilon(adaptive, batch, progress, monkeypatch):
    progress(3, 10)
    asked = []
    events = RandomDraws.events

    def spy(self, shape, probability, device):
        asked.append(probability)
        return events(self, shape, probability, device)

    monkeypatch.setattr(RandomDraws, 'events', spy)
    model = adaptive(scheduled(), supervised_weight=0)
    losses, _ = losses_of(model, batch(targets=0))
    assert asked == [pytest.approx(0.7)]
    assert losses['scheduled_sampling_label_probability'].item() == pytest.approx(0.7)


def test_what_is_drawn_depends_on_the_iteration_alone(adaptive, batch, progress):
    model = adaptive(scheduled(k=0.5, c=0.0), supervised_weight=0).eval()
    found = []
    for iteration in (3, 3, 4):
        progress(iteration, 10)
        torch.rand(3)
        found.append(losses_of(model, batch(('1234567', '345'), targets=0))[1].item())
    assert found[0] == found[1] != found[2]


def test_it_needs_a_running_training(adaptive, batch):
    with pytest.raises(RuntimeError, match='needs a running MMEngine Runner'):
        adaptive(scheduled(), supervised_weight=0).loss(**batch(targets=0))


def test_a_batch_without_labels_is_a_connected_zero(adaptive, batch, progress):
    progress(3, 10)
    model = adaptive(scheduled(), supervised_weight=0)
    _, loss = losses_of(model, batch((), targets=2))
    assert loss == 0
    loss.backward()
    assert all(p.grad is not None and not p.grad.any() for p in model.parameters())


def test_ctc_is_refused(adaptive, crnn):
    with pytest.raises(ValueError, match='^ScheduledSampling needs a decoder that is fed'):
        adaptive(scheduled(), decoder=crnn, encoder=None)


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(weight=0), 'weight must be a number above 0'),
        (dict(decay='cosine'), 'decay must be one of linear, exponential, inverse_sigmoid'),
        (dict(own='beam'), "own must be one of sample, greedy, got 'beam'"),
        (dict(least=2), 'least must be a number of at least 0 and of at most 1'),
        (
            dict(decay='exponential'),
            'k must be a number above 0 and below 1, got None: .*exponenti',
        ),
        (dict(decay='exponential', k=1), 'k must be a number above 0 and below 1, got 1'),
        (dict(decay='inverse_sigmoid', k=0.5), 'k must be a number of at least 1, got 0.5'),
        (dict(k=0), 'k must be a number above 0, got 0'),
        (dict(c=-1), 'c must be a number of at least 0'),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build(scheduled(**options))


def test_a_slope_without_a_use_is_reported(monkeypatch):
    said = []
    monkeypatch.setattr('mmocr_da.arguments.print_log', lambda text, **_: said.append(text))
    ScheduledSampling(decay='exponential', k=0.9, c=0.1)
    assert len(said) == 1 and 'c=0.1 has no effect' in said[0]
