"""Minimum risk: gradients against sums over all texts, and the objective in a recognizer."""

import itertools

import editdistance
import pytest
import torch
from helpers.draws import Scripted, all_texts
from mmengine.logging import MessageHub

from mmocr_da.models.objectives.minimum_risk import n_best_risk, sampled_risk
from mmocr_da.registry import MODELS


def risk(**options):
    return dict(type='mmocr_da.MinimumRisk', **options)


@pytest.fixture
def texts():
    """Log-probabilities of five texts, and their risks, of which two are equal."""
    torch.manual_seed(0)
    scores = torch.randn(5, dtype=torch.float64, requires_grad=True)
    return scores, torch.tensor([0.0, 1, 1, 3, 2], dtype=torch.float64)


def exact_gradient(scores, risks):
    return torch.autograd.grad((scores.softmax(0) * risks).sum(), scores)[0]


# --------------------------------------------------------------------------- the estimates


@pytest.mark.parametrize('count', [2, 3, 4])
def test_the_expected_gradient_of_samples_is_that_of_the_risk(texts, count):
    """Over all tuples of texts, each as probable as it is drawn."""
    scores, risks = texts
    index = torch.cartesian_prod(*[torch.arange(5)] * count)
    log_p = scores.log_softmax(0)
    probability = log_p.detach()[index].sum(1).exp()
    rows = sampled_risk(log_p[index], risks[index])
    (found,) = torch.autograd.grad((probability * rows).sum(), scores)
    torch.testing.assert_close(found, exact_gradient(scores, risks))
    wanted = (scores.softmax(0) * risks).sum()
    torch.testing.assert_close((probability * rows).sum(), wanted)


@pytest.mark.parametrize('count', [2, 3])
def test_divided_by_n_it_would_be_short_by_one_of_n(texts, count):
    """What is printed in the paper: a text is compared with a mean that it is part of."""
    scores, risks = texts
    index = torch.cartesian_prod(*[torch.arange(5)] * count)
    log_p = scores.log_softmax(0)
    probability = log_p.detach()[index].sum(1).exp()
    of_tuple = risks[index]
    printed = ((of_tuple - of_tuple.mean(1, keepdim=True)) * log_p[index]).mean(1)
    (found,) = torch.autograd.grad((probability * printed).sum(), scores)
    torch.testing.assert_close(found, (1 - 1 / count) * exact_gradient(scores, risks))


def test_a_sample_is_compared_with_the_mean_of_the_others(texts):
    scores, risks = texts
    log_p = scores.log_softmax(0)[None]
    (found,) = torch.autograd.grad(sampled_risk(log_p, risks[None]).sum(), log_p)
    wanted = [float(risks[i] - torch.cat([risks[:i], risks[i + 1 :]]).mean()) / 5 for i in range(5)]
    assert found[0].tolist() == pytest.approx(wanted)


def test_the_loss_of_all_hypotheses_is_the_risk_without_its_mean(texts):
    scores, risks = texts
    every = torch.ones(1, 5, dtype=torch.bool)
    # Of probabilities that do not add up to 1, too: they are normalized.
    rows = n_best_risk(scores[None] - 7, risks[None], every)
    wanted = (scores.softmax(0) * risks).sum() - risks.mean()
    torch.testing.assert_close(rows, wanted[None])
    (found,) = torch.autograd.grad(rows.sum(), scores)
    torch.testing.assert_close(found, exact_gradient(scores, risks))


