"""``cnntrain demo``: the trained network in a page that runs it in the browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cnntrain.config.sections import DemoSettings
from cnntrain.demo.gallery import MARGIN, lies_as_in_mnist, shown, test_images
from cnntrain.demo.graph import graph_of
from cnntrain.demo.page import LARGEST, Demo, assets, page
from cnntrain.demo.serving import serve
from cnntrain.drawing.boxes import color_of
from cnntrain.drawing.masks import css, palette
from cnntrain.errors import UserError
from cnntrain.inference.export import check_traced, check_weights
from cnntrain.inference.model import Trained
from cnntrain.inference.portable.from_bytes import FromBytes
from cnntrain.language.translation import speaking
from cnntrain.runs import run_folder
from cnntrain.runs.named_output import is_stdout, message_console, write, write_named
from cnntrain.runtime.console import format_bytes
from cnntrain.tasks.boxes import BoxTask
from cnntrain.text import encoded, network_name, shown_path

NAME = "demo.html"


def demo(
    settings: DemoSettings,
    path: Path,
    state: Mapping[str, Any],
    trust: Sequence[str] | None = (),
    serves: bool = False,
) -> None:
    """Write the page of a checkpoint's network, or serve it.

    Args:
        settings: the model and its data.
        path: the checkpoint file.
        state: its contents.
        trust: packages that the configuration may name under ``data``; None for what the user typed.
        serves: whether the page is served until Ctrl-C, and no file written.

    Raises:
        UserError: the model can't be exported, the page can't be written, or is too large.
        RunFailed: what was exported gives other outputs than torch.
    """
    console = message_console(settings.out, verbose=settings.trained.engine.verbose)
    file = file_of(settings.out, path)
    trained = Trained(settings.trained, path, state)
    check_weights(trained.model)
    check_traced(trained.model, ["onnx"])
    normalization = trained.normalization
    mean, std = (torch.tensor(normalization[name], dtype=torch.float32) for name in ("mean", "std"))
    model = FromBytes(trained.model, trained.task, mean, std).eval()
    images, targets, what = test_images(settings, trained.shape, console, trust)
    with console.bar(1, 0, "exporting", unit="file"):
        graph = graph_of(model, images)
    check_output(model, images, trained.class_names)
    parts = assets(graph)
    if not serves:
        check_size(parts)
    with speaking(settings.lang):
        html = page(shown_of(settings, trained, path, images, targets), graph, {} if serves else parts)
    if serves:
        console.line("largest difference from torch {} on {}", f"{graph.difference:.1e}", what)
        serve(html, parts, lambda address: print(address, flush=True))
        return
    if settings.out is not None and is_stdout(settings.out):
        write(settings.out, html, console)
        return
    data = encoded(html)
    write_named(file, data)
    line = f"{format_bytes(len(data))}, largest difference from torch {graph.difference:.1e} on {what}"
    console.line("[bold]{}[/]  {}", shown_path(file), line)


def file_of(out: str | None, path: Path) -> Path:
    """Return where the page is written: what was typed, or in the folder of the run.

    Raises:
        UserError: it can't be written there.
    """
    if out is None:
        own = path.parent.name == run_folder.CHECKPOINTS
        file = (path.parent.parent if own else path.parent) / NAME
    else:
        file = run_folder.typed_path(out)
    if not file.exists():
        run_folder.make_folder(file.parent)
    return file


def check_output(model: FromBytes, images: Tensor, class_names: Sequence[str]) -> None:
    """Raise a UserError if the page can't show what a task makes of the outputs."""
    task = model.task
    if task.labels_pixels or isinstance(task, BoxTask):
        return
    with torch.no_grad():
        got = tuple(model(images[:1]).shape[1:])
    if got != (len(class_names),):
        raise UserError(
            f"demo shows a value for each of {len(class_names)} classes, masks or boxes, and "
            f"{type(task).__name__} gives {'×'.join(map(str, got)) or 'one value'}"
        )


def check_size(parts: Mapping[str, bytes]) -> None:
    """Raise a UserError if a network is too large for one page."""
    size = len(parts["model"])
    if size > LARGEST:
        raise UserError(
            f"the network takes {format_bytes(size)}, too much for one page, which may hold "
            f"{format_bytes(LARGEST)}: cnntrain demo RUN --serve"
        )


def shown_of(
    settings: DemoSettings, trained: Trained, path: Path, images: Tensor, targets: Tensor | None
) -> Demo:
    """Return what the page shows of a trained model."""
    task, names = trained.task, list(trained.class_names)
    places = [] if targets is None else shown(images, targets)
    of_classes = targets is not None and targets.dim() == 1
    labels = [names[int(targets[place])] if of_classes and targets is not None else "" for place in places]
    height = trained.shape[1]
    size = trained.resize_size
    tall, wide = (size, size) if isinstance(size, int) else size
    own = path.parent.name == run_folder.CHECKPOINTS
    return Demo(
        name=(path.parent.parent if own else path).resolve().name,
        model=network_name(settings.trained.model.node, type(trained.model).__name__),
        task="masks" if task.labels_pixels else "boxes" if isinstance(task, BoxTask) else "classes",
        class_names=names,
        colors=colors_of(trained),
        shape=trained.shape,
        resize=trained.resize,
        resize_size=(tall, wide),
        box=round(MARGIN * height) if targets is not None and lies_as_in_mnist(images) else None,
        images=images[places],
        labels=labels,
    )


def colors_of(trained: Trained) -> list[str] | None:
    """Return the colours of the classes; None where an image has one class."""
    number = range(len(trained.class_names))
    if trained.task.labels_pixels:
        return [css(palette()[label]) for label in number]
    return [css(color_of(label)) for label in number] if isinstance(trained.task, BoxTask) else None
