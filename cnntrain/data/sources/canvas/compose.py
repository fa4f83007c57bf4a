"""From digits and their places to images, masks and boxes, for many canvases at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cnntrain.data.resize import scaled
from cnntrain.data.sources.canvas.draws import Draws, Ints
from cnntrain.data.sources.canvas.layout import Digits, placed

Bytes = NDArray[np.uint8]
Shapes = NDArray[np.bool_]

AT_ONCE = 2**23  # pixels that are composed together, which bounds the memory that it takes
FRAGMENT = 8  # height and width of a piece of clutter, in pixels


@dataclass(frozen=True)
class Geometry:
    """The geometry of canvases.

    Args:
        size: height and width of a canvas, in pixels.
        digits: fewest and most digits on a canvas.
        digit_size: smallest and largest height and width to which an MNIST image is scaled, in pixels. Its
            digit takes about 20/28 of that.
        overlap: largest share of a digit's box that another digit's may cover, 0 to 1.
        noise: standard deviation of the noise of each pixel, as a share of white.
        clutter: pieces of other digits on the background.
        threshold: a pixel is a digit's if it is brighter than this, as a share of white.
    """

    size: tuple[int, int]
    digits: tuple[int, int]
    digit_size: tuple[int, int]
    overlap: float = 0.0
    noise: float = 0.0
    clutter: int = 0
    threshold: float = 0.2


@dataclass(frozen=True)
class Canvases:
    """N canvases.

    Args:
        images: uint8 (N, 1, H, W).
        masks: uint8 (N, H, W): 0 is background, d + 1 a pixel of digit d that is visible.
        boxes: float32 (M, 4): x1, y1, x2, y2 in pixels, around the visible pixels of each digit.
        labels: the digit in each box, int64 (M,).
        counts: boxes of each canvas, int64 (N,); those of the first canvas come first.
    """

    images: Tensor
    masks: Tensor
    boxes: Tensor
    labels: Tensor
    counts: Tensor


def compose(digits: Bytes, labels: Ints, geometry: Geometry, draws: Draws, canvases: Ints) -> Canvases:
    """Compose canvases; each depends on its index and the seed of the draws alone.

    Args:
        digits: images of digits, uint8 (D, 28, 28).
        labels: which digit each of them is, int64 (D,).
        geometry: what the canvases look like.
        draws: the draws of the part.
        canvases: the index of each canvas, int64 (N,).

    Raises:
        UserError: a canvas has no room for its digits.
    """
    height, width = geometry.size
    images = np.empty((len(canvases), height, width), dtype=np.uint8)
    masks = np.empty_like(images)
    boxes, owners, counts = [], [], []
    for here in parts(len(canvases), geometry):
        some = canvases[here]
        chosen = choice(geometry, draws, some, len(digits))
        tiles, visible = tiles_of(digits, chosen, geometry)
        ink = boxes_of(visible.reshape(-1, *visible.shape[2:])).reshape(*chosen.digit.shape, 4)
        where = placed(Digits(chosen.number, chosen.size, ink), geometry.size, geometry.overlap, draws, some)
        image, slots = drawn(tiles, visible, where, chosen, clutter(digits, geometry, draws, some))
        add_noise(image, geometry.noise, draws, some)
        names = np.concatenate([np.zeros((len(some), 1), np.int64), labels[chosen.digit] + 1], axis=1)
        images[here] = image
        masks[here] = np.take_along_axis(names, slots.reshape(len(some), -1).astype(np.int64), 1).reshape(
            slots.shape
        )
        found = np.stack(
            [boxes_of(np.asarray(slots == slot + 1)) for slot in range(chosen.digit.shape[1])], axis=1
        )
        is_seen = found[..., 2] > 0
        boxes.append(found[is_seen])
        owners.append(labels[chosen.digit][is_seen])
        counts.append(is_seen.sum(axis=1))
    return Canvases(
        torch.from_numpy(images)[:, None],
        torch.from_numpy(masks),
        torch.from_numpy(np.concatenate(boxes)).float(),
        torch.from_numpy(np.concatenate(owners)),
        torch.from_numpy(np.concatenate(counts)),
    )


def parts(count: int, geometry: Geometry) -> Iterator[slice]:
    """Yield which canvases are composed together."""
    height, width = geometry.size
    most = max(height * width, geometry.digits[1] * geometry.digit_size[1] ** 2)
    step = max(1, AT_ONCE // most)
    for first in range(0, count, step):
        yield slice(first, min(count, first + step))


@dataclass(frozen=True)
class Choice:
    """Which digits are on N canvases, up to K on each.

    Args:
        number: digits of each canvas, int64 (N,).
        digit: the index of each digit's image, int64 (N, K).
        size: its height and width on the canvas, int64 (N, K), in pixels.
    """

    number: Ints
    digit: Ints
    size: Ints


def choice(geometry: Geometry, draws: Draws, canvases: Ints, count: int) -> Choice:
    """Draw the digits of each canvas from ``count`` images, all of which are used equally often."""
    most = geometry.digits[1]
    number = draws.whole("number", canvases, 1, *geometry.digits)[:, 0]
    places = canvases[:, None] * most + np.arange(most)
    return Choice(
        number,
        draws.dealt("digits", places, count),
        draws.whole("size", canvases, most, *geometry.digit_size),
    )


def tiles_of(digits: Bytes, chosen: Choice, geometry: Geometry) -> tuple[Bytes, Shapes]:
    """Return the digits scaled to their sizes, uint8 (N, K, S, S), and which of their pixels are visible.

    S is the largest size; a smaller digit lies in the top left corner. Those that are not there are empty.
    """
    largest = geometry.digit_size[1]
    tiles = np.zeros((*chosen.digit.shape, largest, largest), dtype=np.uint8)
    is_there = np.arange(chosen.digit.shape[1]) < chosen.number[:, None]
    for size in np.unique(chosen.size[is_there]):
        here = is_there & (chosen.size == size)
        images = torch.from_numpy(digits[chosen.digit[here]])[:, None]
        tiles[here, :size, :size] = (images if size == images.shape[2] else scaled(images, size, size))[:, 0]
    return tiles, tiles > 255 * geometry.threshold


def boxes_of(shapes: Shapes) -> Ints:
    """Return the box around the true pixels of each shape, int64 (N, 4), x1, y1, x2, y2; zeros for none.

    Args:
        shapes: bool (N, H, W).
    """
    found = []
    for axis in (1, 2):
        is_used: Shapes = np.asarray(shapes.any(axis=axis))  # each column, then each row
        first = is_used.argmax(axis=1)
        last = is_used.shape[1] - is_used[:, ::-1].argmax(axis=1)
        found.append(np.where(is_used.any(axis=1), [first, last], 0))
    (left, right), (top, bottom) = found
    return np.stack([left, top, right, bottom], axis=1)


def drawn(
    tiles: Bytes, visible: Shapes, corners: Ints, chosen: Choice, background: Bytes
) -> tuple[Bytes, Bytes]:
    """Return the images, uint8 (N, H, W), and which digit each pixel belongs to: 0 for none, else 1 to K.

    A visible pixel of a later digit hides what lies below it. Elsewhere the brighter one shows.
    """
    largest = tiles.shape[-1]
    count, height, width = background.shape
    # Wider than the canvas, since a tile may be wider than the digit in it.
    shape = (count, height + largest, width + largest)
    image, slots = np.zeros(shape, dtype=np.uint8), np.zeros(shape, dtype=np.uint8)
    image[:, :height, :width] = background
    grid = np.arange(largest)[:, None] * shape[2] + np.arange(largest)
    for slot in range(tiles.shape[1]):
        there = np.flatnonzero(chosen.number > slot)
        left, top = corners[there, slot].T
        begin = (there * shape[1] + top) * shape[2] + left
        pixels = begin[:, None, None] + grid
        tile, is_visible = tiles[there, slot], visible[there, slot]
        below = image.reshape(-1)[pixels]
        image.reshape(-1)[pixels] = np.where(is_visible, tile, np.maximum(tile, below))
        slots.reshape(-1)[pixels[is_visible]] = slot + 1
    return image[:, :height, :width].copy(), slots[:, :height, :width].copy()


def clutter(digits: Bytes, geometry: Geometry, draws: Draws, canvases: Ints) -> Bytes:
    """Return backgrounds, uint8 (N, H, W), with pieces of digits at random places.

    The distractors of Mnih et al. 2014, Recurrent models of visual attention.
    """
    height, width = geometry.size
    images = np.zeros((len(canvases), height, width), dtype=np.uint8)
    tall, wide = min(FRAGMENT, height), min(FRAGMENT, width)
    rows, columns = np.arange(tall)[:, None], np.arange(wide)
    every = np.arange(len(canvases))[:, None, None]
    for piece in range(geometry.clutter):
        drawn = draws.uniform("clutter", canvases, 5, first=5 * piece)
        room = [len(digits), digits.shape[1] - tall + 1, digits.shape[2] - wide + 1]
        which, down, right, top, left = (
            (drawn * [*room, height - tall + 1, width - wide + 1]).astype(np.int64).T[..., None, None]
        )
        part = digits[which, down + rows, right + columns]
        at = (every, top + rows, left + columns)
        images[at] = np.maximum(images[at], part)
    return images


def add_noise(images: Bytes, deviation: float, draws: Draws, canvases: Ints) -> None:
    """Add normal noise to each pixel, uint8 (N, H, W), in place; pixels stay from black to white."""
    if not deviation:
        return
    normal = NormalDist(0, 255 * deviation)
    table = np.array([round(normal.inv_cdf((byte + 0.5) / 256)) for byte in range(256)], dtype=np.int16)
    values = images[0].size
    bits = draws.bits("noise", canvases, 0, -(-values // 8))  # a byte for each pixel
    noise = table[bits.astype("<u8").view(np.uint8)[:, :values]].reshape(images.shape)
    np.clip(images + noise, 0, 255, out=noise)
    images[...] = noise
