"""SymNet against its equations, loop by loop, and against gradients that are taken one by one."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from helpers.characters import character_features
from mmengine.structures import LabelData
from mmocr.structures import TextRecogDataSample
from torch import nn

from mmocr_da.models.objectives import DomainFeatures, SymNetHead
from mmocr_da.models.objectives.symnet_losses import (
    category_confusion,
    confusion_of_domains,
    log_domains,
    symmetric_entropy,
    symmetric_logits,
)
from mmocr_da.registry import MODELS

DIGITS = Path(__file__).parents[3] / 'configs/_base_/dicts/digits.txt'
H, K = 6, 5
SWITCHES = [
    dict(),
    dict(task_target=False, predict_with='source'),
    dict(entropy=False),
    dict(confusion='domain'),
    dict(confusion='none'),
    dict(confusion='reversal'),
    dict(threshold=0.3),
]


def classifier():
    return nn.Linear(H, K).double()


def half(n=3, t=4, source=True, dtype=torch.double, shared=None, blank=None):
    """Words of 3, 1 and no characters, each with one more step: its end token, or a blank."""
    hidden = torch.randn(n, t, H, dtype=dtype, requires_grad=True)
    valid = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]]).bool()
    answered = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]]).bool()
    targets = torch.randint(K, (n, t))
    characters = character_features(
        hidden, shared(hidden), valid, answered, targets if source else None, hidden, shared, blank
    )
    return DomainFeatures(hidden, None, torch.ones(n), characters)


def make(supervised_weight=0.0, **options):
    head = SymNetHead(**{'schedule': 'constant', 'weight': 0.4, **options})
    head.classifier = classifier()
    head.task_source_weight = max(0.0, 1 - supervised_weight)
    return head


def equations(source, target, c_s, c_t, threshold=0.0):
    """Eq. 5 to 10, 12 and 13 with probabilities, one character at a time.

    With a blank, 7, 9, 10 and 12 are about characters: their steps, and their K - 1 classes.
    """
    out = {name: [] for name in ('5', '6', '7s', '7t', '8', '9', '10', '12', '13')}
    s, t = source.characters, target.characters
    n = K if s.blank is None else K - 1
    kept = [k for k in range(K) if k != s.blank]

    def probabilities(h):
        v_s, v_t = c_s(h), c_t(h)
        return (
            torch.softmax(v_s, 0),
            torch.softmax(v_t, 0),
            torch.softmax(torch.cat([v_s, v_t]), 0),
            torch.softmax(torch.cat([v_s[kept], v_t[kept]]), 0),
        )

    for i in range(s.hidden.size(0)):
        for k in range(s.hidden.size(1)):
            p_s, p_t, p, r = probabilities(s.hidden[i, k])
            y = s.labels[i, k]
            if s.supervised[i, k]:
                out['5'].append(-torch.log(p_s[y]))
                out['6'].append(-torch.log(p_t[y]))
                out['8'].append(-torch.log(p[y + K]) / 2 - torch.log(p[y]) / 2)
                out['13'].append(-torch.log(p_s[y]) / 2 - torch.log(p_t[y]) / 2)
            if (s.supervised if s.blank is None else s.is_character)[i, k]:
                out['7s'].append(-torch.log(sum(r[j] for j in range(n))))
                out['12'].append(-torch.log(r[:n].sum()) / 2 - torch.log(r[n:].sum()) / 2)
            sure = torch.softmax(t.logits[i, k], 0).max() > threshold
            if (t.supervised if t.blank is None else t.is_character)[i, k] and sure:
                r = probabilities(t.hidden[i, k])[-1]
                out['7t'].append(-torch.log(sum(r[j + n] for j in range(n))))
                out['9'].append(-torch.log(r[n:].sum()) / 2 - torch.log(r[:n].sum()) / 2)
                q = [r[j] + r[j + n] for j in range(n)]
                out['10'].append(-sum(x * torch.log(x) for x in q))
    return {name: sum(values) / len(values) for name, values in out.items()}


def expected(eq, options, weight):
    """The two objectives of eq. 11 with the switches of table 4: (classifiers, features)."""
    classifiers = eq['5'] + eq['7s'] + eq['7t']
    if options.get('task_target', True):
        classifiers = classifiers + eq['6']
    confusion = options.get('confusion', 'category')
    features = eq[{'category': '8', 'domain': '12', 'none': '13', 'reversal': '13'}[confusion]]
    if confusion == 'reversal':
        features = features - weight * 0.5 * (eq['7s'] + eq['7t'])
    elif confusion != 'none':
        features = features + weight * eq['9']
    if options.get('entropy', True):
        features = features + weight * eq['10']
    return classifiers, features


def total(losses):
    return sum(v for k, v in losses.items() if 'loss' in k)


@pytest.mark.parametrize('blank', [None, 0, 2, K - 1], ids=lambda b: f'blank {b}')
@pytest.mark.parametrize('options', SWITCHES)
def test_one_backward_equals_the_gradients_of_eq_11_taken_one_by_one(options, blank):
    c_s, head = classifier(), make(**options)
    source, target = (half(source=x, shared=c_s, blank=blank) for x in (True, False))
    eq = equations(source, target, c_s, head.classifier, options.get('threshold', 0))
    for_classifiers, for_features = expected(eq, options, 0.4)
    loss = total(head(source, target))
    value = for_classifiers + for_features
    if options.get('confusion') == 'reversal':  # its value is not reversed
        value = value + 1.4 * 0.5 * (eq['7s'] + eq['7t'])
    torch.testing.assert_close(loss, value)

    parameters = [*c_s.parameters(), *head.classifier.parameters()]
    hidden = [source.characters.hidden, target.characters.hidden]
    got = torch.autograd.grad(loss, parameters + hidden)
    want = [
        *torch.autograd.grad(for_classifiers, parameters, retain_graph=True),
        *torch.autograd.grad(for_features, hidden),
    ]
    for g, w in zip(got, want):
        torch.testing.assert_close(g, w)


@pytest.mark.parametrize('options', SWITCHES)
def test_the_log_names_every_part(options):
    c_s, head = classifier(), make(**options)
    source, target = half(shared=c_s), half(source=False, shared=c_s)
    eq = equations(source, target, c_s, head.classifier, options.get('threshold', 0))
    out = head(source, target)
    parts = {'task_source': eq['5'], 'domain': eq['7s'] + eq['7t']}
    if options.get('task_target', True):
        parts['task_target'] = eq['6']
    if options.get('confusion') == 'reversal':
        parts['confusion'] = 0.5 * (eq['7s'] + eq['7t'])
    elif options.get('confusion') != 'none':
        parts['confusion'] = 0.4 * eq['9']
    if options.get('entropy', True):
        parts['entropy'] = 0.4 * eq['10']
    for name, value in parts.items():
        torch.testing.assert_close(out[f'loss_symnet_{name}'], value)
    assert {k for k in out if 'loss' in k} == {f'loss_symnet_{k}' for k in [*parts, 'category']}
    assert out['symnet_lambda'] == pytest.approx(0.4)
    torch.testing.assert_close(out['symnet_target_entropy'], eq['10'])
    assert out['symnet_target_length'] == pytest.approx(4 / 3)


def test_the_log_counts_right_guesses_of_the_domain_and_equal_readings():
    """By hand: logits are the features; C^t adds what is chosen here to each class."""
    c_s, head = classifier(), make()
    for layer in (c_s, head.classifier):
        layer.load_state_dict(dict(weight=torch.eye(K, H), bias=torch.zeros(K)))
    source, target = half(shared=c_s), half(source=False, shared=c_s)
    out = head(source, target)  # no difference: no guess
    assert out['symnet_acc_source'] == out['symnet_acc_target'] == 0.5
    assert out['symnet_agreement'] == 1
    head.classifier.bias.data += 1  # every step looks like the target's
    out = head(source, target)
    assert (out['symnet_acc_source'], out['symnet_acc_target']) == (0, 1)
    head.classifier.bias.data[0] += 100  # C^t reads class 0 everywhere
    reading = target.characters.hidden[target.characters.supervised][:, :K].argmax(-1)
    assert head(source, target)['symnet_agreement'] == pytest.approx((reading == 0).double().mean())


def test_isolated_characters_are_the_papers_classification():
    """T = 1: batches of images, plain cross-entropies over 2K logits of one linear layer."""
    both, x_s, x_t = nn.Linear(H, 2 * K).double(), *torch.randn(2, 7, H).double()
    y = torch.randint(K, (7,))
    c_s, head = classifier(), make()
    for own, part in ((c_s, slice(0, K)), (head.classifier, slice(K, 2 * K))):
        own.load_state_dict(dict(weight=both.weight[part], bias=both.bias[part]))
    every = torch.ones(7, 1).bool()
    halves = [
        DomainFeatures(
            x,
            None,
            torch.ones(7),
            character_features(x[:, None], None, every, every, y[:, None], x[:, None], c_s),
        )
        for x in (x_s, x_t)
    ]
    out = head(*halves)
    z_s, z_t = both(x_s), both(x_t)
    q = torch.softmax(z_t, 1).view(7, 2, K).sum(1)
    want = dict(
        task_source=F.cross_entropy(z_s[:, :K], y),
        task_target=F.cross_entropy(z_s[:, K:], y),
        category=0.5 * F.cross_entropy(z_s, y) + 0.5 * F.cross_entropy(z_s, y + K),
        entropy=0.4 * -(q * q.log()).sum(1).mean(),
        domain=-(
            torch.softmax(z_s, 1)[:, :K].sum(1).log().mean()
            + torch.softmax(z_t, 1)[:, K:].sum(1).log().mean()
        ),
        confusion=0.4 * -0.5 * torch.softmax(z_t, 1).view(7, 2, K).sum(2).log().sum(1).mean(),
    )
    for name, value in want.items():
        torch.testing.assert_close(out[f'loss_symnet_{name}'], value)


def test_numbers_by_hand():
    """v^s = (ln 4, 0), v^t = (ln 2, 0): p^st = (4, 1, 2, 1) / 8, q = (6, 2) / 8."""
    v_s, v_t = (torch.tensor([[math.log(x), 0.0]]).double() for x in (4, 2))
    log_source, log_target = log_domains(v_s, v_t)
    assert log_source.exp().item() == pytest.approx(5 / 8)
    assert log_target.exp().item() == pytest.approx(3 / 8)
    assert category_confusion(v_s, v_t, torch.tensor([0])).item() == pytest.approx(
        -0.5 * math.log(1 / 2) - 0.5 * math.log(1 / 4)
    )
    assert confusion_of_domains(v_s, v_t).item() == pytest.approx(-0.5 * math.log(15 / 64))
    assert symmetric_entropy(v_s, v_t).item() == pytest.approx(
        -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    )


def test_confusion_is_least_where_the_domains_are_even():
    """ln 2 per domain; of a class that is certain, too."""
    v = torch.randn(9, K).double()
    torch.testing.assert_close(confusion_of_domains(v, v), torch.full((9,), math.log(2)).double())
    certain = 60 * F.one_hot(torch.arange(K), K).double()
    torch.testing.assert_close(
        category_confusion(certain, certain, torch.arange(K)),
        torch.full((K,), math.log(2)).double(),
    )
    for shift in (-1.0, 0.5, 3.0):
        assert (confusion_of_domains(v + shift, v) > math.log(2)).all()
        assert (
            category_confusion(v + shift, v, torch.zeros(9).long())
            > category_confusion(v, v, torch.zeros(9).long())
        ).all()


def test_swapping_the_domains_swaps_their_probabilities():
    v_s, v_t, y = torch.randn(4, K), torch.randn(4, K), torch.arange(4)
    assert torch.equal(log_domains(v_s, v_t)[0], log_domains(v_t, v_s)[1])
    for loss in (confusion_of_domains, symmetric_entropy):
        torch.testing.assert_close(loss(v_s, v_t), loss(v_t, v_s))
    torch.testing.assert_close(category_confusion(v_s, v_t, y), category_confusion(v_t, v_s, y))


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
@pytest.mark.parametrize('size', [1.0, 30.0, 300.0, 1e4])
def test_losses_and_gradients_of_extreme_logits_are_finite_and_right(dtype, size):
    """Probabilities underflow from about 100 on: log(p + eps) would stop at log(eps)."""
    torch.manual_seed(1)
    features = (size * torch.randn(8, H)).to(dtype)
    c_s, c_t, y = nn.Linear(H, K), nn.Linear(H, K), torch.randint(K, (8,))
    x = features.clone().requires_grad_()
    exact = features.double().requires_grad_()
    for loss in (
        lambda a, b: -sum(log_domains(a, b)),
        confusion_of_domains,
        symmetric_entropy,
        lambda a, b: category_confusion(a, b, y),
    ):
        got = loss(*symmetric_logits(x, c_s, c_t)).mean()
        want = loss(*symmetric_logits(exact, c_s, c_t)).mean()
        torch.testing.assert_close(got.double(), want, rtol=1e-4, atol=1e-5)
        (g,) = torch.autograd.grad(got, x)
        (w,) = torch.autograd.grad(want, exact)
        assert g.isfinite().all()
        torch.testing.assert_close(g.double(), w, rtol=2e-2, atol=1e-3)


def test_gradcheck_of_every_loss():
    v_s, v_t = (torch.randn(3, K).double().requires_grad_() for _ in range(2))
    y = torch.arange(3)
    for loss in (log_domains, confusion_of_domains, symmetric_entropy):
        torch.autograd.gradcheck(loss, (v_s, v_t))
    torch.autograd.gradcheck(lambda a, b: category_confusion(a, b, y), (v_s, v_t))


def test_half_precision_training_sees_float32_losses():
    c_s, head = nn.Linear(H, K), make()
    head.classifier.float()
    source, target = (half(source=x, dtype=torch.float, shared=c_s) for x in (True, False))
    want = head(source, target)
    with torch.autocast('cpu', torch.bfloat16):
        got = head(source, target)
    for key, value in want.items():
        assert got[key].dtype == torch.float32 and torch.equal(got[key], value), key


def test_lambda_follows_the_iteration(progress):
    head = make(schedule='rising', weight=1.0)
    c_s = classifier()
    source, target = half(shared=c_s), half(source=False, shared=c_s)
    for p in (0, 0.1, 0.5, 1):
        progress(int(1000 * p), 1000)
        want = 2 / (1 + math.exp(-10 * p)) - 1
        out = head(source, target)
        assert out['symnet_lambda'] == pytest.approx(want)
        assert out['loss_symnet_entropy'].item() == pytest.approx(
            want * out['symnet_target_entropy'].item()
        )


def test_what_does_not_count_changes_nothing():
    """Steps behind the end token."""
    c_s, head = classifier(), make()
    source, target = half(shared=c_s), half(source=False, shared=c_s)
    before = head(source, target)
    with torch.no_grad():
        source.characters.hidden[~source.characters.supervised] += 100
        source.characters.labels[~source.characters.supervised] = -1
        target.characters.hidden[~target.characters.supervised] -= 100
    after = head(source, target)
    for key in before:
        assert torch.equal(before[key], after[key]), key


@pytest.mark.parametrize('options', SWITCHES)
@pytest.mark.parametrize('empty', ['source', 'target', 'both'])
def test_nothing_to_compare_is_a_zero_that_is_connected(options, empty):
    c_s, head = classifier(), make(**options)
    source, target = half(shared=c_s), half(source=False, shared=c_s)
    if empty != 'target':
        source.characters.supervised[:] = False
    if empty != 'source':
        target.characters.supervised[:] = False
    out = head(source, target)
    assert all(v.isfinite() for v in out.values())
    if empty != 'source':
        if options.get('confusion') not in ('none', 'reversal'):
            assert out['loss_symnet_confusion'] == 0
        assert out['symnet_acc_target'] == 0.5 and out['symnet_agreement'] == 1
    if empty != 'target':
        assert out['loss_symnet_category'] == out['loss_symnet_task_source'] == 0
    if empty == 'both':
        assert total(out) == 0
    reached = [
        *c_s.parameters(),
        *head.parameters(),
        source.characters.hidden,
        target.characters.hidden,
    ]
    assert all(g.isfinite().all() for g in torch.autograd.grad(total(out), reached))


def test_supervised_training_of_c_s_is_not_counted_twice():
    c_s = classifier()
    source, target = half(shared=c_s), half(source=False, shared=c_s)
    full = make(0.0)
    losses = {}
    for weight in (0.0, 0.25, 1.0, 3.0):
        head = make(weight)
        head.classifier = full.classifier
        losses[weight] = head(source, target)
    own = losses[0.0]['loss_symnet_task_source']
    torch.testing.assert_close(losses[0.25]['loss_symnet_task_source'], 0.75 * own)
    assert all('loss_symnet_task_source' not in losses[w] for w in (1.0, 3.0))


def test_a_recognizer_of_isolated_characters_is_the_papers_network():
    """Losses of the whole model are those of a network with one linear layer of 2K outputs."""
    words = dict(type='Dictionary', dict_file=str(DIGITS))
    model = (
        MODELS.build(
            dict(
                type='mmocr_da.AdaptiveRecognizer',
                supervised_weight=0,
                objectives=[dict(type='mmocr_da.SymNetHead', schedule='constant')],
                backbone=dict(
                    type='ResNet',
                    in_channels=1,
                    stem_channels=[4],
                    arch_layers=[1],
                    block_cfgs=dict(type='BasicBlock', use_conv1x1=False),
                    arch_channels=[8],
                    strides=[2],
                ),
                decoder=dict(
                    type='mmocr_da.CharacterDecoder',
                    in_channels=8,
                    dictionary=words,
                    module_loss=dict(
                        type='CEModuleLoss',
                        pad_with='none',
                        ignore_char=-1,
                        flatten=True,
                        reduction='mean',
                    ),
                ),
            )
        )
        .double()
        .train()
    )
    torch.nn.init.normal_(model.objectives['symnet'].classifier.weight)
    samples = []
    for text, domain in (('3', 'source'), ('7', 'source'), ('', 'target')):
        sample = TextRecogDataSample(gt_text=LabelData(item=text))
        sample.set_metainfo(dict(domain=domain, valid_ratio=1.0))
        samples.append(sample)
    images = torch.randn(3, 1, 16, 16).double()
    out = model.loss(images, samples)
    features = model.extract_feat(images).mean((2, 3))
    z = torch.cat([model.decoder.fc(features), model.objectives['symnet'].classifier(features)], 1)
    n, y = model.decoder.dictionary.num_classes, torch.tensor([3, 7])
    category = 0.5 * F.cross_entropy(z[:2], y) + 0.5 * F.cross_entropy(z[:2], y + n)
    torch.testing.assert_close(out['loss_symnet_category'], category)
    p = torch.softmax(z[2], 0).view(2, n)
    torch.testing.assert_close(out['loss_symnet_confusion'], -0.5 * p.sum(1).log().sum())
    torch.testing.assert_close(out['loss_symnet_task_target'], F.cross_entropy(z[:2, n:], y))


def test_a_head_without_its_classifier_says_who_creates_it():
    with pytest.raises(RuntimeError, match='AdaptiveRecognizer creates it'):
        SymNetHead()(None, None)


def test_classifiers_of_different_classes_are_refused():
    c_s, head = nn.Linear(H, K + 2).double(), make()
    with pytest.raises(ValueError, match='same classes.*got 7 and 5'):
        head(half(shared=c_s), half(source=False, shared=c_s))


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(weight=-1), 'weight must be a number of at least 0, got -1'),
        (dict(confusion='class'), "'category'.*'domain'.*'none'.*got 'class'"),
        (dict(predict_with='C^t'), "'source'.*'target'.*got 'C\\^t'"),
        (dict(task_target=False), "predict_with='source'"),
        (dict(threshold=1), 'got 1'),
        (dict(weight='abc'), "weight must be a number of at least 0, got 'abc'"),
        (dict(schedule='linear'), "got 'linear'"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build(dict(type='mmocr_da.SymNetHead', **options))
