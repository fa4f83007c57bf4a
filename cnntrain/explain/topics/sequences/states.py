"""``cnntrain explain states``: what a recurrent network holds, and believes, row by row of an image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.markup import escape
from torch import Tensor

from cnntrain.data.batches import raise_if_error
from cnntrain.drawing.style import styled
from cnntrain.explain import figures
from cnntrain.explain.setup import ExplainedModel
from cnntrain.explain.terminal import rows, words
from cnntrain.explain.topics.sequences import sentences
from cnntrain.language.translation import later, tr
from cnntrain.models.sequences.unrolled import Step, unroll
from cnntrain.runtime.console import Console
from cnntrain.tasks.collector import evenly
from cnntrain.text import shown_names, shown_path

IMAGES = 100  # test images; one is looked at
MOST_STEPS = 28  # that are text
NAMED = 0.25  # probability from which a class is named in the figure
PARTS = {  # of a step
    "state": later("state"),
    "cell": later("cell"),
    "forget": later("forget"),
    "input": later("input"),
    "output": later("output"),
    "reset": later("reset"),
    "update": later("update"),
}
SIGNED = ("state", "cell")  # parts of a step that are positive or negative; the others are gates, from 0 to 1


@torch.no_grad()
def states(model: ExplainedModel, console: Console, folder: Path) -> None:
    """Follow one image through a recurrent network: its state, its gates, and what it would answer.

    Args:
        model: an RNN, LSTM or GRU.
        console: the console to print to.
        folder: the folder for the figure.
    """
    net: Any = model.model
    images, labels = raise_if_error(
        model.data.test.__getitems__(np.arange(min(IMAGES, len(model.data.test))))
    )
    device = model.normalize.mean.device
    x = model.normalize(images.to(device))
    steps = [place + 1 for place in evenly(MOST_STEPS, net.steps).tolist()]
    beliefs = net.answers_after(x, steps).softmax(dim=2).float().cpu()
    chosen = most_changing(beliefs, labels.cpu())
    belief, names = beliefs[chosen], shown_names(model.data.train.class_names)
    sequence = net.reader(x[chosen : chosen + 1])
    done = [{name: part[0].cpu() for name, part in step.items()} for step in unroll(net.rnn, sequence).steps]
    of_step = sentences.one_of(net.of_step)
    words(
        console,
        tr(
            "[bold]{model}[/] reads a test image of class {label}, {part} by {part}: among the "
            "first {images}, the one on which the belief changes most\n",
            model=escape(model.name),
            label=escape(names[int(labels[chosen])]),
            part=of_step,
            images=len(images),
        ),
    )
    show_steps(console, of_step, steps, belief, names, done)
    text = sentences.on_belief(
        of_step, steps, belief.argmax(dim=1).tolist(), belief.amax(dim=1).tolist(), names
    )
    gates = sorted(set(done[0]) - set(SIGNED))
    about = (
        tr(
            " {gates}: means of the gates, from 0, closed, to 1, open.",
            gates=", ".join(tr(PARTS[gate]) for gate in gates),
        )
        if gates
        else ""
    )
    words(
        console,
        tr(
            "\n‖h‖: the length of the state of {number} numbers.{about} {text}",
            number=len(done[0]["state"]),
            about=about,
            text=text,
        ),
    )
    path = folder / "states.png"
    drawn = figure_of(sequence[0].cpu(), done, steps, belief, names, of_step)
    figures.save(drawn, path)
    console.line(tr("figure: [bold]{}[/]"), shown_path(path))


def most_changing(beliefs: Tensor, labels: Tensor) -> int:
    """Return the image on which the answer changes most often, of those that are right in the end, if any.

    Args:
        beliefs: probabilities, float (N, steps, classes).
        labels: classes, int64 (N,).
    """
    answers = beliefs.argmax(dim=2)
    changes = (answers[:, 1:] != answers[:, :-1]).sum(dim=1)
    return int((changes + beliefs.shape[1] * (answers[:, -1] == labels)).argmax())


def show_steps(
    console: Console,
    of_step: str,
    steps: Sequence[int],
    belief: Tensor,
    names: Sequence[str],
    done: Sequence[Step],
) -> None:
    """Show the two likeliest classes after each step, the size of the state, and how open the gates are."""
    gates = sorted(set(done[0]) - set(SIGNED))
    lines = []
    for step, shares in zip(steps, belief, strict=True):
        best = shares.topk(min(2, len(shares)))
        guesses = [
            f"{names[label]} {share:.0%}"
            for label, share in zip(*map(list, (best.indices, best.values)), strict=True)
        ]
        now = done[step - 1]
        means = [f"{float(now[gate].mean()):.2f}" for gate in gates]
        lines.append((f"{step}", guesses[0], guesses[-1], f"{float(now['state'].norm()):.2f}", *means))
    rows(console, (of_step, tr("belief"), tr("second"), "‖h‖", *(tr(PARTS[gate]) for gate in gates)), lines)


@styled
def figure_of(
    sequence: Tensor,
    done: Sequence[Step],
    steps: Sequence[int],
    belief: Tensor,
    names: Sequence[str],
    of_step: str,
) -> Figure:
    """Return what is read, believed and held, side by side; each line is a step, the first at the top.

    Args:
        sequence: float (T, F).
        done: the parts of each step, float (H,) each.
        steps: the steps after which the belief is known.
        belief: probabilities, float (len(steps), classes).
        names: the names of the classes.
        of_step: what a step is.
    """
    parts = {name: torch.stack([step[name] for step in done]) for name in done[0]}
    order = parts["state"].abs().argmax(dim=0).argsort(stable=True)  # by the step at which a unit is largest
    drawn = Figure(figsize=(3.6 + 1.9 * len(parts) + 1.2, 5))
    read, said, *held = drawn.subplots(
        1, 2 + len(parts), sharey=True, width_ratios=[1.5, 1.5, *[1.2] * len(parts)]
    )
    extent = (0, sequence.shape[1], len(sequence), 0)
    read.imshow(sequence.numpy(), cmap="gray", aspect="auto", extent=extent, interpolation="none")
    read.set(title=tr("what is read"), ylabel=of_step, xlabel=tr("values"))
    draw_belief(said, steps, belief, names)
    for axes, (name, values) in zip(held, parts.items(), strict=True):
        draw_part(axes, name, values[:, order])
    for axes in (read, said, *held):
        axes.grid(visible=False)
    return drawn


def draw_belief(axes: Axes, steps: Sequence[int], belief: Tensor, names: Sequence[str]) -> None:
    """Draw the probabilities of the classes after some steps, float (len(steps), classes), side by side."""
    edges = torch.cat([torch.zeros(len(belief), 1), belief.cumsum(dim=1)], dim=1).T
    for label in belief.amax(dim=0).gt(NAMED).nonzero().flatten().tolist():
        at = int(belief[:, label].argmax())
        middle = float(edges[label : label + 2, at].mean())
        axes.text(middle, steps[at] - 0.5, names[label], ha="center", va="center", color="white", fontsize=9)
    for label in range(len(names)):
        left, right = edges[label].numpy(), edges[label + 1].numpy()
        axes.fill_betweenx(steps, left, right, step="pre", color=f"C{label % 10}", linewidth=0)
    axes.set(title=tr("belief"), xlim=(0, 1), xlabel=tr("probability"))


def draw_part(axes: Axes, name: str, values: Tensor) -> None:
    """Draw the state, the cell or a gate after each step, float (T, H)."""
    limit = float(values.abs().max()) or 1.0
    low, high, colours = (-limit, limit, "RdBu_r") if name in SIGNED else (0.0, 1.0, "viridis")
    kind = tr(PARTS[name]) if name in SIGNED else tr("{gate} gate", gate=tr(PARTS[name]))
    extent = (0, values.shape[1], len(values), 0)
    axes.imshow(
        values.numpy(),
        cmap=colours,
        vmin=low,
        vmax=high,
        aspect="auto",
        extent=extent,
        interpolation="none",
    )
    axes.set(title=tr("{kind}\n{low:.2g} to {high:.2g}", kind=kind, low=low, high=high), xlabel=tr("units"))
