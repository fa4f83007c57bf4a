"""``cnntrain explain logits``: logits, softmax, temperature and cross entropy of one image, by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from rich.markup import escape
from torch import Tensor

from cnntrain.data.batches import raise_if_error
from cnntrain.drawing.style import COLOURS, styled
from cnntrain.explain import figures
from cnntrain.explain.setup import ExplainedModel
from cnntrain.explain.terminal import rows, words
from cnntrain.language.translation import tr
from cnntrain.runtime.console import Console
from cnntrain.text import shown_names, shown_path

IMAGES = 200  # test images; the one with the least confident answer is shown
TEMPERATURES = (0.5, 1.0, 2.0, 5.0, 100.0)
MOST = 10  # classes that are shown


def softmax(logits: Sequence[float], temperature: float = 1.0) -> list[float]:
    """Return the probabilities that logits stand for, as ``F.softmax(logits / temperature, 0)`` does.

    The largest logit is subtracted first. That changes nothing, since e to the power of it cancels, and
    keeps exp from overflow.
    """
    largest = max(logits)
    powers = [math.exp((logit - largest) / temperature) for logit in logits]
    total = sum(powers)
    return [power / total for power in powers]


def cross_entropy(logits: Sequence[float], label: int, temperature: float = 1.0) -> float:
    """Return −ln of the softmax of one class, as ``F.cross_entropy`` does.

    That is ln(sum) − (z − max)/T, which stays finite where the probability is too small for a float.
    """
    largest = max(logits)
    total = sum(math.exp((logit - largest) / temperature) for logit in logits)
    return math.log(total) - (logits[label] - largest) / temperature


def logits(model: ExplainedModel, console: Console, folder: Path) -> None:
    """Turn the logits of one test image into probabilities, a loss and a gradient, by hand.

    Args:
        model: a classifier.
        console: the console to print to.
        folder: the folder for the figure.
    """
    images, labels = raise_if_error(
        model.data.test.__getitems__(np.arange(min(IMAGES, len(model.data.test))))
    )
    chosen, outputs = least_sure(model, images)
    label, names = int(labels[chosen]), shown_names(model.data.train.class_names)
    values = outputs.tolist()
    probabilities = softmax(values)
    words(
        console,
        tr(
            "[bold]{model}[/] and a test image of class {label}: among the first {number}, the "
            "one with the least confident answer\n",
            model=escape(model.name),
            label=escape(names[label]),
            number=len(images),
        ),
    )
    show_softmax(console, outputs, label, names)
    show_loss(console, outputs, label, names)
    show_temperatures(console, values, label)
    path = folder / "logits.png"
    image = images[chosen].float().cpu()
    shown = classes_shown(probabilities, label)
    figures.save(drawn(image, values, shown, names), path)
    console.line(tr("figure: [bold]{}[/]"), shown_path(path))


@torch.no_grad()
def least_sure(model: ExplainedModel, images: Tensor) -> tuple[int, Tensor]:
    """Return the image with the two largest logits nearest to each other, and its logits, float64."""
    with model.precision.autocast():
        outputs = model.model(model.normalize(images.to(model.normalize.mean.device)))
    outputs = outputs.double().cpu()
    first, second = outputs.topk(2, dim=1).values.T
    chosen = int((first - second).argmin())
    return chosen, outputs[chosen]


def classes_shown(probabilities: Sequence[float], label: int) -> list[int]:
    """Return the likeliest classes, and that of the image, in their order."""
    shown = sorted(range(len(probabilities)), key=lambda index: -probabilities[index])[:MOST]
    if label not in shown:
        shown[-1] = label
    return sorted(shown)


def show_softmax(console: Console, outputs: Tensor, label: int, names: Sequence[str]) -> None:
    """Show how probabilities come out of logits, and what the gradient of the loss is."""
    values = outputs.tolist()
    probabilities, largest = softmax(values), max(values)
    leaf = outputs.clone().requires_grad_()
    F.cross_entropy(leaf[None], torch.tensor([label])).backward()
    gradient = leaf.grad.tolist() if leaf.grad is not None else []
    lines = []
    for index in classes_shown(probabilities, label):
        is_label = float(index == label)
        lines.append(
            (
                names[index] + (" ←" if is_label else ""),
                f"{values[index]:.4f}",
                f"{math.exp(values[index] - largest):.4f}",
                f"{probabilities[index]:.4f}",
                f"{probabilities[index] - is_label:+.4f}",
                f"{gradient[index]:+.4f}",
            )
        )
    total = sum(math.exp(value - largest) for value in values)
    lines.append(
        (
            tr("sum of all {number}", number=len(values)),
            "",
            f"{total:.4f}",
            f"{sum(probabilities):.4f}",
            "",
            "",
        )
    )
    rows(
        console,
        (tr("class"), tr("logit z"), tr("e^(z − max)"), tr("softmax p"), "p − y", tr(".grad of z")),
        lines,
    )
    furthest = float((torch.tensor(probabilities, dtype=torch.float64) - outputs.softmax(dim=0)).abs().max())
    words(
        console,
        tr(
            "\n"
            "softmax: p = e^(z − max) / sum. It turns any numbers into positive ones that add "
            "up to 1, and keeps their order. torch's softmax differs by at most "
            "{furthest:.0e}. y is 1 for the class of the image and 0 for the others: the "
            "gradient of the loss with respect to the logits is p − y. A step against it pulls "
            "that logit up and pushes the others down.\n",
            furthest=furthest,
        ),
    )


def show_loss(console: Console, outputs: Tensor, label: int, names: Sequence[str]) -> None:
    """Show the cross entropy of the image, by hand and by torch."""
    values = outputs.tolist()
    p, loss = softmax(values)[label], cross_entropy(values, label)
    by_torch = F.cross_entropy(outputs[None], torch.tensor([label])).item()
    chance = len(names)
    words(
        console,
        tr(
            "Cross entropy: −ln p of its own class {label} = −ln {p:.6f} = "
            "[bold]{loss:.6f}[/]. F.cross_entropy takes the logits, not the probabilities: "
            "{by_torch:.6f}. A network that knows nothing has −ln(1/{classes}) = "
            "{chance:.4f}; one that is sure and right has 0, and one that is sure and "
            "wrong has a large loss.\n",
            label=escape(names[label]),
            p=p,
            loss=loss,
            by_torch=by_torch,
            classes=chance,
            chance=math.log(chance),
        ),
    )


def show_temperatures(console: Console, values: Sequence[float], label: int) -> None:
    """Show what dividing the logits by a temperature does."""
    lines = []
    for temperature in TEMPERATURES:
        probabilities = softmax(values, temperature)
        entropy = -sum(p * math.log(p) for p in probabilities if p > 0)
        loss = cross_entropy(values, label, temperature)
        lines.append((f"{temperature:g}", f"{max(probabilities):.4f}", f"{entropy:.4f}", f"{loss:.4f}"))
    rows(
        console,
        (tr("temperature T"), tr("largest p"), tr("entropy of p"), tr("cross entropy")),
        lines,
        left=0,
    )
    words(
        console,
        tr(
            "\n"
            "softmax of z/T: a small T makes the answer more confident, a large one more even "
            "(entropy up to ln({number}) = {log:.4f}). The order stays the same, and so does "
            "the accuracy. The same number added to all logits changes nothing: z + 100 has "
            "the same p.",
            number=len(values),
            log=math.log(len(values)),
        ),
    )


@styled
def drawn(image: Tensor, values: Sequence[float], shown: Sequence[int], names: Sequence[str]) -> Figure:
    """Return an image, its logits, and their softmax at some temperatures.

    Args:
        image: float (C, H, W), from 0 to 255.
        values: the logits.
        shown: the classes that are drawn.
        names: the names of all classes.
    """
    figure = Figure(figsize=(11, 3.2))
    picture, left, *others = figure.subplots(1, 5, width_ratios=[1, 1.2, 1.2, 1.2, 1.2])
    pixels = image[:3] if len(image) >= 3 else image[:1]
    picture.imshow(pixels.permute(1, 2, 0).squeeze(2).numpy() / 255, cmap="gray")
    picture.axis("off")
    ticks = [names[index][:12] for index in shown]
    places = range(len(shown))
    left.barh(places, [values[index] for index in shown], color=COLOURS["curve"])
    left.set_title(tr("logits z"), fontsize=9)
    for axes, temperature in zip(others, (1.0, 2.0, 5.0), strict=True):
        probabilities = softmax(values, temperature)
        axes.barh(places, [probabilities[index] for index in shown], color=COLOURS["mark"])
        name = "softmax(z)" if temperature == 1 else f"softmax(z/{temperature:g})"
        axes.set_title(name, fontsize=9)
        axes.set_xlim(0, 1)
    for axes in (left, *others):
        axes.set_yticks(places, ticks)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
    return figure
