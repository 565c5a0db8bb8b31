"""Items of one domain; what is shared with two domains is tested there."""

import json
import os
import random
import warnings

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DATASETS
from torch.utils.data import DataLoader

import mmocr_da.datasets  # noqa: F401
from mmocr_da.datasets import SeededSampler, seeded_dataset
from mmocr_da.datasets.seeded_sampler import Draw

LOAD = dict(type='mmocr.LoadImageFromFile', color_type='grayscale')
PACK = dict(type='mmocr.PackTextRecogInputs', meta_keys=('img_path', 'img_shape', 'valid_ratio'))


class Noise:
    def __call__(self, results):
        noise = [random.random(), np.random.rand(), torch.rand(()).item()]
        results['img'] = results['img'].astype(np.float32)
        results['img'][0, :3] += np.float32(noise)
        results['valid_ratio'] = 1
        return results


VIEWS = dict(type='mmocr_da.MultiView', transforms=[Noise(), PACK], keep_order=False)


@pytest.fixture
def root(tmp_path):
    for i in range(7):
        cv2.imwrite(str(tmp_path / f'{i}.png'), np.full((4, 6, 3), 30 * i, np.uint8))
    (tmp_path / 'words.json').write_text(
        json.dumps(
            dict(
                metainfo=dict(),
                data_list=[
                    dict(img_path=f'{i}.png', instances=[dict(text=str(i))]) for i in range(7)
                ],
            )
        )
    )
    return tmp_path


def make(root, pipeline=(LOAD, VIEWS), **kwargs):
    kwargs.setdefault('datasets', dict(type='mmocr_da.UnlabelledDataset', img_dir=str(root)))
    return DATASETS.build(dict(type='mmocr_da.SeededDataset', pipeline=list(pipeline), **kwargs))


def repeated(root):
    """700 images."""
    images = dict(type='mmocr_da.UnlabelledDataset', img_dir=str(root))
    return make(root, datasets=dict(type='mmengine.RepeatDataset', times=100, dataset=images))


def number(sample):
    return int(os.path.basename(sample.img_path)[0])


def test_views_of_an_item_are_drawn_by_its_seed_alone(root):
    dataset = make(root)
    first, again, other = (dataset[Draw(3, seed)] for seed in (5, 5, 6))
    assert len(first['inputs']) == len(first['data_samples']) == 2
    assert all(map(torch.equal, first['inputs'], again['inputs']))
    assert not any(map(torch.equal, first['inputs'], other['inputs']))
    assert not torch.equal(*first['inputs'])  # the views differ
    state = random.getstate()
    dataset[Draw(3, 5)]
    assert random.getstate() == state


@pytest.mark.parametrize('workers', [0, 2])
def test_the_loader_hands_on_the_same_whatever_the_workers(root, workers):
    dataset = make(root)
    expected = [dataset[d]['inputs'] for d in SeededSampler(dataset, 4, seed=1)]
    loader = DataLoader(
        dataset,
        4,
        sampler=SeededSampler(dataset, 4, seed=1),
        num_workers=workers,
        collate_fn=pseudo_collate,
    )
    seen = [pair for batch in loader for pair in zip(*batch['inputs'])]
    assert len(seen) == len(expected) == 8
    assert all(torch.equal(a, b) for x, y in zip(seen, expected) for a, b in zip(x, y))


def test_a_broken_image_is_replaced_counted_and_named_once(root, monkeypatch):
    lines = []
    monkeypatch.setattr(seeded_dataset, 'print_log', lambda text, **_: lines.append(text))
    (root / '3.png').write_bytes(b'no image')
    dataset = make(root)
    for _ in range(2):
        item = dataset[Draw(3, 5)]
        instead = number(item['data_samples'][0])
        assert instead != 3
        for view, expected in zip(item['inputs'], dataset[Draw(instead, 5)]['inputs']):
            assert torch.equal(view, expected)
        for sample in item['data_samples']:
            assert sample.skipped_images == [str(root / '3.png')]
    assert len(lines) == 1 and 'The image' in lines[0] and '3.png' in lines[0]
    # The last one has no next one.
    (root / '6.png').write_bytes(b'no image')
    first, again = (dataset[6]['data_samples'][0] for _ in range(2))
    assert number(first) == number(again) not in (3, 6)


