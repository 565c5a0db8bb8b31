"""AdaBN before training: which images, which layers, and what the log says."""

import copy
import logging
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from helpers import detectors
from helpers.processes import run_ranks
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmocr_da.datasets import TwoDomainDataset, TwoDomainSampler
from mmocr_da.engine.hooks import ada_bn_hook
from mmocr_da.engine.hooks.ada_bn_hook import AdaBNHook
from mmocr_da.models.layers.batch_statistics import norms_of
from mmocr_da.registry import HOOKS

SELF_TRAINING = dict(type='mmocr_da.SelfTraining', threshold=0.0)


#: A strong view has other statistics than the weak one.
DARKEN = dict(type='mmocr_da.LinearContrast', alpha=(0.2, 0.2))


@pytest.fixture
def build(toy, tmp_path, monkeypatch):
    """A runner of the toy on the target alone, with views, before its training."""

    def make(objectives=(SELF_TRAINING,), views=True, **options):
        init_default_scope('mmocr')
        # A runner pretty-prints its config, which takes longer than the rest.
        monkeypatch.setattr('mmengine.config.config.FormatCode', lambda text, **_: (text, True))
        cfg = Config.fromfile(toy)
        load, text, resize, pack = cfg.train_pipeline
        pair = dict(
            type='mmocr_da.WeakStrongViews', weak=[resize, pack], strong=[DARKEN, resize, pack]
        )
        cfg.model.objectives = list(objectives)
        cfg.model.supervised_weight = 0
        dataset = cfg.train_dataloader.dataset
        dataset.update(source=None, pipeline=None)
        rest = [pair] if views else [DARKEN, resize, pack]
        dataset.target_pipeline = [load, text, *rest]
        cfg.train_dataloader.sampler.update(ratio=(0, 1))
        for key in ('val', 'test'):
            for end in ('dataloader', 'cfg', 'evaluator'):
                cfg[f'{key}_{end}'] = None
        cfg.visualizer.vis_backends = []
        cfg.work_dir, cfg.experiment_name = str(tmp_path), f'{tmp_path}{np.random.rand()}'
        cfg.merge_from_dict(options)
        runner = Runner.from_cfg(cfg)
        assert runner.train_loop
        return runner

    return make


@pytest.fixture
def log(monkeypatch):
    """Lines of a runner's log."""
    lines = []

    def watch(runner):
        for level in ('info', 'warning'):
            monkeypatch.setattr(runner.logger, level, lines.append)
        return lines

    return watch


def statistics(model):
    return {
        f'{name}.{key}': value.clone()
        for name, norm in norms_of(model).items()
        for key, value in norm.state_dict().items()
        if 'running' in key
    }


def own(found):
    return {k: v for k, v in found.items() if not k.startswith('objectives')}


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def adapted(runner, **options):
    hook = HOOKS.build(dict(type='mmocr_da.AdaBNHook', **options))
    hook.before_train(runner)
    return statistics(runner.model)


def test_the_first_layer_has_the_statistics_of_the_weak_views(build):
    """Worked out from the images: 6 of them, in batches of 4 that 2 of them fill."""
    runner = build()
    model = runner.model
    before = statistics(model)
    found = adapted(runner)
    sampler = ada_bn_hook.TwoDomainSampler(
        runner.train_dataloader.dataset, 4, ratio=(0, 1), seed=runner.seed
    )
    items = [runner.train_dataloader.dataset[draw] for draw in sampler]
    assert len(items) == 8
    images = torch.stack([torch.from_numpy(i['data_samples'].weak_view.image) for i in items])
    values = model.backbone.stem_layers[0].conv((images - 127.5) / 127.5)
    values = values.detach().transpose(0, 1).flatten(1)
    name = next(iter(norms_of(model)))
    torch.testing.assert_close(found[f'{name}.running_mean'], values.mean(1))
    torch.testing.assert_close(found[f'{name}.running_var'], values.var(1))
    assert not any(torch.equal(found[k], before[k]) for k in own(found))


def test_without_weak_views_the_images_of_the_training_count(build):
    assert not equal(adapted(build(views=False)), adapted(build()))


