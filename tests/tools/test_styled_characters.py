"""The converter of characters in many styles: reproducible, balanced, no font in both splits."""

import importlib
import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.files import hashes

FOLDER = Path(__file__).parents[2] / 'tools/dataset_converters'


@pytest.fixture(scope='module')
def converter():
    """With the fonts of matplotlib, which are always there."""
    import matplotlib

    fonts = Path(matplotlib.get_data_path()) / 'fonts' / 'ttf'
    files = [
        fonts / f'{name}.ttf'
        for name in ('DejaVuSans', 'DejaVuSerif', 'STIXGeneral', 'cmr10', 'cmss10')
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        module = importlib.import_module('styled_characters')
        patch.setattr(module, 'font_files', lambda path=None: files)
        yield module


@pytest.fixture
def convert(converter, tmp_path):

    def run(*options, out='data'):
        converter.main(
            [
                '--out-dir',
                str(tmp_path / out),
                '--num-train',
                '30',
                '--num-test',
                '12',
                *map(str, options),
            ]
        )
        return tmp_path / out

    return run


@pytest.fixture(scope='module')
def faces(converter):
    return {
        face.name: face for face in converter.load_faces(converter.font_files(), converter.ALPHABET)
    }


def test_a_seed_gives_the_same_files_and_another_seed_others(convert):
    first, again, other = convert(), convert(out='b'), convert('--seed', 1, out='c')
    assert hashes(first) == hashes(again)
    images = [
        {h for name, h in hashes(folder).items() if name.endswith('.png')}
        for folder in (first, other)
    ]
    assert len(images[0]) == 42 and not images[0] & images[1]


def test_asking_for_more_images_leaves_the_first_as_they_are(convert):
    few, more = hashes(convert()), hashes(convert('--num-train', 40, out='b'))
    assert {name: h for name, h in few.items() if '.png' in name}.items() <= more.items()


def test_every_annotation_has_its_image_of_one_character(convert, converter):
    out = convert()
    for split, count in (('train', 30), ('test', 12)):
        entries = json.loads((out / f'textrecog_{split}.json').read_text())['data_list']
        assert len(entries) == count
        for entry in entries:
            (text,) = (instance['text'] for instance in entry['instances'])
            assert len(text) == 1 and text in converter.ALPHABET
            assert cv2.imread(str(out / entry['img_path']), -1).shape == (32, 32, 3)


def test_no_font_family_is_in_both_splits_and_relatives_are_one_family(converter, faces):
    families = converter.split_families(faces.values())
    names = {
        split: [[face.name for face in family] for family in families[split]] for split in families
    }
    assert names == dict(
        train=[['DejaVuSans', 'DejaVuSerif'], ['STIXGeneral']], test=[['cmr10', 'cmss10']]
    )


def test_classes_cases_and_families_are_equally_frequent(converter, faces, monkeypatch, tmp_path):
    drawn = []
    monkeypatch.setattr(converter, 'draw', lambda face, char, rng: drawn.append((face.name, char)))
    monkeypatch.setattr(converter.cv2, 'imwrite', lambda *args: True)
    families = converter.split_families(faces.values())['train']
    converter.write_split(tmp_path, 'train', 7200, families, seed=0)
    fonts = Counter(name for name, _ in drawn)
    assert fonts['STIXGeneral'] == pytest.approx(3600, rel=0.05)
    assert fonts['DejaVuSans'] == pytest.approx(1800, rel=0.1)
    classes = Counter(char.lower() for _, char in drawn)
    assert sorted(classes) == sorted(converter.CLASSES)
    assert 140 < min(classes.values()) and max(classes.values()) < 260  # 200 each
    upper = sum(char.isupper() for _, char in drawn)
    assert upper == pytest.approx(sum(char.islower() for _, char in drawn), rel=0.1)


def test_styles_vary_in_what_instance_norm_removes(converter, faces):
    """Brightness, contrast and polarity differ from image to image."""
    images = np.stack(
        [converter.draw(faces['DejaVuSans'], 'B', np.random.default_rng(i)) for i in range(200)]
    ).astype(float)
    means, deviations = images.mean((1, 2, 3)), images.mean(3).std((1, 2))
    assert np.quantile(means, 0.9) - np.quantile(means, 0.1) > 80
    assert np.quantile(deviations, 0.9) > 2 * np.quantile(deviations, 0.1)
    # The corners are background mostly.
    lighter = images[:, :3, :3].mean((1, 2, 3)) > images[:, 8:24, 8:24].mean((1, 2, 3))
    assert 0.6 < lighter.mean() < 0.9
    colours = images.mean((1, 2))
    assert np.ptp(colours, axis=1).mean() > 10


def test_the_character_covers_its_own_form(converter, faces):
    """The mean cover of a character is most like that character, whatever is done to it."""
    chars = '2478ABKRXaehn'
    means = {}
    for char in chars:
        covers = [
            converter.cover(faces['DejaVuSans'], char, np.random.default_rng(i)) for i in range(40)
        ]
        assert 0 <= min(c.min() for c in covers) and max(c.max() for c in covers) <= 1
        mean = sum(covers)[:, :, 0] / 40
        means[char] = (mean - mean.mean()) / mean.std()
    for char in chars:
        one = np.mean(
            [
                converter.cover(faces['DejaVuSans'], char, np.random.default_rng(i))
                for i in range(100, 130)
            ],
            axis=0,
        )[:, :, 0]
        assert max(chars, key=lambda c: (means[c] * one).sum()) == char


def test_a_second_run_does_nothing_and_other_options_need_force(convert, converter, capsys):
    out = convert()
    before = {path: path.stat().st_mtime_ns for path in out.rglob('*')}
    convert()
    assert 'nothing to do' in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob('*')}
    with pytest.raises(ValueError, match='seed: 0 there, 1 requested.*--force'):
        convert('--seed', 1)
    assert hashes(convert('--seed', 1, '--force')) == hashes(convert('--seed', 1, out='b'))


def test_a_killed_run_leaves_nothing_and_the_next_one_starts_clean(
    convert, converter, monkeypatch, tmp_path
):
    expected = hashes(convert(out='expected'))
    write = converter.save_json

    def killed(path, data_list):
        if 'test' in path.name:
            raise KeyboardInterrupt
        write(path, data_list)

    with monkeypatch.context() as patch:
        patch.setattr(converter, 'save_json', killed)
        with pytest.raises(KeyboardInterrupt):
            convert()
    assert not (tmp_path / 'data').exists()
    assert hashes(convert()) == expected
    assert not (tmp_path / '.data.partial').exists()


def test_data_of_the_other_converter_are_left_alone(convert, tmp_path):
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data' / 'complete.json').write_text('{"version": 1, "seed": 0}')
    with pytest.raises(ValueError, match='another converter'):
        convert('--force')
    assert len(list((tmp_path / 'data').iterdir())) == 1


def test_too_few_families(convert, converter, monkeypatch):
    files = converter.font_files()[:3]
    monkeypatch.setattr(converter, 'font_files', lambda path=None: files)
    with pytest.raises(ValueError, match='needs 3 families.* got 2;.*--fonts'):
        convert()


def test_the_sheet_is_written(convert):
    sheet = cv2.imread(str(convert('--sheet') / 'contact_sheet.png'))
    assert sheet is not None and sheet.std() > 20
