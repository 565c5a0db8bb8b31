"""Every config loads, builds, and takes a training step on toy data."""

import copy
import functools
import json
import os
import pathlib
import re
import shlex
import statistics
import tempfile

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config, DictAction
from mmengine.logging import MessageHub
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch.nn.modules.batchnorm import _BatchNorm

from mmocr_da.engine.inference import inference_pipeline
from mmocr_da.models.layers import BatchInstanceNorm
from mmocr_da.registry import MODELS

ROOT = pathlib.Path(__file__).parents[2] / 'configs'
# What is published is tested in tests/test_model_zoo.py.
FOLDERS = sorted(p for p in ROOT.iterdir() if p.is_dir() and p.name[0] not in '_.')
METHODS = [folder for folder in FOLDERS if folder.name != 'zoo']
CONFIGS = sorted(p for method in METHODS for p in method.rglob('*.py'))
#: The option that chooses the data: the values, by the default one.
OPTION = 'MMOCR_DA_DATA'
VALUES = dict(
    numbers=('numbers', 'words'),
    adaptation=('numbers', 'words', 'words-attention'),
    iam=('iam', 'rimes', 'cvl', 'synthtext'),
    drawn=('drawn', 'scenes'),
    tuning=('numbers', 'words', 'rendered'),
)
# MMOCR's own with batch-instance norms.
CONVERTED = [p for p in CONFIGS if re.search(r"'mmocr::.*WithBIN", p.read_text(), re.S)]


def name_of(path):
    return str(path.relative_to(ROOT).with_suffix('')) if ROOT in path.parents else path.stem


def known_values(path):
    """The values of the option that are known where a config begins, the default one first."""
    default = re.search(rf'\{{\{{\${OPTION}:(\w+)}}}}', path.read_text())
    if default and default[1] == 'numbers' and 'seqclr' not in path.parts:
        return VALUES['tuning' if 'learned_surrogate' in path.parts else 'adaptation']
    return VALUES[default[1]] if default else ()


def values_of(path):
    """The values of the option that a config works with; none without it."""
    if path.stem == 'small_supervised-augmented':  # a step that numbers do not have
        return ('words',)
    return known_values(path)


#: Every config with every choice of data.
CHOICES = [
    pytest.param(path, value, id='-'.join(filter(None, (name_of(path), value))))
    for path in CONFIGS
    for value in values_of(path) or (None,)
]
#: With its own data, and one of each kind with the others.
STEPS = [
    choice
    for choice in CHOICES
    if choice.values[1] in (None, *values_of(choice.values[0])[:1])
    or choice.id
    in (
        'assda/small/small_assda-words',
        'symnet/small/small_symnet-words',
        'symnet/small/small_symnet-words-attention',
        'self_training/small/small_self-training-assda-words-attention',
        'bin/small/small_bin-control-words',
        'seqclr/small/small_seqclr-window-words',
        'seqclr/small/small_decoder-attention-words',
        'learned_surrogate/small/small_lsed-words',
        'learned_surrogate/small/small_lsed-rendered',
        'learned_surrogate/small/small_minimum-risk-rendered',
        'seqclr/resnet29_finetune-ctc-rimes',
        'seqclr/resnet29_finetune-ctc-synthtext',
    )
]
#: Sizes of images in the pipelines of detectors, and what a toy is cut to.
TOY_SIZES = dict(
    scale=128,
    size=128,
    target_size=128,
    crop_size=128,
    short_size=128,
    target_scale=128,
    long_size_bound=128,
    short_size_bound=96,
)


@pytest.fixture(autouse=True)
def _lanms(monkeypatch):
    """The package that merges the boxes of DRRG; without merging there are only more of them."""
    for module in ('heads.drrg_head', 'module_losses.drrg_module_loss'):
        monkeypatch.setattr(f'mmocr.models.textdet.{module}.la_nms', lambda boxes, _: boxes)


@pytest.fixture(autouse=True)
def _unformatted(monkeypatch):
    """A runner pretty-prints its config three times, which takes longer than a step."""
    monkeypatch.setattr('mmengine.config.config.FormatCode', lambda text, **_: (text, True))
    monkeypatch.delenv(OPTION, raising=False)


@pytest.fixture(scope='module')
def loaded():
    """Configs that a test of this module has read."""
    return {}


