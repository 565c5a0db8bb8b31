"""A detector that learns from labelled source and unlabelled target images together."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import cache, partial
from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement, InstanceData
from mmocr.models.textdet.detectors import DRRG, MMDetWrapper, SingleStageTextDetector
from mmocr.models.textdet.heads import drrg_head
from numpy.typing import NDArray
from torch import Tensor

from mmocr_da.arguments import check_list, check_number
from mmocr_da.registry import MODELS
from mmocr_da.rng import seed_of_iteration, seeded

from ..domain_split import DomainSplit
from ..layers.domain_norm import domains_of_images
from ..layers.replace_norm import keep_statistics_per_domain
from ..objectives import DetectionFeatures
from ..objectives.building import add_values, build_objectives, domains_needed
from ..objectives.detection_features import PARTS, zero_of
from ..surrogates import LearnedSurrogate
from ..training_watch import DomainWatch, GradientWatch
from .instance_features import instance_features
from .pseudo_labels import move_regions, predict_regions, with_labels
from .text_maps import check_text_maps, move_maps, text_map_logits

#: Options of an adaptive detector that the plain one does not have.
OPTIONS = ('of', 'objectives', 'supervised_weight', 'norm_statistics')


@MODELS.register_module('AdaptiveTextDetector')
def adaptive_text_detector(of: str | None = None, **cfg: Any) -> BaseModel:
    """Build the detector ``dict(type=of, **cfg)`` plus objectives that use images of both domains.

    In a config it replaces the ``type`` of any detector of MMOCR, of MMDetection in MMOCR's
    wrapper, or of this package; the other keys stay:

    .. code-block:: python

        _base_ = 'mmocr::textdet/dbnet/dbnet_resnet18_fpnc_1200e_icdar2015.py'
        model = dict(
            type='mmocr_da.AdaptiveTextDetector',
            of='DBNet',
            objectives=[dict(type='mmocr_da.ImageAlignment', in_channels=256)],
        )

    A batch holds images of both domains (``TwoDomainDataset`` tags them). Backbone and neck run
    once over all images. The detector's own loss is computed on the source alone, from its rows of
    the features; without a target image in the batch it is that of the plain detector. The
    objectives compute losses from the features of both domains.

    The parameters keep their names: checkpoints of the plain detector load with ``load_from``. The
    parameters of objectives are under ``objectives.<name>`` and are dropped at export.

    What the detector draws in training (proposals, components of DRRG) depends only on seed,
    iteration and rank, so that a resumed run equals an uninterrupted one.

    Args:
        of: Type of the detector, a subclass of ``SingleStageTextDetector`` or ``MMDetWrapper``.
        objectives: Configs of objectives of detectors, :class:`ImageAlignment`,
            :class:`InstanceAlignment`, :class:`DomainConsistency`,
            :class:`DetectorSelfTraining` and :class:`DetectorMapSelfTraining`. An empty list trains
            on the source alone.
        supervised_weight: Weight of the source's supervised loss.
        norm_statistics: Whether the batch norms of backbone and neck compute statistics over all
            images of a batch (``'joint'``) or over those of each domain (``'per_domain'``; testing
            and export use those of the target). Batch norms of the head see the images that are
            learned.
        **cfg: The other keys of the detector.

    Raises:
        ValueError: If ``of`` is no detector, or an objective does not fit it.
        ImportError: If it is DRRG, and the package that merges its boxes is not installed.
    """
    cls = MODELS.get(of) if of else None
    if cls is None or not issubclass(cls, (SingleStageTextDetector, MMDetWrapper)):
        raise ValueError(
            'AdaptiveTextDetector needs of=..., the type of a detector of MMOCR such as '
            f"'DBNet' or 'MMDetWrapper', got {of!r}; a recognizer is adapted by "
            'mmocr_da.AdaptiveRecognizer'
        )
    if issubclass(cls, DRRG) and drrg_head.la_nms is None:
        raise ImportError(
            'DRRG needs lanms, which merges its boxes in training and testing, and it is not '
            "installed: pip install 'mmocr_da[drrg]', or pip install lanms-neo==1.0.2"
        )
    model: BaseModel = adaptive_class(cls)(**cfg)
    return model


def _plain_cfg(cfg: dict[str, Any]) -> dict[str, Any]:
    """Return the config of the detector itself (:mod:`mmocr_da.plain`)."""
    return {k: v for k, v in cfg.items() if k not in OPTIONS} | dict(type=cfg['of'])


adaptive_text_detector.plain_cfg = _plain_cfg


@cache
def adaptive_class(of: type) -> type:
    """Return the subclass of a class of detectors that has objectives."""
    return type(f'Adaptive{of.__name__}', (AdaptiveTextDetector, of), dict(__module__=__name__))


class AdaptiveTextDetector(BaseModel):
    """What :func:`adaptive_text_detector` adds to a class of detectors, as its first base."""

    def __init__(
        self,
        objectives: Sequence[dict[str, Any]] = (),
        supervised_weight: float = 1.0,
        norm_statistics: str = 'joint',
        **kwargs: Any,
    ) -> None:
        check_list('objectives', objectives, dict, 'configs')
        check_number('supervised_weight', supervised_weight, least=0)
        if norm_statistics not in ('joint', 'per_domain'):
            raise ValueError(
                f"norm_statistics needs 'joint' or 'per_domain', got {norm_statistics!r}"
            )
        super().__init__(**kwargs)
        self.supervised_weight = supervised_weight
        self.norm_statistics = norm_statistics
        if norm_statistics == 'per_domain':
            # Heads do not always get all rows of a batch.
            names = (name for name, _ in self.detector.named_children())
            others = [name for name in names if name not in PARTS]
            keep_statistics_per_domain(self.detector, without=others)
        self.objectives, _ = build_objectives(objectives, supervised_weight, 'detector')
        if self.objectives and any(isinstance(m, LearnedSurrogate) for m in self.modules()):
            raise ValueError(
                'objectives need a detector without a learned surrogate, because the steps that '
                'train the surrogate freeze the detector, got one: set another loss_bbox, or '
                'objectives=[]'
            )
        for objective in self.objectives.values():
            objective.attach(self)
        self._domain_watch = DomainWatch(self.needed_domains)
        self._gradient_watch = GradientWatch()
        self._register_load_state_dict_pre_hook(self._before_load)

    @property
    def detector(self) -> Any:
        """The module with ``backbone``, ``neck`` and ``extract_feat``."""
        return self.wrapped_model if hasattr(self, 'wrapped_model') else self

    @property
    def needed_domains(self) -> dict[str, list[str]]:
        """The domains that the training needs, and the settings and objectives that need each."""
        return domains_needed(self.objectives.values(), self.supervised_weight)

    # Training.

    def forward(
        self,
        inputs: Tensor,
        data_samples: list[Any] | None = None,
        mode: str = 'tensor',
        **kwargs: Any,
    ) -> Any:
        """See the plain detector; in the mode ``'loss'``, images are of both domains.

        Raises:
            ValueError: If a tag of a training image cannot be used.
        """
        if mode == 'loss':
            assert data_samples is not None
            with seeded(seed_of_iteration()):
                return self._losses(inputs, data_samples)
        with ExitStack() as stack:
            for objective in self.objectives.values() if not self.training else ():
                stack.enter_context(objective.testing(self))
            return super().forward(inputs, data_samples, mode, **kwargs)

    def _losses(self, inputs: Tensor, data_samples: list[Any]) -> dict[str, Any]:
        split = self._split(data_samples, inputs.device)
        if self.training:
            self._domain_watch.see(split.is_source)
        with self._norms_know_domains(data_samples, inputs.device):
            levels, features = self._extract(inputs)
        plain_loss = partial(self._plain_loss, inputs, features)
        losses: dict[str, Any] = {}
        if not self.supervised_weight:
            pass
        elif split.source_samples:
            found = plain_loss(split.source, split.source_samples)
            losses = {k: _weighted(v, self.supervised_weight) for k, v in found.items()}
        else:
            losses = dict(loss_source=zero_of(levels))
        source, target = self._domain_features(inputs, split, levels, features, plain_loss)
        for objective in self.objectives.values():
            values = objective(source, target)
            if self.training and torch.is_grad_enabled():
                self._gradient_watch.see(objective.name, values, self)
            add_values(losses, values, objective.name)
        return losses

    def observe(
        self, inputs: Tensor, data_samples: list[Any]
    ) -> tuple[dict[str, Tensor], tuple[DetectionFeatures, DetectionFeatures]]:
        """Compute the features of source and target that the objectives get.

        Returns:
            No loss, since images that are measured need no labels, and the features.
        """
        split = self._split(data_samples, inputs.device)
        with self._norms_know_domains(data_samples, inputs.device):
            levels, features = self._extract(inputs)
        plain_loss = partial(self._plain_loss, inputs, features)
        return {}, self._domain_features(inputs, split, levels, features, plain_loss)

    def _split(self, data_samples: list[Any], device: torch.device) -> DomainSplit:
        needs_target = any(o.needs_target for o in self.objectives.values())
        return DomainSplit.of_batch(data_samples, device, needs_target)

    def _domain_features(
        self,
        inputs: Tensor,
        split: DomainSplit,
        levels: dict[str, tuple[Tensor, ...]],
        features: Any,
        plain_loss: Callable[..., dict[str, Any]],
    ) -> tuple[DetectionFeatures, DetectionFeatures]:
        source, target = (
            DetectionFeatures(
                _rows(levels, index),
                inputs[index],
                samples,
                partial(_labelled_loss, plain_loss, index),
                partial(_instances, self.detector, features, index, samples),
                partial(_text_maps, self.detector, features, index),
            )
            for index, samples in (
                (split.source, split.source_samples),
                (split.target, split.target_samples),
            )
        )
        return source, target

    def _norms_know_domains(
        self, samples: Sequence[BaseDataElement], device: torch.device
    ) -> AbstractContextManager[None]:
        domains = [sample.get('domain') for sample in samples]
        if self.norm_statistics == 'joint' or not any(domains):
            return nullcontext()
        return domains_of_images(self, [d == 'source' for d in domains], device)

    def _extract(self, inputs: Tensor) -> tuple[dict[str, tuple[Tensor, ...]], Any]:
        """The feature maps of backbone and neck, and the input of the head."""
        levels: dict[str, tuple[Tensor, ...]] = {}

        def keep(module: Any, args: Any, output: Any) -> None:
            levels['backbone'] = _maps(output)

        with self.detector.backbone.register_forward_hook(keep):
            features = self.detector.extract_feat(inputs)
        if self.detector.with_neck:
            levels['neck'] = _maps(features)
        return levels, features

    def _plain_loss(
        self, inputs: Tensor, features: Any, index: Tensor, samples: list[Any]
    ) -> dict[str, Any]:
        """The losses of the plain detector for some images, whose features are known."""
        if self.detector is self:
            samples = [_of_size(sample, inputs.shape[-2:]) for sample in samples]
        with _extracted(self.detector, _rows(features, index)):
            found: dict[str, Any] = super().forward(inputs[index], samples, 'loss')
        return found

    def predict_regions(
        self, images: Tensor, samples: Sequence[BaseDataElement]
    ) -> list[InstanceData]:
        """Predict regions in the pixels of images, see :func:`.pseudo_labels.predict_regions`."""
        return predict_regions(self, images, samples)

    def check_text_maps(self, purpose: str) -> None:
        """Check that the head predicts maps of text, see :func:`.text_maps.check_text_maps`."""
        check_text_maps(self.detector, purpose)

    def predict_text_maps(self, images: Tensor) -> Tensor:
        """Predict the probability of text in maps ``(N, K, h, w)`` of images ``(N, C, H, W)``."""
        logits = text_map_logits(self.detector.det_head, self.detector.extract_feat(images))
        return logits.sigmoid()

    def move_text_maps(self, maps: Tensor, *places: Any) -> Tensor:
        """Carry maps to another view, see :func:`.text_maps.move_maps`."""
        return move_maps(maps, *places)

    def move_regions(
        self, regions: InstanceData, matrix: NDArray[Any], size: tuple[int, int]
    ) -> InstanceData:
        """Carry regions to another view, see :func:`.pseudo_labels.move_regions`."""
        return move_regions(regions, matrix, size)

    def with_labels(
        self, sample: BaseDataElement, regions: InstanceData, kept: Tensor
    ) -> BaseDataElement:
        """Make regions the labels of an image, see :func:`.pseudo_labels.with_labels`."""
        return with_labels(self, sample, regions, kept)

    def after_step(self) -> None:
        """Tell the objectives that the optimizer has changed weights."""
        for objective in self.objectives.values():
            objective.after_step(self)

    # Checkpoints.

    def _before_load(self, state_dict: dict[str, Tensor], prefix: str, *_: Any) -> None:
        """Complete checkpoints of the plain detector before they are loaded."""
        for objective in self.objectives.values():
            objective.before_load(self, state_dict, prefix)

    def plain_state_dict(self, state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the weights with which the plain detector predicts the same in testing.

        Args:
            state_dict: All weights of this detector; it is not changed.
        """
        state_dict = dict(state_dict)
        for objective in self.objectives.values():
            if objective.replaces_weights:
                objective.before_export(self, state_dict)
        return state_dict


