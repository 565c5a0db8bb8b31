"""Optimal completion: against all completions, one by one."""

import itertools
import math

import editdistance
import pytest
import torch
from helpers.draws import Scripted
from torch.nn import functional as F

from mmocr_da.models.objectives.optimal_completion import (
    DRAWS,
    optimal_values,
    prefix_distances,
    probabilities,
)
from mmocr_da.registry import MODELS

A, B, END, PAD = range(4)  # the classes of a tiny alphabet
LABELS = [(A, B), (A, A, B), (B,), (), (A, B, A)]


def completion(**options):
    return dict(type='mmocr_da.OptimalCompletion', **options)


def padded(rows, fill):
    width = max([1, *map(len, rows)])
    return torch.tensor([[*row, *[fill] * (width - len(row))] for row in rows])


def values_by_search(prefix, label):
    """Q of each class after a prefix: by trying every completion of up to four characters."""
    prefix = [c for c in prefix if c != PAD]
    endings = [e for n in range(5) for e in itertools.product((A, B), repeat=n)]
    values = [
        max(-editdistance.eval([*prefix, c, *ending], list(label)) for ending in endings)
        for c in (A, B)
    ]
    return [*values, -editdistance.eval(prefix, list(label)), -math.inf]


def search(classes, labels):
    return torch.tensor(
        [
            [values_by_search(row[:step], label) for step in range(len(row))]
            for row, label in zip(classes.tolist(), labels)
        ]
    )


def values_of(classes, labels):
    padded_labels, lengths = padded(labels, PAD), torch.tensor([len(x) for x in labels])
    distances = prefix_distances(classes, padded_labels, lengths, [PAD])
    return optimal_values(distances, padded_labels, lengths, 4, END, [PAD])


# --------------------------------------------------------------------------- the table


def test_values_are_those_of_the_best_of_all_completions():
    """For every text of four characters, and every label."""
    texts = list(itertools.product((A, B, PAD), repeat=4))
    pairs = [(text, label) for text in texts for label in LABELS]
    classes = torch.tensor([text for text, _ in pairs])
    labels = [label for _, label in pairs]
    found = values_of(classes, labels)
    assert found.shape == (len(pairs), 4, 4)
    torch.testing.assert_close(found, search(classes, labels))


def test_distances_of_prefixes():
    texts = torch.randint(0, 4, (20, 6))
    labels = [tuple(torch.randint(0, 2, (n % 5,)).tolist()) for n in range(20)]
    lengths = torch.tensor([len(x) for x in labels])
    found = prefix_distances(texts, padded(labels, A), lengths, [PAD])
    for row, text, label in zip(found, texts.tolist(), labels):
        for step, place in itertools.product(range(6), range(row.size(1))):
            kept = [c for c in text[:step] if c != PAD]
            wanted = editdistance.eval(kept, list(label[:place]))
            assert row[step, place] == (wanted if place <= len(label) else math.inf)


def test_what_pads_a_label_does_not_matter():
    texts, labels = torch.randint(0, 2, (5, 4)), LABELS
    lengths = torch.tensor([len(x) for x in labels])
    found = []
    for fill in (A, END, PAD):
        table = padded(labels, fill)
        distances = prefix_distances(texts, table, lengths, [PAD])
        found.append(optimal_values(distances, table, lengths, 4, END, [PAD]))
    assert all(torch.equal(found[0], other) for other in found[1:])


def test_numbers_by_hand():
    """Label ab. b has one edit from every prefix of it, bb has one from the whole label alone."""
    values = values_of(torch.tensor([[B, B, B]]), [(A, B)])
    assert values[0].tolist() == [
        [0, -1, -2, -math.inf],
        [-1, -1, -1, -math.inf],
        [-2, -2, -1, -math.inf],
    ]


def test_a_right_prefix_goes_on_with_the_label():
    label = (A, A, B)
    values = values_of(torch.tensor([[*label, END]]), [label])
    assert probabilities(values, 0)[0].argmax(-1).tolist() == [*label, END]
    assert (probabilities(values, 0).amax(-1) == 1).all()


def test_the_temperature_has_the_hard_targets_as_its_limit():
    values = values_of(torch.randint(0, 2, (5, 4)), LABELS)
    torch.testing.assert_close(probabilities(values, 0.01), probabilities(values, 0))
    soft = probabilities(values, 1.0)
    torch.testing.assert_close(soft, values.softmax(-1))
    for temperature in (0, 0.5, 5.0):
        found = probabilities(values, temperature)
        assert not found[..., PAD].any()
        torch.testing.assert_close(found.sum(-1), torch.ones(5, 4))


# --------------------------------------------------------------------------- in a recognizer


@pytest.fixture
def tiny(adaptive, recognizer_cfg, digits_dictionary, tmp_path):
    """A recognizer of the characters a and b with four steps, in float64."""
    (tmp_path / 'ab.txt').write_text('a\nb')

    def make(*objectives, **options):
        decoder = recognizer_cfg('mmocr_da.AttentionDecoder')['decoder']
        decoder.update(
            max_seq_len=4,
            dictionary=dict(
                digits_dictionary, dict_file=str(tmp_path / 'ab.txt'), with_unknown=False
            ),
        )
        objectives = objectives or [completion(**options)]
        weight = 0 if objectives[0] else 1
        model = adaptive(*filter(None, objectives), decoder=decoder, supervised_weight=weight)
        dictionary = model.decoder.dictionary
        assert (dictionary.end_idx, dictionary.padding_idx) == (END, PAD)
        return model.double().eval()

    return make


def scripted(monkeypatch, rows):
    """The recognizer's own texts are these."""
    monkeypatch.setitem(DRAWS, 'sample', lambda: Scripted(torch.tensor(rows)))


