"""Work directories of runs: made of a few lines, and of the toy."""

import json
import shutil

import pytest
import torch

CONFIG = """
load_from = None
model = dict(type='EncoderDecoderRecognizer')
train_cfg = dict(max_iters=40, type='IterBasedTrainLoop')
"""
LOG = '2026/01/01 00:00:0{} - mmengine - {} - {}\n'


@pytest.fixture
def make_run(tmp_path):
    """Writes a work directory: ``make_run(*rows of scalars, warnings=..., config=..., ...)``."""

    def make(*rows, warnings=(), config=CONFIG, name='run', iters=None):
        start = tmp_path / name / '20260101_000000'
        (start / 'vis_data').mkdir(parents=True)
        if config:
            (start / 'vis_data/config.py').write_text(config)
        if rows:
            (start / 'vis_data/scalars.json').write_text('\n'.join(map(json.dumps, rows)))
        lines = [LOG.format(0, 'INFO', 'Iter(train)')]
        lines += [LOG.format(1, 'WARNING', text) for text in warnings]
        (start / f'{start.name}.log').write_text(''.join(lines))
        if iters:
            weights = {'decoder.weight': torch.ones(3), 'objectives.local.weight': torch.ones(2)}
            torch.save(dict(state_dict=weights), tmp_path / name / f'iter_{iters}.pth')
        return tmp_path / name

    return make


@pytest.fixture(scope='session')
def adapted(trained, tmp_path_factory):
    """The work directory of the toy, as if it had started from a checkpoint of other weights."""
    folder = tmp_path_factory.mktemp('adapted')
    shutil.copytree(trained, folder / 'run', dirs_exist_ok=True)
    checkpoint = torch.load(folder / 'run/iter_2.pth', weights_only=False)
    torch.manual_seed(1)
    for key, weight in checkpoint['state_dict'].items():
        if key.startswith('decoder') and weight.is_floating_point():
            weight += torch.randn_like(weight)
    torch.save(checkpoint, folder / 'start.pth')
    for config in folder.glob('run/*/vis_data/config.py'):
        config.write_text(f"{config.read_text()}\nload_from = '{folder}/start.pth'\n")
    return folder / 'run'
