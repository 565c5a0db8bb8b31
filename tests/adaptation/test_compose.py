"""The config that is written trains the user's recognizer on the user's images."""

import copy
import re
from pathlib import Path

import mmocr
import pytest
import torch
from helpers.recognizers import make_recognizer
from mmengine.config import Config
from mmengine.runner import Runner

from mmocr_da.adaptation import Request
from mmocr_da.adaptation.alignment import Alignable
from mmocr_da.adaptation.compose import HELPERS, compose, output_name
from mmocr_da.adaptation.recognizers import read_recognizer
from mmocr_da.registry import DATASETS, MODELS

MMOCR = Path(mmocr.__file__).parent / '.mim' / 'configs' / 'textrecog'
#: All recognizers of MMOCR whose model is built here, and configs of this package.
NAMES = sorted(path.stem for path in MMOCR.glob('[!_]*/[!_]*.py')) + [
    'crnn_assda_mj_to_folder',
    'crnn_self-training_mj_to_folder',
    'svtr_symnet_mj-st_to_folder',
    'crnn_bin_mini-vgg_5e_mj',
    'aster_lsed_st_mj',
]


@pytest.fixture
def composed(tiny, tmp_path):
    """Compose a config and load it: ``composed(name, **changes of the request)``."""

    def make(config, **changes):
        given = dict(
            config=str(config),
            checkpoint='start.pth',
            target=(str(tiny() / 'target'),),
            source=('rendered',),
        )
        recognizer = read_recognizer(str(config))
        composition = compose(Request(**dict(given, **changes)), recognizer, 8)
        file = tmp_path / f'{output_name(recognizer)}.py'
        file.write_text(composition.text)
        cfg = Config.fromfile(file)
        cfg.choices = composition.choices
        return cfg

    return make


def unscoped(node):
    """Without the marks that MMEngine leaves on what came from another package's config."""
    if isinstance(node, dict):
        return {key: unscoped(value) for key, value in node.items() if key != '_scope_'}
    return [unscoped(value) for value in node] if isinstance(node, (list, tuple)) else node


@pytest.mark.parametrize('name', NAMES)
def test_any_recognizer_is_adapted_by_a_config_that_loads(composed, name, monkeypatch):
    # Building them all would take minutes; test_alignment.py builds some.
    monkeypatch.setattr(
        'mmocr_da.adaptation.compose.find_alignable', lambda *_: Alignable(64, 32, 'encoder', [])
    )
    cfg = composed(name)
    model = cfg.model
    assert 'mmocr_da.AdaptiveRecognizer' in (model.type, model.get('of'))
    teacher, *aligned = model.objectives
    assert teacher.type == 'mmocr_da.SelfTraining'
    assert [(o.type, o.in_channels) for o in aligned] == [
        ('mmocr_da.GlobalAlignment', 64),
        ('mmocr_da.LocalAlignment', 32),
    ]
    assert aligned[0].level == 'encoder'
    assert cfg.optim_wrapper.paramwise_cfg.custom_keys['objectives'] == dict(lr_mult=5.0)
    assert '_delete_' not in str(cfg.train_dataloader) + str(cfg.train_cfg)
    for pipeline in (
        cfg.train_dataloader.dataset.pipeline,
        cfg.train_dataloader.dataset.target_pipeline[-1].weak,
        cfg.train_dataloader.dataset.target_pipeline[-1].strong,
    ):
        assert pipeline[-1].type == 'PackTextRecogInputs'
    # Nobody waits for a validation, as the target has no labels.
    assert cfg.val_cfg is cfg.val_dataloader is cfg.val_evaluator is None
    assert not cfg.default_hooks.checkpoint.get('save_best')
    # What is exported is what was there.
    tested = read_recognizer(name).cfg.test_dataloader
    assert unscoped(cfg.test_dataloader) == unscoped(tested)


