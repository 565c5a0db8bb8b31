"""The table of decoding speed; the tool itself on one decoder, its promise marked slow."""

import re
from pathlib import Path

import pytest
import torch

TOOLS = Path(__file__).parents[2] / 'tools/benchmarks'


@pytest.fixture
def tool(load_tool, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(TOOLS))
    module = load_tool('benchmarks/decoding_speed')

    def run(*arguments):
        monkeypatch.setattr('sys.argv', ['decoding_speed.py', *arguments])
        module.main()
        return capsys.readouterr().out

    run.module = module
    return run


def ratios(out, name):
    """Milliseconds of the pass with labels, and what the others take relative to it."""
    row = re.search(rf'\| {re.escape(name)} +\| (\d+) ms +\|([^\n]*)\|', out)
    return int(row[1]), *map(float, row[2].split('|'))


def test_it_prints_a_row_per_decoder(tool):
    # With one repeat, a pass that is interrupted makes the others 0.0 of it.
    out = tool('--only', 'ASTER', '--batch-size', '1', '--repeats', '5', '--length', '6')
    labels, mmocr, *ours = ratios(out, 'ASTER')
    assert labels > 0 and mmocr > 0 and min(ours) > 0
    assert '1 images' in out and '6 characters' in out and 'SATRN' not in out


def test_loops_take_the_steps_that_they_are_to_take(tool):
    with torch.no_grad():
        calls = tool.module.passes('SATRN, small', 1, 6)
        steps = {name: call().shape[:2] for name, call in calls.items()}
    assert steps == dict(forced=(1, 25), mmocr=(1, 25), ours=(1, 25), words=(1, 7))


@pytest.mark.slow
@pytest.mark.parametrize('name', ['NRTR', 'SATRN', 'MASTER', 'SAR, parallel'])
def test_a_free_pass_costs_at_most_four_passes_with_labels(tool, name):
    out = tool('--only', name, '--repeats', '3')
    _, _, all_steps, words = ratios(out, name)
    assert words <= all_steps <= 4, out
