"""How an image of any shape becomes the square that networks take."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from cnntrain.image_folder.decode import Decoding, read_pixels


def to_square(images: Tensor, side: int, resize: str) -> Tensor:
    """Scale images to a square, bilinearly and without aliasing.

    Args:
        images: uint8 (N, C, H, W), on the CPU, where torch has a kernel for bytes.
        side: of the square, in pixels.
        resize: ``crop`` takes the middle, as long and wide as the shorter side; ``pad`` takes all, with black
            beside it; ``squash`` takes all, and changes its proportions.

    Returns:
        uint8 (N, C, side, side); the same tensor if it is that already.
    """
    height, width = images.shape[2:]
    if height == width == side:
        return images
    if resize == "crop" and height != width:
        short = min(height, width)
        top, left = (height - short) // 2, (width - short) // 2
        images = images[:, :, top : top + short, left : left + short]
    if resize != "pad" or height == width:
        return scaled(images, side, side)
    scale = side / max(height, width)
    tall, wide = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (side - tall) // 2, (side - wide) // 2
    square = torch.zeros(*images.shape[:2], side, side, dtype=torch.uint8)
    square[:, :, top : top + tall, left : left + wide] = scaled(images, tall, wide)
    return square


def scaled(images: Tensor, height: int, width: int) -> Tensor:
    """Scale images, uint8 (N, C, H, W) on the CPU, to (N, C, height, width).

    The colours of a pixel lie side by side in the result.
    """
    is_colour = images.shape[1] > 1
    if width < 4:
        # torch 2.14's kernel for bytes gives wrong pixels where the result is less than 4 pixels wide, and so
        # does that for floats in channels_last where it is 1 pixel wide.
        floats = images.to(torch.float32, memory_format=torch.contiguous_format)
        result = F.interpolate(floats, size=(height, width), mode="bilinear", antialias=True)
        bytes_again = result.round().clamp(0, 255).to(torch.uint8)
        return bytes_again.contiguous(memory_format=torch.channels_last) if is_colour else bytes_again
    if is_colour:  # in this layout torch's kernel for bytes takes a third of the time
        images = images.contiguous(memory_format=torch.channels_last)
    return F.interpolate(images, size=(height, width), mode="bilinear", antialias=True)


def read_square(
    path: Path,
    channels: int,
    side: int,
    resize: str,
    decoding: Decoding,
    invert: bool = False,
) -> Tensor:
    """Read an image as a person sees it, scaled to a square: uint8 (channels, side, side).

    The colours of a pixel lie side by side in memory, as files have them.

    Args:
        path: of the file, of any kind that Pillow reads.
        channels: 1 for grey, 3 for colour.
        side: in pixels.
        resize: how it is scaled, see :func:`cnntrain.data.resize.to_square`.
        decoding: the bounds.
        invert: turn dark on white into white on dark; what ``pad`` adds stays black.

    Raises:
        Unreadable: it is no image, a damaged one, or one that is refused.
    """
    pixels = torch.from_numpy(read_pixels(path, "L" if channels == 1 else "RGB", decoding, side))
    pixels = pixels.permute(2, 0, 1)
    if invert:
        pixels = 255 - pixels
    return to_square(pixels[None], side, resize)[0]
