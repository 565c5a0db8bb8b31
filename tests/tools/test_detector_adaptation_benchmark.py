"""The benchmark of detectors: what it counts, and what it shares with that of recognizers."""

import json
import sys

import numpy as np
import pytest
from mmengine.fileio import dump

SQUARE = np.array([0, 0, 10, 0, 10, 10, 0, 10], float)


def sample(path, found, labels, ignored=0, score=0.9):
    """An image with squares: the first ``found`` labels are predicted, and one more beside all."""
    squares = [SQUARE + 20 * i for i in range(labels)]
    predicted = [*squares[:found], SQUARE + 500]
    return dict(
        img_path=path,
        gt_instances=dict(polygons=squares, ignored=np.arange(labels) < ignored),
        pred_instances=dict(polygons=predicted, scores=np.full(len(predicted), score, np.float32)),
    )


@pytest.fixture
def benchmark(load_tool, monkeypatch):
    """The tool; trainings and tests are recorded, and each row finds a number of its own."""
    monkeypatch.setattr(sys, 'path', [*sys.path])
    module = load_tool('benchmarks/detector_adaptation')
    module.trained = []

    def train(
        config, folder, seed, load_from=None, environment=None, settings=(), fingerprint=None
    ):
        assert settings == module.DetectorBenchmark.train_options
        module.trained.append((config, folder.name, load_from, environment))
        return folder / 'iter_9.pth'

    def test(config, checkpoint, folder, environment=None):
        found = dict(control=1, supervised=3).get(folder.name.split('_seed')[0], 2)
        samples = [
            sample(f'{environment.get(f"MMOCR_DA_{key}", default)}/images/{i}.jpg', found, 4)
            for key, default in (('SOURCE', 'data/rotated_scenes'), ('TARGET', 'data/drawn_pages'))
            for i in range(3)
        ]
        file = module.quickstart.predictions_of(checkpoint, folder)
        file.parent.mkdir(parents=True, exist_ok=True)
        dump(samples, str(file), file_format='pkl')

    monkeypatch.setattr(module.quickstart, 'run', lambda *command: None)
    monkeypatch.setattr(module.quickstart, 'train', train)
    monkeypatch.setattr(module.quickstart, 'test', test)
    monkeypatch.setattr(module.adaptation.os, 'chdir', lambda path: None)
    return module


@pytest.fixture
def run(benchmark, tmp_path, monkeypatch):
    def run(*options):
        command = ['detector_adaptation.py', '--work-dir', str(tmp_path / 'out')]
        monkeypatch.setattr('sys.argv', [*command, *map(str, options)])
        benchmark.main()
        return (tmp_path / 'out/results.md').read_text()

    return run


def test_regions_are_counted_as_the_metric_of_mmocr_counts(benchmark, tmp_path):
    file = tmp_path / 'preds.pkl'
    samples = [
        sample('data/a/0.jpg', 2, 4),
        sample('data/a/1.jpg', 3, 4, ignored=1),  # nor does what is predicted of it count
        sample('data/a/2.jpg', 4, 4, score=0.4),
        sample('data/a/3.jpg', 0, 0),
        sample('data/b/0.jpg', 1, 1),
    ]
    dump(samples, str(file), file_format='pkl')
    score = benchmark.score(file, 'data/a')
    assert score.found.tolist() == [2, 2, 0, 0]
    assert score.predicted.tolist() == [3, 3, 0, 1]
    assert score.labelled.tolist() == [4, 3, 4, 0]
    assert score.f1 == pytest.approx(2 * 4 / (7 + 11))
    again = benchmark.Score.read(json.loads(json.dumps(score.written())))
    assert all(np.array_equal(a, b) for a, b in zip(score, again))
    with pytest.raises(ValueError, match='predictions of images in data/c, got none'):
        benchmark.score(file, 'data/c')


