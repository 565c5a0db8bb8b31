import json

import pytest
from helpers.recognizers import WORDS
from mmengine.config import Config
from mmocr.registry import DATASETS

from mmocr_da.adaptation.image_sources import (
    config_sources,
    read_table,
    source_dataset,
    target_dataset,
)


def paths(dataset):
    built = DATASETS.build(dataset)
    return [built.get_data_info(i)['img_path'] for i in range(len(built))]


def labels(dataset):
    built = DATASETS.build(dataset)
    return [built.get_data_info(i)['instances'][0]['text'] for i in range(len(built))]


def test_a_target_is_folders_a_list_a_table_or_annotations(tiny, tmp_path):
    root = tiny()
    files = sorted(str(path) for path in (root / 'source').iterdir())
    (tmp_path / 'list.txt').write_text('\n'.join(files))
    for given in (
        [root / 'source'],
        [tmp_path / 'list.txt'],
        [root / 'labels.tsv'],
        [root / 'labels.json'],
    ):
        dataset = target_dataset([str(path) for path in given])
        assert dataset['type'] == 'mmocr_da.UnlabelledDataset'
        assert sorted(paths(dataset)) == files
        assert set(labels(dataset)) == {''}
    both = target_dataset([str(root / 'source'), str(root / 'target')])
    assert len(paths(both)) == 2 * len(WORDS)


def test_a_target_may_be_an_lmdb(toy_lmdb):
    dataset = target_dataset([str(toy_lmdb)])
    assert dataset['lmdb'] == str(toy_lmdb) and len(paths(dataset)) == 6


def test_a_source_is_a_table_annotations_an_lmdb_or_a_folder_of_one(tiny, toy_lmdb, tmp_path):
    root = tiny()
    for given in (root / 'labels.tsv', root / 'labels.json'):
        assert labels(source_dataset(str(given))) == list(WORDS)
    (tmp_path / 'source').symlink_to(root / 'source')
    (tmp_path / 'words.txt').write_text((root / 'labels.tsv').read_text())
    dataset = source_dataset(str(tmp_path))
    assert labels(dataset) == list(WORDS)
    assert source_dataset(str(toy_lmdb)) == dict(
        type='RecogLMDBDataset', ann_file=str(toy_lmdb), pipeline=None
    )


def test_paths_of_a_table_may_start_at_the_current_directory(tiny, tmp_path, monkeypatch):
    (tmp_path / 'words.tsv').write_text((tiny() / 'labels.tsv').read_text())
    with pytest.raises(ValueError, match=r'got none of source/0\.png'):
        source_dataset(str(tmp_path / 'words.tsv'))
    monkeypatch.chdir(tiny())
    assert len(labels(source_dataset(str(tmp_path / 'words.tsv')))) == len(WORDS)


