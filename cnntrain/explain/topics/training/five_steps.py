"""``cnntrain explain steps``: one real batch through the five steps, and what each of them does."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import torch
from rich.markup import escape
from torch import Tensor, nn

from cnntrain.annotations.regions import IGNORED
from cnntrain.explain.setup import TrainingSetup
from cnntrain.explain.terminal import heading, rows, words
from cnntrain.explain.topics.training.batch_view import TENSOR, facts, show_batch, show_model
from cnntrain.language.translation import later, tr
from cnntrain.models.hooks import forward_hooks, leaves
from cnntrain.runtime.console import Console
from cnntrain.runtime.rng import random_state, set_random_state
from cnntrain.text import JOIN, printable, together
from cnntrain.training import sentences

HOW = {
    "SGD": later(
        "SGD subtracts lr · gradient; momentum adds what is left of the steps before, and there are none yet."
    ),
    "Adam": later(
        "{kind} divides each gradient by its own running size. At the first step that is "
        "the gradient itself, so every number that has one moves by lr, up or down; "
        "later steps are shorter."
    ),
    "RMSprop": later(
        "{kind} divides each gradient by its own running size, so it moves as far in "
        "flat directions as in steep ones. Its first steps are the longest, since that "
        "size begins at 0."
    ),
}
HOW["AdamW"] = HOW["Adam"]


@dataclass
class Forward:
    """What a batch becomes on its way: the output of each layer, the logits and the loss."""

    outputs: list[tuple[str, Tensor]]
    logits: Tensor
    loss: Tensor


def five_steps(build: Callable[[], TrainingSetup], console: Console) -> None:
    """Take the first batch of the first epoch through the five steps and show what each does.

    Args:
        build: puts together a run before its first step.
        console: where to.
    """
    parts = build()
    parts.model.train()
    with closing(parts.batches):
        batches = parts.epoch(0)
        x, y = next(batches)
        following = next(batches, (x, y))
    show_batch(console, parts, x, y)
    show_model(console, parts.settings.model)

    heading(console, "1", "optimizer.zero_grad()", tr("reset the gradients of the batch before"))
    words(console, tr("There is no batch before: the [bold].grad[/] of every parameter is None."))
    parts.optimizer.zero_grad()

    state = random_state()  # so that dropout switches off the same units when the loss is computed again
    forward = run_forward(parts, x, y)
    show_forward(console, parts, forward)
    show_loss(console, parts, forward, y)

    parts.precision.scale(forward.loss, share=1.0).backward()
    parts.precision.scaler.unscale_(parts.optimizer)
    show_backward(console, parts)

    show_step(console, parts)
    set_random_state(state)
    after = run_forward(parts, x, y).loss.item()
    before = forward.loss.item()
    verdict = sentences.on_step(before, after, type(parts.optimizer).__name__)
    colour = "green" if after < before else "yellow"
    words(
        console,
        tr(
            "Loss on the same batch: {before:.4f} before the step, [bold]{after:.4f}[/] "
            "after it: [{colour}]{verdict}[/].",
            before=before,
            after=after,
            colour=colour,
            verdict=verdict,
        ),
    )
    show_next(console, parts, *following)


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
        tr("The last are the logits: a number for each {of} and class, larger where it is likelier.", of=of),
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
    loss, classes = forward.loss, parts.settings.data.num_classes
    rows(console, [*map(tr, TENSOR)], [facts(tr("loss"), loss)])
    chance = parts.task.chance(parts.criterion)  # known of cross entropy alone
    if chance is None:
        words(
            console,
            tr(
                "{criterion}: [bold]{loss:.4f}[/], one number.",
                criterion=type(parts.criterion).__name__,
                loss=loss.item(),
            ),
        )
        return
    over = (
        tr("{number:,} pixels", number=int((y != IGNORED).sum()))
        if y.dim() == 3
        else tr("{number} images", number=len(y))
    )
    smooth, weight = getattr(parts.criterion, "label_smoothing", 0), getattr(parts.criterion, "weight", None)
    one = None if smooth or weight is not None else of_one(parts, forward, y)
    if one is not None:
        what, first = one
        words(
            console,
            tr(
                "softmax makes probabilities of the logits. {what}, gets {first:.4f} for its "
                "own class: −ln{join}{first:.4f} = {log:.4f}. The loss is the mean of that "
                "over {over}: [bold]{loss:.4f}[/].",
                what=what,
                first=first,
                join=JOIN,
                log=-math.log(first),
                over=over,
                loss=loss.item(),
            ),
        )
    else:
        reasons = {
            tr("mixed images"): y.is_floating_point(),
            tr("label smoothing of {smooth:g}", smooth=smooth): smooth,
        }
        reasons[tr("class weights")] = weight is not None
        why = [reason for reason, holds in reasons.items() if holds]
        over = tr("{over}, with {why}", over=over, why=together(why)) if why else over
        words(
            console,
            tr("Cross entropy, the mean over {over}: [bold]{loss:.4f}[/].", over=over, loss=loss.item()),
        )
    words(
        console,
        tr(
            "A model that knows nothing gives each of {classes} classes 1/{classes}: "
            "−ln(1/{classes}) = ln({classes}) = [bold]{chance:.4f}[/]. ",
            classes=classes,
            chance=math.log(classes),
        )
        + sentences.on_first_loss(loss.item(), chance.loss),
    )


def of_one(parts: TrainingSetup, forward: Forward, y: Tensor) -> tuple[str, float] | None:
    """Return an image, or a pixel, in words, and the probability of its class; None if it has not one."""
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


def show_backward(console: Console, parts: TrainingSetup) -> None:
    """Show the gradient that backward has put into each parameter."""
    heading(console, "4", "loss.backward()", tr("backward: how the loss depends on each parameter"))
    named = list(parts.model.named_parameters())
    lines = []
    for name, parameter in named:
        gradient = parameter.grad
        if gradient is None:
            lines.append((*facts(f"{name}", parameter), norm(parameter), "None"))
        else:
            lines.append((*facts(f"{name}", gradient), norm(parameter), norm(gradient)))
    rows(console, (tr("parameter"), *map(tr, TENSOR[1:]), tr("‖weight‖"), tr("‖.grad‖")), lines)
    gradients = [p.grad for _, p in named if p.grad is not None]
    total = float(nn.utils.get_total_norm(gradients))
    words(
        console,
        tr(
            "Each .grad has the shape of its parameter: by how much the loss rises if that "
            "number rises a little. All of them together are {total:.4g} long (the root of "
            "the sum of squares).",
            total=total,
        ),
    )
    longest = parts.settings.grad_clip
    if longest is not None:
        nn.utils.clip_grad_norm_(parts.model.parameters(), longest)
        factor = min(1.0, longest / max(total, 1e-12))
        words(
            console,
            tr("grad_clip={longest:g}: all are multiplied by {factor:.4g}.", longest=longest, factor=factor),
        )


def norm(tensor: Tensor) -> str:
    """Return the L2 norm of a tensor in words."""
    return f"{float(tensor.detach().float().norm()):.4g}"


def show_step(console: Console, parts: TrainingSetup) -> None:
    """Take the step, and show how far each parameter moved, beside how large it is."""
    optimizer = parts.optimizer
    heading(console, "5", "optimizer.step()", tr("step: update the parameters"))
    before = {name: p.detach().clone() for name, p in parts.model.named_parameters()}
    lr, own = float(optimizer.param_groups[0]["lr"]), parts.settings.optim.get("lr")
    parts.precision.wrap(optimizer).step()
    lines = []
    for name, parameter in parts.model.named_parameters():
        update = (parameter.detach() - before[name]).norm()
        size = before[name].norm()
        ratio = f"{float(update / size):.2e}" if float(size) else "–"
        lines.append((name, norm(before[name]), f"{float(update):.4g}", ratio))
    rows(console, (tr("parameter"), tr("‖weight‖"), tr("‖update‖"), tr("update / weight")), lines)
    kind = type(optimizer).__name__
    factor = (
        tr(" = {own:g} · {share:.3g} of the schedule", own=own, share=lr / own)
        if own and not math.isclose(lr, own)
        else ""
    )
    words(
        console,
        tr(
            "{kind} with lr {lr:g}{factor}. {how} In the middle of a good training the "
            "ratio is about 1e-3; 1e-1 and more forgets what was learnt, 1e-5 learns "
            "nothing.",
            kind=kind,
            lr=lr,
            factor=factor,
            how=tr(HOW[kind], kind=kind) if kind in HOW else "",
        ),
    )


def show_next(console: Console, parts: TrainingSetup, x: Tensor, y: Tensor) -> None:
    """Show what ``zero_grad`` of the next batch clears, and what would happen without it."""
    heading(console, "1", "optimizer.zero_grad()", tr("again, for the next batch"))
    named = [(name, p) for name, p in parts.model.named_parameters() if p.grad is not None]
    left = {name: gradient_of(p) for name, p in named}
    parts.optimizer.zero_grad()
    cleared = {name: "None" if p.grad is None else norm(p.grad) for name, p in named}
    run_forward(parts, x, y).loss.backward()
    own = {name: gradient_of(p) for name, p in named}
    lines = [
        (name, norm(left[name]), cleared[name], norm(own[name]), norm(left[name] + own[name]))
        for name, _ in named
    ]
    headings = (tr("‖.grad‖ of parameter"), tr("before"), tr("after"), tr("next batch's"), tr("sum of both"))
    rows(console, headings, lines)
    first, second = torch.cat(list(left.values())), torch.cat(list(own.values()))
    both = first + second
    cosine = float(both @ second / (both.norm() * second.norm()).clamp(min=1e-12))
    angle = math.degrees(math.acos(max(-1.0, min(1.0, cosine))))
    words(
        console,
        tr(
            "backward adds to what .grad holds. Without zero_grad the next step would go "
            "along the sum of both gradients: {both:.4g} long, where the next batch's own "
            "is {second:.4g}, and {angle:.0f}° off its direction; further off with every "
            "batch.",
            both=float(both.norm()),
            second=float(second.norm()),
            angle=angle,
        ),
    )
    words(
        console, tr("\n[dim]read the loop: cnntrain/loop.py;  see it happen: cnntrain explain zero_grad[/]")
    )


def gradient_of(parameter: nn.Parameter) -> Tensor:
    """Return a copy of a parameter's gradient as a vector, float32; zeros if it has none."""
    gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    return gradient.detach().float().flatten().clone()