@pytest.mark.parametrize('decoder', ['attention', 'ctc'])
@pytest.mark.parametrize(
    'source', ['config', 'rendered', 'labels.tsv', 'config labels.tsv rendered']
)
def test_its_batches_train_the_very_recognizer(composed, tiny, progress, decoder, source):
    progress(100, 2000)
    root = tiny(decoder)
    source = tuple(str(root / s) if s.endswith('.tsv') else s for s in source.split())
    cfg = composed(root / 'tiny.py', source=source, target=(str(root / 'target'),))
    model = MODELS.build(copy.deepcopy(cfg.model))
    plain = torch.load(root / 'tiny.pth')['state_dict']
    own = {key for key in model.state_dict() if not key.startswith('objectives')}
    assert own == plain.keys()
    cfg.train_dataloader.update(num_workers=0, persistent_workers=False)
    batch = next(iter(Runner.build_dataloader(cfg.train_dataloader, seed=0)))
    domains = [sample.domain for sample in batch['data_samples']]
    assert domains == ['source'] * 4 + ['target'] * 4
    assert all(len(s.gt_text.item) for s in batch['data_samples'][:4])
    assert all(s.weak_view.image.shape == (1, 16, 32) for s in batch['data_samples'][4:])
    losses = model.loss(**model.data_preprocessor(batch, True))
    assert all(torch.isfinite(value).all() for value in losses.values())
    for name in ('self_training', 'global', 'local'):
        assert sum(name in key and 'loss' in key for key in losses) == 1


@pytest.mark.parametrize('width', [None, 8])
def test_what_cannot_be_aligned_is_left_out_and_it_is_told(composed, tiny, monkeypatch, width):
    found = Alignable(width, None, 'backbone', ['no alignment of characters: why'])
    monkeypatch.setattr('mmocr_da.adaptation.compose.find_alignable', lambda *_: found)
    cfg = composed(tiny() / 'tiny.py')
    kinds = [objective.type for objective in cfg.model.objectives]
    assert kinds == ['mmocr_da.SelfTraining', 'mmocr_da.GlobalAlignment'][: 1 + bool(width)]
    assert ('paramwise_cfg' in cfg.optim_wrapper) == bool(width)
    assert 'level' not in str(cfg.model.objectives)
    assert 'no alignment of characters: why' in cfg.choices


@pytest.mark.parametrize('decoder', ['attention', 'ctc'])
def test_without_a_source_the_start_is_the_anchor(composed, tiny, progress, decoder):
    progress(100, 2000)
    cfg = composed(tiny(decoder) / 'tiny.py', source=('none',))
    assert cfg.model.supervised_weight == 0
    assert 'paramwise_cfg' not in cfg.optim_wrapper  # there is no adversary
    types = [objective.type for objective in cfg.model.objectives]
    assert types == ['mmocr_da.SelfTraining', 'mmocr_da.L2SP']
    assert [hook.type for hook in cfg.custom_hooks] == ['mmocr_da.AdaBNHook']
    model = MODELS.build(copy.deepcopy(cfg.model))
    cfg.train_dataloader.update(num_workers=0, persistent_workers=False)
    batch = next(iter(Runner.build_dataloader(cfg.train_dataloader, seed=0)))
    assert [sample.domain for sample in batch['data_samples']] == ['target'] * 8
    losses = model.loss(**model.data_preprocessor(batch, True))
    assert all(torch.isfinite(value).all() for value in losses.values())


def test_without_a_source_no_weight_decay_pulls_elsewhere(composed, tiny, tmp_path):
    (tmp_path / 'decay.py').write_text(
        f"_base_ = '{tiny() / 'tiny.py'}'\n"
        'optim_wrapper = dict(optimizer=dict(weight_decay=0.01))\n'
        "custom_hooks = [dict(type='SyncBuffersHook')]\n"
    )
    cfg = composed(tmp_path / 'decay.py', source=('none',))
    assert cfg.optim_wrapper.optimizer.weight_decay == 0
    assert [hook.type for hook in cfg.custom_hooks] == ['SyncBuffersHook', 'mmocr_da.AdaBNHook']
    assert composed(tmp_path / 'decay.py').optim_wrapper.optimizer.weight_decay == 0.01


def test_ctc_gives_a_text_without_an_alignment_no_loss(composed, tiny):
    assert composed(tiny('ctc') / 'tiny.py').model.decoder.module_loss.zero_infinity
    assert 'zero_infinity' not in str(composed(tiny() / 'tiny.py').model)


