"""Schedules follow the run that trains."""

import pytest
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.runner import Runner

from mmocr_da.engine.guards import add_guards


def test_the_first_of_two_runs_follows_its_own_progress(toy, tmp_path, monkeypatch):
    monkeypatch.setattr('mmengine.config.config.FormatCode', lambda text, **_: (text, True))
    runners = []
    for name, iterations in (('first', 2), ('second', 200)):
        cfg = Config.fromfile(toy)
        cfg.work_dir, cfg.experiment_name = str(tmp_path / name), name
        cfg.train_cfg.max_iters = iterations
        cfg.val_dataloader = cfg.val_evaluator = cfg.val_cfg = None
        cfg.test_dataloader = cfg.test_evaluator = cfg.test_cfg = None
        runners.append(Runner.from_cfg(cfg))
        add_guards(runners[-1])
    runners[0].train()
    assert MessageHub.get_current_instance() is runners[0].message_hub
    assert MMLogger.get_current_instance() is runners[0].logger
    found = runners[0].message_hub.get_scalar('train/global_lambda').data[0]
    halfway = runners[0].model.objectives['global'].reversal(0.5)
    assert found[:2].tolist() == pytest.approx([0, halfway])
