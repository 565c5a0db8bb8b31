"""The benchmark of pairs of domains: what it runs, and what it makes of predictions."""

import json

import cv2
import numpy as np
import pytest
from mmengine.fileio import dump

TRUTHS = dict(source=['AB', 'cd'], target=['12', '34', '5-6', '78'])


@pytest.fixture
def benchmark(load_tool, monkeypatch):
    """The tool; trainings and tests are recorded, and each row has an accuracy of its own."""
    module = load_tool('benchmarks/adaptation')
    module.trained, module.tested = [], []

    def train(
        config, folder, seed, load_from=None, environment=None, settings=(), fingerprint=None
    ):
        module.trained.append((config, folder, seed, load_from, environment))
        return folder / 'iter_9.pth'

    def test(config, checkpoint, folder, environment=None):
        module.tested.append((config, checkpoint, folder, environment))
        folders = {
            domain: environment.get(f'MMOCR_DA_{domain.upper()}')
            or f'data/printed_to_handwritten/{domain}'
            for domain in TRUTHS
        }
        right = dict(control=1, supervised=3).get(folder.name.split('_seed')[0], 2)
        found = [
            dict(
                img_path=f'{folders[domain]}/images/{i}.png',
                gt_text=dict(item=truth),
                pred_text=dict(item=text),
            )
            for domain, truths in TRUTHS.items()
            for i, truth in enumerate(truths)
            for text in [truth.lower() if i < right else '?']
        ]
        file = module.quickstart.predictions_of(checkpoint, folder)
        file.parent.mkdir(parents=True, exist_ok=True)
        dump(found, str(file), file_format='pkl')

    monkeypatch.setattr(module.quickstart, 'run', lambda *command: None)
    monkeypatch.setattr(module.quickstart, 'train', train)
    monkeypatch.setattr(module.quickstart, 'test', test)
    monkeypatch.setattr(module.os, 'chdir', lambda path: None)
    monkeypatch.setattr(module, 'bright_text', lambda folder: len(folder.rpartition('/')[2]) / 10)
    return module


@pytest.fixture
def words(tmp_path):
    """Makes a folder of words."""

    def make(name):
        (tmp_path / name).mkdir()
        for split in ('train', 'val', 'test'):
            (tmp_path / name / f'{split}.tsv').touch()
        return tmp_path / name

    return make


@pytest.fixture
def run(benchmark, tmp_path, monkeypatch):
    def run(*options):
        command = ['adaptation.py', '--work-dir', str(tmp_path / 'out'), *map(str, options)]
        monkeypatch.setattr('sys.argv', command)
        benchmark.main()
        return (tmp_path / 'out' / 'results.md').read_text()

    return run


def test_a_page_has_the_gain_over_the_control_and_the_gap_that_is_closed(run, tmp_path):
    page = run('--pair', 'numbers', '--seeds', 0, 1, '--rows', 'self-training', 'supervised')
    assert '## numbers (4 target images)' in page
    rows = {
        cells[0]: cells[1:]
        for line in page.splitlines()
        if line.startswith('| ')
        for cells in [[cell.strip() for cell in line.strip('|').split('|')]]
    }
    assert list(rows)[1:] == ['source-only', 'control', 'self-training', 'supervised']
    # One of four target images is right in all runs of the control, two, three.
    assert rows['control'] == ['25.0 ± 0.0', '', '', '75.0 ± 0.0', '50.0 ± 0.0']
    accuracy, gain, closed, cer, source = rows['self-training']
    assert (accuracy, closed, cer, source) == ('50.0 ± 0.0', '50 %', '50.0 ± 0.0', '100.0 ± 0.0')
    assert gain.startswith('+25.0 (')
    assert rows['supervised'][2] == ''
    found = [
        json.loads(line) for line in (tmp_path / 'out' / 'results.jsonl').read_text().splitlines()
    ]
    assert len(found) == 4 * 2 * 2  # rows, seeds, domains
    line = found[-1]
    assert len(line.pop('fingerprint')) == 8
    assert line == dict(
        pair='numbers',
        row='supervised',
        config='configs/self_training/small/small_augmented-supervised.py',
        seed=1,
        domain='target',
        images=4,
        word_accuracy=0.75,
        cer=0.25,
        edits=2,
        characters=8,
        right='e0',  # 1110 0000
    )


