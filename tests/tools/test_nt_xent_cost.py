"""What the contrastive loss costs; the tool itself on toy numbers, its promises marked slow."""

import re
import subprocess
import sys
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace

import pytest
import torch

from mmocr_da.models.contrastive import nt_xent


class InProcess:
    """Stands for multiprocessing: a module that was loaded by its path cannot be spawned."""

    def SimpleQueue(self):
        return SimpleQueue()

    def Process(self, target, args):
        return SimpleNamespace(start=lambda: target(*args), join=lambda: None)


@pytest.fixture
def tool(load_tool, monkeypatch, capsys):
    module = load_tool('benchmarks/nt_xent_cost')
    monkeypatch.setattr(module.multiprocessing, 'get_context', lambda _: InProcess())

    def run(*arguments):
        monkeypatch.setattr('sys.argv', ['nt_xent_cost.py', *arguments])
        module.main()
        return capsys.readouterr().out

    run.module = module
    return run


def test_both_forms_are_the_same_loss(tool):
    za, zb = tool.module.make_instances(20, 6, 'cpu')
    results = []
    for function in (tool.module.plain, tool.module.blocks):
        za.grad = zb.grad = None
        loss = function(za, zb)
        loss.backward()
        results.append((loss.detach(), za.grad, zb.grad))
    for a, b in zip(*results):
        torch.testing.assert_close(a, b)
    torch.testing.assert_close(results[0][0], nt_xent(za, zb).detach())


def test_it_prints_times_memory_and_their_ratio(tool):
    out = tool('--instances', '16', '--width', '4', '--rounds', '2')
    assert re.search(r'blocks +[\d.]+ ms +[-\d.]+ MiB\nplain +[\d.]+ ms', out)
    blocks, plain, ratio = (
        float(re.search(rf'{name} +([\d.]+)', out)[1]) for name in ('blocks', 'plain', 'ratio')
    )
    assert ratio == pytest.approx(blocks / plain, rel=0.2)
    out = tool('--instances', '16', '--no-plain', '--memory-only')
    assert 'plain' not in out and 'ratio' not in out and ' ms' not in out


def process(*arguments):
    script = Path(__file__).parents[2] / 'tools/benchmarks/nt_xent_cost.py'
    return subprocess.run(
        [sys.executable, '-W', 'ignore', script, *arguments],
        check=True,
        capture_output=True,
        text=True,
    ).stdout


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason='the limit is for a CPU')
def test_it_is_no_slower_than_the_whole_matrix_and_needs_little_memory():
    out = process('--instances', '4096', '--rounds', '5')
    assert float(re.search(r'ratio +([\d.]+)', out)[1]) < 1.3, out
    out = process('--instances', '16384', '--no-plain', '--memory-only')
    assert float(re.search(r'blocks +([\d.]+) MiB', out)[1]) < 2048, out


@pytest.mark.slow
def test_float32_keeps_five_digits_of_many_instances():
    """2 x 16,384 instances of width 256, against float64, in rows of the whole matrix."""
    torch.manual_seed(0)
    za = torch.randn(16384, 256)
    zb = za + torch.randn(16384, 256)
    za.requires_grad_()
    loss = nt_xent(za, zb)
    loss.backward()
    z = torch.nn.functional.normalize(torch.cat([za, zb]).detach().double(), dim=1)
    total, lse = 0.0, []
    for start in range(0, len(z), 1024):
        rows = torch.arange(start, start + 1024)
        similarities = z[rows] @ z.T / 0.1
        similarities[torch.arange(1024), rows] = float('-inf')
        lse.append(similarities.logsumexp(1))
        total += (lse[-1] - similarities[torch.arange(1024), (rows + 16384) % 32768]).sum()
    assert abs(loss.item() - total.item() / 32768) < 1e-5 * total.item() / 32768
    # The gradient of a few instances, through the length as well.
    lse = torch.cat(lse)
    rows = torch.arange(0, 16384, 2048)
    similarities = z[rows] @ z.T / 0.1
    similarities[torch.arange(len(rows)), rows] = float('-inf')
    weights = (similarities - lse[rows, None]).exp() + (similarities - lse).exp()
    grad = (weights @ z - 2 * z[rows + 16384]) / 0.1 / 32768
    x = za.detach()[rows].double()
    grad = (grad - (grad * z[rows]).sum(1, keepdim=True) * z[rows]) / x.norm(dim=1, keepdim=True)
    assert (za.grad[rows] - grad).abs().max() < 1e-5 * grad.abs().max()
