"""Every config loads, builds, and takes a training step on toy data."""

import copy
import json
import pathlib
import re

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch.nn.modules.batchnorm import _BatchNorm

from mmocr_da.engine.inference import inference_pipeline
from mmocr_da.models.layers import BatchInstanceNorm
from mmocr_da.registry import MODELS

ROOT = pathlib.Path(__file__).parents[2] / 'configs'
CONFIGS = sorted(p for p in ROOT.glob('*/*.py') if p.name[0] != '_' and p.parent.name != '_base_')
# MMOCR's own with batch-instance norms.
CONVERTED = [p for p in CONFIGS if re.search(r"'mmocr::.*WithBIN", p.read_text(), re.S)]


def name_of(path):
    return f'{path.parent.name}/{path.stem}'


@pytest.fixture(autouse=True)
def _unformatted(monkeypatch):
    """A runner pretty-prints its config three times, which takes longer than a step."""
    monkeypatch.setattr('mmengine.config.config.FormatCode', lambda text, **_: (text, True))


@pytest.fixture(scope='module')
def toy(tmp_path_factory):
    """Eight labelled images, whose folder serves as unlabelled target, and two scenes."""
    root = tmp_path_factory.mktemp('toy')
    (root / 'images').mkdir()
    rng = np.random.default_rng(0)
    words = {f'images/{i}.png': str(37 * i) for i in range(8)}
    for img_path in words:
        cv2.imwrite(str(root / img_path), rng.integers(0, 255, (32, 80, 3)))
    write(root / 'words.json', {path: [dict(text=text)] for path, text in words.items()})
    write(root / 'characters.json', {path: [dict(text=text[0])] for path, text in words.items()})
    (root / 'words.tsv').write_text('\n'.join(f'{path}\t{text}' for path, text in words.items()))
    scenes = {}
    for i in range(2):
        cv2.imwrite(str(root / f'scene_{i}.png'), rng.integers(0, 255, (128, 128, 3)))
        scenes[f'scene_{i}.png'] = [
            dict(
                polygon=[x, y, x + 90, y + 5, x + 90, y + 40, x, y + 35],
                bbox=[x, y, x + 90, y + 40],
                bbox_label=0,
                ignore=False,
            )
            for x, y in ((10, 10), (20 + 5 * i, 70))
        ]
    write(root / 'scenes.json', scenes, height=128, width=128)
    return root


def write(file, images, **size):
    """Annotations in MMOCR's format: the instances of each image."""
    data_list = [
        dict(img_path=path, instances=instances, **size) for path, instances in images.items()
    ]
    file.write_text(
        json.dumps(dict(metainfo=dict(dataset_type='Toy', task_name='toy'), data_list=data_list))
    )


def dicts_of(node):
    """Every dict in a config, outermost first."""
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for value in node:
            yield from dicts_of(value)


def use_toy_data(loader, root):
    """Point every dataset in a config at the toy data; one batch of it where epochs count."""
    datasets = [
        node for node in dicts_of(loader) if node.get('type') in ('OCRDataset', 'RecogTextDataset')
    ]
    for node in datasets:
        kind = next(
            (
                kind
                for sign, kind in (
                    ('textdet', 'scenes'),
                    ('scenes', 'scenes'),
                    ('instances', 'scenes'),
                    ('characters', 'characters'),
                )
                if sign in node.data_root + node.ann_file
            ),
            'words',
        )
        node.update(data_root=str(root), ann_file=f'{kind}.json', data_prefix=dict(img_path=''))
        if node.type == 'RecogTextDataset':
            node.ann_file = 'words.tsv'  # what its parser makes of it is part of the config
        if loader.sampler.type == 'DefaultSampler':
            node.indices = 4 // len(datasets) if kind == 'words' else 2
    for node in dicts_of(loader):
        for folder in ('img_dir', 'img_list'):
            if folder in node:
                node.pop(folder)
                node['img_dir'] = str(root / 'images')


def full_size(cfg):
    """Whether a checkpoint takes hundreds of megabytes, and there are many such configs."""
    return 'Adadelta' in str(cfg.optim_wrapper)


