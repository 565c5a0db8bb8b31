import shutil

import cv2
import numpy as np
import pytest
import torch
from helpers.pages import parsed
from helpers.recognizers import WORDS
from mmengine.config import Config

from mmocr_da.adaptation import Request, comparison
from mmocr_da.adaptation.comparison import compare, compared_items, ignored, labels_of_eval


@pytest.fixture
def request_for(tiny):
    root = tiny()

    def make(**changes):
        given = dict(
            config=str(root / 'tiny.py'),
            checkpoint=str(root / 'tiny.pth'),
            target=(str(root / 'target'),),
        )
        return Request(**dict(given, **changes))

    return make


def test_a_seed_decides_which_images_are_compared(request_for, monkeypatch):
    monkeypatch.setattr(comparison, 'COMPARED', 5)

    def paths(seed):
        items, labels = compared_items(request_for(seed=seed))
        assert labels == [None] * 5
        return [item['img_path'] for item in items]

    assert paths(0) == paths(0) != paths(1) and len(set(paths(0))) == 5


def test_labelled_images_are_compared_once_and_have_their_labels(request_for, tmp_path):
    rows = ''.join(f'deep/er/{i}.png\tword {i}\n' for i in (2, 7))
    (tmp_path / 'labels.tsv').write_text(rows)
    items, labels = compared_items(request_for(eval_labels=str(tmp_path / 'labels.tsv')))
    assert len(items) == len({item['img_path'] for item in items}) == len(WORDS)
    assert [(item['img_path'][-5:], label) for item, label in zip(items, labels) if label] == [
        ('2.png', 'word 2'),
        ('7.png', 'word 7'),
    ]


def test_broken_images_are_left_out(request_for, tiny, tmp_path):
    shutil.copytree(tiny() / 'target/deep/er', tmp_path / 'images')
    (tmp_path / 'images' / '3.png').write_text('no image')
    items, _ = compared_items(request_for(target=(str(tmp_path / 'images'),)))
    assert len(items) == len(WORDS) - 1


def test_images_of_an_lmdb_are_compared(request_for, toy_lmdb, tiny, tmp_path):
    request = request_for(target=(str(toy_lmdb),))
    change, page = compare(request, tiny() / 'tiny.py', tiny() / 'tiny.pth', tmp_path)
    assert change.changed == [] and len(change.paths) == 6
    assert 'No prediction changed' in page


@pytest.mark.parametrize('start', ['target', 'table', 'current'])
def test_paths_of_labels_start_at_the_target_at_their_table_or_here(
    request_for, tiny, tmp_path, monkeypatch, start
):
    folder = tiny() / 'target' / 'deep'
    table = tmp_path / 'labels.tsv'
    if start == 'table':
        shutil.copytree(folder / 'er', tmp_path / 'er')
        folder = tmp_path
    if start == 'current':
        monkeypatch.chdir(folder)
    target = tiny() / ('target/deep' if start == 'target' else 'source')
    table.write_text('er/0.png\ta\ner/1.png\tb\n')
    labels = labels_of_eval(request_for(target=(str(target),), eval_labels=str(table)))
    assert labels == {str(folder / 'er/0.png'): 'a', str(folder / 'er/1.png'): 'b'}


@pytest.mark.parametrize(
    'rows, message',
    [
        ('no/such.png\ta\n', "got 'no/such.png', which is in none of them"),
        ('deep/er/0.png\n', '--eval needs rows path<TAB>text, got line 1'),
        ('deep/er/0.png\ta\n', '--eval needs labels of at least 2 images, got 1'),
        ('', 'got the empty file'),
    ],
)
def test_wrong_labels_are_an_error(request_for, tmp_path, rows, message):
    (tmp_path / 'labels.tsv').write_text(rows)
    with pytest.raises(ValueError, match=message):
        labels_of_eval(request_for(eval_labels=str(tmp_path / 'labels.tsv')))