@pytest.mark.parametrize('temperature', [0.0, 0.7])
def test_the_loss_is_the_mean_divergence_up_to_the_end(tiny, batch, monkeypatch, temperature):
    model = tiny(temperature=temperature, weight=3.0)
    rows = [[B, A, END, A], [A, PAD, A, B]]
    labels = [(A, B), (A, A, B)]
    scripted(monkeypatch, rows)
    data = batch(('ab', 'aab'), targets=0, dtype=torch.float64)
    losses = model.loss(**data)
    with torch.no_grad():
        sequence = model.encoder(model.extract_feat(data['inputs']), data['data_samples'])
        terms = []
        for i, row in enumerate(rows):
            sample = data['data_samples'][i]
            sample.gt_text.padded_indexes = torch.tensor([model.decoder.dictionary.start_idx, *row])
            log_p = model.decoder.forward_train(None, sequence[i : i + 1], [sample])[0]
            log_p = log_p.log_softmax(-1)
            for step in range(3 if i == 0 else 4):
                q = torch.tensor(values_by_search(row[:step], labels[i]), dtype=torch.float64)
                best = (q == q.max()).double()
                p = (q / temperature).softmax(0) if temperature else best / best.sum()
                terms += [sum(a * (a.log() - b) for a, b in zip(p, log_p[step]) if a > 0)]
    wanted = 3 * sum(terms) / 7
    assert losses['loss_optimal_completion'].item() == pytest.approx(wanted.item(), rel=1e-6)
    # ba costs one edit, whatever comes after b; aab none.
    assert losses['optimal_completion_edits'] == 0.5


def test_the_gradient_at_the_logits_is_the_difference_from_the_targets(tiny, batch, monkeypatch):
    model = tiny()
    scripted(monkeypatch, [[B, END, A, A]])
    logits = []
    model.decoder.fc.register_forward_hook(lambda _, __, out: logits.append(out))
    loss = model.loss(**batch(('ab',), targets=0, dtype=torch.float64))['loss_optimal_completion']
    found = torch.autograd.grad(loss, logits, allow_unused=True)
    for step, prefix in enumerate(([], [B])):
        q = torch.tensor(values_by_search(prefix, (A, B)), dtype=torch.float64)
        best = (q == q.max()).double()
        wanted = (logits[step].softmax(-1)[0] - best / best.sum()) / 2
        torch.testing.assert_close(found[step][0], wanted)
    assert all(g is None or not g.any() for g in found[2:])


def test_of_a_text_that_is_right_it_is_cross_entropy(tiny, batch, monkeypatch):
    data = batch(('ab', 'b'), targets=0, dtype=torch.float64)
    model, plain = tiny(), tiny(None)
    model.load_state_dict(plain.state_dict())
    scripted(monkeypatch, [[A, B, END, A], [B, END, A, A]])
    losses = [m.loss(**data) for m in (model, plain)]
    torch.testing.assert_close(losses[0]['loss_optimal_completion'], losses[1]['loss_ce'])
    assert losses[0]['optimal_completion_edits'] == 0


def test_greedy_texts_are_those_of_testing(tiny, batch):
    model = tiny(text='greedy')
    data = batch(('ab', 'b'), targets=0, dtype=torch.float64)
    prediction = model.adapter.predict(
        None,
        model.encoder(model.extract_feat(data['inputs']), data['data_samples']),
        data['data_samples'],
    )
    found = model.loss(**data)['loss_optimal_completion']
    classes = prediction.argmax(-1)
    wanted = probabilities(search(classes, [(A, B), (B,)]), 0).double()
    rows = F.kl_div(prediction.log_softmax(-1), wanted, reduction='none').sum(-1)
    counted = (classes == END).cumsum(1) - (classes == END).long() == 0
    torch.testing.assert_close(found, rows[counted].mean())


def test_it_trains_from_random_weights(tiny, batch, progress):
    model = tiny().train()
    data = batch(('ab', 'ba', 'a'), targets=0, dtype=torch.float64)
    optimizer = torch.optim.Adam(model.parameters(), 2e-2)
    for iteration in range(60):
        progress(iteration, 60)
        losses = model.loss(**data)
        optimizer.zero_grad()
        losses['loss_optimal_completion'].backward()
        optimizer.step()
    assert losses['loss_optimal_completion'] < 0.3


def test_a_batch_without_labels_is_a_connected_zero(tiny, batch):
    model = tiny()
    losses = model.loss(**batch((), targets=2, dtype=torch.float64))
    assert losses['loss_optimal_completion'] == 0 and 'optimal_completion_edits' not in losses
    losses['loss_optimal_completion'].backward()
    assert all(p.grad is not None and not p.grad.any() for p in model.parameters())


def test_a_label_longer_than_the_steps(tiny, batch):
    model = tiny()
    losses = model.loss(**batch(('abababab', ''), targets=0, dtype=torch.float64))
    assert losses['loss_optimal_completion'].isfinite()


def test_amp(tiny, batch):
    model = tiny().float().train()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = model.loss(**batch(('ab', 'a'), targets=0))
    assert losses['loss_optimal_completion'].dtype == torch.float32
    losses['loss_optimal_completion'].backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_ctc_is_refused(adaptive, crnn):
    with pytest.raises(ValueError, match='^OptimalCompletion needs a decoder that is fed'):
        adaptive(completion(), decoder=crnn, encoder=None)


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(weight=0), 'weight must be a number above 0'),
        (dict(text='beam'), "text must be one of sample, greedy, got 'beam'"),
        (dict(temperature=-1), 'temperature must be a number of at least 0'),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build(completion(**options))
