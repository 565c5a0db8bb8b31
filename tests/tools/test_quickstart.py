from pathlib import Path

import pytest


@pytest.fixture
def quickstart(load_tool, monkeypatch):
    module = load_tool('quickstart')
    # It sets variables of its process, which must not stay for other tests.
    monkeypatch.setenv('MMOCR_DA_DATA', 'numbers')
    monkeypatch.setenv('PYTHONWARNINGS', 'ignore')
    module.commands = []
    monkeypatch.setattr(module, 'run', lambda *c, **_: module.commands.append([str(x) for x in c]))
    return module


def finished(work_dir, checkpoint):
    work_dir.mkdir(exist_ok=True)
    (work_dir / 'last_checkpoint').write_text(f'/some/other/machine/{checkpoint}')


def test_table_is_in_percent_with_the_target_first(quickstart):
    values = {
        f'{d}/recog/{k}': v
        for d, k, v in [
            ('target', 'wer', 0.8),
            ('target', 'cer', 0.314),
            ('target', 'word_acc', 0.2),
            ('source', 'wer', 0.07),
            ('source', 'cer', 0.0151),
            ('source', 'word_acc', 0.93),
        ]
    }
    lines = quickstart.table({'source-only': values}).splitlines()
    cells = [c.strip() for c in lines[2].strip('|').split('|')]
    assert cells == ['source-only', '80.0', '31.4', '20.0', '7.0', '1.5', '93.0']
    assert lines[0].index('target WER') < lines[0].index('source WER')
    assert len({len(line) for line in lines}) == 1


def test_a_finished_step_is_skipped_and_an_unfinished_one_resumes(quickstart, tmp_path):
    finished(tmp_path / 'a', 'iter_400.pth')
    source = quickstart.train('small', tmp_path / 'a', 3)
    assert source == tmp_path / 'a' / 'iter_400.pth'
    (command,) = quickstart.commands
    assert '--resume' in command and command[command.index('--seed') + 1] == '3'
    assert quickstart.train('small', tmp_path / 'a', 3) == source
    assert len(quickstart.commands) == 1


def test_a_step_of_another_seed_or_another_start_is_not_taken_for_this_one(quickstart, tmp_path):
    finished(tmp_path / 'a', 'iter_400.pth')
    quickstart.train('small', tmp_path / 'a', 0)
    with pytest.raises(SystemExit, match='holds another run'):
        quickstart.train('small', tmp_path / 'a', 1)
    start = tmp_path / 'start.pth'
    start.touch()
    with pytest.raises(SystemExit, match='holds another run'):
        quickstart.train('small', tmp_path / 'a', 0, start)


def test_a_step_of_other_settings_is_not_taken_for_this_one(quickstart, tmp_path):
    finished(tmp_path / 'a', 'iter_400.pth')
    quickstart.train('small', tmp_path / 'a', 0, fingerprint='1')
    with pytest.raises(SystemExit, match='holds another run'):
        quickstart.train('small', tmp_path / 'a', 0, fingerprint='2')
    # Nor is one that was killed.
    (tmp_path / 'a' / 'finished').unlink()
    with pytest.raises(SystemExit, match='holds another run'):
        quickstart.train('small', tmp_path / 'a', 0, fingerprint='2')
    assert len(quickstart.commands) == 1
    quickstart.train('small', tmp_path / 'a', 0, fingerprint='1')
    assert len(quickstart.commands) == 2


def test_adaptation_starts_from_the_checkpoint_of_this_run(quickstart, tmp_path):
    for name, checkpoint in (('a', 'iter_400.pth'), ('b', 'iter_8.pth'), ('c', 'iter_8.pth')):
        finished(tmp_path / name, checkpoint)
        (tmp_path / name / checkpoint).touch()
    quickstart.train('small', tmp_path / 'b', 0, tmp_path / 'a' / 'iter_400.pth')
    assert quickstart.commands[0][-1] == f'load_from={tmp_path}/a/iter_400.pth'
    quickstart.train('small', tmp_path / 'c', 0, settings=['val_cfg=None'])
    assert quickstart.commands[1][-2:] == ['--cfg-options', 'val_cfg=None']


def test_results_are_read_from_the_last_evaluation(quickstart, tmp_path):
    for stamp, value in (('20260101_000000', 1), ('20260102_000000', 2)):
        folder = tmp_path / 'test' / stamp
        folder.mkdir(parents=True)
        (folder / f'{stamp}.json').write_text(f'{{"target/recog/wer": {value}}}')
    quickstart.test('small', tmp_path / 'x.pth', tmp_path)  # of an earlier version
    (command,) = quickstart.commands
    assert command[0] == 'tools/test.py' and '--save-preds' in command
    quickstart.predictions_of(tmp_path / 'x.pth', tmp_path).touch()
    assert quickstart.test('small', tmp_path / 'x.pth', tmp_path) == {'target/recog/wer': 2}
    assert len(quickstart.commands) == 1