@pytest.mark.parametrize(
    'characters, case, symbols',
    [('0123abc', True, True), ('abAB', False, True), ('abAB!', False, False), ('a-', True, False)],
)
def test_what_the_alphabet_lacks_does_not_count(tmp_path, characters, case, symbols):
    (tmp_path / 'dict.txt').write_text('\n'.join(characters))
    dictionary = dict(type='Dictionary', dict_file=str(tmp_path / 'dict.txt'), with_padding=True)
    cfg = Config(dict(model=dict(decoder=dict(dictionary=dictionary))))
    assert ignored(cfg) == dict(ignore_case=case, ignore_symbols=symbols)


def test_the_same_recognizer_changes_nothing_and_the_page_says_so(request_for, tiny, tmp_path):
    (tmp_path / 'labels.tsv').write_text('deep/er/0.png\t12\ndeep/er/1.png\t345\n')
    (tmp_path / 'words.txt').write_text('12\n345\n')
    request = request_for(
        eval_labels=str(tmp_path / 'labels.tsv'),
        source=('rendered',),
        lexicon=str(tmp_path / 'words.txt'),
    )
    change, page = compare(request, tiny() / 'tiny.py', tiny() / 'tiny.pth', tmp_path)
    assert change.changed == [] and change.scores.num == 2
    assert change.scores.accuracy_difference == (0, 0, 0)
    assert change.lexicon == {'12', '345'}
    np.testing.assert_array_equal(change.before.confidences, change.after.confidences)
    assert 'No prediction changed' in parsed(tmp_path / 'adaptation.html').text
    assert 'No prediction changed' in page and 'TextRecInferencer' in page


def images(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        cv2.imwrite(str(folder / name), np.zeros((8, 20), np.uint8))
    return str(folder)


def test_labels_belong_to_the_images_of_their_own_folder(request_for, tmp_path):
    # As in ICDAR 2015, whose images to train and to test with have the same names.
    names = 'word_1.png', 'word_2.png'
    target, test = images(tmp_path / 'train', *names), images(tmp_path / 'test', *names)
    table = tmp_path / 'test' / 'gt.tsv'
    table.write_text('word_1.png\ta\nword_2.png\tb\n')
    labels = labels_of_eval(request_for(target=(target,), eval_labels=str(table)))
    assert labels == {f'{test}/word_1.png': 'a', f'{test}/word_2.png': 'b'}


def test_a_label_of_two_target_images_is_an_error(request_for, tmp_path):
    names = 'word_1.png', 'word_2.png'
    targets = images(tmp_path / 'one', *names), images(tmp_path / 'two', *names)
    table = tmp_path / 'gt.tsv'
    table.write_text('word_1.png\ta\nword_2.png\tb\n')
    with pytest.raises(ValueError, match='one image in each row, .*one/word_1.*two/word_1'):
        labels_of_eval(request_for(target=targets, eval_labels=str(table)))


def test_the_start_may_be_a_checkpoint_of_a_training(request_for, tiny, tmp_path):
    file = tmp_path / 'iter_3.pth'
    checkpoint = torch.load(tiny() / 'tiny.pth')
    checkpoint['state_dict']['objectives.self_training.teacher.x'] = torch.ones(2)
    torch.save(checkpoint, file)
    request = request_for(checkpoint=str(file))
    change, _ = compare(request, tiny() / 'tiny.py', tiny() / 'tiny.pth', tmp_path)
    assert change.changed == []


def test_the_unicode_form_is_that_of_the_metric(tiny):
    cfg = Config.fromfile(tiny() / 'tiny.py')
    assert 'unicode_form' not in ignored(cfg)
    metric = dict(type='mmocr_da.TextErrorMetric', unicode_form='NFC')
    for evaluator in (metric, [metric], dict(type='MultiDatasetsEvaluator', metrics=[metric])):
        cfg.test_evaluator = evaluator
        assert ignored(cfg)['unicode_form'] == 'NFC'
