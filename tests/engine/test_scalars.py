"""Scalars of runs: by name and step, also of resumed runs and of several seeds."""

import pytest
from helpers.scalars import write_scalars

from mmocr_da.engine.scalars import mean_scalars, read_scalars


@pytest.fixture
def run(tmp_path):
    return lambda *rows, name='run', **options: write_scalars(tmp_path / name, *rows, **options)


def test_scalars_are_read_by_name_and_step(run):
    read = read_scalars(run(dict(loss=2.0, lr=1, step=10), {'recog/cer': 0.5, 'step': 20}))
    assert read['loss'] == {10: 2.0} and read['recog/cer'] == {20: 0.5}


def test_a_resumed_run_replaces_what_came_after_its_first_step(run):
    run(*(dict(loss=1.0, step=s) for s in (10, 20, 30, 40)))
    work_dir = run(*(dict(loss=2.0, step=s) for s in (25, 35)), start='20260102_000000')
    assert read_scalars(work_dir)['loss'] == {10: 1.0, 20: 1.0, 25: 2.0, 35: 2.0}


def test_a_validation_alone_replaces_nothing(run):
    run(*(dict(loss=1.0, step=s) for s in (10, 20)))
    work_dir = run({'recog/cer': 0.5, 'step': 0}, start='20260102_000000')
    assert read_scalars(work_dir)['loss'] == {10: 1.0, 20: 1.0}


def test_a_line_that_is_only_half_written_is_skipped(run):
    work_dir = run(dict(loss=1.0, step=10), tail='\n{"loss": 0.5, "st')
    assert read_scalars(work_dir)['loss'] == {10: 1.0}


def test_one_file_is_read_alone(run):
    run(dict(loss=1.0, step=10))
    work_dir = run(dict(loss=2.0, step=20), start='20260102_000000')
    file = f'{work_dir}/20260102_000000/vis_data/scalars.json'
    assert read_scalars(file)['loss'] == {20: 2.0}


def test_a_folder_without_scalars_is_an_error(tmp_path):
    with pytest.raises(ValueError, match='a work directory with .*/vis_data/scalars.json, got'):
        read_scalars(str(tmp_path))


def test_a_mean_is_over_the_steps_and_names_that_all_runs_have(run):
    seeds = [
        run(dict(loss=x, step=1), dict(loss=3 * x, only_here=1, step=2), *more, name=str(x))
        for x, more in ((1.0, []), (2.0, [dict(loss=9.0, step=3)]))
    ]
    assert mean_scalars(seeds)['loss'] == {1: 1.5, 2: 4.5}
    assert mean_scalars([seeds[0], run(dict(loss=2.0, step=1))]) == {
        'loss': {1: 1.5},
        'step': {1: 1},
    }
