"""``cnntrain explain one_pixel``: what a shift does to the vector; networks on shuffled pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from cnntrain.data.batches import raise_if_error
from cnntrain.drawing.style import COLOURS, percent, styled
from cnntrain.explain import figures
from cnntrain.explain.setup import TrainingSetup
from cnntrain.explain.terminal import rows, words
from cnntrain.explain.topics.training.zero_grad import train_with
from cnntrain.language.translation import later, tr
from cnntrain.models.hooks import changed_inputs
from cnntrain.runtime.console import Console
from cnntrain.tasks.moved import moved
from cnntrain.tasks.scores import TEST
from cnntrain.tasks.scores import Figure as Measured
from cnntrain.text import network_name, shown_path

IMAGES = 200  # test images that are moved
MOVED = (1, 2, 3)  # pixels to the right
SEED = 0  # of the one order of the pixels that all images get
AS_THEY_ARE, SHUFFLED = later("as they are"), later("shuffled")


def order_of(pixels: int) -> Tensor:
    """Return the order in which shuffled pixels stand, the same for all images, int64 (pixels,)."""
    return torch.randperm(pixels, generator=torch.Generator().manual_seed(SEED))


def shuffled(images: Tensor, order: Tensor) -> Tensor:
    """Return images, (N, C, H, W), with their pixels in another order, int64 (H · W,)."""
    return images.flatten(2)[:, :, order.to(images.device)].view_as(images)


def one_pixel(builds: Sequence[Callable[[], TrainingSetup]], console: Console, folder: Path) -> None:
    """Compare images with moved ones as vectors, and train networks on images as they are and shuffled.

    Args:
        builds: each puts together the run of a network before its first step, the same at every call.
        console: the console to print to.
        folder: the folder for the figure.
    """
    parts = builds[0]()
    test = parts.data.test
    images, labels = raise_if_error(test.__getitems__(np.arange(min(IMAGES, len(test)))))
    images, labels = images.float().cpu() / 255, labels.cpu()
    show_vectors(console, images, labels)
    found: dict[str, dict[str, float]] = {}
    score = parts.task.scores.main
    for build in builds:
        for how in (AS_THEY_ARE, SHUFFLED):
            parts = build()
            name = network_name(parts.settings.model.node, type(parts.model).__name__)
            changes = [(parts.model, in_one_order)] if how == SHUFFLED else []
            with changed_inputs(changes):
                found.setdefault(name, {})[how] = train_with(parts, console, f"{name}, {tr(how)}")[2]
    lines = []
    for name, values in found.items():
        known, mixed = values[AS_THEY_ARE], values[SHUFFLED]
        lines.append(
            (
                name,
                score.text(known),
                score.text(mixed),
                tr("{number} points", number=f"{100 * (mixed - known):+.1f}"),
            )
        )
    what = Measured(TEST, score).words
    words(
        console,
        tr("\n[bold]The same networks on shuffled pixels[/]: {what}, one order for all images\n", what=what),
    )
    rows(console, (tr("network"), tr("pixels as they are"), tr(SHUFFLED), tr("change")), lines)
    words(
        console,
        tr(
            "\n"
            "A linear layer has a weight for each pixel and does not know which pixels are "
            "neighbours: with its weights in the same order it computes the same from shuffled "
            "images, and learns them as well. A kernel relates neighbours: shuffled ones form "
            "no edges. What a network loses here is what it got from the places of the pixels."
        ),
    )
    path = folder / "one_pixel.png"
    figures.save(drawn(images[:1], found), path)
    console.line(tr("figure: [bold]{}[/]"), shown_path(path))


def in_one_order(images: Tensor) -> Tensor:
    """Return images, float (N, C, H, W), with their pixels in the order that all images get."""
    return shuffled(images, order_of(images[0, 0].numel()))


def show_vectors(console: Console, images: Tensor, labels: Tensor) -> None:
    """Show how much of the flattened images a shift changes, and how much two different images differ.

    Args:
        console: the console to print to.
        images: float (N, C, H, W), from 0 to 1.
        labels: classes, int64 (N,).
    """
    vectors = images.flatten(1)
    lines = [
        (
            tr("itself, moved by {pixels}", pixels=pixels),
            *compared(vectors, moved(images, 0, -pixels).flatten(1)),
        )
        for pixels in MOVED
    ]
    same = labels[:, None] == labels
    same.fill_diagonal_(False)
    others = labels[:, None] != labels
    for name, which in ((tr("another of its class"), same), (tr("one of another class"), others)):
        pairs = which.nonzero()
        if len(pairs):
            some = pairs[torch.linspace(0, len(pairs) - 1, min(len(pairs), 2000)).long()]
            lines.append((name, *compared(vectors[some[:, 0]], vectors[some[:, 1]])))
    number = vectors.shape[1]
    words(
        console,
        tr(
            "[bold]Images as vectors[/] of {number:,} numbers from 0 to 1: {images} test images, means\n",
            number=number,
            images=len(images),
        ),
    )
    rows(
        console,
        (tr("an image and"), tr("numbers that differ"), tr("of those above 0"), tr("cosine"), tr("distance")),
        lines,
    )
    words(
        console,
        tr(
            "\nThe eye sees the same image one pixel further. As a vector it has moved by the distance in "
            "the first row, and different images are as far from each other as the last rows say."
        ),
    )


def compared(first: Tensor, second: Tensor) -> tuple[str, str, str, str]:
    """Describe how much pairs of vectors, (N, D) each, differ.

    Returns:
        The share of all numbers that differ, that of those above 0 in one of both, the cosine and the length
        of the difference, means over the pairs.
    """
    differ, above = first != second, (first > 0) | (second > 0)
    of_above = (differ & above).sum(dim=1) / above.sum(dim=1).clamp(min=1)
    return (
        f"{float(differ.float().mean()):.1%}",
        f"{float(of_above.mean()):.1%}",
        f"{float(F.cosine_similarity(first, second).mean()):.3f}",
        f"{float((first - second).norm(dim=1).mean()):.2f}",
    )


@styled
def drawn(image: Tensor, found: Mapping[str, Mapping[str, float]]) -> Figure:
    """Return an image, moved and shuffled; a part of its vector before and after; the scores.

    Args:
        image: float (1, C, H, W), from 0 to 1.
        found: the scores of each network.
    """
    other = moved(image, 0, -1)
    mixed = shuffled(image, order_of(image[0, 0].numel()))
    figure = Figure(figsize=(11, 5.4))
    grid = figure.add_gridspec(2, 4, width_ratios=[1, 1, 1, 1.3])
    titles = (tr("an image"), tr("moved by 1 pixel"), tr("pixels shuffled"))
    for column, (title, pixels) in enumerate(zip(titles, (image, other, mixed), strict=True)):
        axes = figure.add_subplot(grid[0, column])
        axes.imshow(pixels[0].mean(dim=0).numpy(), cmap="gray", vmin=0, vmax=1)
        axes.set_title(title, fontsize=9)
        axes.axis("off")
    axes = figure.add_subplot(grid[1, :3])
    lightest = int(image[0, 0].sum(dim=1).argmax())
    width = image.shape[-1]
    begin = max(0, lightest - 1) * width
    part = slice(begin, begin + 3 * width)
    for name, pixels, colour in zip(titles[:2], (image, other), figures.LINES, strict=False):
        values = pixels.flatten()[part].numpy()
        places = range(begin, begin + len(values))
        axes.step(places, values, where="mid", color=colour, label=name, linewidth=1.1)
    axes.set(xlabel=tr("number in the vector (three rows of the image)"), ylabel=tr("value"))
    axes.legend()
    axes = figure.add_subplot(grid[:, 3])
    for place, how, colour in ((-0.2, AS_THEY_ARE, COLOURS["curve"]), (0.2, SHUFFLED, COLOURS["mark"])):
        at = [index + place for index in range(len(found))]
        bars = axes.bar(at, [values[how] for values in found.values()], 0.38, color=colour, label=tr(how))
        axes.bar_label(bars, fmt=lambda value: f"{value:.1%}", fontsize=8)
    axes.set_xticks(range(len(found)), list(found))
    axes.set(title=tr("test accuracy, pixels"), ylim=(0, 1.15))
    axes.grid(visible=False, axis="x")
    axes.legend(loc="upper center", ncols=2)
    percent(axes)
    return figure