def test_a_block_of_broken_images_has_many_substitutes(root):
    dataset = repeated(root)

    def chosen():
        """The first one of each that is not in the block of the first 350."""
        return [next(j for j in dataset._candidates(i, 0, 700) if j >= 350) for i in range(350)]

    assert chosen() == chosen()
    assert max(map(chosen().count, chosen())) < 8
    for size in (1, 2, 7, 700):
        for start in range(0, size, 3):
            first, *others = dataset._candidates(start, 0, size)
            assert first == start and sorted([first, *others]) == [*range(size)]


def test_the_log_says_why_an_image_is_replaced_whatever_its_name(root, monkeypatch):
    lines = []
    monkeypatch.setattr(seeded_dataset, 'print_log', lambda text, **_: lines.append(text))
    name = os.fsdecode(b'caf\xe9\n.png')
    (root / name).write_bytes(b'no image')
    (root / '0.png').unlink()
    (root / '0.png').symlink_to(root / 'nowhere')
    dataset = make(root, [dict(LOAD, ignore_empty=True), VIEWS])
    with warnings.catch_warnings():
        warnings.simplefilter('error')  # one place is enough to say it
        samples = [dataset[0]['data_samples'][0], dataset[7]['data_samples'][0]]
    assert samples[1].skipped_images[0] == f'{root}/caf\\udce9\\n.png'
    assert 'FileNotFoundError' in lines[0]
    assert lines[1].endswith(f'{root}/caf\\udce9\\n.png is broken')
    assert all('\n' not in line and line.encode() for line in lines)


def test_many_that_are_left_out_have_many_substitutes_at_once(root, monkeypatch):
    dataset = repeated(root)
    dataset.leave_out(range(350))
    monkeypatch.setattr(seeded_dataset.np, 'flatnonzero', None)  # takes long in large data
    chosen = [next(dataset._candidates(i, 0, 700)) for i in range(350)]
    assert min(chosen) >= 350 and max(map(chosen.count, chosen)) < 8
    assert chosen == [next(dataset._candidates(i, 0, 700)) for i in range(350)]
    monkeypatch.undo()
    dataset.leave_out(range(351, 700))
    assert [*dataset._candidates(5, 0, 700)] == [350]


def test_labels_stay_and_several_datasets_are_one(root):
    labelled = dict(
        type='mmocr.OCRDataset', data_root=str(root), ann_file='words.json', pipeline=None
    )
    text = dict(type='mmocr.LoadOCRAnnotations', with_text=True)
    dataset = make(root, [LOAD, text, Noise(), PACK], datasets=[labelled, dict(labelled)])
    assert len(dataset) == 14
    assert [dataset[i]['data_samples'].gt_text.item for i in (2, 9)] == ['2', '2']
    assert 'domain' not in dataset[0]['data_samples']


class Observer(Compose):
    """The pipeline of MMOCR's ``browse_dataset.py`` around the transforms; it does not pack."""

    def __init__(self, transforms, seen):
        super().__init__(transforms)
        self.seen = seen

    def __call__(self, data):
        for transform in self.transforms[:-1]:
            data = transform(data)
            self.seen.append((type(transform).__name__, data['img_path'].split('/')[-1]))
        return data


def test_an_observed_pipeline_runs_with_the_transforms_of_each_dataset(root):
    words = dict(type='OCRDataset', data_root=str(root), ann_file='words.json')
    resize = dict(type='mmocr.Resize', scale=(8, 8))
    dataset = DATASETS.build(
        dict(
            type='mmocr_da.SeededDataset',
            datasets=[
                dict(words, pipeline=[LOAD, resize, PACK]),
                dict(words, pipeline=[LOAD, PACK]),
            ],
        )
    )
    seen = []
    dataset.pipeline = Observer(dataset.pipeline.transforms, seen)
    dataset[0], dataset[8]
    assert seen == [
        ('LoadImageFromFile', '0.png'),
        ('Resize', '0.png'),
        ('LoadImageFromFile', '1.png'),
    ]


def test_a_pipeline_that_drops_all_images_is_named(root):
    """As those of detectors do with images that have no label."""
    dataset = make(root, pipeline=[LOAD, lambda results: None, PACK])
    with pytest.raises(
        RuntimeError, match='the images are fine, .* give a target a target_pipelin'
    ):
        dataset[0]


def test_bad_input(root):
    with pytest.raises(ValueError, match='at least one dataset'):
        make(root, datasets=[])
    with pytest.raises(ValueError, match='has no pipeline'):
        make(root, pipeline=[])
    for i in range(7):
        (root / f'{i}.png').write_bytes(b'')
    with pytest.raises(RuntimeError, match='7 of 7 images were tried and none can be used'):
        make(root)[0]
