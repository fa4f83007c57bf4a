"""``cnntrain explain pooling``: 2×2 maxima of real numbers, images that move, receptive fields that grow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch.nn.functional as F
from rich.markup import escape
from torch import Tensor, nn

from cnntrain.data.batches import raise_if_error
from cnntrain.errors import UserError
from cnntrain.explain import figures
from cnntrain.explain.arithmetic import TracedLayer, format_shape, trace, window
from cnntrain.explain.setup import ExplainedModel
from cnntrain.explain.terminal import rows, words
from cnntrain.explain.topics.convolutions.first_convolution import first_convolution
from cnntrain.explain.topics.convolutions.pooling_figure import drawn
from cnntrain.language.translation import tr
from cnntrain.models.summary import WINDOWS
from cnntrain.runtime.console import Console
from cnntrain.tasks.moved import moved
from cnntrain.text import shown_path

IMAGES = 100  # test images that are moved
MOVED = (1, 2)  # pixels
POOLS = (1, 2, 4, 7)  # sides of the windows that are compared; 1 does not pool
SHOWN = 6  # rows and columns of a map that are printed
DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1))  # up and left, in pixels


def pooled(values: Tensor) -> Tensor:
    """Return the largest number of each 2×2 window; ``F.max_pool2d(values, 2)`` computes the same.

    Args:
        values: float (..., H, W); a row and a column that are left over are dropped.
    """
    high, wide = (side // 2 * 2 for side in values.shape[-2:])
    values = values[..., :high, :wide]
    upper, lower = values[..., 0::2, :], values[..., 1::2, :]
    rowwise = upper.maximum(lower)
    return rowwise[..., 0::2].maximum(rowwise[..., 1::2])


def pooling(model: ExplainedModel, console: Console, folder: Path) -> None:
    """Pool a feature map by hand, move the images, and follow the receptive field through the network.

    Args:
        model: a network with a convolution.
        console: the console to print to.
        folder: the folder for the figure.

    Raises:
        UserError: there is no convolution, or its maps are too small.
    """
    images, _ = raise_if_error(model.data.test.__getitems__(np.arange(min(IMAGES, len(model.data.test)))))
    seen = first_convolution(model, images)
    maps = F.relu(seen.output)
    if min(maps.shape[2:]) < SHOWN:
        small = format_shape(maps.shape[2:])
        raise UserError(f"maps of {small} are too small to show: {SHOWN}×{SHOWN} at least")
    channel = int(maps[0].flatten(1).std(dim=1).argmax())  # not an even one
    words(
        console,
        tr(
            "[bold]2×2 max pooling[/] of a map that {model} has made of the first test "
            "image: {layer} and ReLU, filter {channel}\n",
            model=escape(model.name),
            layer=seen.name,
            channel=channel + 1,
        ),
    )
    show_windows(console, maps[0, channel])
    show_order(console, seen.output, maps)
    found = changes(model, images, maps)
    show_changes(console, found, maps.shape, len(images))
    traced = trace(model.model, model.shape)
    show_fields(console, traced)
    path = folder / "pooling.png"
    there = images[:1].cpu()
    after = F.relu(first_convolution(model, moved(there.float(), 0, -1).to(there.dtype)).output)
    beside = [
        (image[0].float().mean(dim=0), of_it[0, channel], pooled(of_it[0, channel]))
        for image, of_it in ((there, maps), (moved(there.float(), 0, -1), after))
    ]
    figures.save(drawn(beside, found, traced), path)
    console.line(tr("figure: [bold]{}[/]"), shown_path(path))


def show_windows(console: Console, values: Tensor) -> None:
    """Print the part of a map around its largest number, and the largest of each window."""
    place = divmod(int(values.argmax()), values.shape[1])
    top, left = (
        min(max(0, at // 2 * 2 - 2), (side - SHOWN) // 2 * 2)
        for at, side in zip(place, values.shape, strict=True)
    )
    part = values[top : top + SHOWN, left : left + SHOWN]
    small = pooled(part)
    lines = []
    for row, line in enumerate(part.tolist()):
        pairs = ["  ".join(f"{v:4.2f}" for v in line[at : at + 2]) for at in range(0, SHOWN, 2)]
        result = "  ".join(f"{v:4.2f}" for v in small[row // 2].tolist()) if row % 2 else ""
        lines.append((f"{top + row + 1}", "  │  ".join(pairs), result))
        if row % 2 and row < SHOWN - 1:
            lines.append(("", "", ""))
    rows(
        console,
        (
            tr("row"),
            tr("columns {first} to {last}", first=left + 1, last=left + SHOWN),
            tr("largest of each 2×2 window"),
        ),
        lines,
    )
    whole = pooled(values)
    furthest = float((whole - F.max_pool2d(values[None], 2)[0]).abs().max())
    words(
        console,
        tr(
            "\nThe whole map: {before} = {many:,} numbers become {after} = {few:,}, "
            "{times:.3g} times fewer. F.max_pool2d(map, 2) gives the same: the largest "
            "difference is {furthest:.0e}. Pooling has no parameters.",
            before=format_shape(values.shape),
            many=values.numel(),
            after=format_shape(whole.shape),
            few=whole.numel(),
            times=values.numel() / whole.numel(),
            furthest=furthest,
        ),
    )


def show_order(console: Console, before: Tensor, after: Tensor) -> None:
    """Explain that ReLU may stand before or after max pooling.

    Args:
        console: the console to print to.
        before: maps without ReLU.
        after: the same with ReLU.
    """
    furthest = float((F.relu(pooled(before)) - pooled(after)).abs().max())
    words(
        console,
        tr(
            "Conv, ReLU, Pool and Conv, Pool, ReLU give the same numbers (largest difference "
            "{furthest:.0e}), since ReLU keeps the order of numbers. model=cnn pools first: "
            "ReLU then has a quarter of the work.\n",
            furthest=furthest,
        ),
    )


def changes(model: ExplainedModel, images: Tensor, maps: Tensor) -> dict[int, list[float]]:
    """Return how much pooled maps change where the images move, for each side of the pooling window.

    Args:
        model: whose first convolution makes the maps.
        images: uint8 (N, C, H, W).
        maps: what it makes of them, after ReLU, float (N, filters, H', W').

    Returns:
        The length of the difference over that of the difference from the mean map of all images, for each
        distance in ``MOVED``, mean over four directions.
    """
    whole = min(maps.shape[2:])
    sides = [*(side for side in POOLS if side < whole), whole]
    found: dict[int, list[float]] = {side: [] for side in sides}
    for pixels in MOVED:
        shares: dict[int, float] = dict.fromkeys(sides, 0.0)
        for up, left in DIRECTIONS:
            other = moved(images.float(), up * pixels, left * pixels).to(images.dtype)
            of_it = F.relu(first_convolution(model, other).output)
            for side in sides:
                first, second = F.max_pool2d(maps, side), F.max_pool2d(of_it, side)
                spread = (first - first.mean(dim=0)).norm()
                shares[side] += float((first - second).norm() / spread.clamp(min=1e-12))
        for side in sides:
            found[side].append(shares[side] / len(DIRECTIONS))
    return found


def show_changes(console: Console, found: dict[int, list[float]], shape: Sequence[int], number: int) -> None:
    """Show by how much pooling softens what a shift changes."""
    _, filters, high, wide = shape
    lines = []
    for side, shares in found.items():
        name = tr("none") if side == 1 else f"{side}×{side}"
        name += tr(", the whole map") if side == high == wide else ""
        left = filters * (high // side) * (wide // side)
        lines.append((name, f"{left:,}", *(f"{share:.1%}" for share in shares)))
    headings = (
        tr("max pooling"),
        tr("numbers left"),
        *(tr("moved by {pixels}: change", pixels=n) for n in MOVED),
    )
    rows(console, headings, lines)
    none, two = found[1][0], found.get(2, found[1])[0]
    words(
        console,
        tr(
            "\nChange: how far the maps of {number} test images go when the images move "
            "(up, down, left and right), over how far they are from the mean map of all "
            "images. 2×2 pooling lowers what one pixel changes from {none:.0%} to "
            "{two:.0%}. Larger windows forget more of it, and of where things are.\n",
            number=number,
            none=none,
            two=two,
        ),
    )


def show_fields(console: Console, traced: Sequence[TracedLayer]) -> None:
    """Show how the receptive field grows, and what it would be without pooling."""
    alone = fields_without_pooling(traced)
    lines = [
        (
            row.layer.name,
            row.layer.kind,
            format_shape(row.layer.output_shape),
            f"{math.prod(row.layer.output_shape):,}",
            "–" if row.layer.receptive_field is None else f"{row.layer.receptive_field}",
            "–" if without is None else f"{without}",
        )
        for row, without in zip(traced, alone, strict=True)
        if isinstance(row.module, WINDOWS)
    ]
    headings = (tr("layer"), tr("kind"), tr("output"), tr("numbers"), tr("receptive field"), tr("unpooled"))
    rows(console, headings, lines, left=2)
    words(
        console,
        tr(
            "\n"
            "Receptive field: the side of the square of pixels that one number depends on; "
            "unpooled: the same without any pooling. After a pooling layer neighbours are "
            "twice as far apart, so each kernel that follows sees twice as much."
        ),
    )


def fields_without_pooling(traced: Sequence[TracedLayer]) -> list[int | None]:
    """Return the receptive field after each layer as if nothing pooled; None where it can't be determined."""
    field, jump = 1, 1
    found: list[int | None] = []
    for row in traced:
        if isinstance(row.module, nn.Conv2d):
            kernel, stride, dilation, _ = window(row.module)
            if kernel is not None and stride is not None:
                field, jump = field + dilation * (kernel - 1) * jump, jump * stride
        found.append(None if row.place is None else field)
    return found
