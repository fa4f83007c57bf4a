"""``cnntrain explain hierarchy``: what excites each layer, from edges to corners to parts of objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.markup import escape
from torch import Generator, Tensor

from cnntrain.data.batches import raise_if_error
from cnntrain.errors import UserError
from cnntrain.explain import figures, sentences
from cnntrain.explain.arithmetic import TracedLayer, trace
from cnntrain.explain.setup import ExplainedModel
from cnntrain.explain.terminal import rows, words
from cnntrain.explain.topics.images import hierarchy_figure
from cnntrain.explain.topics.images.filters import BEST, IMAGES, cut, fits, purity, responses, seen_by
from cnntrain.language.translation import tr
from cnntrain.runtime.console import Console
from cnntrain.text import shown_names, shown_path

CHANNELS = 8  # of a layer that are drawn
PATCHES = 4  # of each channel that are drawn
RANDOM = 500  # patches that those of a layer are compared with


@dataclass(frozen=True)
class Excited:
    """What excites a layer.

    Args:
        row: the layer.
        best: the images that excite each channel most, the first one most, int64 (BEST, channels).
        places: where in the layer's output, int64 (BEST, channels).
        selective: share of the images that excite a channel at least half as much as the best one does.
        direction: how much the edges in these patches have one direction, from 0 to 1.
        any_direction: the same of patches that are taken at random.
        purity: share of the most frequent class among the best images; None where an image has no class.
    """

    row: TracedLayer
    best: Tensor
    places: Tensor
    selective: float
    direction: float
    any_direction: float
    purity: float | None


def hierarchy(model: ExplainedModel, console: Console, folder: Path) -> None:
    """Show for each layer the parts of test images that excite some of its channels most.

    Args:
        model: a trained network.
        console: the console to print to.
        folder: the folder for the figure.

    Raises:
        UserError: the network has no layers whose channels see a part of an image.
    """
    layers = [row for row in trace(model.model, model.shape) if fits(row)]
    if not any(len(row.layer.output_shape) == 3 for row in layers):
        raise UserError(f"{type(model.model).__name__} has no convolutions, which see a part: model=cnn has")
    peaks = responses(model, [row.layer.name for row in layers])
    indices = np.arange(min(IMAGES, len(model.data.test)))
    images, labels = (part.cpu() for part in raise_if_error(model.data.test.__getitems__(indices)))
    found = [excited(row, *peaks[row.layer.name], images, labels) for row in layers]
    words(
        console,
        tr(
            "[bold]{model}[/]: what excites each of its layers, the first to the last, among {number:,} "
            "test images\n",
            model=escape(model.name),
            number=len(images),
        ),
    )
    show_layers(console, found, images.shape[-1])
    path = folder / "hierarchy.png"
    names = shown_names(model.data.test.class_names)
    drawn = hierarchy_figure.drawn([patches_of(one, images, names) for one in found], images[0])
    figures.save(drawn, path, background="0.8")  # neither black nor white, which the images are
    console.line(tr("figure: [bold]{}[/]"), shown_path(path))


def excited(row: TracedLayer, values: Tensor, places: Tensor, images: Tensor, labels: Tensor) -> Excited:
    """Return what excites a layer.

    Args:
        row: the layer.
        values: the largest value of each channel on each image, float (N, channels).
        places: where it is in the layer's output, int64 (N, channels).
        images: uint8 (N, C, H, W).
        labels: the labels of the images.
    """
    top = values.topk(min(BEST, len(values)), dim=0)
    alive = top.values[0] > 0  # ReLU lets nothing of the others pass
    half = (values >= top.values[0] / 2).float().mean(dim=0)
    at = places.gather(0, top.indices)
    patches = [
        cut(images[image], row, place)
        for image, place in zip(
            top.indices[:, alive].T.flatten(), at[:, alive].T.flatten().tolist(), strict=True
        )
    ]
    return Excited(
        row,
        top.indices,
        at,
        float(half[alive].mean()) if alive.any() else 0.0,
        direction(patches),
        direction(at_random(row, images)),
        purity(labels[top.indices]) if labels.dim() == 1 else None,
    )


def at_random(row: TracedLayer, images: Tensor) -> list[Tensor]:
    """Return patches of images, as large as those that a layer sees, from anywhere."""
    generator = Generator().manual_seed(0)
    chosen = torch.randint(len(images), (RANDOM,), generator=generator)
    positions = int(np.prod(row.layer.output_shape[1:])) or 1
    at = torch.randint(positions, (RANDOM,), generator=generator)
    return [cut(images[image], row, place) for image, place in zip(chosen, at.tolist(), strict=True)]


def direction(patches: list[Tensor]) -> float:
    """Return how much the edges in patches have one direction: the coherence of the structure tensor.

    It is 1 if all is one straight edge, and 0 if no direction is the commonest (Bigün and Granlund 1987). The
    mean over the patches, each weighted by how strong its edges are.

    Args:
        patches: uint8 (C, H, W) each.
    """
    coherent, strength = 0.0, 0.0
    for patch in patches:
        grey = patch.float().mean(dim=0)
        across = (grey[:, 1:] - grey[:, :-1])[:-1]
        down = (grey[1:] - grey[:-1])[:, :-1]
        xx, yy, xy = ((a * b).mean() for a, b in ((across, across), (down, down), (across, down)))
        coherent += float(((xx - yy) ** 2 + 4 * xy**2).sqrt())
        strength += float(xx + yy)
    return coherent / strength if strength else 0.0


def show_layers(console: Console, found: list[Excited], side: int) -> None:
    """Show what the layers see, and how choosy they are."""
    has_classes = found[0].purity is not None
    lines = [
        (
            one.row.layer.name,
            seen_by(one.row, side),
            f"{one.selective:.0%}",
            f"{one.direction:.2f}",
            f"{one.any_direction:.2f}",
            *([f"{one.purity:.0%}"] if one.purity is not None else []),
        )
        for one in found
    ]
    headings = [
        tr("layer"),
        tr("receptive field"),
        tr("images"),
        tr("direction"),
        tr("at random"),
        *([tr("one class")] if has_classes else []),
    ]
    rows(console, headings, lines)
    text = tr(
        "\nimages: the share that excites a channel at least half as much as the best one does. direction: "
        "how much the edges in its {best} best patches have one direction, from 0 to 1; at random: the same "
        "of patches of that size from anywhere.",
        best=BEST,
    )
    if has_classes:
        text += " " + tr("one class: the share of the most frequent class among the best images.")
    maps = [one for one in found if len(one.row.layer.output_shape) == 3]
    concluded = sentences.on_hierarchy(
        {one.row.layer.name: (one.direction, one.any_direction) for one in maps},
        [one.selective for one in found],
        [one.purity for one in found if one.purity is not None],
    )
    words(console, f"{text} {concluded}")


def patches_of(one: Excited, images: Tensor, names: Sequence[str]) -> hierarchy_figure.Row:
    """Return the first channels of a layer, each with the patches that excite it most."""
    number = one.best.shape[1]
    titles = names if number == len(names) else [str(channel + 1) for channel in range(number)]
    channels = []
    for channel in range(min(CHANNELS, number)):
        places = zip(
            one.best[:PATCHES, channel].tolist(), one.places[:PATCHES, channel].tolist(), strict=True
        )
        patches = [cut(images[image], one.row, place) for image, place in places]
        channels.append((titles[channel][:12], patches))
    return hierarchy_figure.Row(one.row.layer.name, one.row.place, channels)
