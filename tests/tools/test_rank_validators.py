"""A study of scores on finished trainings: lines, ranking, and labels only for the oracle."""

import json
import os
import shutil

import pytest
from mmengine.config import Config


@pytest.fixture
def tool(load_tool):
    return load_tool('analysis_tools/rank_validators')


@pytest.fixture
def study(run_tool, trained, tmp_path, capsys):
    def run(*options, runs=(trained,)):
        run_tool('analysis_tools/rank_validators', *runs, '--out-dir', tmp_path / 'out', *options)
        lines = (tmp_path / 'out' / 'scores.jsonl').read_text().splitlines()
        return [json.loads(line) for line in lines if line.endswith('}')]

    return run


def test_every_checkpoint_has_a_line_and_every_score_a_rank(study, trained, tmp_path, capsys):
    lines = study()
    out = capsys.readouterr().out
    assert 'ORACLE: labels of the target are used' in out
    assert [line['iteration'] for line in lines] == [1, 2]
    names = {
        *('certainty', 'information', 'snd', 'nuclear_norm', 'confidence'),
        *('characters', 'lengths', 'agreement', 'dev', 'source_accuracy'),
    }
    assert all(line['scores'].keys() == names for line in lines)  # the toy has no teacher
    assert all(0 <= line['oracle'] <= 1 for line in lines)
    page = (tmp_path / 'out' / 'ranking.md').read_text()
    assert page.strip() in out
    assert all(f'| `{name}`' in page for name in names | {'last'})
    assert '2 checkpoints of 1 runs' in page
    # Nothing is computed again, and a line that was cut off is.
    file = tmp_path / 'out' / 'scores.jsonl'
    content = file.read_text()
    assert study() == lines and file.read_text() == content
    file.write_text(content[:-30])
    again = study()
    assert again[:1] == lines[:1] and again[-1] == lines[1]


def test_labels_of_the_target_judge_and_choose_nothing(study, toy, tmp_path):
    lines = study('--images', '5')
    content = json.loads((toy.parent / 'target.json').read_text())
    for item in content['data_list']:
        item['instances'] = [dict(text='0' * 7)]
    (tmp_path / 'changed.json').write_text(json.dumps(content))
    cfg = Config.fromfile(toy)
    cfg.test_dataloader.dataset.datasets[1].ann_file = str(tmp_path / 'changed.json')
    cfg.dump(tmp_path / 'changed.py')
    data = ('--images', '5', '--data', tmp_path / 'changed.py')
    others = study(*data)[len(lines) :]
    assert [line['scores'] for line in others] == [line['scores'] for line in lines]


def test_a_run_without_the_labels_of_its_source_has_no_scores_of_texts(tool, trained):
    cfg = tool.config_of(trained)
    cfg.train_dataloader.dataset.source.ann_file = 'gone.json'
    assert tool.source_texts(cfg) == []
    cfg = tool.test_config(cfg, None, 9, None)
    scores = cfg.test_evaluator.metrics[0].scores
    assert not {'characters', 'lengths'} & {*scores} and 'agreement' in scores


def test_a_teacher_is_a_score(tool, trained):
    cfg = tool.config_of(trained)
    cfg.model.objectives = [dict(type='mmocr_da.SelfTraining')]
    metric = tool.test_config(cfg, None, 9, 'words.txt').test_evaluator.metrics[0]
    assert 'teacher_agreement' in metric.scores and 'characters' in metric.scores


def test_a_single_dataset_is_the_target(tool, trained):
    cfg = tool.config_of(trained)
    cfg.test_dataloader.dataset = dict(cfg.target, pipeline=cfg.test_pipeline)
    cfg = tool.test_config(cfg, 3, 9, None)
    assert cfg.test_evaluator.dataset_prefixes == ['target']
    assert [m.type for m in cfg.test_evaluator.metrics] == [
        'mmocr_da.LabelFreeMetric',
        'mmocr_da.TextErrorMetric',
    ]
    assert cfg.test_dataloader.dataset.datasets[0].indices == 3


def test_what_is_no_run_is_refused(tool, trained, tmp_path):
    with pytest.raises(ValueError, match='the one config that its training dumped, got .* nothing'):
        tool.config_of(tmp_path)
    with pytest.raises(ValueError, match='must hold checkpoints'):
        tool.checkpoints_of(tmp_path)
    for name in ('iter_30.pth', 'iter_4.pth', 'best_recog_iter_4.pth'):
        shutil.copy(trained / 'iter_1.pth', tmp_path / name)
    assert [i for i, _ in tool.checkpoints_of(tmp_path)] == [4, 30]
    cfg = tool.config_of(trained)
    cfg.test_evaluator = dict(type='WordMetric')
    with pytest.raises(ValueError, match='must have a test_evaluator with'):
        tool.test_config(cfg, None, 9, None)


def test_a_checkpoint_that_a_later_training_wrote_is_scored_again(study, trained, tmp_path):
    lines = study()
    file = trained / 'iter_1.pth'
    status = file.stat()
    os.utime(file, (status.st_atime, status.st_mtime + 10))
    try:
        again = study()
    finally:
        os.utime(file, (status.st_atime, status.st_mtime))
    assert len(again) == len(lines) + 1 and again[-1]['iteration'] == 1
    assert '2 checkpoints of 1 runs' in (tmp_path / 'out' / 'ranking.md').read_text()
