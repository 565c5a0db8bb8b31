"""Validation without labels, through a runner: what metrics get, what is kept, what is stopped."""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmocr_da.engine.hooks import label_free_hook
from mmocr_da.engine.hooks.settings_hook import metrics_of
from mmocr_da.evaluation.label_free_metric import OF_OTHERS, SCORES
from mmocr_da.registry import HOOKS

WORDS = ('12', '345', '6', '77', '890', '21')
SELF_TRAINING = dict(type='mmocr_da.SelfTraining', threshold=0.0, decay=0.5)


@pytest.fixture
def build(toy, tmp_path, monkeypatch):
    """A runner of the toy that validates on the target, by scores without labels."""

    def make(scores=SCORES, objectives=(SELF_TRAINING,), ann_file='target.json', **options):
        init_default_scope('mmocr')
        # A runner pretty-prints its config, which takes longer than the rest.
        monkeypatch.setattr('mmengine.config.config.FormatCode', lambda text, **_: (text, True))
        cfg = Config.fromfile(toy)
        cfg.model.objectives = list(objectives or ())
        for key in ('val', 'test'):
            cfg[f'{key}_dataloader'].dataset = dict(
                cfg.target, ann_file=ann_file, pipeline=cfg.test_pipeline
            )
            cfg[f'{key}_evaluator'] = dict(type='mmocr_da.LabelFreeMetric', scores=list(scores))
        cfg.custom_hooks = [dict(type='mmocr_da.LabelFreeHook')]
        cfg.train_cfg.update(max_iters=4, val_interval=1)
        cfg.visualizer.vis_backends = [dict(type='LocalVisBackend')]
        make.count += 1
        cfg.work_dir = str(tmp_path / str(make.count))
        cfg.experiment_name = f'{tmp_path}{make.count}'
        cfg.visualizer.name = cfg.experiment_name
        for key, value in options.items():
            if '.' not in key:
                cfg.pop(key)  # replaced as a whole
        cfg.merge_from_dict(options)
        if objectives is None:
            del cfg.model['objectives']
        return Runner.from_cfg(cfg)

    make.count = 0
    return make


def logged(runner, key):
    """The values of a score, in the order of the validations."""
    file = Path(runner.log_dir) / 'vis_data' / 'scalars.json'
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    return [row[key] for row in rows if key in row]


def test_the_best_checkpoint_of_a_score_is_kept(build):
    best = dict(save_best='label_free/information', rule='greater', max_keep_ckpts=1)
    runner = build(**{'default_hooks.checkpoint': best})
    runner.train()
    values = logged(runner, 'label_free/information')
    assert len(values) == 4 and len({*values}) > 1
    name = f'best_label_free_information_iter_{1 + max(range(4), key=values.__getitem__)}.pth'
    assert (Path(runner.work_dir) / name).is_file()
    for key in SCORES:
        assert all(math.isfinite(value) for value in logged(runner, f'label_free/{key}'))
    # The source that is trained on has told what texts look like.
    assert runner.val_evaluator.metrics[0].texts == list(WORDS)


def test_a_training_is_stopped_by_a_score(build):
    stop = dict(
        type='EarlyStoppingHook',
        monitor='label_free/confidence',
        rule='greater',
        min_delta=2.0,  # a confidence is 1 at most: none is that much better
        patience=2,
    )
    runner = build(scores=['confidence'], custom_hooks=[dict(type='mmocr_da.LabelFreeHook'), stop])
    runner.train()
    assert len(logged(runner, 'label_free/confidence')) == 3


def test_labels_of_the_target_change_nothing(build, toy):
    content = json.loads((toy.parent / 'target.json').read_text())
    for item in content['data_list']:
        item['instances'] = [dict(text='9')]
    (toy.parent / 'changed.json').write_text(json.dumps(content))
    evaluator = dict(type='mmocr_da.LabelFreeMetric', scores=list(SCORES), texts=['12', '3'])
    files = ('target.json', 'changed.json')
    first, second = [build(ann_file=file, val_evaluator=evaluator).val() for file in files]
    assert first == second and len(first) == len(SCORES)


def test_it_changes_no_weight(build):
    weights = []
    for options in ({}, dict(custom_hooks=[], val_evaluator=dict(type='WordMetric'))):
        runner = build(OF_OTHERS, **{'train_cfg.max_iters': 2, **options})
        runner.train()
        weights.append(runner.model.state_dict())
        assert 'predict' not in vars(runner.model.decoder)
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())


