"""What ``cnntrain explain steps`` shows of the gradients: backward, the step, and the next zero_grad."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from cnntrain.explain.setup import TrainingSetup
from cnntrain.explain.terminal import heading, rows, words
from cnntrain.explain.topics.training.batch_view import TENSOR, facts
from cnntrain.explain.topics.training.forward_view import run_forward
from cnntrain.language.translation import later, tr
from cnntrain.runtime.console import Console

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


def show_backward(console: Console, parts: TrainingSetup) -> None:
    """Show the gradient that backward has given each parameter."""
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
            "{kind} with lr {lr:g}{factor}. {how} In the middle of a good training run the "
            "ratio is about 1e-3; 1e-1 and more forgets what was learnt, 1e-5 learns nothing.",
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