@pytest.fixture
def load(monkeypatch, loaded):
    """``Config.fromfile`` with a choice of data; reads each once."""

    def load(path, value=None):
        if (path, value) not in loaded:
            if value:
                monkeypatch.setenv(OPTION, value)
            loaded[path, value] = Config.fromfile(path)
            monkeypatch.delenv(OPTION, raising=False)
        return copy.deepcopy(loaded[path, value])

    return load


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


def use_toy_data(loader, root, batch_size):
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
            node.indices = batch_size // len(datasets) if kind == 'words' else 2
    for node in dicts_of(loader):
        if 'num_images' in node:  # rendered words
            node.num_images = 8
        for folder in ('img_dir', 'img_list'):
            if folder in node:
                node.pop(folder)
                node['img_dir'] = str(root / 'images')


def full_size(cfg):
    """Whether a step takes seconds, and a checkpoint hundreds of megabytes."""
    return not pathlib.Path(cfg.filename).stem.startswith(('small', 'resnet8', 'resnet14'))


def shrink(cfg, root, work_dir):
    """One step of each kind on a few images, no workers, nothing to evaluate or to start from."""
    # The gates of few images may all want to grow above 1, where they are.
    batch_size = 2 if full_size(cfg) and cfg.model.type != 'mmocr_da.WithBIN' else 4
    use_toy_data(cfg.train_dataloader, root, batch_size)
    cfg.train_dataloader.update(batch_size=batch_size, num_workers=0, persistent_workers=False)
    if 'batch_size' in cfg.train_dataloader.sampler:
        cfg.train_dataloader.sampler.batch_size = batch_size
    for objective in cfg.model.get('objectives', ()):
        if 'threshold' in objective:  # a fresh model is sure of nothing
            by_pixels = objective.type == 'mmocr_da.DetectorMapSelfTraining'
            objective.threshold = 0.501 if by_pixels else 0.0
        if 'keep' in objective:  # words of a small batch, too
            objective.keep.update(start=1.0, end=1.0)
        if 'ramp' in objective:  # the first step learns
            objective.ramp = 0
    for node in dicts_of(cfg.model):
        if 'Pretrained' in str(node.get('init_cfg')):  # nothing is downloaded
            node.init_cfg = dict(type='Kaiming', layer='Conv2d')
    for node in dicts_of(cfg.train_dataloader):
        for key, size in TOY_SIZES.items():  # a detector's
            if isinstance(node.get(key), int) and node[key] > size:
                node[key] = size
            elif isinstance(node.get(key), tuple) and node[key][0] > size == 128:
                node[key] = (size, size)
    for node in dicts_of(cfg.model):  # a fresh detector proposes boxes everywhere
        for key in ('nms_pre', 'max_per_img'):
            if node.get(key, 0) > 50:
                node[key] = 50
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
        # Not by setdefault: a ConfigDict keeps a copy of what it is given.
        loss.surrogate = dict(loss.get('surrogate', {}))
        surrogate = loss.surrogate
        surrogate.update(warmup=0, surrogate_steps=1, model_steps=1)
        if surrogate.get('pairs'):
            surrogate.pairs.update(
                ann_files=[str(root / 'scenes.json')], num_pairs=200, cache_dir=str(root / 'pairs')
            )
            surrogate.pretrain_steps = min(2, surrogate.pretrain_steps)
    return bool(losses)


@pytest.mark.timeout(300)
@pytest.mark.parametrize('path, value', STEPS)
def test_config_takes_a_training_step(path, value, load, toy, tmp_path):
    take_a_training_step(load(path, value), toy, tmp_path)


