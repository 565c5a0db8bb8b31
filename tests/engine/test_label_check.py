"""What a recognizer cannot learn is named before it trains."""

import json
import logging
import pickle
import random
import time
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from helpers.lmdbs import write_lmdb
from mmengine.registry import DATASETS, init_default_scope
from mmengine.runner.loops import _InfiniteDataloaderIterator
from mmocr.models.textrecog.module_losses import CEModuleLoss, CTCModuleLoss
from torch.utils.data import DataLoader

import mmocr_da.datasets  # noqa: F401
from mmocr_da.datasets import label_texts
from mmocr_da.datasets.seeded_dataset import UNUSABLE
from mmocr_da.engine.hooks import LabelCheckHook
from mmocr_da.engine.label_check import check_labels, reload_data

LOAD = dict(type='mmocr.LoadImageFromFile')
TEXT = dict(type='mmocr.LoadOCRAnnotations', with_text=True)
PACK = dict(type='mmocr.PackTextRecogInputs', meta_keys=('img_path',))


class Clean:
    """A pipeline may make labels of what is annotated."""

    def __call__(self, results):
        random.random(), torch.rand(())
        results['gt_texts'] = [text.replace('?', '') for text in results['gt_texts']]
        return results


@pytest.fixture
def dataset(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), np.eye(8, dtype=np.uint8) * 255)

    def make(*texts, pipeline=(LOAD, TEXT, PACK), instances=None, **kwargs):
        (tmp_path / 'words.json').write_text(
            json.dumps(
                dict(
                    metainfo=dict(),
                    data_list=[
                        dict(img_path='a.png', instances=instances or [dict(text=text)])
                        for text in texts
                    ],
                )
            )
        )
        plain = dict(
            type='mmocr.OCRDataset',
            data_root=str(tmp_path),
            ann_file='words.json',
            serialize_data=False,
        )
        return DATASETS.build(
            dict(type='mmocr_da.SeededDataset', datasets=plain, pipeline=list(pipeline), **kwargs)
        )

    return make


@pytest.fixture
def module_loss(tmp_path):
    init_default_scope('mmocr')

    def make(
        characters='abcde\u00e9',
        loss=CEModuleLoss,
        max_seq_len=6,
        letter_case='unchanged',
        **dictionary,
    ):
        (tmp_path / 'dict.txt').write_text('\n'.join(characters), encoding='utf-8')
        return loss(
            dict(
                type='Dictionary',
                dict_file=str(tmp_path / 'dict.txt'),
                with_start=True,
                with_end=True,
                with_padding=True,
                **dictionary,
            ),
            max_seq_len=max_seq_len,
            letter_case=letter_case,
        )

    return make


@pytest.fixture
def check(caplog):

    def check(dataset, module_loss):
        logger = logging.getLogger('labels')
        with caplog.at_level(logging.WARNING, 'labels'):
            check_labels(dataset, module_loss, logger)
        lines, caplog.records[:] = [record.getMessage() for record in caplog.records], []
        return lines

    return check


def test_labels_that_fit_say_nothing(dataset, module_loss, check):
    assert check(dataset('a', 'abcd', ''), module_loss()) == []
    assert check(dataset('A'), module_loss(letter_case='lower')) == []


def test_unknown_characters_are_an_error_with_code_points_and_what_helps(
    dataset, module_loss, check
):
    with pytest.raises(ValueError, match='2 of 3 labels have characters outside') as caught:
        check(dataset('ax', 'b', 'x\u0416'), module_loss())
    message = str(caught.value)
    assert "'x' (U+0078 LATIN SMALL LETTER X) in 2" in message
    assert 'U+0416 CYRILLIC CAPITAL LETTER ZHE) in 1' in message
    assert "for example 'ax' (" in message and 'a.png' in message
    for help_ in ('dict_file', 'with_unknown=True', 'skip_unusable=True'):
        assert help_ in message
    assert 'unicode_form' not in message