@pytest.mark.parametrize(
    'name, content, message',
    [
        ('no_such', None, "must be a folder of images, got '.*no_such', which does not exist"),
        ('a.png', '', 'got the single image .*; give its folder'),
        ('a.zip', '', r'an LMDB, a text file \(.txt, .tsv\) .* got .*a.zip'),
        ('a.json', '{}', "with images in 'data_list'"),
        ('a.json', '[', 'must be JSON of MMOCR'),
        ('a.txt', '', 'got the empty file'),
        ('a.txt', 'no/such.png', r'got none of no/such\.png there'),
    ],
)
def test_an_unusable_target_is_an_error_that_says_what_it_is(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        target_dataset([str(tmp_path / name)])


def test_several_targets_are_folders(tiny):
    root = tiny()
    with pytest.raises(ValueError, match='several targets must all be folders'):
        target_dataset([str(root / 'target'), str(root / 'labels.tsv')])


@pytest.mark.parametrize(
    'files, message',
    [
        ({}, r'with nothing; give the file as --source'),
        ({'a.tsv': 'x', 'b.json': '{}'}, r'a\.tsv, .*b\.json; give the file'),
        ({'a.tsv': 'x.png'}, "rows path<TAB>text, got line 1 of .*: 'x.png'"),
        ({'a.tsv': 'x.png\ta\nx.png\t \n'}, 'got line 2 of'),
    ],
)
def test_an_unusable_source_folder_is_an_error(tmp_path, files, message):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        source_dataset(str(tmp_path))


def test_a_source_that_does_not_exist_names_the_alternatives(tmp_path):
    with pytest.raises(ValueError, match='config, rendered, none or a path .* --source rendered'):
        source_dataset(str(tmp_path / 'renderd'))


def test_a_table_keeps_every_text(tmp_path):
    (tmp_path / 'a.tsv').write_text('a b.png\tx y\n\nc.png\t\u00e4\n', encoding='utf-8')
    assert list(read_table(str(tmp_path / 'a.tsv'), '--eval')) == [
        ('a b.png', 'x y'),
        ('c.png', '\u00e4'),
    ]


def evaluated(cfg):
    datasets, expression = config_sources(cfg)
    value = eval(expression, dict(_base_=cfg))
    return datasets, expression, value if isinstance(value, list) else [value]


def test_the_source_of_a_config_is_its_training_data(tiny):
    cfg = Config.fromfile(tiny() / 'tiny.py')
    datasets, expression, value = evaluated(cfg)
    assert expression == '_base_.train_list' and value == datasets


@pytest.mark.parametrize('wrap', ['alone', 'two domains', 'seeded', 'nested', 'repeated'])
def test_it_is_found_within_other_datasets_and_loses_its_pipeline(tiny, wrap):
    cfg = Config.fromfile(tiny() / 'tiny.py')
    leaf = dict(cfg.train_list[0], pipeline=cfg.train_pipeline)
    cfg.train_dataloader.dataset = {
        'alone': leaf,
        'two domains': dict(type='mmocr_da.TwoDomainDataset', source=leaf, target=dict(a=1)),
        'seeded': dict(type='mmocr_da.SeededDataset', datasets=leaf),
        'nested': dict(
            type='ConcatDataset', datasets=[dict(type='ConcatDataset', datasets=[leaf])]
        ),
        'repeated': dict(type='mmengine.RepeatDataset', times=3, dataset=leaf),
    }[wrap]
    _, _, (value,) = evaluated(cfg)
    assert value == dict(leaf, pipeline=None)


def test_a_wrapped_dataset_stays_wrapped_and_loses_its_pipeline(tiny):
    cfg = Config.fromfile(tiny() / 'tiny.py')
    leaf = dict(cfg.train_list[0], pipeline=cfg.train_pipeline)
    part = dict(type='mmocr_da.LabelFraction', fraction=0.5, dataset=leaf)
    cfg.train_dataloader.dataset = part
    _, _, (value,) = evaluated(cfg)
    assert value == dict(part, dataset=dict(leaf, pipeline=None))
    leaf['ann_file'] = 'no.json'
    cfg.train_dataloader.dataset = dict(part, dataset=leaf)
    with pytest.raises(ValueError, match=r'got no .*no\.json'):
        config_sources(cfg)


def test_missing_training_data_are_an_error_that_names_the_alternatives(tiny):
    cfg = Config.fromfile(tiny() / 'tiny.py')
    cfg.train_list[0].ann_file = cfg.train_dataloader.dataset.datasets[0].ann_file = 'no.json'
    with pytest.raises(ValueError, match=r'got no .*no\.json; .* --source rendered draws') as info:
        config_sources(cfg)
    assert '--source none' in str(info.value)
    with pytest.raises(ValueError, match='needs training data in the config, got none'):
        config_sources(Config(dict(model=dict())))


def test_annotations_need_images(tmp_path):
    (tmp_path / 'a.json').write_text(json.dumps(dict(data_list=[])))
    with pytest.raises(ValueError, match="source must be JSON of MMOCR with images in 'data_list'"):
        source_dataset(str(tmp_path / 'a.json'))


@pytest.mark.parametrize(
    'content, found',
    [
        (b'\xef\xbb\xbfa.png\tx\n', 'a byte order mark at its start'),
        ('a.png\tx\n'.encode('utf-16'), 'a byte order mark at its start'),
        (b'a.png\tx\n\nb.png\ty\n', 'an empty line 2'),
        (b'a.png\tx\n \n', 'an empty line 2'),
        (b'a.png \tx\n', 'spaces around the path or the text in line 1'),
        (b'a.png\tx\nb.png\t y\n', 'spaces around the path or the text in line 2'),
    ],
)
def test_a_source_table_that_mmocr_reads_otherwise_is_an_error(tmp_path, content, found):
    (tmp_path / 'a.png').write_bytes(b'')
    (tmp_path / 'words.tsv').write_bytes(content)
    with pytest.raises(ValueError, match=f'source must be a table in UTF-8 .* with {found}'):
        source_dataset(str(tmp_path / 'words.tsv'))


@pytest.mark.parametrize('ends', ['\n', '\r\n'])
def test_mmocr_reads_what_is_accepted_as_it_is(tmp_path, ends):
    rows = ['a.png\tx', 'b c.png\ty z', 'ä.png\tö']
    for name in ('a.png', 'b c.png', 'ä.png'):
        (tmp_path / name).write_bytes(b'')
    (tmp_path / 'words.tsv').write_bytes((ends.join(rows) + ends).encode())
    dataset = source_dataset(str(tmp_path / 'words.tsv'))
    assert labels(dataset) == ['x', 'y z', 'ö']
    assert paths(dataset) == [str(tmp_path / row.split('\t')[0]) for row in rows]


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16'])
def test_a_target_table_may_have_any_form(tmp_path, encoding):
    for name in ('a.png', 'b.png', 'c.png'):
        (tmp_path / name).write_bytes(b'')
    content = 'a.png\tx\r\n\nb.png \t\nc.png\ty\tz\n\n'
    (tmp_path / 'words.tsv').write_bytes(content.encode(encoding))
    dataset = target_dataset([str(tmp_path / 'words.tsv')])
    assert paths(dataset) == [str(tmp_path / f'{name}.png') for name in 'abc']
    assert set(labels(dataset)) == {''}
