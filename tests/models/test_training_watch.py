import pytest
import torch
from torch import nn

from mmocr_da.models.objectives import Objective
from mmocr_da.models.training_watch import PATIENCE, DomainWatch, reaches
from mmocr_da.registry import MODELS

GLOBAL = dict(type='mmocr_da.GlobalAlignment', in_channels=16, schedule='constant')
LOCAL = dict(type='mmocr_da.LocalAlignment', in_channels=16, schedule='constant', threshold=0)
EVERY = [
    GLOBAL,
    LOCAL,
    dict(LOCAL, average='character'),
    dict(type='mmocr_da.SymNetHead', schedule='constant'),
    dict(type='mmocr_da.SymNetHead', schedule='constant', entropy=False, confusion='none'),
    dict(type='mmocr_da.DomainConfusion', in_channels=12, schedule='constant'),
    dict(type='mmocr_da.EntropyMinimization', schedule='constant'),
    dict(type='mmocr_da.SelfTraining', threshold=0),
    dict(type='mmocr_da.L2SP'),
    dict(type='mmocr_da.MinimumRisk', num_texts=32),
    dict(type='mmocr_da.OptimalCompletion'),
    dict(type='mmocr_da.ScheduledSampling'),
    dict(
        type='mmocr_da.LSEDLoss',
        surrogate=dict(
            channels=[4] * 5, hidden_channels=8, out_channels=4, surrogate_steps=0, warmup=1
        ),
    ),
]


@pytest.fixture
def said(monkeypatch):
    texts = []
    for module in ('training_watch', 'objectives.gate_watch'):
        monkeypatch.setattr(
            f'mmocr_da.models.{module}.print_log', lambda text, **_: texts.append(text)
        )
    return texts


# --------------------------------------------------------------------------- gradients


@pytest.mark.parametrize('objective', EVERY, ids=lambda o: o['type'][9:])
def test_of_every_objective_it_is_known_whether_it_trains_the_recognizer(
    adaptive, batch, progress, said, objective
):
    progress(5, 10)
    model = adaptive(objective, supervised_weight=0)
    model.load_state_dict(adaptive().state_dict(), strict=False)
    with torch.no_grad():
        for parameter in model.backbone.parameters():  # not where it has started
            parameter.add_(0.1)
    (name,) = model.objectives
    losses = model.loss(**batch())
    assert said == []
    # It is so: something of the recognizer got a gradient.
    model.parse_losses(losses)[0].backward()
    assert any(
        p.grad is not None and p.grad.any()
        for k, p in model.named_parameters()
        if not k.startswith('objectives.')
    )

    model = adaptive(objective, supervised_weight=0)
    for key, parameter in model.named_parameters():
        parameter.requires_grad = key.startswith('objectives.')
    for _ in range(2):
        model.loss(**batch())
    assert len(said) == 1 and f'the objective {name!r} does NOT train the recognizer' in said[0]


def test_a_frozen_part_before_the_features_is_enough(adaptive, batch, said):
    model = adaptive(GLOBAL, LOCAL)
    model.backbone.requires_grad_(False)
    model.loss(**batch())
    assert len(said) == 1 and "'global'" in said[0]  # the characters come from the decoder, too


def test_nothing_is_said_in_testing_and_without_gradients(adaptive, batch, said):
    model = adaptive(GLOBAL)
    model.backbone.requires_grad_(False)
    model.eval().loss(**batch())
    with torch.no_grad():
        model.train().loss(**batch())
    assert said == []


def test_a_gradient_arrives_where_backward_puts_one():
    a, b = nn.Linear(2, 2), nn.Linear(2, 2)
    x = torch.randn(3, 2)
    for loss, arrives in ((b(a(x)), {'a', 'b'}), (b(a(x).detach()), {'b'}), (a(b(x)), {'a', 'b'})):
        loss = loss.sum()
        for name, layer in (('a', a), ('b', b)):
            assert reaches(loss, {id(layer.weight)}) == (name in arrives)
    assert not reaches(x.sum(), {id(a.weight)})


