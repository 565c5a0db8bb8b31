"""The tool that prepares IAM, RIMES and CVL, from the archives to what MMOCR's dataset gives."""

import io
import json
import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmocr.datasets import OCRDataset

from mmocr_da.outputs import staging

PNG, TIFF = (
    cv2.imencode(end, np.full((4, 6), 128, np.uint8))[1].tobytes() for end in ('.png', '.tiff')
)
SPLITS = ('train', 'val', 'test')


def write_zip(path, files):
    with zipfile.ZipFile(path, 'w') as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def write_tgz(path, files):
    with tarfile.open(path, 'w:gz') as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


IAM_ROWS = r"""#--- words.txt ---------------------------------------------------------------#
#
# format: a01-000u-00-00 ok 154 1 408 768 27 51 AT A
#
a01-000u-00-00 ok 154 408 768 27 51 AT A
a01-000u-00-01 ok 154 507 766 213 48 NN #MOVE
a01-000u-00-02 err 154 796 764 70 50 TO to
a01-117-05-02 ok 154 796 764 70 50 VB Powell
b01-000-00-00 ok 154 796 764 70 50 " "
b02-000-03-00 ok 154 796 764 70 50 NP B B C
c01-000-00-00 ok 154 796 764 70 50 . .
d01-000-00-00 ok 154 796 764 70 50 NN unused
"""


def iam(folder):
    names = [row.split()[0] for row in IAM_ROWS.splitlines() if row[0] != '#']
    images = {'/'.join([name[:3], name.rsplit('-', 2)[0], f'{name}.png']): PNG for name in names}
    images['a01/a01-117/a01-117-05-02.png'] = b''
    write_tgz(folder / 'words.tgz', images)
    write_tgz(folder / 'ascii.tgz', {'forms.txt': b'', 'words.txt': IAM_ROWS.encode()})
    write_zip(
        folder / 'largeWriterIndependentTextLineRecognitionTask.zip',
        {
            'LargeWriterIndependentTextLineRecognitionTask.txt': 'read me',
            'trainset.txt': 'a01-000u-00\r\na01-117-05\r\n',
            'validationset1.txt': 'b01-000-00\n',
            'validationset2.txt': 'b02-000-03\n',
            'testset.txt': 'c01-000-00\n',
        },
    )


def rimes(folder):
    image = 'lot_{0}/0000{0}_L/0000{0}_L_0_0.tiff'.format
    write_tgz(
        folder / 'validationsnippets_icdar.tar.gz',
        {f'validationsnippets_icdar/testdataset_ICDAR/{image(2)}': TIFF},
    )
    write_tgz(folder / 'data_test.tar.gz', {f'data_test/{image(i)}': TIFF for i in (3, 4)})
    unpacked = folder / 'trainingsnippets_icdar/training_WR' / image(1)
    unpacked.parent.mkdir(parents=True)
    unpacked.write_bytes(TIFF)
    for name, content in (
        ('groundtruth_training_icdar2011.txt', f'{image(1)} Société\r\n'.encode('utf-8-sig')),
        ('ground_truth_validation_icdar2011.txt', f"{image(2)} l'été\n".encode('latin-1')),
        (
            'grount_truth_test_icdar2011.txt',
            f'{image(3)} cœur\n{image(4)} 5€\n{image(5)} x\n'.encode(),
        ),
    ):
        (folder / name).write_bytes(content)


def cvl(folder):
    words = {
        'trainset': ['0001-1-0-0-Imagine', '0001-6-0-0-Habe', '0050-8-4-1-well-known'],
        'testset': ['0052-3-0-0-Mailüfterl', '0052-2-0-0-Tomorrow'],
    }
    files = {
        f'cvl-database-1-1/{part}/words/{word[:4]}/{word}.tif': TIFF
        for part, names in words.items()
        for word in names
    }
    files['cvl-database-1-1/trainset/lines/0001/0001-1-0.tif'] = TIFF
    files['cvl-database-1-1/trainset/pages/0001-1.tif'] = b'large'
    files['cvl-database-1-1/readme.txt'] = b'read me'
    write_zip(folder / 'cvl-database-1-1.zip', files)


TEXTS = dict(
    iam=dict(train=['A', '#MOVE'], val=['"', 'B B C'], test=['.']),
    rimes=dict(train=['Société'], val=["l'été"], test=['cœur', '5€']),
    cvl=dict(train=['Imagine'], val=['well-known'], test=['Tomorrow']),
)
FILL = dict(iam=iam, rimes=rimes, cvl=cvl)


@pytest.fixture(scope='module')
def prepare(load_tool):
    tool = load_tool('dataset_converters/prepare_dataset')

    def run(folder, name, *options):
        tool.main(
            [
                name,
                '--archives',
                str(folder / 'archives'),
                '--out',
                str(folder / 'out'),
                '--nproc',
                '1',
                *options,
            ]
        )
        return folder / 'out'

    return run