def test_a_run_with_its_lines_is_not_repeated(run, benchmark, tmp_path, monkeypatch):
    file = tmp_path / 'lines.jsonl'
    options = ['--pair', 'numbers', '--rows', 'ASSDA', '--results', file]
    first = run(*options, '--seeds', 0)
    lines = file.read_text()
    # On another machine, where nothing is trained yet: only what is new, and what it starts from.
    benchmark.trained.clear()
    page = run(*options, '--seeds', 0, '--work-dir', tmp_path / 'other')
    assert benchmark.trained == [] and page == first and file.read_text() == lines
    run(*options, '--seeds', 0, 1, '--rows', 'ASSDA', 'SymNet', '--work-dir', tmp_path / 'other')
    trained = {(folder.name) for _, folder, *_ in benchmark.trained}
    assert trained == {
        'SymNet_seed0',
        'source-only_seed0',
        *(f'{row}_seed1' for row in ('source-only', 'control', 'ASSDA', 'SymNet')),
    }
    assert file.read_text().startswith(lines)
    assert len(file.read_text().splitlines()) == len({*file.read_text().splitlines()}) == 2 * 8

    # Other settings are another run.
    benchmark.trained.clear()
    monkeypatch.setitem(benchmark.CONFIGS, 'ASSDA', 'small/small_self-training')
    benchmark.hash_of_configs.cache_clear()
    run(*options, '--seeds', 0)
    assert 'ASSDA_seed0' in {folder.name for _, folder, *_ in benchmark.trained}


def test_the_tables_of_what_is_there_need_no_training(run, benchmark, tmp_path):
    file = tmp_path / 'lines.jsonl'
    options = ['--pair', 'numbers', '--results', file, '--seeds', 0]
    first = run(*options, '--rows', 'ASSDA')
    benchmark.trained.clear()
    assert run(*options, '--no-training') == first and benchmark.trained == []
    with pytest.raises(
        ValueError, match="lines of 'control' with the seeds .0, 1. for the pair 'n"
    ):
        run(*options[:-1], 0, 1, '--no-training')


def test_the_fingerprint_is_of_the_settings_and_of_what_they_start_from(benchmark, monkeypatch):
    fingerprint = benchmark.Benchmark(None, None, (0,), 1).fingerprint
    numbers, words = benchmark.Pair('numbers'), benchmark.Pair('ab', 'a', 'b')
    first = fingerprint('ASSDA', numbers)
    assert first != fingerprint('ASSDA', words)
    assert first != fingerprint('SymNet', numbers)
    assert fingerprint('ASSDA', words) == fingerprint('ASSDA', words._replace(source_iters=1200))
    assert fingerprint('ASSDA', words) != fingerprint('ASSDA', words._replace(source_iters=3000))
    benchmark.hash_of_configs.cache_clear()
    monkeypatch.setenv('MMOCR_DA_SOURCE', 'elsewhere')
    assert first == fingerprint('ASSDA', numbers)
    benchmark.hash_of_configs.cache_clear()
    monkeypatch.setitem(benchmark.CONFIGS, 'source-only', 'small/small_augmented-control')
    assert first != fingerprint('ASSDA', numbers)


@pytest.mark.parametrize(
    'line, same',
    [
        ('helper = 1', True),
        ("log_level = 'ERROR'", True),
        ('train_cfg = dict(max_iters=1)', False),
        ("default_hooks = dict(a=dict(type='B'))", False),
    ],
)
def test_what_the_runner_does_not_take_is_no_setting(benchmark, tmp_path, monkeypatch, line, same):
    monkeypatch.setattr(benchmark.quickstart, 'ROOT', tmp_path)
    (tmp_path / 'configs').mkdir()
    base = 'train_cfg = dict(max_iters=9)\n'
    (tmp_path / 'configs' / 'a.py').write_text(base)
    (tmp_path / 'configs' / 'b.py').write_text(base + line)
    one, other = (benchmark.hash_of_configs((name,), ()) for name in 'ab')
    assert (one == other) == same


def test_pairs_of_one_source_share_the_runs_that_see_no_target(run, benchmark, words):
    a, b, c = words('a'), words('b'), words('c')
    pairs = '--pair', f'ab={a},{b}', '--pair', f'ac={a},{c}'
    run(*pairs, '--seeds', 3, '--rows', 'self-training')
    started = {(config, folder) for config, folder, *_ in benchmark.trained}
    assert len(started) == 4  # source-only, control, and self-training of each pair
    assert {folder.parent.name for _, folder in started} == {'a_0.1', 'ab', 'ac'}
    environments = {
        folder.parent.name: environment for _, folder, _, _, environment in benchmark.trained
    }
    assert environments['ac'] == dict(
        MMOCR_DA_DATA='words',
        MMOCR_DA_SOURCE=str(a),
        MMOCR_DA_TARGET=str(c),
        MMOCR_DA_BRIGHT_TEXT='0.1',
    )
    # Tests are of a pair.
    assert {folder.parent.name for _, _, folder, _ in benchmark.tested} == {'ab', 'ac'}