def take_a_training_step(cfg, toy, tmp_path):
    runner = Runner.from_cfg(shrink(cfg, toy, tmp_path))
    runner._init_model_weights()  # not when training begins: frozen parts must not seem to learn
    before = {k: v.clone() for k, v in runner.model.named_parameters()}
    runner.train()
    assert runner.iter == runner.cfg.train_cfg.get('max_iters', 1)
    after = dict(runner.model.named_parameters())
    assert all(v.isfinite().all() for v in after.values())
    # Adversaries learn from the first step on, whatever lambda is there.
    changed = {k for k, v in after.items() if not torch.equal(v, before[k])}
    followed = {k for k in changed if '.teacher.' in k}
    assert not any(after[k].requires_grad for k in followed)
    changed -= followed
    parts = {part_of(k) for k in changed}
    assert parts == {part_of(k) for k, v in after.items() if v.requires_grad}
    objectives = getattr(runner.model, 'objectives', torch.nn.ModuleDict())
    assert len(objectives) == len(runner.cfg.model.get('objectives', ()))
    assert ('objectives' in parts) == any(p.requires_grad for p in objectives.parameters())
    teachers = [o for o in objectives.values() if hasattr(o, 'teacher')]
    assert bool(followed) == any(objective.decay < 1 for objective in teachers)
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
        'satrn',
        'dbnet',
        'mask-rcnn',
    }


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    'readme',
    [
        'README.md',
        'configs/README.md',
        'configs/bin/README.md',
        'configs/seqclr/README.md',
        'configs/learned_surrogate/README.md',
    ],
)
def test_the_recipe_of_a_readme_takes_a_training_step(readme, toy, tmp_path):
    recipe = (ROOT.parent / readme).read_text().split('```python\n')[1].split('```')[0]
    config = tmp_path / 'my_config.py'
    config.write_text(recipe)
    take_a_training_step(Config.fromfile(config), toy, tmp_path)


ADAPTIVE = (
    "dict(type='mmocr_da.AdaptiveRecognizer', objectives=[dict("
    "type='mmocr_da.GlobalAlignment', in_channels=512)])"
)


SELF_TRAINING = "dict(type='mmocr_da.AdaptiveRecognizer', objectives=[_base_.self_training])"
SOURCE_FREE = (
    "dict(type='mmocr_da.AdaptiveRecognizer', supervised_weight=0, objectives=["
    "dict(type='mmocr_da.SelfTraining', threshold=0.9)])"
)


@pytest.mark.parametrize(
    'base, model',
    [
        ('two_domains', ADAPTIVE),
        ('augmented_source', ADAPTIVE),
        ('self_training', SELF_TRAINING),
        ('target_only', SOURCE_FREE),
        ('rendered_words', ADAPTIVE),
        ('pretraining', "dict(type='mmocr_da.SeqCLR')"),
    ],
)
def test_what_a_shared_recipe_says_takes_a_training_step(base, model, toy, tmp_path):
    """Its docstring, on MMOCR's smallest recognizer and from outside of this repository."""
    recipes = [
        re.sub('^    ', '', (ROOT / f'_base_/{name}.py').read_text().split('"""')[1], flags=re.M)
        for name in (base, 'iterations')
    ]
    recipe = recipes[0][recipes[0].index('_base_ =') : recipes[0].index('\nand the four')]
    recipe = recipe.replace('aster/aster_resnet45_6e_st_mj', 'crnn/crnn_mini-vgg_5e_mj')
    recipe = recipe.replace('(256, 64)', '(100, 32)')
    recipe += f'model = {model}\n' + recipes[1][recipes[1].index('train_cfg') :]
    if base == 'pretraining':
        recipe = recipe.replace(
            '_base_.load_image', "dict(_base_.load_image, color_type='grayscale')"
        )
        recipe += 'val_dataloader = val_cfg = val_evaluator = None\n'
    config = tmp_path / 'my_config.py'
    config.write_text(recipe)
    cfg = Config.fromfile(config)
    if base == 'augmented_source':
        dataset = cfg.train_dataloader.dataset
        load_image, augmentation, *others = dataset.pipeline
        assert augmentation.type == 'mmocr_da.TextAugmentation'
        assert [load_image, *others] == dataset.target_pipeline
    take_a_training_step(cfg, toy, tmp_path)


@pytest.mark.timeout(300)
def test_the_recipe_of_standardized_images_takes_a_training_step_with_two_domains(toy, tmp_path):
    """In the configs README: with the batches and the iterations of the other two recipes."""
    readme = (ROOT / 'README.md').read_text()
    recipe = readme[readme.index('## Standardized images') :]
    config = tmp_path / 'my_config.py'
    config.write_text(recipe.split('```python\n')[1].split('```')[0])
    cfg = Config.fromfile(config)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        conditions = [step.get('condition', '') for step in loader.dataset.pipeline]
        assert sum('results.update(img=' in condition for condition in conditions) == 1
    take_a_training_step(cfg, toy, tmp_path)


