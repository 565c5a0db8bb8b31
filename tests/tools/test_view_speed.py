import re
from unittest.mock import patch

import pytest
from mmengine.config import Config

from mmocr_da.models.recognizers import SeqCLR


@pytest.fixture
def run(load_tool, capsys):
    """Runs the tool for two steps and returns what it prints."""
    module = load_tool('benchmarks/view_speed')

    def run(*arguments):
        with patch('sys.argv', ['view_speed.py', *map(str, arguments), '--steps', '2']):
            module.main()
        return capsys.readouterr().out

    return run


@pytest.fixture
def contrastive(toy, tmp_path):
    """The config of the toy, for two views of the images of its source."""
    cfg = Config.fromfile(toy)
    cfg.model.pop('objectives')
    cfg.model.update(
        type='mmocr_da.SeqCLR', mapping=dict(type='mmocr_da.WindowToInstance', num_windows=2)
    )
    cfg.train_dataloader.dataset = dict(
        type='mmocr_da.SeededDataset',
        datasets=cfg.source,
        pipeline=[
            *cfg.train_pipeline[:-1],
            dict(
                type='mmocr_da.MultiView',
                transforms=[dict(type='mmocr_da.LinearContrast'), cfg.train_pipeline[-1]],
            ),
        ],
    )
    cfg.dump(tmp_path / 'contrastive.py')
    return tmp_path / 'contrastive.py'


def numbers(out, name):
    return [
        [float(n) for n in line.split()]
        for line in re.findall(rf'^{name} +([0-9. ]+)', out, re.MULTILINE)
    ]


def test_every_operation_has_two_times_and_their_ratio(run):
    out = run()
    names = (
        'LinearContrast',
        'GaussianBlur',
        'CropAndResize',
        'Sharpen',
        'PiecewiseAffine',
        'PerspectiveJitter',
    )
    rows = [row for name in names for row in numbers(out, name)]
    assert len(rows) == 7
    for ours, theirs, ratio in rows:
        assert ours > 0 and abs(theirs / ours - ratio) < 0.06 + 0.01 * ratio
    assert len(numbers(out, 'SomeOf, mean')[0]) == 1 and 'training' not in out


def test_a_config_is_trained_on_its_batches_of_two_views(contrastive, run, monkeypatch):
    """2 steps that count and 3 to warm up."""
    batches = []
    train_step = SeqCLR.train_step

    def spy(self, data, optim_wrapper):
        batches.append(data)
        return train_step(self, data, optim_wrapper)

    monkeypatch.setattr(SeqCLR, 'train_step', spy)
    out = run(contrastive)
    assert len(batches) == 5 and '4 images per step' in out
    for batch in batches:
        assert [len(view) for view in batch['inputs']] == [4, 4]
        assert batch['inputs'][0][0].shape == (1, 16, 32)
    paths = {sample.img_path for batch in batches for sample in batch['data_samples'][0]}
    assert len(paths) == 6
    views, training, ratio = (
        numbers(out, name)[0][0] for name in ('views, one process', 'training', 'ratio')
    )
    assert abs(views / training - ratio) < 0.02 * ratio


def test_no_steps_are_an_error(load_tool):
    module = load_tool('benchmarks/view_speed')
    with patch('sys.argv', ['view_speed.py', '--steps', '0']), pytest.raises(SystemExit):
        module.main()
