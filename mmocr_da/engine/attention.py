"""Reads where a recognizer looks for each character of an image."""

from collections.abc import Callable, Iterable

import torch
from mmengine.model import BaseModel
from torch import Tensor

from mmocr_da.models.decoders import adapter_of
from mmocr_da.models.encoders import as_feature_map
from mmocr_da.models.valid_ratio import num_valid, valid_ratios
from mmocr_da.visualization.attention import AttendedText

from .inference import batches


@torch.no_grad()
def read_attention(
    model: BaseModel,
    pipeline: Callable[[dict], dict],
    items: Iterable[dict],
    batch_size: int = 64,
) -> list[AttendedText]:
    """Read the texts of images and where the recognizer looks for each of their characters.

    Args:
        model: A plain recognizer in evaluation mode, on its device.
        pipeline: From an item to ``inputs`` and ``data_samples``.
        items: Items of a dataset, as before its pipeline.
        batch_size: Most images of a batch.

    Returns:
        One per item. Its picture is the input of the backbone, without padding: resized, in the
        colours of the model and rectified, if it has a rectifier.

    Raises:
        ValueError: If the decoder cannot tell.
    """
    found: dict[int, AttendedText] = {}
    classes = model.decoder.dictionary.dict
    for places, batch in batches(pipeline, items, batch_size):
        data = model.data_preprocessor(batch, False)
        samples = data['data_samples']
        images = data['inputs']
        if model.with_preprocessor:
            images = model.preprocessor(images)
        feature_map = model.backbone(images) if model.with_backbone else images
        sequence = model.encoder(feature_map, samples) if model.with_encoder else None
        steps = adapter_of(model.decoder).attention(feature_map, sequence, samples)
        maps = _as_maps(steps.weights, feature_map, getattr(model, 'encoder', None))
        ratio = valid_ratios(samples)
        columns = num_valid(ratio, maps.size(-1)).tolist()
        widths = num_valid(ratio, images.size(-1)).tolist()
        for i, place in enumerate(places):
            kept = steps.is_character[i]
            found[place] = AttendedText(
                _picture(images[i, :, :, : widths[i]]),
                [classes[k] if k < len(classes) else '' for k in steps.classes[i][kept].tolist()],
                maps[i][kept][..., : columns[i]].float().cpu().numpy(),
            )
    return [found[i] for i in range(len(found))]


def _as_maps(weights: Tensor, feature_map: Tensor, encoder: torch.nn.Module | None) -> Tensor:
    """Put the positions of weights ``(N, T, L)`` in rows and columns, ``(N, T, H', W')``."""
    maps = as_feature_map(weights.transpose(1, 2), feature_map, encoder)
    # A sequence that is shorter than the map, such as that of an encoder with strides, is a row.
    return weights.unsqueeze(2) if maps is None else maps


def _picture(image: Tensor):
    """Convert an input ``(C, H, W)`` to a picture in grey, from 0 to 1."""
    grey = image.float().mean(0)
    low, high = grey.min(), grey.max()
    return ((grey - low) / (high - low).clamp(min=1e-6)).cpu().numpy()