def shrink(cfg, root, work_dir):
    """One step of each kind on four images, no workers, nothing to evaluate or to start from."""
    use_toy_data(cfg.train_dataloader, root)
    cfg.train_dataloader.update(batch_size=4, num_workers=0, persistent_workers=False)
    if 'batch_size' in cfg.train_dataloader.sampler:
        cfg.train_dataloader.sampler.batch_size = 4
    for objective in cfg.model.get('objectives', ()):
        if 'threshold' in objective:  # a fresh model is sure of nothing
            objective.threshold = 0.0
    for node in dicts_of(cfg.model):
        if 'Pretrained' in str(node.get('init_cfg')):  # nothing is downloaded
            node.init_cfg = dict(type='Kaiming', layer='Conv2d')
    for node in dicts_of(cfg.train_dataloader):
        for key in ('scale', 'size', 'target_size'):
            if node.get(key) in ((640, 640), (384, 384)):  # a detector's
                node[key] = (128, 128)
    learned = shrink_surrogate(cfg.model, root)
    for key in (
        'val_dataloader',
        'val_evaluator',
        'val_cfg',
        'test_dataloader',
        'test_evaluator',
        'test_cfg',
        'load_from',
    ):
        cfg[key] = None
    if 'max_iters' in cfg.train_cfg:
        cfg.train_cfg.max_iters = 2 if learned else 1  # one of the surrogate, one of the model
        cfg.default_hooks.checkpoint.save_optimizer = False  # hundreds of megabytes
        if full_size(cfg):
            cfg.default_hooks.checkpoint = None
    else:
        cfg.train_cfg.max_epochs = 1
        cfg.default_hooks.checkpoint = None
    cfg.randomness = dict(seed=0)
    cfg.work_dir = str(work_dir)
    cfg.launcher = 'none'
    cfg.visualizer.vis_backends = []
    return cfg


def shrink_surrogate(model, root):
    """Whether there is a learned surrogate, which then takes turns from the start."""
    losses = [
        node
        for node in dicts_of(model)
        if node.get('type') in ('mmocr_da.LSEDLoss', 'mmocr_da.LSIoULoss')
    ]
    for loss in losses:
        surrogate = loss.setdefault('surrogate', {})
        surrogate.update(warmup=0, surrogate_steps=1, model_steps=1)
        if surrogate.get('pairs'):
            surrogate.pairs.update(
                ann_files=[str(root / 'scenes.json')], num_pairs=200, cache_dir=str(root / 'pairs')
            )
            surrogate.pretrain_steps = min(2, surrogate.pretrain_steps)
    return bool(losses)


@pytest.mark.timeout(300)
@pytest.mark.parametrize('path', CONFIGS, ids=name_of)
def test_config_takes_a_training_step(path, toy, tmp_path):
    runner = Runner.from_cfg(shrink(Config.fromfile(path), toy, tmp_path))
    runner._init_model_weights()  # not when training begins: frozen parts must not seem to learn
    before = {k: v.clone() for k, v in runner.model.named_parameters()}
    runner.train()
    assert runner.iter == runner.cfg.train_cfg.get('max_iters', 1)
    after = dict(runner.model.named_parameters())
    assert all(v.isfinite().all() for v in after.values())
    # Adversaries learn from the first step on, whatever lambda is there.
    changed = {k for k, v in after.items() if not torch.equal(v, before[k])}
    parts = {part_of(k) for k in changed}
    assert parts == {part_of(k) for k, v in after.items() if v.requires_grad}
    objectives = getattr(runner.model, 'objectives', torch.nn.ModuleDict())
    assert len(objectives) == len(runner.cfg.model.get('objectives', ()))
    assert ('objectives' in parts) == any(True for _ in objectives.parameters())
    check_gates(runner.model, before, changed)


def part_of(name):
    """``backbone`` of ``backbone.conv1.weight``, also inside MMOCR's wrapper of MMDetection."""
    return name.removeprefix('wrapped_model.').split('.')[0]


def check_gates(model, before, changed):
    """A gate learns wherever its layer does, unless the layer's weights are 0, and stays a gate."""
    layers = {
        name: layer for name, layer in model.named_modules() if isinstance(layer, BatchInstanceNorm)
    }
    for layer in layers.values():
        assert ((0 <= layer.rho) & (layer.rho <= 1)).all()
    learning = {
        name for name in layers if f'{name}.bias' in changed and before[f'{name}.weight'].any()
    }
    assert {name for name in layers if f'{name}.rho' in changed} == learning
    assert bool(learning) == bool(layers)


@pytest.mark.parametrize('path', CONVERTED, ids=name_of)
def test_the_difference_to_the_config_of_mmocr_is_batch_instance_norm(path, tmp_path):
    cfg, stock = Config.fromfile(path), tmp_path / 'stock.py'
    base = re.search(r"'(mmocr::.*?)'", path.read_text())[1]
    stock.write_text(f'_base_ = {base!r}')
    stock = Config.fromfile(stock)
    model, norms = (MODELS.build(copy.deepcopy(c.model)) for c in (cfg, stock))
    converted = {k for k, m in model.named_modules() if isinstance(m, BatchInstanceNorm)}
    modes = {f'{k}.mode' for k in converted}
    assert converted == {k for k, m in norms.named_modules() if isinstance(m, _BatchNorm)} != set()
    assert modes == {k for k, m in model.named_modules() if isinstance(m, _BatchNorm)}
    assert type(model) is type(norms)

    assert cfg.model.pop('type') == 'mmocr_da.WithBIN'
    cfg.model.type = cfg.model.pop('of')
    assert cfg.optim_wrapper.pop('constructor') == 'mmocr_da.BINGateOptimWrapperConstructor'
    assert [hook.type for hook in cfg.pop('custom_hooks')] == ['mmocr_da.BINGateHook']
    for key in stock:
        assert cfg[key] == stock[key], key
    assert cfg.keys() - stock.keys() == {'gates', 'gate_hook'}


