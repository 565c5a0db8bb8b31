import time

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from torch import nn

from mmocr_da.adaptation.estimate import seconds_per_step

STEP = 0.02


class Model(nn.Module):
    """Its first step is slow, as memory and workers are new; all are like the training's last."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.steps = 0

    def train_step(self, data, wrapper):
        hub = MessageHub.get_current_instance()
        assert (hub.get_info('iter'), hub.get_info('max_iters')) == (99, 100)
        self.steps += 1
        time.sleep(STEP if self.steps > 1 else 1)


@pytest.fixture
def cfg():
    return Config(
        dict(
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
            train_cfg=dict(max_iters=100),
            train_dataloader=dict(
                dataset=dict(type='mmengine.BaseDataset'),
                batch_size=1,
                num_workers=0,
                persistent_workers=True,
                sampler=dict(type='DefaultSampler', shuffle=False),
            ),
        )
    )


def test_the_first_step_does_not_count(cfg, monkeypatch):
    monkeypatch.setattr(
        'mmocr_da.adaptation.estimate.Runner.build_dataloader', lambda cfg, seed: [{}, {}]
    )
    model = Model()
    seconds = seconds_per_step(cfg, model, steps=4)
    assert model.steps == 5 and STEP <= seconds < 0.3
    assert MessageHub.get_current_instance().get_info('max_iters') is None
