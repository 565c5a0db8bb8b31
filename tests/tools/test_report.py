import json

import pytest
from helpers.pages import parsed


@pytest.fixture
def work_dir(tmp_path):
    def make(name):
        folder = tmp_path / name / '20260101_000000/vis_data'
        folder.mkdir(parents=True)
        (folder / 'scalars.json').write_text(json.dumps(dict(loss=1.0, lr=0.1, step=20)))
        (folder / 'config.py').write_text("model = dict(type='X')\n")
        return tmp_path / name

    return make


def test_one_run_has_a_page_in_its_folder(run_tool, work_dir, capsys):
    folder = work_dir('run')
    run_tool('report', folder, '--num-images', 0)
    assert 'Curves of the training' in parsed(folder / 'report.html').text
    printed = capsys.readouterr().out
    assert '# Training run' in printed and f'This page: {folder}/report.html' in printed


def test_several_runs_are_compared(run_tool, work_dir, tmp_path, capsys):
    run_tool('report', work_dir('a'), work_dir('b'), '--out', tmp_path / 'x.html')
    assert 'Comparison of 2 trainings' in parsed(tmp_path / 'x.html').text
    assert '| `a` | 20' in capsys.readouterr().out


def test_a_file_of_the_user_stays(run_tool, work_dir):
    folder = work_dir('run')
    (folder / 'report.html').write_text('mine')
    with pytest.raises(ValueError, match='was not written by tools/report.py'):
        run_tool('report', folder)
    assert (folder / 'report.html').read_text() == 'mine'
