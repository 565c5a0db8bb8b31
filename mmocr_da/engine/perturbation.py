"""A slight change of an image, which should not change what is predicted for it."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

#: Largest shift, as a part of the height; at least one pixel.
SHIFT = 1 / 16
#: Largest change of the contrast; of the brightness, and the deviation of the noise, in units of
#: the deviation of the image.
CONTRAST, BRIGHTNESS, NOISE = 0.2, 0.2, 0.1


def perturbed(image: Tensor, seed: int, valid_ratio: float = 1.0) -> Tensor:
    """Shift an image by a few pixels, change contrast and brightness, and add noise.

    The change is the same for a seed, so that checkpoints are compared on the same images. What a
    shift leaves empty repeats the edge.

    Args:
        image: ``(C, H, W)``, of any scale; integers are bytes.
        seed: Of all random numbers.
        valid_ratio: The share of the width that is not padding; the padding stays as it is.

    >>> image = torch.zeros(1, 16, 32).index_fill(2, torch.arange(9, 20), 1.0)
    >>> found = perturbed(image, seed=0)
    >>> bool((found - image).abs().mean() < 0.5), torch.equal(found, perturbed(image, seed=0))
    (True, True)
    """
    height, width = image.shape[-2:]
    width = min(width, math.ceil(width * valid_ratio))
    valid = image[..., :width].float()
    generator = torch.Generator().manual_seed(seed)
    most = max(1, round(SHIFT * height))
    down, right = torch.randint(-most, most + 1, (2,), generator=generator).tolist()
    contrast, brightness = (2 * torch.rand(2, generator=generator) - 1).tolist()
    noise = torch.randn(valid.shape, generator=generator)
    bordered = F.pad(valid[None], (most,) * 4, 'replicate')[0]
    out = bordered[:, most - down :, most - right :][:, :height, :width]
    mean, deviation = valid.mean(), valid.std(correction=0)
    out = mean + (1 + CONTRAST * contrast) * (out - mean)
    out = out + deviation * (BRIGHTNESS * brightness + NOISE * noise)
    if not image.is_floating_point():
        out = out.round().clamp(0, 255)
    return torch.cat([out.to(image.dtype), image[..., width:]], -1)
