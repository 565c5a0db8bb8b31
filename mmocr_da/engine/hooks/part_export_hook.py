"""Writes a part of the model to a separate file with each checkpoint."""

import os
import os.path as osp
import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.dist import master_only
from mmengine.hooks import CheckpointHook, Hook
from torch import nn

from mmocr_da.arguments import check_count
from mmocr_da.outputs import check_outputs, is_own, output_file
from mmocr_da.version import __version__

from ..checkpoints import set_versions, versions_of
from ..model_parts import unwrapped


class PartExportHook(Hook):
    """Write a part of the model with each checkpoint, to a separate file in the work directory.

    It is named ``<part>_iter_<N>.pth``, or ``<part>_epoch_<N>.pth`` where the checkpoints count
    epochs. With ``EMAHook`` the weights are the averaged ones, as in the checkpoint itself. It is
    an error if a file with such a name was not written by this hook, or if the training starts from
    it.

    Args:
        max_keep: Number of these files to keep; with each new one, older ones in the work directory
            are deleted, if this hook wrote them. None keeps all.
    """

    #: Name of the part, with which the names of the files begin.
    part = ''
    # After EMAHook, whatever its priority in the config.
    priority = 'LOWEST'

    def __init__(self, max_keep: int | None = None) -> None:
        if max_keep is not None:
            check_count('max_keep', max_keep, of='files', why='None keeps all')
        self.max_keep = max_keep
        self._written: str | None = None

    def find_part(self, model: nn.Module) -> None:
        """Find the part when training begins.

        Raises:
            ValueError: If the model does not have it.
        """
        raise NotImplementedError

    def key_of(self, key: str) -> str | None:
        """Return the key in the file for a weight or layer of the model; None if it has none."""
        raise NotImplementedError

    def meta(self) -> dict:
        """Return metadata of the part for the file."""
        raise NotImplementedError

    def inputs(self) -> list[str]:
        """Return the files that the training starts from, besides ``load_from``."""
        return []

    def before_train(self, runner) -> None:
        """Find the part, and check that no file of the user would be overwritten."""
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
        """List ``(step, path)`` of the files with such names, sorted by step."""
        pattern = rf'{self.part}_{unit}_(\d+)\.pth'
        found = [re.fullmatch(pattern, name) for name in os.listdir(folder)]
        return sorted((int(match[1]), osp.join(folder, match[0])) for match in found if match)

    @master_only
    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Write the file."""
        unit = self._unit(runner)
        meta = checkpoint['meta']
        name = f'{self.part}_{unit}_{meta[unit]}.pth'
        # The best checkpoint follows a regular one with the same weights.
        if name == self._written:
            return
        weights = checkpoint['state_dict']
        state = self._of_part(weights)
        for key, value in state.items():
            state[key] = value.detach().cpu().clone()
        set_versions(state, self._of_part(versions_of(weights)))
        kept = ('epoch', 'iter', 'time', 'seed', 'experiment_name', 'mmengine_version')
        meta = {key: meta[key] for key in kept if key in meta}
        meta.update(mmocr_da_version=__version__, **self.meta())
        path = osp.join(runner.work_dir, name)
        # A run that is killed here does not leave half a file under this name.
        with output_file(path, type(self).__name__) as file:
            torch.save(dict(meta=meta, state_dict=state), file)
        self._written = name
        if self.max_keep is not None:
            self._delete_old(runner.work_dir, unit, meta[unit], self.max_keep)

    def _of_part(self, values: Mapping[str, Any]) -> OrderedDict[str, Any]:
        """The values of the part, under its own keys."""
        own = ((self.key_of(key), value) for key, value in values.items())
        return OrderedDict((key, value) for key, value in own if key is not None)

    def _delete_old(self, folder: str, unit: str, latest: int, kept: int) -> None:
        # Newer files are from before the run was resumed, which will write them again.
        paths = [path for step, path in self._files(folder, unit) if step <= latest]
        for path in paths[:-kept]:
            if is_own(path, type(self).__name__):
                os.remove(path)
