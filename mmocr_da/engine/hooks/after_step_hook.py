"""Tells a recognizer that the optimizer has changed its weights."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapperDict

from mmocr_da.registry import HOOKS

from ..model_parts import unwrapped


@HOOKS.register_module()
class AfterStepHook(Hook):
    """Call ``after_step`` of the model after each step of the optimizer, if the model has it.

    With accumulated gradients several iterations make one step. A checkpoint of the iteration has
    what ``after_step`` changed.
    """

    # Before hooks that save or evaluate.
    priority = 'HIGH'

    def before_train(self, runner: Any) -> None:
        """Check that the model can make a step.

        Raises:
            ValueError: If there are several optimizers, and the model would use one.
        """
        model: Any = unwrapped(runner.model)
        several = isinstance(runner.optim_wrapper, OptimWrapperDict)
        if several and getattr(type(model), 'train_step', None) is BaseModel.train_step:
            raise ValueError(
                f'{type(model).__name__} is trained with one optimizer, got '
                f'{", ".join(runner.optim_wrapper.keys())} in optim_wrapper; other learning rates '
                "for parts of it are optim_wrapper.paramwise_cfg=dict(custom_keys={'objectives': "
                'dict(lr_mult=...)})'
            )

    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Call ``after_step`` if this iteration has made a step."""
        model: Any = unwrapped(runner.model)
        wrapper = runner.optim_wrapper
        wrappers = wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]
        if hasattr(model, 'after_step') and any(w.should_update() for w in wrappers):
            model.after_step()
