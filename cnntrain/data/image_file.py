"""Images as files, read in the size that networks take."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from cnntrain.data.resize import Size, sides, to_size
from cnntrain.image_folder.decode import read_pixels
from cnntrain.image_folder.opening import Decoding


def read_sized(
    path: Path,
    channels: int,
    size: Size,
    resize: str,
    decoding: Decoding,
    invert: bool = False,
) -> Tensor:
    """Read an image as a viewer shows it, scaled to a size: uint8 (channels, height, width).

    The colours of a pixel lie side by side in memory, as files have them.

    Args:
        path: the path of the file, of any kind that Pillow reads.
        channels: 1 for grey, 3 for colour.
        size: the size of the result.
        resize: how it is scaled, see :func:`cnntrain.data.resize.to_size`.
        decoding: the bounds.
        invert: turn dark on white into white on dark; what ``pad`` adds stays black.

    Raises:
        UnreadableImage: it is not an image, or is damaged or refused.
    """
    colours = "L" if channels == 1 else "RGB"
    pixels = torch.from_numpy(read_pixels(path, colours, decoding, max(sides(size))))
    pixels = pixels.permute(2, 0, 1)
    if invert:
        pixels = 255 - pixels
    return to_size(pixels[None], size, resize)[0]
