import math

import pytest
import torch
from helpers.characters import character_features

from mmocr_da.models.objectives import DomainConfusion, DomainFeatures


def half(valid=((1, 1, 0), (1, 0, 0)), shift=0.0):
    valid = torch.tensor(valid).bool()
    hidden = (torch.randn(*valid.shape, 5).double() + shift).requires_grad_()
    return DomainFeatures(
        hidden,
        None,
        torch.ones(len(valid)),
        character_features(hidden, hidden, valid),
    )


def make(**options):
    return DomainConfusion(5, **{'schedule': 'constant', 'weight': 0.3, **options}).double()


def equations(module, source, target):
    """Eq. 2 and 3, one character at a time."""
    log_s, log_not_s, log_t, log_not_t = [], [], [], []
    for half, logs, log_nots in ((source, log_s, log_not_s), (target, log_t, log_not_t)):
        characters = half.characters
        for h, counts in zip(characters.hidden.flatten(0, 1), characters.supervised.flatten()):
            if counts:
                d = torch.sigmoid(module.discriminator(h))[0]
                logs.append(torch.log(d))
                log_nots.append(torch.log(1 - d))
    n_s, n_t = len(log_s), len(log_t)
    domain = -sum(log_not_s) / n_s - sum(log_t) / n_t
    return domain, 0.5 * domain - sum(log_s) / (2 * n_s) - sum(log_not_t) / (2 * n_t)


def test_one_backward_equals_the_gradients_of_eq_4_taken_one_by_one():
    module, source, target = make(), half(), half(shift=0.5)
    domain, confusion = equations(module, source, target)
    out = module(source, target)
    torch.testing.assert_close(out['loss_confusion_domain'].double(), domain, rtol=1e-5, atol=0)
    torch.testing.assert_close(out['loss_confusion'].double(), 0.3 * confusion, rtol=1e-5, atol=0)
    loss = out['loss_confusion_domain'] + out['loss_confusion']
    parameters = list(module.parameters())
    hidden = [source.characters.hidden, target.characters.hidden]
    got = torch.autograd.grad(loss, parameters + hidden)
    want = [
        *torch.autograd.grad(domain, parameters, retain_graph=True),
        *torch.autograd.grad(0.3 * confusion, hidden),
    ]
    for g, w in zip(got, want):
        torch.testing.assert_close(g, w, rtol=1e-5, atol=1e-7)


def test_blank_frames_of_a_ctc_decoder_are_not_compared():
    module, source, target = make(), half(), half(shift=0.5)
    for domain in (source, target):
        domain.characters.is_character = domain.characters.supervised.clone()
        domain.characters.supervised = torch.ones_like(domain.characters.supervised)
        domain.characters.blank = 0
    before = module(source, target)
    with torch.no_grad():
        for domain in (source, target):
            domain.characters.hidden[~domain.characters.is_character] += 100
    assert module(source, target)['loss_confusion_domain'] == before['loss_confusion_domain']


def test_an_undecided_discriminator_is_the_minimum_for_the_features():
    module, source, target = make(weight=1.0), half(), half()
    for p in module.parameters():
        torch.nn.init.zeros_(p)
    out = module(source, target)
    for loss in ('loss_confusion', 'loss_confusion_domain'):
        assert out[loss].item() == pytest.approx(2 * math.log(2))
    module.discriminator.layers[-1].bias.data += 0.5  # sure of one domain
    assert module(source, target)['loss_confusion'] > out['loss_confusion']


def test_lambda_0_moves_the_discriminator_alone():
    module, source, target = make(weight=0.0), half(), half()
    out = module(source, target)
    (out['loss_confusion'] + out['loss_confusion_domain']).backward()
    assert source.characters.hidden.grad.abs().sum() == 0
    assert module.discriminator.layers[0].weight.grad.abs().sum() > 0


def test_nothing_to_compare_is_a_zero_that_is_connected():
    module, source, target = make(), half(((0, 0),)), half(((0, 0),))
    out = module(source, target)
    loss = out['loss_confusion'] + out['loss_confusion_domain']
    assert loss == 0 and out['confusion_acc_source'] == 0.5
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


def test_another_width_is_an_error_that_says_which():
    with pytest.raises(ValueError, match='set in_channels=5'):
        DomainConfusion(7, schedule='constant')(half(), half())
