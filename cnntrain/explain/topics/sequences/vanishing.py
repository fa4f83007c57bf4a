"""``cnntrain explain vanishing``: how much of the gradient reaches the first steps of a sequence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from cnntrain.data.batches import raise_if_error
from cnntrain.explain import figures
from cnntrain.explain.setup import TrainingSetup, train
from cnntrain.explain.terminal import curves, rows, words
from cnntrain.explain.topics.sequences import sentences
from cnntrain.language.translation import later, tr
from cnntrain.models.sequences.unrolled import unroll
from cnntrain.runtime.console import Console
from cnntrain.text import network_name, shown_path

IMAGES = 64
PARTS = {"state": "h", "cell": "c"}  # of a step, and their names in formulas
BEFORE, AFTER = later("before training"), later("after training")

Norms = dict[str, list[float]]  # of each network and part, for each step


def vanishing(builds: Sequence[Callable[[], TrainingSetup]], console: Console, folder: Path) -> None:
    """Measure the gradient at each step of a sequence, before and after training, and draw it.

    Args:
        builds: each puts together the run of a recurrent network before its first step.
        console: the console to print to.
        folder: the folder for the figure.
    """
    found: dict[str, Norms] = {BEFORE: {}, AFTER: {}}
    of_step = ""
    for build in builds:
        parts = build()
        name, of_step = network_name(parts.settings.model.node, type(parts.model).__name__), steps_of(parts)
        found[BEFORE] |= norms(parts, name)
        train(parts, parts.precision.wrap(parts.optimizer), console, name)
        found[AFTER] |= norms(parts, name)
    show_norms(console, found, of_step)
    path = folder / "vanishing.png"
    drawn = {tr("gradient norm {when}", when=tr(when)): named for when, named in found.items()}
    figures.save(
        figures.logarithmic(drawn, tr("{parts} read", parts=sentences.parts(of_step)), same_scale=True), path
    )
    console.line(tr("figure: [bold]{}[/]"), shown_path(path))


def show_norms(console: Console, found: Mapping[str, Norms], of_step: str) -> None:
    """Show the norms before and after training as curves and as a table, and what follows from them.

    Args:
        console: the console to print to.
        found: the norms before and after training.
        of_step: what the steps are, in the plural.
    """
    words(
        console,
        tr(
            "[bold]The gradient through time[/]: the loss L at the end, its gradient with "
            "respect to the state after each of the earlier {parts}, mean norm over {images} "
            "test images\n",
            parts=sentences.parts(of_step),
            images=IMAGES,
        ),
    )
    curves(
        console,
        found[BEFORE],
        tr("gradient norm {when}, log scale", when=tr(BEFORE)),
        sentences.one_of(of_step),
    )
    console.line()
    lines = [
        (
            name,
            tr(when),
            f"{values[0]:.1e}",
            f"{values[len(values) // 2]:.1e}",
            f"{values[-1]:.1e}",
            kept(values),
        )
        for when, named in found.items()
        for name, values in named.items()
    ]
    headings = (tr("norm of"), "", tr("first"), tr("middle"), tr("last"), tr("a step back: times"))
    rows(console, headings, lines, left=2)
    words(
        console,
        tr(
            "\nThe chain rule multiplies by one more matrix for each step back. Where that "
            "shrinks the gradient, the first {parts} hardly change the weights. h is the "
            "state; c is the cell of an LSTM, which is multiplied by its forget gate "
            "alone. ",
            parts=sentences.parts(of_step),
        )
        + sentences.on_vanishing(found[BEFORE], found[AFTER]),
    )


def steps_of(parts: TrainingSetup) -> str:
    """Return what the steps of a recurrent network are, in the plural."""
    model: Any = parts.model
    return str(model.of_step)


def norms(parts: TrainingSetup, name: str) -> Norms:
    """Return the norm of the gradient with respect to the state, and to the cell of an LSTM, at each step.

    The loss is each image's own cross entropy; the norms are means over the images.
    """
    model: Any = parts.model.eval()
    test = parts.data.test
    images, labels = raise_if_error(test.__getitems__(np.arange(min(IMAGES, len(test)))))
    x = parts.normalize(images.to(parts.device))
    done = unroll(model.rnn, model.reader(x))
    loss = F.cross_entropy(model.answer(done.states), labels.to(parts.device), reduction="sum")
    found = {}
    for part, letter in PARTS.items():
        values = [step[part] for step in done.steps if part in step]
        if values:
            gradients = torch.stack(torch.autograd.grad(loss, values, retain_graph=True))  # (T, N, H)
            found[f"{name}, dL/d{letter}"] = gradients.norm(dim=2).mean(dim=1).tolist()
    return found


def kept(values: Sequence[float]) -> str:
    """Return the factor by which a step back multiplies the gradient, the geometric mean."""
    factor = sentences.factor_of(values)
    return "–" if factor is None else f"{factor:.2f}"
