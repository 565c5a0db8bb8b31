"""Tells a recognizer that the optimizer has changed its weights."""

from typing import Any

from mmengine.hooks import Hook

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

    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Call ``after_step`` if this iteration has made a step."""
        model: Any = unwrapped(runner.model)
        if hasattr(model, 'after_step') and runner.optim_wrapper.should_update():
            model.after_step()
