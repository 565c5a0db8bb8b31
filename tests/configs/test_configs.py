"""Every config loads, builds, and takes a training step on toy data."""
import json
import pathlib
import re

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmocr_da.engine.export import inference_pipeline

ROOT = pathlib.Path(__file__).parents[2] / 'configs'
CONFIGS = sorted(p for p in ROOT.glob('*/*.py') if p.name[0] != '_' and p.parent.name != '_base_')


@pytest.fixture(scope='module')
def toy(tmp_path_factory):
    """Eight labelled images; their folder serves as unlabelled target."""
    root = tmp_path_factory.mktemp('toy')
    (root / 'images').mkdir()
    rng = np.random.default_rng(0)
    instances = []
    for i in range(8):
        cv2.imwrite(str(root / 'images' / f'{i}.png'), rng.integers(0, 255, (32, 80, 3)))
        instances.append(dict(img_path=f'images/{i}.png', instances=[dict(text=str(37 * i))]))
    meta = dict(dataset_type='TextRecogDataset', task_name='textrecog')
    (root / 'toy.json').write_text(json.dumps(dict(metainfo=meta, data_list=instances)))
    return root


def use_toy_data(node, root):
    """Point every dataset in a config at the toy data."""
    if isinstance(node, dict):
        if node.get('type') == 'OCRDataset':
            node.update(data_root=str(root), ann_file='toy.json')
        for folder in ('img_dir', 'img_list'):
            if folder in node:
                node.pop(folder)
                node['img_dir'] = str(root / 'images')
        for value in node.values():
            use_toy_data(value, root)
    elif isinstance(node, (list, tuple)):
        for value in node:
            use_toy_data(value, root)


def shrink(cfg, root, work_dir):
    """One step of four images, no workers, nothing to evaluate or to start from."""
    use_toy_data(cfg.train_dataloader, root)
    cfg.train_dataloader.update(batch_size=4, num_workers=0, persistent_workers=False)
    if 'batch_size' in cfg.train_dataloader.sampler:
        cfg.train_dataloader.sampler.batch_size = 4
    for objective in cfg.model.get('objectives', ()):
        if 'threshold' in objective:  # a fresh model is sure of nothing
            objective.threshold = 0.0
    for key in ('val_dataloader', 'val_evaluator', 'val_cfg', 'test_dataloader', 'test_evaluator',
                'test_cfg', 'load_from'):
        cfg[key] = None
    cfg.train_cfg.max_iters = 1
    cfg.default_hooks.checkpoint.save_optimizer = False  # hundreds of megabytes
    cfg.work_dir = str(work_dir)
    cfg.launcher = 'none'
    cfg.visualizer.vis_backends = []
    return cfg


@pytest.mark.timeout(300)
@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: f'{p.parent.name}/{p.stem}')
def test_config_takes_a_training_step(path, toy, tmp_path):
    runner = Runner.from_cfg(shrink(Config.fromfile(path), toy, tmp_path))
    before = {k: v.clone() for k, v in runner.model.named_parameters()}
    runner.train()
    after = dict(runner.model.named_parameters())
    assert all(v.isfinite().all() for v in after.values())
    # Adversaries learn from the first step on, whatever lambda is there.
    parts = {k.split('.')[0] for k, v in after.items() if not torch.equal(v, before[k])}
    assert {'backbone', 'encoder', 'decoder'} <= parts
    assert ('objectives' in parts) == bool(runner.cfg.model.get('objectives'))


def test_there_are_configs():
    assert len(CONFIGS) > 10


@pytest.mark.timeout(300)
def test_the_recipe_of_the_readme_takes_a_training_step(toy, tmp_path):
    readme = (ROOT.parent / 'README.md').read_text()
    recipe = readme.split('```python\n')[1].split('```')[0]
    config = tmp_path / 'my_adaptation.py'
    config.write_text(recipe)
    test_config_takes_a_training_step(config, toy, tmp_path)
    assert (tmp_path / 'iter_1.pth').exists()


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: f'{p.parent.name}/{p.stem}')
def test_config_can_be_exported_and_its_learning_rate_scaled(path):
    cfg = Config.fromfile(path)
    assert cfg.auto_scale_lr.base_batch_size >= cfg.train_dataloader.batch_size
    inference_pipeline(cfg)


def test_every_config_that_a_readme_names_exists():
    names = {p.stem for p in CONFIGS}
    for readme in ROOT.glob('*/README.md'):
        for cell in re.findall(r'^\| (`.*?) \|', readme.read_text(), re.M):
            for name in re.findall(r'`((?:small|tps|aster)\w[^`]*)`', cell):
                stem, options, rest = re.fullmatch(r'([^{]*)(?:\{(.*)\})?(.*)', name).groups()
                for option in (options or '').split(','):
                    assert stem + option.strip() + rest in names, name
