"""Stops training at the first loss that is not finite, before its weights are saved."""

import math

import torch
from mmengine.hooks import Hook
from mmengine.optim import AmpOptimWrapper

from mmocr_da.arguments import check_count, some
from mmocr_da.datasets.data_samples import data_samples_of
from mmocr_da.datasets.notes import printable
from mmocr_da.registry import HOOKS

from ..model_parts import unwrapped


@HOOKS.register_module()
class FiniteHook(Hook):
    """Stop training when a loss, the norm of the gradient or a weight is infinite or NaN.

    The error names the images and labels of the batch. In mixed precision, the gradient scaler
    skips such a step, and only ``patience`` of them in a row stop the run. The weights are
    checked before each checkpoint, so that a saved file is always finite.

    The check costs no transfer: MMEngine fetches these numbers from the device for its log anyway.

    Args:
        patience: Number of skipped steps in a row that stop training in mixed precision. The
            scaler halves its factor with each, so that 16 bring it from its start to 1.
    """

    # After RuntimeInfoHook, which fetches the losses, and before EMAHook takes the weights.
    priority = 'HIGH'

    def __init__(self, patience: int = 30) -> None:
        check_count('patience', patience, of='steps')
        self.patience = patience
        self._skipped = self._steps = 0
        self._scale: float | None = None
        self._constants: set[str] = set()

    def before_train(self, runner) -> None:
        """Note which buffers of the model may be infinite."""
        # Masks, such as SVTR's, are infinite.
        self._constants = {
            key
            for key, value in unwrapped(runner.model).named_buffers()
            if not torch.isfinite(value).all()
        }

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs: dict | None = None
    ) -> None:
        """Check the losses and the norm of the gradient.

        Raises:
            ValueError: If one is not finite; in mixed precision, ``patience`` times in a row.
        """
        # With accumulated gradients several iterations make one step.
        steps = getattr(runner.optim_wrapper, 'should_update', lambda: True)()
        values = _losses(runner, outputs or {}, steps)
        if all(map(math.isfinite, values.values())):
            if steps:
                self._skipped = 0
                self._check_scale(runner)
            return
        message = (
            f'{_not_finite(values)} in iteration {runner.iter + 1}. The batch: {_batch(data_batch)}'
        )
        self._skipped += 1
        if isinstance(runner.optim_wrapper, AmpOptimWrapper) and self._skipped < self.patience:
            if self._skipped == 1:
                runner.logger.warning(
                    f'{message}. Mixed precision skips this step; '
                    f'{self.patience} of them in a row stop the run'
                )
            return
        ctc = f'. {_CTC}' if math.isinf(values.get('loss_ctc', 0)) else ''
        raise ValueError(f'{message}. {_CAUSES}{ctc}')

    def _check_scale(self, runner) -> None:
        """Stop after ``patience`` steps that mixed precision skipped, also with a finite loss."""
        scaler = getattr(runner.optim_wrapper, 'loss_scaler', None)
        self._steps += 1
        if scaler is None or self._steps % self.patience:
            return
        before, self._scale = self._scale, scaler.get_scale()
        if before and self._scale <= before * scaler.get_backoff_factor() ** self.patience:
            raise ValueError(
                f'the gradient was not finite in {self.patience} steps in a row, '
                'which mixed precision skipped: at iteration '
                f'{runner.iter + 1} its scale is {self._scale:g}. {_CAUSES}'
            )

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Check the weights.

        Raises:
            ValueError: If one of them is not finite.
        """
        ruined = [
            key
            for key, value in checkpoint['state_dict'].items()
            if isinstance(value, torch.Tensor)
            and key not in self._constants
            and not torch.isfinite(value).all()
        ]
        if ruined:
            raise ValueError(
                f'{len(ruined)} of {len(checkpoint["state_dict"])} weights are not finite at '
                f'iteration {checkpoint["meta"].get("iter")}: {some(ruined)}. No checkpoint of '
                f'them is saved. {_CAUSES}'
            )


_CAUSES = (
    'Such a step ruins the weights, so that the run cannot go on: resume from the last '
    'checkpoint with a lower learning rate or optim_wrapper.clip_grad=dict(max_norm=5), '
    'and look at the labels of the images, or leave them out'
)
_CTC = (
    'The loss of CTC is infinite for a label that needs more frames than its image has: one '
    'for each character and one between two equal ones'
)


def _losses(runner, outputs: dict, steps: bool) -> dict[str, float]:
    """Losses of the iteration and, if it makes a step and the gradient is clipped, its norm."""
    logged = runner.message_hub.log_scalars
    names = [name for name in outputs if 'loss' in name]
    if steps and 'train/grad_norm' in logged:
        names.append('grad_norm')
    return {
        name: float(
            logged[f'train/{name}'].current() if f'train/{name}' in logged else outputs[name]
        )
        for name in names
    }


def _not_finite(values: dict[str, float]) -> str:
    found = [f'{name}={value}' for name, value in values.items() if not math.isfinite(value)]
    return f'Not finite: {", ".join(found)}'


def _batch(data_batch) -> str:
    return some([_image(sample) for sample in data_samples_of(data_batch or {})], 16)


def _image(sample) -> str:
    text = getattr(sample.get('gt_text'), 'item', None)
    boxes = sample.get('gt_instances')
    label: list[str] = [repr(text)] if text else []
    if boxes is not None:
        label.append(f'{len(boxes)} boxes')
    return ' '.join([printable(sample.get('img_path') or 'an image'), *label])