@pytest.mark.parametrize(
    'path, value', [pytest.param(ROOT.parent / 'README.md', None, id='README'), *CHOICES]
)
def test_what_the_readme_says_to_watch_is_in_tensorboard(path, value, load, tmp_path):
    if path.name == 'README.md':
        recipe = path.read_text().split('```python\n')[1].split('```')[0]
        path = tmp_path / 'my_config.py'
        path.write_text(recipe)
    cfg = load(path, value)
    if cfg.model.get('objectives'):
        backends = [backend.type for backend in cfg.visualizer.vis_backends]
        assert backends == ['LocalVisBackend', 'TensorboardVisBackend']


@pytest.mark.parametrize('path, value', CHOICES)
def test_config_can_be_exported_and_its_learning_rate_scaled(path, value, load):
    cfg = load(path, value)
    if path.stem != 'svtr_bin_tiny_20e_st_mj':  # MMOCR's SVTR has no base batch size
        assert cfg.auto_scale_lr.base_batch_size >= cfg.train_dataloader.batch_size
    if cfg.model.type != 'mmocr_da.SeqCLR':  # which cannot read
        inference_pipeline(cfg)


@pytest.mark.parametrize('path, value', CHOICES)
def test_every_factor_of_a_learning_rate_finds_its_parameters(path, value, load):
    """MMEngine passes silently over a key that no parameter has."""
    cfg = load(path, value)
    keys = cfg.optim_wrapper.get('paramwise_cfg', {}).get('custom_keys', {})
    if not keys:
        return
    init_default_scope('mmocr')
    names = [name for name, _ in MODELS.build(cfg.model).named_parameters()]
    for key in keys:
        # The small configs share their bases with one that has no adversary.
        assert any(key in name for name in names) or (
            key == 'objectives' and path.stem == 'small_source-em'
        ), key


@pytest.mark.parametrize('path, value', CHOICES)
def test_each_choice_of_data_has_a_work_directory_of_its_own(path, value, load):
    if value:
        assert load(path, value).work_dir == f'work_dirs/{path.stem}_{value}'
    else:
        assert 'work_dir' not in load(path)


def test_the_choices_of_data_differ_in_their_data(load):
    for path in CONFIGS:
        values = [value for value in values_of(path) if not value.endswith('-attention')]
        loaders = [str(load(path, value).train_dataloader) for value in values]
        assert len(set(loaders)) == len(loaders), path


def test_words_have_two_recognizers(load):
    """They differ in the recognizer alone, what comes of it and what it starts from."""
    for path in CONFIGS:
        if 'words-attention' in values_of(path):
            ctc, attention = (load(path, v).to_dict() for v in ('words', 'words-attention'))
            assert attention['model']['decoder']['type'] == 'ASTERDecoder'
            assert attention['model']['backbone'] == ctc['model']['backbone']
            differing = {key for key in ctc if ctc[key] != attention[key]}
            assert (
                {'model', 'dictionary', 'work_dir'}
                <= differing
                <= {
                    *('model', 'dictionary', 'work_dir', 'load_from', 'data', 'classifier'),
                    'optim_wrapper',  # of the classifier, by its name
                }
            ), path


@pytest.mark.parametrize('path', [p for p in CONFIGS if values_of(p)], ids=name_of)
def test_a_choice_of_data_that_does_not_exist_is_an_error(path, load):
    values = known_values(path)
    wanted = ', '.join(map(repr, values[:-1])) + f' or {values[-1]!r}'
    with pytest.raises(ValueError, match=f"^{OPTION} must be {wanted} here, got 'nubmers'$"):
        load(path, 'nubmers')


def test_start_of_a_config_is_what_another_one_writes(load):
    """``load_from`` names a work directory and a last checkpoint that there are."""
    written = {}
    for path, value in (choice.values for choice in CHOICES):
        cfg = load(path, value)
        folder = cfg.get('work_dir', f'work_dirs/{path.stem}')
        iters = cfg.train_cfg.get('max_iters')
        encoder = 'encoder_' if cfg.model.type == 'mmocr_da.SeqCLR' else ''
        written[f'{folder}/{encoder}iter_{iters}.pth'] = path
    for path, value in (choice.values for choice in CHOICES):
        start = load(path, value).get('load_from')
        # The paper's recognizer without rectification is an option of the one with it.
        assert not start or start in written or path.stem == 'resnet_lsed_mj-st', start


