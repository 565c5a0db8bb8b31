"""The benchmark of losses of boxes: its rows, what it chooses and what it writes."""

import json
import sys

import numpy as np
import pytest
from mmengine.fileio import dump


def sample(path, overlap, labels=3):
    """An image with squares, found at this IoU, and one prediction beside them."""
    square = np.array([0, 0, 10, 0, 10, 10, 0, 10], float)
    found = square * np.array([overlap, 1] * 4)
    return dict(
        img_path=path,
        gt_instances=dict(
            polygons=[square + 20 * i for i in range(labels)], ignored=np.zeros(labels, bool)
        ),
        pred_instances=dict(
            polygons=[found + 20 * i for i in range(labels)] + [square + 500],
            scores=np.full(labels + 1, 0.9, np.float32),
        ),
    )


@pytest.fixture
def benchmark(load_tool, monkeypatch):
    """The tool; trainings are recorded, and boxes fit better with a larger weight, up to 3."""
    monkeypatch.setattr(sys, 'path', [*sys.path])
    module = load_tool('benchmarks/box_losses')
    module.trained, module.tested, module.ran = [], [], []
    module.seeds = {}

    def train(
        config, folder, seed, load_from=None, environment=None, settings=(), fingerprint=None
    ):
        module.trained.append((config, folder.name, load_from, environment))
        module.seeds[folder.name] = seed
        return folder / 'iter_9.pth'

    def test(config, checkpoint, folder, environment=None):
        module.tested.append((folder.name, environment))
        weight = float(environment.get('MMOCR_DA_GRADIENT', 0))
        overlap = {0: 0.62, 1: 0.72, 3: 0.82, 9: 0.67}[weight]
        file = module.quickstart.predictions_of(checkpoint, folder)
        file.parent.mkdir(parents=True, exist_ok=True)
        dump([sample(f'{i}.jpg', overlap) for i in range(4)], str(file), file_format='pkl')

    monkeypatch.setattr(module.quickstart, 'run', lambda *command: module.ran.append(command))
    monkeypatch.setattr(module.quickstart, 'train', train)
    monkeypatch.setattr(module.quickstart, 'test', test)
    monkeypatch.setattr(module.adaptation.os, 'chdir', lambda path: None)
    return module


@pytest.fixture
def run(benchmark, tmp_path, monkeypatch):
    def run(*options):
        command = ['box_losses.py', '--pair', 'drawn', '--work-dir', str(tmp_path / 'out')]
        monkeypatch.setattr('sys.argv', [*command, *map(str, options)])
        benchmark.main()
        return (tmp_path / 'out/results.md').read_text()

    return run


def rows_of(text):
    return {
        cells[0]: cells[1:]
        for line in text.splitlines()
        if line.startswith('| ')
        for cells in [[cell.strip() for cell in line.strip('|').split('|')]]
    }


OPTIONS = ('--rows', 'GWD', '--stages', 'rpn', '--weights', 1, 3, 9, '--seeds', 0, 1)


def test_the_weight_is_chosen_on_the_validation_images_and_reported_on_the_others(
    run, benchmark, tmp_path
):
    page = run(*OPTIONS, '--base-iters', 50, '--iters', 7, '--images', 30, 20, 10)
    assert '## drawn (4 test images)' in page
    test, val = map(rows_of, page.split('Validation images'))
    control = 'smooth-L1, second stage, weight 1'
    assert list(test)[1:] == ['base', control, 'GWD, proposals, weight 3']
    weights = [f'GWD, proposals, weight {w}' for w in (1, 3, 9)]
    assert list(val)[1:] == ['base', control, *weights]
    # Three of three labels and of four predictions: F1 is 6/7 at 3, 5 and 7 of ten IoUs.
    assert test['base'][0] == f'{100 * 6 / 7 * 0.3:.1f} ± 0.0'
    assert test[control][:2] == [f'{100 * 6 / 7 * 0.5:.1f} ± 0.0', '']
    gain = f'{100 * 6 / 7 * 0.2:+.1f}'
    best = test['GWD, proposals, weight 3']
    assert best[:2] == [
        f'{100 * 6 / 7 * 0.7:.1f} ± 0.0',
        f'{gain} ({gain} to {gain}) [{gain}, {gain}]',
    ]
    assert best[2:5] == ['85.7 ± 0.0'] * 3  # at 0.5, 0.7, 0.8
    assert best[5:] == ['82.0 ± 0.0', '+10.0 (+10.0 to +10.0) [+10.0, +10.0]']
    assert test[control][2:5] == ['85.7 ± 0.0', '85.7 ± 0.0', '0.0 ± 0.0']

    (command,) = benchmark.ran
    assert command[1:] == (
        *('--num-train', 30, '--num-val', 20, '--num-test', 10),
        *('--out-dir', 'data/many_scenes'),
    )
    scenes = str(benchmark.quickstart.ROOT / 'data/many_scenes')
    for config, folder, load_from, environment in benchmark.trained:
        assert environment.pop('MMOCR_DA_SCENES') == scenes
        assert environment.pop('MMOCR_DA_SPLIT') == 'val'  # no training sees the test images
        assert environment.pop('MMOCR_DA_BASE_ITERS') == '50'
        if folder.startswith('base'):
            assert load_from is None and environment == {}
            assert config == 'learned_surrogate/small/small_rrpn_scenes'
            continue
        assert load_from.parent.name == f'base_seed{folder[-1]}'
        assert environment.pop('MMOCR_DA_ITERS') == '7'
        assert environment.pop('MMOCR_DA_LR') == '0.0002'
        stage = 'rpn' if 'GWD' in folder else 'roi'
        assert environment.pop('MMOCR_DA_STAGE') == stage
        assert set(environment) == {'MMOCR_DA_GRADIENT'}
    assert {split for split, environment in benchmark.tested} == {'val', 'test'}
    assert all(split == env['MMOCR_DA_SPLIT'] for split, env in benchmark.tested)

    lines = [json.loads(x) for x in (tmp_path / 'out/results.jsonl').read_text().splitlines()]
    assert len(lines) == 5 * 2 * 2  # rows, seeds, splits
    benchmark.trained.clear()
    options = *OPTIONS, '--base-iters', 50, '--iters', 7
    assert run(*options, '--no-training') == page and benchmark.trained == []


