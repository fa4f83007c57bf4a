"""What ``cnntrain explain steps`` shows of steps 2 and 3: the tensors on the way forward, and the loss."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from rich.markup import escape
from torch import Tensor, nn

from cnntrain.annotations.regions import IGNORED
from cnntrain.explain.setup import TrainingSetup
from cnntrain.explain.terminal import heading, rows, words
from cnntrain.explain.topics.training.batch_view import TENSOR, facts
from cnntrain.language.translation import tr
from cnntrain.models.hooks import forward_hooks, leaves
from cnntrain.runtime.console import Console
from cnntrain.text import JOIN, printable, together
from cnntrain.training import sentences


@dataclass
class Forward:
    """What a batch becomes on its way: the output of each layer, the logits and the loss."""

    outputs: list[tuple[str, Tensor]]
    logits: Tensor
    loss: Tensor


def run_forward(parts: TrainingSetup, x: Tensor, y: Tensor) -> Forward:
    """Compute the logits and the loss, and note the output of each layer."""
    outputs: list[tuple[str, Tensor]] = []

    def note(name: str, module: nn.Module, args: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            outputs.append((name, output.detach()))

    with forward_hooks(leaves(parts.model), note), parts.precision.autocast():
        logits = parts.model(x)
        loss = parts.criterion(logits, y)
    return Forward(outputs, logits, loss)


def show_forward(console: Console, parts: TrainingSetup, forward: Forward) -> None:
    """Show every tensor on the way from the images to the logits."""
    heading(console, "2", "output = model(x)", tr("forward: what the model makes of the images"))
    lines = []
    for name, output in forward.outputs:
        values = output.float()
        spread = f"{float(values.mean()):.3f} ± {float(values.std()):.3f}"
        lines.append((*facts(name, output), spread, f"{float((output == 0).float().mean()):.0%}"))
    rows(console, (tr("after layer"), *map(tr, TENSOR[1:]), tr("mean ± std"), tr("zeros")), lines)
    of = tr("pixel") if forward.logits.dim() == 4 else tr("image")
    words(
        console,
        tr("The last are the logits: a number for each {of} and class, larger for a likelier class.", of=of),
    )
    if parts.precision.dtype is not None:
        words(
            console,
            tr(
                "precision={name}: layers compute in 16 bits, which is faster here; the "
                "weights keep their 32. With precision=fp32 all is float32.",
                name=parts.precision.name,
            ),
        )


def show_loss(console: Console, parts: TrainingSetup, forward: Forward, y: Tensor) -> None:
    """Show the loss, where it comes from, and what it is for a model that knows nothing."""
    heading(console, "3", "loss = criterion(output, y)", tr("loss: how wrong that is"))
    loss, classes = forward.loss.item(), parts.settings.data.num_classes
    rows(console, [*map(tr, TENSOR)], [facts(tr("loss"), forward.loss)])
    chance = parts.task.chance(parts.criterion)  # known of cross entropy alone
    if chance is None:
        kind = type(parts.criterion).__name__
        words(console, tr("{criterion}: [bold]{loss:.4f}[/], one number.", criterion=kind, loss=loss))
        return
    words(console, on_cross_entropy(parts, forward, y))
    words(
        console,
        tr(
            "A model that knows nothing gives each of {classes} classes 1/{classes}: "
            "−ln(1/{classes}) = ln({classes}) = [bold]{chance:.4f}[/]. ",
            classes=classes,
            chance=math.log(classes),
        )
        + sentences.on_first_loss(loss, chance.loss),
    )


def on_cross_entropy(parts: TrainingSetup, forward: Forward, y: Tensor) -> str:
    """Return how the cross entropy of a batch is computed: for its first image where that is plain."""
    over = (
        tr("{number:,} pixels", number=int((y != IGNORED).sum()))
        if y.dim() == 3
        else tr("{number} images", number=len(y))
    )
    smooth, weight = getattr(parts.criterion, "label_smoothing", 0), getattr(parts.criterion, "weight", None)
    one = None if smooth or weight is not None else of_one(parts, forward, y)
    if one is not None:
        what, first = one
        return tr(
            "softmax turns the logits into probabilities. {what}, gets {first:.4f} for its "
            "own class: −ln{join}{first:.4f} = {log:.4f}. The loss is the mean of that "
            "over {over}: [bold]{loss:.4f}[/].",
            what=what,
            first=first,
            join=JOIN,
            log=-math.log(first),
            over=over,
            loss=forward.loss.item(),
        )
    reasons = {
        tr("mixed images"): y.is_floating_point(),
        tr("label smoothing of {smooth:g}", smooth=smooth): smooth,
        tr("class weights"): weight is not None,
    }
    why = [reason for reason, holds in reasons.items() if holds]
    over = tr("{over}, with {why}", over=over, why=together(why)) if why else over
    return tr(
        "Cross entropy, the mean over {over}: [bold]{loss:.4f}[/].", over=over, loss=forward.loss.item()
    )


def of_one(parts: TrainingSetup, forward: Forward, y: Tensor) -> tuple[str, float] | None:
    """Return an image, or a pixel, in words, and the probability of its class; None without a class."""
    label, logits = y[0], forward.logits[0].detach().float()
    if y.dim() == 3:
        row, column = (side // 2 for side in y.shape[1:])
        label, logits = y[0, row, column], logits[:, row, column]
    if y.is_floating_point() or int(label) == IGNORED:
        return None
    name = escape(printable(parts.data.train.class_names[int(label)]))
    what = (
        tr("The middle pixel of the first image, {name}", name=name)
        if y.dim() == 3
        else tr("The first image, {name}", name=name)
    )
    return what, float(logits.softmax(dim=0)[int(label)])