@pytest.mark.parametrize('method', METHODS, ids=lambda p: p.name)
def test_every_config_is_in_its_readme(method):
    names = {p.stem for p in CONFIGS if method in p.parents}
    assert (method / 'README.md').is_file(), f'{method} needs a README.md that lists its configs'
    assert {name for name, _ in named_in(method / 'README.md', names)} >= names


def test_every_config_that_a_readme_names_exists():
    names = {p.stem for p in CONFIGS}
    for method in METHODS:
        for name, cell in named_in(method / 'README.md', names):
            assert name in names, cell


def named_in(readme, names):
    """``(config, cell)`` of all names in the first column of a README's tables."""
    families = '|'.join(sorted({re.split('[_-]', name)[0] for name in names}))
    for cell in re.findall(r'^\| (`.*?) \|', readme.read_text(), re.M):
        for name in re.findall(rf'`((?:{families})[_-][^`= ]*)`', cell):
            stem, options, rest = re.fullmatch(r'([^{]*)(?:\{(.*)\})?(.*)', name).groups()
            for option in (options or '').split(','):
                yield stem + option.strip() + rest, cell


CONFIG = r'configs/[^$]*\.py'  # in a command


def commands():
    """``(file, words of a command)`` of all READMEs and pages that name a config."""
    docs = (ROOT.parent / 'docs').rglob('*.md')
    for readme in (ROOT.parent / 'README.md', *ROOT.rglob('README.md'), *docs):
        for block in re.findall(r'```bash\n(.*?)```', readme.read_text(), re.S):
            exported = []
            for line in block.replace('\\\n', ' ').splitlines():
                words = shlex.split(line, comments=True)
                if words[:1] == ['export']:
                    exported = words[1:]
                elif any(re.fullmatch(CONFIG, word) for word in words):
                    yield readme, exported + words


COMMANDS = [pytest.param(*c, id=f'{c[0].parent.name}-{i}') for i, c in enumerate(commands())]


@pytest.mark.parametrize('readme, words', COMMANDS)
def test_a_command_of_a_readme_fits_its_config(readme, words, load):
    """Configs exist, and ``--cfg-options`` changes keys that they have."""
    value = next((w.split('=')[1] for w in words if w.startswith(f'{OPTION}=')), None)
    options = words[words.index('--cfg-options') + 1 :] if '--cfg-options' in words else []
    for config in (word for word in words if re.fullmatch(CONFIG, word)):
        cfg = load(ROOT.parent / config, value)
        for option in options:
            key, text = option.split('=', 1)
            *parts, last = key.split('.')
            node = cfg
            for part in parts:
                node = node[int(part)] if isinstance(node, list) else node[part]
            # The surrogate's settings and the seed of the data have defaults in the code.
            assert last in node or parts[-1] in ('surrogate', 'datasets'), option
            cfg.merge_from_dict({key: DictAction._parse_iterable(text)})


def test_every_path_of_a_config_exists():
    texts = [ROOT.parent / 'README.md', *ROOT.rglob('README.md')]
    for folder in ('mmocr_da', 'tools', 'docs'):
        for ending in ('py', 'md', 'sh'):
            texts += (ROOT.parent / folder).rglob(f'*.{ending}')
    for text in texts:
        for path in re.findall(r'configs/[\w./-]+\.py', text.read_text()):
            assert (ROOT.parent / path).is_file(), (text, path)
        for path in re.findall(r'mmocr_da::([\w./-]+\.py)', text.read_text()):
            assert (ROOT / path).is_file(), (text, path)


def bases_of(path):
    """The bases of a config, and what MMEngine makes of their paths."""
    with tempfile.NamedTemporaryFile(suffix='.py') as plain:
        Config._substitute_predefined_vars(str(path), plain.name)
        Config._substitute_env_variables(plain.name, plain.name)
        for base in Config._get_base_files(plain.name):
            yield pathlib.Path(os.path.realpath(Config._get_cfg_path(base, str(path))[0]))


@functools.cache
def inherited(path):
    """``(files, depth)``: a config with all that it inherits, MMOCR's files among them."""
    below = [inherited(base) for base in bases_of(path)]
    files = {path}.union(*(found for found, _ in below))
    return files, 1 + max((depth for _, depth in below), default=0)


def test_few_files_say_all_of_a_config():
    """The config, its bases here, and the one of the host that its name says."""
    found = {path: inherited(path) for path in CONFIGS}
    for path, (_, depth) in found.items():
        assert depth <= 4, path
    counts = [
        sum(ROOT in file.parents for file in files) + any(ROOT not in f.parents for f in files)
        for files, _ in found.values()
    ]
    assert statistics.median(counts) <= 5 and max(counts) <= 6