@pytest.mark.parametrize('who, other', [('teacher', 'student'), ('student', 'teacher')])
def test_the_counterpart_is_the_other_of_teacher_and_student(build, who, other):
    runner = build(['teacher_agreement'], [dict(SELF_TRAINING, predict_with=who)])
    model = runner.model.eval()
    objective = next(iter(model.objectives.values()))
    model.init_weights()
    # Each always predicts a character of its own.
    for decoder, best in ((model.decoder, 3), (objective.teacher.decoder, 4)):
        torch.nn.init.zeros_(decoder.fc.weight)
        decoder.fc.bias.data.fill_(0)[best] = 9.0
    hook = next(h for h in runner.hooks if type(h).__name__ == 'LabelFreeHook')
    runner._test_loop = runner.build_test_loop(runner._test_loop)
    hook.before_test_epoch(runner)
    batch = next(iter(runner.build_dataloader(runner._test_dataloader)))
    hook.before_test_iter(runner, 0, batch)
    texts = dict(student='3' * 8, teacher='4' * 8)
    assert {s.pred_text_counterpart.item for s in batch['data_samples']} == {texts[other]}
    assert {s.pred_text.item for s in model.test_step(batch)} == {texts[who]}
    assert objective.predict_with == who
    hook.after_test_epoch(runner)


def test_a_plain_recognizer_has_scores_too(build):
    names = [name for name in SCORES if name != 'teacher_agreement']
    evaluator = dict(type='mmocr_da.LabelFreeMetric', scores=names, texts=['12'])
    plain = {'model.type': 'EncoderDecoderRecognizer'}
    runner = build(names, None, test_evaluator=evaluator, **plain)
    assert type(runner.model).__name__ == 'EncoderDecoderRecognizer'
    found = runner.test()
    assert all(math.isfinite(found[f'label_free/{name}']) for name in names)


def test_dev_is_computed_from_both_domains(build, toy):
    cfg = Config.fromfile(toy)
    runner = build(
        ['confidence'],
        val_dataloader=cfg.val_dataloader,
        val_evaluator=[dict(type='mmocr_da.DEVMetric'), dict(type='mmocr_da.LabelFreeMetric')],
    )
    assert runner.val()['label_free/dev'] == pytest.approx(0)  # all predictions are wrong


def test_a_score_of_a_teacher_needs_one(build):
    runner = build(['teacher_agreement'], [])
    with pytest.raises(ValueError, match="'teacher_agreement' needs a recognizer with a teacher"):
        runner.val()


def test_texts_need_a_source_or_a_file(build):
    runner = build(['characters'])
    with pytest.raises(ValueError, match='needs texts for characters and lengths, got none'):
        runner.test()  # nothing is trained


def test_without_a_metric_it_has_no_effect_which_is_said(build, monkeypatch):
    told = []
    monkeypatch.setattr(label_free_hook, 'warn_unused', lambda *texts: told.append(texts))
    runner = build(val_evaluator=dict(type='mmocr_da.TextErrorMetric'))
    runner.val()
    assert [text[0] for text in told] == ['LabelFreeHook']


def test_another_model_is_refused():
    hook = HOOKS.build(dict(type='mmocr_da.LabelFreeHook'))
    loop = SimpleNamespace(evaluator=SimpleNamespace(metrics=[]))
    with pytest.raises(ValueError, match='needs a recognizer of MMOCR .* got a Linear'):
        hook.before_val_epoch(SimpleNamespace(model=torch.nn.Linear(1, 1), val_loop=loop))


def test_a_key_of_the_metric_may_be_watched(build):
    runner = build(['snd'])
    assert metrics_of(runner.build_evaluator(runner._val_evaluator)) == {
        'label_free/snd': 'greater'
    }
    wrong = dict(save_best='label_free/certainty', rule='greater')
    runner = build(['snd'], **{'default_hooks.checkpoint': wrong})
    with pytest.raises(ValueError, match='it gives label_free/snd'):
        runner.train()


def test_images_without_a_path_have_a_perturbation_of_their_own():
    seeds = {label_free_hook._seed(SimpleNamespace(get=lambda _, d: d), i) for i in range(5)}
    assert len(seeds) == 5
