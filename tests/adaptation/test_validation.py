"""The validation of an adaptation: a score of target images, of which no label is known."""

import copy

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from mmocr_da.adaptation import Request, validation
from mmocr_da.adaptation.compose import compose, output_name
from mmocr_da.adaptation.recognizers import read_recognizer
from mmocr_da.registry import METRICS


@pytest.fixture
def composed(tiny, tmp_path):
    def make(keep, decoder='attention', config=None, source=('rendered',)):
        root = tiny(decoder)
        config = str(config or root / 'tiny.py')
        request = Request(
            config, 'start.pth', (str(root / 'target'),), source, max_iters=50, keep=keep
        )
        recognizer = read_recognizer(config)
        file = tmp_path / f'{output_name(recognizer)}.py'
        file.write_text(compose(request, recognizer, 8).text)
        return Config.fromfile(file)

    return make


@pytest.mark.parametrize('decoder', ['attention', 'ctc'])
def test_a_score_is_computed_on_target_images_and_its_best_checkpoint_kept(composed, decoder):
    cfg = composed('information', decoder)
    checkpoint = cfg.default_hooks.checkpoint
    assert (checkpoint.save_best, checkpoint.rule) == ('label_free/information', 'greater')
    assert cfg.train_cfg.val_interval == checkpoint.interval == 5
    assert [hook.type for hook in cfg.custom_hooks] == ['mmocr_da.LabelFreeHook']
    # A number has no letter case, and the recognizer knows no symbols.
    options = dict(ignore_case=True, ignore_symbols=True)
    metric = dict(type='mmocr_da.LabelFreeMetric', scores=['information'], **options)
    assert cfg.val_evaluator == metric
    METRICS.build(copy.deepcopy(cfg.val_evaluator))
    cfg.val_dataloader.update(num_workers=0, persistent_workers=False)
    batches = list(Runner.build_dataloader(cfg.val_dataloader))
    samples = [sample for batch in batches for sample in batch['data_samples']]
    assert len(samples) == 12 and all('/target/' in sample.img_path for sample in samples)
    assert all(sample.gt_text.item == '' for sample in samples)
    assert {tuple(x.shape) for batch in batches for x in batch['inputs']} == {(1, 16, 32)}


def test_the_last_checkpoint_needs_no_validation(composed):
    cfg = composed('last')
    assert cfg.val_cfg is cfg.val_dataloader is cfg.val_evaluator is None
    assert 'save_best' not in cfg.default_hooks.checkpoint
    assert 'LabelFree' not in cfg.pretty_text


def test_of_many_images_some_are_taken_evenly(composed, monkeypatch):
    monkeypatch.setattr(validation, 'VALIDATED', 5)
    dataset = composed('snd').val_dataloader.dataset
    assert dataset.indices == [0, 3, 6, 9]


def test_other_hooks_stay(composed, tiny, tmp_path):
    (tmp_path / 'hooked.py').write_text(
        f"_base_ = '{tiny() / 'tiny.py'}'\n"
        "custom_hooks = [dict(type='EarlyStoppingHook', monitor='toy/recog/word_acc'),\n"
        "                dict(type='SyncBuffersHook')]\n"
    )
    cfg = composed('snd', config=tmp_path / 'hooked.py', source=('none',))
    types = [hook.type for hook in cfg.custom_hooks]
    assert types == ['SyncBuffersHook', 'mmocr_da.AdaBNHook', 'mmocr_da.LabelFreeHook']


def test_a_config_without_a_validation_gets_one(composed, tiny, tmp_path):
    cfg = Config.fromfile(tiny() / 'tiny.py')
    for key in [*cfg]:
        if key.startswith('val_'):
            cfg.pop(key)
    cfg.dump(tmp_path / 'without.py')
    found = composed('snd', config=tmp_path / 'without.py')
    assert '_delete_' not in found.pretty_text.split('val_dataloader')[1]
    assert found.val_cfg.type == 'ValLoop'
    METRICS.build(copy.deepcopy(found.val_evaluator))


@pytest.mark.parametrize('keep', ['characters', 'lengths'])
def test_scores_of_texts_need_a_source(keep):
    with pytest.raises(ValueError, match='compares predictions with labels of a source'):
        Request('a.py', 'a.pth', ('images',), ('none',), keep=keep)
    assert Request('a.py', 'a.pth', ('images',), keep=keep).keep == keep


def test_what_is_no_score_is_refused():
    with pytest.raises(ValueError, match='keep must be one of last, certainty, .*, got .best'):
        Request('a.py', 'a.pth', ('images',), keep='best')
