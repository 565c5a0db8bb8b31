"""Hooks around a pre-trained encoder: write it to a file of its own, hold it still."""

import os
import os.path as osp
import re
from collections import OrderedDict
from collections.abc import Sequence
from fnmatch import fnmatchcase

import torch
from mmengine.dist import master_only
from mmengine.hooks import CheckpointHook, Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import BaseLoop
from mmocr.models.textrecog.decoders import BaseDecoder
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmocr_da.arguments import some
from mmocr_da.outputs import check_outputs, is_own, output_file
from mmocr_da.registry import HOOKS
from mmocr_da.version import __version__

from .checkpoint_fit import is_within, load_fitting, weights_of


class PartExportHook(Hook):
    """Write a part of the model with each checkpoint, to a file of its own in the work directory.

    It is named ``<part>_iter_<N>.pth``, or ``<part>_epoch_<N>.pth`` where the checkpoints count
    epochs. With ``EMAHook`` the weights are the averaged ones, as in the checkpoint itself. A file
    of such a name that this hook did not write, or that the training starts from, is an error when
    training begins.

    Args:
        max_keep: How many of these files to keep; with each new one, older ones in the work
            directory beyond that many are deleted, if this hook wrote them. None keeps all.
    """

    #: What the files are named after.
    part = ''
    # Behind EMAHook, wherever a config puts it.
    priority = 'LOWEST'

    def __init__(self, max_keep: int | None = None) -> None:
        if max_keep is not None and (not isinstance(max_keep, int) or max_keep < 1):
            raise ValueError(
                f'max_keep must be a number of files of at least 1, or None to keep '
                f'all, got {max_keep!r}'
            )
        self.max_keep = max_keep
        self._written = None

    def find_part(self, model: nn.Module) -> None:
        """Called when training begins; an error if the model has no such part."""
        raise NotImplementedError

    def key_of(self, key: str) -> str | None:
        """The key that a weight, or a layer, of the model has in the file; None if it has none."""
        raise NotImplementedError

    def meta(self) -> dict:
        """What the file says of itself."""
        raise NotImplementedError

    def inputs(self) -> list[str]:
        """Files that the training starts from, beside ``load_from``."""
        return []

    def before_train(self, runner) -> None:
        self.find_part(unwrapped(runner.model))
        self._check_folder(runner)

    @master_only
    def _check_folder(self, runner) -> None:
        unit = self._unit(runner)
        last = runner.max_epochs if unit == 'epoch' else runner.max_iters
        ahead = [
            path
            for step, path in self._files(runner.work_dir, unit)
            if getattr(runner, unit) < step <= last
        ]
        check_outputs(ahead, type(self).__name__, [runner._load_from, *self.inputs()])

    @staticmethod
    def _unit(runner) -> str:
        by_epoch = any(isinstance(hook, CheckpointHook) and hook.by_epoch for hook in runner.hooks)
        return 'epoch' if by_epoch else 'iter'

    def _files(self, folder: str, unit: str) -> list[tuple[int, str]]:
        """``(step, path)`` of the files of such names, in their order."""
        pattern = rf'{self.part}_{unit}_(\d+)\.pth'
        found = [re.fullmatch(pattern, name) for name in os.listdir(folder)]
        return sorted((int(match[1]), osp.join(folder, match[0])) for match in found if match)

    @master_only
    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        unit = self._unit(runner)
        meta = checkpoint['meta']
        name = f'{self.part}_{unit}_{meta[unit]}.pth'
        # The best checkpoint comes behind a regular one of the same weights.
        if name == self._written:
            return
        weights = checkpoint['state_dict']
        state = OrderedDict(
            (self.key_of(key), value.detach().cpu().clone())
            for key, value in weights.items()
            if self.key_of(key) is not None
        )
        # Versions of the layers: without them, some would convert their keys as if they were old.
        state._metadata = OrderedDict(
            (self.key_of(key), value)
            for key, value in getattr(weights, '_metadata', {}).items()
            if self.key_of(key) is not None
        )
        kept = ('epoch', 'iter', 'time', 'seed', 'experiment_name', 'mmengine_version')
        meta = {key: meta[key] for key in kept if key in meta}
        meta.update(mmocr_da_version=__version__, **self.meta())
        path = osp.join(runner.work_dir, name)
        # A run that is killed here leaves no half file under the name.
        with output_file(path, type(self).__name__) as file:
            torch.save(dict(meta=meta, state_dict=state), file)
        self._written = name
        if self.max_keep is not None:
            self._delete_old(runner.work_dir, unit, meta[unit])

    def _delete_old(self, folder: str, unit: str, latest: int) -> None:
        # What is newer is of a run that went further: a resumed one will write it again.
        paths = [path for step, path in self._files(folder, unit) if step <= latest]
        for path in paths[: -self.max_keep]:
            if is_own(path, type(self).__name__):
                os.remove(path)