@pytest.fixture
def fill(tmp_path):

    def run(name):
        (tmp_path / 'archives').mkdir()
        FILL[name](tmp_path / 'archives')
        return tmp_path

    return run


def texts(out, split):
    dataset = OCRDataset(
        data_root=str(out),
        ann_file=f'textrecog_{split}.json',
        serialize_data=False,
        pipeline=[
            dict(type='mmocr.LoadImageFromFile'),
            dict(type='mmocr.LoadOCRAnnotations', with_text=True),
        ],
    )
    items = [dataset[i] for i in range(len(dataset))]
    assert all(item['img'].shape == (4, 6, 3) for item in items)
    return [item['gt_texts'][0] for item in items]


@pytest.mark.parametrize('name', FILL)
def test_from_the_archives_to_mmocrs_dataset(fill, prepare, name):
    out = prepare(fill(name), name)
    assert {split: texts(out, split) for split in SPLITS} == TEXTS[name]
    content = json.loads((out / 'textrecog_train.json').read_text())
    assert content['metainfo'] == dict(dataset_type='TextRecogDataset', task_name='textrecog')
    assert not os.path.isabs(content['data_list'][0]['img_path'])


@pytest.mark.parametrize(
    'name, lines',
    [
        (
            'iam',
            [
                'Licence: Non-commercial research, after registration, '
                'https://fki.tic.heia-fr.ch/databases/iam-handwriting-database',
                'train: 2 words',
                '  lines in trainset.txt: 2 (official: 6161, which differs)',
                '  words in words.txt: 8 (official: 115320, which differs)',
                '  skipped, marked err: 1 (a01/a01-000u/a01-000u-00-02.png)',
                '  skipped, image unreadable: 1 (a01/a01-117/a01-117-05-02.png)',
                'val: 2 words',
                'test: 1 words',
            ],
        ),
        (
            'rimes',
            [
                'test: 2 words',
                '  rows of the ground truth: 3',
                '  skipped, image missing: 1 (lot_5/00005_L/00005_L_0_0.tiff)',
                "  not in the dictionary: '€' (1)",
            ],
        ),
        (
            'cvl',
            [
                '  skipped, German passage: 1 (0001/0001-6-0-0-Habe.tif)',
                '  writers in trainset: 2 (official: 27, which differs)',
                '  skipped, characters that are not English: 1 (0052/0052-3-0-0-Mailüfterl.tif)',
            ],
        ),
    ],
)
def test_the_summary_counts_and_names(fill, prepare, capsys, name, lines):
    prepare(fill(name), name)
    printed = capsys.readouterr().out
    assert not set(lines) - set(printed.splitlines())


def test_numbers_as_published_are_not_said_to_differ(load_tool, tmp_path, capsys):
    tool = load_tool('dataset_converters/prepare_dataset')
    (tmp_path / 'annotations').mkdir()
    (tmp_path / 'textrecog_val.json').write_text(
        json.dumps(dict(data_list=[dict(instances=[dict(text='ab')])]))
    )
    (tmp_path / 'annotations/report_val.json').write_text(
        json.dumps(dict(found=dict(a=3, b=4), skipped=dict(many=[f'{i}.png' for i in range(11)])))
    )
    dictionary = tool.Dictionary(str(tool.BASE / 'dicts/english_95.txt'))
    tool.summarize(tmp_path, 'val', dict(a=3), dictionary)
    assert capsys.readouterr().out.splitlines() == [
        'val: 1 words',
        '  a: 3 (official: 3)',
        '  b: 4',
        '  skipped, many: 11',
    ]


def test_a_second_run_needs_no_archive_and_changes_nothing(fill, prepare):
    folder = fill('iam')
    out = prepare(folder, 'iam')
    before = {path: (path.read_bytes(), path.stat().st_ino) for path in out.rglob('*.png')}
    annotations = {split: (out / f'textrecog_{split}.json').read_bytes() for split in SPLITS}
    for path in (folder / 'archives').iterdir():
        path.unlink()
    prepare(folder, 'iam')
    assert before == {path: (path.read_bytes(), path.stat().st_ino) for path in out.rglob('*.png')}
    assert annotations == {s: (out / f'textrecog_{s}.json').read_bytes() for s in SPLITS}


def test_a_run_after_an_interruption_is_whole(fill, prepare):
    folder = fill('iam')
    half = folder / 'out/textrecog_imgs/.words.partial/content/a01/a01-000u/a01-000u-00-00.png'
    half.parent.mkdir(parents=True)
    half.write_bytes(PNG[:9])
    out = prepare(folder, 'iam')
    assert {split: texts(out, split) for split in SPLITS} == TEXTS['iam']
    assert not list(out.rglob('*.partial'))


