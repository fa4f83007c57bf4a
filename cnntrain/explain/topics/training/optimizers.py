"""``cnntrain explain optimizers``: SGD, momentum, RMSprop and Adam in one valley, and on one network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from rich.markup import escape
from torch import Tensor, optim
from torch.optim import Optimizer

from cnntrain.drawing.style import COLOURS, styled
from cnntrain.explain import figures
from cnntrain.explain.setup import TrainingSetup
from cnntrain.explain.terminal import curves, rows, words
from cnntrain.explain.topics.training.zero_grad import LAST, train_with
from cnntrain.language.translation import tr
from cnntrain.runtime.console import Console
from cnntrain.tasks.scores import TEST
from cnntrain.tasks.scores import Figure as Measured
from cnntrain.text import format_loss, network_name, shown_path

STEEP = 100.0  # curvature of the valley across; along it is 1
START = (-9.0, 1.0)
STEPS = 100
SHOWN_STEPS = (1, 10, 50, 100)  # steps whose losses are shown
NEAR = 0.01  # loss from which a path has arrived
SMOOTH = 20  # batches over which a loss curve is averaged


@dataclass(frozen=True)
class Rule:
    """An optimizer of torch, with what it does at a step.

    Args:
        name: the name as it is shown.
        kind: its class.
        arguments: the arguments of the class, for the valley.
        update: what a step does to a parameter w with the gradient g.
    """

    name: str
    kind: type[Optimizer]
    arguments: Mapping[str, Any]
    update: str


RULES = (
    Rule("SGD", optim.SGD, {"lr": 0.018}, "w ← w − lr·g"),
    Rule("SGD, momentum", optim.SGD, {"lr": 0.018, "momentum": 0.9}, "v ← 0.9·v + g; w ← w − lr·v"),
    Rule("RMSprop", optim.RMSprop, {"lr": 0.1}, "s ← 0.99·s + 0.01·g²; w ← w − lr·g/(√s+ε)"),
    Rule(
        "Adam",
        optim.Adam,
        {"lr": 0.3},
        "m ← 0.9·m + 0.1·g; s ← 0.999·s + 0.001·g²; w ← w − lr·m'/(√s'+ε)",
    ),
)


def valley(w: Tensor) -> Tensor:
    """Return the loss of two parameters, float (..., 2): a valley that is steep across and flat along."""
    along, across = w.unbind(dim=-1)
    return 0.5 * (along**2 + STEEP * across**2)


def path(rule: Rule, steps: int = STEPS) -> Tensor:
    """Let an optimizer of torch go down the valley; return where it was, float64 (steps + 1, 2)."""
    w = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    optimizer = rule.kind([w], **rule.arguments)
    places = [w.detach().clone()]
    for _ in range(steps):
        optimizer.zero_grad()
        valley(w).backward()
        optimizer.step()
        places.append(w.detach().clone())
    return torch.stack(places)


def optimizers(builds: Sequence[Callable[[], TrainingSetup]], console: Console, folder: Path) -> None:
    """Compare optimizers on a loss of two parameters, and on the training of a network.

    Args:
        builds: each puts together a run before its first step; they differ in their optimizers.
        console: the console to print to.
        folder: the folder for the figure.
    """
    words(console, tr("[bold]One step[/]: w is a parameter, g its gradient, ε = 1e-8\n"))
    rows(console, (tr("optimizer"), tr("update")), [(rule.name, rule.update) for rule in RULES], left=2)
    words(
        console,
        tr(
            "\nm' = m / (1 − 0.9^t) and s' = s / (1 − 0.999^t) at step t: m and s begin at "
            "0, and this makes up for it. RMSprop does not: its first step moves each "
            "parameter by lr·g/√(0.01·g²) = 10·lr, whatever g is.\n"
        ),
    )
    paths = {rule.name: path(rule) for rule in RULES}
    show_valley(console, paths)
    losses: dict[str, list[float]] = {}
    lines, model, what = [], "", ""
    for build in builds:
        parts = build()
        score = parts.task.scores.main
        model = network_name(parts.settings.model.node, type(parts.model).__name__)
        what = Measured(TEST, score).words
        name, lr = name_of(parts.optimizer), parts.settings.optim.get("lr")
        losses[name], _, value = train_with(parts, console, name)
        last = losses[name][-LAST:]
        lines.append(
            (
                name,
                tr("its own") if lr is None else f"{lr:g}",
                format_loss(losses[name][0]),
                format_loss(sum(last) / len(last)),
                score.text(value),
            )
        )
    words(console, tr("\n[bold]{model}[/]: the same first weights, the same batches\n", model=escape(model)))
    curves(console, losses, tr("loss of each batch, log scale"), tr("step"))
    console.line()
    rows(
        console,
        (tr("optimizer"), "lr", tr("first loss"), tr("mean of last {number}", number=LAST), what),
        lines,
    )
    words(
        console,
        tr(
            "\nMomentum of 0.9 adds up the last gradients: where they agree, its steps are "
            "1 / (1 − 0.9) = 10 times as long. The learning rate decides as much as the "
            "rule: compare each at its best, and over several seeds, before you choose."
        ),
    )
    there = folder / "optimizers.png"
    figures.save(drawn(paths, losses), there)
    console.line(tr("figure: [bold]{}[/]"), shown_path(there))


def name_of(optimizer: Optimizer) -> str:
    """Return an optimizer's class, and its momentum if it has any."""
    momentum = optimizer.defaults.get("momentum") or 0
    return type(optimizer).__name__ + (tr(", momentum") if momentum else "")