def test_no_method_inherits_from_the_folder_of_another():
    for path in CONFIGS:
        (method,) = (m for m in METHODS if m in path.parents)
        for base in inherited(path)[0]:
            assert not any(m in base.parents for m in METHODS if m != method), (path, base)


def test_a_name_is_unique_as_it_names_the_work_directory():
    assert len({p.stem for p in CONFIGS}) == len(CONFIGS)


@pytest.mark.parametrize(
    'method, models',
    [
        ('assda', ('crnn', 'svtr', 'aster', 'satrn')),
        ('bin', ('crnn', 'svtr', 'aster', 'satrn')),
        ('seqclr', ('crnn', 'svtr', 'aster', 'satrn')),
        ('symnet', ('crnn', 'svtr', 'aster', 'satrn')),
        ('learned_surrogate', ('aster', 'satrn')),  # CTC has no step per character
    ],
)
def test_a_method_is_a_few_lines_on_the_recognizers_of_mmocr(method, models):
    for model in models:
        texts = [path.read_text() for path in (ROOT / method).glob(f'{model}_*.py')]
        on_mmocr = [text for text in texts if 'mmocr::textrecog/' in text]
        assert on_mmocr and all(len(text.splitlines()) <= 45 for text in on_mmocr)


def test_the_runtime_has_all_of_that_of_mmocr(tmp_path):
    theirs = tmp_path / 'theirs.py'
    theirs.write_text("_base_ = 'mmocr::textrecog/_base_/default_runtime.py'")
    theirs, ours = Config.fromfile(theirs), Config.fromfile(ROOT / '_base_/default_runtime.py')
    theirs, ours = (dict(dicts_as_leaves(cfg._cfg_dict)) for cfg in (theirs, ours))
    assert {key for key in theirs if key not in ours or ours[key] != theirs[key]} == {
        'randomness.seed',
        'log_processor.by_epoch',
        'default_hooks.logger.interval',
        'default_hooks.checkpoint.interval',
        'vis_backends',
        'visualizer.vis_backends',
        *(
            f'{split}_evaluator.{key}'
            for split in ('val', 'test')
            for key in ('metrics', 'dataset_prefixes')
        ),
    }


def dicts_as_leaves(node, name=''):
    """``(dotted key, value)`` of all values of nested dicts, without MMEngine's marks."""
    if not isinstance(node, dict):
        yield name, node
        return
    for key, value in node.items():
        if key != '_scope_':
            yield from dicts_as_leaves(value, f'{name}.{key}'.strip('.'))


@pytest.mark.parametrize(
    'name', ['small_rrpn-lsiou', 'small_rrpn-lsiou-local', 'small_rrpn-gwd', 'small_mask-rcnn-giou']
)
def test_a_loss_of_the_proposals_takes_a_balanced_step(name, toy, tmp_path, monkeypatch):
    """The options of the environment reach the loss, and the first stage trains by it."""
    monkeypatch.setenv('MMOCR_DA_STAGE', 'rpn')
    monkeypatch.setenv('MMOCR_DA_GRADIENT', '2')
    (path,) = (ROOT / 'learned_surrogate').glob(f'*/{name}_scenes.py')
    cfg = Config.fromfile(path)
    heads = cfg.model.cfg.rpn_head, cfg.model.cfg.roi_head.bbox_head
    assert [head.get('reg_decoded_bbox', False) for head in heads] == [True, False]
    assert heads[0].balance.reference.loss_weight == 2 and heads[1].balance is None
    assert heads[0].loss_bbox.get('loss_weight', 1) == 1
    take_a_training_step(cfg, toy, tmp_path)
    assert MessageHub.get_current_instance().get_scalar('train/rpn_bbox_factor').current() > 0


@pytest.mark.parametrize('name', ['small_rrpn', 'small_mask_rcnn'])
def test_a_stage_that_does_not_exist_is_an_error(name, monkeypatch):
    monkeypatch.setenv('MMOCR_DA_STAGE', 'third')
    with pytest.raises(ValueError, match="MMOCR_DA_STAGE must be 'roi' or 'rpn', got 'third'"):
        Config.fromfile(ROOT / f'_base_/{name}.py')
