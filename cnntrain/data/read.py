"""From an image file to the square of bytes that a network takes: for training and for ``predict`` alike."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from cnntrain.data.decode import Decoding, read_pixels
from cnntrain.data.resize import to_square


def read_square(
    path: Path,
    channels: int,
    side: int,
    resize: str,
    invert: bool = False,
    decoding: Decoding | None = None,
) -> Tensor:
    """Read an image as a person sees it, scaled to a square: uint8 (channels, side, side).

    The colours of a pixel lie side by side in memory, as files have them.

    Args:
        path: of the file, of any kind that Pillow reads.
        channels: 1 for grey, 3 for colour.
        side: in pixels.
        resize: how it is scaled, see :func:`cnntrain.data.resize.to_square`.
        invert: turn dark on white into white on dark; what ``pad`` adds stays black.
        decoding: within which bounds; None: those of ``conf/train.yaml``.

    Raises:
        Unreadable: it is no image, a damaged one, or one that is refused.
    """
    pixels = torch.from_numpy(read_pixels(path, "L" if channels == 1 else "RGB", side, decoding))
    pixels = pixels.permute(2, 0, 1)
    if invert:
        pixels = 255 - pixels
    return to_square(pixels[None], side, resize)[0]
