"""What an objective gets to see of one domain."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..decoders.character_features import CharacterFeatures, shown_steps
from ..decoders.free_reading import FreeReading


@dataclass
class DomainFeatures:
    """Features of the ``N`` images of one domain; ``N`` may be 0.

    Shape: ``feature_map (N, C, H, W)``, the backbone's, or the encoder's where there is no backbone
    (None if that returns no map), ``sequence (N, L, D)`` or whatever the encoder returns
    (None without an encoder), ``valid_ratio (N,)``: the share of columns that is not padding.
    ``characters``, and of the source ``reading``, are there when an objective asks for them.
    """

    feature_map: Tensor | None
    sequence: Tensor | None
    valid_ratio: Tensor
    characters: CharacterFeatures | None = None
    reading: FreeReading | None = None

    def valid_columns(self) -> Tensor:
        """Columns of the feature map that show image, ``(N, W)`` bool; at least one each.

        >>> DomainFeatures(torch.zeros(2, 8, 1, 4), None, torch.tensor([0.6, 1.])).valid_columns()
        tensor([[ True,  True,  True, False],
                [ True,  True,  True,  True]])
        """
        width = self.feature_map.size(-1)
        valid = shown_steps(self.valid_ratio, width)
        return torch.arange(width, device=valid.device) < valid[:, None]