@contextmanager
def _extracted(detector: Any, features: Any) -> Iterator[None]:
    """Let a detector use these features of its images within the block."""
    detector.extract_feat = lambda *args, **kwargs: features
    try:
        yield
    finally:
        del detector.extract_feat


def _of_size(sample: BaseDataElement, size: Sequence[int]) -> BaseDataElement:
    """Return a sample with the size of its padded image.

    MMOCR draws maps of labels of the size ``img_shape``, and compares them with those of the head,
    which are as large as the largest image of the batch. Padding is background there, as it is
    after the step ``Pad`` of a pipeline.
    """
    if tuple(sample.get('img_shape', ()))[:2] == tuple(size):
        return sample
    padded = type(sample)(metainfo=dict(sample.metainfo, img_shape=tuple(size)))
    padded.set_data(dict(sample.items()))
    return padded


def _instances(
    detector: Any, features: Any, index: Tensor, samples: Sequence[BaseDataElement], count: int
) -> tuple[Tensor, Tensor]:
    """See :meth:`DetectionFeatures.instances`."""
    return instance_features(detector, _rows(features, index), samples, count)


def _text_maps(detector: Any, features: Any, index: Tensor) -> Tensor:
    """See :meth:`DetectionFeatures.text_maps`."""
    return text_map_logits(detector.det_head, _rows(features, index))


