"""The benchmark of losses of the edit distance: what it runs, and what it makes of predictions."""

import json
import sys

import numpy as np
import pytest
from mmengine.fileio import dump

TEXTS = ['ab', 'c-d', '1234', '']
#: Of each row, how many characters of the first words are wrong.
WRONG = dict(beforetuning=[2, 1, 0], crossentropy=[1, 1, 0], minimumrisk=[0, 1, 0])


@pytest.fixture
def benchmark(load_tool, monkeypatch):
    """The tool; trainings and tests are recorded, and each row makes edits of its own."""
    monkeypatch.setattr(sys, 'path', [*sys.path])
    module = load_tool('benchmarks/edit_distance_losses')
    module.trained, module.tested = [], []

    def train(
        config, folder, seed, load_from=None, environment=None, settings=(), fingerprint=None
    ):
        module.trained.append((config, folder, seed, load_from, environment))
        return folder / 'iter_9.pth'

    def test(config, checkpoint, folder, environment=None):
        module.tested.append((config, checkpoint, folder, environment))
        row = folder.name.split('_seed')[0].replace('-', '')
        wrong = [*WRONG.get(row, [1, 1, 1]), 0]
        found = [
            dict(
                img_path=f'{root}/images/{i}.png',
                gt_text=dict(item=text),
                pred_text=dict(item=text[n:].upper()),
            )
            for root in environment['MMOCR_DA_TEST'].split(',')
            for i, (text, n) in enumerate(zip(TEXTS, wrong))
        ]
        file = module.adaptation.quickstart.predictions_of(checkpoint, folder)
        file.parent.mkdir(parents=True, exist_ok=True)
        dump(found, str(file), file_format='pkl')

    monkeypatch.setattr(module.adaptation.quickstart, 'train', train)
    monkeypatch.setattr(module.adaptation.quickstart, 'test', test)
    monkeypatch.setattr(module.adaptation.os, 'chdir', lambda path: None)
    return module


@pytest.fixture
def words(tmp_path):
    """Makes a folder of words."""

    def make(name):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'labels.tsv').touch()
        return tmp_path / name

    return make


@pytest.fixture
def run(benchmark, tmp_path, monkeypatch):
    def run(*options):
        command = ['edit_distance_losses.py', '--work-dir', str(tmp_path / 'out')]
        monkeypatch.setattr('sys.argv', [*command, *map(str, options)])
        benchmark.main()
        return (tmp_path / 'out/results.md').read_text()

    return run


def rows_of(page):
    """Cells by row, of each table."""
    tables = []
    for part in page.split('\n## ')[1:]:
        cells = [
            [cell.strip() for cell in line.strip('|').split('|')]
            for line in part.splitlines()
            if line.startswith('| ')
        ]
        tables.append({row[0]: row[1:] for row in cells[1:]})
    return tables


def test_a_page_has_a_table_of_differences_for_each_folder(run, benchmark, words, tmp_path):
    tests = '--test', f'a={words("a")}', '--test', f'b={words("b")}'
    page = run(*tests, '--rows', 'minimum risk', '--seeds', 0, 1)
    assert '## a (3 images)' in page and '## b (3 images)' in page  # one has no character
    first, second = rows_of(page)
    assert first == second and list(first) == ['before tuning', 'cross-entropy', 'minimum risk']
    # Of 8 characters 3, 2 and 1 are wrong; of 3 words 1, 1 and 2 are right.
    assert first['before tuning'] == ['3 ± 0', '', '', '37.5 ± 0.0', '', '33.3 ± 0.0', '']
    assert first['cross-entropy'] == ['2 ± 0', '', '', '25.0 ± 0.0', '', '33.3 ± 0.0', '']
    ted, difference, seeds, cer, points, accuracy, gain = first['minimum risk']
    assert (ted, seeds, cer) == ('1 ± 0', '-1, -1', '12.5 ± 0.0') and accuracy == '66.7 ± 0.0'
    assert difference.startswith('-1 (-3 to +0') or difference.startswith('-1 (-3 to -0')
    assert points.startswith('-12.50 (') and gain.startswith('+33.33 (')

    lines = [json.loads(x) for x in (tmp_path / 'out/results.jsonl').read_text().splitlines()]
    assert len(lines) == 3 * 2 * 2  # rows, seeds, folders
    line = lines[-1]
    assert {k: line[k] for k in ('row', 'seed', 'domain', 'images', 'ted', 'cer')} == dict(
        row='minimum risk', seed=1, domain='b', images=3, ted=1, cer=0.125
    )
    score = benchmark.Score.read(line)
    assert score.edits.tolist() == [0, 1, 0] and score.characters.tolist() == [2, 2, 4]