def test_the_name_of_a_pair_chooses_the_recognizer_of_words(run, benchmark, words):
    a, b = words('a'), words('b')
    pairs = '--pair', f'ab={a},{b}', '--pair', f'ab-attention={a},{b}'
    run(*pairs, '--seeds', 3, '--rows', 'ASSDA')
    chosen = {
        folder.parent.name: environment['MMOCR_DA_DATA']
        for _, folder, _, _, environment in benchmark.trained
    }
    assert chosen == {
        **{'a_0.1': 'words', 'ab': 'words'},
        **{'a_0.1-attention': 'words-attention', 'ab-attention': 'words-attention'},
    }
    fingerprint = benchmark.Benchmark(None, None, (0,), 1).fingerprint
    named = [benchmark.parse_pair(name, needs_images=False) for name in ('ab', 'ab-attention')]
    assert fingerprint('ASSDA', named[0]) != fingerprint('ASSDA', named[1])


def test_pairs_whose_targets_differ_in_polarity_share_no_runs(run, benchmark, words):
    a, b, c = words('a'), words('b'), words('cc')
    pairs = '--pair', f'ab={a},{b}', '--pair', f'ac={a},{c}'
    run(*pairs, '--seeds', 3, '--rows', 'self-training')
    assert len({(config, folder) for config, folder, *_ in benchmark.trained}) == 6
    shares = {
        (folder.parent.name, environment['MMOCR_DA_BRIGHT_TEXT'])
        for _, folder, _, _, environment in benchmark.trained
    }
    assert shares == {('a_0.1', '0.1'), ('a_0.2', '0.2'), ('ab', '0.1'), ('ac', '0.2')}


def test_the_share_of_bright_text_is_that_of_the_images_to_train_on(load_tool, tmp_path):
    module = load_tool('benchmarks/adaptation')
    image = np.full((20, 60), 200, np.uint8)
    image[5:10, 5:20] = 0
    rows = []
    for i in range(10):
        cv2.imwrite(str(tmp_path / f'{i}.png'), 255 - image if i < 3 else image)
        rows.append(f'{i}.png\tword\n')
    (tmp_path / 'train.tsv').write_text(''.join(rows))
    assert module.bright_text(str(tmp_path)) == 0.3


def test_all_but_the_source_start_from_the_source_of_their_seed(run, benchmark):
    plain = 'source-only, plain images'
    page = run('--pair', 'numbers', '--seeds', 0, 1, '--rows', 'ASSDA', plain)
    (line,) = [line for line in page.splitlines() if line.startswith(f'| {plain} ')]
    assert [cell.strip() for cell in line.split('|')[3:5]] == ['', '']  # it is not compared
    for config, _, seed, load_from, environment in benchmark.trained:
        assert environment == dict(MMOCR_DA_DATA='numbers')
        if config.endswith('source-only'):
            assert load_from is None
        else:
            assert load_from.parent.name == f'source-only_seed{seed}'


def test_every_config_exists(benchmark):
    folder = benchmark.quickstart.ROOT / 'configs/self_training'
    assert all((folder / f'{name}.py').is_file() for name in benchmark.CONFIGS.values())


@pytest.mark.parametrize('pair', ['a', 'a=b', '=b,c', 'a=b,c,d', 'a=b,c,-1', 'a=b,c,5,6'])
def test_a_pair_of_another_form_is_refused(benchmark, pair):
    with pytest.raises(ValueError, match='NAME=SOURCE,TARGET'):
        benchmark.parse_pair(pair)


def test_a_folder_without_a_split_is_refused(benchmark, words):
    a, b = words('a'), words('b')
    (b / 'val.tsv').unlink()
    with pytest.raises(ValueError, match='b without val.tsv'):
        benchmark.parse_pair(f'ab={a},{b}')


def test_the_gain_is_a_mean_over_seeds_and_its_interval_one_over_images(benchmark):
    rng = np.random.default_rng(0)
    ones = np.ones(200)
    runs = [
        [benchmark.Score((rng.random(200) < p) * ones, 0, 200) for _ in range(3)]
        for p in (0.6, 0.4)
    ]
    value, low, _, high = benchmark.gain(*runs).replace('(', '').replace(')', '').split()
    right = [np.mean([score.right.mean() for score in scores]) for scores in runs]
    assert float(value) == pytest.approx(100 * (right[0] - right[1]), abs=0.06)
    assert float(low) < float(value) < float(high)
    assert benchmark.gain(runs[0], runs[0]) == '+0.0 (+0.0 to +0.0)'
