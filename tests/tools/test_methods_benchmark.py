"""The benchmark of the papers' methods: which configs it runs, and what they start from."""

import re

import pytest


@pytest.fixture
def module(load_tool, monkeypatch):
    """The tool; trainings are recorded, and every prediction is right in one of two images."""
    module = load_tool('benchmarks/methods')
    benchmark, module.trained = module.adaptation, []

    def train(
        config, folder, seed, load_from=None, environment=None, settings=(), fingerprint=None
    ):
        module.trained.append((config, load_from and load_from.parent.name))
        return folder / 'iter_9.pth'

    monkeypatch.setattr(benchmark.quickstart, 'run', lambda *command: None)
    monkeypatch.setattr(benchmark.quickstart, 'train', train)
    monkeypatch.setattr(benchmark.os, 'chdir', lambda path: None)
    score = benchmark.Score([1.0, 0.0], 1, 4)
    score = score._replace(right=benchmark.np.array(score.right))
    monkeypatch.setattr(
        module.MethodBenchmark, 'test', lambda *run: dict.fromkeys(('source', 'target'), score)
    )
    return module


@pytest.fixture
def run(module, tmp_path, monkeypatch):
    def run(*options):
        monkeypatch.setattr('sys.argv', ['methods.py', '--work-dir', str(tmp_path), *options])
        module.adaptation.main(
            module.MethodBenchmark,
            module.WRITER,
            configs=tuple(module.CONFIGS),
            main=module.MAIN,
            work_dir='unused',
        )
        return (tmp_path / 'results.md').read_text()

    return run


def test_each_row_is_a_config_that_starts_from_its_source_training(run, module):
    page = run('--pair', 'numbers', '--seeds', '0')
    starts = dict(module.trained)
    assert set(starts) == {module.CONFIGS[row] for row in module.MAIN}
    assert starts.pop(module.CONFIGS['source-only']) is None
    assert starts.pop(module.CONFIGS['source-only, BIN']) is None
    for config, start in starts.items():
        name = 'source-only,BIN' if config.startswith('bin/') else 'source-only'
        assert start == f'{name.replace(",", "")}_seed0'
    assert [*re.findall(r'^\| (.*?) +\|', page, re.M)][1:] == [*module.MAIN]


def test_every_config_exists_and_has_no_recipe(module):
    for name in module.CONFIGS.values():
        file = module.adaptation.quickstart.ROOT / f'configs/{name}.py'
        text = file.read_text(encoding='utf-8')
        assert 'small_augmented' not in text and 'self_training' not in text


def test_a_length_that_no_config_reads_is_refused(run, tmp_path):
    folders = []
    for name in ('a', 'b'):
        folders.append(tmp_path / name)
        folders[-1].mkdir()
        for split in ('train', 'val', 'test'):
            (folders[-1] / f'{split}.tsv').touch()
    pair = 'x=' + ','.join(map(str, folders))
    with pytest.raises(ValueError, match='got x=...,500; leave the third value out'):
        run('--pair', f'{pair},500')