@HOOKS.register_module()
class EncoderExportHook(PartExportHook):
    """Write the encoder alone with each checkpoint, as a checkpoint of a recognizer.

    The weights of ``modules`` keep their names. A recognizer whose parts have these names takes
    the file by ``load_from``; :class:`FreezeHook` checks that it did.

    Args:
        modules: Names of modules, or patterns such as ``decoder.*``. By default the model's
            ``encoder_modules``.
        max_keep: See :class:`PartExportHook`.
    """

    part = 'encoder'

    def __init__(
        self, modules: str | Sequence[str] | None = None, max_keep: int | None = None
    ) -> None:
        super().__init__(max_keep)
        self.modules = None if modules is None else _as_names(modules)
        self._names: list[str] = []

    def find_part(self, model: nn.Module) -> None:
        modules = self.modules
        if modules is None:
            modules = getattr(model, 'encoder_modules', None)
            if modules is None:
                raise ValueError(
                    f'EncoderExportHook needs modules for a {type(model).__name__}, '
                    'which has no encoder_modules, got None; name its parts, such as '
                    "modules=['backbone', 'encoder']"
                )
            modules = _as_names(modules)
        self._names = _outermost(model, modules)

    def key_of(self, key: str) -> str | None:
        return key if is_within(key, self._names) else None

    def meta(self) -> dict:
        return dict(modules=list(self._names))


@HOOKS.register_module()
class FreezeHook(Hook):
    """Train the rest of a model on top of modules that stand still (decoder evaluation).

    Their parameters get no gradient, so the optimizer and its weight decay leave them alone, and
    they are in evaluation mode, so batch norm keeps its statistics and dropout is off. Two kinds
    of modules stay in training mode, where it moves nothing: a decoder, which chooses teacher
    forcing by it (its parts do stand still), and an RNN without dropout, as cuDNN wants it there
    for a gradient that passes through.

    ``load_from`` skips in silence what does not fit, and then random weights would be frozen. So
    a checkpoint must have all weights of the frozen modules, and a run without one gets a warning.

    Args:
        modules: Names of modules, or patterns such as ``backbone.stage?``.
        check_loaded: Whether a checkpoint that lacks weights of the modules is an error.
    """

    # The model may be wrapped anew, before other hooks take it.
    priority = 'VERY_HIGH'

    def __init__(self, modules: str | Sequence[str], check_loaded: bool = True) -> None:
        self.modules = _as_names(modules)
        self.check_loaded = check_loaded
        self._names: list[str] = []
        self._still: list[nn.Module] = []
        self._loaded = False

    def before_run(self, runner) -> None:
        # Validation and testing come here too; there is nothing to freeze.
        if not isinstance(runner._train_loop, BaseLoop):
            return
        model = unwrapped(runner.model)
        self._names = _outermost(model, self.modules)
        for name in self._names:
            # Gone, not zero: an optimizer skips it only then.
            for parameter in model.get_submodule(name).parameters():
                parameter.requires_grad_(False).grad = None
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise ValueError(
                f'modules must leave something to train, got {list(self.modules)}, '
                f'which is all that a {type(model).__name__} has to learn'
            )
        self._wrap_anew(runner)
        # Of the model as it is now: the wrapping may exchange its batch norm layers.
        model = unwrapped(runner.model)
        self._still = [
            part
            for name in self._names
            for part in model.get_submodule(name).modules()
            if not _may_stay_in_training(part)
        ]

    @staticmethod
    def _wrap_anew(runner) -> None:
        """DDP would wait for the gradients of all that could be trained when it was made."""
        if not is_model_wrapper(runner.model):
            return
        if not isinstance(runner.model, DistributedDataParallel):
            raise ValueError(
                f'FreezeHook needs a model in MMDistributedDataParallel or none, got '
                f'a {type(runner.model).__name__}; change model_wrapper_cfg'
            )
        runner.model = runner.wrap_model(runner.cfg.get('model_wrapper_cfg'), runner.model.module)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
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
        frozen._metadata = weights._metadata
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
        if not self._loaded:
            runner.logger.warning(
                f'FreezeHook holds {self._names} at RANDOM weights: nothing was loaded, as there '
                'is no load_from. Unless their init_cfg loads them, set load_from to the '
                'checkpoint of a pre-trained encoder'
            )

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        # Here, since loops put the whole model in training mode for each iteration or epoch.
        for part in self._still:
            part.training = False


def unwrapped(model: nn.Module) -> nn.Module:
    """The model itself, without DDP or test-time augmentation around it."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def _as_names(modules: str | Sequence[str]) -> tuple:
    names = (modules,) if isinstance(modules, str) else tuple(modules or ())
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError(
            f"modules must be names of modules such as ['backbone', 'encoder'], got {modules!r}"
        )
    return names


def _outermost(model: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Names of the modules that match, without those inside one of them.

    >>> net = nn.Sequential(nn.Sequential(nn.ReLU(), nn.ReLU()), nn.ReLU())
    >>> _outermost(net, ['0.*']), _outermost(net, ['0', '0.1'])
    (['0.0', '0.1'], ['0'])
    """
    # None is a module that is not there: it has a place in `_modules`, but not here.
    names = [name for name, _ in model.named_modules(remove_duplicate=False) if name]
    chosen = set()
    for pattern in patterns:
        matches = [name for name in names if fnmatchcase(name, pattern)]
        if not matches:
            parts = ', '.join(name for name, _ in model.named_children())
            raise ValueError(
                f'modules must be names of modules of the {type(model).__name__}, got '
                f'{pattern!r}, which matches none; its parts are {parts}'
            )
        chosen.update(matches)
    return [
        name
        for name in names
        if name in chosen and not any(name.startswith(f'{other}.') for other in chosen)
    ]


def _may_stay_in_training(part: nn.Module) -> bool:
    return isinstance(part, BaseDecoder) or (isinstance(part, nn.RNNBase) and not part.dropout)
