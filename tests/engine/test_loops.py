"""A run that is killed and resumed ends as if it had never stopped."""

import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from mmengine.runner import IterBasedTrainLoop, Runner
from torch import nn

from mmocr_da.datasets import TwoDomainDataset
from mmocr_da.datasets.data_samples import data_samples_of
from mmocr_da.engine.hooks import SavedBuffersHook
from mmocr_da.engine.loops import ResumableIterBasedTrainLoop

ITERATIONS = 11  # with 4 batches to an epoch


class Net(BaseModel):
    """Has dropout, and remembers which images it saw."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(48, 8), nn.Dropout(), nn.Linear(8, 1))
        self.seen = []

    def forward(self, inputs, data_samples, mode='tensor'):
        self.seen.append([sample.img_path.split('/')[-1] for sample in data_samples])
        noise = torch.rand(()) + np.random.rand()
        return dict(loss=(self.layers(torch.stack(inputs) / 255) - noise).square().mean())


class Flip:
    """Counts the items it is asked for, over all copies of it."""

    count = 0

    def __call__(self, results):
        Flip.count += 1
        if np.random.rand() < 0.5:
            results['img'] = results['img'][:, ::-1]
        return results


@pytest.fixture
def root(tmp_path):
    for domain, size in dict(source=8, target=5).items():
        data_list = []
        for i in range(size):
            image = np.random.default_rng(i).integers(0, 255, (4, 4, 3), np.uint8)
            cv2.imwrite(str(tmp_path / f'{domain}{i}.png'), image)
            data_list.append(dict(img_path=f'{domain}{i}.png', instances=[dict(text='a')]))
        (tmp_path / f'{domain}.json').write_text(
            json.dumps(dict(metainfo=dict(), data_list=data_list))
        )
    return tmp_path


@pytest.fixture
def make(root):
    """``make(name, ...)``: a runner; each has a name, since runners of a name share their log."""
    init_default_scope('mmocr')

    def make(
        name,
        loop='mmocr_da.ResumableIterBasedTrainLoop',
        resume=None,
        workers=0,
        seed=0,
        sampler=None,
        batch_size=4,
        hooks=(),
        **train_cfg,
    ):
        domains = {
            domain: dict(
                type='OCRDataset',
                data_root=str(root),
                ann_file=f'{domain}.json',
                pipeline=None,
                serialize_data=False,
            )
            for domain in ('source', 'target')
        }
        pipeline = [
            dict(type='LoadImageFromFile'),
            dict(type='LoadOCRAnnotations', with_text=True),
            Flip(),
            dict(type='PackTextRecogInputs', meta_keys=('img_path',)),
        ]
        torch.manual_seed(0)
        return Runner(
            Net(),
            work_dir=str(root / name),
            experiment_name=f'{root.name} {name}',
            train_dataloader=dict(
                batch_size=batch_size,
                num_workers=workers,
                sampler=sampler or dict(type='mmocr_da.TwoDomainSampler', batch_size=4),
                dataset=dict(type='mmocr_da.TwoDomainDataset', pipeline=pipeline, **domains),
            ),
            train_cfg=dict(type=loop, max_iters=ITERATIONS, **train_cfg),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
            default_hooks=dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=1)),
            load_from=resume,
            resume=resume is not None,
            custom_hooks=list(hooks),
            randomness=dict(seed=seed),
            log_level='WARNING',
            default_scope='mmocr',
        )

    return make


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values()))


@pytest.mark.parametrize('stop', [1, 3, 4, 6, 8])
def test_resumed_anywhere_it_ends_with_the_same_weights(make, root, stop):
    whole = make('whole')
    whole.train()
    resumed = make('resumed', resume=str(root / 'whole' / f'iter_{stop}.pth'))
    Flip.count = 0
    resumed.train()
    assert resumed.model.seen == whole.model.seen[stop:]
    assert equal(whole.model, resumed.model)
    # It went there at once: no image of the past was loaded.
    assert Flip.count == 4 * (ITERATIONS - stop)


def test_the_first_model_differs_from_the_last(make):
    """Or else the equality of weights would say nothing."""
    runner = make('one')
    before = [p.clone() for p in runner.model.parameters()]
    runner.train()
    assert not any(torch.equal(a, b) for a, b in zip(before, runner.model.parameters()))


def test_workers_change_nothing_and_are_resumed_too(make, root):
    alone, shared = make('alone'), make('shared', workers=2)
    alone.train()
    shared.train()
    resumed = make('resumed', resume=str(root / 'shared' / 'iter_6.pth'), workers=1)
    resumed.train()
    assert alone.model.seen == shared.model.seen
    assert equal(alone.model, shared.model) and equal(alone.model, resumed.model)


def test_a_run_without_a_seed_is_resumed_with_the_one_it_drew(make, root):
    whole = make('whole', seed=None)
    whole.train()
    resumed = make('resumed', seed=None, resume=str(root / 'whole' / 'iter_6.pth'))
    resumed.train()
    assert resumed.model.seen == whole.model.seen[6:]
    assert equal(whole.model, resumed.model)


def test_the_model_has_other_random_numbers_in_each_iteration_and_run(make):
    def numbers(runner):
        loop, drawn = runner.build_train_loop(runner._train_loop), []
        for loop._iter in range(3):
            loop._seed_iteration()
            drawn.append(torch.rand(()).item())
        return drawn

    first, second = numbers(make('first')), numbers(make('second', seed=1))
    assert len({*first, *second}) == 6


def test_a_sampler_without_skip_is_replayed_with_a_word(make, root, monkeypatch):
    monkeypatch.delattr(TwoDomainDataset, '__getitems__')  # which refuses such samplers
    name = 'DefaultSampler'
    monkeypatch.setattr('time.sleep', lambda seconds: None)
    said = []
    monkeypatch.setattr(
        'mmocr_da.engine.loops.print_log', lambda line, logger, level: said.append(line)
    )
    sampler = dict(type=name)
    whole = make('whole', sampler=sampler)
    whole.train()
    assert said == []
    resumed = make('resumed', sampler=sampler, resume=str(root / 'whole' / 'iter_6.pth'))
    resumed.train()
    assert resumed.model.seen == whole.model.seen[6:]
    assert len(said) == 1 and f'{name} has no skip()' in said[0]


@pytest.mark.parametrize('seed', [0, None])
def test_an_infinite_sampler_goes_on_without_loading_the_past(make, root, seed, monkeypatch):
    monkeypatch.delattr(TwoDomainDataset, '__getitems__')  # which refuses such samplers
    said = []
    monkeypatch.setattr(
        'mmocr_da.engine.loops.print_log', lambda line, logger, level: said.append(line)
    )
    sampler = dict(type='InfiniteSampler')
    whole = make('whole', sampler=sampler, seed=seed)
    whole.train()
    resumed = make('resumed', sampler=sampler, seed=seed, resume=str(root / 'whole' / 'iter_6.pth'))
    Flip.count = 0
    resumed.train()
    assert resumed.model.seen == whole.model.seen[6:]
    assert said == [] and Flip.count == 4 * (ITERATIONS - 6)


def test_it_sees_the_images_that_mmengines_loop_sees(make, monkeypatch):
    monkeypatch.setattr('time.sleep', lambda seconds: None)
    ours, theirs = make('ours'), make('theirs', loop='IterBasedTrainLoop')
    ours.train()
    theirs.train()
    assert type(theirs.train_loop) is IterBasedTrainLoop
    assert ours.model.seen == theirs.model.seen


def test_there_is_no_pause_between_epochs(make, monkeypatch):
    pauses = []
    monkeypatch.setattr('time.sleep', pauses.append)
    make('one').train()
    assert not [seconds for seconds in pauses if seconds >= 1]


def test_broken_images_are_counted_named_and_remembered(make, root, monkeypatch):
    (root / 'source3.png').write_bytes(b'')
    (root / 'target1.png').unlink()
    names = [str(root / name) for name in ('source3.png', 'target1.png')]
    whole, lines = make('whole'), []
    monkeypatch.setattr(whole.logger, 'warning', lines.append)
    whole.train()
    assert [line for line in lines if 'replaced so far' in line] == [
        f'2 images could not be read and were replaced so far: {", ".join(names)}'
    ]
    # In the checkpoint: a run that resumes at its last iteration still knows them.
    resumed = make('resumed', resume=str(root / 'whole' / f'iter_{ITERATIONS}.pth'))
    resumed.train()
    assert resumed.message_hub.get_info('skipped_images') == names


def test_a_batch_size_that_would_shift_the_mix_is_an_error(make):
    with pytest.raises(ValueError, match='got 6 and 4'):
        make('one', batch_size=6).train()


def test_a_list_of_batches_will_do(tmp_path):
    """As in MMOCR's ``vis_scheduler.py``."""

    class Batches(list):
        dataset = None

    class Mean(BaseModel):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(()))

        def forward(self, number, mode):
            return dict(loss=self.weight * number)

    runner = Runner(
        Mean(),
        str(tmp_path),
        train_dataloader=Batches([dict(number=1.0)]),
        train_cfg=dict(type='mmocr_da.ResumableIterBasedTrainLoop', max_iters=3),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=1.0)),
        log_level='ERROR',
    )
    assert runner.train().weight == -3


def test_data_samples_of_several_views_are_found():
    from mmengine.structures import BaseDataElement

    a, b, c = (BaseDataElement() for _ in range(3))
    assert list(data_samples_of(dict(inputs=[torch.ones(2)], data_samples=[a, b]))) == [a, b]
    views = dict(weak=dict(data_samples=[a]), strong=dict(data_samples=[b, c]))
    assert list(data_samples_of(views)) == [a, b, c]
    nested = dict(inputs=dict(weak=[], strong=[]), data_samples=dict(weak=[a], strong=[b]))
    assert list(data_samples_of(nested)) == [a, b]


def test_the_loop_is_mmengines_loop():
    assert issubclass(ResumableIterBasedTrainLoop, IterBasedTrainLoop)


def test_processes_save_the_same_running_statistics(make):
    runner = make('buffers')
    assert runner.train_loop.dataloader.batch_size == 4  # it is built now
    assert any(isinstance(hook, SavedBuffersHook) for hook in runner.hooks)
