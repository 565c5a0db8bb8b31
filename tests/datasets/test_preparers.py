"""Preparation of IAM, RIMES and CVL: archives are checked, texts and splits are official."""

import io
import json
import os
import tarfile
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmocr.datasets import OCRDataset
from mmocr.datasets.preparers import DatasetPreparer
from mmocr.models.common import Dictionary
from mmocr.registry import DATA_OBTAINERS, DATA_PARSERS

import mmocr_da.datasets.preparers  # noqa: F401  registers its parts with MMOCR
from mmocr_da.datasets.preparers.word_parsers import read_lines

BASE = Path(__file__).parents[2] / 'configs/_base_'
IMAGE = np.full((4, 6), 128, np.uint8)
PNG = cv2.imencode('.png', IMAGE)[1].tobytes()
TIFF = cv2.imencode('.tiff', IMAGE)[1].tobytes()
TASK = 'largeWriterIndependentTextLineRecognitionTask.zip'
HEADER = '#--- words.txt ---#\n#\n# iam database word information\n'
LOGIN = b'\n<!DOCTYPE html><html><body>Please log in</body></html>'


def pack(path, files):
    """Write ``{path inside: content}`` as an archive of the type of ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == '.zip':
        with zipfile.ZipFile(path, 'w') as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(path, 'w' if path.suffix == '.tar' else 'w:gz') as archive:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                content = content.encode() if isinstance(content, str) else content
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path


def obtain(tmp_path, **kwargs):
    file = dict(
        names=['words.zip', 'words.tgz', 'words.tar', 'words', 'words.txt'],
        members=r'(?:^|/)(w\d/.+\.png)$',
        to='imgs',
        example='w1/a.png',
        mistaken={r'line\d\.png$': 'lines.tgz'},
    )
    DATA_OBTAINERS.build(
        dict(
            type='mmocr_da.ArchiveObtainer',
            files=[{**file, **kwargs}],
            homepage='https://data.example',
            cache_path=str(tmp_path / 'archives'),
            data_root=str(tmp_path / 'out'),
            task='textrecog',
        )
    )()
    return tmp_path / 'out' / kwargs.get('to', 'imgs')


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file()
    }


# ---------------------------------------------------------------------------- archives


@pytest.mark.parametrize('name', ['words.zip', 'words.tgz', 'words.tar'])
@pytest.mark.parametrize('prefix', ['', './', 'words/', 'x/words/'])
def test_only_what_was_asked_for_is_taken_from_wherever_it_lies(tmp_path, name, prefix):
    pack(
        tmp_path / 'archives' / name,
        {
            f'{prefix}l1/line1.png': b'0',
            f'{prefix}w1/a.png': b'1',
            f'{prefix}w2/b.png': b'2',
            f'{prefix}w2/c.txt': b'3',
            f'__MACOSX/{prefix}w2/._b.png': b'4',
        },
    )
    assert contents(obtain(tmp_path)) == {'w1/a.png': b'1', 'w2/b.png': b'2'}


def test_a_folder_that_was_unpacked_by_hand_will_do(tmp_path):
    for name in ('w1/a.png', 'w1/b.txt', 'notes.png'):
        (tmp_path / 'archives/words' / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / 'archives/words' / name).write_text(name)
    # What is not unpacked may be of a kind that Python does not read.
    (tmp_path / 'archives/words.zip').write_bytes(b'Rar!')
    assert contents(obtain(tmp_path)) == {'w1/a.png': b'w1/a.png'}


def test_a_single_file_is_taken_from_an_archive_or_as_it_is(tmp_path):
    single = dict(members=r'(?:^|/)words\.txt$', to='annotations/all.txt')
    pack(tmp_path / 'a/archives/words.tgz', {'ascii/words.txt': 'x', 'ascii/lines.txt': 'y'})
    assert obtain(tmp_path / 'a', **single).read_text() == 'x'
    (tmp_path / 'b/archives').mkdir(parents=True)
    (tmp_path / 'b/archives/words.txt').write_text('z')
    assert obtain(tmp_path / 'b', **single).read_text() == 'z'


def test_what_was_unpacked_is_used_again_even_without_the_archive(tmp_path, capsys):
    archive = pack(tmp_path / 'archives/words.tgz', {'w1/a.png': b'1'})
    obtain(tmp_path)
    archive.unlink()
    assert contents(obtain(tmp_path)) == {'w1/a.png': b'1'}
    assert 'delete it to have it unpacked again' in capsys.readouterr().out


@pytest.mark.parametrize('rest', [['.imgs.partial/content/w9/old.png'], ['.imgs.partial/content']])
def test_an_interrupted_run_leaves_nothing_that_counts(tmp_path, rest):
    for path in rest:
        (tmp_path / 'out' / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / 'out' / path).write_bytes(b'half')
    pack(tmp_path / 'archives/words.tgz', {'w1/a.png': b'1'})
    assert contents(obtain(tmp_path)) == {'w1/a.png': b'1'}
    assert os.listdir(tmp_path / 'out') == ['imgs']


def test_an_interruption_while_unpacking_leaves_no_target(tmp_path, monkeypatch):
    pack(tmp_path / 'archives/words.zip', {'w1/a.png': b'1', 'w1/b.png': b'2'})
    with monkeypatch.context() as patch:
        patch.setattr(
            zipfile.ZipFile,
            'read',
            lambda self, info: (
                b'1' if 'a' in info.filename else (_ for _ in ()).throw(KeyboardInterrupt)
            ),
        )
        with pytest.raises(KeyboardInterrupt):
            obtain(tmp_path)
    assert not (tmp_path / 'out/imgs').exists()
    assert contents(obtain(tmp_path)) == {'w1/a.png': b'1', 'w1/b.png': b'2'}


@pytest.mark.parametrize(
    'name, content, message',
    [
        (
            'words.tgz',
            {'l1/line1.png': b'1', 'l1/line2.png': b''},
            'must hold files like w1/a.png, '
            'got l1/line1.png, l1/line2.png, which looks like lines.tgz; get the right file from '
            'https://data.example',
        ),
        ('words.zip', {'lines/line1.png': b'1', 'readme': b''}, 'which looks like lines.tgz'),
        ('words.zip', {'a': b'', 'b': b'', 'c': b'', 'd': b''}, 'got a, b, c; get the right file'),
        ('words.tgz', {}, 'got no file'),
        ('words.tgz', LOGIN, 'got a web page'),
        ('words.txt', LOGIN, 'got a web page'),
        ('words.zip', b'', 'an empty file'),
        ('words.zip', b'Rar!\x1a\x07\x00', 'unrar x'),
        ('words.tgz', b'something else', '14 bytes of something else'),
    ],
)
def test_a_wrong_archive_is_named_for_what_it_is(tmp_path, name, content, message):
    path = tmp_path / 'archives' / name
    if isinstance(content, dict):
        pack(path, content)
    else:
        path.parent.mkdir()
        path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        obtain(tmp_path)
    assert str(path) in str(error.value)
    assert not (tmp_path / 'out/imgs').exists()


@pytest.mark.parametrize('name', ['words.zip', 'words.tgz', 'words.tar'])
def test_an_archive_that_is_cut_off_anywhere_is_refused(tmp_path, name):
    path = tmp_path / 'archives' / name
    noise = np.random.default_rng(0).bytes
    whole = pack(path, {f'w1/{i}.png': noise(600) for i in range(3)}).read_bytes()
    # A tar of files of 600 bytes: heads of 512, contents of 1024; 4608 is between two files.
    cuts = {'words.tar': [512, 1000, 1536, 3072, 4608]}.get(
        name, [30, 500, len(whole) // 2, len(whole) - 30, len(whole) - 1]
    )
    for cut in cuts:
        path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match='cut off or damaged.*download it again'):
            obtain(tmp_path)
        assert not (tmp_path / 'out/imgs').exists()
    path.write_bytes(whole)
    assert len(contents(obtain(tmp_path))) == 3


def test_a_changed_byte_is_noticed(tmp_path):
    path = pack(tmp_path / 'archives/words.zip', {'w1/a.png': b'0123456789' * 9})
    whole = bytearray(path.read_bytes())
    whole[60] ^= 1
    path.write_bytes(whole)
    with pytest.raises(ValueError, match='damaged'):
        obtain(tmp_path)


@pytest.mark.parametrize('name', ['words.zip', 'words.tgz'])
def test_an_archive_cannot_write_outside(tmp_path, name):
    pack(tmp_path / 'archives' / name, {'w1/../../../evil.png': b'1'})
    with pytest.raises(ValueError, match='paths below itself'):
        obtain(tmp_path)
    assert not list(tmp_path.rglob('evil.png'))


def test_links_in_an_archive_have_no_effect(tmp_path):
    (tmp_path / 'archives').mkdir()
    with tarfile.open(tmp_path / 'archives/words.tgz', 'w:gz') as archive:
        link = tarfile.TarInfo('w1/link.png')
        link.type, link.linkname = tarfile.SYMTYPE, '/etc/passwd'
        archive.addfile(link)
        real = tarfile.TarInfo('w1/a.png')
        real.size = 1
        archive.addfile(real, io.BytesIO(b'1'))
    assert contents(obtain(tmp_path)) == {'w1/a.png': b'1'}


def test_all_missing_archives_are_named_before_any_is_unpacked(tmp_path):
    pack(tmp_path / 'archives/a.zip', {'a.png': b'1'})
    files = [
        dict(names=[f'{name}.zip', name], members=r'(.+\.png)$', to=name, example='a.png')
        for name in 'abc'
    ]
    cfg = dict(
        type='mmocr_da.ArchiveObtainer',
        homepage='https://data.example',
        files=files,
        data_root=str(tmp_path / 'out'),
    )
    with pytest.raises(
        ValueError,
        match='does not hold b.zip, c.zip. Get the data '
        'from https://data.example and put the files there',
    ):
        DATA_OBTAINERS.build(dict(cfg, cache_path=str(tmp_path / 'archives')))()
    with pytest.raises(ValueError, match='nowhere.*is no folder: a.zip, b.zip, c.zip'):
        DATA_OBTAINERS.build(dict(cfg, cache_path=str(tmp_path / 'nowhere')))()
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('encoding', ['utf-8', 'cp437', 'cp1252'])
def test_accents_in_a_zip_survive_any_packer(tmp_path, encoding):
    # Of a name of ASCII letters only, the zip keeps the bytes and declares no encoding.
    word = 'Mailüfterl'.encode(encoding)
    placeholder = b'Mail' + b'#' * (len(word) - 9) + b'fterl'
    path = pack(tmp_path / 'archives/words.zip', {f'w1/{placeholder.decode()}.png': b'1'})
    path.write_bytes(path.read_bytes().replace(placeholder, word))
    assert contents(obtain(tmp_path)) == {'w1/Mailüfterl.png': b'1'}


# ---------------------------------------------------------------------------- parsers


def parse(name, img_dir, ann_path, split='train', **kwargs):
    parser = DATA_PARSERS.build(
        dict(type=f'mmocr_da.{name}TextRecogAnnParser', split=split, nproc=1, **kwargs)
    )
    words = parser(str(img_dir), str(ann_path))
    report = json.loads(Path(os.path.dirname(ann_path), f'report_{split}.json').read_text())
    return [(os.path.relpath(path, img_dir), text) for path, text in words], report


def write_images(folder, names, content=PNG):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    'encoded, text',
    [
        ('é œ\nb'.encode(), 'é œ\nb'),
        ('é\r\nb\r\n'.encode('utf-8-sig'), 'é\nb\n'),
        ('é €…\r\nb'.encode('cp1252'), 'é €…\nb'),  # \x85 would end a line for splitlines()
        ('ça'.encode('latin-1'), 'ça'),
        ('e\u0301'.encode(), 'é'),
        ('é\r\nb'.encode('utf-16'), 'é\nb'),
    ],
)
def test_texts_are_read_whatever_their_encoding(tmp_path, encoded, text):
    (tmp_path / 'a.txt').write_bytes(encoded)
    assert read_lines(str(tmp_path / 'a.txt')) == text.split('\n')


IAM_ROWS = {
    'a01-000u-00-00 ok 154 408 768 27 51 AT A': 'A',
    'a01-000u-00-01 ok 154 507 766 213 48 NN # 5': '# 5',
    'a01-000u-00-02 ok 154 1 1 1 1 " "': '"',
    'a01-000u-00-03 ok 154 1 1 1 1 NP B B C': 'B B C',
    'a01-000u-00-04 ok 154 1 1 1 1 AB "don\'t"': '"don\'t"',
}


def iam(tmp_path, rows, lines, ending='\n', **kwargs):
    folder = tmp_path / 'annotations'
    folder.mkdir(exist_ok=True)
    (folder / 'words.txt').write_bytes(
        (HEADER + '\n'.join(rows) + '\n').replace('\n', ending).encode()
    )
    (folder / 'trainset.txt').write_bytes(ending.join(lines).encode())
    kwargs.setdefault('line_sets', ['trainset.txt'])
    return parse('IAM', tmp_path / 'imgs', folder / 'words.txt', **kwargs)


@pytest.mark.parametrize('ending', ['\n', '\r\n'])
def test_the_text_of_iam_is_all_from_the_ninth_field_on(tmp_path, ending):
    names = [f'a01/a01-000u/{row.split()[0]}.png' for row in IAM_ROWS]
    write_images(tmp_path / 'imgs', names)
    words, report = iam(tmp_path, IAM_ROWS, ['a01-000u-00'], ending)
    assert words == list(zip(names, IAM_ROWS.values()))
    assert report == dict(found={'lines in trainset.txt': 1, 'words in words.txt': 5}, skipped={})


def test_words_of_iam_follow_their_line(tmp_path):
    rows = [
        f'{word} ok 154 1 1 1 1 NN {word[-2:]}'
        for word in ('a01-000-00-01', 'a01-000u-00-02', 'a01-000u-01-03', 'b04-000-00-04')
    ]
    write_images(
        tmp_path / 'imgs',
        [
            'a01/a01-000/a01-000-00-01.png',
            'a01/a01-000u/a01-000u-00-02.png',
            'a01/a01-000u/a01-000u-01-03.png',
            'b04/b04-000/b04-000-00-04.png',
        ],
    )
    assert [text for _, text in iam(tmp_path, rows, ['a01-000u-00'])[0]] == ['02']
    assert [text for _, text in iam(tmp_path, rows, ['a01-000u-01', 'a01-000-00 '])[0]] == [
        '01',
        '03',
    ]
    (tmp_path / 'annotations/second.txt').write_text('b04-000-00\n')
    words, report = iam(tmp_path, rows, ['a01-000u-00'], line_sets=['trainset.txt', 'second.txt'])
    assert [text for _, text in words] == ['02', '04']
    assert report['found']['lines in trainset.txt, second.txt'] == 2


def test_badly_segmented_words_of_iam_are_an_option(tmp_path):
    rows = ['a01-000u-00-00 ok 154 1 1 1 1 AT A', 'a01-000u-00-01 err 154 1 1 1 1 AT B']
    write_images(
        tmp_path / 'imgs', ['a01/a01-000u/a01-000u-00-00.png', 'a01/a01-000u/a01-000u-00-01.png']
    )
    words, report = iam(tmp_path, rows, ['a01-000u-00'])
    assert [text for _, text in words] == ['A']
    assert report['skipped'] == {'marked err': ['a01/a01-000u/a01-000u-00-01.png']}
    words, report = iam(tmp_path, rows, ['a01-000u-00'], only_ok=False)
    assert [text for _, text in words] == ['A', 'B'] and report['skipped'] == {}


def test_every_image_that_is_left_out_is_named_with_its_reason(tmp_path):
    rows = [f'a01-000u-00-{i:02d} ok 154 1 1 1 1 AT x' for i in range(5)]
    rows.append('a01-000u-00-05 ok 154 1 1 1 1 AT')
    rows.append('a01-000u-00-06 ok')
    names = [f'a01/a01-000u/a01-000u-00-{i:02d}.png' for i in range(7)]
    write_images(tmp_path / 'imgs', names)
    (tmp_path / 'imgs' / names[1]).write_bytes(b'')
    (tmp_path / 'imgs' / names[2]).unlink()
    (tmp_path / 'imgs' / names[3]).write_bytes(b'no image')
    words, report = iam(tmp_path, rows, ['a01-000u-00'])
    assert [path for path, _ in words] == [names[0], names[4]]
    assert report['skipped'] == {
        'image unreadable': [names[1], names[3]],
        'image missing': [names[2]],
        'no text': names[5:],
    }


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'latin-1'])
def test_rows_of_rimes_are_an_image_and_a_text(tmp_path, encoding):
    names = [f'lot_{i}/0000{i}_L/0000{i}_L_0_0.tiff' for i in range(5)]
    write_images(tmp_path / 'imgs', names[:4], TIFF)
    texts = ['Société', "l'été", '#5', 'a']
    rows = [f'{name} {text}' for name, text in zip(names, texts)]
    rows[3] = rows[3].replace('/', '\\')
    rows = [rows[0], '', names[0], *rows[1:], f'{names[4]} nowhere']
    (tmp_path / 'train.txt').write_bytes('\r\n'.join(rows).encode(encoding))
    words, report = parse('RIMES', tmp_path / 'imgs', tmp_path / 'train.txt')
    assert words == list(zip(names, texts))
    assert report == dict(
        found={'rows of the ground truth': 6},
        skipped={'no text': [names[0]], 'image missing': [names[4]]},
    )


def cvl(tmp_path, split, **kwargs):
    return parse('CVL', tmp_path / 'imgs/trainset', f'{tmp_path}/annotations/', split, **kwargs)


def test_the_text_of_cvl_is_all_behind_the_fourth_hyphen(tmp_path):
    write_images(
        tmp_path / 'imgs/trainset',
        [
            '0001/0001-1-0-0-Imagine.tif',
            '0001/0001-1-10-2-well-known.TIF',
            '0001/0001-1-2-3--.tif',
            '0001/0001-1-2-4-.tif',
            '0001/Thumbs.db',
        ],
        TIFF,
    )
    words, report = cvl(tmp_path, 'test')
    assert [text for _, text in words] == ['Imagine', 'well-known', '-']
    assert report['skipped'] == {'no text': ['0001/0001-1-2-4-.tif', '0001/Thumbs.db']}


def test_german_of_cvl_is_an_option(tmp_path):
    names = [
        f'0001/0001-{rest}.tif'
        for rest in ('1-0-0-The', '3-0-0-Mailüfterl', '6-0-0-Habe', '7-0-0-und')
    ]
    write_images(tmp_path / 'imgs/trainset', names, TIFF)
    words, report = cvl(tmp_path, 'test')
    assert [text for _, text in words] == ['The', 'und']
    assert report['skipped'] == {
        'characters that are not English': [names[1]],
        'German passage': [names[2]],
    }
    words, report = cvl(tmp_path, 'test', english_only=False)
    assert [text for _, text in words] == ['The', 'Mailüfterl', 'Habe', 'und']


@pytest.mark.parametrize('writers, held_out', [(2, 1), (10, 1), (27, 3)])
def test_writers_of_cvl_are_in_train_or_val(tmp_path, writers, held_out):
    write_images(
        tmp_path / 'imgs/trainset',
        [f'{i:04d}/{i:04d}-1-0-{j}-w.tif' for i in range(writers) for j in range(2)],
        TIFF,
    )
    who = {
        split: [int(path[:4]) for path, _ in cvl(tmp_path, split)[0]]
        for split in ('train', 'val', 'test')
    }
    assert who['val'] == sorted(2 * list(range(writers - held_out, writers)))
    assert who['train'] == sorted(2 * list(range(writers - held_out)))
    assert who['test'] == who['train'] + who['val']
    report = cvl(tmp_path, 'val')[1]
    assert report['found'] == {'writers in trainset': writers, 'images in trainset': 2 * writers}


def test_images_that_do_not_belong_to_the_texts_are_an_error(tmp_path):
    (tmp_path / 'imgs').mkdir()
    (tmp_path / 'train.txt').write_text('lot_1/a.tiff x\nlot_1/b.tiff y\n')
    with pytest.raises(ValueError, match="the train split must have words.*'image missing': 2"):
        parse('RIMES', tmp_path / 'imgs', tmp_path / 'train.txt')


# ---------------------------------------------------------------------------- files of the zoo


def test_the_zoo_serves_mmocrs_preparer_without_our_tool(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pack(
        tmp_path / 'data/cache/cvl-database-1-1.zip',
        {
            f'cvl-database-1-1/{folder}/{i:04d}-1-0-0-w{i}.tif': TIFF
            for i, folder in enumerate(
                [
                    'trainset/words/0000',
                    'trainset/words/0001',
                    'testset/words/0002',
                    'testset/lines/0002',
                ]
            )
        },
    )
    cfg = Config.fromfile(BASE / 'dataset_zoo/cvl/textrecog.py')
    cfg.update(task='textrecog', nproc=1, dataset_name='cvl')
    DatasetPreparer.from_file(cfg).run(['train', 'val', 'test'])
    monkeypatch.setenv('MMOCR_DA_DATA', 'cvl')
    data = Config.fromfile(BASE / 'resnet29_seqclr.py')
    for split, text in (('train', 'w0'), ('val', 'w1'), ('test', 'w2')):
        dataset = dict(data[f'labelled_{split}'])
        dataset.pop('type')
        dataset = OCRDataset(**{**dataset, 'pipeline': []}, serialize_data=False)
        assert [
            item['instances'][0]['text'] for item in map(dataset.get_data_info, range(len(dataset)))
        ] == [text]


def test_the_zoo_has_the_three_files_that_mmocrs_has():
    for folder in (BASE / 'dataset_zoo').iterdir():
        assert {path.name for path in folder.iterdir()} >= {
            'textrecog.py',
            'metafile.yml',
            'sample_anno.md',
        }


def test_dictionaries_are_printable_ascii_and_french_letters():
    english, french = (
        Dictionary(str(BASE / f'dicts/{name}.txt')).dict for name in ('english_95', 'french')
    )
    assert sorted(english) == [chr(code) for code in range(32, 127)]
    assert french[:95] == english
    # "Portez ce vieux whisky" in its accented form, and what it lacks.
    pangram = 'Dès Noël où un zéphyr haï me vêt de glaçons würmiens je dîne d’exquis rôtis de '
    pangram += 'bœuf au kir à l’aÿ d’âge mûr et cætera'
    letters = {char for char in pangram if char.isalpha() and not char.isascii()}
    assert set(french[95:]) == letters | {char.upper() for char in letters}
