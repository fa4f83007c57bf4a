"""Many small images as one: the sprite behind the page's images, and mosaics of filters and maps."""

from __future__ import annotations

import base64
import io
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

LARGEST_TILE = 64  # pixels; larger images are made smaller
MOST_PIXELS = 2_000_000  # of a sprite, whatever it shows: 3 MB at most as text
LOSSLESS = 1_500_000  # bytes of pixels beyond which a sprite is a JPEG


class Sprite:
    """Images side by side in one file.

    Args:
        images: uint8 (N, C, H, W), on the CPU; of 2 channels the first counts, of 4 the first three.
    """

    def __init__(self, images: Tensor) -> None:
        channels, height, width = images.shape[1:]
        images = images[:, : 3 if channels >= 3 else 1]
        if max(height, width) > LARGEST_TILE:
            scale = LARGEST_TILE / max(height, width)
            size = (max(1, round(scale * height)), max(1, round(scale * width)))
            images = F.interpolate(images.float(), size=size, mode="area").round().to(torch.uint8)
        images = squared(images)
        self.side = images.shape[2]
        self.columns = max(1, math.ceil(math.sqrt(len(images))))
        self.rows = max(1, math.ceil(len(images) / self.columns))
        self.pixels = mosaic(images.permute(0, 2, 3, 1).numpy(), self.columns, gap=0)

    def data_uri(self) -> str:
        """Return the file as a ``data:`` address."""
        from PIL import Image

        image = Image.fromarray(self.pixels.squeeze())
        buffer = io.BytesIO()
        if self.pixels.size <= LOSSLESS:
            kind = "png"
            image.save(buffer, "PNG")
        else:
            kind = "jpeg"
            image.save(buffer, "JPEG", quality=85, subsampling=0)  # whose chroma would blur the edges
        return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def squared(images: Tensor) -> Tensor:
    """Return images (N, C, H, W) with black beside them, so that they are squares."""
    height, width = images.shape[2:]
    side = max(height, width)
    left, top = (side - width) // 2, (side - height) // 2
    return F.pad(images, (left, side - width - left, top, side - height - top))


def style_of(sprite: Sprite) -> str:
    """Return the CSS that shows the tiles of a sprite on a page."""
    rendering = "pixelated" if sprite.side < LARGEST_TILE else "auto"
    return (
        f".tile {{ --columns: {sprite.columns}; --rows: {sprite.rows}; image-rendering: {rendering};\n"
        f"  background-image: url({sprite.data_uri()}); }}\n"
    )


def most_tiles(size: tuple[int, int]) -> int:
    """Return how many images of a height and a width a sprite may hold."""
    return MOST_PIXELS // min(max(size), LARGEST_TILE) ** 2


def mosaic(tiles: np.ndarray, columns: int, gap: int = 1, fill: float = 0) -> np.ndarray:
    """Return tiles (N, H, W, C) side by side, in rows of ``columns``, as (H', W', C).

    Args:
        tiles: the images, of any type.
        columns: the columns in a row; the last row is filled up.
        gap: pixels between two tiles.
        fill: value of the gaps and of what is filled up.
    """
    number, height, width, channels = tiles.shape
    rows = max(1, math.ceil(number / columns))
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, channels)
    result = np.full(shape, fill, dtype=tiles.dtype)
    for index, tile in enumerate(tiles):
        top, left = (index // columns) * (height + gap), (index % columns) * (width + gap)
        result[top : top + height, left : left + width] = tile
    return result
