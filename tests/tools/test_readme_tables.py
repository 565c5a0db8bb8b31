"""Tables of results in the READMEs are those of the lines that are kept."""

import json
import re

import numpy as np
import pytest
from helpers.tools import load_tool


@pytest.fixture(scope='module')
def tool():
    return load_tool('benchmarks/readme_tables')


def test_every_table_is_that_of_its_lines(tool):
    """Rows of other settings than today's are none."""
    files = tool.readmes()
    assert {file.parent.name for file in files} >= {'self_training', 'detection'}
    for file in files:
        text = file.read_text(encoding='utf-8')
        assert tool.rendered(text) == text, f'run tools/benchmarks/readme_tables.py: {file}'


@pytest.mark.parametrize(
    'kind, name', [('recognizers', 'adaptation'), ('detectors', 'detector_adaptation')]
)
def test_every_pair_that_is_complete_has_a_table(tool, kind, name):
    lines = map(json.loads, (tool.RESULTS / f'{name}.jsonl').read_text().splitlines())
    seeds = {}
    for line in lines:
        if line['row'] == 'control':
            seeds.setdefault(line['pair'], set()).add(line['seed'])
    complete = {pair for pair, found in seeds.items() if found >= {*tool.SEEDS}}
    texts = '\n'.join(file.read_text(encoding='utf-8') for file in tool.readmes())
    assert complete == {*re.findall(rf'<!-- table: {kind} (\S+) -->', texts)}


def test_a_changed_number_is_found_and_mended(tool, tmp_path, monkeypatch, capsys):
    page = tmp_path / 'README.md'
    right = '# A\n\n<!-- table: toy x -->\n\n| a |\n\n<!-- end of table -->\n\nend\n'
    page.write_text(right.replace('| a |', '| b |'))
    monkeypatch.setattr(tool, 'ROOT', tmp_path)
    monkeypatch.setitem(tool.TABLES, 'toy', lambda argument: f'| {dict(x="a")[argument]} |')
    monkeypatch.setattr('sys.argv', ['readme_tables.py', '--check'])
    with pytest.raises(SystemExit, match='not the tables of the lines in results: README.md'):
        tool.main()
    monkeypatch.setattr('sys.argv', ['readme_tables.py'])
    tool.main()
    assert page.read_text() == right
    tool.main()
    assert 'all tables are those' in capsys.readouterr().out
    with pytest.raises(ValueError, match='must name one of recognizers.*, got other'):
        tool.rendered(right.replace('toy', 'other'))


def test_the_front_page_names_a_row_that_is_missing(tool, monkeypatch):
    monkeypatch.setattr(tool, 'known_of_recognizers', lambda name: dict(control={}, GA={}))
    with pytest.raises(ValueError, match=r"\['self-training .*', 'supervised'\] of .*'n'.*, GA$"):
        tool.front('n')


def test_a_table_of_methods_has_the_rows_that_are_asked_for(tool, tmp_path, monkeypatch):
    adaptation, methods = tool.adaptation, tool.methods_benchmark
    monkeypatch.setattr(tool, 'RESULTS', tmp_path)
    results = adaptation.Results(tmp_path / 'methods.jsonl')
    benchmark = methods.MethodBenchmark(tmp_path, results, tool.SEEDS, 1)
    pair = adaptation.Pair('numbers')
    for row in ('source-only', 'control', 'GA', 'LA', 'SymNet', 'supervised'):
        for seed in tool.SEEDS[: 2 if row == 'SymNet' else 3]:
            score = adaptation.Score(np.array([1.0, seed == 0]), 1, 4)
            results.add(dict(source=score, target=score), **benchmark.described(pair, row, seed))
    table = tool.methods('numbers; LA')
    names = re.findall(r'^\| (\S.*?) +\|', table, re.M)[1:]
    assert names == ['source-only', 'control', 'LA', 'supervised']
    with pytest.raises(ValueError, match=r"lines of \['SymNet'\] with all seeds, got .*GA, LA"):
        tool.methods('numbers; LA; SymNet')


def test_the_table_of_a_set_of_words_has_the_rows_of_all_seeds(tool, tmp_path, monkeypatch):
    score = tool.edit_distance_losses.Score
    monkeypatch.setattr(tool, 'RESULTS', tmp_path)
    file = tmp_path / 'edit_distance_losses.jsonl'
    edits = {'before tuning': 4, 'cross-entropy': 3, 'LS-ED': 1, 'minimum risk': 1}
    lines = [
        dict(pair='a+b', row=row, seed=seed, domain=domain, fingerprint='f')
        | score(np.array([n, 0, 0]), np.array([5, 2, 3])).written()
        for row, n in edits.items()
        for seed in (0, 1, 2)
        for domain in 'ab'
        if (row, seed) != ('minimum risk', 2)
    ]
    file.write_text(''.join(f'{json.dumps(line)}\n' for line in lines))
    rows = [[cell.strip() for cell in row.split('|')[1:4]] for row in tool.tuning('a').split('\n')]
    assert rows[2:4] == [['before tuning', '4 ± 0', ''], ['cross-entropy', '3 ± 0', '']]
    name, ted, difference = rows[4]
    assert (name, ted, len(rows)) == ('LS-ED', '1 ± 0', 5) and difference.startswith('-2 (')
    with file.open('a') as out:
        out.write(json.dumps(dict(lines[0], fingerprint='g')))
    with pytest.raises(
        ValueError, match="got several of 'before tuning', seed 0, 'a': take the old"
    ):
        tool.tuning('a')