def test_annotations_of_the_user_stay(fill, prepare):
    folder = fill('iam')
    for name in ('textrecog_val.json', 'annotations/report_train.json'):
        mine = folder / 'out' / name
        mine.parent.mkdir(parents=True, exist_ok=True)
        mine.write_text('mine')
        with pytest.raises(ValueError, match=f'{name} exists and was not written by prepare_data'):
            prepare(folder, 'iam')
        assert mine.read_text() == 'mine'
        assert not (folder / 'out/textrecog_train.json').exists()
        mine.unlink()
    prepare(folder, 'iam')


def test_two_at_once_do_not_unpack_into_the_same_folder(fill, prepare):
    folder = fill('iam')
    with staging(folder / 'out/textrecog_imgs', 'words'):
        with pytest.raises(ValueError, match='words is being written by another process'):
            prepare(folder, 'iam', '--splits', 'test')
    assert not list(folder.glob('out/**/*.png')) and not list(folder.glob('out/*.json'))


def test_splits_and_settings_can_be_chosen(fill, prepare):
    out = prepare(
        fill('iam'),
        'iam',
        '--splits',
        'train',
        '--cfg-options',
        'train_preparer.parser.only_ok=False',
    )
    assert texts(out, 'train') == ['A', '#MOVE', 'to']
    assert not (out / 'textrecog_test.json').exists()


def test_a_split_needs_its_own_archives_only(fill, prepare):
    folder = fill('rimes')
    (folder / 'archives/data_test.tar.gz').unlink()
    assert texts(prepare(folder, 'rimes', '--splits', 'val'), 'val') == TEXTS['rimes']['val']


def as_lines(archives):
    write_tgz(archives / 'words.tgz', {'a01/a01-000u/a01-000u-00.png': PNG})


def as_page(archives):
    (archives / 'words.tgz').write_text('<!DOCTYPE html><title>Login</title>')


def cut_off(archives):
    content = (archives / 'words.tgz').read_bytes()
    (archives / 'words.tgz').write_bytes(content[:-20])


def as_xml(archives):
    write_tgz(archives / 'ascii.tgz', {'a01-000u.xml': b'<?xml version="1.0"?>'})


def as_aachen(archives):
    path = archives / 'largeWriterIndependentTextLineRecognitionTask.zip'
    write_zip(path, {'splits/train.uttlist': 'a01-000u'})


def as_cropped(archives):
    write_zip(archives / 'cvl-database-1-1.zip', {'0001-1-cropped.tif': TIFF})


def as_rar(archives):
    (archives / 'data_test.tar.gz').unlink()
    (archives / 'data_test.rar').write_bytes(b'Rar!\x1a\x07\x00')


def other_split(archives):
    shutil.copy(archives / 'validationsnippets_icdar.tar.gz', archives / 'data_test.tar.gz')


@pytest.mark.parametrize(
    'name, spoil, message',
    [
        ('iam', as_lines, r'words\.tgz .* looks like lines\.tgz.*fki\.tic\.heia-fr\.ch'),
        ('iam', as_page, r'words\.tgz must be the data, got a web page'),
        ('iam', cut_off, r'words\.tgz .*cut off or damaged'),
        ('iam', as_xml, r'ascii\.tgz .* looks like xml\.tgz'),
        ('iam', as_aachen, r'files like trainset\.txt, got splits/train\.uttlist'),
        (
            'iam',
            lambda archives: (archives / 'words.tgz').unlink(),
            r'does not hold words\.tgz\. Get the data from https://fki',
        ),
        ('rimes', as_rar, 'RAR archive.*"unrar x"'),
        ('rimes', other_split, "test split must have words.*'image missing': 3.*delete both"),
        ('cvl', as_cropped, r'looks like cvl-database-cropped-1-1\.zip.*zenodo'),
    ],
)
def test_a_wrong_or_missing_archive_is_said_to_be(fill, prepare, name, spoil, message):
    folder = fill(name)
    spoil(folder / 'archives')
    with pytest.raises(ValueError, match=message):
        prepare(folder, name)
    assert not (folder / 'out/textrecog_test.json').exists()


def test_what_is_missing_for_a_later_split_is_said_at_once(fill, prepare):
    folder = fill('rimes')
    (folder / 'archives/data_test.tar.gz').unlink()
    with pytest.raises(ValueError, match=r'does not hold data_test\.tar\.gz\.'):
        prepare(folder, 'rimes')
    assert not (folder / 'out').exists()


def test_right_archives_after_wrong_ones_are_enough(fill, prepare):
    folder = fill('iam')
    as_lines(folder / 'archives')
    with pytest.raises(ValueError):
        prepare(folder, 'iam')
    iam(folder / 'archives')
    assert texts(prepare(folder, 'iam'), 'train') == TEXTS['iam']['train']


def test_the_tool_works_where_it_is_installed():
    import mmocr_da

    installed = Path(mmocr_da.__file__).parent / '.mim/tools/dataset_converters/prepare_dataset.py'
    assert (installed.parents[2] / 'configs/_base_/dataset_zoo/iam/textrecog.py').exists()
