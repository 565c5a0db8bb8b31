"""The cost of a detector's training step, as a user measures it."""

import json
import re
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
import pytest

TOOLS = Path(__file__).parents[2] / 'tools/benchmarks'
CONFIGS = Path(__file__).parents[2] / 'configs/learned_surrogate'
DATA = 'train_dataloader.dataset.datasets.data_root'


@pytest.fixture
def run(load_tool, tmp_path, capsys, monkeypatch):
    """Runs the tool on two scenes of 128 x 128 and returns what it prints."""
    monkeypatch.syspath_prepend(str(TOOLS))
    polygon = [20.0, 30, 100, 40, 98, 60, 18, 50]
    data_list = []
    for i in range(2):
        image = np.random.default_rng(i).integers(0, 255, (128, 128, 3)).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f'{i}.png'), image)
        data_list.append(
            dict(
                img_path=f'{i}.png',
                height=128,
                width=128,
                instances=[
                    dict(polygon=polygon, bbox=[18, 30, 100, 60], bbox_label=0, ignore=False)
                ],
            )
        )
    (tmp_path / 'instances_train.json').write_text(
        json.dumps(
            dict(
                metainfo=dict(dataset_type='TextDetDataset', task_name='textdet'),
                data_list=data_list,
            )
        )
    )
    module = load_tool('benchmarks/detector_step_cost')

    def run(*names):
        configs = [str(next(CONFIGS.rglob(f'{name}.py'))) for name in names]
        options = ['--steps', '1', '--cfg-options', f'{DATA}={tmp_path}']
        with patch('sys.argv', ['detector_step_cost.py', *configs, *options]):
            module.main()
        return capsys.readouterr().out

    return run


def test_both_steps_of_a_surrogate_are_measured_against_the_reference(run):
    out = run('small_rrpn-lsiou-local_scenes', 'small_rrpn-smooth-l1_scenes')
    rows = dict(re.findall(r'^(\S+, [a-z ]+?) +\S+ ms / step, ratio (\S+)$', out, re.M))
    assert list(rows) == [
        'small_rrpn-lsiou-local_scenes, surrogate step',
        'small_rrpn-lsiou-local_scenes, model step',
        'small_rrpn-smooth-l1_scenes, step',
    ]
    assert float(rows['small_rrpn-smooth-l1_scenes, step']) == 1
    assert all(float(ratio) > 0 for ratio in rows.values())


def test_a_reference_is_needed(run):
    with pytest.raises(SystemExit):
        run('small_rrpn-smooth-l1_scenes')
