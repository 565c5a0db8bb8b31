"""Trains the rest of a model on top of frozen modules."""

from collections import OrderedDict
from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop
from mmocr.models.textrecog.decoders import BaseDecoder
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmocr_da.arguments import check_flag, some
from mmocr_da.registry import HOOKS

from ..checkpoint_fit import is_within, load_fitting
from ..checkpoints import set_versions, versions_of, weights_of
from ..model_parts import as_names, outermost, unwrapped


@HOOKS.register_module()
class FreezeHook(Hook):
    """Train the rest of a model on top of frozen modules (decoder evaluation).

    Their parameters get no gradient, so the optimizer and its weight decay skip them, and they are
    in evaluation mode, so batch norm keeps its statistics and dropout is off. Two kinds of modules
    stay in training mode, where it changes no weight: a decoder, which chooses teacher forcing by
    its mode (its parts are in evaluation mode), and an RNN without dropout, as cuDNN computes
    gradients through an RNN only in training mode.

    ``load_from`` silently skips weights that do not fit, and then random weights would be frozen.
    So a checkpoint must have all weights of the frozen modules, and a run without one gets a
    warning.

    Args:
        modules: Names of modules, or patterns such as ``backbone.stage?``.
        check_loaded: Whether a checkpoint that lacks weights of the modules is an error.
    """

    # The model may be wrapped again, which must happen before other hooks use it.
    priority = 'VERY_HIGH'

    def __init__(self, modules: str | Sequence[str], check_loaded: bool = True) -> None:
        self.modules = as_names(modules)
        check_flag('check_loaded', check_loaded)
        self.check_loaded = check_loaded
        self._names: list[str] = []
        self._frozen: list[nn.Module] = []
        self._loaded = False

    def before_run(self, runner) -> None:
        """Freeze the modules of a model that will be trained.

        Raises:
            ValueError: If a module does not exist, or nothing else is left to train.
        """
        # Validation and testing call this too, and have nothing to freeze.
        if not isinstance(runner._train_loop, BaseLoop):
            return
        model = unwrapped(runner.model)
        self._names = outermost(model, self.modules)
        for name in self._names:
            # None, not zero, because an optimizer skips only parameters without a gradient.
            for parameter in model.get_submodule(name).parameters():
                parameter.requires_grad_(False).grad = None
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise ValueError(
                f'modules must leave something to train, got {list(self.modules)}, '
                f'which is all that a {type(model).__name__} has to learn'
            )
        self._wrap_again(runner)
        # Wrapping may have replaced batch norm layers of the model.
        model = unwrapped(runner.model)
        self._frozen = [
            part
            for name in self._names
            for part in model.get_submodule(name).modules()
            if not _may_stay_in_training(part)
        ]

    @staticmethod
    def _wrap_again(runner) -> None:
        """Wrap the model again: DDP would wait for the gradients of frozen parameters."""
        if not is_model_wrapper(runner.model):
            return
        if not isinstance(runner.model, DistributedDataParallel):
            raise ValueError(
                f'FreezeHook needs a model in MMDistributedDataParallel or none, got '
                f'a {type(runner.model).__name__}; change model_wrapper_cfg'
            )
        runner.model = runner.wrap_model(runner.cfg.get('model_wrapper_cfg'), runner.model.module)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Check that the frozen weights are in the checkpoint.

        Raises:
            ValueError: If one of them is missing.
        """
        if not self._names:
            return
        self._loaded = True
        if not self.check_loaded:
            return
        model = unwrapped(runner.model)
        weights = weights_of(checkpoint)
        frozen = OrderedDict(
            (key, value) for key, value in weights.items() if is_within(key, self._names)
        )
        set_versions(frozen, versions_of(weights))
        fit = load_fitting(model, frozen)
        missing = [key for key in [*fit.lacking, *fit.misfits] if is_within(key, self._names)]
        shapes = {key: tuple(model.state_dict()[key].shape) for key in fit.misfits}
        missing = [
            f'{key} {shapes[key]}' if key in shapes else key for key in dict.fromkeys(missing)
        ]
        found = len(frozen) > len(fit.misfits) + len(fit.unused)
        if not missing:
            return
        what = 'some' if found else 'none'
        raise ValueError(
            f'load_from must have the weights of the frozen modules {self._names}, got a '
            f'checkpoint with {what} of them: it lacks {some(missing)}, and has '
            f'{some(list(weights))}; give the checkpoint of a model with the same modules, such '
            'as encoder_iter_<N>.pth of EncoderExportHook'
        )

    def before_train(self, runner) -> None:
        """Warn if no checkpoint was loaded."""
        if not self._loaded:
            runner.logger.warning(
                f'FreezeHook freezes RANDOM weights of {self._names}: nothing was loaded, as there '
                'is no load_from. Unless their init_cfg loads them, set load_from to the '
                'checkpoint of a pre-trained encoder'
            )

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Put the frozen modules in evaluation mode."""
        # Here, since loops put the whole model in training mode for each iteration or epoch.
        for part in self._frozen:
            part.training = False


def _may_stay_in_training(part: nn.Module) -> bool:
    return isinstance(part, BaseDecoder) or (isinstance(part, nn.RNNBase) and not part.dropout)
