"""What the log says of a representation, and when it warns."""

import json
import math
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.visualization import Visualizer
from torch import nn

from mmocr_da.engine.hooks.representation_hook import RepresentationHook, measure, subset
from mmocr_da.evaluation.representation import agreement, spread, uniformity, unit
from mmocr_da.registry import HOOKS, MODELS

NAMES = ('alignment', 'uniformity', 'spread', 'effective_rank', 'agreement')


class Net(BaseModel):
    """Keeps instances as a contrastive model does, the same ones in each iteration."""

    def __init__(self, instances=None):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.keep_instances = False
        self.latest_instances = None
        self.instances = instances
        self.kept = []

    def forward(self, inputs, mode='tensor'):
        self.kept.append(self.keep_instances)
        if self.keep_instances:
            self.latest_instances = self.instances
        return dict(loss=self.weight.square())


def views(count, dim=8, noise=0.1):
    generator = torch.Generator().manual_seed(0)
    za = torch.randn(count, dim, generator=generator)
    return za, za + noise * torch.randn(count, dim, generator=generator)


def test_the_measures_are_in_the_log_every_few_iterations(tmp_path):
    Visualizer._instance_dict.clear()
    za, zb = views(20)
    data = dict(
        dataset=[torch.ones(1)] * 4,
        batch_size=2,
        num_workers=0,
        sampler=dict(type='InfiniteSampler'),
        collate_fn=lambda items: dict(inputs=items),
    )
    runner = Runner(
        Net((za, zb)),
        str(tmp_path),
        train_dataloader=data,
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=5),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.0)),
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=1, log_metric_by_epoch=False), checkpoint=None
        ),
        log_processor=dict(by_epoch=False),
        experiment_name=tmp_path.name,
        custom_hooks=[dict(type='mmocr_da.RepresentationHook', interval=2)],
        visualizer=dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')]),
    )
    runner.train()
    lines = next(tmp_path.glob('*/vis_data/scalars.json')).read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    a, b = unit(za), unit(zb)
    wanted = dict(
        alignment=2 - 2 * (a * b).sum(1).mean(),
        agreement=agreement(a, b),
        uniformity=(uniformity(a) + uniformity(b)) / 2,
        spread=spread(torch.cat([a, b])),
    )
    assert 'alignment' not in rows[0]
    for row in rows[1:]:
        assert {name: row[name] for name in wanted} == pytest.approx(
            {name: value.item() for name, value in wanted.items()}, abs=1e-4
        )
        assert 1 < row['effective_rank'] <= 8
    # Only then does the model keep anything.
    assert runner.model.kept == [False, True, False, True, False]
    assert runner.model.latest_instances is None


def run(hook, instances, iterations, model=None):
    """Each of ``instances`` is what the model keeps in one iteration; returns the warnings."""
    model = model or Net()
    hub = MessageHub.get_instance(f'representation{id(hook)}')
    runner = SimpleNamespace(model=model, iter=0, logger=MagicMock(), message_hub=hub)
    hook.before_train(runner)
    warned = {}
    for runner.iter, (za, zb) in zip(range(iterations), instances):
        hook.before_train_iter(runner, runner.iter)
        inner = getattr(model, 'module', model)
        inner.latest_instances = (za, zb) if inner.keep_instances else None
        hook.after_train_iter(runner, runner.iter)
        assert not inner.keep_instances
        for call in runner.logger.warning.call_args_list:
            warned[runner.iter + 1] = call.args[0]
        runner.logger.reset_mock()
    return warned, hub


def collapsed(count):
    z = torch.ones(count, 8) + 1e-3 * torch.randn(count, 8)
    return z, z.clone()


def unrelated(count):
    """Well spread, but the views have nothing in common: each finds its neighbour's."""
    z = views(count)[0]
    return z, z.roll(1, 0)


def test_a_collapse_is_warned_of_at_once_and_then_now_and_then():
    stages = [views(40)] * 2 + [collapsed(40)] * 22 + [views(40)] + [collapsed(40)] * 2
    warned, _ = run(RepresentationHook(interval=1), stages, 99)
    assert list(warned) == [3, 13, 23, 26]
    assert 'collapsed at iteration 3: the spread of the instances is 0.0' in warned[3]
    assert 'below 0.1' in warned[3] and 'learning rate' in warned[3]


def test_views_that_do_not_find_each_other_are_warned_of_at_the_second_time():
    stages = [unrelated(40), views(40), unrelated(40), unrelated(40), unrelated(40)]
    warned, hub = run(RepresentationHook(interval=1), stages, 99)
    assert list(warned) == [4]
    assert 'only 0 of 40 instances find their other view' in warned[4]
    assert hub.get_scalar('train/agreement').current() == 0