@pytest.mark.parametrize('num_images, batches', [(1, 1), (4, 1), (5, 2), (100, 2)])
def test_images_are_rounded_up_to_batches_and_each_is_used_once(build, num_images, batches):
    runner = build(objectives=[dict(type='mmocr_da.EntropyMinimization', schedule='constant')])
    model, seen = runner.model, []
    extract_feat = model.extract_feat
    model.extract_feat = lambda images: seen.append(len(images)) or extract_feat(images)
    adapted(runner, num_images=num_images)
    assert seen == [4] * batches


def test_the_teacher_gets_the_statistics_of_its_own_weights(build):
    runner = build()
    model = runner.model
    teacher = model.objectives['self_training'].teacher
    adapted(runner)
    assert equal(statistics(teacher), own(statistics(model)))  # a copy
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.mul_(1.5)
    adapted(runner)
    found = statistics(teacher)
    assert not equal(found, own(statistics(model)))
    other = build()
    with torch.no_grad():
        for name, parameter in teacher.named_parameters():
            other.model.get_parameter(name).copy_(parameter)
    assert equal(own(adapted(other)), found)


def test_the_start_of_an_anchor_is_no_teacher(build):
    runner = build(objectives=[SELF_TRAINING, dict(type='mmocr_da.L2SP')])
    before = statistics(runner.model)
    after = adapted(runner)
    assert {k for k in after if torch.equal(after[k], before[k])} == {
        k for k in after if '.l2sp.' in k
    }


def test_nothing_else_changes(build):
    runner = build()
    model = runner.model.train()
    before = copy.deepcopy(model.state_dict())
    state = torch.get_rng_state(), np.random.get_state()[1].copy()
    found = adapted(runner)
    assert torch.equal(torch.get_rng_state(), state[0])
    assert (np.random.get_state()[1] == state[1]).all()
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert {k for k in changed if 'tracked' not in k} == found.keys()
    assert model.training and not model.objectives['self_training'].teacher.training


def test_a_resumed_run_does_not_do_it_again(build):
    runner = build()
    before = statistics(runner.model)
    runner.train_loop._iter = 1
    assert equal(adapted(runner), before)


def test_it_comes_before_the_first_iteration_and_after_a_checkpoint_was_loaded(build, trained):
    start = trained / 'iter_2.pth'
    runner = build(custom_hooks=[dict(type='mmocr_da.AdaBNHook')], load_from=str(start))
    seen = []

    def stop(data_batch):
        seen.append(statistics(runner.model))
        raise KeyboardInterrupt

    runner.train_loop.run_iter = stop
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    other = build(load_from=str(start))
    other.load_or_resume()
    assert equal(adapted(other), seen[0])


@pytest.mark.parametrize('keep', [False, True])
def test_statistics_stay_only_if_they_are_kept(build, keep):
    runner = build(custom_hooks=[dict(type='mmocr_da.AdaBNHook', keep=keep)])
    seen, run_iter = [], runner.train_loop.run_iter

    def watch(data_batch):
        seen.append(statistics(runner.model))
        run_iter(data_batch)

    runner.train_loop.run_iter = watch
    runner.train()
    assert equal(own(seen[0]), own(statistics(runner.model))) == keep
    norms = norms_of(runner.model, without=('objectives',)).values()
    assert not any(norm.training for norm in norms) == keep


def test_the_log_says_how_far_they_moved(build, log):
    runner = build()
    lines = log(runner)
    with torch.no_grad():
        runner.model.backbone.layer2[0].bn1.running_mean += 1000
    adapted(runner)
    (line,) = lines
    assert '13 batch norms have the statistics of target images now' in line
    assert 'those of the teacher, too' in line and 'most of all in backbone.layer2.0.bn1' in line


def test_a_recognizer_without_batch_norms_is_named(build, log):
    runner = build()
    model = runner.model
    model.backbone = torch.nn.Conv2d(1, 16, 3)
    model.objectives = torch.nn.ModuleDict()
    lines = log(runner)
    adapted(runner)
    (line,) = lines
    assert 'no effect' in line and 'AdaptiveRecognizer' in line


def test_other_models_and_data_are_refused(build):
    runner = build()
    runner.model = torch.nn.Linear(1, 1)
    with pytest.raises(
        ValueError, match='needs a recognizer of MMOCR.*AdaptiveTextDetector, got a Linear'
    ):
        AdaBNHook().before_train(runner)
    runner = build()
    runner.train_loop.dataloader.__dict__['dataset'] = [1]
    with pytest.raises(ValueError, match='TwoDomainDataset.*got a list'):
        AdaBNHook().before_train(runner)
    with pytest.raises(ValueError, match='num_images must be an integer of at least 1'):
        AdaBNHook(num_images=0)


