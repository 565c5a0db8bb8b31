"""What an adaptation finds out before it starts."""

import cv2
import numpy as np
import pytest
import torch
from helpers.lmdbs import write_lmdb
from helpers.recognizers import WORDS, draw_words, make_recognizer
from mmengine.config import Config

from mmocr_da.adaptation import Request, checks
from mmocr_da.adaptation.checks import Report, check
from mmocr_da.adaptation.compose import compose, output_name
from mmocr_da.adaptation.recognizers import read_recognizer
from mmocr_da.datasets import label_texts


@pytest.fixture
def checked(tiny, tmp_path):
    """Check an adaptation of the tiny recognizer: the report, the dataset, the model."""

    def run(root=None, **changes):
        root = root or tiny()
        given = dict(
            config=str(root / 'tiny.py'),
            checkpoint=str(root / 'tiny.pth'),
            target=(str(root / 'target'),),
        )
        request = Request(**dict(given, **changes))
        recognizer = read_recognizer(request.config)
        file = tmp_path / f'{output_name(recognizer)}.py'
        file.write_text(compose(request, recognizer, 4).text)
        return check(Config.fromfile(file), recognizer.cfg, tmp_path / 'work')

    return run


def found(report, subject):
    return ' '.join(finding for name, finding in report.lines if name == subject)


def test_a_clean_request_is_counted_and_has_one_remark(checked):
    report, dataset, model = checked()
    assert found(report, 'target').startswith(f'{len(WORDS)} images: 0 cannot be read, 0 of one')
    assert 'median size 48 x 24' in found(report, '') and '32 x 16' in found(report, '')
    assert (
        found(report, 'source') == f'{len(WORDS)} labelled images, 0 of them with unusable labels'
    )
    assert 'fits' in found(report, 'checkpoint') and 'GB free' in found(report, 'disk')
    assert len(report.warnings) == 1 and 'only 12 target images' in report.warnings[0]
    assert dataset.domain_sizes == (len(WORDS), len(WORDS))


def test_the_model_has_the_weights_of_the_checkpoint(checked, tiny):
    model = checked()[2]
    weights = torch.load(tiny() / 'tiny.pth')['state_dict']
    assert all(torch.equal(model.state_dict()[key], value) for key, value in weights.items())


def test_broken_blank_wide_and_tall_images_are_counted_and_named(checked, tmp_path):
    folder = tmp_path / 'images'
    draw_words(folder, WORDS[:4])
    (folder / 'broken.png').write_text('no image')
    (folder / 'empty.jpg').write_bytes(b'')
    for name, shape in (('blank', (20, 40, 3)), ('wide', (20, 200, 3)), ('tall', (60, 20, 3))):
        image = np.full(shape, 255, np.uint8)
        if name != 'blank':
            image[5, 5] = 0
        cv2.imwrite(str(folder / f'{name}.png'), image)
    report = checked(target=(str(folder),))[0]
    assert found(report, 'target') == '9 images: 2 cannot be read, 1 of one colour'
    said = '\n'.join(report.warnings)
    assert f'2 target images cannot be read: {folder}/broken.png, {folder}/empty.jpg' in said
    assert f'1 target images show one colour only: {folder}/blank.png' in said
    assert '14% of the target images are more than 2 times as wide' in said
    assert '14% of the target images are more than twice as high' in said


def test_a_folder_of_broken_images_is_an_error(checked, tmp_path):
    for i in range(3):
        (tmp_path / f'{i}.png').write_text('no image')
    with pytest.raises(
        ValueError, match='got 3, of which 3 were tried and none is an image: .*0.png'
    ):
        checked(target=(str(tmp_path),))


def test_an_empty_folder_is_an_error(checked, tmp_path):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ValueError, match='must hold images .* with none in it or below'):
        checked(target=(str(tmp_path / 'empty'),))


def test_characters_of_the_source_that_the_recognizer_lacks_are_named(checked, tiny, tmp_path):
    root = make_recognizer(tmp_path / 'own') if (tmp_path / 'own').mkdir() is None else None
    rows = (root / 'labels.tsv').read_text().replace('\t12\n', '\t1x2\n')
    (root / 'labels.tsv').write_text(rows)
    report = checked(root, source=(str(root / 'labels.tsv'),))[0]
    assert '12 labelled images' in found(report, 'source')
    assert any("'x' (U+0078 LATIN SMALL LETTER X) in 1" in warning for warning in report.warnings)


@pytest.fixture
def own(tmp_path):
    """A recognizer whose images a test may remove."""
    (tmp_path / 'own').mkdir()
    return make_recognizer(tmp_path / 'own')


