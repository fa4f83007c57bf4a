"""``cnntrain explain parameters``: MLP against CNN in three rows: parameters, translation, locality."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from cnntrain.errors import UserError
from cnntrain.explain import figures
from cnntrain.explain.setup import ExplainedModel
from cnntrain.explain.terminal import rows, words
from cnntrain.explain.topics.images.shift import accuracies
from cnntrain.language.translation import tr
from cnntrain.runtime.console import Console, format_bytes
from cnntrain.text import shown_path

SIDES = (28, 64, 128, 256, 512, 1024)  # of images, in pixels
MOVED = 2  # pixels
COURSE = 512  # units of the course's example
ADAM = 4  # weights, gradients and two averages


def parameters(models: Sequence[ExplainedModel], console: Console, folder: Path) -> None:
    """Compare models by what their first layer would need for large images, and by what they make of a shift.

    Args:
        models: the models with names that differ, and the same test images.
        console: the console to print to.
        folder: the folder for the figure.
    """
    first = {model.name: first_layer(model) for model in models}
    side, channels = SIDES[-1], models[0].shape[0]
    sizes = {name: [weights_at(layer, channels, side) for side in SIDES] for name, layer in first.items()}
    images = sum(len(model.data.test) for model in models)
    with console.bar(images, 0, tr("translating images"), unit=tr("image")) as bar:
        found = {model.name: accuracies(model, bar.update) for model in models}
    pixels = channels * side * side
    rows(
        console,
        (tr("first layer, images of {side}×{side}", side=side), *first),
        [
            (tr("parameters"), *(f"{values[-1]:,}" for values in sizes.values())),
            (tr("memory as float32"), *(format_bytes(4 * values[-1]) for values in sizes.values())),
            (tr("locality: values that a unit sees"), *(f"{seen_by(f, pixels):,}" for f in first.values())),
            (tr("test accuracy"), *(f"{values[0]:.2%}" for values in found.values())),
            (
                tr("on images moved by {pixels} pixels", pixels=MOVED),
                *(f"{values[MOVED]:.2%}" for values in found.values()),
            ),
        ],
    )
    conclude(console, first, sizes, pixels)
    drawn, axes = figures.lines(
        sizes, SIDES, xlabel=tr("side of the image in pixels"), ylabel=tr("parameters")
    )
    axes.set(xscale="log", yscale="log", title=tr("parameters of the first layer"))
    axes.set_xticks(SIDES, [str(side) for side in SIDES])
    axes.minorticks_off()
    path = folder / "parameters.png"
    figures.save(drawn, path)
    console.line(tr("figure: [bold]{}[/]"), shown_path(path))


def conclude(
    console: Console, first: dict[str, nn.Linear | nn.Conv2d], sizes: dict[str, list[int]], pixels: int
) -> None:
    """Describe where the numbers come from."""
    words(console, "")
    for name, layer in first.items():
        total = sizes[name][-1]
        if isinstance(layer, nn.Linear):
            words(
                console,
                tr(
                    "{name}: {pixels:,} values times {units} units, and a bias for each: {total:,}. "
                    "With {course} units it would be {weights:.1e} weights. Adam needs {memory} for "
                    "them: weights, gradients and two averages. None of it was allocated here.",
                    name=name,
                    pixels=pixels,
                    units=layer.out_features,
                    total=total,
                    course=COURSE,
                    weights=pixels * COURSE,
                    memory=format_bytes(4 * ADAM * total),
                ),
            )
        else:
            words(
                console,
                tr(
                    "{name}: {filters} filters of {high}×{wide}, each used at every place: {total:,}, "
                    "whatever the size of the image.",
                    name=name,
                    filters=layer.out_channels,
                    high=layer.kernel_size[0],
                    wide=layer.kernel_size[1],
                    total=total,
                ),
            )
    words(
        console,
        tr(
            "[dim]The accuracies are those on the test images of the data set; a CNN that "
            "flattens its maps has many parameters after them: cnntrain summary model=cnn "
            "data.image_size=1024[/]"
        ),
    )


def first_layer(model: ExplainedModel) -> nn.Linear | nn.Conv2d:
    """Return the first layer that has weights.

    Raises:
        UserError: it is neither fully connected nor a convolution.
    """
    weighted = (m for m in model.model.modules() if next(m.parameters(recurse=False), None) is not None)
    layer = next(weighted, None)
    if not isinstance(layer, nn.Linear | nn.Conv2d):
        raise UserError(f"{model.name}: the first layer is {type(layer).__name__}, not Linear or Conv2d")
    return layer


def weights_at(layer: nn.Linear | nn.Conv2d, channels: int, side: int) -> int:
    """Return how many parameters a first layer has for square images of that side."""
    if isinstance(layer, nn.Linear):
        bias = layer.out_features if layer.bias is not None else 0
        return channels * side * side * layer.out_features + bias
    return sum(p.numel() for p in layer.parameters())


def seen_by(layer: nn.Linear | nn.Conv2d, pixels: int) -> int:
    """Return how many values of an image one unit of a first layer sees."""
    return pixels if isinstance(layer, nn.Linear) else layer.weight[0].numel()