@pytest.mark.parametrize('hits, warns', [(3, True), (4, False)])
def test_three_hits_are_chance_and_four_are_not(hits, warns):
    za, zb = unrelated(100)
    zb[50 : 50 + hits] = za[50 : 50 + hits]
    assert agreement(unit(za), unit(zb)) == pytest.approx(hits / 100)
    warned, _ = run(RepresentationHook(interval=1), [(za, zb)] * 2, 2)
    assert bool(warned) == warns


@pytest.mark.parametrize('count, warns', [(31, False), (32, True)])
def test_a_handful_of_instances_is_not_judged_by_agreement(count, warns):
    assert bool(run(RepresentationHook(interval=1), [unrelated(count)] * 3, 3)[0]) == warns


def test_a_diverged_model_has_collapsed():
    z = torch.full((40, 8), math.nan)
    warned, hub = run(RepresentationHook(interval=1), [(z, z)], 1)
    assert list(warned) == [1]
    assert math.isnan(hub.get_scalar('train/spread').current())


def test_min_spread_is_the_limit():
    z = unit(views(40)[0] + torch.full((8,), 3.0))
    value = spread(z).item()
    for limit, warns in ((value - 0.01, False), (value + 0.01, True), (0, False)):
        hook = RepresentationHook(interval=1, min_spread=limit)
        assert bool(run(hook, [(z, z)], 1)[0]) == warns


@pytest.mark.parametrize('count', [0, 1])
def test_too_few_instances_are_passed_over(count):
    warned, hub = run(RepresentationHook(interval=1), [views(count)], 1)
    assert not warned and not hub.log_scalars


def test_at_most_so_many_instances_evenly_distributed():
    assert subset(torch.arange(10), 4).tolist() == [0, 2, 5, 7]
    for count in (4, 9):
        assert subset(torch.arange(4), count).tolist() == [0, 1, 2, 3]
    za, zb = views(90, noise=2)
    hook = RepresentationHook(interval=1, max_instances=30)
    _, hub = run(hook, [(za, zb)], 1)
    wanted = measure(za[::3], zb[::3])
    for name in NAMES:
        assert hub.get_scalar(f'train/{name}').current() == pytest.approx(wanted[name].item())
    assert wanted['agreement'] != measure(za, zb)['agreement']
    # By as many it judges, too: 2 of 30 are too few to tell.
    assert not run(RepresentationHook(1, max_instances=31), [unrelated(90)] * 3, 3)[0]


def test_numbers_are_of_the_directions_and_of_both_views():
    za, zb = views(20)
    scaled = measure(za * torch.rand(20, 1).add(0.1), 5 * zb)
    for name, value in measure(za, zb).items():
        torch.testing.assert_close(scaled[name], value)
    point = torch.ones(20, 8)
    assert measure(za, point)['uniformity'] == pytest.approx(uniformity(unit(za)).item() / 2)
    for name in ('spread', 'effective_rank'):
        torch.testing.assert_close(measure(za, point)[name], measure(point, za)[name])
        assert measure(za, point)[name] < measure(za, za)[name]
    assert tuple(measure(za, zb)) == NAMES


def test_a_model_inside_a_wrapper_is_found():
    warned, hub = run(RepresentationHook(interval=2), [views(40)] * 2, 2, nn.DataParallel(Net()))
    assert hub.get_scalar('train/agreement').current() == 1 and not warned


def test_seqclr_keeps_what_it_needs(recognizer_cfg, batch):
    model = MODELS.build(dict(recognizer_cfg(), type='mmocr_da.SeqCLR')).train()
    hook = HOOKS.build(dict(type='mmocr_da.RepresentationHook', interval=1))
    hub = MessageHub.get_instance('seqclr')
    runner = SimpleNamespace(model=model, iter=0, logger=MagicMock(), message_hub=hub)
    hook.before_train(runner)
    hook.before_train_iter(runner, 0)
    model.loss(**batch(('1', '2'), targets=2))
    hook.after_train_iter(runner, 0)
    assert all(math.isfinite(hub.get_scalar(f'train/{name}').current()) for name in NAMES)


def test_a_model_without_instances_is_an_error():
    runner = SimpleNamespace(model=nn.Linear(1, 1))
    with pytest.raises(ValueError, match='such as mmocr_da.SeqCLR, got a Linear'):
        RepresentationHook().before_train(runner)


@pytest.mark.parametrize(
    'kwargs',
    [
        dict(interval=0),
        dict(interval=2.5),
        dict(max_instances=1),
        dict(max_instances=None),
        dict(min_spread=-0.1),
        dict(min_spread=1.5),
    ],
)
def test_bad_arguments(kwargs):
    with pytest.raises(ValueError, match=next(iter(kwargs))):
        RepresentationHook(**kwargs)
