import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import torch

from mmocr_da.models.layers.batch_instance_norm import BatchInstanceNorm2d

MIB = 2**20


@pytest.fixture(scope='module')
def norm_cost(load_tool):
    return load_tool('benchmarks/norm_cost')


def run(module, *arguments):
    with patch('sys.argv', ['norm_cost.py', '--device', 'cpu', *arguments]):
        module.main()


def cells(text):
    """``{(shape, dtype, layer): [ms, ratio, MiB, ratio]}`` of the printed table."""
    rows = [
        [cell.strip() for cell in line.strip('|').split('|')]
        for line in text.splitlines()
        if re.match(r'\| \(', line)
    ]
    return {tuple(row[:3]): [float(cell) for cell in row[3:]] for row in rows}


def test_the_table_compares_each_layer_with_batch_norm(norm_cost, capsys):
    run(
        norm_cost,
        '--shapes',
        '2,3,4,5',
        '3,2,1,8',
        '--dtype',
        'float32',
        'bfloat16',
        '--rounds',
        '1',
    )
    found = cells(capsys.readouterr().out)
    assert list(found) == [
        (shape, dtype, layer)
        for shape in ('(2, 3, 4, 5)', '(3, 2, 1, 8)')
        for dtype in ('float32', 'bfloat16')
        for layer in ('BN', 'BIN', 'two-pass')
    ]
    assert all(row[0] > 0 for row in found.values())
    assert all(row[1] == 1 for (*_, layer), row in found.items() if layer == 'BN')


def test_ratios_and_units(norm_cost):
    seconds = dict(BN=0.002, BIN=0.0025, other=0.006)
    table = norm_cost.table([('(1, 2)', 'float32', seconds, dict(BN=MIB, BIN=3 * MIB, other=0))])
    assert cells(table) == {
        ('(1, 2)', 'float32', 'BN'): [2, 1, 1, 1],
        ('(1, 2)', 'float32', 'BIN'): [2.5, 1.25, 3, 3],
        ('(1, 2)', 'float32', 'other'): [6, 3, 0, 0],
    }


def test_times_are_medians_of_alternating_steps_after_the_warm_up(norm_cost, monkeypatch):
    clock, calls = [0.0], []
    monkeypatch.setattr(norm_cost, 'time', SimpleNamespace(perf_counter=lambda: clock[0]))

    def step_of(name, durations):
        durations = iter(durations)

        def step():
            calls.append(name)
            clock[0] += next(durations)

        return step

    steps = dict(a=step_of('a', [99, 99, 99, 1, 50, 2]), b=step_of('b', [0, 0, 0, 4, 4, 30]))
    assert norm_cost.median_seconds(steps, 3, 'cpu') == dict(a=2, b=4)
    assert calls == ['a', 'b'] * 6


#: Measured in a process of its own, as the tool does: in this one, other tests have left pieces of
#: memory that the C library would use again.
PEAKS = """
import json
import sys

sys.path.insert(0, sys.argv[1])
import norm_cost
import torch

from mmocr_da.cpu import keep_memory


def touched(mebibytes):
    return torch.ones(mebibytes << 20, dtype=torch.uint8)


def known():
    first = touched(24)
    del first
    second = touched(16)
    third = touched(5)
    del second, third
    torch.empty(64 << 20, dtype=torch.uint8)  # never touched


class Kept(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.kept = touched(20)
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad):
        return grad * touched(12).max()


x = torch.ones(1, requires_grad=True)
layers = norm_cost.make_steps((8, 16, 64, 128), torch.float32, 'cpu', channels_last=False)
steps = dict(
    known=known,
    kept=lambda: torch.autograd.grad(Kept.apply(x), x),
    bn=layers['BN'],
    two_pass=layers['two-pass'],
)
peaks = {name: norm_cost.peak_bytes(step, 'cpu') for name, step in steps.items()}
keep_memory()
peaks |= dict(after_keep_memory=norm_cost.peak_bytes(steps['kept'], 'cpu'))
print(json.dumps(peaks))
"""


@pytest.fixture(scope='module')
def peaks(norm_cost):
    """``{name: MiB}`` of steps whose memory is known."""
    folder = str(Path(norm_cost.__file__).parent)
    run = subprocess.run(
        [sys.executable, '-c', PEAKS, folder], capture_output=True, text=True, check=True
    )
    found = json.loads(run.stdout.splitlines()[-1])
    return {name: size / MIB for name, size in found.items()}


def test_the_peak_of_known_allocations(peaks):
    assert peaks['known'] == pytest.approx(24, rel=0.03)


def test_the_peak_includes_what_is_kept_for_the_backward_pass(peaks):
    assert peaks['kept'] == pytest.approx(32, rel=0.03)


def test_the_peak_after_a_training_in_the_process(peaks):
    assert peaks['after_keep_memory'] == pytest.approx(32, rel=0.03)


def test_batch_norm_needs_its_output_and_the_gradient_of_its_input(peaks):
    # The input has 4 MiB.
    assert peaks['bn'] == pytest.approx(8, rel=0.1)
    assert peaks['two_pass'] > 10


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_the_peak_on_a_gpu(norm_cost):
    def step():
        first = torch.ones(24 * MIB, dtype=torch.uint8, device='cuda')
        second = torch.ones(8 * MIB, dtype=torch.uint8, device='cuda')
        del first, second

    assert norm_cost.peak_bytes(step, 'cuda') == 32 * MIB


def test_the_two_pass_reference_is_the_same_function(norm_cost):
    x = torch.randn(4, 3, 5, 6)
    reference, ours = norm_cost.TwoPassNorm2d(3), BatchInstanceNorm2d(3)
    for param in reference.parameters():
        param.data.uniform_()
    ours.load_state_dict(reference.state_dict())
    torch.testing.assert_close(reference(x), ours(x))
    torch.testing.assert_close(reference.running_var, ours.running_var)


def test_channels_last_inputs(norm_cost):
    orders = []
    with patch.object(
        torch.autograd,
        'grad',
        lambda y, inputs, grad: orders.extend(
            t.is_contiguous(memory_format=torch.channels_last) for t in (inputs[0], grad)
        ),
    ):
        norm_cost.make_steps((2, 3, 4, 5), torch.float32, 'cpu', channels_last=True)['BN']()
    assert orders == [True, True]


def test_a_bad_shape_is_an_error(norm_cost, capsys):
    with pytest.raises(SystemExit):
        run(norm_cost, '--shapes', '2,3,4')
    assert 'a shape is N,C,H,W, got 2,3,4' in capsys.readouterr().err
