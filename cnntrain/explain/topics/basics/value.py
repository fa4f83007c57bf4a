"""``cnntrain explain value``: autograd with single numbers, and how much slower than torch it is."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from cnntrain.drawing.style import COLOURS, canvas, styled
from cnntrain.explain import figures
from cnntrain.explain.terminal import rows, words
from cnntrain.explain.value import Value, ordered
from cnntrain.language.translation import later, tr, tr_count
from cnntrain.models import MLP
from cnntrain.runtime.console import Console
from cnntrain.text import shown_path

INPUTS, TARGET = (2.0, -1.0), 0.5
WEIGHTS = {"w1": 0.5, "w2": -0.25, "b1": 0.1, "v": 1.5, "b2": -0.3}
SIDE = 2048  # of the matrices whose product is timed
BATCH = 256  # images of a step of the network that is timed
SECONDS = 0.5  # of each timing
SECONDS_OF_GARBAGE = 0.1  # of work, after which Python collects what it left
PIXELS, HIDDEN, CLASSES = 784, 128, 10


def value(console: Console, folder: Path) -> None:
    """Compute a small network by scalars and by torch, and measure how fast both are.

    Args:
        console: the console to print to.
        folder: the folder for the figure.
    """
    loss, named = small_network({name: Value(number) for name, number in WEIGHTS.items()})
    loss.backward()
    tensors = {name: torch.tensor(w, dtype=torch.float64, requires_grad=True) for name, w in WEIGHTS.items()}
    of_torch, _ = small_network(tensors)
    of_torch.backward()
    words(
        console,
        tr(
            "[bold]One neuron with tanh, and one after it[/]: "
            "loss = (v·tanh(w1·x1 + w2·x2 + b1) + (b2 − y))²\n"
        ),
    )
    gradients = {name: (named[name].grad, float(tensors[name].grad)) for name in WEIGHTS}  # type: ignore[arg-type]
    lines = [
        (name, f"{WEIGHTS[name]:g}", f"{mine:.12f}", f"{its:.12f}") for name, (mine, its) in gradients.items()
    ]
    rows(console, (tr("parameter"), tr("data"), tr("grad of Value"), tr(".grad of torch")), lines)
    furthest = max(abs(mine - its) for mine, its in gradients.values())
    words(
        console,
        tr(
            "The loss is {loss:.6f}, and torch's {theirs:.6f}. The gradients differ by at most "
            "{furthest:.0e}: both walk the same graph backwards. Value is a class of about 80 "
            "lines, cnntrain/explain/value.py.\n",
            loss=loss.data,
            theirs=of_torch.item(),
            furthest=furthest,
        ),
    )
    path = folder / "value.png"
    figures.save(drawn(loss, named), path)
    compare_speed(console)
    graph = tr_count(len(ordered(loss)), "the graph of {number:,} value", "the graph of {number:,} values")
    console.line(tr("figure: [bold]{}[/]: {}"), shown_path(path), graph)


def small_network(p: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the loss of a network of two neurons on one example, by values or by tensors.

    Args:
        p: the parameters, by the names in ``WEIGHTS``.

    Returns:
        The loss, and all that has a name, the parameters among it.
    """
    of = type(p["v"]) if isinstance(p["v"], Value) else torch.tensor
    x1, x2, y = (of(number) for number in (*INPUTS, TARGET))
    hidden = (p["w1"] * x1 + p["w2"] * x2 + p["b1"]).tanh()
    error = p["v"] * hidden + (p["b2"] - y)
    return error * error, {**p, "x1": x1, "x2": x2, "y": y, "h": hidden, later("error"): error}


@styled
def drawn(loss: Value, named: dict[str, Value]) -> Figure:
    """Return the graph of a result: inputs on the left; each box holds data, and the gradient below it."""
    names = {id(value): tr(name) for name, value in named.items()} | {id(loss): tr("loss")}
    order = ordered(loss)
    depth = {id(loss): 0}  # steps before the loss; a value stands right before the first that uses it
    for one in reversed(order):
        for part in one.inputs:
            depth[id(part)] = max(depth.get(id(part), 0), depth[id(one)] + 1)
    columns: dict[int, list[Value]] = {}
    for one in order:
        columns.setdefault(-depth[id(one)], []).append(one)
    place = {
        id(one): (float(at), (len(column) - 1) / 2 - row)
        for at, column in columns.items()
        for row, one in enumerate(column)
    }
    figure, axes = canvas(size=(13, 5.2))
    number = tr("number")
    for one in order:
        x, y = place[id(one)]
        for part in one.inputs:
            axes.annotate(
                "",
                (x - 0.29, y),
                (place[id(part)][0] + 0.29, place[id(part)][1]),
                arrowprops={"arrowstyle": "-|>", "color": COLOURS["dim"], "linewidth": 0.8},
            )
        title = " = ".join(filter(None, (names.get(id(one), ""), one.operation)))
        axes.text(
            x,
            y,
            f"{title or number}\ndata {one.data:.3f}\ngrad {one.grad:.3f}",
            ha="center",
            va="center",
            fontsize=8.5,
            color="black",
            linespacing=1.35,
            bbox={
                "boxstyle": "round,pad=0.35",
                "facecolor": "#eef3f9" if one.inputs else "#fdf0e7",
                "edgecolor": COLOURS["curve"] if one.inputs else COLOURS["mark"],
            },
        )
    heights = [y for _, y in place.values()]
    axes.set(xlim=(min(columns) - 0.6, max(columns) + 0.6), ylim=(min(heights) - 0.6, max(heights) + 0.6))
    axes.axis("off")
    axes.set_title(tr("forward: from left to right; backward: grad, from right to left"), fontsize=10)
    return figure