@pytest.mark.parametrize(
    'optimizer, rate, expected',
    [
        ('Adadelta', 1.0, 0.1),
        ('SGD', 0.05, 0.005),
        ('Adam', 1e-3, 3e-4),
        ('AdamW', 1e-4, 1e-4),
    ],
)
def test_the_learning_rate_follows_the_optimizer(composed, tmp_path, optimizer, rate, expected):
    root = tmp_path / 'own'
    root.mkdir()
    make_recognizer(root, optimizer=optimizer, lr=rate)
    cfg = composed(root / 'tiny.py', max_iters=1000)
    assert cfg.optim_wrapper.optimizer == dict(type=optimizer, lr=pytest.approx(expected))
    assert cfg.param_scheduler[0].milestones == [700]
    assert cfg.model.objectives[0].ramp == 100
    assert any(f'{expected:g} of {optimizer}' in choice for choice in cfg.choices)


@pytest.mark.parametrize('optimizer', [dict(), dict(type='Adam'), dict(lr=0.1)])
def test_a_config_without_a_learning_rate_is_an_error(composed, tiny, tmp_path, optimizer):
    (tmp_path / 'own.py').write_text(
        f"_base_ = '{tiny() / 'tiny.py'}'\n"
        f'optim_wrapper = dict(_delete_=True, optimizer={optimizer})\n'
    )
    with pytest.raises(ValueError, match=r'needs optim_wrapper=dict\(optimizer=dict\(type=..., lr'):
        composed(tmp_path / 'own.py')


def test_the_users_numbers_are_in_it(composed, tiny):
    cfg = composed(tiny() / 'tiny.py', max_iters=123, seed=7, lexicon=None)
    assert (cfg.max_iters, cfg.train_cfg.max_iters, cfg.randomness.seed) == (123, 123, 7)
    assert cfg.train_dataloader.batch_size == cfg.train_dataloader.sampler.batch_size == 8
    assert Path(cfg.load_from).is_absolute() and Path(cfg.work_dir).name == 'training'


def test_lexicon_and_fonts_are_those_of_the_rendered_words(composed, tiny):
    source = composed(
        tiny() / 'tiny.py', lexicon='words.txt', fonts='fonts'
    ).train_dataloader.dataset.source
    assert source.lexicon == str(Path('words.txt').resolve())
    assert source.fonts == str(Path('fonts').resolve())
    assert source.dict_file == str(tiny() / 'digits.txt')
    # Of the 8 tokens that the decoder predicts at most, two are start and end.
    assert source.max_length == 6
    assert 'max_length' not in composed(tiny('ctc') / 'tiny.py').train_dataloader.dataset.source


@pytest.mark.parametrize(
    'source, count', [('config', 1), ('labels.tsv', 1), ('config labels.tsv', 2)]
)
def test_half_of_a_mixed_source_is_rendered(composed, tiny, source, count):
    paths = [str(tiny() / s) if '.' in s else s for s in source.split()]
    cfg = composed(tiny() / 'tiny.py', source=(*paths, 'rendered'), lexicon='words.txt')
    *others, rendered = cfg.train_dataloader.dataset.source
    assert len(others) == count and 'RenderedWords' not in str(others)
    sizes = [len(DATASETS.build(other)) for other in others]
    assert rendered.num_images == sum(sizes) > 0
    assert rendered.lexicon == str(Path('words.txt').resolve())


@pytest.mark.parametrize('source', ['config', 'rendered', 'none', 'labels.tsv'])
def test_labels_that_cannot_be_learned_are_left_out_where_there_may_be_some(composed, tiny, source):
    path = str(tiny() / source) if '.' in source else source
    dataset = composed(tiny() / 'tiny.py', source=(path,)).train_dataloader.dataset
    assert dataset.get('skip_unusable', False) == (source in ('config', 'labels.tsv'))


