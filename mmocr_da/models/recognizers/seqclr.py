"""Sequence-to-sequence contrastive learning (SeqCLR; Aberdam et al., CVPR 2021)."""

from collections.abc import Sequence
from typing import Any, NoReturn

import torch
from mmengine.dist import get_world_size
from mmocr.models.textrecog.recognizers import EncoderDecoderRecognizer
from mmocr.structures import TextRecogDataSample
from torch import Tensor

from mmocr_da.arguments import check_config, check_flag
from mmocr_da.device import marked
from mmocr_da.registry import MODELS

from ..channels_last import use_channels_last
from ..decoders.adapters import adapter_of
from ..encoders import as_feature_map
from ..valid_ratio import num_valid, valid_ratios

REPRESENTATIONS = ('V', 'H', 'HV')


@MODELS.register_module()
class SeqCLR(EncoderDecoderRecognizer):
    """The encoder of any MMOCR recognizer, trained on images without labels (section 4).

    Use the config of a recognizer and replace its ``type`` by this class. Preprocessor, backbone
    and encoder keep their names, so checkpoints load in both directions. The decoder is not built,
    and neither is the encoder if ``representation`` is V. There is one exception: the
    ``CRNNDecoder`` contains the sequence model of CRNN, so its BiLSTMs are trained if
    ``representation`` contains H.

    A batch holds two views of each image (:class:`MultiView`). Both pass the encoder together. The
    projection head and the instance mapping convert its frames, the columns of the feature map,
    into the instances that the loss compares. Columns of padding are left out.

    Args:
        representation: R, the features that the loss compares: ``'V'``, the feature map of the
            backbone, ``'H'``, the sequence of the encoder, or ``'HV'``, both concatenated, for
            decoders that use both. A map higher than 1 is averaged over its height.
        projection: Config of the projection head; None leaves it out.
        mapping: Config of the instance mapping.
        loss: Config of the contrastive loss.
        channels_last: As in :class:`AdaptiveRecognizer`.
        preprocessor, backbone, encoder, decoder, data_preprocessor, init_cfg: The recognizer's.
    """

    #: See :mod:`mmocr_da.plain`.
    not_exportable = (
        'SeqCLR has no decoder, so there is no recognizer to export; its encoder '
        'is in the encoder_*.pth beside the checkpoint (EncoderExportHook), '
        'which a recognizer takes by load_from'
    )

    def __init__(
        self,
        representation: str = 'H',
        projection: dict[str, Any] | None = None,
        mapping: dict[str, Any] | None = None,
        loss: dict[str, Any] | None = None,
        channels_last: bool = False,
        preprocessor: dict[str, Any] | None = None,
        backbone: dict[str, Any] | None = None,
        encoder: dict[str, Any] | None = None,
        decoder: dict[str, Any] | None = None,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        configs = dict(projection=projection, mapping=mapping, loss=loss)
        configs |= dict(preprocessor=preprocessor, backbone=backbone, encoder=encoder)
        configs |= dict(decoder=decoder, data_preprocessor=data_preprocessor)
        for name, cfg in configs.items():
            check_config(name, cfg)
        check_flag('channels_last', channels_last)
        if (data_preprocessor or {}).get('type') in (
            None,
            'TextRecogDataPreprocessor',
            'mmocr_da.BatchedTextRecogDataPreprocessor',
        ):
            data_preprocessor = {
                **(data_preprocessor or {}),
                'type': 'mmocr_da.MultiViewTextRecogDataPreprocessor',
            }
        # Skips the host's own constructor, which needs a decoder.
        super(EncoderDecoderRecognizer, self).__init__(
            data_preprocessor=data_preprocessor, init_cfg=init_cfg
        )
        if representation not in REPRESENTATIONS:
            raise ValueError(
                f'representation must be one of {", ".join(REPRESENTATIONS)}, got '
                f'{representation!r}'
            )
        self.representation = representation
        # Parts without a gradient are not built: DDP would wait for them.
        parts = dict(
            preprocessor=preprocessor,
            backbone=backbone,
            encoder=encoder if 'H' in representation else None,
        )
        for name, cfg in parts.items():
            if cfg is not None:
                setattr(self, name, MODELS.build(cfg))
        if 'V' in representation and not self.with_backbone:
            raise ValueError(
                "representation='V' needs a backbone, got none; set "
                "representation='H', the output of the encoder"
            )
        if 'H' in representation and not self.with_encoder:
            if decoder is None:
                raise ValueError(
                    "representation='H' needs an encoder, or a CRNNDecoder with rnn_flag=True, "
                    "got neither; set representation='V', the feature map of the backbone"
                )
            self.decoder = adapter_of(MODELS.build(decoder)).sequence_model()
        mapping = mapping or dict(type='mmocr_da.WindowToInstance')
        self.projection = None if projection is None else MODELS.build(projection)
        self.mapping = MODELS.build(mapping)
        self.contrastive_loss = MODELS.build({'type': 'mmocr_da.NTXentLoss', **(loss or {})})
        #: Whether `loss` leaves the instances of its last batch in `latest_instances`.
        self.keep_instances = False
        self.latest_instances: tuple[Tensor, Tensor] | None = None
        self._batches_without_negatives = 0
        if channels_last:
            use_channels_last(self)

    @property
    def encoder_modules(self) -> tuple[str, ...]:
        """Names of the parts that a recognizer loads from a checkpoint."""
        parts = [name for name in ('preprocessor', 'backbone', 'encoder') if hasattr(self, name)]
        if self.with_decoder:
            parts += [f'decoder.{name}' for name in adapter_of(self.decoder).encoder_parts]
        return tuple(parts)

    def represent(
        self, inputs: Tensor, data_samples: Sequence[TextRecogDataSample]
    ) -> tuple[Tensor, Tensor]:
        """Compute R of images ``(N, C, H, W)``.

        Returns:
            Frames ``(N, T, F)``, and on the CPU the numbers ``(N,)`` of frames without padding.

        Raises:
            ValueError: If H and V of ``'HV'`` have different numbers of frames.
        """
        feature_map = self.extract_feat(inputs)
        parts = []
        if 'H' in self.representation:
            if self.with_encoder:
                sequence = self.encoder(feature_map, data_samples)
            else:
                sequence = self.decoder.forward_train(feature_map)
            parts.append(self._frames(sequence, feature_map))
        if 'V' in self.representation:
            parts.append(feature_map.mean(2).transpose(1, 2))
        if len({part.size(1) for part in parts}) > 1:
            raise ValueError(
                f"representation='HV' needs as many frames of H as of V, got {parts[0].size(1)} "
                f'and {parts[1].size(1)}; choose one of them'
            )
        frames = torch.cat(parts, -1)
        return frames, num_valid(valid_ratios(data_samples), frames.size(1))

    def _frames(self, sequence: Tensor, feature_map: Tensor) -> Tensor:
        """Convert the output of the encoder to one frame per column, ``(N, T, F)``."""
        encoded = as_feature_map(sequence, feature_map, getattr(self, 'encoder', None))
        if encoded is None:
            height, width = feature_map.shape[-2:]
            raise ValueError(
                f'representation={self.representation!r} needs an encoder that makes a map '
                f'(N, F, H, W) or a sequence (N, T, F) of the {height} x {width} feature map, got '
                f'{tuple(sequence.shape)} from {type(self.encoder).__name__}; set '
                "representation='V'"
            )
        return encoded.mean(2).transpose(1, 2)

    def loss(
        self, inputs: Tensor, data_samples: list[TextRecogDataSample], **kwargs: Any
    ) -> dict[str, Tensor]:
        """Compute the contrastive loss of two views of the same images.

        Args:
            inputs: ``(2 N, C, H, W)``; image ``N + i`` is the other view of image ``i``.
            data_samples: One per image.

        Returns:
            ``loss_contrastive``.

        Raises:
            ValueError: If nothing is trained, the width of the projection is wrong, or batches have
                no negatives.
        """
        frames, lengths = self.represent(inputs, data_samples)
        if self.training and torch.is_grad_enabled() and not frames.requires_grad:
            raise ValueError(
                'all that SeqCLR trains is frozen, got a representation '
                f'{self.representation!r} without a gradient: remove FreezeHook or frozen_stages, '
                f'or leave out one of {", ".join(self.encoder_modules)}'
            )
        if self.projection is not None:
            width = self.projection.in_channels
            if frames.size(-1) != width:
                raise ValueError(
                    f'projection needs in_channels={frames.size(-1)}, the width of the '
                    f'representation {self.representation!r}, got in_channels={width}'
                )
            frames = self.projection(frames, lengths)
        instances, exists = self.mapping(frames, lengths)
        half = len(inputs) // 2
        exists = exists[:half] & exists[half:]
        za, zb = (marked(x, exists) for x in (instances[:half], instances[half:]))
        self._check_negatives(len(za), half)
        if self.keep_instances:
            self.latest_instances = (za.detach().float(), zb.detach().float())
        return dict(loss_contrastive=self.contrastive_loss(za, zb))

    def _check_negatives(self, instances: int, images: int) -> None:
        """Raise a ValueError if two batches in a row have no negatives.

        One may be the small last batch of an epoch.
        """
        if instances > 1 or get_world_size() > 1 or not self.training:
            self._batches_without_negatives = 0
            return
        self._batches_without_negatives += 1
        if self._batches_without_negatives > 1:
            raise ValueError(
                f'an instance needs others to differ from, got {instances} in {images} images by '
                f'{type(self.mapping).__name__}, twice in a row: the loss is 0. Set a larger '
                'train_dataloader.batch_size, or a mapping with several instances per image'
            )

    def predict(
        self, inputs: Tensor, data_samples: list[TextRecogDataSample], **kwargs: Any
    ) -> NoReturn:
        """Raise a ValueError: an encoder predicts no text."""
        raise ValueError(
            'SeqCLR trains an encoder and predicts nothing, so it cannot be validated or '
            'tested: train a decoder on it, with load_from=<its checkpoint>'
        )

    def _forward(
        self,
        inputs: Tensor,
        data_samples: list[TextRecogDataSample] | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Return R, ``(N, T, F)``."""
        samples = data_samples or [TextRecogDataSample() for _ in inputs]
        return self.represent(inputs, samples)[0]