def compare_speed(console: Console) -> None:
    """Measure operations per second, and images per second of a training step, by values and by torch."""
    a, b = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE)
    gc.freeze()  # what is there already, which would be looked through in each collection
    try:
        single, product = rate(some_operations), rate(lambda: operations_of_product(a, b))
        by_values, by_tensors = rate(step_of_values()), rate(step_of_torch())
    finally:
        gc.unfreeze()
    sizes = f"{PIXELS}-{HIDDEN}-{CLASSES}"
    mlp = tr("MLP {sizes}, forward and backward", sizes=sizes)
    rows(
        console,
        (tr("per second"), "Value", "torch", tr("factor")),
        [
            (tr("operations (×, +)"), f"{single:,.0f}", f"{product:,.0f}", f"{product / single:,.0f}"),
            (
                mlp,
                tr("{number} images", number=f"{by_values:,.2f}"),
                tr("{number} images", number=f"{by_tensors:,.0f}"),
                f"{by_tensors / by_values:,.0f}",
            ),
        ],
    )
    words(
        console,
        tr(
            "\nTorch multiplies whole matrices in one call to compiled code (here {side}×{side} with "
            "{threads}, and {batch} images at a time). Each operation of Value is "
            "an object and a function of Python.",
            side=SIDE,
            threads=tr_count(torch.get_num_threads(), "{number:,} thread", "{number:,} threads"),
            batch=BATCH,
        ),
    )


def rate(work: Callable[[], int]) -> float:
    """Return how much per second some work does that returns how much it did.

    Python collects garbage between two calls, and that time is not counted: within a call it would look
    through all the values of a graph again and again.
    """
    done, spent, collected = 0, 0.0, -1.0
    while not done or spent < SECONDS:
        if spent > collected + SECONDS_OF_GARBAGE:
            gc.collect()
            collected = spent
        gc.disable()
        begin = time.perf_counter()
        try:
            done += work()
        finally:
            gc.enable()
        spent += time.perf_counter() - begin
    return done / spent


def some_operations(number: int = 20_000) -> int:
    """Multiply and add single values; return the number of operations."""
    total, factor = Value(0.0), Value(0.5)
    for _ in range(number // 2):
        total = Value(total.data) * factor + 1.0  # a fresh value, so that the graph does not grow
    return number


def operations_of_product(a: Tensor, b: Tensor) -> int:
    """Multiply two square matrices; return the number of multiplications and additions."""
    torch.mm(a, b)
    return 2 * len(a) ** 3


def step_of_values() -> Callable[[], int]:
    """Return what takes one image through an MLP of single values, and the gradient back."""
    draw = random.Random(0)
    sizes = (PIXELS, HIDDEN, CLASSES)
    first, second = (
        [[Value(draw.uniform(-0.05, 0.05)) for _ in range(inputs)] for _ in range(units)]
        for inputs, units in pairwise(sizes)
    )
    pixels = [Value(draw.random()) for _ in range(PIXELS)]

    def step() -> int:
        hidden = [dot(weights, pixels).relu() for weights in first]
        loss = Value(0.0)
        for weights in second:
            output = dot(weights, hidden)
            loss = loss + output * output
        loss.backward()
        return 1

    return step


def dot(weights: Sequence[Value], inputs: Sequence[Value]) -> Value:
    """Return the sum of products."""
    total = Value(0.0)
    for weight, one in zip(weights, inputs, strict=True):
        total = total + weight * one
    return total


def step_of_torch() -> Callable[[], int]:
    """Return the same for a batch of images: a function that returns the number of images."""
    model, criterion = MLP(PIXELS, HIDDEN, CLASSES), nn.MSELoss(reduction="sum")
    x, y = torch.rand(BATCH, PIXELS), torch.zeros(BATCH, CLASSES)

    def step() -> int:
        criterion(model(x), y).backward()
        return BATCH

    step()  # torch prepares much in its first call
    return step