def test_the_first_and_the_last_recognizer_are_compared_on_the_target(quickstart, tmp_path):
    from argparse import Namespace

    runs = {
        name: quickstart.Run(
            tmp_path / name, tmp_path / name / 'training', name, tmp_path / f'{name}.pth'
        )
        for name in ('source', 'control', 'adapted')
    }
    quickstart.draw(Namespace(work_dir=tmp_path, num_images=2), runs)
    curves, sheet, (tool, before, after, *options) = quickstart.commands
    assert curves[1:4] == [str(tmp_path / name / 'training') for name in runs]
    assert [sheet[i + 1] for i, part in enumerate(sheet) if part == '--model'] == [
        'source',
        'adapted',
    ]
    assert tool.endswith('compare_predictions.py') and options[:2] == ['--only', 'target/']
    assert before == str(tmp_path / 'source/test/source.pth_predictions.pkl')
    assert after == str(tmp_path / 'adapted/test/adapted.pth_predictions.pkl')


def test_every_config_it_names_exists(quickstart):
    for config in (*quickstart.RECIPE.values(), *quickstart.METHOD_CONFIGS.values()):
        assert (quickstart.ROOT / quickstart.config_file(config)).is_file()


@pytest.fixture
def steps(quickstart, monkeypatch):
    """The steps of a whole run, which trains nothing."""
    done = []

    def train(config, folder, seed, load_from=None, environment=None):
        done.append(('train', config, folder, seed, load_from))
        return folder / 'iter_8.pth'

    def test(config, checkpoint, folder, environment=None):
        done.append(('test', config, checkpoint))
        return {
            f'{d}/recog/{k}': 0.5 for d in ('target', 'source') for k in ('wer', 'cer', 'word_acc')
        }

    monkeypatch.setattr(quickstart, 'train', train)
    monkeypatch.setattr(quickstart, 'test', test)
    monkeypatch.setattr(quickstart.os, 'chdir', lambda path: None)
    return done


def test_the_default_adapts_the_source_only_recognizer_in_one_command(
    quickstart, steps, tmp_path, monkeypatch
):
    monkeypatch.setattr('sys.argv', ['quickstart.py', '--work-dir', str(tmp_path), '--seed', '3'])
    quickstart.main()
    source = tmp_path / 'small_augmented-source-only_numbers/iter_8.pth'
    assert [step[-1] for step in steps if step[0] == 'train'] == [None, source]
    adapted = next(c for c in quickstart.commands if c[0] == 'tools/adapt.py')
    assert adapted[1].endswith('small_augmented-source-only.py') and adapted[2] == str(source)
    assert adapted[adapted.index('--seed') + 1] == '3'
    # What is tested is what a user gets: the exported recognizer.
    exported = str(tmp_path / 'adapted_numbers/exported/small_augmented-source-only_adapted')
    assert steps[-1] == ('test', quickstart.RECIPE['source-only'], Path(f'{exported}.pth'))
    sheet = next(c for c in quickstart.commands if c[0].endswith('prediction_sheet.py'))
    assert sheet[-6:-4] == [f'{exported}.py', f'{exported}.pth']
    report = (tmp_path / 'quickstart.md').read_text()
    assert [line.split('|')[1].strip() for line in report.splitlines()[2:]] == [
        'source-only',
        'source-only, same length',
        'adapted',
    ]


def test_named_configs_start_from_the_source_only_recognizer_of_their_method(
    quickstart, steps, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        'sys.argv',
        [
            'quickstart.py',
            '--work-dir',
            str(tmp_path),
            '--no-control',
            '--config',
            'small/small_ga',
        ],
    )
    quickstart.main()
    assert not any(c[0] == 'tools/adapt.py' for c in quickstart.commands)
    trained = [step for step in steps if step[0] == 'train']
    assert [step[1] for step in trained] == [
        'assda/small/small_source-only',
        'assda/small/small_ga',
    ]
    assert trained[1][-1] == tmp_path / 'small_source-only_numbers/iter_8.pth'


def test_pictures_of_the_user_stay_and_stop_it_at_the_start(quickstart, tmp_path, monkeypatch):
    monkeypatch.setattr(quickstart.os, 'chdir', lambda path: None)
    (tmp_path / 'comparison').mkdir()
    for name in ('quickstart.md', 'curves.png', 'predictions.png', 'comparison/adaptation.html'):
        (tmp_path / name).write_text('mine')
        monkeypatch.setattr('sys.argv', ['quickstart.py', '--work-dir', str(tmp_path)])
        with pytest.raises(ValueError, match=f'{name} exists and was not written by'):
            quickstart.main()
        assert quickstart.commands == []
        (tmp_path / name).unlink()
