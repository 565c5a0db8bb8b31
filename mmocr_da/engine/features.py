"""Reads the features that a recognizer computes for images, and those of their characters."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from numpy.typing import NDArray
from torch import Tensor

from mmocr_da.domains import DOMAINS
from mmocr_da.models.decoders import adapter_of
from mmocr_da.models.encoders import as_feature_map
from mmocr_da.models.objectives import DomainFeatures
from mmocr_da.models.recognizers.label_encoding import encode_texts
from mmocr_da.models.valid_ratio import mean_over_valid, valid_ratios
from mmocr_da.visualization.embeddings import DomainPoints

from .inference import batches, item_pipeline


class RecognizerFeatures(NamedTuple):
    """Features of N images and of their M characters.

    Attributes:
        images: ``(N, C)``, the mean of the feature map over the columns that are not padding.
        characters: ``(M, D)``, see :meth:`~mmocr_da.models.decoders.DecoderAdapter.decode`; none if
            the characters of the decoder cannot be told apart.
        classes: The M characters; of a CTC decoder, those of the frames.
        owners: ``(M,)``, the index of the image of each character.
    """

    images: NDArray[Any]
    characters: NDArray[Any]
    classes: list[str]
    owners: NDArray[Any]


@torch.no_grad()
def read_features(
    model: BaseModel,
    pipeline: Callable[[dict], dict],
    items: Iterable[dict],
    labelled: bool = False,
    level: str = 'backbone',
    character_feature: str = 'context',
    batch_size: int = 64,
) -> RecognizerFeatures:
    """Read the features of images.

    Args:
        model: A plain recognizer in evaluation mode, on its device.
        pipeline: From an item to ``inputs`` and ``data_samples``.
        items: Items of a dataset, as before its pipeline.
        labelled: Whether characters are those of the labels, and the decoder is fed them. Otherwise
            they are those that it predicts.
        level: The map of the ``'backbone'`` or of the ``'encoder'``; without a backbone it is the
            encoder's.
        character_feature: As in ``AdaptiveRecognizer``.
        batch_size: Most images of a batch.

    Raises:
        ValueError: If there is no such map, or if a label has characters that the dictionary lacks.
    """
    pooled: dict[int, Tensor] = {}
    characters: dict[int, tuple[Tensor, list[str]]] = {}
    adapter = adapter_of(model.decoder)
    classes = model.decoder.dictionary.dict
    for places, batch in batches(pipeline, items, batch_size):
        data = model.data_preprocessor(batch, False)
        samples = data['data_samples']
        feature_map = model.extract_feat(data['inputs'])
        sequence = model.encoder(feature_map, samples) if model.with_encoder else None
        ratio = valid_ratios(samples)
        pooled.update(zip(places, _pooled(model, feature_map, sequence, ratio, level)))
        if not adapter.can_decode():
            continue
        if labelled:
            encode_texts(model.decoder, samples, feature_map.device)
        found = adapter.decode(
            feature_map, sequence, samples, [labelled] * len(samples), ratio, character_feature
        )
        steps = found.labels if labelled else found.logits.argmax(-1)
        for i, place in enumerate(places):
            kept = found.is_character[i]
            characters[place] = (
                found.features[i][kept].float().cpu(),
                [classes[k] if k < len(classes) else '' for k in steps[i][kept].tolist()],
            )
    order = range(len(pooled))
    texts = [characters[i] for i in order if i in characters]
    return RecognizerFeatures(
        torch.stack([pooled[i] for i in order]).numpy(),
        torch.cat([features for features, _ in texts]).numpy() if texts else np.empty((0, 1)),
        [char for _, chars in texts for char in chars],
        np.repeat(np.arange(len(texts)), [len(chars) for _, chars in texts]),
    )


def read_points(
    model: BaseModel,
    cfg: Config,
    items: Mapping[str, Sequence[dict]],
    labelled: bool,
    level: str = 'backbone',
    most: int = 1000,
    seed: int = 0,
) -> dict[str, DomainPoints]:
    """Read the features of the images of both domains, and at most ``most`` characters of each.

    Args:
        model: A plain recognizer in evaluation mode.
        cfg: Its config, or the config of its training.
        items: Items by domain.
        labelled, level: See :func:`read_features`.
        most: Characters of each domain that are kept, at random.
        seed: Which ones.

    Returns:
        ``'images'``, and ``'characters'`` if both domains have some that can be told apart.
    """
    feature = cfg.model.get('character_feature', 'context')
    found = [
        read_features(model, item_pipeline(cfg, items[d]), items[d], labelled, level, feature)
        for d in DOMAINS
    ]
    sizes = [len(part.images) for part in found]
    domains = np.repeat(DOMAINS, sizes).tolist()
    images = np.concatenate([part.images for part in found])
    points = {'images': DomainPoints(images, domains, list(range(sum(sizes))))}
    if all(part.classes for part in found):
        characters = DomainPoints(
            np.concatenate([part.characters for part in found]),
            np.repeat(DOMAINS, [len(part.classes) for part in found]).tolist(),
            np.concatenate([found[0].owners, sizes[0] + found[1].owners]).tolist(),
            [char for part in found for char in part.classes],
        )
        points['characters'] = characters.subset(most, seed)
    return points


def _pooled(
    model: BaseModel, feature_map: Tensor, sequence: Any, ratio: Tensor, level: str
) -> Tensor:
    """The mean over the columns of a map that are not padding, ``(N, C)`` on the CPU."""
    encoder = getattr(model, 'encoder', None)
    as_map = partial(as_feature_map, feature_map=feature_map, encoder=encoder)
    domain = DomainFeatures(feature_map, sequence, ratio.to(feature_map.device), as_map=as_map)
    wanted: Tensor | None = feature_map
    if level == 'encoder' or not model.with_backbone:
        wanted = domain.encoder_map
    if wanted is None:
        raise ValueError(
            f'level={level!r} needs a recognizer with an encoder that returns a map or a sequence '
            f'with a step per column, got a {type(model).__name__} without one; use the other level'
        )
    return mean_over_valid(wanted, ratio).float().cpu()
