"""Labels that are too long for the frames of a CTC model are named before training starts."""
import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import DATASETS
from mmengine.runner import Runner

from mmocr_da.datasets.unlabelled_dataset import UnlabelledDataset
from mmocr_da.engine.ctc_fit_hook import CTCFitHook, frames_needed, labels_of

DIGITS = Path(__file__).parents[2] / 'configs/_base_/dicts/digits.txt'


class Steps(Hook):
    """Counts iterations."""

    def __init__(self):
        self.count = 0

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.count += 1


@pytest.fixture
def run(toy, tmp_path, monkeypatch):
    """Trains the toy with CTC on images of a width: 4 pixels a frame. Returns warnings, steps."""

    def run(width, objectives=(), supervised_weight=1., **module_loss):
        cfg = Config.fromfile(toy)
        cfg.merge_from_dict(dict(work_dir=str(tmp_path), experiment_name=str(tmp_path)))
        cfg.model.encoder = None
        cfg.model.decoder = dict(
            type='CRNNDecoder', in_channels=16, rnn_flag=False,
            dictionary=dict(cfg.model.decoder.dictionary, with_start=False, with_end=False,
                            same_start_end=False),
            module_loss=dict(type='CTCModuleLoss', **module_loss),
            postprocessor=dict(type='CTCPostProcessor'))
        cfg.model.objectives = list(objectives)
        cfg.model.supervised_weight = supervised_weight
        cfg.train_dataloader.dataset.pipeline[2].scale = (width, 16)
        for key in ('val_dataloader', 'val_evaluator', 'val_cfg'):
            cfg.pop(key)
        # Most of the time would go into the layout of the config's text.
        monkeypatch.setattr('mmengine.config.config.FormatCode', lambda text, **_: (text, True))
        runner = Runner.from_cfg(cfg)
        steps, warnings = Steps(), []
        runner.register_hook(steps)
        monkeypatch.setattr(runner.logger, 'warning', warnings.append)
        try:
            runner.train()
        finally:
            run.steps = steps.count
        return [line for line in warnings if 'frames' in line]

    return run


def test_a_label_that_needs_a_blank_too_many_stops_the_run(run):
    """2 frames: '77' needs 3, those of three characters are cut, and '12' just fits."""
    with pytest.raises(ValueError, match=r"1 of 6 labels need more frames than the 2 that CTC has "
                       r"of an image: '77' \(.*source_3.png\) needs 3. Their loss is infinite. "
                       'Make the images wider.* or set zero_infinity=True'):
        run(8)
    assert run.steps == 0


def test_labels_that_are_cut_or_skipped_are_named(run):
    warnings = run(8, zero_infinity=True)
    assert run.steps == 2 and len(warnings) == 2
    assert warnings[0].startswith("2 of 6 labels are longer than the 2 frames of an image and are "
                                  "trained without their end: '345' (")
    assert warnings[1].startswith("1 of 6 labels need more frames") and 'skipped' in warnings[1]


@pytest.mark.parametrize('options', [
    dict(width=12),  # 3 frames: as many as '77' needs
    dict(width=8, supervised_weight=0.,
         objectives=[dict(type='mmocr_da.GlobalAlignment', in_channels=16)]),
])
def test_labels_that_fit_or_train_nothing_are_left_alone(run, options):
    assert run(**options) == [] and run.steps == 2


@pytest.mark.parametrize('widths, frames', [((32, 32), 8), ((32, 36), None), ((), None)])
def test_only_images_of_one_size_have_a_known_number_of_frames(adaptive, sample, widths, frames):
    """Others are left to the batch that they are in."""
    model = adaptive(decoder=dict(
        type='CRNNDecoder', in_channels=16, rnn_flag=False,
        dictionary=dict(type='Dictionary', dict_file=str(DIGITS), with_padding=True),
        module_loss=dict(type='CTCModuleLoss'), postprocessor=dict(type='CTCPostProcessor')),
        encoder=None)
    items = [dict(inputs=torch.ones(1, 16, width), data_samples=sample('1')) for width in widths]
    state = torch.get_rng_state()
    assert CTCFitHook()._frames(model, items or [None]) == frames
    assert model.training and torch.equal(torch.get_rng_state(), state)


def test_only_so_many_labels_are_looked_at(run, monkeypatch):
    monkeypatch.setattr(CTCFitHook.__init__, '__defaults__', (3, ))
    warnings = run(8)
    assert run.steps > 0 and warnings[0].startswith('1 of 3 labels are longer')


def test_frames_are_counted_by_hand():
    assert [frames_needed(label) for label in ([], [1], [1, 2], [1, 1], [1, 1, 2, 2])] == [
        0, 1, 2, 3, 6]


def test_labels_are_found_in_datasets_of_datasets(tmp_path):
    for name in 'ab':
        data_list = [dict(img_path=f'{name}{i}.png', instances=[dict(text=f'{name}{i}')])
                     for i in range(2)]
        (tmp_path / f'{name}.json').write_text(json.dumps(dict(metainfo={}, data_list=data_list)))
    parts = [dict(type='OCRDataset', data_root=str(tmp_path), ann_file=f'{name}.json',
                  pipeline=[], serialize_data=False) for name in 'ab']
    whole = DATASETS.build(dict(type='ConcatDataset', datasets=parts))
    assert [text for text, _ in labels_of(whole)] == ['a0', 'a1', 'b0', 'b1']
    assert [path.split('/')[-1] for _, path in labels_of(whole)][0] == 'a0.png'
    mixed = DATASETS.build(dict(
        type='mmocr_da.TwoDomainDataset', source=dict(
            type='mmocr_da.LabelFraction', dataset=parts[0], fraction=0.5), target=parts[1],
        pipeline=[dict(type='LoadImageFromFile')]))
    assert len(list(labels_of(mixed))) == 1
    assert list(labels_of(UnlabelledDataset(dataset=parts[0]))) == []
    assert list(labels_of([1, 2])) == []
