"""What `cnntrain explain steps` begins with: the batch, and the model layer by layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from rich.markup import escape
from torch import Tensor, nn

from cnntrain import __version__
from cnntrain.annotations.regions import IGNORED
from cnntrain.config.sections import ModelSettings, strengths
from cnntrain.drawing.masks import in_colors
from cnntrain.explain import sentences
from cnntrain.explain.arithmetic import (
    describe_field,
    describe_parameters,
    describe_size,
    describe_total,
    format_shape,
    trace,
)
from cnntrain.explain.setup import TrainingSetup
from cnntrain.explain.terminal import images, rows, words
from cnntrain.language.translation import later, tr
from cnntrain.runtime.console import Console
from cnntrain.text import network_name, shown_names
from cnntrain.training.components.components import describe_model

MOST = 4  # classes whose shares are shown
TENSOR = (later("tensor"), later("shape"), later("dtype"), later("device"))


def show_batch(console: Console, parts: TrainingSetup, x: Tensor, y: Tensor) -> None:
    """Show what comes in: some images and their labels, and the two tensors."""
    settings, names = parts.settings, shown_names(parts.data.train.class_names)
    words(
        console,
        tr(
            "[bold]cnntrain {version}[/]  one batch through the five steps of training\n", version=__version__
        ),
    )
    low, high = float(x.min()), float(x.max())
    pixels = (x - low) / max(1e-12, high - low)
    if y.dim() == 3:
        what, values = tr("y, masks"), show_masks(console, pixels, y, names)
    else:
        labels = [names[label] for label in (y if y.dim() == 1 else y.argmax(dim=1)).tolist()]
        images(console, pixels, labels)
        what, values = tr("y, labels"), ", ".join(labels[:6]) + ", ..."
    console.line()
    rows(
        console,
        (*map(tr, TENSOR), tr("values")),
        [
            (
                *facts(tr("x, images"), x),
                tr("{low:.2f} to {high:.2f}, mean {mean:.2f}", low=low, high=high, mean=float(x.mean())),
            ),
            (*facts(what, y), values),
        ],
    )
    mean, std = (", ".join(f"{v:g}" for v in part) for part in (settings.data.mean, settings.data.std))
    changes = [f"{k} {v:g}" for k, v in strengths(settings.augment).items()]
    augmented = tr(" after augmentation ({changes})", changes=", ".join(changes)) if changes else ""
    words(
        console,
        tr(
            "The first {number} images of epoch 1, in the order of seed={seed}{augmented}. "
            "Bytes from 0 to 255 became floats: (byte/255 − {mean}) / {std}, so that their "
            "mean is about 0 and their std about 1 over the training set.",
            number=len(x),
            seed=settings.seed,
            augmented=augmented,
            mean=mean,
            std=std,
        ),
    )


def show_masks(console: Console, pixels: Tensor, y: Tensor, names: Sequence[str]) -> str:
    """Show some images with the class of each pixel as a colour, and return how frequent the classes are.

    Args:
        console: the console to print to.
        pixels: float (N, C, H, W), from 0 to 1.
        y: classes, int64 (N, H, W); pixels of the class ``IGNORED`` count nowhere.
        names: the names of the classes.
    """
    colours = torch.from_numpy(in_colors(y.cpu().numpy())).permute(0, 3, 1, 2) / 255
    pixels = pixels.cpu()[:, : colours.shape[1]].expand_as(colours)
    shown = torch.stack([pixels, colours], dim=1).flatten(0, 1)
    found = [[names[label] for label in mask.unique().tolist() if 0 < label < IGNORED] for mask in y.cpu()]
    images(console, shown, [title for there in found for title in (tr("image"), ", ".join(there))])
    counts = y[y != IGNORED].bincount(minlength=len(names))
    shares = (counts / max(1, int(counts.sum()))).tolist()
    text = ", ".join(f"{name} {share:.0%}" for name, share in list(zip(names, shares, strict=True))[:MOST])
    return text + (", ..." if len(names) > MOST else "")


def facts(name: str, tensor: Tensor) -> tuple[str, str, str, str]:
    """Return name, shape, number format and device of a tensor."""
    shape = f"({', '.join(map(str, tensor.shape))})"
    return name, shape, str(tensor.dtype).removeprefix("torch."), str(tensor.device)


def show_model(console: Console, settings: ModelSettings) -> None:
    """Show the arithmetic of each layer: output size, parameters, receptive field."""
    model = describe_model(settings, trust=None)
    traced = trace(model, settings.shape)
    total = sum(p.numel() for p in model.parameters())
    name = network_name(settings.node, type(model).__name__)
    words(console, tr("\n[bold]The model[/]  {name}, layer by layer, for one image\n", name=escape(name)))
    rows(
        console,
        (tr("layer"), tr("kind"), tr("output"), tr("output size"), tr("parameters"), tr("receptive field")),
        [
            (
                row.layer.name,
                row.layer.kind,
                format_shape(row.layer.output_shape),
                describe_size(row),
                describe_parameters(row),
                describe_field(row),
            )
            for row in traced
        ],
        left=2,
    )
    words(console, tr("\nParameters: {total}", total=describe_total(traced, total)))
    if order := sentences.on_order([row.layer.kind for row in traced]):
        words(console, order)
    if any(isinstance(row.module, nn.Conv2d) for row in traced):
        words(
            console,
            tr(
                "[dim]output size: (size + 2·padding − kernel)/stride + 1;  parameters of a "
                "convolution: kernel·kernel·inputs·filters + a bias for each filter, used at "
                "every place;  receptive field: that before + (kernel − 1)·distance of "
                "neighbours, which every stride multiplies.[/]"
            ),
        )
