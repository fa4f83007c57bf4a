"""The figure of ``cnntrain explain hierarchy``: a row of patches for each layer, the first one at the top."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from cnntrain.drawing.mosaic import mosaic
from cnntrain.drawing.style import COLOURS, styled
from cnntrain.explain.arithmetic import Place
from cnntrain.language.translation import tr


@dataclass(frozen=True)
class Row:
    """Some channels of a layer.

    Args:
        name: the name of the layer.
        place: where its outputs look; None if that is unknown.
        channels: the name of each, and the patches that excite it most, uint8 (C, H, W) each.
    """

    name: str
    place: Place | None
    channels: list[tuple[str, list[Tensor]]]


@styled
def drawn(layers: list[Row], image: Tensor) -> Figure:
    """Return what each layer sees of an image, and beside it what excites its channels most.

    Args:
        layers: at least one.
        image: uint8 (C, H, W), over which the receptive fields are drawn.
    """
    columns = 1 + max(len(layer.channels) for layer in layers)
    figure = Figure(figsize=(1.3 * columns, 1.55 * len(layers) + 0.3))
    grid = figure.subplots(len(layers), columns, squeeze=False)
    height, width = image.shape[1:]
    for layer, (first, *others) in zip(layers, grid, strict=True):
        first.imshow(pixels(image), cmap="gray", vmin=0, vmax=255)
        side = max(height, width) if layer.place is None else min(layer.place.field, max(height, width))
        left, top = (max(-0.5, (length - side) / 2 - 0.5) for length in (width, height))
        square = (left, top), min(side, width), min(side, height)
        first.add_patch(Rectangle(*square, fill=False, edgecolor=COLOURS["mark"], linewidth=2))
        first.set_title(tr("{layer}\nsees {side}×{side}", layer=layer.name, side=side), fontsize=8)
        for axes, (channel, patches) in zip(others, layer.channels, strict=False):
            axes.imshow(together(patches), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axes.set_title(channel, fontsize=8)
        for axes in (first, *others):
            axes.axis("off")
    return figure


def together(patches: list[Tensor]) -> np.ndarray:
    """Return patches as one image with gaps between them, two beside two."""
    tiles = np.stack([pixels(patch) for patch in patches]).astype(np.float64)
    tiles = tiles if tiles.ndim == 4 else tiles[..., None]
    larger = max(1, 32 // tiles.shape[1])
    tiles = tiles.repeat(larger, axis=1).repeat(larger, axis=2)
    image = mosaic(tiles, 2, gap=max(2, tiles.shape[1] // 12), fill=204.0)
    return image.squeeze(2) if image.shape[2] == 1 else image.astype(np.uint8)


def pixels(image: Tensor) -> np.ndarray:
    """Return an image, uint8 (C, H, W), as (H, W) or (H, W, 3)."""
    shown: np.ndarray = image[: 3 if len(image) >= 3 else 1].permute(1, 2, 0).squeeze(2).numpy()
    return shown