def show_valley(console: Console, paths: Mapping[str, Tensor]) -> None:
    """Show how fast each optimizer goes down the valley."""
    lines = []
    for rule in RULES:
        places = paths[rule.name]
        losses = valley(places)
        first = float((places[1] - places[0]).norm())
        away = (losses >= NEAR).nonzero().flatten()
        arrived = int(away[-1]) + 1
        lines.append(
            (
                rule.name,
                f"{rule.arguments['lr']:g}",
                f"{first:.2f}",
                *(f"{float(losses[step]):.2g}" for step in SHOWN_STEPS),
                f"{arrived}" if arrived <= STEPS else f"> {STEPS}",
            )
        )
    words(
        console,
        tr(
            "[bold]One valley[/]: L(a, b) = ½·(a² + {steep:g}·b²), from a = {a:g}, b = "
            "{b:g} with L = {loss:.4g}\n",
            steep=STEEP,
            a=START[0],
            b=START[1],
            loss=float(valley(torch.tensor(START))),
        ),
    )
    headings = (
        tr("optimizer"),
        "lr",
        tr("1st step"),
        *(tr("L at {step}", step=step) for step in SHOWN_STEPS),
        tr("L < {near:g} at", near=NEAR),
    )
    rows(console, headings, lines)
    words(
        console,
        tr(
            "\nThe gradient of b is {steep:g}·b: SGD jumps from side to side, and diverges "
            "if lr is above 2/{steep:g} = {most:g}, while a goes slowly. Momentum keeps "
            "what gradients agree on. RMSprop and Adam divide each parameter's step by the "
            "size of its own gradients, so both move alike. That helps here because the "
            "valley lies along an axis.",
            steep=STEEP,
            most=2 / STEEP,
        ),
    )


@styled
def drawn(paths: Mapping[str, Tensor], losses: Mapping[str, Sequence[float]]) -> Figure:
    """Return the paths over the contours of the valley, and the loss curves of the network.

    Args:
        paths: float (steps + 1, 2) for each optimizer.
        losses: the losses of each batch, smoothed here.
    """
    figure = Figure(figsize=(11, 7))
    grid = figure.add_gridspec(2, 4, height_ratios=[1, 1.3])
    a, b = torch.linspace(-10.5, 4.5, 151), torch.linspace(-1.6, 1.6, 121)
    heights = valley(torch.stack(torch.meshgrid(a, b, indexing="xy"), dim=-1))
    for column, ((name, places), colour) in enumerate(zip(paths.items(), figures.LINES, strict=True)):
        axes = figure.add_subplot(grid[0, column])
        levels = [0.05, 0.5, 2, 8, 20, 45, 80, 130, 200]
        axes.contour(a.numpy(), b.numpy(), heights.numpy(), levels, colors=COLOURS["line"], linewidths=0.8)
        axes.plot(*places.T.numpy(), "o-", color=colour, markersize=2.5, linewidth=1)
        axes.plot(0, 0, "+", color="black")
        axes.set(title=name, xlim=(-10.5, 4.5), ylim=(-1.6, 1.6), xlabel="a", ylabel="" if column else "b")
        axes.grid(visible=False)
    axes = figure.add_subplot(grid[1, :])
    colours = dict(zip(paths, figures.LINES, strict=True))
    for name, values in losses.items():
        known = torch.tensor(values, dtype=torch.float64)
        width = min(SMOOTH, len(known))
        smooth = known.unfold(0, width, 1).mean(dim=1).numpy()
        axes.plot(range(width, len(known) + 1), smooth, color=colours.get(name), label=name, linewidth=1.2)
    axes.set(xlabel=tr("step"), ylabel=tr("loss, mean of {number} batches", number=SMOOTH), yscale="log")
    axes.legend()
    return figure
