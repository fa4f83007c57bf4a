"""``cnntrain explain tensors``: scalar, vector, matrix, batch and images, and where gradients appear."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from cnntrain.drawing.style import styled
from cnntrain.errors import UserError
from cnntrain.explain import figures
from cnntrain.explain.setup import TrainingSetup
from cnntrain.explain.terminal import rows, words
from cnntrain.language.translation import tr
from cnntrain.runtime.console import Console, format_bytes
from cnntrain.text import shown_path

LARGE = (128, 3, 224, 224)  # a batch of photographs
MOST = 32  # rows and columns of a tensor that are drawn


def tensors(build: Callable[[], TrainingSetup], console: Console, folder: Path) -> None:
    """Show the tensors of one step by their number of dimensions, and what autograd keeps of each.

    Args:
        build: puts together a run before its first step.
        console: the console to print to.
        folder: the folder for the figure.

    Raises:
        UserError: the model has no linear layer, whose weights are a matrix.
    """
    parts = build()
    linear = [module for module in parts.model.modules() if isinstance(module, nn.Linear)]
    if not linear or linear[-1].bias is None:
        raise UserError(f"{type(parts.model).__name__} has no linear layer with a bias to show")
    parts.model.train()
    x, y = next(parts.epoch(0))
    with parts.precision.autocast():
        loss = parts.criterion(parts.model(x), y)
    named = {
        tr("scalar: the loss"): loss,
        tr("vector: a bias"): linear[-1].bias,
        tr("matrix: weights"): linear[-1].weight,
        tr("batch: flattened images"): x.flatten(1),
        tr("images"): x,
        tr("the same, colours last"): x.permute(0, 2, 3, 1),
    }
    show_shapes(console, named)
    show_gradients(console, {name: named[name] for name in list(named)[:4]}, loss)
    size = math.prod(LARGE)
    words(
        console,
        tr(
            "\nA batch of photographs, {shape}, holds {factors} = {size:,} numbers: {as_bytes} "
            "as bytes, {as_floats} as float32.",
            shape=list(LARGE),
            factors="·".join(map(str, LARGE)),
            size=size,
            as_bytes=format_bytes(size),
            as_floats=format_bytes(4 * size),
        ),
    )
    path = folder / "tensors.png"
    figures.save(drawn({name: t.detach().float().cpu() for name, t in list(named.items())[:5]}), path)
    console.line(tr("figure: [bold]{}[/]"), shown_path(path))


def show_shapes(console: Console, named: Mapping[str, Tensor]) -> None:
    """Show what a tensor is: shape, type, place, and how its numbers lie in memory."""
    headings = (
        tr("tensor"),
        tr("shape"),
        tr("dtype"),
        tr("device"),
        tr("strides"),
        tr("numbers"),
        tr("memory"),
    )
    lines = [
        (
            name,
            str(list(tensor.shape)),
            str(tensor.dtype).removeprefix("torch."),
            str(tensor.device),
            str(list(tensor.stride())),
            f"{tensor.numel():,}",
            tr("{number:,} bytes", number=tensor.numel() * tensor.element_size()),
        )
        for name, tensor in named.items()
    ]
    rows(console, headings, lines)
    words(
        console,
        tr(
            "\nA stride is the number of places in memory from one number to the next along a dimension. "
            "Colours "
            "last is a view: the same memory with other strides, and nothing is copied.\n"
        ),
    )


def show_gradients(console: Console, named: Mapping[str, Tensor], loss: Tensor) -> None:
    """Call backward, and show where a gradient appears."""
    for tensor in named.values():
        if tensor.is_leaf:
            tensor.grad = None
    before = {name: gradient_in_words(tensor) for name, tensor in named.items()}
    loss.backward()
    lines = [
        (
            name,
            str(tensor.requires_grad),
            type(tensor.grad_fn).__name__ if tensor.grad_fn is not None else "None",
            before[name],
            gradient_in_words(tensor),
        )
        for name, tensor in named.items()
    ]
    rows(console, (tr("tensor"), "requires_grad", "grad_fn", tr(".grad before backward"), tr("after")), lines)
    words(
        console,
        tr(
            "\nParameters have requires_grad=True, so torch notes each operation on them; grad_fn of the "
            "loss is the last. backward follows that graph back and puts into .grad of each parameter a "
            "tensor of its shape. "
            "Images need no gradient. The loss is a result, not a parameter, and keeps none."
        ),
    )


def gradient_in_words(tensor: Tensor) -> str:
    """Return the shape of a tensor's gradient; None where it has none."""
    gradient = tensor.grad if tensor.is_leaf else None
    return "None" if gradient is None else str(list(gradient.shape))


@styled
def drawn(named: Mapping[str, Tensor]) -> Figure:
    """Return a figure with the numbers of each tensor as colours."""
    figure = Figure(figsize=(11, 3.2))
    for axes, (name, tensor) in zip(figure.subplots(1, len(named)), named.items(), strict=True):
        axes.imshow(
            as_picture(tensor),
            cmap="gray" if tensor.dim() == 4 else "RdBu_r",
            aspect="auto" if tensor.dim() < 4 else "equal",
        )
        title, _, what = name.partition(":")
        if tensor.dim() == 0:
            axes.text(0, 0, f"{float(tensor):.3f}", ha="center", va="center", color="white", fontsize=12)
        what = what.strip() or tr("a batch")
        axes.set_title(f"{title.strip()}\n{what} {list(tensor.shape)}", fontsize=9)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.grid(visible=False)
    return figure


def as_picture(tensor: Tensor) -> Any:
    """Return a tensor as an array (H, W) or (H, W, 3): of images the first nine, of others a corner."""
    if tensor.dim() < 4:
        matrix = tensor.view(-1, 1) if tensor.dim() < 2 else tensor
        return matrix[:MOST, : MOST * 8].numpy()
    shown = tensor[:9, :3] if tensor.shape[1] >= 3 else tensor[:9, :1]
    shown = (shown - shown.amin()) / (shown.amax() - shown.amin()).clamp(min=1e-12)
    shown = torch.cat([shown, shown.new_ones(9 - len(shown), *shown.shape[1:])])
    lines = [torch.cat(list(shown[at : at + 3]), dim=2) for at in (0, 3, 6)]
    return torch.cat(lines, dim=1).permute(1, 2, 0).squeeze(2).numpy()
