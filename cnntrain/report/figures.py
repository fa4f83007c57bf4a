"""The figures of a run's report, drawn by matplotlib, whose import takes most of a second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnntrain.drawing.mosaic import mosaic
from cnntrain.drawing.style import COLOURS, borderless, canvas, percent, styled
from cnntrain.language.translation import tr, tr_count
from cnntrain.report.model_views import Filters, Maps
from cnntrain.tasks.scores import TRAIN, VAL, Scores
from cnntrain.tasks.scores import Figure as Measured

FINE, LARGEST_FILTER, LARGEST_MAP = 21, 48, 32  # pixels of a tile at least, and at most
LARGEST_IMAGE = 160
LOGARITHMIC = 50  # times the smallest loss, above which an axis is logarithmic
MAP_GAP, MAP_MARGIN = 0.14, 0.02  # above and below the layers of feature maps, in sides of an image


@styled
def curves(
    history: Sequence[Mapping[str, Any]], best: int | None, scores: Scores
) -> dict[tuple[str, str], Figure]:
    """Return the curves of all scores and of the learning rate over the epochs, by file name and in words.

    Args:
        history: the rows of metrics.csv.
        best: the epoch that was chosen; None if there was nothing to choose by.
        scores: the scores of the task.
    """
    figures = {}
    for val in scores.on(VAL):
        score, train = val.score, Measured(TRAIN, val.score)
        figure, axes = canvas(xlabel="epoch", ylabel=score.words)
        if score.in_training:
            plot(axes, history, train.name, "curve", "training")
        if any(row[val.name] is not None for row in history):
            plot(axes, history, val.name, "mark", "validation")
        if best is not None:
            axes.axvline(best, color=COLOURS["dim"], linestyle=":", linewidth=1, label="best epoch")
        if score.is_fraction:
            percent(axes)
        elif spread(history, [f.name for f in (train, val) if f in scores.epoch]) > LOGARITHMIC:
            axes.set_yscale("log")
        axes.legend(fontsize=8)
        figures[score.name, score.words] = figure
    figure, axes = canvas(xlabel="epoch", ylabel="learning rate")
    plot(axes, history, "lr", "curve", "")
    figures["learning_rate", "learning rate"] = figure
    return figures


def spread(history: Sequence[Mapping[str, Any]], names: Sequence[str]) -> float:
    """Return how many times the smallest value of some columns the largest one is; 1 without values."""
    values = [row[name] for row in history for name in names if row[name] is not None]
    return max(values) / min(values) if values and min(values) > 0 else 1.0


def plot(axes: Axes, history: Sequence[Mapping[str, Any]], key: str, colour: str, label: str) -> None:
    """Draw one figure of each epoch as a curve, or as a dot if there is but one."""
    epochs = [row["epoch"] for row in history]
    values = [np.nan if row[key] is None else row[key] for row in history]
    marker = "o" if len(history) < 12 else ""
    axes.plot(epochs, values, color=COLOURS[colour], marker=marker, markersize=3.5, label=label)
    if len(history) < 8:
        axes.set_xticks(epochs)
    else:
        axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))


@styled
def filters(found: Filters) -> Figure:
    """Return the filters of the first layer: red adds, blue takes away; those of colour in their colours."""
    weights = found.weights.permute(0, 2, 3, 1).numpy()
    scale = max(float(np.abs(weights).max()), 1e-12)
    columns = int(np.ceil(np.sqrt(2 * len(weights))))
    weights = sized(weights, LARGEST_FILTER)
    if weights.shape[3] == 3:
        alpha = np.ones((*weights.shape[:3], 1))
        image = mosaic(np.concatenate([0.5 + 0.5 * weights / scale, alpha], axis=3), columns, gap=2)
    else:
        image = mosaic(weights.mean(axis=3, keepdims=True), columns, gap=2, fill=np.nan)[:, :, 0]
        scale = max(float(np.nanmax(np.abs(image))), 1e-12)
    figure, axes = borderless(image.shape[0] / image.shape[1])
    axes.imshow(image, cmap="RdBu_r", vmin=-scale, vmax=scale, interpolation="none")
    return figure


def feature_maps(images: np.ndarray, layers: Sequence[Maps]) -> Figure:
    """Return what each layer makes of some images: a column for each image, a row for each layer.

    Args:
        images: uint8 (N, H, W, 1 or 3).
        layers: the layers from :func:`cnntrain.report.model_views.feature_maps`, of the same images.
    """
    return below_images(images, [(title(maps), maps.values.numpy()) for maps in layers])


def attention(images: np.ndarray, layers: np.ndarray) -> Figure:
    """Return where the heads of each layer look: a column for each image, a row for each layer.

    Args:
        images: uint8 (N, H, W, 1 or 3).
        layers: attention, float (N, layers, heads, H, W).
    """
    number, heads = layers.shape[1:3]
    of_heads = tr_count(heads, "attention of {number:,} head", "attention of {number:,} heads")
    names = [
        tr("layer {layer} of {layers}: {of_heads}", layer=layer + 1, layers=number, of_heads=of_heads)
        for layer in range(number)
    ]
    return below_images(images, [(name, layers[:, layer]) for layer, name in enumerate(names)])


@styled
def below_images(images: np.ndarray, layers: Sequence[tuple[str, np.ndarray]]) -> Figure:
    """Return maps below the images that they belong to: a column for each image, a row for each layer.

    Args:
        images: uint8 (N, H, W, 1 or 3).
        layers: the titles of the rows, and their maps, float (N, maps, height, width).
    """
    images = sized(images, LARGEST_IMAGE)
    tiles = [[images[index].squeeze() for index in range(len(images))]]
    tiles += [[grid(maps[index]) for index in range(len(images))] for _, maps in layers]
    names = [tr("the images"), *(name for name, _ in layers)]
    heights = [max(tile.shape[0] / tile.shape[1] for tile in row) for row in tiles]
    total = sum(heights) + (MAP_GAP + MAP_MARGIN) * len(tiles)
    figure, axes = borderless(total / len(images))
    top = 0.0
    for row, name, height in zip(tiles, names, heights, strict=True):
        top += MAP_GAP
        axes.text(0, top - 0.02, name, fontsize=8, va="bottom", parse_math=False)
        for column, tile in enumerate(row):
            tall = 0.96 * tile.shape[0] / tile.shape[1]
            extent = (column, column + 0.96, top + tall, top)
            low, high = (0, 255) if row is tiles[0] else (np.nanmin(tile), np.nanmax(tile))
            colours = "gray" if row is tiles[0] else "viridis"
            axes.imshow(tile, cmap=colours, vmin=low, vmax=high, extent=extent, interpolation="none")
        top += height + MAP_MARGIN
    axes.set(xlim=(0, len(images)), ylim=(top, 0))
    return figure


def title(maps: Maps) -> str:
    """Return what stands above the maps of a layer: ``features.0: Conv2d, 16 maps of 28×28``."""
    height, width = maps.values.shape[2:]
    what = f"{maps.total:,} maps of {height}×{width}"
    if maps.values.shape[1:3] == (1, 1):
        what = f"{maps.total:,} values"
    end = ", end of its stage" if maps.ends_stage else ""
    return f"{maps.layer or 'model'}: {maps.kind}, {what}{end}"


def grid(maps: np.ndarray) -> np.ndarray:
    """Return the maps of one layer and image, (maps, height, width), side by side; values as squares."""
    number, height, width = maps.shape
    if height == 1 and number == 1:  # a row of values
        columns = min(width, max(10, int(np.ceil(np.sqrt(6 * width)))))
        return mosaic(maps.reshape(-1, 1, 1, 1), columns, gap=0, fill=np.nan)[:, :, 0]
    tiles = sized(maps[:, :, :, None], LARGEST_MAP)
    return mosaic(tiles, int(np.ceil(np.sqrt(number))), gap=tiles.shape[1] // 14, fill=np.nan)[:, :, 0]


def sized(tiles: np.ndarray, largest: int) -> np.ndarray:
    """Return tiles (N, H, W, C) of a good size: the gaps between them can be fine, and the file is small."""
    larger = -(-FINE // tiles.shape[1])
    smaller = -(-tiles.shape[1] // largest)  # by leaving out rows and columns
    return tiles[:, ::smaller, ::smaller].repeat(larger, axis=1).repeat(larger, axis=2)
