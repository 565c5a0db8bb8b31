"""Training, validation and testing see the same pixels, and the log counts what is odd."""

import shutil

import cv2
import numpy as np
import pytest
from mmengine.registry import DATASETS, init_default_scope
from mmengine.runner import IterBasedTrainLoop

from mmocr_da.datasets import SeededDataset
from mmocr_da.datasets.image_loading import BLANK, CONVERTED
from mmocr_da.engine.hooks.notes_hook import NotesHook


class Log:
    def __init__(self):
        self.lines = []

    def warning(self, line):
        self.lines.append(line)


class FakeRunner:
    """What the hook looks at, for one dataset in all loops."""

    def __init__(self, dataset, loop=None):
        self.logger = Log()
        self._train_loop = loop
        loader = type('Loader', (), dict(dataset=dataset))
        self.train_dataloader = self.val_dataloader = self.test_dataloader = loader


@pytest.fixture
def dataset(tmp_path):
    init_default_scope('mmocr')
    image = np.zeros((8, 16, 4), np.uint8)
    image[2:4, 2:9, 3] = 255
    for name in 'ab':
        cv2.imwrite(str(tmp_path / f'{name}.png'), image)
    cv2.imwrite(str(tmp_path / 'c.png'), np.full((8, 16), 7, np.uint8))
    cv2.imwrite(str(tmp_path / 'd.png'), np.eye(8, dtype=np.uint8) * 255)
    (tmp_path / 'words.txt').write_text(
        '\n'.join(f'{{"filename": "{name}.png", "text": "x"}}' for name in 'abcd')
    )
    return DATASETS.build(
        dict(
            type='RecogTextDataset',
            data_root=str(tmp_path),
            ann_file='words.txt',
            data_prefix=dict(img_path=str(tmp_path)),
            serialize_data=False,
            pipeline=[
                dict(type='LoadImageFromFile', color_type='grayscale'),
                dict(type='PackTextRecogInputs', meta_keys=('img_path',)),
            ],
        )
    )


def batch(dataset, *indexes):
    return dict(data_samples=[dataset[i]['data_samples'] for i in indexes])


@pytest.mark.parametrize('phase', ['train', 'val', 'test'])
def test_a_dataset_of_mmocr_loads_as_shown_in_every_phase(dataset, phase):
    assert dataset[0]['inputs'].max() == 0
    getattr(NotesHook(), f'before_{phase}')(FakeRunner(dataset))
    assert dataset[0]['inputs'].max() == 255


@pytest.mark.parametrize('phase', ['train', 'val'])
def test_behind_running_workers_training_and_validation_stay_as_they_are(dataset, phase):
    loop = object.__new__(IterBasedTrainLoop)
    loop.dataloader = type('Loader', (), dict(dataset=dataset))
    getattr(NotesHook(), f'before_{phase}')(FakeRunner(dataset, loop))
    assert dataset[0]['inputs'].max() == 0
    # A dataset of ours loads so by itself, and validation follows it.
    loop.dataloader.dataset = object.__new__(SeededDataset)
    getattr(NotesHook(), f'before_{phase}')(FakeRunner(dataset, loop))
    assert dataset[0]['inputs'].max() == 255


def test_each_image_is_counted_once_and_reported_when_there_are_new_ones(dataset):
    hook, runner = NotesHook(), FakeRunner(dataset)
    hook.before_train(runner)
    hook.after_train_iter(runner, 0, batch(dataset, 0, 2, 3))
    hook.after_train_iter(runner, 1, batch(dataset, 0, 3))
    hook.after_val(runner)
    lines, runner.logger.lines = runner.logger.lines, []
    assert len(lines) == 2
    assert any(line.startswith(f'1 {BLANK}: ') and line.endswith('c.png') for line in lines)
    assert any(line.startswith(f'1 {CONVERTED}: ') and line.endswith('a.png') for line in lines)
    hook.after_train(runner)
    assert runner.logger.lines == []
    hook.after_test_iter(runner, 0, batch(dataset, 1))
    hook.after_test(runner)
    (line,) = runner.logger.lines
    assert line.startswith(f'2 {CONVERTED}: ') and line.endswith('b.png')


def test_the_tools_report_in_training_and_testing(toy, run_tool, tmp_path):
    root = tmp_path / 'data'
    shutil.copytree(toy.parent, root, ignore=lambda *_: ['work_dirs'])
    image = np.zeros((16, 32, 4), np.uint8)
    image[4:9, 4:20, 3] = 255
    for domain in ('source', 'target'):
        cv2.imwrite(str(root / f'{domain}_0.png'), image)
    # Two names, as runs of one name and second share their log.
    for name in ('train', 'test'):
        (tmp_path / f'{name}.py').write_text(
            toy.read_text()
            .replace(str(toy.parent), str(root))
            .replace('{{ fileDirname }}', str(root))
        )
    run_tool('train', tmp_path / 'train.py', '--work-dir', tmp_path / 'run')
    run_tool(
        'test',
        tmp_path / 'test.py',
        tmp_path / 'run' / 'iter_2.pth',
        '--work-dir',
        tmp_path / 'tested',
    )
    for folder in ('run', 'tested'):
        log = next((tmp_path / folder).glob('*/*.log')).read_text()
        assert f'2 {CONVERTED}: {root}/source_0.png, {root}/target_0.png' in log
