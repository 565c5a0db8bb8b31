"""The model is told once per step of the optimizer."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import CheckpointHook
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import get_priority
from torch import nn

from mmocr_da.engine.hooks import AfterStepHook


@pytest.mark.parametrize('accumulated, steps', [(1, [0, 1, 2, 3, 4]), (2, [1, 3, 4])])
def test_accumulated_gradients_make_one_step(accumulated, steps):
    told, stepped = [], []
    model = nn.Linear(1, 1)
    model.after_step = lambda: told.append(iteration)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    optimizer.register_step_post_hook(lambda *_: stepped.append(iteration))
    wrapper = OptimWrapper(optimizer, accumulative_counts=accumulated)
    wrapper.initialize_count_status(model, 0, 5)
    runner = SimpleNamespace(model=model, optim_wrapper=wrapper)
    hook = AfterStepHook()
    for iteration in range(5):
        with wrapper.optim_context(model):
            loss = model(torch.ones(1, 1)).sum()
        wrapper.update_params(loss)
        hook.after_train_iter(runner, iteration)
    assert told == stepped == steps


def test_a_model_need_not_want_to_know():
    runner = SimpleNamespace(model=nn.Linear(1, 1), optim_wrapper=None)
    AfterStepHook().after_train_iter(runner, 0)


def test_a_checkpoint_comes_later():
    assert get_priority(AfterStepHook.priority) < get_priority(CheckpointHook.priority)


def test_several_optimizers_are_refused_unless_the_model_knows_them():
    class Own(BaseModel):
        def forward(self, *args):
            pass

    class Several(Own):
        def train_step(self, data, optim_wrapper):
            pass

        def after_step(self):
            told.append(1)

    told = []
    wrapper = OptimWrapper(torch.optim.SGD(nn.Linear(1, 1).parameters(), 0.1))
    wrappers = OptimWrapperDict(generator=wrapper, critic=wrapper)
    with pytest.raises(ValueError, match='Own is trained with one optimizer, got generator, crit'):
        AfterStepHook().before_train(SimpleNamespace(model=Own(), optim_wrapper=wrappers))
    runner = SimpleNamespace(model=Several(), optim_wrapper=wrappers)
    AfterStepHook().before_train(runner)
    AfterStepHook().after_train_iter(runner, 0)
    assert told == [1]