@pytest.mark.parametrize('source', ['config', 'labels.json', 'labels.tsv'])
def test_source_images_that_cannot_be_read_are_counted_and_named(checked, own, source):
    source = source if source == 'config' else str(own / source)
    report = checked(own, source=(source,))[0]
    assert '0 of them cannot be read' in found(report, '') and len(report.warnings) == 1
    (own / 'source/3.png').unlink()
    (own / 'source/4.png').write_text('no image')
    report = checked(own, source=(source,))[0]
    assert '2 of them cannot be read' in found(report, '')
    assert any(
        f'2 of 12 source images cannot be read, and others take their place: {own}/source/3.png, '
        in warning for warning in report.warnings
    )  # fmt: skip
    for i in range(5, 10):
        (own / f'source/{i}.png').unlink()
    with pytest.raises(
        ValueError, match='got 12, of which 12 were tried and 7 cannot be read: .*/3.png.* correct'
    ):
        checked(own, source=(source,))


def test_of_many_source_images_some_are_looked_at(checked, tmp_path, monkeypatch):
    monkeypatch.setattr(checks, 'LOOKED_AT', 4)
    path = write_lmdb(tmp_path / 'lmdb', WORDS)
    report = checked(source=(path, 'rendered'))[0]
    assert '0 of 4, spread evenly, cannot be read' in found(report, '')
    assert 'cannot be read' not in found(checked(source=('rendered',))[0], '')


def test_of_a_large_lmdb_some_labels_are_looked_at(checked, tmp_path, monkeypatch):
    monkeypatch.setattr(label_texts, 'MOST_READ', 4)
    monkeypatch.setattr(label_texts, 'stratified', lambda size, most: [0, 3, 5, 7])
    path = write_lmdb(tmp_path / 'lmdb', ['x', *WORDS])
    report, dataset, _ = checked(source=(path,))
    finding = '13 labelled images, 0 of 4, spread evenly, with unusable labels'
    assert found(report, 'source') == finding and dataset.checks_labels
    assert any('1 of 4 labels have characters outside' in warning for warning in report.warnings)


def test_rendered_words_are_those_of_the_lexicon(checked, tmp_path):
    (tmp_path / 'words.txt').write_text('12\n345\nabc\n')
    report = checked(source=('rendered',), lexicon=str(tmp_path / 'words.txt'))[0]
    assert 'of a lexicon with 2 usable words' in found(report, 'source')
    assert 'random strings' in found(checked(source=('rendered',))[0], 'source')


def test_rendered_words_beside_other_images_are_counted_apart(checked):
    report, dataset, _ = checked(source=('config', 'rendered'))
    half = dataset.domain_sizes[0] // 2
    assert found(report, 'source').startswith(f'{half} rendered images, random strings')
    assert f'{half} labelled images, 0 of them with unusable labels' in found(report, '')


def test_a_lexicon_without_a_usable_word_is_an_error(checked, tmp_path):
    (tmp_path / 'words.txt').write_text('abc\nxyz\n')
    with pytest.raises(ValueError, match='a lexicon needs words in the alphabet of the recognizer'):
        checked(source=('rendered',), lexicon=str(tmp_path / 'words.txt'))


def test_a_checkpoint_of_another_model_is_an_error(checked, tiny):
    with pytest.raises(ValueError, match='must have all weights of the AdaptiveRecognizer'):
        checked(checkpoint=str(tiny('ctc') / 'tiny.pth'))


def test_weights_that_the_recognizer_lacks_are_a_warning(checked, tiny, tmp_path):
    weights = torch.load(tiny() / 'tiny.pth')['state_dict']
    torch.save(dict(state_dict=dict(weights, **{'neck.w': torch.ones(1)})), tmp_path / 'more.pth')
    report = checked(checkpoint=str(tmp_path / 'more.pth'))[0]
    assert any('has 1 weights that the recognizer of the config lacks: neck.w' in w
               for w in report.warnings)  # fmt: skip


def test_too_little_disk_is_an_error(checked, monkeypatch):
    monkeypatch.setattr('shutil.disk_usage', lambda path: type('', (), dict(free=10))())
    with pytest.raises(ValueError, match='checkpoints need about .* choose another --work-dir'):
        checked()


def test_the_page_has_a_line_for_each_finding():
    report = Report([('target', '3 images'), ('', 'small')], ['few'])
    lines = ['Title', '', 'target      3 images', '            small', 'WARNING     few']
    assert report.text('Title').splitlines() == lines
