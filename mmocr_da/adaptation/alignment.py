"""Finds out which features of a recognizer can be aligned, and how wide they are."""

from typing import Any, NamedTuple

import torch
from mmocr.models.textrecog.recognizers import EncoderDecoderRecognizer
from mmocr.registry import MODELS
from mmocr.structures import TextRecogDataSample
from torch import Tensor

from mmocr_da.compat import no_grad
from mmocr_da.models.objectives import Objective
from mmocr_da.models.objectives.domain_features import DomainFeatures
from mmocr_da.models.objectives.global_alignment import LEVELS, share_before
from mmocr_da.rng import torch_seeded

from .pipelines import Pipelines, is_loader
from .recognizers import Recognizer

#: Width and height of an image, if a config does not say.
SIZE = (128, 32)


class Alignable(NamedTuple):
    """Widths of the features that can be aligned; None where there are none."""

    feature_map: int | None
    characters: int | None
    #: Of which map: that of the backbone, unless most of the recognizer is behind it.
    level: str
    #: Why a feature cannot be aligned.
    remarks: list[str]


class FeatureWidths(Objective):
    """Records how wide the features of the target are, and trains nothing."""

    name = 'widths'
    needs_source = False

    def __init__(self) -> None:
        super().__init__()
        self.level = 'backbone'
        self.feature_map: int | None = None
        self.characters: int | None = None

    def attach(self, recognizer: EncoderDecoderRecognizer) -> None:
        """Choose the map that most of the recognizer is before."""
        shares = [share_before(recognizer, level) for level in LEVELS]
        if shares[0] < min(0.5, shares[1]) and recognizer.with_encoder:
            self.level = 'encoder'

    def forward(self, source: DomainFeatures, target: DomainFeatures) -> dict[str, Tensor]:
        """See :meth:`Objective.forward`."""
        maps = dict(backbone=target.feature_map, encoder=target.encoder_map)
        if maps[self.level] is None:
            self.level = 'backbone'
        found = maps[self.level]
        if found is not None:
            self.feature_map = found.size(1)
        if self.needs_characters:
            self.characters = target.characters.features.size(-1)
        return {}


def find_alignable(recognizer: Recognizer, pipelines: Pipelines) -> Alignable:
    """Build a recognizer, and let it encode and decode one image."""
    options: dict[str, Any] = {recognizer.type_key: 'mmocr_da.AdaptiveRecognizer'}
    cfg = dict(recognizer.cfg.model, **options, objectives=[dict(type=FeatureWidths)])
    cfg |= dict(supervised_weight=0, norm_statistics='joint')
    with torch_seeded(0):
        model = MODELS.build(cfg).eval()
    found, remarks = model.objectives['widths'], []
    try:
        model.adapter.check_characters()
        found.needs_characters = True
    except ValueError as error:
        remarks.append(f'no alignment of characters: {error}')
    width, height = pipelines.size or SIZE
    sample = TextRecogDataSample()
    sample.set_metainfo(
        dict(domain='target', img_path='', img_shape=(height, width), valid_ratio=1.0)
    )
    colours = [step.get('color_type', 'color') for step in pipelines.transforms if is_loader(step)]
    image = torch.zeros(1, 1 if 'grayscale' in colours else 3, height, width)
    with no_grad():
        model.loss(image, [sample])
    if found.feature_map is None:
        remarks.append('no alignment of feature maps: the recognizer has none')
    return Alignable(found.feature_map, found.characters, found.level, remarks)
