"""``cnntrain explain convolution``: a kernel slides over a digit; hand-made and learnt ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from rich.markup import escape
from torch import Tensor, nn

from cnntrain.data.batches import raise_if_error
from cnntrain.errors import UserError
from cnntrain.explain import figures
from cnntrain.explain.arithmetic import describe_window
from cnntrain.explain.setup import ExplainedModel
from cnntrain.explain.terminal import rows, words
from cnntrain.explain.topics.convolutions.convolution_figure import drawn
from cnntrain.explain.topics.convolutions.first_convolution import Seen, first_convolution
from cnntrain.explain.topics.convolutions.kernels import KERNELS, edges_in_words, likeness, slide
from cnntrain.language.translation import tr
from cnntrain.runtime.console import Console
from cnntrain.text import shown_names, shown_path

LEARNT = 4  # kernels that are shown
EVEN = 0.05  # share of the largest sum up to which a window has no edge


def convolution(model: ExplainedModel, console: Console, folder: Path) -> None:
    """Slide hand-made kernels over a test image by hand, and put learnt ones beside them.

    Args:
        model: a network that begins with a convolution.
        console: the console to print to.
        folder: the folder for the figure.

    Raises:
        UserError: the network has no convolution, or the images are smaller than a kernel.
    """
    images, labels = raise_if_error(model.data.test.__getitems__(np.arange(1)))
    seen = first_convolution(model, images)
    image = images[0].float().mean(dim=0).cpu() / 255
    if min(image.shape) < 5:
        raise UserError(f"images of {'×'.join(map(str, image.shape))} pixels are too small: 5×5 at least")
    label = escape(shown_names(model.data.test.class_names)[int(labels[0])])
    maps = {name: slide(image, torch.tensor(kernel)) for name, kernel in KERNELS.items()}
    name = next(iter(KERNELS))
    words(
        console,
        tr(
            "[bold]A kernel slides over the first test image[/], of class {label}: pixels "
            "from 0 to 1, kernel for a {kernel}\n",
            label=label,
            kernel=tr(name),
        ),
    )
    places = telling_places(image, maps[name])
    show_windows(console, image, torch.tensor(KERNELS[name]), maps[name], places)
    show_sizes(console, image)
    shown = show_learnt(console, model, seen)
    path = folder / "convolution.png"
    kernels = {name: torch.tensor(kernel) for name, kernel in KERNELS.items()}
    by_hand = [(tr(name), kernel, maps[name]) for name, kernel in kernels.items()]
    weights = seen.layer.weight.detach().float().cpu().mean(dim=1)
    learnt = [
        (tr("learnt: filter {number}", number=index + 1), weights[index], seen.output[0, index])
        for index in shown
    ]
    figures.save(drawn(image, places, by_hand, learnt), path)
    console.line(tr("figure: [bold]{}[/]"), shown_path(path))


def telling_places(image: Tensor, found: Tensor) -> list[tuple[int, int]]:
    """Return row and column of the largest sum, the smallest, and the lightest window without an edge.

    Args:
        image: float (H, W).
        found: the map of a 3×3 kernel, float (H − 2, W − 2).
    """
    lightness = F.avg_pool2d(image[None], 3, stride=1)[0]
    is_even = found.abs() <= EVEN * found.abs().max()
    even = torch.where(is_even, lightness, -1.0)
    flat = (found.argmax(), found.argmin(), even.argmax())
    return [divmod(int(index), found.shape[1]) for index in flat]


def show_windows(
    console: Console, image: Tensor, kernel: Tensor, found: Tensor, places: Sequence[tuple[int, int]]
) -> None:
    """Show window, products and sum at some positions, and that torch computes the same map."""
    side = len(kernel)
    lines = []
    for top, left in places:
        window = image[top : top + side, left : left + side]
        products = window * kernel + 0.0  # which makes 0 of -0
        for at in range(side):
            is_last = at == side - 1
            lines.append(
                (
                    tr("row {row}, column {column}", row=top + 1, column=left + 1) if at == 0 else "",
                    "  ".join(f"{v:4.2f}" for v in window[at].tolist()),
                    "  ".join(f"{v:2.0f}" for v in kernel[at].tolist()),
                    "  ".join(f"{v:5.2f}" for v in products[at].tolist()),
                    f"{float(products.sum()):.2f}" if is_last else "",
                )
            )
        lines.append(("",) * 5)
    rows(console, (tr("position"), tr("window"), tr("× kernel"), tr("= products"), tr("sum")), lines[:-1])
    furthest = float((found - F.conv2d(image[None, None], kernel[None, None])[0, 0]).abs().max())
    high, wide = found.shape
    words(
        console,
        tr(
            "\nThe positions are those of the largest sum, the smallest, and a light "
            "window without such an edge. The kernel stands at {high}·{wide} = {positions} "
            "positions, and the sums are the feature map. F.conv2d computes the same: the "
            "largest difference is {furthest:.0e}.\n",
            high=high,
            wide=wide,
            positions=high * wide,
            furthest=furthest,
        ),
    )


def show_sizes(console: Console, image: Tensor) -> None:
    """Show what padding and stride make of the size, and what the same map costs a linear layer."""
    side, pixels = image.shape[0], image.numel()
    lines = []
    for kernel, padding, stride in ((3, 0, 1), (3, 1, 1), (3, 1, 2), (5, 0, 1), (5, 2, 1)):
        layer = nn.Conv2d(1, 1, kernel, padding=padding, stride=stride)
        result = layer(image[None]).shape[1]
        formula = describe_window(layer, side, result)
        lines.append((f"{kernel}×{kernel}", f"{padding}", f"{stride}", formula, f"{kernel * kernel} + 1"))
    rows(console, (tr("kernel"), tr("padding"), tr("stride"), tr("output side"), tr("parameters")), lines)
    words(
        console,
        tr(
            "\nPadding puts zeros around the image, stride moves the kernel by more than a "
            "pixel. A linear layer from {pixels:,} pixels to as many outputs has "
            "{pixels:,}·{pixels:,} + {pixels:,} = {total:,} parameters: it does not share "
            "its weights among positions.\n",
            pixels=pixels,
            total=pixels * pixels + pixels,
        ),
    )


def show_learnt(console: Console, model: ExplainedModel, seen: Seen) -> list[int]:
    """Show how the strongest learnt filters respond, one by hand, and what they look like.

    Returns:
        The numbers of these filters.
    """
    peaks = seen.output[0].flatten(1).amax(dim=1)
    shown = peaks.topk(min(LEARNT, len(peaks))).indices.tolist()
    high, wide = seen.layer.kernel_size
    words(
        console,
        tr(
            "[bold]{model}[/] has learnt {number} filters of {high}×{wide} in {layer}. "
            "These respond most to the image:\n",
            model=escape(model.name),
            number=len(peaks),
            high=high,
            wide=wide,
            layer=seen.name,
        ),
    )
    likest = likeness(seen.layer.weight.detach().float().cpu())
    headings = (
        tr("filter"),
        tr("largest response"),
        *([tr("looks most like"), tr("cosine")] if likest else []),
    )
    lines = [
        (
            f"{index + 1}",
            f"{float(peaks[index]):.2f}",
            *([tr(likest[index][0]), f"{likest[index][1]:+.2f}"] if likest else []),
        )
        for index in shown
    ]
    rows(console, headings, lines)
    text = edges_in_words(seen.layer.weight.detach().float().cpu()) if likest else ""
    words(console, f"\n{text}{by_hand_in_words(seen, shown[0])}")
    return shown


def by_hand_in_words(seen: Seen, index: int) -> str:
    """Return how the largest response of a filter is computed: products, their sum, and the bias."""
    layer, found = seen.layer, seen.output[0, index]
    if layer.groups > 1 or isinstance(layer.padding, str) or layer.padding_mode != "zeros":
        return ""
    top, left = divmod(int(found.argmax()), found.shape[1])
    windows: Mapping[str, Any] = {
        name: getattr(layer, name) for name in ("kernel_size", "dilation", "padding", "stride")
    }
    place = top * found.shape[1] + left
    window = F.unfold(seen.input[:1], **windows)[0, :, place]
    total = float(window @ layer.weight[index].detach().float().cpu().flatten())
    bias = 0.0 if layer.bias is None else float(layer.bias[index].detach())
    return tr(
        "By hand for filter {number} at row {row}, column {column}: its {products} "
        "products, of normalised pixels, add up to {total:.4f}, and the bias is "
        "{bias:.4f}: {sum:.4f}. The layer's output there is {output:.4f}.",
        number=index + 1,
        row=top + 1,
        column=left + 1,
        products=len(window),
        total=total,
        bias=bias,
        sum=total + bias,
        output=float(found.flatten()[place]),
    )
