"""``cnntrain explain skips``: the levels of a U-Net, and what each of its skip connections is worth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.markup import escape
from torch import Tensor, nn

from cnntrain import loop
from cnntrain.data.batches import raise_if_error
from cnntrain.data.loader import EvalLoader
from cnntrain.errors import UserError
from cnntrain.explain import figures, sentences
from cnntrain.explain.setup import ExplainedModel
from cnntrain.explain.terminal import rows, words
from cnntrain.explain.topics.images import skips_figures
from cnntrain.explain.topics.images.ablation import Blanks, blanked, what, where
from cnntrain.explain.topics.images.skip_levels import Level, levels_of, show_levels
from cnntrain.language.translation import tr
from cnntrain.models.hooks import forward_hooks
from cnntrain.models.views import HasSkipConnections
from cnntrain.runtime.console import Console
from cnntrain.text import printable, shown_path

IMAGES, BATCH = 500, 100  # test images that are measured
SHOWN = 4  # of them that are drawn


def skips(model: ExplainedModel, console: Console, folder: Path) -> None:
    """Show the levels of a U-Net, measure it without each skip connection, and draw both.

    Args:
        model: a network with skip connections that labels pixels.
        console: the console to print to.
        folder: the folder for the figures.

    Raises:
        UserError: the network has no skip connections.
    """
    net = model.model
    if not isinstance(net, HasSkipConnections) or not net.skip_connections:
        raise UserError(f"{type(net).__name__} has no skip connections to show: model=unet has")
    levels = levels_of(net, model.shape)
    show_levels(console, model, levels)
    found = measured(model, levels, console)
    show_scores(console, model, levels, found)
    images, masks = (part.cpu() for part in raise_if_error(model.data.test.__getitems__(np.arange(SHOWN))))
    x = model.normalize(images.to(model.normalize.mean.device))
    maps = features(model, levels, x[:1])
    answers = [predicted(model, blanks, x) for blanks in variants(model, levels).values()]
    shapes = [level.encoder.output_shape for level in levels]
    fields = [
        (level.encoder.receptive_field, level.decoder.receptive_field if level.decoder else None)
        for level in levels
    ]
    drawn = skips_figures.levels(images[0], maps, shapes, fields, answers[0][0])
    figures.save(drawn, folder / "levels.png")
    titles = [(name, f"mIoU {result.miou:.1%}") for name, result in found.items()]
    figures.save(skips_figures.answers(images, masks, titles, answers), folder / "without.png")
    console.line(tr("figures: [bold]{}[/]: levels.png, without.png"), shown_path(folder))


def variants(model: ExplainedModel, levels: Sequence[Level]) -> dict[str, Blanks]:
    """Return the network as it is and without each skip connection, by name, as what is taken away."""
    found: dict[str, Blanks] = {tr("all"): []}
    for level in levels[:-1]:
        channels = slice(0, level.encoder.output_shape[0])
        found[tr("without skip {size}", size=level.size)] = [
            (model.model.get_submodule(level.taker), channels)
        ]
    every = [blank for blanks in found.values() for blank in blanks]
    finest, channels = every[0]
    if len(every) > 1:
        found[tr("without all skips")] = every
    found[tr("skip {size} alone", size=levels[0].size)] = [(finest, slice(channels.stop, None))]
    return found


def tested(model: ExplainedModel) -> Tensor:
    """Return the indices of the test images that are measured, int64."""
    return torch.arange(min(IMAGES, len(model.data.test)))


def measured(model: ExplainedModel, levels: Sequence[Level], console: Console) -> dict[str, Any]:
    """Return how well the network does as it is and without each skip connection."""
    device = model.normalize.mean.device
    criterion = model.task.criterion({"_target_": "torch.nn.CrossEntropyLoss"}, None)
    found: dict[str, Any] = {}
    todo = variants(model, levels)
    with console.bar(len(todo), 0, tr("measuring"), unit="variant") as bar:
        for name, blanks in todo.items():
            batches = EvalLoader(model.data.test, tested(model), BATCH, model.normalize, device)
            with blanked(blanks):
                found[name] = loop.evaluate(
                    model.model,
                    model.task.collate(batches),
                    criterion,
                    model.task.evaluation(device),
                    model.precision,
                )
            bar.update()
    return found


def show_scores(
    console: Console, model: ExplainedModel, levels: Sequence[Level], found: dict[str, Any]
) -> None:
    """Show what the network is worth without each skip connection."""
    lines = [
        (name, f"{result.miou:.1%}", f"{where(result.confusion):.1%}", f"{what(result.confusion):.1%}")
        for name, result in found.items()
    ]
    rows(console, (tr("network"), "mIoU", tr("where"), tr("what")), lines)
    first = escape(printable(model.data.train.class_names[0]))
    whole, *others = found.items()
    costs = {name: whole[1].miou - result.miou for name, result in others[: len(levels) - 1]}
    name, alone = others[-1]
    words(
        console,
        tr(
            "\nOn {number:,} test images. where: IoU of all classes but {first} together; "
            "what: the share of the pixels found so whose class is right. To take a skip "
            "connection away, each of its maps is replaced by its mean: the network is the "
            "same, and was trained with all of them. ",
            number=len(tested(model)),
            first=first,
        )
        + sentences.on_skips(costs)
        + sentences.on_finest(
            name,
            (where(whole[1].confusion), what(whole[1].confusion)),
            (where(alone.confusion), what(alone.confusion)),
        ),
    )


@torch.no_grad()
def predicted(model: ExplainedModel, blanks: Blanks, x: Tensor) -> np.ndarray:
    """Return the classes of the pixels of images, float (N, C, H, W), as uint8 (N, H, W)."""
    with blanked(blanks), model.precision.autocast():
        classes: np.ndarray = model.model(x).argmax(dim=1).to(torch.uint8).cpu().numpy()
    return classes


@torch.no_grad()
def features(model: ExplainedModel, levels: Sequence[Level], x: Tensor) -> list[tuple[Tensor, Tensor | None]]:
    """Return what encoder and decoder make of an image at each level, float32 (C, H, W) each."""
    noted: dict[str, Tensor] = {}

    def note(name: str, module: nn.Module, args: Any, output: Tensor) -> None:
        noted[name] = output[0].float().cpu()

    names = {name for level in levels for name in (level.giver, level.taker) if name}
    watched = [(name, model.model.get_submodule(name)) for name in names]
    with forward_hooks(watched, note), model.precision.autocast():
        model.model(x)
    return [(noted[level.giver], noted.get(level.taker)) for level in levels]
