"""A training loop that continues exactly where the previous run stopped."""

import logging
import random
from collections.abc import Generator, Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from mmengine.dataset import InfiniteSampler
from mmengine.dist import all_gather_object, get_rank
from mmengine.logging import print_log
from mmengine.runner import IterBasedTrainLoop
from mmengine.runner.loops import _InfiniteDataloaderIterator
from torch.utils.data import DataLoader

from mmocr_da.arguments import some
from mmocr_da.datasets.data_samples import data_samples_of
from mmocr_da.registry import LOOPS

from .guards import add_guards
from .hooks import SavedBuffersHook


@LOOPS.register_module()
class ResumableIterBasedTrainLoop(IterBasedTrainLoop):
    """``IterBasedTrainLoop`` that gives a resumed run the weights of an uninterrupted one.

    * The data continue at the next batch. MMEngine's loop loads and discards all past batches.
      This loop calls ``skip`` of the sampler, or draws the past indexes of an ``InfiniteSampler``
      without loading images; only with other samplers it loads the past batches again.
    * Random numbers of the model (dropout) are a function of ``(seed, iteration, rank)``.
    * A sampler without a configured seed gets the seed of the previous run.

    The loop also logs after each validation and at the end which images could not be read; the
    checkpoint keeps them in the message hub's ``skipped_images``. And it adds the hooks that stop a
    run which cannot work (:mod:`mmocr_da.engine.guards`).

    The arguments are the same as for :class:`mmengine.runner.IterBasedTrainLoop`.
    """

    def __init__(self, runner, dataloader: DataLoader | dict, *args, **kwargs) -> None:
        loader: Any = dataloader
        if isinstance(dataloader, dict):
            loader = runner.build_dataloader(
                dataloader,
                seed=runner.seed,
                diff_rank_seed=runner._randomness_cfg.get('diff_rank_seed', False),
            )
        # The host's constructor starts to iterate: the workers would load batches from the
        # beginning, before it is known at which iteration the run starts.
        super().__init__(runner, _Unstarted(loader), *args, **kwargs)
        self.dataloader = loader
        # MMOCR's vis_scheduler.py trains on a list: there are no data to check, and no sampler.
        if isinstance(loader, DataLoader):
            add_guards(runner)
            runner.register_hook(SavedBuffersHook())

    def run(self) -> torch.nn.Module:
        """Launch training."""
        self.runner.call_hook('before_train')
        # As in MMEngine, the whole training is one big epoch to the hooks.
        self.runner.call_hook('before_train_epoch')
        self.dataloader_iterator = self._batches()
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()

            data_batch = next(self.dataloader_iterator)
            self._collect_skipped(data_batch)
            self._seed_iteration()
            self.run_iter(data_batch)

            self._decide_current_val_interval()
            if (
                self.runner.val_loop is not None
                and self._iter >= self.val_begin
                and (self._iter % self.val_interval == 0 or self._iter == self._max_iters)
            ):
                self._report_skipped()
                self.runner.val_loop.run()
        # Ends the workers now; if the garbage collector ends them later, they can hang for seconds.
        self.dataloader_iterator.close()
        self._report_skipped()

        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model

    def _batches(self) -> Generator[dict, None, None]:
        """Yield all batches from the current iteration on, without an end."""
        sampler: Any = getattr(self.dataloader, 'sampler', None)
        hub = self.runner.message_hub
        if self._iter > 0 and hub.get_info('sampler_seed') is not None:
            sampler.seed = hub.get_info('sampler_seed')
        hub.update_info('sampler_seed', getattr(sampler, 'seed', None))
        if isinstance(sampler, InfiniteSampler):
            # Its indexes are a stream: the past ones are drawn without loading their images.
            past = self._iter * self.dataloader.batch_size
            next(islice(sampler.indices, past, past), None)
            yield from self.dataloader
        if not (hasattr(sampler, 'skip') and hasattr(sampler, 'set_epoch')):
            yield from self._replayed_batches()
            return
        sampler.set_epoch(0)
        sampler.skip(self._iter)
        while True:
            # MMEngine's endless iterator pauses here to let workers finish. That is not needed: all
            # batches of the epoch have arrived, so no worker is busy.
            yield from self.dataloader
            sampler.set_epoch(sampler.epoch + 1)

    def _replayed_batches(self) -> Iterator[dict]:
        """Load all past batches once more, as MMEngine does."""
        batches = _InfiniteDataloaderIterator(self.dataloader)
        if self._iter > 0:
            print_log(
                f'{type(self.dataloader.sampler).__name__} has no skip(): the {self._iter} batches '
                'of the past are loaded again, and random augmentation will differ. Use '
                'mmocr_da.TwoDomainSampler to resume at once and exactly.',
                logger='current',
                level=logging.WARNING,
            )
        for _ in range(self._iter):
            next(batches)
        yield from batches

    def _seed_iteration(self) -> None:
        seeds = np.random.SeedSequence([self.runner.seed, self._iter, get_rank()])
        seed = int(seeds.generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)

    def _collect_skipped(self, data_batch: dict) -> None:
        new = {
            path
            for sample in data_samples_of(data_batch)
            for path in sample.get('skipped_images', ())
        }
        if new:
            self._remember_skipped(new)

    def _remember_skipped(self, paths: set[str]) -> list[str]:
        hub = self.runner.message_hub
        together = sorted(paths.union(hub.get_info('skipped_images', [])))
        hub.update_info('skipped_images', together)
        return together

    def _report_skipped(self, shown: int = 10) -> None:
        of_ranks = all_gather_object(self.runner.message_hub.get_info('skipped_images', []))
        found: set[str] = set().union(*of_ranks)
        if not found:
            return
        paths = self._remember_skipped(found)
        self.runner.logger.warning(
            f'{len(paths)} images could not be read and were replaced so far: {some(paths, shown)}'
        )


class _Unstarted:
    """Replaces a dataloader, so that its workers do not start yet."""

    def __init__(self, dataloader: DataLoader) -> None:
        self.dataset = dataloader.dataset

    def __iter__(self) -> Iterator:
        return iter(())