def test_the_base_has_a_seed_of_its_own_and_may_be_one_for_all(run, benchmark):
    """A tuning with the seed of its base would see the same crops in the same order."""
    run('--rows', 'GWD', '--seeds', 0, 1)
    assert {name: seed for name, seed in benchmark.seeds.items() if 'base' in name} == {
        'base_seed0': 1000,
        'base_seed1': 1001,
    }
    assert benchmark.seeds['smooth-L1secondstageweight1_seed1'] == 1
    benchmark.trained.clear()
    benchmark.tested.clear()
    run('--rows', 'GWD', '--seeds', 2, 3, '--one-base')
    starts = [load_from and load_from.parent.name for _, _, load_from, _ in benchmark.trained]
    assert {*starts} == {None, 'base_seed2'}
    assert 'GWDsecondstageweight1_seed3' in benchmark.seeds
    assert len(benchmark.tested) == 2 * (1 + 2 * 2)  # splits; base, rows and seeds
    # A run from the base of its own seed is another one.
    benchmark.tested.clear()
    run('--rows', 'GWD', '--seeds', 2, 3)
    assert len(benchmark.tested) == 2 * (1 + 2 * 2)  # that of seed 2 is there, that of 3 is not


def test_of_a_mask_rcnn_the_words_are_axis_parallel_and_the_losses_others(run, benchmark):
    page = run('--detector', 'mask-rcnn', '--weights', 0, '--seeds', 0)
    rows = list(rows_of(page.split('Validation images')[0]))[1:]
    assert rows == [
        'base',
        'L1, second stage, weight 1',
        *(f'{loss}, second stage, as it is' for loss in ('L1', 'LS-IoU', 'GIoU')),
    ]
    assert '--max-angle' in benchmark.ran[0] and benchmark.ran[0][-1] == 'data/many_straight_scenes'
    with pytest.raises(ValueError, match='--rows of mask-rcnn must be some of L1, .*, got GWD'):
        run('--detector', 'mask-rcnn', '--rows', 'GWD')


def test_every_row_has_a_config_and_a_fingerprint_of_its_own(benchmark):
    for detector, losses in benchmark.LOSSES.items():
        for config in (*losses.values(), benchmark.STARTS[detector]):
            assert (benchmark.quickstart.ROOT / f'configs/learned_surrogate/{config}.py').is_file()
    rows = benchmark.BoxLossBenchmark(
        *(None, None, (0,), 1), losses=['GWD', 'KFIoU'], stages=['roi', 'rpn'], weights=(1, 3)
    )
    pair = benchmark.Scenes('drawn', 'x')
    assert len({rows.fingerprint(row, pair) for row in rows.configs}) == len(rows.configs) == 10


@pytest.mark.parametrize('one_base, bases', [(False, 2), (True, 1)])
def test_a_base_for_all_seeds_is_one_run(benchmark, one_base, bases):
    """Else two jobs would train it at the same time."""
    rows = benchmark.BoxLossBenchmark(*(None, None, (4, 5), 2), losses=['GWD'], one_base=one_base)
    pair = benchmark.Scenes('drawn', 'x')
    items = [(pair, row, seed) for row in rows.configs for seed in rows.seeds]
    found = rows.different(items)
    assert sum(row == 'base' for _, row, _ in found) == bases
    assert len(found) == bases + 2 * (len(rows.configs) - 1)


def test_folders_of_another_form_are_refused(benchmark, tmp_path):
    with pytest.raises(ValueError, match="--pair must be 'drawn' or NAME=FOLDER, got 'a'"):
        benchmark.parse_pair('a', 'rrpn')
    for split in ('train', 'test'):
        (tmp_path / f'instances_{split}.json').touch()
    with pytest.raises(ValueError, match='without instances_val.json'):
        benchmark.parse_pair(f'a={tmp_path}', 'rrpn')
    (tmp_path / 'instances_val.json').touch()
    assert benchmark.parse_pair(f'a={tmp_path}', 'rrpn')[:2] == ('a', str(tmp_path))
