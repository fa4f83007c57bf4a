"""Geometric changes of images together with their masks and boxes: drawn once for each image.

Pixels are interpolated bilinearly, masks take the nearest neighbour, so that no label appears which was not
there, and boxes take the corners. A mask's pixels that come in from outside, or that are erased, get the
label ``fill``. Frameworks of segmentation take the label that is ignored, 255, as torchvision's references
and MMSegmentation do: nothing is known of what lies there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cnntrain.data.augment.boxes import affine, boxes_in_sight, in_pixels, moved_boxes
from cnntrain.data.augment.crop import random_parts, scaled_parts
from cnntrain.data.augment.geometry import (
    flip,
    random_corners,
    random_rectangles,
    rotation,
    shift,
    uniform,
    warp,
)
from cnntrain.data.augment.policies import Ways, changed, matrices_of, moves, rand_ways, trivial_ways


@dataclass(frozen=True)
class Annotated:
    """A batch of images and what is known about places in them.

    Args:
        images: uint8 (N, C, H, W).
        masks: the class of each pixel, uint8 (N, H, W); None without masks.
        boxes: float32 (N, M, 4), x1, y1, x2, y2 in pixels; rows of zeros are not boxes. None
            without boxes.
        fill: label of a mask's pixels that come in from outside or are erased.
        min_visible: share of its area that a box keeps at least, or it is dropped.
    """

    images: Tensor
    masks: Tensor | None = None
    boxes: Tensor | None = None
    fill: int = 255
    min_visible: float = 0.1

    def moved(self, images: Tensor, masks: Callable[[Tensor], Tensor], places: Tensor) -> Annotated:
        """Return moved images with their annotations.

        Args:
            images: after the move.
            masks: moves masks likewise, uint8 (N, 1, H, W).
            places: float32 (N, 2, 3), from a place in the old image to that in the new one, in pixels.
        """
        size = images.shape[2], images.shape[3]
        return replace(
            self,
            images=images,
            masks=None if self.masks is None else masks(self.masks[:, None])[:, 0],
            boxes=None if self.boxes is None else moved_boxes(self.boxes, places, size, self.min_visible),
        )

    def warped(self, images: Tensor, matrix: Tensor, chosen: Tensor | None = None) -> Annotated:
        """Return images that were moved by ``warp``, with their annotations.

        Args:
            images: after the change.
            matrix: the matrix of ``warp``, float32 (N, 2, 3).
            chosen: which images were moved, bool (N,); None: all.
        """
        height, width = self.images.shape[2:]

        def masks(old: Tensor) -> Tensor:
            new = warp_masks(old, matrix, self.fill)
            return new if chosen is None else torch.where(chosen.view(-1, 1, 1, 1), new, old)

        return self.moved(images, masks, in_pixels(matrix, height, width))


def flip_all(batch: Annotated, probability: float, generator: Generator) -> Annotated:
    """Mirror left to right, as ``random_flip`` does."""
    x = batch.images
    chosen = uniform(len(x), 0, 1, x, generator) < probability
    sign = torch.where(chosen, -1.0, 1.0)
    places = affine(sign, torch.ones_like(sign), chosen * float(x.shape[3]), torch.zeros_like(sign))
    return batch.moved(flip(x, chosen), lambda masks: flip(masks, chosen), places)


def rotate_all(batch: Annotated, degrees: float, generator: Generator) -> Annotated:
    """Turn about the centre, as ``random_rotate`` does."""
    x = batch.images
    matrix = rotation(uniform(len(x), -degrees, degrees, x, generator), x.shape[3] / x.shape[2])
    return batch.warped(warp(x, matrix), matrix)


def shift_all(batch: Annotated, most: float, generator: Generator) -> Annotated:
    """Move by whole pixels, as ``random_shift`` does."""
    x = batch.images
    corners = random_corners(x, most, generator)
    down, right = int(most) - corners.float()
    one = torch.ones_like(down)
    return batch.moved(
        shift(x, corners, int(most)),
        lambda masks: shift(masks, corners, int(most), batch.fill),
        affine(one, one, right, down),
    )


def crop_all(
    batch: Annotated, least: float, generator: Generator, size: tuple[int, int] | None = None
) -> Annotated:
    """Scale a part to the whole, as ``random_crop`` does.

    Args:
        batch: the batch of images.
        least: share of the area.
        generator: the generator of the draws, on the images' device.
        size: height and width of the results; None: they stay.
    """
    x = batch.images
    size = size or (x.shape[2], x.shape[3])
    parts = random_parts(x, least, generator)
    top, left, tall, wide = parts.float().unbind(1)
    across, down = size[1] / wide, size[0] / tall
    return batch.moved(
        scaled_parts(x, parts, size),
        lambda masks: nearest_parts(masks, parts, size),
        affine(across, down, -left * across, -top * down),
    )


def erase_all(batch: Annotated, probability: float, generator: Generator) -> Annotated:
    """Blacken a rectangle, as ``random_erase`` does.

    A mask's pixels in it get the label ``fill``: what was there can't be seen, and a network that was to tell
    it all the same would learn to guess. A box is dropped if too little of it is left in sight.
    """
    hidden = random_rectangles(batch.images, probability, generator)
    return replace(
        batch,
        images=batch.images.masked_fill(hidden[:, None], 0),
        masks=None if batch.masks is None else batch.masks.masked_fill(hidden, batch.fill),
        boxes=None if batch.boxes is None else boxes_in_sight(batch.boxes, hidden, batch.min_visible),
    )


def policy_all(batch: Annotated, ways: Ways) -> Annotated:
    """Change each image in its way; those ways that move pixels move its annotations."""
    height, width = batch.images.shape[2:]
    return batch.warped(changed(batch.images, ways), matrices_of(ways, height, width), moves(ways))


def rand_augment_all(batch: Annotated, level: float, generator: Generator) -> Annotated:
    """Make two changes, as ``rand_augment`` does."""
    for ways in rand_ways(batch.images, level, generator):
        batch = policy_all(batch, ways)
    return batch


def trivial_augment_all(batch: Annotated, probability: float, generator: Generator) -> Annotated:
    """Make one change, as ``trivial_augment`` does."""
    return policy_all(batch, trivial_ways(batch.images, probability, generator))


# What each argument of Augment does that moves or hides pixels. All others change colours alone.
WITH_ANNOTATIONS: dict[str, Callable[[Annotated, float, Generator], Annotated]] = {
    "flip": flip_all,
    "rotate": rotate_all,
    "shift": shift_all,
    "trivialaugment": trivial_augment_all,
    "randaugment": rand_augment_all,
    "erase": erase_all,
}


def warp_masks(masks: Tensor, matrix: Tensor, fill: int) -> Tensor:
    """Move masks, uint8 (N, 1, H, W), as ``warp`` moves images, by nearest neighbour."""
    grid = F.affine_grid(matrix, list(masks.shape), align_corners=False)
    # Outside of an image grid_sample finds zeros: hence the fill is zero there.
    moved = F.grid_sample(
        masks.float() - fill, grid, mode="nearest", padding_mode="zeros", align_corners=False
    )
    return (moved + fill).to(torch.uint8)


def nearest_parts(masks: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut a box out of each mask and scale it by nearest neighbour.

    Args:
        masks: uint8 (N, 1, H, W).
        boxes: int64 (N, 4), the top, left, height and width of each.
        size: height and width of the result.
    """
    top, left, tall, wide = boxes.unbind(1)

    def places(begin: Tensor, length: Tensor, count: int) -> Tensor:
        """Return where the centre of each of ``count`` pixels comes from, int64 (N, count)."""
        steps = torch.arange(count, device=masks.device)
        return begin[:, None] + (2 * steps + 1) * length[:, None] // (2 * count)

    rows, columns = places(top, tall, size[0]), places(left, wide, size[1])
    every = torch.arange(len(masks), device=masks.device)
    return masks[every[:, None, None], 0, rows[:, :, None], columns[:, None, :]][:, None]
