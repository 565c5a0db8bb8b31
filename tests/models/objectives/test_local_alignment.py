import pytest
import torch
from helpers.characters import character_features

from mmocr_da.models.objectives import DomainFeatures, LocalAlignment


def domain(logits=None, valid=None, n=3, t=4, d=5, k=6, shift=0.0):
    features = (torch.randn(n, t, d, dtype=torch.double) + shift).requires_grad_()
    logits = torch.randn(n, t, k, dtype=torch.double) * 3 if logits is None else logits
    valid = torch.ones(n, t, dtype=torch.bool) if valid is None else valid
    empty = torch.zeros(n, 1, 1, 1, dtype=torch.double)
    return DomainFeatures(
        empty, None, torch.ones(n).double(), character_features(features, logits, valid)
    )


def make(**kwargs):
    return LocalAlignment(5, **{'schedule': 'constant', **kwargs}).double()


def oracle(module, source, target):
    """Eq. 12 to 17 in loops: gate, mean per image, mean over images that have any, half the sum."""
    halves = []
    for label, half in enumerate((source, target)):
        images, everything = [], []
        for c, z, valid in zip(
            half.characters.features, half.characters.logits, half.characters.is_character
        ):
            terms = []
            for k in range(len(c)):
                probability = torch.softmax(z[k], 0).max()
                if valid[k] and probability > module.threshold:
                    p = torch.sigmoid(module.discriminator(c[k][None]))[0, 0]
                    terms.append(-torch.log(p if label else 1 - p))
            everything += terms
            if terms:
                images.append(sum(terms) / len(terms))
        means = images if module.average == 'image' else everything
        halves.append(sum(means) / len(means) if means else 0)
    return (halves[0] + halves[1]) / 2


@pytest.mark.parametrize('average', ['image', 'character'])
@pytest.mark.parametrize('threshold', [0.0, 0.5, 0.8])
def test_loss_and_gradients_follow_the_equations(average, threshold):
    module = make(average=average, threshold=threshold, weight=0.3)
    valid = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]]).bool()
    source, target = domain(valid=valid), domain(shift=0.5)
    want = oracle(module, source, target)
    got = module(source, target)['loss_local']
    torch.testing.assert_close(got.double(), want, rtol=1e-5, atol=1e-6)
    inputs = [source.characters.features, target.characters.features]
    for g, w in zip(torch.autograd.grad(got, inputs), torch.autograd.grad(want, inputs)):
        torch.testing.assert_close(g, -0.3 * w, rtol=1e-5, atol=1e-7)


def test_the_gate_reads_probabilities_and_not_logits():
    """Logits (8, 8): the largest is far above any p_c, the probability is 1/2."""
    logits = torch.tensor([[[8.0, 8.0], [8.0, 5.0]]])
    module = make(threshold=0.6)
    characters = character_features(logits, logits, torch.ones(1, 2).bool())
    assert module.gate(characters).tolist() == [[False, True]]


def test_a_step_that_is_no_character_never_passes():
    module = make(threshold=0.0)
    logits = torch.randn(2, 3, 4)
    assert not module.gate(character_features(logits, logits, torch.zeros(2, 3).bool())).any()


def test_threshold_0_lets_every_character_pass_and_the_pass_rate_falls_with_it():
    source, target = domain(), domain()
    rates = [
        float(make(threshold=p)(source, target)['local_gate_source']) for p in (0.0, 0.4, 0.8, 0.99)
    ]
    assert rates[0] == 1 and rates == sorted(rates, reverse=True) and rates[-1] < 1


def test_nothing_gated_is_a_zero_that_is_connected():
    module = make(threshold=0.5)
    flat = torch.zeros(3, 4, 6, dtype=torch.double)
    source, target = domain(flat), domain(flat)
    out = module(source, target)
    assert out['loss_local'] == 0 and out['local_acc_source'] == 0.5
    out['loss_local'].backward()
    assert source.characters.features.grad.abs().sum() == 0
    assert all(
        p.grad is not None and p.grad.abs().sum() == 0 for p in module.discriminator.parameters()
    )


def test_one_image_and_one_character():
    module, source, target = make(threshold=0.0), domain(n=1, t=1), domain(n=1, t=1)
    loss = module(source, target)['loss_local']
    torch.testing.assert_close(loss.double(), oracle(module, source, target), rtol=1e-5, atol=0)


def test_what_the_gate_holds_back_has_no_gradient():
    module = make(threshold=0.5)
    logits = torch.zeros(1, 2, 6, dtype=torch.double)
    logits[0, 0, 3] = 9
    source = domain(logits, n=1, t=2)
    module(source, domain())['loss_local'].backward()
    grad = source.characters.features.grad
    assert grad[0, 0].abs().sum() > 0 and grad[0, 1].abs().sum() == 0


@pytest.mark.parametrize(
    'cfg, message',
    [
        (dict(threshold=1.0), 'of at least 0 and below 1, got 1.0: .*let nothing pass'),
        (dict(threshold='high'), "threshold must be a number.*got 'high'"),
        (dict(threshold=-0.1), 'got -0.1'),
        (dict(average='batch'), "'image' or 'character'"),
        (dict(schedule='cosine'), "got 'cosine'"),
    ],
)
def test_wrong_settings_are_refused(cfg, message):
    with pytest.raises(ValueError, match=message):
        make(**cfg)
