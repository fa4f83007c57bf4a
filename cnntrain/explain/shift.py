"""``cnntrain explain shift``: accuracy on translated images, MLP against CNN."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from rich.markup import escape
from torch import Tensor, nn

from cnntrain.data.batches import raised
from cnntrain.explain import figures
from cnntrain.explain.setup import Examined, examined
from cnntrain.explain.subject import Subject
from cnntrain.explain.terminal import rows, words
from cnntrain.report.style import percent
from cnntrain.runtime.console import Console, count
from cnntrain.text import shown_path
from cnntrain.training.sentences import Translated, on_translation

MOST = 4  # pixels
BATCH = 500


def shift(subjects: Sequence[Subject]) -> None:
    """Measure models on test images that are moved by 0 to 4 pixels, in eight directions.

    Args:
        subjects: configurations to train on, or runs.
    """
    config = subjects[0].config
    console = Console(config["verbose"])
    with figures.new_folder(config, "shift") as folder:
        models = examined(subjects, console)
        with console.bar(len(models) * (1 + 8 * MOST), 0, "translating images", unit="shift") as bar:
            found = {model.name: falling(model, bar.update) for model in models}
        drawn, axes = figures.lines(found, range(MOST + 1), xlabel="shift in pixels", ylabel="test accuracy")
        axes.set_xticks(range(MOST + 1))
        axes.set_ylim(0, 1)
        percent(axes)
        figures.save(drawn, folder / "shift.png")

    lines = [
        (count(pixels, "pixel"), *(f"{values[pixels]:.2%}" for values in found.values()))
        for pixels in range(MOST + 1)
    ]
    rows(console, ("test images moved by", *found), lines)
    directions = "mean over eight directions (up, down, left, right and the diagonals)"
    words(console, f"[dim]{directions}, on {len(models[0].data.test):,} test images[/]")
    translated = [
        Translated(
            model.name,
            found[model.name],
            any(isinstance(module, nn.Conv2d) for module in model.model.modules()),
            model.config["augment"].get("shift") or 0,
            len(model.data.test),
        )
        for model in models
    ]
    words(console, f"\n{escape(on_translation(translated))}")
    console.line("figure: [bold]{}[/]", shown_path(folder / "shift.png"))


def falling(model: Examined, after_shifts: Callable[[int], object]) -> list[float]:
    """Return the accuracy, from 0 to 1, for a shift of 0, 1, ... pixels, each the mean over all directions.

    Args:
        model: what is measured.
        after_shifts: called with the number of shifts measured.
    """
    found = []
    for pixels in range(MOST + 1):
        directions = around(pixels)
        found.append(sum(accuracy(model, *direction) for direction in directions) / len(directions))
        after_shifts(len(directions))
    return found


def around(pixels: int) -> list[tuple[int, int]]:
    """Return the shifts, down and right, by so many pixels: the eight directions, or none at all."""
    steps = (-pixels, 0, pixels)
    moved = [pair for pair in itertools.product(steps, steps) if pair != (0, 0)]
    return moved or [(0, 0)]


@torch.no_grad()
def accuracy(model: Examined, down: int, right: int) -> float:
    """Return the accuracy, from 0 to 1, on test images that are moved by so many pixels."""
    test, device = model.data.test, model.normalize.mean.device
    correct = 0
    for indices in torch.arange(len(test)).split(BATCH):
        x, y = raised(test.__getitems__(indices.numpy()))
        with model.precision.autocast():
            output = model.model(model.normalize(moved(x.to(device), down, right)))
        correct += int((output.argmax(dim=1) == y.to(device)).sum())
    return correct / len(test)


def moved(x: Tensor, down: int, right: int) -> Tensor:
    """Return images, uint8 (N, C, H, W), moved; what comes in is black."""
    height, width = x.shape[2:]
    border = max(abs(down), abs(right))
    padded = F.pad(x, (border, border, border, border))
    top, left = border - down, border - right
    return padded[:, :, top : top + height, left : left + width]
