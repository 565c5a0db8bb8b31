"""Stops a run on a GPU if the operators of MMCV are compiled for CPUs only."""

from mmcv.ops import get_compiling_cuda_version
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from mmocr_da.registry import HOOKS

#: Packages with modules that call compiled operators: convolutions and pooling of MMCV, and heads
#: of MMDetection, which call its NMS.
PLACES = ('mmcv.ops.', 'mmdet.models.dense_heads.', 'mmdet.models.roi_heads.')


@HOOKS.register_module()
class OperatorsHook(Hook):
    """Stop a run if the model would miss a CUDA operator in its first iteration."""

    def before_run(self, runner: Runner) -> None:
        """Check a run for training or testing.

        Raises:
            ValueError: If the model is on a GPU and MMCV is compiled for CPUs only.
        """
        on_gpu = any(parameter.is_cuda for parameter in runner.model.parameters())
        if not on_gpu or get_compiling_cuda_version() != 'not available':
            return
        users = users_of_operators(runner.model)
        if users:
            raise ValueError(
                f'the model runs on a GPU and needs operators of MMCV there (for '
                f'{", ".join(users)}), got an MMCV that is compiled for CPUs only. Install the '
                'CUDA toolkit of this torch, so that nvcc is on the PATH, and run '
                '`python tools/setup_env.py` again; or run on the CPU with CUDA_VISIBLE_DEVICES='
            )


def users_of_operators(model: nn.Module) -> list[str]:
    """List the classes within a model that call compiled operators of MMCV."""
    return sorted(
        {
            type(module).__name__
            for module in model.modules()
            if any(base.__module__.startswith(PLACES) for base in type(module).__mro__)
        }
    )
