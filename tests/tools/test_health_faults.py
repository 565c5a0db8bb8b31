"""Runs that are made to fail, and what the log says of them."""

from pathlib import Path

import pytest

from mmocr_da.engine.health import diagnosis

LOG = """\
2026/01/01 00:00:00 - mmengine - INFO - Health at iteration 0 (8 source; 0.1 s):
  target: 3.0 characters
2026/01/01 00:00:01 - mmengine - INFO - Health at iteration 50 (8 source; 0.1 s):
  target: 3.0 characters
  faults: gate empty, source forgotten
2026/01/01 00:00:01 - mmengine - WARNING - At iteration 50: faults: none of these
2026/01/01 00:00:02 - mmengine - INFO - Health at iteration 100 (8 source; 0.1 s):
  faults: gate empty, negative transfer
"""


@pytest.fixture
def tool(load_tool):
    return load_tool('benchmarks/health_faults')


def test_each_fault_has_a_run(tool):
    """The names are those that a diagnosis gives."""
    source = Path(diagnosis.__file__).read_text('utf-8')
    named = {run.fault for run in tool.RUNS.values() if run.fault}
    assert len(named) == 7 and all(f"'{fault}'" in source for fault in named)


def test_faults_count_from_the_first_report_that_names_them(tool):
    assert tool.faults_of(LOG) == {
        'gate empty': 50,
        'source forgotten': 50,
        'negative transfer': 100,
    }


def test_a_healthy_run_has_none(tool):
    assert tool.faults_of(LOG.partition('  faults')[0]) == {}
    assert '| none' in tool.table({'assda': {}})


def test_runs_start_from_the_source_unless_they_say_so(tool, tmp_path, monkeypatch):
    """What a training gets; settings of a run come after those of all."""
    calls = []
    monkeypatch.setattr(tool.quickstart, 'train', lambda *args: calls.append(args))
    start = tmp_path / 'start.pth'
    for name, run in tool.RUNS.items():
        tool.train(name, start, tmp_path, 0)
        config, folder, seed, load_from, _, settings = calls.pop()
        assert (config, folder, seed) == (run.config, tmp_path / name, 0)
        assert load_from == (start if run.from_start else None)
        assert ('load_from=None' in settings) is (load_from is None)
        unloaded = ('load_from=None',) if load_from is None else ()
        assert settings[-len((*run.options, *unloaded)) or len(settings) :] == (
            *run.options,
            *unloaded,
        )
