"""The check of a GPU, at toy size on a CPU."""

import json
from pathlib import Path
from unittest.mock import patch

import pytest
import torch

TOOLS = Path(__file__).parents[2] / 'tools/benchmarks'


@pytest.fixture
def run(load_tool, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    module = load_tool('benchmarks/gpu_check')

    def run(*arguments, **replaced):
        out = tmp_path / 'check.json'
        for name, value in replaced.items():
            monkeypatch.setattr(module, name, value)
        with patch('sys.argv', ['gpu_check.py', str(out), *arguments]):
            module.main()
        return json.loads(out.read_text())

    return run


def test_all_kinds_of_cases(run):
    found = run('--only', 'supervised', 'BIN', 'LS-IoU')
    assert not found['is_gpu'] and 'No GPU was found' in found['note'] and found['failed'] == 0
    assert found['boxes']['nms_is_the_same'] and found['boxes']['overlaps_differ_by'] == 0
    assert len(found['norms']) == 6 and all(row['ratio'] > 0 for row in found['norms'])
    components = found['components']
    assert list(components['LS-IoU']) == ['surrogate step', 'model step']
    for turns in components.values():
        for row in turns.values():
            assert row['parity']['largest_relative_difference'] == 0
            for precision in ('float32', 'float16', 'bfloat16'):
                assert row[precision]['finite'] and row[precision]['seconds'] > 0
            assert row['float32']['against_float32'] == 1
    bin_, plain = (components[name]['step']['float32'] for name in ('BIN', 'supervised'))
    assert bin_['against_baseline'] == bin_['seconds'] / plain['seconds']


def test_a_case_that_fails_is_an_entry_and_the_others_go_on(run):
    def broken(*_):
        raise RuntimeError('no such kernel')

    found = run('--only', 'supervised', take_steps=broken, boxes=broken)
    assert found['failed'] == 4
    assert found['boxes']['error'] == 'RuntimeError: no such kernel'
    row = found['components']['supervised']['step']
    assert 'test_gpu_check.py' in row['float16']['where']
    assert row['parity']['largest_relative_difference'] == 0


def test_no_case_starts_when_the_time_is_over(run):
    found = run('--only', 'supervised', 'BIN', '--minutes', '0')
    assert all(
        'no time was left' in case['skipped']
        for case in (*found['norms'], found['boxes'], *found['components'].values())
    )


def test_only_its_own_file_is_replaced(run, tmp_path):
    for _ in range(2):
        run('--only', 'BIN', '--minutes', '0')
    (tmp_path / 'check.json').write_text('mine')
    with pytest.raises(ValueError, match='exists and was not written by gpu_check.py'):
        run()
    assert (tmp_path / 'check.json').read_text() == 'mine'
