"""Maps of the probability of text, which the heads of segmentation detectors predict."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
from mmocr.models.textdet.heads import DBHead, PANHead, PSEHead, TextSnakeHead
from numpy.typing import NDArray
from torch import Tensor, nn

#: For each class of heads, the logits of its maps ``(N, K, h, w)``; the nearest parent counts.
LOGITS: dict[type, Callable[[Any, Any], Tensor]] = {
    # The shrunken text; thresholds are of no use in testing.
    DBHead: lambda head, x: head.binarize(x),
    # Text, and its kernel.
    PANHead: lambda head, x: head(x)[:, :2],
    # Text, and six ever smaller kernels.
    PSEHead: lambda head, x: head(x),
    # Text, and its centre line.
    TextSnakeHead: lambda head, x: head(x)[:, :2],
}
#: A probability that is neither of text nor of background.
UNKNOWN = 0.5


def _logits_of(head: Any) -> Callable[[Any, Any], Tensor] | None:
    return next((LOGITS[cls] for cls in type(head).__mro__ if cls in LOGITS), None)


def check_text_maps(model: nn.Module, purpose: str) -> None:
    """Check that the head of a detector predicts maps.

    Raises:
        ValueError: If it does not.
    """
    head = getattr(model, 'det_head', None)
    if _logits_of(head) is None:
        known = ', '.join(cls.__name__ for cls in LOGITS)
        raise ValueError(
            f'{purpose} needs a head that predicts the probability of text for each pixel, one of '
            f'{known}, got {"none" if head is None else type(head).__name__}; '
            'mmocr_da.DetectorSelfTraining works for every detector'
        )


def text_map_logits(head: nn.Module, features: Any) -> Tensor:
    """Compute the logits of a head's maps.

    Args:
        head: A head for that :func:`check_text_maps` passes.
        features: Of ``N`` images, what its detector's ``extract_feat`` returns.

    Returns:
        ``(N, K, h, w)``; the first of ``K`` maps is that of text.
    """
    logits = _logits_of(head)
    assert logits is not None
    return logits(head, features)


def move_maps(
    maps: Tensor,
    matrix: NDArray[Any],
    scale: tuple[float, float],
    moved_scale: tuple[float, float],
    size: tuple[int, int],
) -> Tensor:
    """Carry maps of probabilities to another view of their image.

    Args:
        maps: ``(K, h, w)``.
        matrix: ``(3, 3)``, maps points ``(x, y, 1)`` of the image to those of the view, px.
        scale: Width and height of a position of the maps in the image, px.
        moved_scale: The same of the moved maps in the view.
        size: Height and width of the moved maps.

    Returns:
        ``(K, *size)``, between positions by linear interpolation; 0.5 where the image is not seen.

    >>> flip = np.array([[-1, 0, 8], [0, 1, 0], [0, 0, 1]])  # an image of 8 x 4 pixels
    >>> move_maps(torch.tensor([[[0.0, 0.2, 0.6, 0.8]]]), flip, (2, 4), (2, 4), (1, 4))
    tensor([[[0.8000, 0.6000, 0.2000, 0.0000]]])
    """
    # The matrix is of edges, and OpenCV's of the middles of positions.
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    own, moved = (np.diag([*factors, 1]) @ half for factors in (scale, moved_scale))
    of_positions = np.linalg.inv(moved) @ matrix @ own
    found = [
        cv2.warpPerspective(
            channel, of_positions, size[::-1], borderMode=cv2.BORDER_CONSTANT, borderValue=[UNKNOWN]
        )
        for channel in maps.float().cpu().numpy()
    ]
    return torch.from_numpy(np.array(found).reshape(-1, *size)).to(maps)
