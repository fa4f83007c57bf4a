"""Changes of the colours of images: batches of bytes, uint8 (N, C, H, W), each by its own amount, (N,).

The arithmetic is Pillow's (``ImageEnhance``, ``ImageOps``), done to a whole batch at a time.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cnntrain.data.augment.geometry import to_bytes, uniform


def random_jitter(x: Tensor, strength: float, generator: Generator) -> Tensor:
    """Change brightness, contrast and saturation of each image by factors of 1 ± strength."""
    x = x.contiguous()  # each colour by itself is computed faster
    for change in (brightness, contrast, saturation):
        x = change(x, uniform(len(x), max(0.0, 1 - strength), 1 + strength, x, generator))
    return x


def random_hue(x: Tensor, most: float, generator: Generator) -> Tensor:
    """Turn the colours of each image by up to ``most`` of the colour circle in each direction."""
    return hue(x, uniform(len(x), -most, most, x, generator))


def brightness(x: Tensor, factor: Tensor) -> Tensor:
    """Multiply pixels: 0 is black, 1 the image."""
    return blend(torch.zeros_like(x), x, factor)


def contrast(x: Tensor, factor: Tensor) -> Tensor:
    """Move pixels away from the image's mean: 0 is all grey, 1 the image."""
    return blend(grey(x).mean(dim=(1, 2, 3), keepdim=True), x, factor)


def saturation(x: Tensor, factor: Tensor) -> Tensor:
    """Move colours away from grey: 0 is grey, 1 the image."""
    return blend(grey(x), x, factor)


def sharpness(x: Tensor, factor: Tensor) -> Tensor:
    """Move pixels away from a smoothed image: 0 is smooth, 1 the image. The rim stays."""
    channels = x.shape[1]
    weight = torch.ones(3, 3, device=x.device)
    weight[1, 1] = 5
    smooth = x.float().clone()
    smooth[:, :, 1:-1, 1:-1] = F.conv2d(
        x.float(), (weight / weight.sum()).expand(channels, 1, 3, 3), groups=channels
    )
    return blend(smooth, x, factor)


def hue(x: Tensor, turns: Tensor) -> Tensor:
    """Turn the colours about the axis of greys (W3C, Filter Effects, feColorMatrix hueRotate). Greys stay."""
    if x.shape[1] != 3:
        return x
    angle = (turns * (2 * math.pi)).view(-1, 1, 1)
    kept = torch.tensor([0.213, 0.715, 0.072], device=x.device).expand(3, 3)
    cos = torch.eye(3, device=x.device) - kept
    sin = torch.tensor(
        [[-0.213, -0.715, 0.928], [0.143, 0.140, -0.283], [-0.787, 0.715, 0.072]], device=x.device
    )
    return to_bytes(torch.einsum("nij,njhw->nihw", kept + angle.cos() * cos + angle.sin() * sin, x.float()))


def posterize(x: Tensor, bits: Tensor) -> Tensor:
    """Keep the highest bits of each pixel."""
    return x & (256 - 2 ** (8 - bits.long())).to(torch.uint8).view(-1, 1, 1, 1)


def solarize(x: Tensor, threshold: Tensor) -> Tensor:
    """Invert the pixels that are at least as bright as the threshold."""
    return torch.where(x >= threshold.view(-1, 1, 1, 1), 255 - x, x)


def autocontrast(x: Tensor) -> Tensor:
    """Stretch each channel so that its darkest pixel is black and its brightest white."""
    low, high = x.amin(dim=(2, 3), keepdim=True), x.amax(dim=(2, 3), keepdim=True)
    spread = (high - low).float()
    return torch.where(spread > 0, to_bytes((x - low) * (255 / spread.clamp(min=1))), x)


def equalize(x: Tensor) -> Tensor:
    """Make each channel's histogram as even as can be."""
    pixels = x.flatten(2).flatten(0, 1).long()  # (N * C, H * W)
    counts = torch.zeros(len(pixels), 256, dtype=torch.long, device=x.device)
    counts.scatter_add_(1, pixels, torch.ones_like(pixels))
    brightest = counts.gather(1, pixels.amax(dim=1, keepdim=True))
    step = (pixels.shape[1] - brightest) // 255
    darker = counts.cumsum(dim=1) - counts
    table = ((darker + step // 2) // step.clamp(min=1)).clamp(max=255)
    even = torch.where(step > 0, table.gather(1, pixels), pixels)
    return even.view(x.shape).to(torch.uint8)


def grey(x: Tensor) -> Tensor:
    """Return the brightness of each pixel, float32 (N, 1, H, W) (ITU-R BT.601)."""
    if x.shape[1] != 3:
        return x.float().mean(dim=1, keepdim=True)
    weight = torch.tensor([0.299, 0.587, 0.114], device=x.device).view(1, 3, 1, 1)
    return (x * weight).sum(dim=1, keepdim=True)


def blend(base: Tensor, x: Tensor, factor: Tensor) -> Tensor:
    """Interpolate between a base and the image; factors above 1 extrapolate."""
    return to_bytes(torch.lerp(base.float().expand(x.shape), x.float(), factor.view(-1, 1, 1, 1)))
