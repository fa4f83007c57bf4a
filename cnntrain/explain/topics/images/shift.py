"""``cnntrain explain shift``: accuracy on translated images, MLP against CNN."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from rich.markup import escape
from torch import Tensor, nn

from cnntrain.data.batches import raise_if_error
from cnntrain.drawing.style import percent
from cnntrain.explain import figures
from cnntrain.explain.setup import ExplainedModel
from cnntrain.explain.terminal import rows, words
from cnntrain.language.translation import tr, tr_count
from cnntrain.runtime.console import Console
from cnntrain.tasks.classification.report.sentences import Translated, on_translation
from cnntrain.tasks.classification.robustness import SHIFTS, accuracy_when_shifted
from cnntrain.text import shown_path

BATCH = 500


def shift(models: Sequence[ExplainedModel], console: Console, folder: Path) -> None:
    """Measure models on test images that are moved by 0 to 4 pixels, in four directions.

    Args:
        models: the models with names that differ, and the same test images.
        console: the console to print to.
        folder: the folder for the figure.
    """
    images = sum(len(model.data.test) for model in models)
    with console.bar(images, 0, tr("translating images"), unit=tr("image")) as bar:
        found = {model.name: accuracies(model, bar.update) for model in models}
    drawn, axes = figures.lines(found, SHIFTS, xlabel=tr("shift in pixels"), ylabel=tr("test accuracy"))
    axes.set_xticks(SHIFTS)
    axes.set_ylim(0, 1)
    percent(axes)
    figures.save(drawn, folder / "shift.png")

    lines = [
        (
            tr_count(pixels, "{number:,} pixel", "{number:,} pixels"),
            *(f"{values[pixels]:.2%}" for values in found.values()),
        )
        for pixels in SHIFTS
    ]
    rows(console, (tr("test images moved by"), *found), lines)
    directions = tr("mean over four directions (up, down, left and right)")
    words(
        console,
        tr(
            "[dim]{directions}, on {number:,} test images[/]",
            directions=directions,
            number=len(models[0].data.test),
        ),
    )
    translated = [
        Translated(
            model.name,
            found[model.name],
            any(isinstance(module, nn.Conv2d) for module in model.model.modules()),
            model.shift,
            len(model.data.test),
        )
        for model in models
    ]
    words(console, f"\n{escape(on_translation(translated))}")
    console.line(tr("figure: [bold]{}[/]"), shown_path(folder / "shift.png"))


def accuracies(model: ExplainedModel, after_batch: Callable[[int], object]) -> list[float]:
    """Return the accuracy, from 0 to 1, of a model on its test images, for each distance in ``SHIFTS``.

    Args:
        model: what is measured.
        after_batch: called with the number of images of each batch.
    """
    return accuracy_when_shifted(
        model.model, batches_of(model), model.normalize, model.precision, after_batch
    )


def batches_of(model: ExplainedModel) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the test images, uint8 (N, C, H, W), and their labels, int64 (N,), on the model's device."""
    test, device = model.data.test, model.normalize.mean.device
    for indices in torch.arange(len(test)).split(BATCH):
        x, y = raise_if_error(test.__getitems__(indices.numpy()))
        yield x.to(device), y.to(device)
