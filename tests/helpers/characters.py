"""Features of characters as a decoder's adapter returns them, of which a test gives some."""

import torch
from torch import nn

from mmocr_da.models.decoders import CharacterFeatures


def character_features(
    features,
    logits,
    is_character,
    supervised=None,
    labels=None,
    hidden=None,
    classifier=None,
    blank=None,
):
    """What is not given is as in a decoder without end tokens whose logits are its features."""
    return CharacterFeatures(
        features,
        logits,
        is_character,
        is_character if supervised is None else supervised,
        torch.zeros(is_character.shape, dtype=torch.long) if labels is None else labels,
        features if hidden is None else hidden,
        nn.Identity() if classifier is None else classifier,
        blank,
    )
