"""``cnntrain explain filters``: what each layer responds to, and the filters themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from rich.markup import escape
from torch import Tensor, nn

from cnntrain.data.batches import raise_if_error
from cnntrain.drawing.style import canvas, styled
from cnntrain.errors import UserError
from cnntrain.explain import figures
from cnntrain.explain.arithmetic import Place, TracedLayer, trace
from cnntrain.explain.setup import ExplainedModel
from cnntrain.explain.terminal import images, rows, words
from cnntrain.language.translation import tr, tr_count
from cnntrain.models.hooks import forward_hooks
from cnntrain.runtime.console import Console
from cnntrain.text import shown_names, shown_path
from cnntrain.training.sentences import on_filters

FILTERS = 16  # of a layer that are drawn
BEST = 8  # images for each
IMAGES = 2000  # that are looked through
BATCH = 250
BLOCK = BEST + 2.4  # width of a filter with its images, in cells


def filters(model: ExplainedModel, console: Console, folder: Path) -> None:
    """Find the test images that activate each filter most, and draw them beside it.

    Args:
        model: whose filters.
        console: the console to print to.
        folder: the folder for the figures, one for each layer.
    """
    layers = {row.layer.name: row for row in trace(model.model, model.shape) if fits(row)}
    if not layers:
        raise UserError(f"{type(model.model).__name__} has neither convolutions nor linear layers to draw")
    peaks = responses(model, list(layers))
    indices = np.arange(min(IMAGES, len(model.data.test)))
    images, labels = (part.cpu() for part in raise_if_error(model.data.test.__getitems__(indices)))
    lines: list[list[str]] = []
    purities: list[float] = []
    with console.bar(len(layers), 0, tr("drawing"), unit="layer") as bar:
        for name, row in layers.items():
            values, places = peaks[name]
            best = values.topk(min(BEST, len(values)), dim=0).indices  # (BEST, filters)
            draw(model, row, images, best, places, folder / f"{name}.png")
            line = [name, row.layer.kind, f"{values.shape[1]:,}", seen_by(row, images.shape[-1])]
            if labels.dim() == 1:  # a mask has no one class
                purities.append(purity(labels[best]))
                line.append(f"{purities[-1]:.0%}")
            lines.append(line)
            bar.update()
    show_first(console, model, next(iter(layers)))
    headings = (
        tr("layer"),
        tr("kind"),
        tr("filters"),
        tr("receptive field"),
        tr("class purity (top {best})", best=BEST),
    )
    rows(console, headings[: len(lines[0])], lines, left=2)
    if purities:
        words(
            console,
            tr(
                "\nClass purity: of the {best} of {images:,} test images that activate a "
                "filter most, the share that is of the most frequent class among them, mean "
                "over filters. ",
                best=BEST,
                images=len(images),
            )
            + on_filters(purities, chance(labels)),
        )
    some = min(FILTERS, max(values.shape[1] for values, _ in peaks.values()))
    figures_there = tr_count(
        len(layers),
        "{number:,} image, with up to {filters} filters in it",
        "{number:,} images, one for each layer, with up to {filters} filters in it",
        filters=some,
    )
    console.line(tr("figures: [bold]{}[/]: {}"), shown_path(folder), figures_there)


def purity(labels: Tensor) -> float:
    """Return the share of the most frequent class, mean over columns, of labels, int64 (images, filters)."""
    return float((labels == labels.mode(dim=0).values).float().mean())


def chance(labels: Tensor) -> float:
    """Return the purity of images taken at random, by trying many times."""
    generator = torch.Generator().manual_seed(0)
    taken = torch.rand(1000, len(labels), generator=generator).topk(min(BEST, len(labels)), dim=1).indices
    return purity(labels[taken].T)


def fits(row: TracedLayer) -> bool:
    """Return whether a layer has filters, or units, that answer to an image with a map, or a number, each."""
    kinds = {1: nn.Linear, 3: nn.Conv2d}
    dimensions = len(row.layer.output_shape)
    return dimensions in kinds and isinstance(row.module, kinds[dimensions])


def seen_by(row: TracedLayer, side: int) -> str:
    """Describe what one output of a layer sees of an image of that many pixels."""
    field = row.layer.receptive_field
    if field is None:
        return "–"
    return tr("{field}×{field} pixels", field=field) if field < side else tr("the whole image")


def show_first(console: Console, model: ExplainedModel, name: str) -> None:
    """Show the filters of the first layer, if it is a convolution."""
    first: Any = model.model.get_submodule(name)
    if not isinstance(first, nn.Conv2d):
        return
    words(
        console,
        tr(
            "[bold]{model}[/]: the filters of its first layer, {layer}\n",
            model=escape(model.name),
            layer=name,
        ),
    )
    weights = as_brightness(first.weight.detach().float().cpu().mean(dim=1, keepdim=True))
    images(console, weights, [tr("filter {number}", number=index + 1) for index in range(len(weights))])
    console.line()


@torch.no_grad()
def responses(model: ExplainedModel, names: Sequence[str]) -> dict[str, tuple[Tensor, Tensor]]:
    """Return how strongly each filter responds to each test image, and where.

    Returns:
        For each layer the largest value, float (N, filters), and its place in the layer's output, counted
        row by row, int64 (N, filters).
    """
    noted: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in names}
    called: set[str] = set()  # for this batch; of a layer that is called twice, the first call counts

    def note(name: str, module: nn.Module, args: Any, output: Tensor) -> None:
        if name in called:
            return
        called.add(name)
        peaks = output.float().flatten(2) if output.dim() == 4 else output.float()[:, :, None]
        values, places = peaks.max(dim=2)
        noted[name].append((values.cpu(), places.cpu()))

    test, device = model.data.test, model.normalize.mean.device
    with forward_hooks([(name, model.model.get_submodule(name)) for name in names], note):
        for indices in torch.arange(min(IMAGES, len(test))).split(BATCH):
            called.clear()
            x, _ = raise_if_error(test.__getitems__(indices.numpy()))
            model.model(model.normalize(x.to(device)))
    return {
        name: (torch.cat([v for v, _ in parts]), torch.cat([p for _, p in parts]))
        for name, parts in noted.items()
    }


@styled
def draw(
    model: ExplainedModel, row: TracedLayer, images: Tensor, best: Tensor, places: Tensor, path: Path
) -> None:
    """Draw the first filters of a layer, each with its maximally activating patches."""
    number, names = min(FILTERS, best.shape[1]), shown_names(model.data.test.class_names)
    labels = names if best.shape[1] == len(names) else [str(index + 1) for index in range(number)]
    columns = 2 if number > 1 else 1
    height = math.ceil(number / columns)
    drawn, axes = canvas(size=(0.5 * BLOCK * columns, 0.5 * (height + 1)))
    module: Any = model.model.get_submodule(row.layer.name)
    for index in range(number):
        x, y = BLOCK * (index // height), -float(index % height)
        kernel = as_image(module, index, model.shape)
        if kernel is not None:
            put(axes, kernel, x, y, "RdBu_r" if kernel.ndim == 2 else None)
        else:
            axes.text(x + 0.94, y + 0.47, labels[index][:12], ha="right", va="center", fontsize=9)
        for rank, chosen in enumerate(best[:, index].tolist()):
            patch = cut(images[chosen], row, int(places[chosen, index]))
            put(axes, patch.permute(1, 2, 0).squeeze(2).numpy(), x + 1.3 + rank, y, "gray")
    axes.set(xlim=(-0.1, BLOCK * columns - 1), ylim=(1 - height, 1.05), aspect="equal")
    axes.axis("off")
    seen = seen_by(row, images.shape[-1])
    title = tr("{layer}: {kind}, maximally activating patches", layer=row.layer.name, kind=row.layer.kind)
    if row.layer.receptive_field is not None:
        title += tr("; ") + tr("receptive field {field}", field=seen)
    axes.set_title(title, fontsize=10)
    figures.save(drawn, path, background="0.8")  # neither black nor white, which the images are


def put(axes: Any, image: Any, x: float, y: float, colours: str | None) -> None:
    """Draw an image, (H, W) or (H, W, 3), into the cell whose lower left corner is at x, y."""
    bound = float(np.nanmax(np.abs(image))) or 1.0
    limits = {"vmin": -bound, "vmax": bound} if colours == "RdBu_r" else {"vmin": 0, "vmax": 255}
    axes.imshow(image, extent=(x, x + 0.94, y, y + 0.94), cmap=colours, interpolation="nearest", **limits)


def cut(image: Tensor, row: TracedLayer, position: int) -> Tensor:
    """Return what one output of a layer sees of an image, uint8 (C, H, W); if in doubt, the whole."""
    place: Place | None = row.place
    if place is None or place.field >= image.shape[-1]:
        return image
    width = row.layer.output_shape[2]
    top, left = (place.start + place.jump * along for along in divmod(position, width))
    border = place.field + abs(place.start)
    padded = F.pad(image, (border, border, border, border))
    top, left = top + border, left + border
    return padded[:, top : top + place.field, left : left + place.field]


def as_image(module: Any, index: int, shape: tuple[int, int, int]) -> Any:
    """Return the weights of one filter as an array (H, W) or (H, W, 3); None where they are no image."""
    weight = module.weight[index].detach().float().cpu()
    if weight.dim() == 1:
        return weight.view(shape).mean(dim=0).numpy() if weight.numel() == math.prod(shape) else None
    if len(weight) == 3:
        return as_brightness(weight[None])[0].permute(1, 2, 0).numpy()
    # One small square for each input channel, with gaps between them.
    side = math.ceil(math.sqrt(len(weight)))
    high, wide = weight.shape[1] + 1, weight.shape[2] + 1
    tiles = np.full((side * high - 1, side * wide - 1), np.nan)
    for channel, part in enumerate(weight.numpy()):
        top, left = high * (channel // side), wide * (channel % side)
        tiles[top : top + high - 1, left : left + wide - 1] = part
    return tiles


def as_brightness(weights: Tensor) -> Tensor:
    """Return filters, float (N, C, H, W), from 0 for the lowest to 1 for the highest of each."""
    low, high = weights.amin(dim=(1, 2, 3), keepdim=True), weights.amax(dim=(1, 2, 3), keepdim=True)
    return (weights - low) / (high - low).clamp(min=1e-12)
