"""Toy LMDBs: what is measured is there; the small numbers are slow in their own process."""

import lmdb
import pytest

from mmocr_da.datasets.lazy_list import LazyList


@pytest.fixture
def tool(load_tool, monkeypatch, capsys, tmp_path):
    module = load_tool('benchmarks/data_scale')

    def run(*arguments):
        monkeypatch.setattr('sys.argv', ['data_scale.py', '--folder', str(tmp_path), *arguments])
        return module.main()

    run.module, run.folder = module, tmp_path
    return run


def test_the_lmdbs_hold_what_they_say(tool):
    tool.module.write_lmdb(tool.folder / 'source', 70, labelled=True)
    tool.module.write_lmdb(tool.folder / 'target', 70, labelled=False)
    for name, entries in (('source', 141), ('target', 71)):
        with lmdb.open(str(tool.folder / name), readonly=True) as environment:
            assert environment.stat()['entries'] == entries
            with environment.begin() as transaction:
                assert transaction.get(b'num-samples') == b'70'
                assert transaction.get(b'image-000000070')[:2] == b'\xff\xd8'
                assert transaction.get(b'label-000000070') == (b'word70' if entries > 71 else None)


@pytest.mark.parametrize('kind, lazy', [('index', True), ('list', False)])
def test_a_row_is_measured_on_either_kind_of_annotations(tool, monkeypatch, kind, lazy):
    for name in ('source', 'target'):
        tool.module.write_lmdb(tool.folder / name, 2000, labelled=name == 'source')
    kinds = []
    build = tool.module.dataset_of

    def spy(args):
        dataset = build(args)
        kinds.append([isinstance(part.data_list, LazyList) for part in dataset.datasets])
        return dataset

    monkeypatch.setattr(tool.module, 'dataset_of', spy)
    monkeypatch.setattr('sys.argv', ['', '--folder', str(tool.folder), '--measure', kind])
    row = tool.module.measure(tool.module.parse_args())
    assert kinds == [[lazy, True]] and row[1] == '2,000 + 2,000'
    assert len(row) == len(tool.module.COLUMNS)
    start, computing, resume, main, worker, files, speed = (
        float(x.replace(',', '')) for x in row[2:]
    )
    assert start > 0 and 0 <= computing and 0 <= resume and speed > 0
    assert main > 100 and worker > 100 and files > 1


def test_the_recipe_augments_larger_images(tool, monkeypatch):
    for name in ('source', 'target'):
        tool.module.write_lmdb(tool.folder / name, 70, labelled=name == 'source', scale=3)
    monkeypatch.setattr(
        'sys.argv', ['', '--folder', str(tool.folder), '--measure', 'index', '--recipe']
    )
    dataset = tool.module.dataset_of(tool.module.parse_args())
    source, target = dataset[0], dataset[70]
    assert source['data_samples'].ori_shape == (48, 160)
    assert source['inputs'].shape == target['inputs'].shape == (1, 32, 100)
    assert target['data_samples'].weak_view.image.shape == (1, 32, 100)
    assert 'weak_view' not in source['data_samples']


def test_too_few_images_are_an_error(tool):
    with pytest.raises(SystemExit):
        tool('--source', '5')


@pytest.mark.slow
def test_the_table_has_a_row_for_each_and_the_folder_is_empty(tool, capsys):
    tool('--source', '500', '--target', '300', '--lists')
    head, _, index, listed = capsys.readouterr().out.splitlines()
    assert 'by index' in index and "MMOCR's list" in listed and '500 + 300' in index
    assert not list(tool.folder.iterdir())
