"""The converter of the default data: reproducible, whole or not there, without target labels."""

import importlib
import json
import re
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.files import hashes

PATH = Path(__file__).parents[2] / 'tools/dataset_converters/printed_to_handwritten.py'
SMALL = [
    '--num-source',
    '12',
    '--num-source-test',
    '5',
    '--num-target',
    '9',
    '--num-target-val',
    '4',
    '--num-target-test',
    '6',
]
JSONS = {
    'source/textrecog_train.json': 12,
    'source/textrecog_test.json': 5,
    'target/textrecog_train.json': 9,
    'target/textrecog_val.json': 4,
    'target/textrecog_test.json': 6,
}


@pytest.fixture(scope='module')
def converter():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(PATH.parent)
        yield importlib.import_module('printed_to_handwritten')


@pytest.fixture(scope='module', autouse=True)
def few_fonts(converter):
    """The fonts of matplotlib, which is always there, and no drawing of what is not looked at."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / 'fonts' / 'ttf'
    files = sorted(folder.glob('DejaVuS*.ttf')) + [folder / 'cmsy10.ttf', folder / 'cmr10.ttf']
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(converter, 'font_files', lambda path=None: files)
        yield


@pytest.fixture
def convert(converter, tmp_path):

    def run(*options, out='data'):
        converter.main(['--out-dir', str(tmp_path / out), *SMALL, *map(str, options)])
        return tmp_path / out

    return run


def entries(path):
    return json.loads(path.read_text())['data_list']


def labels(path):
    return [entry['instances'][0]['text'] for entry in entries(path)]


def test_a_seed_gives_the_same_files_and_another_seed_others(convert):
    first, again, other = convert(), convert(out='b'), convert('--seed', 1, out='c')
    assert hashes(first) == hashes(again)
    images = [
        {h for name, h in hashes(folder).items() if name.endswith('.png')}
        for folder in (first, other)
    ]
    assert not images[0] & images[1]


def test_asking_for_more_images_leaves_the_first_as_they_are(convert):
    few, more = hashes(convert()), hashes(convert('--num-source', 20, out='b'))
    assert {name: h for name, h in few.items() if '.png' in name}.items() <= more.items()


def test_every_annotation_has_its_image_and_every_split_its_size(convert):
    out = convert()
    for name, count in JSONS.items():
        listed = entries(out / name)
        assert len(listed) == count
        for entry in listed:
            image = cv2.imread(str(out / name.split('/')[0] / entry['img_path']), -1)
            assert image.dtype == np.uint8 and image.ndim == 2 and image.shape[0] == 32


def test_the_targets_training_file_has_no_text(convert):
    out = convert()
    content = (out / 'target/textrecog_train.json').read_text()
    assert all(set(entry) == {'img_path'} for entry in entries(out / 'target/textrecog_train.json'))
    assert 'text"' not in content and 'instances' not in content
    assert not (out / 'target/textrecog_train_labelled.json').exists()


def test_its_labels_are_written_on_demand_and_change_nothing_else(convert):
    plain, labelled = convert(), convert('--with-target-train-labels', out='b')
    more = set(hashes(labelled).items()) - set(hashes(plain).items())
    assert {name for name, _ in more} == {
        '.mmocr_da.json',
        'complete.json',
        'target/textrecog_train_labelled.json',
    }
    texts = labels(labelled / 'target/textrecog_train_labelled.json')
    assert len(texts) == 9 and all(re.fullmatch(r'\d{3,6}', text) for text in texts)


def test_lengths_and_digits_are_uniform(converter):
    rng = np.random.default_rng(0)
    texts = [converter.draw_text(rng, (3, 6), None) for _ in range(4000)]
    lengths = Counter(map(len, texts))
    assert sorted(lengths) == [3, 4, 5, 6] and min(lengths.values()) > 900
    digits = Counter(''.join(texts))
    assert len(digits) == 10 and min(digits.values()) > 0.09 * sum(digits.values())


def test_no_handwritten_digit_is_in_two_splits_and_each_class_is_in_all(converter):
    from sklearn.datasets import load_digits

    pools = converter.split_handwritten_digits()
    counts = {split: sum(map(len, pool.values())) for split, pool in pools.items()}
    assert sum(counts.values()) == 1797 and counts['train'] > counts['test'] > counts['val'] > 100
    assert all(len(pool[str(d)]) >= 15 for pool in pools.values() for d in range(10))
    pictures = [ink.tobytes() for pool in pools.values() for inks in pool.values() for ink in inks]
    originals = {image.astype(np.float32).tobytes() for image in load_digits().images}
    assert len(originals) == 1797  # so equal pictures would be the same digit
    assert len(set(pictures)) > 1790  # a column of empty pixels aside


def test_a_handwritten_string_shows_the_digits_of_its_label(converter):
    """Each column block of the image comes from a digit of that class."""
    ink = {str(d): [np.full((8, 4), d / 10 + 0.05, np.float32)] for d in range(10)}
    asked = []

    class Pool(dict):
        def __getitem__(self, key):
            asked.append(key)
            return super().__getitem__(key)

    converter.Target(Pool(ink))('907', np.random.default_rng(0))
    assert [a for a, b in zip(asked, asked[1:] + [None]) if a != b] == ['9', '0', '7']


def test_both_domains_are_dark_on_light(convert):
    out = convert()
    for path in out.rglob('*.png'):
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).astype(float)
        border = np.concatenate([image[:2].ravel(), image[-2:].ravel()])
        assert image.min() < border.mean() - 60, path


def test_a_second_run_does_nothing(convert, converter, monkeypatch, capsys):
    out = convert()
    before = {path: path.stat().st_mtime_ns for path in out.rglob('*')}
    monkeypatch.setattr(converter, 'convert', None)  # would fail if it were called
    convert()
    assert 'nothing to do' in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob('*')}


def test_a_killed_run_leaves_nothing_and_the_next_one_starts_clean(
    convert, converter, monkeypatch, tmp_path
):
    expected = hashes(convert(out='expected'))
    write = converter.save_json

    def killed(path, data_list):
        if 'val' in path.name:
            raise KeyboardInterrupt
        write(path, data_list)

    with monkeypatch.context() as patch:
        patch.setattr(converter, 'save_json', killed)
        with pytest.raises(KeyboardInterrupt):
            convert()
    assert not (tmp_path / 'data').exists()
    (tmp_path / '.data.partial').mkdir()
    (tmp_path / '.data.partial' / 'rest').write_text('of a run that was killed at once')
    assert hashes(convert()) == expected
    assert not (tmp_path / '.data.partial').exists()


def test_other_data_are_not_overwritten_unless_told_to(convert):
    out = convert()
    with pytest.raises(ValueError, match='seed: 0 there, 1 requested.*--force'):
        convert('--seed', 1)
    before = hashes(out)
    convert('--seed', 1, '--force')
    assert hashes(out) != before


def test_a_folder_of_someone_else_is_left_alone(convert, tmp_path):
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data' / 'thesis.tex').write_text('precious')
    with pytest.raises(ValueError, match='not written by this converter'):
        convert('--force')
    assert (tmp_path / 'data' / 'thesis.tex').read_text() == 'precious'


def test_a_lexicon_of_words_gives_a_source(convert, tmp_path):
    (tmp_path / 'words.txt').write_text('cat\n\ndog\n')
    out = convert('--lexicon', tmp_path / 'words.txt', '--num-target', 0)
    assert set(labels(out / 'source/textrecog_train.json')) <= {'cat', 'dog'}
    assert not (out / 'target').exists()
    with pytest.raises(ValueError, match="a lexicon of digits, got one with 'acdgot'"):
        convert('--lexicon', tmp_path / 'words.txt', out='b')


def test_a_lexicon_of_digits_gives_both_domains(convert, tmp_path):
    (tmp_path / 'words.txt').write_text('1234\n77\n')
    out = convert('--lexicon', tmp_path / 'words.txt')
    assert set(labels(out / 'target/textrecog_test.json')) <= {'1234', '77'}


def test_symbol_fonts_and_doubles_are_left_out(converter):
    files = converter.font_files()
    faces = [face.name for face in converter.load_faces(files * 2, '0123456789')]
    assert len(faces) == len(set(faces))
    assert 'cmr10' in faces and 'DejaVuSans' in faces
    assert not {'cmsy10', 'DejaVuSansDisplay'} & set(faces)  # symbols; no digits
    # A font without these letters is not used for them.
    assert 'cmr10' not in [face.name for face in converter.load_faces(files, 'жщ')]


def test_a_printed_digit_looks_most_like_the_same_digit_of_its_font(converter):
    face = next(
        face
        for face in converter.load_faces(converter.font_files(), converter.DIGITS)
        if face.name == 'DejaVuSans'
    )
    rng = np.random.default_rng(0)

    def form(ink):
        ink = cv2.resize(converter.tight(ink)[2:-2], (12, 20), interpolation=cv2.INTER_AREA)
        return ink - ink.mean()

    for char in converter.DIGITS[2:]:
        # The mean of many, since each is bent at random.
        printed = sum(form(converter.print_glyph(face, char, 24, 0.0, rng)) for _ in range(20))
        alike = {
            c: float((printed * form(face.master(c))).sum() / form(face.master(c)).std())
            for c in converter.DIGITS
        }
        assert max(alike, key=alike.get) == char


def test_the_sheet_is_written(convert):
    sheet = cv2.imread(str(convert('--sheet') / 'contact_sheet.png'))
    assert sheet is not None and sheet.std() > 20


def test_what_the_user_added_stays(convert):
    out = convert('--sheet')
    (out / 'target/textrecog_mine.json').write_text('mine')
    with pytest.raises(ValueError, match=r'such as target/textrecog_mine.json \(1 in all\)'):
        convert('--seed', 1, '--force')
    (out / 'target/textrecog_mine.json').unlink()
    (out / 'contact_sheet.png').write_text('mine')
    with pytest.raises(ValueError, match='contact_sheet.png exists and was not written by printed'):
        convert('--sheet')
    assert (out / 'contact_sheet.png').read_text() == 'mine'


def test_two_at_once_do_not_mix_their_data(convert, converter, monkeypatch):
    write, refused = converter.write_split, []

    def write_and_try_again(*args):
        write(*args)
        monkeypatch.setattr(converter, 'write_split', write)
        with pytest.raises(ValueError, match='data is being written by another process'):
            convert('--seed', 1)
        refused.append(True)

    monkeypatch.setattr(converter, 'write_split', write_and_try_again)
    assert hashes(convert()) == hashes(convert(out='b')) and refused


def test_an_image_that_cannot_be_written_is_an_error(converter, tmp_path):
    with pytest.raises(OSError, match='a.png could not be written'):
        converter.save_image(tmp_path / 'missing/a.png', np.zeros((2, 2), np.uint8))


@pytest.mark.parametrize(
    'options, message',
    [
        (['--length', '4', '3'], '1 <= MIN <= MAX'),
        (['--lexicon', 'EMPTY'], 'one word per line'),
    ],
)
def test_errors_help(convert, tmp_path, options, message):
    (tmp_path / 'empty.txt').write_text('\n')
    options = [str(tmp_path / 'empty.txt') if o == 'EMPTY' else o for o in options]
    with pytest.raises(ValueError, match=message):
        convert(*options)
