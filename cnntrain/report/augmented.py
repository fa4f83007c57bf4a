"""``cnntrain data [DIR] --augmented FILE``: a few training images, and what augmentation makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from PIL import Image
from torch import Generator, Tensor

from cnntrain.annotations.regions import BOX_CLASS, BOX_IGNORED, NO_BOX
from cnntrain.config.inputs import IMAGES as ARE_IMAGES
from cnntrain.config.instantiate import build
from cnntrain.config.sections import DataSettings
from cnntrain.data.augment.augment import Augment
from cnntrain.data.open import Data, open_data
from cnntrain.data.targets import CLASSES, MASKS, Targets
from cnntrain.drawing import boxes, masks
from cnntrain.drawing.mosaic import mosaic
from cnntrain.drawing.style import png, styled
from cnntrain.errors import UserError
from cnntrain.report.data import batch_in
from cnntrain.runs.named_output import write_named
from cnntrain.runtime.console import Console
from cnntrain.runtime.rng import seed_for
from cnntrain.tasks.collector import evenly
from cnntrain.text import shown_names, shown_path
from cnntrain.training.components.device import find_device

IMAGES = 8  # rows
DRAWS = 8  # columns, besides the image itself
SIDE = 96  # of a tile, in pixels; smaller images are enlarged by a whole number
CAPTION = 26  # pixels below a tile
LONGEST_NAME = 12  # of a class there, in letters


def draw(
    settings: DataSettings, augmentation: Mapping[str, Any], seed: int, verbose: int, target: Path
) -> None:
    """Write a PNG of training images, one of each class, and of several draws of the augmentation.

    Masks and boxes are drawn over the images, as they are moved with them.

    Args:
        settings: the data set, and how it is read.
        augmentation: its class and arguments.
        seed: the seed of the draws.
        verbose: how much to print.
        target: the file.

    Raises:
        UserError: nothing is augmented, or the file can't be written.
    """
    if settings.inputs != ARE_IMAGES:
        raise UserError(f"--augmented draws images, and these data have {settings.inputs}")
    augment: Augment = build("augment", augmentation, Augment, None)
    if not augment:
        raise UserError("nothing is augmented: choose something, such as augment=digits or augment=photos")
    console = Console(verbose)
    data = open_data(settings, find_device("cpu"), console, None)
    kind = data.train.targets
    chosen = some_of(data, IMAGES)
    indices = data.train_indices[chosen]
    x, y = batch_in(data.train, indices)
    many, labels = batch_in(data.train.whole, indices) if augment.crops else (x, y)
    generator = Generator().manual_seed(seed_for(seed, "augment", 0, 0))
    many, labels = many.repeat_interleave(DRAWS, dim=0), labels.repeat_interleave(DRAWS, dim=0)
    changed, labels = kind.augmented(augment, many, labels, generator, data.train.image_size)
    names, captions = shown_names(data.train.class_names), [""] * len(changed)
    if augment.mixes:
        mixed, shares = augment.mix(changed.float(), labels, settings.num_classes, generator)
        changed = mixed.round().to(torch.uint8)
        captions = [in_words(share, names) for share in shares]
    seen, changed = annotated(kind, x, y), annotated(kind, changed, labels)
    rows = torch.cat([seen[:, None], changed.unflatten(0, (len(x), DRAWS))], dim=1)
    titles = [names[label] for label in y.tolist()] if kind is CLASSES else [f"{i}" for i in indices.tolist()]
    figure = grid(rows, titles, captions)
    write_named(target, png(figure))
    text = f"shows {len(x)} images, each with {DRAWS} draws of its augmentation"
    console.line("[bold]{}[/] {}", shown_path(target), text)


def some_of(data: Data, most: int) -> list[int]:
    """Return the places of some training images: one of each class, or evenly spread where they have none."""
    if data.train.targets is CLASSES:
        return one_of_each(data.train.labels[data.train_indices], most)
    chosen: list[int] = evenly(most, len(data.train_indices)).tolist()
    return chosen


def annotated(kind: Targets, images: Tensor, targets: Tensor) -> Tensor:
    """Return images, uint8 (N, C, H, W), with their masks or boxes over them; in colour if they have any."""
    if kind is CLASSES:
        return images
    pixels = images.permute(0, 2, 3, 1).expand(-1, -1, -1, 3).numpy()
    if kind is MASKS:
        drawn = masks.over(pixels, targets.numpy())
    else:
        drawn = np.stack([with_boxes(*pair) for pair in zip(pixels, targets, strict=True)])
    return torch.from_numpy(drawn).permute(0, 3, 1, 2)


def with_boxes(pixels: np.ndarray, rows: Tensor) -> np.ndarray:
    """Return an image, uint8 (H, W, 3), with its boxes, float (M, 6), over it."""
    known = rows[rows[:, BOX_CLASS] != NO_BOX]
    labels = [None if row[BOX_IGNORED] else int(row[BOX_CLASS]) for row in known.tolist()]
    return np.asarray(boxes.over(Image.fromarray(pixels), known[:, :BOX_CLASS].numpy(), labels))


def one_of_each(labels: Tensor, most: int) -> list[int]:
    """Return the places of some images, of as many classes as there are; labels are int64 (N,)."""
    seen: dict[int, list[int]] = {}
    for place, label in enumerate(labels.tolist()):
        seen.setdefault(label, []).append(place)
    classes = [seen[label] for label in sorted(seen)]
    in_turn = [places[turn] for turn in range(most) for places in classes if turn < len(places)]
    return in_turn[:most]


def in_words(share: Tensor, names: Sequence[str]) -> str:
    """Return the two largest shares of classes in words, a line each: ``70% cat``."""
    largest = share.topk(min(2, len(share)))
    pairs = zip(largest.values.tolist(), largest.indices.tolist(), strict=True)
    lines = [f"{value:.0%} {names[index][:LONGEST_NAME]}" for value, index in pairs if round(100 * value)]
    return "\n".join(lines)


@styled
def grid(rows: Tensor, names: Sequence[str], captions: Sequence[str]) -> Figure:
    """Return a figure with a row for each image: uint8 (rows, 1 + draws, C, H, W)."""
    count, columns = rows.shape[:2]
    tiles = rows.flatten(0, 1)
    tiles = tiles[:, : 3 if tiles.shape[1] >= 3 else 1]
    side = tiles.shape[2]
    scale = max(1, SIDE // side)
    size = [SIDE, SIDE] if side > SIDE else [side * scale, side * scale]
    mode = "area" if side > SIDE else "nearest"
    pixels = F.interpolate(tiles.float(), size=size, mode=mode).round().to(torch.uint8)
    gap = CAPTION if any(captions) else 4
    framed = F.pad(pixels.float(), (2, 2, 2, gap), value=255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    image = mosaic(framed, columns, gap=0)
    height, width = image.shape[0] / count, image.shape[1] / columns
    figure = Figure(figsize=(image.shape[1] / 96 + 1.2, image.shape[0] / 96 + 0.35))
    axes = figure.add_subplot()
    axes.grid(visible=False)
    axes.imshow(image if image.shape[2] == 3 else np.repeat(image, 3, axis=2), interpolation="nearest")
    axes.spines[:].set_visible(False)
    axes.xaxis.tick_top()
    axes.set_xticks([width / 2, width * (columns + 1) / 2], ["image", "what the network sees"])
    axes.set_yticks([height * (row + 0.5) for row in range(count)], names, parse_math=False)
    axes.tick_params(length=0)
    axes.axvline(width - 0.5, color="#5c6370", linewidth=1)
    for place, caption in enumerate(captions):
        row, column = divmod(place, columns - 1)
        axes.text(
            width * (column + 1.5),
            height * (row + 1) - CAPTION,
            caption,
            ha="center",
            va="top",
            fontsize=6.5,
            parse_math=False,
        )
    return figure
