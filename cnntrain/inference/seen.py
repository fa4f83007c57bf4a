"""Image files as a network sees them that answers with places, and where each file lies in its pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cnntrain.data.resize import Fit, clipped, to_size
from cnntrain.image_folder.decode import DecodedImage, decode, with_decoded
from cnntrain.image_folder.opening import Decoding, UnreadableImage

SHOWN = (320, 1600)  # sides of an overlay: smaller images are enlarged, larger ones reduced


@dataclass(frozen=True)
class Seen:
    """An image file as the network sees it.

    Args:
        pixels: uint8 (C, h, w).
        top, left, tall, wide: where the image lies in them; black is beside it.
        size: height and width of the file, upright.
        shown: for the overlay, uint8 (H, W, 3).
    """

    pixels: Tensor
    top: int
    left: int
    tall: int
    wide: int
    size: tuple[int, int]
    shown: np.ndarray

    @classmethod
    def from_pixels(
        cls, pixels: Tensor, wanted: tuple[int, int], resize: str, size: tuple[int, int], shown: np.ndarray
    ) -> Seen:
        """Return an image, uint8 (C, H, W), scaled whole to a height and a width by ``pad`` or ``squash``."""
        fit = Fit.from_sizes(pixels.shape[1], pixels.shape[2], wanted, resize)
        scaled = to_size(pixels[None], wanted, resize)[0]
        return cls(scaled, fit.down, fit.right, fit.height, fit.width, size, shown)

    @property
    def mean(self) -> float:
        """The mean of the image's pixels, from 0 to 1."""
        part = self.pixels[:, self.top : self.top + self.tall, self.left : self.left + self.wide]
        step = max(1, max(self.tall, self.wide) // 1000)
        return float(part[:, ::step, ::step].float().mean()) / 255

    def in_file(self, boxes: Tensor) -> Tensor:
        """Return boxes in the pixels, float (..., 4), in those of the file, without what is beside it."""
        height, width = self.size
        corner = boxes.new_tensor(2 * [self.left, self.top])
        scale = boxes.new_tensor(2 * [width / self.wide, height / self.tall])
        return clipped((boxes - corner) * scale, self.size)


def read_seen(
    file: Path,
    channels: int,
    decoding: Decoding,
    at_least: int | None,
    fitted: Callable[[Tensor, tuple[int, int], np.ndarray], Seen],
) -> Seen | str:
    """Return an image file as the network sees it, or why that is not possible.

    Args:
        file: the file of an image.
        channels: 1 for grey, 3 for colour.
        decoding: the bounds.
        at_least: shorter side that is needed, see :func:`cnntrain.image_folder.decode.decode`.
        fitted: makes it of the decoded pixels, uint8 (C, H, W), the size of the file and the picture that is
            shown; it may raise Unreadable.
    """
    mode = "L" if channels == 1 else "RGB"

    def use(upright: DecodedImage) -> tuple[Tensor, tuple[int, int], np.ndarray | None]:
        array = np.array(upright.image.convert(mode))
        pixels = torch.from_numpy(array.reshape(*array.shape[:2], -1)).permute(2, 0, 1)
        is_enough = max(upright.image.size) >= min(max(upright.size), SHOWN[1])
        return pixels, upright.size[::-1], shown(upright.image) if is_enough else None

    try:
        pixels, size, small = with_decoded(file, use, decoding, at_least)
        return fitted(pixels, size, shown_file(file, decoding) if small is None else small)
    except UnreadableImage as error:
        return str(error)


def shown(image: Image.Image) -> np.ndarray:
    """Return an image for an overlay, uint8 (H, W, 3), at a size that a person can look at.

    Args:
        image: the image of mode L or RGB. It is scaled before it becomes RGB: a large grey one needs no more
            memory.
    """
    longest, (least, most) = max(image.size), SHOWN
    if longest > most:
        scale = most / longest
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        return np.asarray(image.resize(size, Image.Resampling.BILINEAR).convert("RGB"))
    times = -(-least // longest) if longest < least else 1
    size = (image.width * times, image.height * times)
    return np.asarray(image.resize(size, Image.Resampling.NEAREST).convert("RGB"))


def shown_file(file: Path, decoding: Decoding) -> np.ndarray:
    """Return an image file for an overlay, larger than what the network sees."""
    return shown(decode(file, decoding, SHOWN[1] // 2).image)
