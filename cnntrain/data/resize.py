"""How an image of any shape becomes one of the size that networks take, and its mask or boxes with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Size = int | Sequence[int]  # the side of a square, or height and width, in pixels


def sides(size: Size) -> tuple[int, int]:
    """Return height and width."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def side_or_both(size: tuple[int, int]) -> int | list[int]:
    """Return the side of a square, or height and width, as a configuration has them."""
    return size[0] if size[0] == size[1] else list(size)


@dataclass(frozen=True)
class Fit:
    """How images of one size become images of another: a part is scaled, and put into a place.

    Args:
        top, left, tall, wide: the part of the image that is taken, in its pixels.
        height, width: what that is scaled to.
        down, right: where that is put in the result.
    """

    top: int
    left: int
    tall: int
    wide: int
    height: int
    width: int
    down: int = 0
    right: int = 0

    @classmethod
    def from_sizes(cls, tall: int, wide: int, size: tuple[int, int], resize: str) -> Fit:
        """Return how an image of a height and a width becomes one of that size."""
        height, width = size
        if resize == "squash" or tall * width == wide * height:
            return cls(0, 0, tall, wide, height, width)
        if resize == "crop":
            scale = min(tall / height, wide / width)
            part = max(1, round(height * scale)), max(1, round(width * scale))
            return cls((tall - part[0]) // 2, (wide - part[1]) // 2, *part, height, width)
        scale = min(height / tall, width / wide)
        small = max(1, round(tall * scale)), max(1, round(wide * scale))
        return cls(0, 0, tall, wide, *small, (height - small[0]) // 2, (width - small[1]) // 2)

    def part(self, images: Tensor) -> Tensor:
        """Return the part of images (..., H, W) that is scaled, as a view."""
        return images[..., self.top : self.top + self.tall, self.left : self.left + self.wide]

    def placed(self, scaled: Tensor, size: tuple[int, int], value: int) -> Tensor:
        """Return scaled parts (..., height, width) in their place, with a value beside them."""
        if (self.height, self.width) == size:
            return scaled
        whole = scaled.new_full((*scaled.shape[:-2], *size), value)
        rows, columns = slice(self.down, self.down + self.height), slice(self.right, self.right + self.width)
        whole[..., rows, columns] = scaled
        return whole

    def boxes(self, boxes: Tensor) -> Tensor:
        """Return boxes, float (..., 4), in pixels of the result, unclipped, of those in the image."""
        scale, corner, place = self.scale_and_corners(boxes)
        return (boxes - corner) * scale + place

    def boxes_back(self, boxes: Tensor) -> Tensor:
        """Return boxes, float (..., 4), in pixels of the image, unclipped, of those in the result."""
        scale, corner, place = self.scale_and_corners(boxes)
        return (boxes - place) / scale + corner

    def scale_and_corners(self, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the scale, the corner of the part and that of its place, for left, top, right, bottom."""
        scale = [self.width / self.wide, self.height / self.tall]
        corners = [self.left, self.top], [self.right, self.down]
        return (like.new_tensor(2 * scale), like.new_tensor(2 * corners[0]), like.new_tensor(2 * corners[1]))


def to_size(images: Tensor, size: Size, resize: str) -> Tensor:
    """Scale images to a size, bilinearly and without aliasing.

    Args:
        images: uint8 (N, C, H, W), on the CPU, where torch has a kernel for bytes.
        size: the size of the results.
        resize: ``crop`` takes the middle, as much as the proportions of the results allow; ``pad`` takes all,
            with black beside it; ``squash`` takes all, and changes its proportions.

    Returns:
        uint8 (N, C, height, width); the same tensor if it is that already.
    """
    size = sides(size)
    if images.shape[2:] == size:
        return images
    fit = Fit.from_sizes(images.shape[2], images.shape[3], size, resize)
    return fit.placed(scaled(fit.part(images), fit.height, fit.width), size, 0)


def masks_to_size(masks: Tensor, size: Size, resize: str, beside: int) -> Tensor:
    """Scale masks as :func:`to_size` scales their images, but by nearest neighbour.

    Args:
        masks: uint8 (N, H, W).
        size: the size of the results.
        resize: how, as for the images.
        beside: the value of pixels that ``pad`` adds.

    Returns:
        uint8 (N, height, width), with no value that was not there, or is ``beside``.
    """
    size = sides(size)
    if masks.shape[1:] == size:
        return masks
    fit = Fit.from_sizes(masks.shape[1], masks.shape[2], size, resize)
    nearest = F.interpolate(fit.part(masks)[:, None], size=(fit.height, fit.width), mode="nearest-exact")
    return fit.placed(nearest[:, 0], size, beside)


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


def boxes_to_file(
    boxes: Tensor,
    shape: tuple[int, int],
    size: Size,
    resize: str,
    read_size: Size | None = None,
) -> Tensor:
    """Return boxes in an image that a network got, in the pixels of the file that it was made of.

    This is the inverse of what :func:`to_size` and the cut of the middle do to places. What lies beyond the
    file's borders, in the black that ``pad`` adds, is clipped.

    Args:
        boxes: float (..., 4): left, top, right and bottom in pixels.
        shape: height and width of the file's image, upright as a viewer shows it.
        size: height and width of the network's image, or its side.
        resize: how it was scaled, see :func:`to_size`.
        read_size: to which it was scaled before its middle was cut out, as ``data.resize_size`` says; None:
            it was not cut.
    """
    whole, seen = sides(size if read_size is None else read_size), sides(size)
    down, right = (whole[0] - seen[0]) // 2, (whole[1] - seen[1]) // 2
    moved = boxes + boxes.new_tensor([right, down, right, down])
    return clipped(Fit.from_sizes(*shape, whole, resize).boxes_back(moved), shape)


def clipped(boxes: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return boxes, float (..., 4), without what lies outside an image of a height and a width."""
    height, width = shape
    return torch.minimum(boxes.clamp(min=0), boxes.new_tensor([width, height, width, height]))