def _labelled_loss(
    plain_loss: Callable[..., dict[str, Any]],
    index: Tensor,
    rows: Sequence[int],
    samples: list[BaseDataElement],
) -> dict[str, Tensor]:
    """See :meth:`DetectionFeatures.labelled_loss`."""
    losses = plain_loss(index[list(rows)], samples)
    return {k: _scalar(v) for k, v in losses.items() if 'loss' in k}


def _scalar(value: Tensor | Sequence[Tensor]) -> Tensor:
    """What MMEngine adds up for a loss, or a list of losses of levels."""
    if isinstance(value, Tensor):
        return value.mean()
    return torch.stack([v.mean() for v in value]).sum()


def _weighted(value: Any, weight: float) -> Any:
    return [v * weight for v in value] if isinstance(value, (list, tuple)) else value * weight


def _maps(output: Any) -> tuple[Tensor, ...]:
    """The feature maps that a part has returned."""
    if isinstance(output, Tensor):
        return (output,)
    values = output.values() if isinstance(output, dict) else output
    return tuple(x for x in values if isinstance(x, Tensor))


def _rows(values: Any, index: Tensor) -> Any:
    """Rows of all tensors in lists, tuples and dicts."""
    if isinstance(values, Tensor):
        return values[index]
    if isinstance(values, dict):
        return {key: _rows(value, index) for key, value in values.items()}
    if isinstance(values, (list, tuple)):
        return type(values)(_rows(value, index) for value in values)
    return values
