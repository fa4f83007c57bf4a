"""The figures of ``cnntrain explain skips``: the U with its feature maps, and masks without connections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from cnntrain.drawing.masks import in_colors
from cnntrain.drawing.mosaic import mosaic
from cnntrain.drawing.style import COLOURS, canvas, styled
from cnntrain.language.translation import tr

SHRINKS = 0.78  # how much smaller than the level above a level is drawn, so that its pixels can be seen
MAPS = 4  # of a level
APART = 4.2  # between the ways down and up, in sides of an image


@styled
def levels(
    image: Tensor,
    maps: Sequence[tuple[Tensor, Tensor | None]],
    shapes: Sequence[tuple[int, ...]],
    fields: Sequence[tuple[int | None, int | None]],
    answer: np.ndarray,
) -> Figure:
    """Return the levels of a U-Net with what an image becomes there: down on the left, up on the right.

    Args:
        image: uint8 (C, H, W).
        maps: the maps of the encoder and the decoder at each level, float (C, H, W).
        shapes: channels, height and width of the encoder's, at each level.
        fields: receptive fields of both; None where they are unknown.
        answer: the classes of the pixels, uint8 (H, W).
    """
    drawn, axes = canvas(size=(10, 1.75 * len(maps) + 0.3))
    top, width = 0.0, APART
    for index, ((down, up), shape, (seen, after)) in enumerate(zip(maps, shapes, fields, strict=True)):
        side = 1.5 * SHRINKS**index
        x = 0 if up is not None else width / 2
        put(axes, varied(down), x, top - side / 2, side)
        label(axes, x, top - side, described(shape, seen))
        if up is not None:
            put(axes, varied(up), width, top - side / 2, side)
            label(axes, width, top - side, described(up.shape, after))
            skip_arrow(axes, top - side / 2, side, shape[0])
            below = top - side - 0.42
            level_arrows(axes, below, index, into_bottom=maps[index + 1][1] is None)
            top = below - 0.12
    put(axes, in_grey(image), -2.2, -0.75, 1.5)
    label(axes, -2.2, -1.5, tr("image"))
    put(axes, in_colors(answer), width + 2.2, -0.75, 1.5)
    label(axes, width + 2.2, -1.5, tr("a class for each pixel"))
    arrow(axes, (-1.4, -0.75), (-0.8, -0.75), "curve")
    arrow(axes, (width + 0.8, -0.75), (width + 1.4, -0.75), "curve")
    side = 1.5 * SHRINKS ** (len(maps) - 1)
    axes.set(xlim=(-3.1, width + 3.1), ylim=(top - side - 0.3, 0.1), aspect="equal")
    axes.axis("off")
    return drawn


def described(shape: Sequence[int], field: int | None) -> str:
    """Return the size of feature maps (C, H, W) and their receptive field in words."""
    return tr("{size}, sees {field}", size="×".join(map(str, shape)), field=describe_field(field))


def skip_arrow(axes: Axes, y: float, side: float, number: int) -> None:
    """Draw the skip connection between the two images of a level, and how many maps it takes across."""
    arrow(axes, (side / 2 + 0.1, y), (APART - side / 2 - 0.1, y), "mark")
    text = tr("skip: {number} maps", number=number)
    axes.text(APART / 2, y + 0.06, text, ha="center", color=COLOURS["mark"], fontsize=8)


def level_arrows(axes: Axes, below: float, index: int, into_bottom: bool) -> None:
    """Draw the arrows from a level to the next one and back.

    Args:
        axes: where to.
        below: where the level ends, vertically.
        index: the number of the level, 0 for the finest.
        into_bottom: whether the next one is the bottom, whose one image stands in the middle.
    """
    half = 0.75 * SHRINKS ** (index + 1)
    low = below - 0.1 - (half if into_bottom else 0)
    inside = APART / 2 - half - 0.08 if into_bottom else 0
    arrow(axes, (0, below + 0.14), (inside, low), "curve")
    arrow(axes, (APART - inside, low), (APART, below + 0.14), "curve")


@styled
def answers(
    images: Tensor, masks: Tensor, titles: Sequence[tuple[str, str]], found: Sequence[np.ndarray]
) -> Figure:
    """Return images, their masks, and what the network makes of them without some of its connections.

    Args:
        images: uint8 (N, C, H, W).
        masks: uint8 (N, H, W).
        titles: two lines for each network.
        found: the classes of the pixels by each, uint8 (N, H, W).
    """
    columns = 2 + len(found)
    drawn, axes = canvas(size=(1.35 * columns, 1.3 * len(images) + 0.55))
    heads = [(tr("image"), ""), (tr("truth"), ""), *titles]
    for column, (name, score) in enumerate(heads):
        axes.text(column, 0.58, f"{broken(name)}\n{score}".strip(), ha="center", va="bottom", fontsize=7.5)
    for row in range(len(images)):
        put(axes, in_grey(images[row]), 0, -row, 0.94)
        for column, labels in enumerate([masks.numpy(), *found], 1):
            put(axes, in_colors(labels[row]), column, -row, 0.94)
    axes.set(xlim=(-0.55, columns - 0.45), ylim=(0.45 - len(images), 1.15), aspect="equal")
    axes.axis("off")
    return drawn


def varied(maps: Tensor) -> np.ndarray:
    """Return the maps that vary most, float (C, H, W), as one image: two beside two."""
    chosen = maps.flatten(1).std(dim=1).topk(min(MAPS, len(maps))).indices.sort().values
    some = maps[chosen]
    low, high = some.amin(dim=(1, 2), keepdim=True), some.amax(dim=(1, 2), keepdim=True)
    tiles = ((some - low) / (high - low).clamp(min=1e-12))[..., None].numpy()
    larger = max(1, 32 // tiles.shape[1])
    tiles = tiles.repeat(larger, axis=1).repeat(larger, axis=2)
    return mosaic(tiles, 2, gap=max(1, tiles.shape[1] // 16), fill=np.nan)[:, :, 0]


def in_grey(image: Tensor) -> np.ndarray:
    """Return an image, uint8 (C, H, W), as (H, W) or (H, W, 3)."""
    pixels: np.ndarray = image[: 3 if len(image) >= 3 else 1].permute(1, 2, 0).squeeze(2).numpy()
    return pixels


def put(axes: Axes, image: np.ndarray, x: float, y: float, side: float) -> None:
    """Draw an image around a place; its longer side is ``side``."""
    height, width = (side * part / max(image.shape[:2]) for part in image.shape[:2])
    extent = (x - width / 2, x + width / 2, y - height / 2, y + height / 2)
    colours: Any = {"cmap": "viridis"}
    if image.dtype == np.uint8:
        colours = {"cmap": "gray", "vmin": 0, "vmax": 255}
    axes.imshow(image, extent=extent, interpolation="nearest", **colours)


def label(axes: Axes, x: float, y: float, text: str) -> None:
    """Write what stands below an image."""
    axes.text(x, y - 0.05, text, ha="center", va="top", fontsize=8)


def arrow(axes: Axes, begin: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    """Draw an arrow between two places."""
    style = {"arrowstyle": "->", "color": COLOURS[colour], "linewidth": 1.4}
    axes.annotate("", xy=end, xytext=begin, arrowprops=style)


def describe_field(field: int | None) -> str:
    """Return a receptive field in words."""
    return "–" if field is None else f"{field}×{field}"


def broken(name: str) -> str:
    """Return a name in two lines, if it has several words."""
    first, _, rest = name.rpartition(" ")
    return f"{first}\n{rest}" if first else name
