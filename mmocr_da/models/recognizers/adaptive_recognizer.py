"""A recognizer that learns from labelled source and unlabelled target images together."""

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager as ContextManager
from contextlib import nullcontext

import torch
from mmengine.dist import get_world_size
from mmengine.logging import print_log
from mmengine.model import ModuleDict
from mmocr.models.textrecog.recognizers import EncoderDecoderRecognizer
from mmocr.structures import TextRecogDataSample
from torch import Tensor, nn

from mmocr_da.arguments import check_number, warn_unused
from mmocr_da.device import on_device
from mmocr_da.registry import MODELS

from ..decoders.character_features import (
    CharacterFeatures,
    CharacterTap,
    classifier_path,
    classifier_replaced,
    pad_steps,
)
from ..decoders.free_reading import FreeReading, read_freely
from ..distributed import sum_per_rank
from ..encoders import as_feature_map
from ..freezing import frozen
from ..layers import domains_of_images, keep_statistics_per_domain
from ..objectives.domain_features import DomainFeatures
from ..objectives.symnet_head import SymNetHead
from .label_encoding import encode_texts
from .objective_keys import name_objectives
from .training_watch import DomainWatch, GradientWatch


@MODELS.register_module()
class AdaptiveRecognizer(EncoderDecoderRecognizer):
    """Any MMOCR recognizer plus objectives that see both domains.

    A batch holds images of both domains (``TwoDomainDataset`` tags them). Preprocessor, backbone
    and encoder run once over all of them; the decoder reads the source with its labels and the
    target freely; the objectives turn the two halves into losses. The base recognizer's parameters
    keep their names: its checkpoints load with ``load_from``. What training adds lives under
    ``objectives.<name>`` and is dropped at export. In testing it is the plain recognizer, with
    SymNet the one that has the weights of the predicting classifier.

    Where no objective looks at the target, images need no domain: MMOCR's own datasets and samplers
    will do.

    Args:
        objectives: Configs of :class:`~mmocr_da.models.objectives.Objective` modules, called with
            ``(source, target)``, two :class:`~mmocr_da.models.objectives.DomainFeatures`. An empty
            list trains on the source alone.
        supervised_weight: Weight of the source's supervised loss.
        hook_point: Which vector is a character's feature, see
            :class:`~mmocr_da.models.decoders.CharacterTap`.
        norm_statistics: Which images the batch norms before the decoder share statistics among:
            all of a batch ('joint'), or those of a domain ('per_domain'). Then testing, and the
            exported model, uses the target's, but for images tagged ``domain='source'``.
        channels_last: Keep convolution weights in channels-last memory order, which a small
            network on a CPU and a half-precision one on a GPU run faster in.
        data_preprocessor: As in MMOCR. The stock one is replaced by a batched form that computes
            the same numbers.
    """

    def __init__(
        self,
        objectives: Sequence[dict] = (),
        supervised_weight: float = 1.0,
        hook_point: str = 'context',
        norm_statistics: str = 'joint',
        channels_last: bool = False,
        data_preprocessor: dict | None = None,
        **kwargs,
    ) -> None:
        if (data_preprocessor or {}).get('type') == 'TextRecogDataPreprocessor':
            data_preprocessor = {
                **data_preprocessor,
                'type': 'mmocr_da.BatchedTextRecogDataPreprocessor',
            }
        check_number('supervised_weight', supervised_weight, least=0)
        super().__init__(data_preprocessor=data_preprocessor, **kwargs)
        built = [MODELS.build(cfg) for cfg in objectives]
        self._listed = names = [o.name for o in built]
        if any(not name or '.' in name for name in names):
            raise ValueError(
                f'each objective needs a name without a dot, got {names}; it is an '
                'attribute of its class'
            )
        if len(set(names)) < len(names):
            raise ValueError(
                f'objectives must be of different kinds, got {names}: their losses '
                'would overwrite each other in the log'
            )
        # By name, so that another order in the config changes neither the keys of a checkpoint nor
        # the order of the parameters, which is that of an optimizer's state.
        self.objectives = ModuleDict(sorted(zip(names, built), key=lambda pair: pair[0]))
        if not built and supervised_weight == 0:
            raise ValueError(
                'supervised_weight=0 without objectives leaves nothing to train, got '
                'objectives=[]; add one, or set supervised_weight=1'
            )
        self.supervised_weight = supervised_weight
        self.tap = None
        self.aligns_characters = any(o.needs_characters for o in self.objectives.values())
        if CharacterTap.fits(self.decoder) or self.aligns_characters:
            tap = CharacterTap(self.decoder, hook_point)
            # Without such an objective, it may still stop at the longest label; MMOCR does not.
            if self.aligns_characters or tap.stops_early:
                self.tap = tap
        if hook_point != 'context' and not self.aligns_characters:
            warn_unused('hook_point', hook_point, f'none of {names} looks at single characters')
        if norm_statistics not in ('joint', 'per_domain'):
            raise ValueError(
                f"norm_statistics needs 'joint' or 'per_domain', got {norm_statistics!r}"
            )
        self.norm_statistics = norm_statistics
        if norm_statistics == 'per_domain':
            # A decoder does not always see all rows of a batch.
            keep_statistics_per_domain(self, without=('decoder', 'objectives'))
        for objective in self.objectives.values():
            objective.attach(self.decoder, supervised_weight)
            objective.check(self)
        self._domain_watch = DomainWatch(
            ['source'] * (supervised_weight > 0) + ['target'] * self._needs_target
        )
        self._gradient_watch = GradientWatch()
        self._register_load_state_dict_pre_hook(self._before_weights)
        if channels_last:
            self.to(memory_format=torch.channels_last)

    def init_weights(self) -> None:
        """Initialize the parts; C^t starts as C^s, unless both come from a checkpoint."""
        first = not self.is_init
        super().init_weights()
        cfg = self.init_cfg if isinstance(self.init_cfg, (list, tuple)) else [self.init_cfg or {}]
        loaded = any(c.get('type') in ('Pretrained', 'PretrainedInit') for c in cfg)
        if self.symnet is not None and first and not loaded:
            own, twin = self._classifiers().values()
            twin.load_state_dict(own.state_dict())

    @property
    def symnet(self) -> SymNetHead | None:
        """The objective with a second classifier, if there is one."""
        return next((o for o in self.objectives.values() if isinstance(o, SymNetHead)), None)

    @property
    def _needs_target(self) -> bool:
        return any(o.needs_target for o in self.objectives.values())

    def loss(
        self, inputs: Tensor, data_samples: list[TextRecogDataSample], **kwargs
    ) -> dict[str, Tensor]:
        """Supervised loss of the source half and the losses of every objective.

        Args:
            inputs: Images of both domains in any order, ``(N, C, H, W)``.
            data_samples: One each, tagged with ``domain``, ``'source'`` or ``'target'``.
        """
        is_source = [self._is_source(sample) for sample in data_samples]
        if self.training:
            self._domain_watch.see(is_source)
        source_samples = [s for s, x in zip(data_samples, is_source) if x]
        encode_texts(self.decoder, source_samples, inputs.device)
        holding = [o for o in self.objectives.values() if o.holds_recognizer]
        asked = holding or self.objectives.values()
        rows = torch.tensor(is_source, dtype=torch.bool)
        halves = [on_device(half.nonzero().flatten(), inputs.device) for half in (rows, ~rows)]
        losses, characters, reading = {}, None, None
        with frozen(self, but=self.objectives.values()) if holding else nullcontext():
            with self._norms_told(data_samples, inputs.device):
                feature_map = self.extract_feat(inputs)
                sequence = self.encoder(feature_map, data_samples) if self.with_encoder else None
            if any(o.needs_characters for o in asked):
                characters = self.tap(
                    self.decoder,
                    feature_map,
                    sequence,
                    data_samples,
                    all_steps=any(o.needs_all_steps for o in asked),
                )
            if any(o.needs_reading for o in asked):
                logits = read_freely(
                    self.decoder,
                    feature_map[halves[0]],
                    self._rows(sequence, halves[0]),
                    source_samples,
                )
                reading = FreeReading(logits, [s.gt_text.indexes for s in source_samples])
        if not holding:
            if characters is not None:
                losses = self._module_loss(characters.logits[halves[0]], source_samples)
            else:
                losses = self._supervised(feature_map, sequence, halves[0], source_samples)
            weight = self.supervised_weight * self._share_of_tokens(source_samples, inputs.device)
            losses = {k: v * weight if 'loss' in k else v for k, v in losses.items()}
        if asked:
            ratio = on_device(
                torch.tensor([s.get('valid_ratio', 1) for s in data_samples], dtype=inputs.dtype),
                inputs.device,
            )
            aligned = feature_map
            if not self.with_backbone:  # it is the images
                aligned = as_feature_map(sequence, feature_map, getattr(self, 'encoder', None))
            source, target = (
                self._half(index, aligned, sequence, ratio, characters) for index in halves
            )
            source.reading = reading
            for objective in asked:
                own = objective(source, target)
                if self.training and not holding and torch.is_grad_enabled():
                    self._gradient_watch.see(objective.name, own, self)
                losses.update(own)
        return losses

    def predict(
        self, inputs: Tensor, data_samples: list[TextRecogDataSample], **kwargs
    ) -> list[TextRecogDataSample]:
        """Readings as ``pred_text``; of two classifiers, both, see :class:`SymNetHead`."""
        with self._norms_told(data_samples, inputs.device):
            if self.symnet is None:
                return super().predict(inputs, data_samples, **kwargs)
            feature_map = self.extract_feat(inputs)
            sequence = self.encoder(feature_map, data_samples) if self.with_encoder else None
        readings = {}
        for domain, classifier in self._classifiers().items():
            with classifier_replaced(self.decoder, classifier):
                data_samples = self.decoder.predict(feature_map, sequence, data_samples)
            readings[domain] = [s.pred_text for s in data_samples]
        for i, sample in enumerate(data_samples):
            sample.pred_text = copy.copy(readings[self.symnet.predict_with][i])
            for domain in readings:
                sample.set_data({f'pred_text_{domain}': readings[domain][i]})
        return data_samples

    def _forward(self, inputs: Tensor, data_samples=None, **kwargs) -> Tensor:
        if self.symnet is None or self.training:
            return super()._forward(inputs, data_samples, **kwargs)
        classifier = self._classifiers()[self.symnet.predict_with]
        with classifier_replaced(self.decoder, classifier):
            return super()._forward(inputs, data_samples, **kwargs)

    def _classifiers(self) -> dict[str, nn.Module]:
        own = self.decoder.get_submodule(classifier_path(self.decoder))
        return dict(source=own, target=self.symnet.classifier)

    def deployed_state_dict(self, state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weights with which the plain recognizer reads as this one does in testing."""
        state_dict = dict(state_dict)
        if self.symnet is not None and self.symnet.predict_with == 'target':
            name_objectives(state_dict, self.objectives, self._listed, strict=True)
            for own, twin in self._classifier_keys().items():
                if twin in state_dict:  # without one, C^t is a copy of C^s
                    state_dict[own] = state_dict[twin]
        return state_dict

    def _classifier_keys(self) -> dict[str, str]:
        """Keys of C^s, and those of its twin."""
        own = f'decoder.{classifier_path(self.decoder)}'
        twin = f'objectives.{self.symnet.name}.classifier'
        return {f'{own}.{key}': f'{twin}.{key}' for key in self.symnet.classifier.state_dict()}

    def _before_weights(self, state_dict: dict[str, Tensor], prefix: str, *_) -> None:
        """Before weights are loaded: make them fit, as far as they can."""
        name_objectives(state_dict, self.objectives, self._listed, prefix)
        if self.symnet is not None:
            self._complete_classifiers(state_dict, prefix)

    def _complete_classifiers(self, state_dict: dict[str, Tensor], prefix: str) -> None:
        """Refuse another alphabet, and start C^t as a copy of C^s."""
        shapes = {k: v.shape for k, v in self.state_dict().items()}
        for own, twin in self._classifier_keys().items():
            for key in (own, twin):
                found = state_dict.get(prefix + key)
                if found is not None and found.shape != shapes[key]:
                    raise ValueError(
                        f'the checkpoint must be of the same dictionary, got {key} of shape '
                        f'{tuple(found.shape)} instead of {tuple(shapes[key])}: C^t learns by the '
                        'classes of C^s; use the dict_file that the checkpoint was trained with'
                    )
            if prefix + own in state_dict and prefix + twin not in state_dict:
                print_log(f'{twin} starts as a copy of {own}', logger='current')
                state_dict[prefix + twin] = state_dict[prefix + own].clone()

    def _norms_told(self, samples: Sequence[TextRecogDataSample], device) -> ContextManager:
        domains = [s.get('domain') for s in samples]
        if self.norm_statistics == 'joint' or not any(domains):
            return nullcontext()
        return domains_of_images(self, [d == 'source' for d in domains], device)

    def _is_source(self, sample: TextRecogDataSample) -> bool:
        domain = sample.get('domain')
        if domain is None and not self._needs_target:
            return True
        if domain not in ('source', 'target'):
            raise ValueError(
                f"a data sample needs domain='source' or 'target', got {domain!r} for "
                f'{sample.get("img_path")}: build the training data with mmocr_da.TwoDomainDataset'
            )
        if domain == 'target' and getattr(sample.get('gt_text'), 'item', ''):
            raise ValueError(
                f'the target image {sample.get("img_path")} carries a text: labels of the target '
                'must not reach training; load it with mmocr_da.UnlabelledDataset'
            )
        return domain == 'source'

    def _supervised(self, feature_map, sequence, index, samples) -> dict[str, Tensor]:
        """The supervised loss where no objective looks at characters: only the source is read."""
        if not samples or self.supervised_weight == 0:
            reached = [feature_map, *self.decoder.parameters()]
            reached += [sequence] if isinstance(sequence, Tensor) else []
            return dict(loss_ce=sum(x.sum() for x in reached) * 0)
        feature_map, sequence = feature_map[index], self._rows(sequence, index)
        if self.tap is not None and self.tap.stops_early:
            logits = self.tap(self.decoder, feature_map, sequence, samples).logits
        else:
            logits = self.decoder(feature_map, sequence, samples)
        return self._module_loss(logits, samples)

    def _module_loss(self, logits: Tensor, samples) -> dict[str, Tensor]:
        if not samples or self.supervised_weight == 0:  # also where it would be infinite
            return dict(loss_ce=logits.sum() * 0)
        if self.tap is not None and self.tap.stops_early:
            logits = pad_steps(logits, self.decoder.max_seq_len)
        return self.decoder.module_loss(logits, samples)

    def _share_of_tokens(self, samples, device) -> float | Tensor:
        """What makes DDP's average of means over characters the mean over all ranks' characters.

        Ranks hold different numbers of them. All ranks must come here, also without a sample.
        """
        module_loss = self.decoder.module_loss
        reduction = getattr(getattr(module_loss, 'loss_ce', None), 'reduction', None)
        if reduction != 'mean' or get_world_size() == 1:
            return 1.0
        count = torch.zeros((), device=device)
        if samples:
            tokens = torch.stack([s.gt_text.padded_indexes for s in samples])
            tokens = tokens[:, 1:] if module_loss.ignore_first_char else tokens
            count = (tokens != module_loss.ignore_index).sum().float()
        return count / sum_per_rank(count).clamp(min=1e-12)

    @staticmethod
    def _half(
        index: Tensor,
        feature_map: Tensor | None,
        sequence: Tensor | None,
        ratio: Tensor,
        characters: CharacterFeatures | None,
    ) -> DomainFeatures:
        characters = None if characters is None else characters.of_images(index)
        sequence = AdaptiveRecognizer._rows(sequence, index)
        feature_map = AdaptiveRecognizer._rows(feature_map, index)
        return DomainFeatures(feature_map, sequence, ratio[index], characters)

    @staticmethod
    def _rows(sequence: Tensor | None, index: Tensor) -> Tensor | None:
        return sequence[index] if isinstance(sequence, Tensor) else None