def detecting(model, folder):
    """A stand-in for the runner of a detector, with 4 target scenes and without workers."""
    for i in range(4):
        cv2.imwrite(str(folder / f'{i}.png'), np.full((64, 64, 3), 40 * i + 10, np.uint8))
    target = dict(
        type='mmocr_da.UnlabelledDataset', img_dir=str(folder), instances=(), pipeline=None
    )
    pack = dict(type='PackTextDetInputs', meta_keys=('img_path', 'img_shape'))
    views = dict(type='mmocr_da.WeakStrongViews', weak=[pack], strong=[DARKEN, pack])
    dataset = TwoDomainDataset(None, target, pipeline=[dict(type='LoadImageFromFile'), views])
    loader = DataLoader(
        dataset, 2, sampler=TwoDomainSampler(dataset, 2, ratio=(0, 1)), collate_fn=pseudo_collate
    )
    return SimpleNamespace(
        model=model, iter=0, seed=0, train_dataloader=loader, logger=logging.getLogger('detecting')
    )


@pytest.mark.parametrize('kind', ['DBNet', 'MMDetWrapper'])
def test_a_detector_and_its_teacher_get_the_statistics_of_target_scenes(kind, tmp_path):
    model = detectors.adaptive(kind, dict(type='mmocr_da.DetectorSelfTraining'))
    teacher = model.objectives.self_training.teacher
    with torch.no_grad():
        for p in teacher.parameters():
            p.mul_(2)
    runner = detecting(model, tmp_path)
    before = {k: v.clone() for k, v in model.named_parameters()}
    AdaBNHook(num_images=4).before_train(runner)
    assert all(torch.equal(p, before[k]) for k, p in model.named_parameters())
    images = torch.stack([torch.full((3, 64, 64), 40 * i + 10).byte() for i in range(4)])
    data = dict(
        inputs=list(images), data_samples=detectors.scenes('DBNet', [None] * 4)['data_samples']
    )
    seen = model.detector.backbone.conv1(model.data_preprocessor(data, False)['inputs'])
    of_teacher = getattr(teacher, 'wrapped_model', teacher).backbone
    for backbone, factor in ((model.detector.backbone, 1), (of_teacher, 2)):
        mean, var = (
            factor * seen.mean((0, 2, 3)),
            factor**2 * seen.transpose(0, 1).flatten(1).var(1),
        )
        torch.testing.assert_close(backbone.bn1.running_mean, mean, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(backbone.bn1.running_var, var, rtol=1e-3, atol=1e-4)
    # All that are used in testing, also of the head.
    for name, norm in norms_of(model).items():
        assert norm.num_batches_tracked == 2 or 'det_head.threshold' in name, name


def test_batch_norms_of_regions_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr('mmocr.models.textdet.heads.drrg_head.la_nms', lambda boxes, _: boxes)
    runner = detecting(detectors.adaptive('DRRG'), tmp_path)
    with pytest.raises(ValueError, match='that see regions, .* such as det_head.gcn'):
        AdaBNHook().before_train(runner)


def statistics_of_rank(rank, toy, work_dir, batch_size):
    cfg = Config.fromfile(toy)
    cfg.model.objectives = [SELF_TRAINING]
    cfg.train_dataloader.update(batch_size=batch_size)
    cfg.train_dataloader.sampler.batch_size = batch_size
    cfg.work_dir, cfg.experiment_name = f'{work_dir}/{rank}', f'{work_dir}{batch_size}'
    cfg.visualizer.vis_backends = []
    runner = Runner.from_cfg(cfg)
    assert runner.train_loop
    runner.logger.setLevel(logging.ERROR)
    return adapted(runner)


def test_two_ranks_equal_one(toy, tmp_path):
    init_default_scope('mmocr')
    torch.manual_seed(0)
    two = run_ranks(statistics_of_rank, toy, str(tmp_path), 2)
    one = statistics_of_rank(0, toy, str(tmp_path), 4)
    for found in two:
        for key, value in one.items():
            torch.testing.assert_close(found[key], value, msg=lambda m, key=key: f'{key}: {m}')
