"""Labels that are too long for the frames of a CTC model are named before training starts."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from helpers.lmdbs import write_lmdb
from mmengine.config import Config
from mmengine.runner import Runner
from mmocr.registry import MODELS, TASK_UTILS

from mmocr_da.datasets import TwoDomainDataset, label_texts
from mmocr_da.datasets.label_texts import labels_of
from mmocr_da.engine.hooks import ctc_fit_hook
from mmocr_da.engine.hooks.ctc_fit_hook import CTCFitHook, check_frames, frames_needed

DICTIONARY = dict(
    type='Dictionary',
    with_padding=True,
    dict_file=str(Path(__file__).parents[3] / 'configs/_base_/dicts/digits.txt'),
)
DECODER = dict(
    type='CRNNDecoder',
    in_channels=16,
    rnn_flag=False,
    dictionary=DICTIONARY,
    module_loss=dict(type='CTCModuleLoss'),
    postprocessor=dict(type='CTCPostProcessor'),
)


@pytest.fixture
def check(toy, tmp_path):
    """Checks labels, those of the toy by default, for a number of frames.

    Returns the warnings and the number of labels that are left.
    """

    def check(frames, words=None, skip_unusable=False, first=None, **module_loss):
        labels = json.loads((toy.parent / 'source.json').read_text())
        for data, word in zip(labels['data_list'], words or ()):
            data['instances'][0]['text'] = word
        (tmp_path / 'words.json').write_text(json.dumps(labels))
        cfg = Config.fromfile(toy)
        source = dict(cfg.source, ann_file=str(tmp_path / 'words.json'))
        dataset = TwoDomainDataset(
            source, cfg.target, cfg.train_pipeline, skip_unusable=skip_unusable
        )
        loss = MODELS.build(
            dict(type='CTCModuleLoss', dictionary=TASK_UTILS.build(DICTIONARY), **module_loss)
        )
        check.warnings = []
        labels = list(labels_of(dataset))[:first]
        check_frames(labels, frames, dataset, loss, check)
        return check.warnings, len(list(labels_of(dataset)))

    check.warning = lambda line: check.warnings.append(line)
    return check


def test_a_label_that_needs_a_blank_too_many_is_an_error(check):
    """2 frames: '77' needs 3, those of three characters are cut, and '12' just fits."""
    with pytest.raises(
        ValueError,
        match=r'1 of 6 labels need more frames than the 2 that CTC has '
        r"for an image, .* for example '77' \(.*source_3.png\). 2 of 6 labels are "
        'longer than the 2 frames .* Make the images wider.*, or set zero_infinity='
        'True',
    ):
        check(2)


def test_labels_that_are_cut_or_have_no_loss_are_named(check):
    (line,), left = check(2, zero_infinity=True)
    assert line.startswith('1 of 6 labels need more frames') and 'loss of the former is 0' in line
    assert (
        '2 of 6 labels are longer than the 2 frames of an image and are trained without their '
        "end; for example '345' ("
        in line
        and left == 6
    )


def test_they_can_be_left_out(check):
    (line,), left = check(2, skip_unusable=True)
    assert line.endswith('Images left out: 3 of 6') and left == 3
    with pytest.raises(ValueError, match='no label is left. 6 of 6'):
        check(1, skip_unusable=True, words=['22'] * 6)


def test_labels_that_fit_are_left_alone(check):
    assert check(3) == ([], 6)  # as many as '77' and '345' need
    assert check(3, words=['1xxx1'], first=1) == ([], 6)  # the 1 alone, twice


def test_labels_of_a_large_lmdb_are_left_out_when_they_are_drawn(toy, tmp_path, monkeypatch):
    """2 frames: '345' is cut and '77' needs 3; only the first label is looked at."""
    monkeypatch.setattr(label_texts, 'MOST_READ', 1)
    monkeypatch.setattr(label_texts, 'stratified', lambda size, most: [0])
    cfg = Config.fromfile(toy)
    path = write_lmdb(tmp_path / 'lmdb', ['12', '345', '77', '6', '', '21'])
    source = dict(type='mmocr.RecogLMDBDataset', ann_file=path, pipeline=None)
    dataset = TwoDomainDataset(source, cfg.target, cfg.train_pipeline, skip_unusable=True)
    loss = MODELS.build(dict(type='CTCModuleLoss', dictionary=TASK_UTILS.build(DICTIONARY)))
    assert check_frames(labels_of(dataset), 2, dataset, loss, None) == 0
    texts = [dataset[i]['data_samples'].gt_text.item for i in range(6)]
    usable = ['12', '6', '', '21']
    assert [texts[i] for i in (0, 3, 4, 5)] == usable and {*texts[1:3]} <= {*usable}


class Augmented(list):
    """Draws random numbers with each item."""

    def __getitem__(self, index):
        torch.rand(1)
        return super().__getitem__(index)


@pytest.mark.parametrize('widths, frames', [((32, 32), 8), ((32, 36), None), ((), None)])
def test_only_images_of_one_size_have_a_known_number_of_frames(adaptive, sample, widths, frames):
    """Others are left to the batch that they are in."""
    model = adaptive(decoder=DECODER, encoder=None)
    items = Augmented(
        dict(inputs=torch.ones(1, 16, width), data_samples=sample('1')) for width in widths
    )
    state = torch.get_rng_state()
    assert CTCFitHook()._frames(model, items or Augmented([None])) == frames
    assert model.training and torch.equal(torch.get_rng_state(), state)


def test_only_a_loss_that_trains_is_checked(adaptive):
    alignment = dict(type='mmocr_da.GlobalAlignment', in_channels=16)
    options = dict(decoder=DECODER, encoder=None)
    assert ctc_fit_hook._ctc_loss(adaptive(**options)) is not None
    assert ctc_fit_hook._ctc_loss(adaptive(alignment, supervised_weight=0.0, **options)) is None
    assert ctc_fit_hook._ctc_loss(adaptive(alignment)) is None


def test_a_run_stops_before_its_first_iteration(toy, tmp_path, monkeypatch):
    """Images of 8 pixels have 2 frames."""
    monkeypatch.setattr('mmengine.config.config.FormatCode', lambda text, **_: (text, True))
    cfg = Config.fromfile(toy)
    cfg.merge_from_dict(dict(work_dir=str(tmp_path), experiment_name=str(tmp_path)))
    cfg.model.update(encoder=None, decoder=DECODER, objectives=[])
    cfg.train_dataloader.dataset.pipeline[2].scale = (8, 16)
    runner = Runner.from_cfg(cfg)
    with pytest.raises(ValueError, match='1 of 6 labels need more frames than the 2'):
        runner.train()
    assert runner.iter == 0


@pytest.mark.parametrize('skips, looked_at, again', [(False, 2, 0), (True, 5, 1)])
def test_all_that_is_to_be_left_out_is_looked_for(monkeypatch, skips, looked_at, again):
    seen, loops = [], []
    monkeypatch.setattr(ctc_fit_hook, '_ctc_loss', lambda model: 'ctc')
    monkeypatch.setattr(ctc_fit_hook, 'labels_of', lambda dataset: [(i, 'a') for i in range(5)])
    monkeypatch.setattr(
        ctc_fit_hook,
        'check_frames',
        lambda labels, *_: seen.extend(labels) or dataset.skip_unusable,
    )
    monkeypatch.setattr(ctc_fit_hook, 'reload_data', loops.append)
    hook = CTCFitHook(max_labels=2)
    hook._frames = lambda model, dataset: 3
    dataset = SimpleNamespace(skip_unusable=skips)
    hook.before_train(
        SimpleNamespace(
            model=None,
            iter=0,
            max_iters=1,
            logger=None,
            train_loop='loop',
            train_dataloader=SimpleNamespace(dataset=dataset),
        )
    )
    assert (len(seen), len(loops)) == (looked_at, again)


def test_frames_are_counted_by_hand():
    assert [frames_needed(label) for label in ([], [1], [1, 2], [1, 1], [1, 1, 2, 2])] == [
        0,
        1,
        2,
        3,
        6,
    ]
