import pickle

import cv2
import numpy as np
import pytest
from helpers.pages import parsed


def dump(path, texts, images, labels=None, score=0.5):
    samples = [
        dict(img_path=str(image), pred_text=dict(item=text, score=[score] * len(text)))
        for image, text in zip(images, texts)
    ]
    for sample, label in zip(samples, labels or ()):
        sample['gt_text'] = dict(item=label)
    path.write_bytes(pickle.dumps(samples))
    return path


@pytest.fixture
def images(tmp_path):
    for domain in ('source', 'target'):
        (tmp_path / domain).mkdir()
    files = [tmp_path / f'{domain}/{i}.png' for domain in ('source', 'target') for i in range(3)]
    for file in files:
        cv2.imwrite(str(file), np.random.default_rng(0).integers(0, 255, (9, 30, 3), np.uint8))
    return files


@pytest.fixture
def compare(run_tool, tmp_path, capsys):
    def run(*arguments):
        folder = tmp_path / 'out'
        run_tool('analysis_tools/compare_predictions', *arguments, '--out-dir', folder)
        return capsys.readouterr().out

    return run


def test_the_page_of_two_test_runs(compare, images, tmp_path):
    labels = ['a', 'b', 'c', 'one', 'two', 'six']
    before = dump(tmp_path / 'b.pkl', ['a', 'b', 'c', 'one', 'x', 'y'], images, labels)
    after = dump(tmp_path / 'a.pkl', labels[:5] + ['z'], images, labels)
    page = compare(before, after)
    assert '6 of 6 images have a label' in page and '2 of 6 predictions changed' in page
    assert '1 words were wrong and are right now; 0 were right' in page
    html = parsed(tmp_path / 'out/adaptation.html')
    assert '2 of 6 predictions changed' in html.text and len(html.pictures) == 1 + 2
    page = compare(before, after, '--only', 'target/')
    assert '3 of 3 images have a label' in page and '| 33.3 (' in page and '| 66.7 (' in page


def test_images_without_labels_or_files_have_a_page_too(compare, images, tmp_path):
    lexicon = tmp_path / 'words.txt'
    lexicon.write_text('\ufeffone\n\ntwo \n', encoding='utf-8')
    places = ['image-0', 'image-1']
    before, after = (
        dump(tmp_path / f'{text}.pkl', [text] * 2, places, ['', '']) for text in ('One', 'two')
    )
    with pytest.raises(ValueError, match='2 of 2 that are not there, such as image-0; .* --num 0'):
        compare(before, after)
    options = ['--num', 0, '--lexicon', lexicon]
    page = compare(before, after, *options)
    assert 'have a label' not in page
    assert parsed(tmp_path / 'out/adaptation.html').pictures == []
    assert '| words of the lexicon, %                    | 0.0    | 100.0' in page
    assert '| 100.0  | 100.0' in compare(before, after, *options, '--ignore-case')


def test_an_accent_as_a_mark_of_its_own_counts_unless_a_form_is_given(compare, images, tmp_path):
    """The same six letters, composed in the predictions and decomposed in the labels."""
    before, after = (
        dump(tmp_path / f'{name}.pkl', [text] * 6, images, ['e\u0301'] * 6)
        for name, text in (('b', 'x'), ('a', '\u00e9'))
    )
    assert '0 words were wrong and are right now' in compare(before, after, '--num', 0)
    page = compare(before, after, '--num', 0, '--unicode-form', 'NFC')
    assert '6 words were wrong and are right now' in page


def test_a_test_run_of_the_toy_is_read(load_tool, toy, trained, run_tool, tmp_path):
    tool = load_tool('analysis_tools/compare_predictions')
    run_tool('test', toy, trained / 'iter_2.pth', '--work-dir', tmp_path, '--save-preds')
    file = str(tmp_path / 'iter_2.pth_predictions.pkl')
    paths, predictions, labels = tool.read_predictions(file)
    dumped = pickle.loads((tmp_path / 'iter_2.pth_predictions.pkl').read_bytes())
    assert predictions.texts == [sample['pred_text']['item'] for sample in dumped]
    assert len(paths) == len(dumped) and {'12', '345'} <= {*labels}
    target = tool.read_predictions(file, 'target_')
    assert target[0] == [path for path in paths if 'target_' in path] and 0 < len(target[0]) < 12


@pytest.mark.parametrize(
    'content, options, message',
    [
        (None, [], 'must be a file of tools/test.py --save-preds, got .*b.pkl'),
        ([1], [], 'must hold the predictions of a text recognizer'),
        ([dict(pred_text={})], [], "is 'img_path' in the meta_keys"),
        ([], ['--num', -1], '--num must be an integer of at least 0'),
        ([], [], '--only must be a part of the paths'),
    ],
)
def test_what_cannot_be_compared_is_an_error(compare, images, tmp_path, content, options, message):
    before, after = tmp_path / 'b.pkl', dump(tmp_path / 'a.pkl', 'abcdef', images)
    if content is not None:
        before.write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match=message):
        compare(before, after, *options)


def test_other_images_are_an_error(compare, images, tmp_path):
    before = dump(tmp_path / 'b.pkl', 'abcdef', images)
    for others, message in (
        (images[:4], 'got 6 and 4, of which number 4 is .*target/1.png and none'),
        (images[::-1], 'got 6 and 6, of which number 0 is .*source/0.png and .*target/2.png'),
    ):
        with pytest.raises(ValueError, match=message):
            compare(before, dump(tmp_path / 'a.pkl', 'abcdef', others))


def test_a_file_of_the_user_stays(compare, images, tmp_path):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out/adaptation.html').write_text('mine')
    with pytest.raises(ValueError, match='was not written by compare_predictions'):
        compare(tmp_path / 'none.pkl', tmp_path / 'none.pkl')
    assert (tmp_path / 'out/adaptation.html').read_text() == 'mine'