def test_a_page_has_the_gain_over_the_control_and_the_gap_that_is_closed(run, benchmark, tmp_path):
    page = run('--pair', 'drawn', '--seeds', 0, 1, '--rows', 'alignment', 'supervised')
    rows = {
        cells[0]: cells[1:]
        for line in page.splitlines()
        if line.startswith('| ')
        for cells in [[cell.strip() for cell in line.strip('|').split('|')]]
    }
    assert '## drawn (3 target images)' in page
    assert list(rows)[1:] == ['source-only', 'control', 'alignment', 'supervised']
    # Of four regions 1, 2 and 3 are found, and one more is predicted: F1 of 2/6, 4/7 and 6/8.
    assert rows['control'] == ['33.3 ± 0.0', '', '', '33.3 ± 0.0']
    assert rows['alignment'] == ['57.1 ± 0.0', '+23.8 (+23.8 to +23.8)', '57 %', '57.1 ± 0.0']
    lines = [json.loads(x) for x in (tmp_path / 'out/results.jsonl').read_text().splitlines()]
    assert len(lines) == 4 * 2 * 2  # rows, seeds, domains
    assert len(lines[-1].pop('fingerprint')) == 8
    assert lines[-1] == dict(
        pair='drawn',
        row='supervised',
        config='configs/detection/small/small_detection-supervised.py',
        seed=1,
        domain='target',
        images=3,
        f1=0.75,
        found=[3] * 3,
        predicted=[4] * 3,
        labelled=[4] * 3,
    )
    for config, folder, load_from, environment in benchmark.trained:
        assert environment == dict(MMOCR_DA_DATA='drawn')
        row, seed = folder.split('_seed')
        starts = {'pretrained': None, 'source-only': 'pretrained_seed0'}
        before = starts.get(row, f'source-only_seed{seed}')
        assert before == (load_from and load_from.parent.name)
    assert {folder for _, folder, *_ in benchmark.trained if 'pretrained' in folder} == {
        'pretrained_seed0'
    }
    benchmark.trained.clear()
    options = '--pair', 'drawn', '--seeds', 0, 1, '--rows', 'alignment', 'supervised'
    assert run(*options) == run(*options, '--no-training') == page and benchmark.trained == []


def test_every_config_exists_and_has_a_fingerprint_of_its_own(benchmark):
    hashes = set()
    for row, config in benchmark.CONFIGS.items():
        assert (benchmark.quickstart.ROOT / f'configs/detection/{config}.py').is_file()
        hashes.add(
            benchmark.DetectorBenchmark(None, None, (0,), 1).fingerprint(
                row, benchmark.ScenePair('drawn')
            )
        )
    assert len(hashes) == len(benchmark.CONFIGS)


def test_a_row_starts_from_another_one_whose_settings_are_in_its_fingerprint(
    benchmark, monkeypatch
):
    """What is learned of drawn scenes is for all pairs, and for drawn scenes as a source, too."""
    found = benchmark.DetectorBenchmark(None, None, (0,), 1)
    assert [found.start_of(row) for row in ('supervised', 'source-only', 'pretrained')] == [
        'source-only',
        'pretrained',
        None,
    ]
    first = found.fingerprint('supervised', benchmark.ScenePair('drawn'))
    benchmark.adaptation.hash_of_configs.cache_clear()
    config = found.config
    monkeypatch.setattr(
        found, 'config', lambda row: config('control' if row == 'pretrained' else row)
    )
    assert found.fingerprint('supervised', benchmark.ScenePair('drawn')) != first
    pairs = benchmark.ScenePair('drawn'), benchmark.ScenePair('a', '/b/rotated_scenes', '/c')
    assert {pair.source_name for pair in pairs} == {'rotated_scenes'}


def test_folders_of_another_form_are_refused(benchmark, tmp_path):
    for pair in ('a', 'a=b', '=b,c', 'a=b,c,d'):
        with pytest.raises(ValueError, match='NAME=SOURCE,TARGET'):
            benchmark.parse_pair(pair)
    (tmp_path / 'instances_train.json').touch()
    with pytest.raises(ValueError, match='without instances_test.json'):
        benchmark.parse_pair(f'ab={tmp_path},{tmp_path}')
    (tmp_path / 'instances_test.json').touch()
    assert benchmark.parse_pair(f'ab={tmp_path},{tmp_path}').environment == dict(
        MMOCR_DA_DATA='scenes', MMOCR_DA_SOURCE=str(tmp_path), MMOCR_DA_TARGET=str(tmp_path)
    )
