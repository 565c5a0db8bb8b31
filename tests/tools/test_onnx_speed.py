"""The table of the speed of ONNX files, on one recognizer."""

import re
from pathlib import Path

import pytest

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')


def test_it_prints_a_row_per_recognizer(load_tool, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / 'tools/benchmarks'))
    tool = load_tool('benchmarks/onnx_speed')
    monkeypatch.setitem(tool.RECOGNIZERS, 'CRNN', ('crnn/crnn_mini-vgg_5e_mj', (32, 64)))
    monkeypatch.setattr('sys.argv', ['onnx_speed.py', '--only', 'CRNN', '--repeats', '2'])
    tool.main()
    out = capsys.readouterr().out
    assert 'one thread' in out and 'onnxruntime' in out and 'batches of 1' in out
    milliseconds, *ratios = re.search(r'\| CRNN +\| (\S+) ms +\|([^\n]*)\|', out).groups()
    assert float(milliseconds) > 0
    assert all(float(x) > 0 for x in ratios[0].split('|'))
    assert 'SVTR' not in out