def test_decomposed_labels_of_a_composed_dictionary_name_the_form(dataset, module_loss, check):
    texts = ('e\u0301', 'b', 'ce\u0301\u0301')
    with pytest.raises(
        ValueError,
        match='U[+]0301 COMBINING ACUTE ACCENT.*In the Unicode form '
        "NFC, 1 of them fit: set unicode_form='NFC'",
    ):
        check(dataset(*texts), module_loss())
    assert check(dataset(*texts[:2], unicode_form='NFC'), module_loss()) == []


@pytest.mark.parametrize(
    'token, fate', [('<UKN>', 'as the unknown token'), (None, 'without these characters')]
)
def test_an_unknown_token_makes_it_a_warning(dataset, module_loss, check, token, fate):
    (line,) = check(dataset('ax', 'b'), module_loss(with_unknown=True, unknown_token=token))
    assert line.startswith(
        f'1 of 2 labels have characters outside the dictionary and are trained {fate}'
    )


def test_labels_that_mmocr_cuts_are_a_warning(dataset, module_loss, check):
    loss = module_loss(max_seq_len=6)  # with start and end token, 4 characters
    (line,) = check(dataset('abcd', 'abcda'), loss)
    assert line.startswith('1 of 2 labels are longer than the 4 characters that max_seq_len=6')
    assert "'abcda'" in line
    assert check(dataset('abcdabcd'), module_loss(loss=CTCModuleLoss)) == []


def test_unusable_labels_can_be_skipped(dataset, module_loss, check):
    data = dataset('a', 'ax', 'abcda', 'b', skip_unusable=True)
    (line,) = check(data, module_loss())
    assert '1 of 4 labels have characters' in line and 'Images left out: 2 of 4' in line
    made = [data[i]['data_samples'].gt_text.item for i in range(4)]
    assert (made[0], made[3]) == ('a', 'b') and set(made) == {'a', 'b'}
    # An unknown token makes what is unknown usable.
    data = dataset('a', 'ax', skip_unusable=True)
    check(data, module_loss(with_unknown=True))
    assert data[1]['data_samples'].gt_text.item == 'ax'
    with pytest.raises(ValueError, match='no label is left. 2 of 2'):
        check(dataset('x', 'y', skip_unusable=True), module_loss())


@pytest.mark.parametrize('persistent', [False, True])
def test_what_mmengines_loop_has_loaded_before_is_loaded_anew(dataset, module_loss, persistent):
    data = dataset('a', 'ax', 'b', skip_unusable=True)
    loader = DataLoader(
        data,
        batch_size=3,
        num_workers=1,
        persistent_workers=persistent,
        collate_fn=lambda items: [x['data_samples'].gt_text.item for x in items],
    )
    loop = SimpleNamespace(
        dataloader=loader, dataloader_iterator=_InfiniteDataloaderIterator(loader)
    )
    while loop.dataloader_iterator._iterator._worker_result_queue.empty():
        time.sleep(0.01)  # until the worker has loaded what is no longer wanted
    decoder = SimpleNamespace(module_loss=module_loss())
    LabelCheckHook().before_train(
        SimpleNamespace(
            model=SimpleNamespace(decoder=decoder),
            train_dataloader=loader,
            train_loop=loop,
            logger=logging.getLogger('labels'),
        )
    )
    first, unknown, last = next(loop.dataloader_iterator)
    assert (first, last) == ('a', 'b') and unknown in 'ab'
    reload_data(SimpleNamespace(dataloader=loader))  # one that does not start so early


def test_a_pipeline_that_changes_the_labels_is_not_judged_by_the_annotations(
    dataset, module_loss, check
):
    states = random.getstate(), torch.get_rng_state()
    assert check(dataset('a?', 'b', pipeline=[LOAD, TEXT, Clean(), PACK]), module_loss()) == []
    assert random.getstate() == states[0] and torch.equal(torch.get_rng_state(), states[1])


@pytest.mark.parametrize(
    'instances, found',
    [
        (
            [dict(bbox=[0, 0, 1, 1], polygon=[0, 0, 1, 0, 1, 1])],
            "1 instances .* keys .'bbox', 'poly",
        ),
        ([dict(text='a'), dict(text='b')], '2 instances'),
    ],
)
def test_annotations_of_another_task_are_an_error(dataset, module_loss, check, instances, found):
    with pytest.raises(
        ValueError, match=f'got 2 of 2 images without, such as .*a.png with {found}'
    ):
        check(dataset('a', 'b', instances=instances), module_loss())


