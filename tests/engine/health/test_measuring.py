import random

import numpy as np
import pytest
import torch
from helpers import detectors, methods
from helpers.families import FAMILIES, noise
from torch import nn

from mmocr_da.engine.health.gradients import gradient_ratios
from mmocr_da.engine.health.held_out import HeldOut
from mmocr_da.engine.health.measuring import (
    Pairs,
    discriminator_scalars,
    measure,
    pooled,
    surrogate_change,
    target_scalars,
    unchanged,
)
from mmocr_da.models.objectives.objective import DomainJudgement
from mmocr_da.models.surrogates import LearnedSurrogate

GLOBAL = dict(type='mmocr_da.GlobalAlignment', in_channels=16, schedule='constant')
LOCAL = dict(type='mmocr_da.LocalAlignment', in_channels=16, schedule='constant', threshold=0)
SYMNET = dict(type='mmocr_da.SymNetHead', schedule='constant')
CONFUSION = dict(type='mmocr_da.DomainConfusion', in_channels=12, schedule='constant')
LSED = dict(
    type='mmocr_da.LSEDLoss',
    surrogate=dict(channels=[4] * 5, hidden_channels=8, out_channels=4, max_distance=3, warmup=0),
)


@pytest.fixture
def images(sample):
    """10 images of each domain, the target darker."""

    def make(gain=0.3, count=10):
        rng = torch.Generator().manual_seed(1)
        found = {}
        for domain, factor in (('source', 1.0), ('target', gain)):
            values = torch.rand(count, 1, 16, 32, generator=rng) * 255 * factor
            found[domain] = [
                dict(inputs=x.byte(), data_samples=sample('12' * (domain == 'source'), domain))
                for x in values
            ]
        return HeldOut(found['source'], found['target'], 'noise')

    return make


def of(model, images):
    with unchanged(model, 0):
        return measure(model, images)


# --------------------------------------------------------------------------- pure functions


def test_rows_are_averaged_by_their_weights_and_images_without_one_do_not_count():
    features = torch.tensor([[[1.0], [3.0]], [[5.0], [7.0]], [[9.0], [9.0]]])
    logits = torch.tensor([[1.0, -3.0], [2.0, 4.0], [9.0, 9.0]])
    weights = torch.tensor([[0.5, 0.5], [0.0, 2.0], [0.0, 0.0]])
    x, z = pooled(DomainJudgement(features, logits, weights))
    assert x.tolist() == [[2.0], [7.0]] and z.tolist() == [-1.0, 4.0]


def test_a_blind_discriminator_and_a_probe_that_sees():
    rng = torch.Generator().manual_seed(0)
    source, target = torch.randn(2, 20, 3, generator=rng)
    blind = torch.zeros(20)
    found = discriminator_scalars((source, blind), (target + 5, blind))
    assert found['domain_accuracy'] == 0.5 and found['a_distance'] == 0
    assert found['probe_accuracy'] == 1 and found['probe_a_distance'] == 2
    assert discriminator_scalars((source[:0], blind[:0]), (target, blind)) == {}


def test_predictions_without_a_word_have_no_confidence():
    found = target_scalars(['', ''], [[], []])
    assert found == dict(length=0, empty=1, distinct_words=0, words=0)
    assert target_scalars([], []) == {}


class Metric(LearnedSurrogate):
    """Its metric is the mean of z, its estimate the distance of scaled z and y."""

    def __init__(self, scale):
        super().__init__()
        self.embedding = nn.Linear(1, 1)
        nn.init.constant_(self.embedding.weight, scale)

    def metric(self, z, y):
        return z.mean(1)


def test_the_change_is_that_of_the_surrogate_as_it_is_now():
    rng = torch.Generator().manual_seed(0)
    z = torch.rand(50, 1, generator=rng)
    before, now = (Pairs(x, torch.zeros(50, 1)) for x in (z, z + 1))
    found = surrogate_change(Metric(2.0), before, now)
    assert found['metric_change'] == pytest.approx(1) == found['estimate_change'] / 2
    assert found['metric_change_error'] == pytest.approx(0, abs=1e-6)
    found = surrogate_change(Metric(2.0), before, Pairs(z + torch.rand(50, 1), before.y))
    assert 0 < found['metric_change_error'] < found['metric_change']
    one = Pairs(z[:1], z[:1])
    assert surrogate_change(Metric(1.0), one, one) == {}


# --------------------------------------------------------------------------- models


@pytest.mark.parametrize('objective', [GLOBAL, LOCAL, SYMNET, CONFUSION], ids=lambda o: o['type'])
@pytest.mark.parametrize('kind', ['attention', 'ctc'])
def test_every_objective_that_tells_domains_apart_is_measured(
    adaptive, images, crnn, objective, kind
):
    objective = dict(objective)
    if kind == 'ctc' and 'in_channels' in objective:
        objective['in_channels'] = 16 if objective is not CONFUSION else 512
    model = adaptive(objective, **(dict(decoder=crnn, encoder=None) if kind == 'ctc' else {}))
    (name,) = model.objectives
    scalars = of(model, images()).scalars
    assert 0 <= scalars[f'{name}/domain_accuracy'] <= 1
    assert {'source/word_accuracy', 'target/length', 'target/empty'} <= scalars.keys()


