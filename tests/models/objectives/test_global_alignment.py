import math

import pytest
import torch

from mmocr_da.models.objectives import DomainFeatures, GlobalAlignment


def domain(n=3, c=4, h=2, w=5, ratio=None, shift=0.0):
    x = torch.randn(n, c, h, w, dtype=torch.double) + shift
    ratio = torch.ones(n, dtype=torch.double) if ratio is None else torch.tensor(ratio).double()
    return DomainFeatures(x.requires_grad_(), None, ratio)


def make(in_channels=4, **kwargs):
    return GlobalAlignment(in_channels, **{'schedule': 'constant', **kwargs}).double()


def oracle(module, source, target):
    """Eq. 9 to 11 in loops: -log(1 - D) of the source, -log D of the target, half their sum."""
    halves = []
    for label, half in enumerate((source, target)):
        images = []
        for x, valid in zip(half.feature_map, half.valid_columns()):
            x = x[:, :, valid]
            if module.pooling == 'mean':
                rows = [x.mean((1, 2))]
            elif module.pooling == 'position':
                rows = list(x.flatten(1).T)
            else:
                rows = [x.flatten()]
            p = [torch.sigmoid(module.discriminator(r[None]))[0, 0] for r in rows]
            images.append(sum(-torch.log(q if label else 1 - q) for q in p) / len(p))
        halves.append(sum(images) / len(images))
    return (halves[0] + halves[1]) / 2