def test_the_teacher_sees_images_as_in_testing_and_the_student_as_in_training(
    composed, tiny, tmp_path
):
    text = (tiny() / 'tiny.py').read_text().replace('{{ fileDirname }}', str(tiny()))
    train, test = text.split('test_pipeline = [')
    resize = "dict(type='Resize', scale=(48, 16))"
    test = test.replace("dict(type='Resize', scale=(32, 16), keep_ratio=False)", resize)
    (tmp_path / 'own.py').write_text(f'{train}test_pipeline = [{test}')
    views = composed(tmp_path / 'own.py').train_dataloader.dataset.target_pipeline[-1]
    assert [step.scale for step in views.weak if step.type == 'Resize'] == [(48, 16)]
    assert [step.scale for step in views.strong if step.type == 'Resize'] == [(32, 16)]
    assert [step.type for step in views.weak] == ['Resize', 'PackTextRecogInputs']


def test_the_augmentation_of_the_config_makes_way_and_is_named(composed, tiny):
    cfg = composed(tiny() / 'tiny.py')
    types = [step.type for step in cfg.train_dataloader.dataset.pipeline]
    assert types == [
        'LoadImageFromFile',
        'LoadOCRAnnotations',
        'mmocr_da.TextAugmentation',
        'Resize',
        'PackTextRecogInputs',
    ]
    assert any('RandomApply' in choice for choice in cfg.choices)


def test_a_config_with_the_recipes_is_adapted_again(composed, tiny, tmp_path):
    """As its recipes are there already, the second one says what it needs of them itself."""
    first = composed(tiny() / 'tiny.py')
    (tmp_path / 'first.py').write_text((tmp_path / 'tiny_adapted.py').read_text())
    second = composed(tmp_path / 'first.py')
    for key in ('model', 'train_dataloader', 'train_cfg'):
        assert unscoped(second[key]) == unscoped(first[key])
    assert second.optim_wrapper.optimizer == first.optim_wrapper.optimizer


def test_an_exported_config_is_adapted(composed, tiny, tmp_path):
    text = (tiny() / 'tiny.py').read_text().replace("'{{ fileDirname }}", f"'{tiny()}")
    whole = Config.fromstring(text, '.py')
    kept = ('default_scope', 'model', 'test_pipeline', 'test_dataloader', 'test_evaluator')
    Config({key: whole[key] for key in (*kept, 'default_hooks')}).dump(tmp_path / 'plain.py')
    cfg = composed(tmp_path / 'plain.py')
    assert '_delete_' not in str(cfg.train_dataloader) + str(cfg.train_cfg)
    assert cfg.optim_wrapper.optimizer.type == 'AdamW'
    assert cfg.model.decoder == whole.model.decoder
    with pytest.raises(ValueError, match='--source config needs training data'):
        composed(tmp_path / 'plain.py', source=('config',))


def test_hooks_that_do_not_fit_go_with_a_word_and_others_stay(composed, tiny, tmp_path):
    """An average of 5,000 steps would hardly have left the start at the end of the training."""
    (tmp_path / 'hooked.py').write_text(
        f"_base_ = '{tiny() / 'tiny.py'}'\n"
        "custom_hooks = [dict(type='EarlyStoppingHook', monitor='toy/recog/word_acc'),\n"
        "                dict(type='SyncBuffersHook'), dict(type='mmengine.EMAHook')]\n"
    )
    cfg = composed(tmp_path / 'hooked.py')
    assert [hook.type for hook in cfg.custom_hooks] == ['SyncBuffersHook']
    said = [choice for choice in cfg.choices if 'left out' in choice]
    assert [choice.split(' ')[0] for choice in said] == ['EarlyStopping', 'EMAHook']


def test_the_learning_rate_that_is_reported_is_not_scaled(composed, tiny, tmp_path):
    (tmp_path / 'scaled.py').write_text(
        f"_base_ = '{tiny() / 'tiny.py'}'\n"
        'auto_scale_lr = dict(enable=True, base_batch_size=2048)\n'
    )
    cfg = composed(tmp_path / 'scaled.py')
    assert not cfg.auto_scale_lr.enable
    assert any(choice.startswith('auto_scale_lr of the config: off') for choice in cfg.choices)
    assert not any('auto_scale_lr' in choice for choice in composed(tiny() / 'tiny.py').choices)