def test_all_rows_start_from_the_recognizer_of_their_seed_and_know_no_folder(
    run, benchmark, words, tmp_path
):
    lexicon = tmp_path / 'words.txt'
    lexicon.write_text('word')
    folder = words('a')
    run('--test', f'a={folder}', '--lexicon', lexicon, '--tuning-iters', 7, '--seeds', 3, 4)
    starts = {f.name: f for config, f, *_ in benchmark.trained if config.endswith('supervised')}
    assert {*starts} == {'beforetuning_seed3', 'beforetuning_seed4'}
    for config, _, seed, load_from, environment in benchmark.trained:
        assert environment == dict(
            MMOCR_DA_DATA='rendered',
            MMOCR_DA_LEXICON=str(lexicon),
            MMOCR_DA_SUPERVISED_ITERS='6000',
            MMOCR_DA_TUNING_ITERS='7',
            MMOCR_DA_TEST='none',
        )
        if config.endswith('supervised'):
            assert load_from is None
        else:
            assert load_from.parent == starts[f'beforetuning_seed{seed}']
    tuned = {folder.name for _, folder, *_ in benchmark.trained} - {*starts}
    assert len(tuned) == 6 * 2
    assert all(env['MMOCR_DA_TEST'] == str(folder) for *_, env in benchmark.tested)


def test_a_run_with_its_lines_is_not_repeated(run, benchmark, words, tmp_path):
    tests = '--test', f'a={words("a")}'
    options = *tests, '--rows', 'LS-ED', '--seeds', 0
    first = run(*options)
    lines = (tmp_path / 'out/results.jsonl').read_text()
    benchmark.tested.clear()
    assert run(*options) == first and benchmark.tested == []
    assert (tmp_path / 'out/results.jsonl').read_text() == lines
    # Other settings are another run, in another folder, from the same start.
    run(*options, '--tuning-iters', 5)
    assert [folder.name for _, _, folder, _ in benchmark.tested] == [
        'cross-entropy_seed0',
        'LS-ED_seed0',
    ]
    folders = {folder for _, folder, *_ in benchmark.trained}
    assert sum(folder.name.startswith('before') for folder in folders) == 1
    assert len(folders) == 5


def test_the_fingerprint_knows_what_is_drawn_but_not_where_it_is(benchmark, tmp_path):
    def fingerprint(content, row='LS-ED', name='words.txt', folder='a', **options):
        benchmark.adaptation.hash_of_configs.cache_clear()
        path = tmp_path / folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        options = tuple(dict(MMOCR_DA_LEXICON=str(path), **options).items())
        protocol = benchmark.Protocol((('a', folder),), options)
        return benchmark.TuningBenchmark(None, None, (0,), 1).fingerprint(row, protocol)

    first = fingerprint('one')
    assert first == fingerprint('one', folder='b')
    others = [
        fingerprint('two'),
        fingerprint('one', row='minimum risk'),
        fingerprint('one', MMOCR_DA_TUNING_ITERS='5'),
        fingerprint('one', MMOCR_DA_SUPERVISED_ITERS='5'),
    ]
    assert len({first, *others}) == 5


def test_every_config_exists_and_has_a_fingerprint_of_its_own(benchmark):
    protocol = benchmark.Protocol((('a', 'a'),))
    made = benchmark.TuningBenchmark(None, None, (0,), 1)
    hashes = {made.fingerprint(row, protocol) for row in benchmark.CONFIGS}
    assert len(hashes) == len(benchmark.CONFIGS)


def test_differences_are_of_the_same_images(benchmark):
    rng = np.random.default_rng(0)
    hard = rng.integers(0, 5, 300)  # the same images are hard for both
    lengths = np.full(300, 6)
    scores = [benchmark.Score(hard + rng.integers(0, 2, 300), lengths) for _ in range(3)]
    control = [benchmark.Score(hard + 1, lengths) for _ in range(3)]
    value, low, high = benchmark.difference(scores, control, 'edits', lengths)
    assert value == pytest.approx(
        np.mean([s.character_error_rate for s in scores]) - control[0].character_error_rate
    )
    assert low < value < high < 0 and high - low < 0.02
    assert benchmark.times((value, low, high), 2)[1] == 2 * low


@pytest.mark.parametrize(
    'options, message',
    [
        (['--test', 'a'], '--test must be NAME=FOLDER'),
        (['--test', 'a=b,c'], '--test must be NAME=FOLDER, without a comma'),
        (['--test', 'a=nowhere'], 'labels.tsv, with rows path<TAB>text, got nowhere without it'),
        (['--test', 'a={a}', '--test', 'a={a}'], 'each name of --test counts once'),
        (['--test', 'a={a}', '--lexicon', 'nowhere'], '--lexicon must be a file that is there'),
        (['--test', 'a={a}', '--fonts', '{a}/labels.tsv'], '--fonts must be a folder that is ther'),
        (['--test', 'a={a}', '--tuning-iters', 0], '--tuning-iters must be an integer of at least'),
        (['--test', 'a={a}', '--seeds', 1, 1], 'each pair and each seed counts once'),
    ],
)
def test_wrong_options_are_named(run, words, options, message):
    folder = words('a')
    with pytest.raises(ValueError, match=message):
        run(*[str(option).format(a=folder) for option in options])