@pytest.fixture
def large(tmp_path, monkeypatch):
    """Makes a dataset of an LMDB of which two of six labels are looked at: the first is one."""

    def make(*texts, pipeline=(LOAD, TEXT, PACK), **kwargs):
        source = dict(type='mmocr.RecogLMDBDataset', ann_file=write_lmdb(tmp_path / 'lmdb', texts))
        return DATASETS.build(
            dict(type='mmocr_da.SeededDataset', datasets=source, pipeline=list(pipeline), **kwargs)
        )

    monkeypatch.setattr(label_texts, 'MOST_READ', 2)
    monkeypatch.setattr(label_texts, 'stratified', lambda size, most: [0, 3])
    return make


def text_of(item):
    return item['data_samples'].gt_text.item


WORDS = ('a', 'ax', 'abcda', 'b', 'c', 'd')


def check_left_out(texts):
    """The labels of WORDS that can be learned stay, and take the place of the other two."""
    usable = ['a', 'b', 'c', 'd']
    assert [texts[i] for i in (0, 3, 4, 5)] == usable and {*texts[1:3]} <= {*usable}


def test_labels_that_are_not_looked_at_are_left_out_when_they_are_drawn(large, module_loss, check):
    data = large(*WORDS, skip_unusable=True)
    assert [text_of(data[i]) for i in range(6)] == list(WORDS)
    assert check(data, module_loss()) == [] and data.checks_labels
    check_left_out([text_of(data[i]) for i in range(6)])
    found = [data[1]['data_samples'].notes, data[4]['data_samples'].get('notes')]
    assert {kind for kind, _ in found[0]} == {UNUSABLE} and found[1] is None
    first, *others = (path[-1] for _, path in found[0])
    assert first == '2' and others in ([], ['3'])


def test_the_message_says_how_many_were_looked_at(large, module_loss, check):
    data = large('ax', *WORDS[1:], skip_unusable=True)
    (line,) = check(data, module_loss())
    assert '1 of 2 labels have characters' in line
    assert 'Images left out: 1 of 2; the other 4 labels are looked at when they are drawn' in line
    assert {text_of(data[i]) for i in range(6)} <= {'b', 'c', 'd'}


def test_what_is_left_out_depends_on_the_label_that_the_pipeline_makes(large, module_loss, check):
    data = large(
        'a', 'a?', 'b', 'c', 'b?x', 'd', pipeline=[LOAD, TEXT, Clean(), PACK], skip_unusable=True
    )
    assert check(data, module_loss()) == []
    texts = [text_of(data[i]) for i in range(6)]
    assert [texts[i] for i in (0, 1, 2, 3, 5)] == ['a', 'a', 'b', 'c', 'd'] and texts[4] in 'abcd'


def test_they_stay_if_they_are_not_to_be_left_out_or_can_be_learned(large, module_loss, check):
    data = large(*WORDS)
    assert check(data, module_loss()) == [] and not data.checks_labels
    assert text_of(data[1]) == 'ax'


def test_an_unknown_token_makes_what_is_unknown_usable(large, module_loss, check):
    data = large(*WORDS, skip_unusable=True)
    check(data, module_loss(with_unknown=True))
    texts = [text_of(data[i]) for i in range(6)]
    assert texts[1] == 'ax' and texts[2] in (*WORDS[:2], *WORDS[3:])


def test_nothing_but_unusable_labels_is_an_error(large, module_loss, check):
    data = large(*['a', 'x', 'x'] * 2, skip_unusable=True)
    check(data, module_loss())
    data.datasets[0].get_subset_([1, 1, 1, 1, 1, 1])
    with pytest.raises(RuntimeError, match='6 of 6 images were tried.*6 of them have labels'):
        data[0]


def test_workers_leave_them_out_too(large, module_loss, check):
    data = large(*WORDS, skip_unusable=True)
    check(data, module_loss())
    for dataset in (data, pickle.loads(pickle.dumps(data))):  # as a fork and a spawn do
        loader = DataLoader(dataset, batch_size=None, num_workers=2)
        check_left_out([text_of(item) for item in loader])