def test_the_accuracy_is_that_of_the_discriminator_on_each_image(adaptive, images):
    model, data = adaptive(GLOBAL), images()
    judge = model.objectives['global'].discriminator.layers
    for bias, accuracy in ((9.0, 0.5), (-9.0, 0.5)):
        nn.init.zeros_(judge[2].weight)
        nn.init.constant_(judge[2].bias, bias)
        assert of(model, data).scalars['global/domain_accuracy'] == accuracy
    found = of(model, data).scalars
    assert found['global/probe_accuracy'] > 0.9  # brightness tells the domains apart
    assert of(model, images(gain=1.0)).scalars['global/probe_accuracy'] < 0.9


def test_a_gate_is_measured_by_domain_and_class(adaptive, images):
    everything = of(adaptive(LOCAL), images())
    assert everything.scalars['local/gate_source'] == 1
    rates = everything.gates['local']
    assert set(rates.domains.values()) == {1.0}
    assert all(rate == 1 for rate, _ in rates.classes.values())
    # Labels of the source have two characters; those of the target are predicted.
    assert sum(count for _, count in rates.classes.values()) >= 20
    nothing = of(adaptive(dict(LOCAL, threshold=0.99)), images())
    assert nothing.scalars['local/gate_source'] == 0
    assert 'local/domain_accuracy' not in nothing.scalars  # there is nothing to judge


def test_a_gate_of_the_target_alone(adaptive, images):
    found = of(adaptive(dict(SYMNET, threshold=0.05)), images()).gates['symnet']
    assert found.domains.keys() <= {'target'}
    assert not of(adaptive(SYMNET), images()).gates


def test_a_surrogate_is_compared_with_its_metric(adaptive, images, progress):
    progress(0, 10)
    model = adaptive(LSED, supervised_weight=0)
    found = of(model, images())
    scalars = found.scalars
    assert len(found.pairs['lsed'].z) == 10
    assert scalars['lsed/metric'] >= 0 and scalars['lsed/error'] > 0
    surrogate = model.objectives['lsed'].surrogate
    e = surrogate.metric(*found.pairs['lsed'])
    assert scalars['lsed/metric'] == pytest.approx(float(e.mean()))


def test_a_teacher_predicts_if_it_is_exported(adaptive, images):
    model = adaptive(dict(type='mmocr_da.SelfTraining', threshold=0))
    before = of(model, images()).scalars
    with torch.no_grad():
        for p in model.decoder.parameters():
            p.add_(1)
    assert of(model, images()).scalars == before  # the student alone has changed


@pytest.mark.parametrize('objective', [GLOBAL, LOCAL, SYMNET, LSED], ids=lambda o: o['type'])
def test_nothing_of_the_training_changes(adaptive, images, progress, objective):
    progress(3, 10)
    model = adaptive(objective)
    weights = {k: v.clone() for k, v in model.state_dict().items()}
    modes = [m.training for m in model.modules()]
    torch.manual_seed(1), np.random.seed(1), random.seed(1)
    expected = torch.rand(1), np.random.rand(), random.random()
    torch.manual_seed(1), np.random.seed(1), random.seed(1)
    of(model, images())
    assert expected == (torch.rand(1), np.random.rand(), random.random())
    assert modes == [m.training for m in model.modules()]
    assert all(torch.equal(v, weights[k]) for k, v in model.state_dict().items())


def test_measures_are_the_same_again(adaptive, images):
    model, data = adaptive(GLOBAL, LOCAL), images()
    assert of(model, data).scalars == of(model, data).scalars


def test_discriminators_of_a_detector_are_measured():
    instance = dict(type='mmocr_da.InstanceAlignment', in_channels=32, proposals=5)
    model = detectors.adaptive(
        'MMDetWrapper', dict(type='mmocr_da.ImageAlignment', in_channels=16), instance
    )
    batch = detectors.scenes('MMDetWrapper', ['source', 'target'] * 2)
    items = [dict(inputs=x, data_samples=y) for x, y in zip(*batch.values())]
    weights = {k: v.clone() for k, v in model.state_dict().items()}
    with unchanged(model, 0):
        images = HeldOut(items[::2], items[1::2], '')
        found = measure(model, images).scalars
        assert gradient_ratios(model, images) == {}
    assert {name.split('/')[0] for name in found} == {'image_neck_0', 'instance'}
    assert all(0 <= found[f'{name}/domain_accuracy'] <= 1 for name in ('image_neck_0', 'instance'))
    assert all(torch.equal(v, weights[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize('family', FAMILIES)
def test_every_recognizer_of_mmocr_is_measured(family):
    model = methods.build(methods.config('ASSDA + self-training', family))
    batch = noise(family)
    items = [dict(inputs=x, data_samples=y) for x, y in zip(*batch.values())]
    images = HeldOut(items[:2], items[2:], 'noise')
    weights = {k: v.clone() for k, v in model.state_dict().items()}
    with unchanged(model, 0):
        found = measure(model, images).scalars
        ratios = gradient_ratios(model, images)
    aligned = {name for name in model.objectives if name.startswith(('global', 'local'))}
    assert ratios.keys() == aligned and all(ratio >= 0 for ratio in ratios.values())
    assert any(f'{name}/domain_accuracy' in found for name in aligned)
    assert {'source/word_accuracy', 'target/length', 'local/gate_source'} <= found.keys()
    assert all(torch.equal(v, weights[k]) for k, v in model.state_dict().items())
