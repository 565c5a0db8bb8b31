import math

import pytest
import torch
from helpers.characters import character_features
from torch import nn

from mmocr_da.models.objectives import DomainFeatures, EntropyMinimization


def half(classifier, valid=((1, 1, 0), (1, 0, 0))):
    valid = torch.tensor(valid).bool()
    hidden = torch.randn(*valid.shape, 5).double().requires_grad_()
    return DomainFeatures(
        hidden,
        None,
        torch.ones(len(valid)),
        character_features(hidden, classifier(hidden), valid, classifier=classifier),
    )


def make(**options):
    return EntropyMinimization(**{'schedule': 'constant', 'weight': 0.3, **options})


def test_it_is_the_mean_entropy_and_only_the_features_get_a_gradient():
    classifier = nn.Linear(5, 4).double()
    target = half(classifier)
    entropies = []
    characters = target.characters
    for h, counts in zip(characters.hidden.flatten(0, 1), characters.supervised.flatten()):
        if counts:
            p = torch.softmax(classifier(h), 0)
            entropies.append(-sum(x * torch.log(x) for x in p))
    want = 0.3 * sum(entropies) / len(entropies)
    got = make()(None, target)['loss_entropy']
    torch.testing.assert_close(got, want)
    hidden = target.characters.hidden
    torch.testing.assert_close(
        torch.autograd.grad(got, hidden, retain_graph=True), torch.autograd.grad(want, hidden)
    )
    assert torch.autograd.grad(got, classifier.weight, allow_unused=True) == (None,)


def test_of_a_ctc_decoder_it_is_that_of_the_characters():
    """The blank, class 1, is no answer to the question which character a frame is."""
    classifier = nn.Linear(5, 4).double()
    target = half(classifier)
    characters = target.characters
    characters.blank, characters.is_character = 1, torch.tensor([[True, False, False]] * 2)
    p = torch.softmax(classifier(characters.hidden[:, 0])[:, [0, 2, 3]], -1)
    torch.testing.assert_close(
        make(weight=1.0)(None, target)['loss_entropy'], -(p * p.log()).sum(-1).mean()
    )


def test_its_limits_are_certainty_and_a_uniform_answer():
    classifier = nn.Linear(5, 4).double()
    for size, want in ((0, math.log(4)), (1e4, 0)):
        nn.init.normal_(classifier.weight, std=size) if size else nn.init.zeros_(classifier.weight)
        nn.init.zeros_(classifier.bias)
        out = make(weight=1.0)(None, half(classifier))
        assert out['loss_entropy'].item() == pytest.approx(want, abs=1e-3)
        assert out['entropy_target'] == out['loss_entropy']


def test_it_weighs_the_loss_by_the_progress_of_training(progress):
    target = half(nn.Linear(5, 4).double())
    progress(100, 1000)
    out = make(schedule='rising', weight=1.0)(None, target)
    want = 2 / (1 + math.exp(-1)) - 1
    assert out['entropy_lambda'].item() == pytest.approx(want)
    assert out['loss_entropy'].item() == pytest.approx(want * out['entropy_target'].item())


def test_no_character_is_a_zero_that_is_connected():
    target = half(nn.Linear(5, 4).double(), ((0, 0),))
    out = make()(None, target)
    assert out['loss_entropy'] == 0
    out['loss_entropy'].backward()
    assert target.characters.hidden.grad.abs().sum() == 0


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match='got -1'):
        make(weight=-1)