def test_there_are_configs():
    assert len(CONFIGS) > 10
    assert {p.stem.split('_')[0] for p in CONVERTED} == {
        'crnn',
        'aster',
        'svtr',
        'dbnet',
        'mask-rcnn',
    }


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    'readme',
    [
        'README.md',
        'configs/bin/README.md',
        'configs/seqclr/README.md',
        'configs/learned_surrogate/README.md',
    ],
)
def test_the_recipe_of_a_readme_takes_a_training_step(readme, toy, tmp_path):
    recipe = (ROOT.parent / readme).read_text().split('```python\n')[1].split('```')[0]
    config = tmp_path / 'my_config.py'
    config.write_text(recipe)
    test_config_takes_a_training_step(config, toy, tmp_path)


@pytest.mark.parametrize('path', [ROOT.parent / 'README.md', *CONFIGS], ids=name_of)
def test_what_the_readme_says_to_watch_is_in_tensorboard(path, tmp_path):
    if path.name == 'README.md':
        recipe = path.read_text().split('```python\n')[1].split('```')[0]
        path = tmp_path / 'my_config.py'
        path.write_text(recipe)
    cfg = Config.fromfile(path)
    if cfg.model.get('objectives'):
        backends = [backend.type for backend in cfg.visualizer.vis_backends]
        assert backends == ['LocalVisBackend', 'TensorboardVisBackend']


@pytest.mark.parametrize('path', CONFIGS, ids=name_of)
def test_config_can_be_exported_and_its_learning_rate_scaled(path):
    cfg = Config.fromfile(path)
    if path.stem != 'svtr_bin_tiny_20e_st_mj':  # MMOCR's SVTR has no base batch size
        assert cfg.auto_scale_lr.base_batch_size >= cfg.train_dataloader.batch_size
    if cfg.model.type != 'mmocr_da.SeqCLR':  # which cannot read
        inference_pipeline(cfg)


@pytest.mark.parametrize('path', CONFIGS, ids=name_of)
def test_every_factor_of_a_learning_rate_finds_its_parameters(path):
    """MMEngine passes silently over a key that no parameter has."""
    cfg = Config.fromfile(path)
    keys = cfg.optim_wrapper.get('paramwise_cfg', {}).get('custom_keys', {})
    if not keys:
        return
    init_default_scope('mmocr')
    names = [name for name, _ in MODELS.build(cfg.model).named_parameters()]
    for key in keys:
        # The small configs share their bases with those that have no adversary.
        assert (
            any(key in name for name in names)
            or not cfg.model.get('objectives')
            or (key == 'objectives' and path.stem.endswith(('source-em_p2h', 'source-em')))
        ), key


@pytest.mark.parametrize('folder', sorted({p.parent for p in CONFIGS}), ids=lambda p: p.name)
def test_every_config_is_in_its_readme_and_metafile(folder):
    names = {p.stem for p in CONFIGS if p.parent == folder}
    meta = (folder / 'metafile.yml').read_text()
    assert sorted(re.findall('- Name: (.*)', meta)[1:]) == sorted(names)
    assert meta.count('In Collection:') == meta.count('Config:') == len(names)
    assert {name for name, _ in named_in(folder / 'README.md', names)} >= names


def test_every_config_that_a_readme_names_exists():
    names = {p.stem for p in CONFIGS}
    for readme in ROOT.glob('*/README.md'):
        for name, cell in named_in(readme, names):
            assert name in names, cell


def named_in(readme, names):
    """``(config, cell)`` of all names in the first column of a README's tables."""
    families = '|'.join(sorted({re.split('[_-]', name)[0] for name in names}))
    for cell in re.findall(r'^\| (`.*?) \|', readme.read_text(), re.M):
        for name in re.findall(rf'`((?:{families})[_-][^`]*)`', cell):
            stem, options, rest = re.fullmatch(r'([^{]*)(?:\{(.*)\})?(.*)', name).groups()
            for option in (options or '').split(','):
                yield stem + option.strip() + rest, cell
