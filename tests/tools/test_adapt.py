import json
import shutil

import pytest
import torch
from helpers.recognizers import make_recognizer
from mmocr.apis import TextRecInferencer

FAST = [
    '--cfg-options',
    'train_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False',
]


@pytest.fixture(scope='module', params=['attention', 'ctc'])
def tiny(request, tmp_path_factory):
    return make_recognizer(tmp_path_factory.mktemp(request.param), request.param)


def command(root, *more, source=('config',), out='out', iters=4):
    return [
        root / 'tiny.py', root / 'tiny.pth', '--target', root / 'target', '--source', *source,
        '--work-dir', root / out, '--max-iters', iters, '--batch-size', 4, *more, *FAST,
    ]  # fmt: skip


def weights(path):
    return torch.load(path, weights_only=False)['state_dict']


@pytest.mark.parametrize('source', ['config', 'rendered', 'labels.tsv'])
def test_the_whole_path(run_tool, tiny, source, capsys):
    where = tiny / source if source == 'labels.tsv' else source
    run_tool('adapt', *command(tiny, source=[where], out=source))
    printed = capsys.readouterr().out
    print(printed)
    out = tiny / source
    assert sorted(p.name for p in out.iterdir() if p.name[0] != '.') == [
        'adapt.json', 'adaptation.md', 'checks.txt', 'exported', 'tiny_adapted.py', 'training',
        'views.png',
    ]  # fmt: skip
