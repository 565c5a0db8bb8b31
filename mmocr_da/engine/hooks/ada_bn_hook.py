"""Gives batch norms the statistics of the target before training (AdaBN)."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from itertools import islice
from typing import Any

from mmengine.hooks import Hook
from mmocr.models.textdet.detectors import DRRG
from mmocr.models.textrecog.recognizers import EncoderDecoderRecognizer
from torch import Tensor
from torch.utils.data import DataLoader

from mmocr_da.arguments import check_count, check_flag
from mmocr_da.datasets.two_domain_dataset import TwoDomainDataset
from mmocr_da.datasets.two_domain_sampler import TwoDomainSampler
from mmocr_da.models.detectors import AdaptiveTextDetector
from mmocr_da.models.layers.batch_statistics import Change, estimate_statistics, norms_of
from mmocr_da.models.objectives.detection_features import PARTS
from mmocr_da.models.weak_batch import weak_batch
from mmocr_da.registry import HOOKS
from mmocr_da.rng import seeded

from ..model_parts import unwrapped


@HOOKS.register_module()
class AdaBNHook(Hook):
    """Replace the running statistics of batch norms by those of target images, before training.

    AdaBN (Li et al., "Revisiting batch normalization for practical domain adaptation", 2016): a
    recognizer or detector that was trained on the source normalizes the target by the mean and
    variance of the source. The hook takes target images of the training data, with their weak views
    if there are any (:class:`mmocr_da.datasets.WeakStrongViews`), and computes mean and variance of
    what each batch norm sees (:mod:`mmocr_da.models.layers.batch_statistics`). No label and no
    gradient is used. The log says how far the statistics moved.

    All batch norms of the model change, also frozen ones, batch-instance norms, and those of a
    teacher, which gets the statistics of its own weights. A resumed run has them in its checkpoint.
    A model without batch norms does not change, which a warning says. Batch norms that see regions
    in place of images, in DRRG and in heads of two-stage detectors, are an error.

    Args:
        num_images: Number of target images, of all processes together. They are rounded up to whole
            batches, and each image is used once at most, except to fill the last batch.
        keep: Whether the statistics stay as they are during training: batch norms are then in
            evaluation mode, with weights that learn. Otherwise they follow the images that the
            recognizer trains on, with the momentum of each layer.
    """

    # After the hooks that check a run.
    priority = 'LOW'

    def __init__(self, num_images: int = 2048, keep: bool = False) -> None:
        check_count('num_images', num_images, of='images')
        check_flag('keep', keep)
        self.num_images = num_images
        self.keep = keep
        self._kept: list[Any] = []

    def before_train(self, runner: Any) -> None:
        """Estimate the statistics, unless the run is resumed.

        Raises:
            ValueError: If the model is no recognizer and no adaptive detector, if batch norms of it
                do not see images, or the training data have no target.
        """
        model: Any = unwrapped(runner.model)
        if not isinstance(model, (EncoderDecoderRecognizer, AdaptiveTextDetector)):
            raise ValueError(
                'AdaBNHook needs a recognizer of MMOCR, such as mmocr_da.AdaptiveRecognizer, or a '
                f'mmocr_da.AdaptiveTextDetector, got a {type(model).__name__}; remove the hook'
            )
        norms = norms_of(model, without=('objectives',))
        if not norms:
            runner.logger.warning(
                f'AdaBNHook has no effect: no part of this {type(model).__name__} is a batch norm '
                'with running statistics; remove it'
            )
            return
        if self.keep:
            self._kept = [*norms.values()]
        if runner.iter > 0:
            return
        data = runner.train_dataloader
        if not isinstance(data.dataset, TwoDomainDataset):
            raise ValueError(
                'AdaBNHook needs train_dataloader.dataset of type mmocr_da.TwoDomainDataset, which '
                f'says what the target is, got a {type(data.dataset).__name__}'
            )
        objectives = getattr(model, 'objectives', {}).values()
        copies = [copy for objective in objectives for copy in objective.copies()]
        for copy in (None, *copies):
            with nullcontext() if copy is None else copy.replacing(model):
                change = self._estimate(runner, model, data)
            if copy is None:
                self._report(runner, change, with_teacher=bool(copies))

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Put the batch norms in evaluation mode, if they keep their statistics."""
        # Here, since loops put the whole model in training mode for each iteration or epoch.
        for norm in self._kept:
            norm.training = False

    def _estimate(self, runner: Any, model: Any, data: DataLoader[Any]) -> dict[str, Change]:
        forward = _of_detector if isinstance(model, AdaptiveTextDetector) else _of_recognizer
        run_model = forward(model)

        def run(batch: dict[str, Any]) -> None:
            batch = weak_batch(batch['data_samples']) or batch
            batch = model.data_preprocessor(batch, False)
            run_model(batch['inputs'], batch['data_samples'])

        # Loaders draw seeds for their workers: the random numbers of the run are not changed.
        with seeded(runner.seed):
            return estimate_statistics(model, run, self._batches(data, runner.seed))

    def _batches(self, data: DataLoader[Any], seed: int) -> Iterator[dict[str, Any]]:
        """Target images of the training data, the same whatever the number of processes."""
        size = data.batch_size or 1  # None with a sampler of whole batches
        sampler = TwoDomainSampler(data.dataset, size, ratio=(0, 1), seed=seed)
        loader = DataLoader(
            data.dataset,
            size,
            sampler=sampler,
            num_workers=data.num_workers,
            collate_fn=data.collate_fn,
            worker_init_fn=data.worker_init_fn,
            multiprocessing_context=data.multiprocessing_context,
        )
        of_all_ranks = sum(sampler.steps)
        yield from islice(loader, -(-self.num_images // of_all_ranks))

    def _report(self, runner: Any, change: dict[str, Change], with_teacher: bool) -> None:
        means = {name: layer.mean for name, layer in change.items()}
        most = max(means, key=lambda name: means[name])
        runner.logger.info(
            f'AdaBNHook: {len(change)} batch norms have the statistics of target images now'
            f'{" (those of the teacher, too)" * with_teacher}. Their means moved by '
            f'{_mean([*means.values()]):.2f} of the old standard deviation, most of all in {most} '
            f'({means[most]:.2f}); their standard deviations changed by a factor of '
            f'{_mean([layer.deviation for layer in change.values()]):.2f}'
        )


def _of_recognizer(model: Any) -> Callable[[Tensor, Any], None]:
    """Run all parts that have batch norms."""
    in_decoder = bool(norms_of(model.decoder))

    def run(images: Tensor, samples: Any) -> None:
        feature_map = model.extract_feat(images)
        sequence = model.encoder(feature_map, samples) if model.with_encoder else None
        if in_decoder:
            model.decoder(feature_map, sequence, samples)

    return run


def _of_detector(model: Any) -> Callable[[Tensor, Any], None]:
    """Run all parts that have batch norms.

    Raises:
        ValueError: If some of them see regions in place of images.
    """
    detector = model.detector
    in_head = sorted(norms_of(detector, without=(*PARTS, 'objectives')))
    if in_head and (detector is not model or isinstance(model, DRRG)):
        raise ValueError(
            'AdaBNHook needs batch norms that see images, got some in a head that see regions, '
            f'whose number differs from image to image, such as {in_head[0]}; remove the hook'
        )

    def run(images: Tensor, samples: Any) -> None:
        features = detector.extract_feat(images)
        if in_head:
            detector.det_head(features, samples)

    return run


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