@pytest.mark.parametrize('change', ['no loop', 'batch sampler', 'no sampler'])
def test_what_replaces_nothing_has_no_mark_of_it(composed, tiny, tmp_path, change):
    cfg = Config.fromfile(tiny() / 'tiny.py')
    if change == 'no loop':
        cfg.pop('train_cfg')
    else:
        del cfg.train_dataloader['sampler']
        if change == 'batch sampler':
            cfg.train_dataloader.batch_sampler = dict(type='mmdet.AspectRatioBatchSampler')
    cfg.dump(tmp_path / 'changed.py')
    cfg = composed(tmp_path / 'changed.py')
    assert '_delete_' not in str(cfg.train_dataloader) + str(cfg.train_cfg)
    assert cfg.train_cfg.type == 'mmocr_da.ResumableIterBasedTrainLoop'
    assert cfg.train_dataloader.get('batch_sampler') is None
    assert cfg.train_dataloader.sampler.type == 'mmocr_da.TwoDomainSampler'


def test_names_and_empty_settings_of_the_config_are_not_in_the_way(composed, tiny, tmp_path):
    (tmp_path / 'named.py').write_text(
        f"_base_ = '{tiny() / 'tiny.py'}'\n"
        'augmentation, views = [1], [2]\n'
        'visualizer = log_processor = None\n'
    )
    cfg = composed(tmp_path / 'named.py')
    assert (cfg.augmentation, cfg.views, cfg.visualizer) == ([1], [2], None)
    assert cfg.log_processor == dict(type='LogProcessor', by_epoch=False)
    assert cfg.train_dataloader.dataset.target_pipeline[-1].type == 'mmocr_da.WeakStrongViews'


def test_what_is_kept_of_an_objective_that_replaced_the_labels(composed):
    assert composed('aster_lsed_st_mj').model.get('supervised_weight', 1) == 1


@pytest.mark.parametrize(
    'key, advice',
    [
        ('max_iters', 'give --max-iters'),
        ('batch_size', 'give --batch-size'),
        ('fall', 'set param_scheduler.0.milestones'),
        ('adapt_augmentation.strength', 'edit the config after --dry-run'),
        ('adapt_views.weak', 'edit the config after --dry-run'),
    ],
)
def test_a_setting_that_would_have_no_effect_is_refused(composed, tiny, key, advice):
    with pytest.raises(ValueError, match=f'the setting {key} would have no effect: {advice}'):
        composed(tiny() / 'tiny.py', cfg_options={key: 1})


def test_all_names_of_the_written_config_that_mmengine_does_not_read_are_known(composed, tiny):
    cfg = composed(tiny() / 'tiny.py')
    own = set(Config.fromfile(tiny() / 'tiny.py'))
    text = Path(cfg.filename).read_text()
    names = {*re.findall(r'^(\w+) = ', text, re.M)} - own
    read = {'work_dir', 'load_from', 'randomness', 'model', 'optim_wrapper', 'param_scheduler'}
    read |= {'train_dataloader', 'train_cfg', 'default_hooks', 'log_processor', '_base_'}
    assert names - read == {*HELPERS}


def test_options_of_the_users_checkpoints_are_not_inherited(composed, tiny, tmp_path):
    (tmp_path / 'mine.py').write_text(
        f"_base_ = '{tiny() / 'tiny.py'}'\n"
        "hook = dict(type='CheckpointHook', out_dir='elsewhere', save_begin=9, save_last=False)\n"
        'default_hooks = dict(checkpoint=hook)\n'
    )
    checkpoint = composed(tmp_path / 'mine.py').default_hooks.checkpoint
    assert not {'out_dir', 'save_begin', 'save_last', '_delete_'} & {*checkpoint}
    assert checkpoint.max_keep_ckpts == 2


@pytest.mark.parametrize(
    'lines',
    ["train_cfg = dict(type='IterBasedTrainLoop')", 'train_dataloader = None'],
)
def test_a_config_with_a_part_of_a_training_is_refused(composed, tiny, tmp_path, lines):
    cfg = Config.fromfile(tiny() / 'tiny.py')
    for key in ('train_dataloader', 'optim_wrapper', 'train_cfg', 'param_scheduler'):
        cfg.pop(key, None)
    (tmp_path / 'part.py').write_text(f'{cfg.pretty_text}\n{lines}\n')
    with pytest.raises(ValueError, match='must have train_dataloader, as it has'):
        composed(tmp_path / 'part.py')