def test_a_hypothesis_that_is_drawn_twice_counts_once(texts):
    scores, risks = texts
    index = torch.tensor([[1, 3, 1, 0, 3]])
    distinct = torch.tensor([[True, True, False, True, False]])
    once = torch.tensor([[1, 3, 0]])
    found, wanted = (
        n_best_risk(scores[i], risks[i], mask)
        for i, mask in ((index, distinct), (once, distinct[:, [0, 1, 3]]))
    )
    torch.testing.assert_close(found, wanted)
    gradients = [torch.autograd.grad(x.sum(), scores)[0] for x in (found, wanted)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize('estimate', [sampled_risk, n_best_risk])
def test_equal_risks_teach_nothing(texts, estimate):
    scores, _ = texts
    options = [torch.ones(1, 5, dtype=torch.bool)] if estimate is n_best_risk else []
    rows = estimate(scores[None], torch.full((1, 5), 3.0, dtype=torch.float64), *options)
    (found,) = torch.autograd.grad(rows.sum(), scores)
    torch.testing.assert_close(found, torch.zeros_like(found))


def test_numbers_by_hand():
    """P = 3/4 and 1/4 of the risks 0 and 2: their mean weighted is 1/2, unweighted 1."""
    log_p = torch.tensor([[0.75, 0.25]], dtype=torch.float64).log().requires_grad_()
    risks = torch.tensor([[0.0, 2.0]], dtype=torch.float64)
    rows = n_best_risk(log_p, risks, torch.ones(1, 2, dtype=torch.bool))
    assert rows.item() == pytest.approx(-0.5)
    rows = sampled_risk(log_p, risks)
    assert rows.item() == 1.0
    rows.backward()
    assert log_p.grad.tolist() == [[-1.0, 1.0]]


# --------------------------------------------------------------------------- in a recognizer


@pytest.fixture
def tiny(adaptive, recognizer_cfg, crnn, digits_dictionary, tmp_path):
    """A recognizer of the characters a and b: of at most two steps or frames; in float64."""
    (tmp_path / 'ab.txt').write_text('a\nb')
    small = dict(dict_file=str(tmp_path / 'ab.txt'), with_unknown=False)

    def make(kind, **options):
        if kind == 'ctc':
            decoder, others = dict(crnn), dict(encoder=None)
            decoder['dictionary'] = {**decoder['dictionary'], **small}
        else:
            decoder, others = recognizer_cfg('mmocr_da.AttentionDecoder')['decoder'], {}
            decoder.update(max_seq_len=2, dictionary={**digits_dictionary, **small})
        model = adaptive(risk(**options), decoder=decoder, supervised_weight=0, **others)
        return model.double().eval()

    return make


@pytest.mark.parametrize('normalized', [False, True])
@pytest.mark.parametrize('kind', ['ctc', 'attention'])
def test_the_expected_gradient_of_a_step_is_that_of_the_risk(
    tiny, batch, monkeypatch, kind, normalized
):
    """Over all pairs of what can be drawn, by a loop; the risk over all texts by another one."""
    model = tiny(kind, num_texts=2, normalized=normalized)
    data = batch(('ab',), targets=0, dtype=torch.float64)
    data['inputs'] = data['inputs'][..., :8]  # two frames
    dictionary, decoder = model.decoder.dictionary, model.decoder
    end = -1 if dictionary.end_idx is None else dictionary.end_idx
    drawn = all_texts(dictionary.num_classes, end, 2)
    assert len(drawn) == (9 if kind == 'ctc' else 13)

    def encode():
        feature_map = model.extract_feat(data['inputs'])
        sequence = model.encoder(feature_map, data['data_samples']) if kind != 'ctc' else None
        return feature_map, sequence

    def log_probability(row):
        """Of frames or of a text up to its end, step by step."""
        if kind == 'ctc':
            log_p = decoder.forward_train(encode()[0], None).log_softmax(-1)[0]
            assert len(log_p) == 2
            return sum(log_p[i, c] for i, c in enumerate(row))
        fed = [dictionary.start_idx, row[0]]
        sample = data['data_samples'][0]
        sample.gt_text.padded_indexes = torch.tensor(fed)
        log_p = decoder.forward_train(*encode(), [sample]).log_softmax(-1)[0]
        steps = 1 if row[0] == end else 2
        return sum(log_p[i, row[i]] for i in range(steps))

    def word_of(row):
        if kind == 'ctc':
            kept = [c for i, c in enumerate(row) if i == 0 or c != row[i - 1]]
            return [c for c in kept if c != dictionary.padding_idx]
        row = row[: row.index(end)] if end in row else row
        return [c for c in row if c < 2]

    rows = drawn.tolist()
    probabilities = [log_probability(row).exp() for row in rows]
    assert sum(probabilities).item() == pytest.approx(1)
    edits = [editdistance.eval(word_of(row), [0, 1]) for row in rows]
    exact = sum(p * e for p, e in zip(probabilities, edits)) / (2 if normalized else 1)
    parameters = [p for p in model.parameters() if p.requires_grad]
    wanted = torch.autograd.grad(exact, parameters, allow_unused=True)

    expected, value = [0] * len(parameters), 0
    for i, j in itertools.product(range(len(rows)), repeat=2):
        monkeypatch.setattr(
            'mmocr_da.models.recognizers.decoder_losses.RandomDraws',
            lambda i=i, j=j: Scripted(drawn[[i, j]]),
        )
        losses = model.loss(**data)
        weight = (probabilities[i] * probabilities[j]).item()
        value += weight * losses['loss_minimum_risk'].item()
        found = torch.autograd.grad(losses['loss_minimum_risk'], parameters, allow_unused=True)
        expected = [e if g is None else e + weight * g for e, g in zip(expected, found)]
    assert value == pytest.approx(exact.item())
    moved = 0
    for e, w in zip(expected, wanted):
        if w is not None:
            torch.testing.assert_close(e, w, rtol=1e-6, atol=1e-10)
            moved += bool(w.any())
    assert moved > 5


@pytest.mark.parametrize('estimate', ['sample', 'n-best'])
def test_the_value_is_that_of_the_drawn_texts(tiny, batch, monkeypatch, estimate):
    model = tiny('attention', num_texts=3, estimate=estimate, weight=2.0)
    end = model.decoder.dictionary.end_idx
    rows = [[0, 1], [0, end], [0, 1]] + [[1, 1], [1, 1], [1, 1]]
    monkeypatch.setattr(
        'mmocr_da.models.recognizers.decoder_losses.RandomDraws',
        lambda: Scripted(torch.tensor(rows)),
    )
    losses = model.loss(**batch(('ab', 'a'), targets=0, dtype=torch.float64))
    assert losses['minimum_risk_edits'] == pytest.approx((0 + 1 + 0 + 2 + 2 + 2) / 6)
    assert losses['minimum_risk_informative'] == 0.5
    if estimate == 'sample':
        assert losses['loss_minimum_risk'].item() == pytest.approx(2 * (1 / 3 + 2) / 2)
    else:  # of the second image all texts are one: it is no better than its mean
        assert -0.5 < losses['loss_minimum_risk'].item() < 0.5


@pytest.mark.parametrize('kind', ['ctc', 'attention'])
def test_training_lowers_the_risk(tiny, batch, progress, kind):
    model = tiny(kind, num_texts=8).train()
    data = batch(('ab', 'ba', 'a'), targets=0, dtype=torch.float64)
    optimizer, edits = torch.optim.Adam(model.parameters(), 3e-2), []
    for iteration in range(60):
        progress(iteration, 60)
        losses = model.loss(**data)
        edits.append(losses['minimum_risk_edits'].item())
        optimizer.zero_grad()
        losses['loss_minimum_risk'].backward()
        optimizer.step()
    assert sum(edits[-10:]) / 10 < 0.6 * sum(edits[:5]) / 5


@pytest.mark.parametrize('kind', ['ctc', 'attention'])
def test_a_batch_without_labels_is_a_connected_zero(tiny, batch, kind):
    for estimate in ('sample', 'n-best'):
        model = tiny(kind, estimate=estimate)
        losses = model.loss(**batch((), targets=2, dtype=torch.float64))
        assert losses['loss_minimum_risk'] == 0
        assert not any('edits' in name for name in losses)
        losses['loss_minimum_risk'].backward()
        assert all(p.grad is not None and not p.grad.any() for p in model.parameters())


def test_an_empty_label_has_a_length_of_one(tiny, batch, monkeypatch):
    model = tiny('attention', num_texts=2, normalized=True)
    monkeypatch.setattr(
        'mmocr_da.models.recognizers.decoder_losses.RandomDraws',
        lambda: Scripted(torch.tensor([[0, 1], [0, 0]])),
    )
    assert model.loss(**batch(('',), targets=0, dtype=torch.float64))['loss_minimum_risk'] == 2


def test_images_need_no_domain_and_the_target_is_not_looked_at(tiny, batch, progress):
    progress(1, 10)
    model = tiny('attention')
    with_target, without = (
        model.loss(**batch(('ab', 'a'), targets=n, dtype=torch.float64)) for n in (2, 0)
    )
    assert with_target['loss_minimum_risk'] == without['loss_minimum_risk']
    data = batch(('ab',), targets=0, dtype=torch.float64)
    del data['data_samples'][0].domain
    assert model.loss(**data)['loss_minimum_risk'].requires_grad


@pytest.mark.parametrize('kind', ['ctc', 'attention'])
def test_amp(tiny, batch, kind):
    model = tiny(kind).float().train()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = model.loss(**batch(('ab', 'a'), targets=0))
    assert losses['loss_minimum_risk'].dtype == torch.float32
    losses['loss_minimum_risk'].backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_without_a_runner_torch_has_the_seed(tiny, batch):
    assert MessageHub.get_current_instance().get_info('iter') is None
    model = tiny('attention', num_texts=16)
    data = batch(('ab', 'a'), targets=0, dtype=torch.float64)
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(model.loss(**data)['loss_minimum_risk'].item())
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(weight=0), 'weight must be a number above 0'),
        (dict(num_texts=1), 'num_texts must be an integer of at least 2.*compared with the other'),
        (dict(estimate='beam'), "estimate must be one of sample, n-best, got 'beam'"),
        (dict(normalized=1), 'normalized must be True or False'),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build(risk(**options))