# --------------------------------------------------------------------------- domains


@pytest.mark.parametrize('domain', ['source', 'target'])
def test_a_domain_that_never_comes_is_an_error(domain):
    watch = DomainWatch(dict(source=['a', 'b'], target=['a', 'b']))
    for _ in range(PATIENCE - 1):
        watch.see([domain != 'source'] * 4)
    with pytest.raises(
        ValueError,
        match=f'images of the {domain}, for a, b, and none of the first 50 batches has one'
        ': .*TwoDomainDataset.*TwoDomainSampler',
    ):
        watch.see([domain != 'source'] * 4)


def test_once_it_came_batches_may_be_without_it():
    watch = DomainWatch(dict(source=['a'], target=['a']))
    watch.see([True, False])
    for _ in range(2 * PATIENCE):
        watch.see([True])
        watch.see([])


@pytest.mark.parametrize(
    'objectives, texts, targets, supervised_weight',
    [([GLOBAL], ('1', '2'), 0, 1), ([GLOBAL], (), 2, 0), ([], (), 2, 1)],
)
def test_a_training_without_a_domain_stops(
    adaptive, batch, objectives, texts, targets, supervised_weight, monkeypatch
):
    monkeypatch.setattr('mmocr_da.models.training_watch.PATIENCE', 2)
    model = adaptive(*objectives, supervised_weight=supervised_weight)
    model.loss(**batch(texts, targets))
    with pytest.raises(ValueError, match='the training needs images of the'):
        model.loss(**batch(texts, targets))


@MODELS.register_module(force=True)
class SourceOnly(Objective):
    name = 'source_only'
    needs_target = False

    def forward(self, source, target):
        return dict(loss_source_only=source.feature_map.mean())


@pytest.mark.parametrize(
    'objectives, texts, targets, supervised_weight',
    [
        ([], ('1', '2'), 0, 1),
        ([dict(type='mmocr_da.SourceOnly')], ('1', '2'), 0, 1),
        ([dict(type='mmocr_da.EntropyMinimization', schedule='constant')], (), 2, 0),
        ([dict(type='mmocr_da.SelfTraining'), dict(type='mmocr_da.L2SP')], (), 2, 0),
    ],
)
def test_a_training_that_needs_one_domain_goes_on(
    adaptive, batch, objectives, texts, targets, supervised_weight, monkeypatch
):
    monkeypatch.setattr('mmocr_da.models.training_watch.PATIENCE', 2)
    model = adaptive(*objectives, supervised_weight=supervised_weight)
    for _ in range(3):
        model.loss(**batch(texts, targets))


def test_who_needs_a_domain_is_named(adaptive):
    assert adaptive().needed_domains == dict(source=['supervised_weight=1'])
    both = adaptive(GLOBAL, dict(type='mmocr_da.SelfTraining'), supervised_weight=0.5)
    assert both.needed_domains == dict(
        source=['supervised_weight=0.5', "the objective 'global'"],
        target=["the objective 'global'", "the objective 'self_training'"],
    )
    alone = adaptive(dict(type='mmocr_da.SelfTraining'), supervised_weight=0)
    assert alone.needed_domains == dict(target=["the objective 'self_training'"])


# --------------------------------------------------------------------------- gates


@pytest.mark.parametrize(
    'objective', [LOCAL, dict(type='mmocr_da.SymNetHead', schedule='constant')]
)
def test_a_gate_that_lets_nothing_pass_is_named(adaptive, batch, said, monkeypatch, objective):
    monkeypatch.setattr('mmocr_da.models.objectives.gate_watch.PATIENCE', 2)
    model = adaptive(dict(objective, threshold=0.01))
    for _ in range(4):
        model.loss(**batch())
    assert said == []
    model = adaptive(dict(objective, threshold=0.999))  # a fresh recognizer is sure of nothing
    model.loss(**batch())
    assert said == []
    model.loss(**batch())
    assert any(
        'no character of the target in the last 2 batches' in text and 'threshold=0.999' in text
        for text in said
    )