@pytest.mark.parametrize(
    'pooling, ratio',
    [
        ('mean', None),
        ('mean', [0.4, 1, 0.7]),
        ('position', None),
        ('position', [0.4, 1, 0.7]),
        ('flatten', None),
    ],
)
def test_loss_is_the_mean_of_the_two_domain_losses(pooling, ratio):
    module = make(40 if pooling == 'flatten' else 4, pooling=pooling)
    source, target = domain(ratio=ratio), domain(shift=0.5, ratio=ratio)
    out = module(source, target)
    torch.testing.assert_close(
        out['loss_global'].double(), oracle(module, source, target), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize('weight', [0.0, 0.25, 2.0])
def test_discriminator_descends_and_features_ascend(weight):
    """Eq. 20 to 23: dL/dD for the discriminator, -lambda dL/dF for what comes before."""
    module = make(weight=weight)
    source, target = domain(), domain(shift=0.5)
    inputs = [source.feature_map, target.feature_map]
    parameters = list(module.discriminator.parameters())
    got = torch.autograd.grad(module(source, target)['loss_global'], inputs + parameters)
    want = torch.autograd.grad(oracle(module, source, target), inputs + parameters)
    for g, w in zip(got[:2], want[:2]):
        torch.testing.assert_close(g, -weight * w, rtol=1e-5, atol=1e-7)
    for g, w in zip(got[2:], want[2:]):
        torch.testing.assert_close(g, w, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize('pooling', ['mean', 'position'])
def test_padding_columns_change_nothing(pooling):
    module = make(pooling=pooling)
    source, target = domain(ratio=[0.4, 0.4, 0.4]), domain(shift=1.0)
    before = module(source, target)['loss_global']
    with torch.no_grad():
        source.feature_map[..., 2:] = 99
    assert torch.equal(before, module(source, target)['loss_global'])


def test_the_more_alike_the_domains_the_closer_to_chance():
    module = make(pooling='position')
    with torch.no_grad():
        for p in module.parameters():
            p.zero_()
    out = module(domain(), domain())
    assert float(out['loss_global'].detach()) == pytest.approx(math.log(2))
    assert out['global_lambda'] == 1


def test_accuracy_counts_each_domain():
    module = make(1)
    with torch.no_grad():
        module.discriminator.layers[0].weight.fill_(1)
        module.discriminator.layers[0].bias.zero_()
        module.discriminator.layers[2].weight.fill_(1)
        module.discriminator.layers[2].bias.fill_(-1)

    def constant(*values):
        x = torch.tensor(values).double().view(-1, 1, 1, 1)
        return DomainFeatures(x, None, torch.ones(len(values)).double())

    out = module(constant(-1.0, -1.0, -1.0, 5.0), constant(5.0, 5.0, -1.0, -1.0))
    assert (out['global_acc_source'], out['global_acc_target']) == (0.75, 0.5)


@pytest.mark.parametrize('pooling', ['mean', 'position'])
def test_the_map_of_the_encoder_is_another_map(pooling):
    """Each level with its own padding, and its own names in the log."""
    maps = [domain(c=4), domain(c=4)]
    deep = [domain(c=6, h=1, w=10, ratio=[0.3, 1, 0.5]) for _ in maps]
    module = make(6, pooling=pooling, level='encoder')
    halves = [
        DomainFeatures(
            shallow.feature_map, other.feature_map, other.valid_ratio, as_map=lambda x: x
        )
        for shallow, other in zip(maps, deep)
    ]
    found = module(*halves)
    wanted = oracle(module, *deep)
    torch.testing.assert_close(found['loss_global_encoder'].double(), wanted, rtol=1e-5, atol=1e-6)
    assert all('global_encoder_' in key for key in found if 'loss' not in key)
    found['loss_global_encoder'].backward()
    assert all(half.feature_map.grad is None for half in maps)
    assert all(half.feature_map.grad.any() for half in deep)


def test_the_log_says_what_is_reached(adaptive, caplog, monkeypatch):
    said = []
    monkeypatch.setattr(
        'mmocr_da.models.objectives.global_alignment.print_log', lambda m, **_: said.append(m)
    )
    both = [
        dict(type='mmocr_da.GlobalAlignment', in_channels=16, level=level)
        for level in ('backbone', 'encoder')
    ]
    model = adaptive(*both)
    counts = {
        name: sum(p.numel() for p in part.parameters())
        for name, part in model.named_children()
        if name != 'objectives'
    }
    total = sum(counts.values())
    small, large = counts['backbone'], counts['backbone'] + counts['encoder']
    assert said[0].startswith(f'GlobalAlignment reaches {small / total:.0%} of the weights')
    assert said[1].startswith(f'GlobalAlignment reaches {large / total:.0%} of the weights')
    assert ('would reach' in said[0]) == (small / total < 0.5)
    assert set(model.objectives) == {'global', 'global_encoder'}


def test_a_step_of_both_levels_reaches_the_encoder_by_one(adaptive, batch, progress):
    progress(50, 100)
    both = [
        dict(type='mmocr_da.GlobalAlignment', in_channels=16, level=level)
        for level in ('backbone', 'encoder')
    ]
    model = adaptive(*both, supervised_weight=0)
    losses = model.loss(**batch(('12', '3'), targets=2))
    for name, reached in dict(global_encoder=True, **{'global': False}).items():
        model.zero_grad()
        losses[f'loss_{name}'].backward(retain_graph=True)
        assert any(p.grad is not None and p.grad.any() for p in model.backbone.parameters())
        assert reached == any(
            p.grad is not None and p.grad.any() for p in model.encoder.parameters()
        )


def test_a_vector_for_each_image_is_a_map_of_one_position():
    vector, ratio = torch.randn(3, 5), torch.ones(3)
    found = DomainFeatures(torch.zeros(3, 4, 1, 7), vector, ratio, as_map=lambda x: None)
    assert torch.equal(found.encoder_map[:, :, 0, 0], vector)
    assert DomainFeatures(None, vector, ratio).encoder_map is None


def test_a_level_that_is_not_there_is_refused(adaptive, crnn):
    with pytest.raises(ValueError, match="level must be 'backbone' or 'encoder', got 'neck'"):
        make(level='neck')
    with pytest.raises(ValueError, match='needs an encoder, got a AdaptiveRecognizer without one'):
        adaptive(
            dict(type='mmocr_da.GlobalAlignment', in_channels=16, level='encoder'),
            encoder=None,
            decoder=crnn,
        )


@pytest.mark.parametrize('missing', ['source', 'target', 'both'])
def test_a_missing_domain_is_no_loss_of_its_own_and_no_nan(missing, progress):
    progress(5, 10)
    module = make(40, pooling='flatten')
    sizes = dict(
        source=0 if missing in ('source', 'both') else 3,
        target=0 if missing in ('target', 'both') else 3,
    )
    halves = [domain(sizes['source']), domain(sizes['target'])]
    out = module(*halves)
    assert out['loss_global'].isfinite()
    assert (out['loss_global'] == 0) == (missing == 'both')
    out['loss_global'].backward()  # connected to the graph
    assert all(
        p.grad is not None and p.grad.isfinite().all()
        for p in module.discriminator.parameters()
        if p.requires_grad
    )


def test_lambda_follows_its_schedule(progress):
    module = make(weight=0.1, schedule='rising')
    source, target = domain(), domain()
    progress(0, 100)
    (grad,) = torch.autograd.grad(module(source, target)['loss_global'], source.feature_map)
    assert grad.abs().sum() == 0
    progress(50, 100)
    assert float(module(source, target)['global_lambda']) == pytest.approx(0.09866, abs=1e-4)


@pytest.mark.parametrize(
    'cfg, message',
    [
        (dict(pooling='max'), "'mean', 'position' or 'flatten', got 'max'"),
        (dict(weight=-1), 'weight must be a number of at least 0, got -1: a negative lambda'),
        (dict(weight='abc'), "weight must be a number of at least 0, got 'abc'"),
        (dict(weight=math.nan), 'weight must be a number of at least 0, got nan'),
        (dict(discriminator=dict(hidden_channels=0)), 'hidden_channels must be an integer'),
        (dict(published=True), 'option published of GlobalAlignment was removed'),
    ],
)
def test_wrong_settings_are_refused(cfg, message):
    with pytest.raises(ValueError, match=message):
        make(**cfg)


def test_a_wrong_width_names_the_right_one():
    with pytest.raises(ValueError, match='set in_channels=4'):
        make(8)(domain(), domain())
    with pytest.raises(ValueError, match="4 x 2 x 5 = 40; .* need pooling='mean'"):
        make(4, pooling='flatten')(domain(), domain())
    with pytest.raises(ValueError, match='in_channels must be an integer of at least 1, got 0'):
        make(0)


def test_without_weight_it_says_that_the_recognizer_learns_nothing(monkeypatch):
    said = []
    monkeypatch.setattr('mmocr_da.arguments.print_log', lambda text, **_: said.append(text))
    make(weight=0.3)
    assert said == []
    make(weight=0)
    assert 'weight=0 has no effect: GlobalAlignment trains its discriminator' in said[0]
