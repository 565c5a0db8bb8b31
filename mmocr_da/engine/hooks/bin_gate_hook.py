"""Shows in the log how open the gates of batch-instance norms are."""

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.visualization import TensorboardVisBackend
from torch import Tensor

from mmocr_da.arguments import check_count
from mmocr_da.models.layers.batch_instance_norm import BatchInstanceNorm
from mmocr_da.models.objectives.teacher import Teacher
from mmocr_da.registry import HOOKS
from mmocr_da.visualization.gates import by_depth, shares


@HOOKS.register_module()
class BINGateHook(Hook):
    """Show how the gates of batch-instance norms change during training.

    The log, and with it every backend of the visualizer, gets ``bin_gates_below_0.1`` and
    ``bin_gates_above_0.9``, the shares of gates that remove style and of gates that keep it. With
    each checkpoint TensorBoard gets a histogram of the lower, the middle and the upper third of the
    gates (the paper's fig. 2), if it is among the backends. The gates are the trained ones, not
    their moving average by ``EMAHook`` or of the teacher of ``SelfTraining``.

    Args:
        interval: Number of iterations between two counts; the log shows the last one.
    """

    def __init__(self, interval: int = 50) -> None:
        check_count('interval', interval, of='iterations')
        self.interval = interval
        self._layers: dict[str, BatchInstanceNorm] = {}
        self._drawn_at = None

    def before_train(self, runner) -> None:
        """Find the gates."""
        modules = dict(runner.model.named_modules())
        teachers = tuple(f'{name}.' for name, m in modules.items() if isinstance(m, Teacher))
        self._layers = {
            name: module
            for name, module in modules.items()
            if isinstance(module, BatchInstanceNorm) and not name.startswith(teachers)
        }
        if not self._layers:
            runner.logger.warning(
                'BINGateHook has nothing to show: the model has no BatchInstanceNorm'
            )

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs: dict | None = None
    ) -> None:
        """Count the gates near 0 and near 1."""
        if self._layers and self.every_n_train_iters(runner, self.interval):
            # One transfer from the device for both.
            below, above = torch.stack(shares(torch.cat([*self._gates().values()]))).tolist()
            runner.message_hub.update_scalar('train/bin_gates_below_0.1', below)
            runner.message_hub.update_scalar('train/bin_gates_above_0.9', above)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Draw the histograms of the gates."""
        # The gates of the model: in the checkpoint, EMAHook may have swapped the weights already.
        step = checkpoint['meta']['iter']
        # The best checkpoint comes at the same iteration as a regular one.
        if not self._layers or step == self._drawn_at:
            return
        self._drawn_at = step
        for backend in runner.visualizer._vis_backends.values():
            if isinstance(backend, TensorboardVisBackend):
                for name, rho in by_depth(self._gates()).items():
                    # TensorBoard's own bins are exponential: all above 0.9 would be one.
                    backend.experiment.add_histogram(
                        f'bin_gates/{name}', rho, step, bins=np.linspace(0, 1, 21)
                    )

    def _gates(self) -> dict[str, Tensor]:
        return {name: layer.rho.detach() for name, layer in self._layers.items()}
