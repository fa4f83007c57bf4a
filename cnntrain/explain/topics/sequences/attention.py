"""``cnntrain explain attention``: at which rows or patches each head of a Transformer looks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from rich.markup import escape
from torch import Tensor

from cnntrain.data.batches import raise_if_error
from cnntrain.drawing.style import styled
from cnntrain.explain import figures
from cnntrain.explain.setup import ExplainedModel
from cnntrain.explain.terminal import rows, words
from cnntrain.explain.topics.sequences import sentences
from cnntrain.language.translation import tr
from cnntrain.report import figures as report_figures
from cnntrain.report import model_views
from cnntrain.report.sections import in_colours
from cnntrain.runtime.console import Console
from cnntrain.text import shown_path

IMAGES = 64  # test images, over which the figures are means
SHOWN = 4  # of them that are drawn
MOST_LAYERS, MOST_HEADS = 6, 8  # whose tables of all parts are drawn


@torch.no_grad()
def attention(model: ExplainedModel, console: Console, folder: Path) -> None:
    """Show how far each head looks and at how many parts of an image, and draw where.

    Args:
        model: a Transformer or a ViT.
        console: the console to print to.
        folder: the folder for the figures.
    """
    net: Any = model.model
    images, _ = raise_if_error(model.data.test.__getitems__(np.arange(min(IMAGES, len(model.data.test)))))
    x = model.normalize(images.to(model.normalize.mean.device))
    reader = net.reader
    parts = sentences.parts(reader.read)
    maps = net.attention(x).float().cpu()[..., -reader.length :, -reader.length :]  # without the class token
    shares = maps / maps.sum(dim=4, keepdim=True).clamp(min=1e-12)
    distances = distances_of(reader.grid)
    looked_at = torch.special.entr(shares).sum(dim=4).exp().mean(dim=(0, 3))  # (layers, heads)
    equal = float(distances.mean())
    far = (shares * distances).sum(dim=4).mean(dim=(0, 3))
    words(
        console,
        tr(
            "[bold]{model}[/] reads {length} {parts} of an image at once; each looks at "
            "all others, and attention says how much. Means over {images} test images\n",
            model=escape(model.name),
            length=reader.length,
            parts=parts,
            images=len(images),
        ),
    )
    lines = [
        (
            f"{layer + 1}",
            f"{head + 1}",
            f"{float(looked_at[layer, head]):.1f}",
            f"{float(far[layer, head]):.1f}",
        )
        for layer in range(looked_at.shape[0])
        for head in range(looked_at.shape[1])
    ]
    rows(console, (tr("layer"), tr("head"), tr("{parts} looked at", parts=parts), tr("distance")), lines)
    words(
        console,
        tr(
            "\n{parts} looked at: the effective number, e to the entropy of the attention; "
            "equal attention for all would be {length}. distance: the mean to what is "
            "looked at, in {parts}; equal attention: {equal:.1f}. ",
            parts=parts,
            length=reader.length,
            equal=equal,
        )
        + sentences.on_attention(looked_at.mean(dim=1).tolist(), far.flatten().tolist(), equal),
    )
    over = report_figures.attention(in_colours(images[:SHOWN]), model_views.attention(net, x[:SHOWN]).numpy())
    figures.save(over, folder / "where.png")
    figures.save(tables(maps[0], parts), folder / "from_to.png")
    console.line(
        tr("figures: [bold]{}[/]: where.png, what the answer is made of; from_to.png, part to part"),
        shown_path(folder),
    )


def distances_of(grid: tuple[int, int]) -> Tensor:
    """Return how far the parts of an image lie from each other, in parts, float32 (T, T)."""
    places = torch.cartesian_prod(torch.arange(grid[0]), torch.arange(grid[1])).float()
    return torch.cdist(places, places)


@styled
def tables(maps: Tensor, read: str) -> Figure:
    """Return how much each part of one image looks at each other: a row for each layer, a column for a head.

    Args:
        maps: attention, float (layers, heads, T, T).
        read: what a part is, in the plural.
    """
    shown = maps[:MOST_LAYERS, :MOST_HEADS]
    layers, heads = shown.shape[:2]
    drawn = Figure(figsize=(1.9 * heads + 0.6, 1.9 * layers + 0.6))
    for layer, line in enumerate(drawn.subplots(layers, heads, squeeze=False, sharex=True, sharey=True)):
        for head, axes in enumerate(line):
            axes.imshow(shown[layer, head].numpy(), cmap="viridis", interpolation="none")
            axes.set_title(tr("layer {layer}, head {head}", layer=layer + 1, head=head + 1), fontsize=8)
            axes.grid(visible=False)
    drawn.supxlabel(tr("at which of the {parts} (first test image)", parts=read), fontsize=9)
    drawn.supylabel(tr("each of the {parts} looks", parts=read), fontsize=9)
    return drawn
