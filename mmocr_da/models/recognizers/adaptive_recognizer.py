"""A recognizer that learns from labelled source and unlabelled target images together."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from typing import Any

import torch
from mmocr.models.textrecog.recognizers import EncoderDecoderRecognizer
from mmocr.structures import TextRecogDataSample
from torch import Tensor

from mmocr_da.arguments import check_config, check_flag, check_list, check_number, warn_unused
from mmocr_da.device import on_device
from mmocr_da.registry import MODELS
from mmocr_da.renamed import renamed_arguments

from ..channels_last import use_channels_last
from ..decoders.adapters import CHARACTER_FEATURES, DecoderAdapter, adapter_of
from ..decoders.character_features import CharacterFeatures, GreedyPrediction, tensors_in
from ..domain_split import DomainSplit, rows_of
from ..encoders import as_feature_map
from ..freezing import frozen
from ..layers import domains_of_images, keep_statistics_per_domain
from ..objectives import DomainFeatures, Objective
from ..objectives.building import add_values, build_objectives, domains_needed
from ..training_watch import DomainWatch, GradientWatch
from .decoder_losses import (
    DrawnDecoding,
    Encoded,
    forced_output,
    label_confidences,
    labelled_loss,
    predict_texts,
    share_of_ranks,
    zero_losses,
)
from .label_encoding import encode_texts
from .objective_keys import name_objectives


@MODELS.register_module()
class AdaptiveRecognizer(EncoderDecoderRecognizer):
    """Any MMOCR recognizer plus objectives that use images of both domains.

    A batch holds images of both domains (``TwoDomainDataset`` tags them). Preprocessor, backbone
    and encoder run once over all images. The decoder is fed the labels of the source and its own
    predictions of the target. The objectives compute losses from the features of both domains. The
    base recognizer's parameters keep their names: its checkpoints load with ``load_from``. The
    parameters of objectives are under ``objectives.<name>`` and are dropped at export. In testing
    it equals the plain recognizer, unless an objective changes the prediction
    (:meth:`~mmocr_da.models.objectives.Objective.predict`).

    If no objective needs the target, images need no domain: use MMOCR's datasets and samplers. If
    nothing needs the source, which takes ``supervised_weight=0``, the target alone is enough.

    Args:
        objectives: Configs of :class:`~mmocr_da.models.objectives.Objective` modules, called with
            ``(source, target)``, two :class:`~mmocr_da.models.objectives.DomainFeatures`. An empty
            list trains on the source alone.
        supervised_weight: Weight of the source's supervised loss.
        character_feature: The vector of a step that is the feature of its character, ``'context'``
            or ``'hidden'``, see :meth:`~mmocr_da.models.decoders.DecoderAdapter.decode`.
        norm_statistics: Whether the batch norms before the decoder compute statistics over all
            images of a batch (``'joint'``) or over each domain (``'per_domain'``). In the second
            case, testing and the exported model use the target's statistics; testing uses the
            source's for images tagged ``domain='source'``.
        channels_last: Keep convolution weights in channels-last memory order, which is faster for
            small networks on a CPU and for half precision on a GPU.
        data_preprocessor: As in MMOCR. MMOCR's own class is replaced by a batched form that
            computes the same numbers.
    """

    @renamed_arguments(hook_point='character_feature')
    def __init__(
        self,
        objectives: Sequence[dict[str, Any]] = (),
        supervised_weight: float = 1.0,
        character_feature: str = 'context',
        norm_statistics: str = 'joint',
        channels_last: bool = False,
        data_preprocessor: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        check_list('objectives', objectives, dict, 'configs')
        check_config('data_preprocessor', data_preprocessor)
        check_flag('channels_last', channels_last)
        if data_preprocessor and data_preprocessor.get('type') == 'TextRecogDataPreprocessor':
            data_preprocessor = {
                **data_preprocessor,
                'type': 'mmocr_da.BatchedTextRecogDataPreprocessor',
            }
        check_number('supervised_weight', supervised_weight, least=0)
        if character_feature not in CHARACTER_FEATURES:
            raise ValueError(
                f'character_feature must be one of {", ".join(CHARACTER_FEATURES)}, got '
                f'{character_feature!r}'
            )
        if norm_statistics not in ('joint', 'per_domain'):
            raise ValueError(
                f"norm_statistics needs 'joint' or 'per_domain', got {norm_statistics!r}"
            )
        super().__init__(data_preprocessor=data_preprocessor, **kwargs)
        self.supervised_weight = supervised_weight
        self.character_feature = character_feature
        self.norm_statistics = norm_statistics
        self.objectives, self._listed = build_objectives(objectives, supervised_weight)
        self.aligns_characters = any(o.needs_characters for o in self.objectives.values())
        if self.aligns_characters:
            self.adapter.check_characters()
        elif character_feature != 'context':
            names = list(self.objectives)
            reason = f'none of {names} looks at single characters'
            warn_unused('character_feature', character_feature, reason)
        if norm_statistics == 'per_domain':
            # A decoder does not always get all rows of a batch.
            keep_statistics_per_domain(self, without=('decoder', 'objectives'))
        for objective in self.objectives.values():
            objective.attach(self)
        self._domain_watch = DomainWatch(self.needed_domains)
        self._gradient_watch = GradientWatch()
        self._register_load_state_dict_pre_hook(self._before_load)
        if channels_last:
            use_channels_last(self)

    @property
    def adapter(self) -> DecoderAdapter:
        """Access to the decoder for objectives."""
        return adapter_of(self.decoder)

    @property
    def needed_domains(self) -> dict[str, list[str]]:
        """The domains that the training needs, and the settings and objectives that need each."""
        return domains_needed(self.objectives.values(), self.supervised_weight)

    @property
    def _needs_target(self) -> bool:
        return any(o.needs_target for o in self.objectives.values())

    # Training.

    def loss(
        self, inputs: Tensor, data_samples: list[TextRecogDataSample], **kwargs: Any
    ) -> dict[str, Tensor]:
        """Compute the supervised loss of the source, and the losses of every objective.

        Args:
            inputs: Images of both domains in any order, ``(N, C, H, W)``.
            data_samples: One per image, tagged with ``domain``, ``'source'`` or ``'target'``.

        Returns:
            Losses and log values by name; the name of a loss contains ``'loss'``.

        Raises:
            ValueError: If a tag or a label cannot be used; the message names the image. Or if two
                values have the same name.
        """
        active, freezes = self._active_objectives()
        losses, features = self._supervised(inputs, data_samples, active, freezes)
        for objective in active:
            values = objective(*features)
            if self.training and not freezes and torch.is_grad_enabled():
                self._gradient_watch.see(objective.name, values, self)
            add_values(losses, values, objective.name)
        return losses

    def observe(
        self, inputs: Tensor, data_samples: list[TextRecogDataSample]
    ) -> tuple[dict[str, Tensor], tuple[DomainFeatures, ...]]:
        """Compute the supervised loss, and what the objectives get: features of source and target.

        It takes what :meth:`loss` takes. As there, all processes must call it. Without objectives
        there are no features.
        """
        return self._supervised(inputs, data_samples, [*self.objectives.values()])

    def _supervised(
        self,
        inputs: Tensor,
        data_samples: list[TextRecogDataSample],
        active: Sequence[Objective],
        freezes: bool = False,
    ) -> tuple[dict[str, Tensor], tuple[DomainFeatures, ...]]:
        """The supervised loss, and what the objectives get; no loss if the recognizer is frozen."""
        split = self._split(data_samples, inputs.device)
        with frozen(self, but=self.objectives.values()) if freezes else nullcontext():
            encoded = self._encode(inputs, data_samples)
            characters = self._decode(encoded, split, active)
            prediction = self._predict_source(encoded, split, active)
        output = None if freezes else self._forced_output(encoded, characters, split)
        losses = {} if freezes else self._supervised_loss(encoded, characters, output, split)
        if not active:
            return losses, ()
        return losses, self._domain_features(inputs, encoded, characters, prediction, output, split)

    def _split(self, data_samples: list[TextRecogDataSample], device: torch.device) -> DomainSplit:
        """Divide the batch by domain, and encode the labels of the source."""
        split = DomainSplit.of_batch(data_samples, device, self._needs_target)
        if self.training:
            self._domain_watch.see(split.is_source)
        encode_texts(self.decoder, split.source_samples, device)
        return split

    def _active_objectives(self) -> tuple[list[Objective], bool]:
        """The objectives that this iteration trains, and whether the recognizer is frozen."""
        objectives = list(self.objectives.values())
        freezing = [o for o in objectives if o.freezes_recognizer]
        return freezing or objectives, bool(freezing)

    def _encode(self, inputs: Tensor, data_samples: list[TextRecogDataSample]) -> Encoded:
        with self._norms_know_domains(data_samples, inputs.device):
            feature_map = self.extract_feat(inputs)
            sequence = self.encoder(feature_map, data_samples) if self.with_encoder else None
        return Encoded(feature_map, sequence)

    def _norms_know_domains(
        self, samples: Sequence[TextRecogDataSample], device: torch.device
    ) -> AbstractContextManager[None]:
        domains = [s.get('domain') for s in samples]
        if self.norm_statistics == 'joint' or not any(domains):
            return nullcontext()
        return domains_of_images(self, [d == 'source' for d in domains], device)

    def _decode(
        self, encoded: Encoded, split: DomainSplit, active: Sequence[Objective]
    ) -> CharacterFeatures | None:
        if not any(o.needs_characters for o in active):
            return None
        return self.adapter.decode(
            *encoded, split.samples, split.is_source, split.valid_ratio, self.character_feature
        )

    def _predict_source(
        self, encoded: Encoded, split: DomainSplit, active: Sequence[Objective]
    ) -> GreedyPrediction | None:
        if not any(o.needs_prediction for o in active):
            return None
        samples, index = split.source_samples, split.source
        feature_map = encoded.feature_map[index]
        if samples:
            logits = self.adapter.predict(feature_map, rows_of(encoded.sequence, index), samples)
        else:  # most decoders of MMOCR cannot decode no image
            logits = feature_map.new_zeros(0, 1, self.decoder.dictionary.num_classes)
        return GreedyPrediction(logits, [s.gt_text.indexes for s in samples])

    def _forced_output(
        self, encoded: Encoded, characters: CharacterFeatures | None, split: DomainSplit
    ) -> Any:
        """The decoder's output for the source with its labels; None where it is not trained."""
        if not split.source_samples or self.supervised_weight == 0:
            return None
        if characters is not None:
            return characters.of_images(split.source).training_output
        return forced_output(self.decoder, encoded, split.source_samples, split.source)

    def _supervised_loss(
        self,
        encoded: Encoded,
        characters: CharacterFeatures | None,
        output: Any,
        split: DomainSplit,
    ) -> dict[str, Tensor]:
        samples, adapter = split.source_samples, self.adapter
        if output is None:  # also where it would be infinite
            reached = None
            if characters is not None:
                reached = tensors_in(characters.of_images(split.source).training_output)
            losses = zero_losses(self.decoder, encoded, reached)
        else:
            losses = adapter.loss(output, samples)
        if self.supervised_weight == 0:
            return losses  # zeros, whatever the other processes have: do not wait for them
        count = adapter.count_supervised(samples)
        weight = self.supervised_weight * share_of_ranks(count, split.source.device)
        return {k: v * weight if 'loss' in k else v for k, v in losses.items()}

    def _domain_features(
        self,
        inputs: Tensor,
        encoded: Encoded,
        characters: CharacterFeatures | None,
        prediction: GreedyPrediction | None,
        output: Any,
        split: DomainSplit,
    ) -> tuple[DomainFeatures, DomainFeatures]:
        feature_map: Tensor | None = encoded.feature_map
        sequence = encoded.sequence
        encoder = getattr(self, 'encoder', None)
        as_map = partial(as_feature_map, feature_map=encoded.feature_map, encoder=encoder)
        if not self.with_backbone:  # then the map is the images
            feature_map = as_map(sequence)
        ratio = on_device(split.valid_ratio, split.source.device)
        source, target = (
            DomainFeatures(
                rows_of(feature_map, index),
                rows_of(sequence, index),
                ratio[index],
                None if characters is None else characters.of_images(index),
                prediction if index is split.source else None,
                inputs[index],
                samples,
                partial(labelled_loss, self.decoder, encoded, index),
                partial(predict_texts, self.decoder, encoded, index, samples),
                None
                if output is None or index is not split.source
                else partial(label_confidences, self.decoder, output, samples),
                as_map,
                DrawnDecoding(self.decoder, encoded, index, samples),
            )
            for index, samples in (
                (split.source, split.source_samples),
                (split.target, split.target_samples),
            )
        )
        return source, target

    def after_step(self) -> None:
        """Tell the objectives that the optimizer has changed weights."""
        for objective in self.objectives.values():
            objective.after_step(self)

    # Testing.

    def predict(
        self, inputs: Tensor, data_samples: list[TextRecogDataSample], **kwargs: Any
    ) -> list[TextRecogDataSample]:
        """Predict ``pred_text`` of the data samples; an objective may add other fields."""
        with self._testing():
            encoded = self._encode(inputs, data_samples)
            return self._test(lambda: self.decoder.predict(*encoded, data_samples), data_samples)

    def _forward(
        self,
        inputs: Tensor,
        data_samples: list[TextRecogDataSample] | None = None,
        **kwargs: Any,
    ) -> Tensor:
        decode = partial(super()._forward, inputs, data_samples, **kwargs)
        if self.training:
            return decode()
        with self._testing():
            return self._test(decode, None)

    def _testing(self) -> ExitStack:
        stack = ExitStack()
        for objective in self.objectives.values():
            stack.enter_context(objective.testing(self))
        return stack

    def _test(
        self, decode: Callable[[], Any], data_samples: list[TextRecogDataSample] | None
    ) -> Any:
        for objective in self.objectives.values():
            decode = partial(objective.predict, self, decode, data_samples)
        return decode()

    # Checkpoints.

    def _before_load(self, state_dict: dict[str, Tensor], prefix: str, *_: Any) -> None:
        """Adapt weights of older or plain checkpoints to this model before they are loaded."""
        name_objectives(state_dict, self.objectives, self._listed, prefix)
        for objective in self.objectives.values():
            objective.before_load(self, state_dict, prefix)

    def plain_state_dict(self, state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the weights with which the plain recognizer predicts the same in testing.

        Args:
            state_dict: All weights of this recognizer; it is not changed.
        """
        state_dict = dict(state_dict)
        replacing = [o for o in self.objectives.values() if o.replaces_weights]
        if replacing:
            name_objectives(state_dict, self.objectives, self._listed, strict=True)
        for objective in replacing:
            objective.before_export(self, state_dict)
        return state_dict
