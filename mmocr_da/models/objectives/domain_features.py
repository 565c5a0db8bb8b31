"""What an objective gets of one domain."""

import torch
from torch import Tensor

from ..decoders.character_features import CharacterFeatures, GreedyPrediction
from ..valid_ratio import num_valid


class DomainFeatures:
    """Features of the ``N`` images of one domain; ``N`` may be 0.

    Args:
        feature_map: ``(N, C, H, W)``, the backbone's, or the encoder's where there is no backbone
            (None if that returns no map).
        sequence: ``(N, L, D)`` or whatever the encoder returns; None without an encoder.
        valid_ratio: ``(N,)``, the share of columns that is not padding.
        characters: Given if an objective needs them.
        prediction: Given for the source if an objective needs it.
    """

    def __init__(
        self,
        feature_map: Tensor | None,
        sequence: Tensor | None,
        valid_ratio: Tensor,
        characters: CharacterFeatures | None = None,
        prediction: GreedyPrediction | None = None,
    ) -> None:
        self.feature_map = feature_map
        self.sequence = sequence
        self.valid_ratio = valid_ratio
        self._characters = characters
        self._prediction = prediction

    @property
    def characters(self) -> CharacterFeatures:
        """Features of single characters, for objectives with ``needs_characters``."""
        if self._characters is None:
            raise ValueError('characters are there for objectives with needs_characters = True')
        return self._characters

    @property
    def prediction(self) -> GreedyPrediction:
        """The greedy prediction of the source, for objectives with ``needs_prediction``."""
        if self._prediction is None:
            raise ValueError(
                'a greedy prediction is there for objectives with needs_prediction = True, and for '
                'the source alone'
            )
        return self._prediction

    def valid_columns(self) -> Tensor:
        """Columns of the feature map that are no padding, ``(N, W)`` bool; at least one each.

        >>> DomainFeatures(torch.zeros(2, 8, 1, 4), None, torch.tensor([0.6, 1.])).valid_columns()
        tensor([[ True,  True,  True, False],
                [ True,  True,  True,  True]])
        """
        assert self.feature_map is not None
        width = self.feature_map.size(-1)
        valid = num_valid(self.valid_ratio, width)
        return torch.arange(width, device=valid.device) < valid[:, None]
