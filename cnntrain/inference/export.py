"""A trained model for use elsewhere: ONNX, torch.export and safetensors, each checked against torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cnntrain import __version__
from cnntrain.config.inputs import IMAGES as ARE_IMAGES
from cnntrain.config.sections import ExportSettings, ModelSettings
from cnntrain.data.batches import raise_if_error
from cnntrain.data.reader import Reader
from cnntrain.errors import CnntrainError, RunFailed, UserError
from cnntrain.inference.model import Trained
from cnntrain.inference.portable.comparison import IMAGES, VALUES, at_most, compared, in_other_sizes
from cnntrain.inference.portable.description import README, SCRIPT, describe, preprocessing, sizes_taken
from cnntrain.inference.portable.from_bytes import FromBytes, left_out, tensors
from cnntrain.inference.portable.writers import (
    WRITERS,
    Source,
    is_by_torchscript,
    takes_any_height,
    why_one_size,
)
from cnntrain.inference.sequences.export import (
    FromSequences,
    SequenceSource,
    batches_for,
    compared_on_batches,
)
from cnntrain.inference.sequences.export import describe as describe_sequences
from cnntrain.inference.sequences.export import facts as facts_of_sequences
from cnntrain.runs import run_folder
from cnntrain.runtime.console import Console, count, format_bytes
from cnntrain.text import network_name, printable, shown_path, some, together

NAME = "model"
NOISE = 64  # images of noise, in place of those of a test set
OTHERS = 100  # images that are compared in other sizes too, or one at a time, at most


def export(
    settings: ExportSettings, path: Path, state: Mapping[str, Any], data_trust: Sequence[str] | None = ()
) -> list[Path]:
    """Write a checkpoint's model in each of the formats, and compare what was written with torch.

    Args:
        settings: the model, and the formats.
        path: the checkpoint file.
        state: its contents.
        data_trust: packages that the configuration may name under ``data``; None for what the user typed.

    Returns:
        The files.

    Raises:
        UserError: the model can't be exported.
        RunFailed: what was written gives other outputs than torch, or can't be written.
    """
    console = Console(settings.trained.engine.verbose)
    trained = Trained(settings.trained, path, state)
    check_weights(trained.model)
    check_traced(trained.model, settings.formats)
    if trained.inputs != ARE_IMAGES:
        return export_sequences(settings, trained, folder_of(path), console, data_trust)
    normalization = trained.normalization
    mean, std = (torch.tensor(normalization[name], dtype=torch.float32) for name in ("mean", "std"))
    model = FromBytes(trained.model, trained.task, mean, std).eval()
    folder = folder_of(path)
    read, what = images_for(settings, trained, model, console, data_trust)
    images = [read]
    # Colours beside each other in memory would hold torch.export to batches of more than one image.
    read = read.contiguous()
    example = read[:1] if model.exported.one_at_a_time else torch.cat([read, read])[:2]
    source = Source(model, example, False, {})
    if trained.task.labels_pixels:
        source = of_any_size(source, settings.formats, console)
    if source.any_size:
        images += in_other_sizes(read[:OTHERS])
        what += f", {min(OTHERS, len(read))} of them in other sizes too"
    source = replace(source, metadata=facts(trained, settings.trained.model, source.any_size))
    files = [write_one(kind, source, folder, images, what, console) for kind in settings.formats]
    any_height = "onnx" in settings.formats and takes_any_height(model)
    takes = sizes_taken(trained.shape[1:], source.any_size, any_height)
    beside = describe(folder, settings.formats, source.metadata, trained.task, takes)
    and_script = ", and a script that does it" if SCRIPT in beside else ""
    line = f"how images get into it{and_script}: [bold]{{}}[/]"
    console.line(line, shown_path(folder / README))
    name_older_files(folder, [*(file.name for file in files), *beside], console)
    return files


def folder_of(path: Path) -> Path:
    """Return the folder for what is exported of a checkpoint, which is there then."""
    own = path.parent.name == run_folder.CHECKPOINTS
    folder = (path.parent.parent if own else path.parent) / "export"
    run_folder.make_folder(folder, advice="")
    return folder


def export_sequences(
    settings: ExportSettings,
    trained: Trained,
    folder: Path,
    console: Console,
    data_trust: Sequence[str] | None,
) -> list[Path]:
    """Write a model of sequences in each of the formats, and compare what was written with torch."""
    batches, what = batches_for(settings, trained, console, data_trust)
    model = FromSequences(trained).eval()
    metadata = {**facts(trained, settings.trained.model, False), **facts_of_sequences(trained)}
    source = SequenceSource(model, batches[0][0], False, metadata, batches[0][1], trained.shape[1])
    files = [write_one(kind, source, folder, batches, what, console) for kind in settings.formats]
    describe_sequences(folder, settings.formats, metadata, model)
    console.line("how sequences get into it: [bold]{}[/]", shown_path(folder / README))
    name_older_files(folder, [file.name for file in files], console)
    return files


def name_older_files(folder: Path, written: Sequence[str], console: Console) -> None:
    """Name the files of an earlier export, which may be of other weights than those written now."""
    possible = [*(f"{NAME}.{kind}" for kind in WRITERS), SCRIPT]
    older = [name for name in possible if name not in written and (folder / name).exists()]
    if older:
        console.line("left from an earlier export, and not described: [bold]{}[/]", ", ".join(older))


def of_any_size(source: Source, formats: Sequence[str], console: Console) -> Source:
    """Return what is written of a model that labels pixels: for images of any size, if that is possible."""
    source = replace(source, any_size=True)
    programs = [kind for kind in formats if kind != "safetensors"]
    if not programs:
        return source
    with console.bar(1, 0, "looking at images of other sizes", unit="size"):
        reason = why_one_size(source)
    if not reason:
        return source
    size = "×".join(map(str, source.example.shape[2:]))
    console.warn(f"{together(programs)} will take images of {size} pixels alone: {reason}")
    return replace(source, any_size=False)


def write_one(
    kind: str, source: Source, folder: Path, images: Sequence[Any], what: str, console: Console
) -> Path:
    """Write a model in one format, and compare what was written with torch.

    Args:
        kind: the format.
        source: what is written.
        folder: where.
        images: uint8 (N, C, H, W), sets of several sizes; of a model of sequences batches of those.
        what: these are, in words.
        console: where the result is printed.

    Raises:
        UserError: the model can't be exported.
        RunFailed: what was written gives other outputs than torch, or can't be written.
    """
    file, model = folder / f"{NAME}.{kind}", source.model
    with console.bar(1, 0, f"exporting {kind}", unit="file"):
        run = WRITERS[kind](source, file)
        if kind == "onnx" and takes_any_height(model):
            images = [*images, images[0][:OTHERS, :, ::2]]
        how = compared_on_batches if isinstance(source, SequenceSource) else compared
        found = None if run is None else how(run, model, images)
    size = format_bytes(file.stat().st_size)
    if found is None:
        console.line("[bold]{}[/]  {}, the weights as they are", shown_path(file), size)
        if others := left_out(model.model):
            console.warn(f"left out of {file.name}, since they are not tensors: {some(others)}")
        return file
    text = f"{size}, largest difference {found.difference:.1e} on {what}"
    console.line("[bold]{}[/]  {}", shown_path(file), text)
    if not found.holds:
        raise RunFailed(
            f"{file} gives other {model.exported.output} than torch: up to {found.difference:.2g} apart, and "
            f"{'the same' if found.same else 'other'} {model.task.listed} on {what}"
        )
    return file


def check_traced(model: nn.Module, formats: Sequence[str]) -> None:
    """Raise a UserError if a format is that of torch.export, which can't follow a model."""
    if "pt2" in formats and is_by_torchscript(model):
        raise UserError(
            f"{type(model).__name__} can't be exported to pt2: torch.export can't follow how it chooses its "
            "boxes\nformats=[onnx,safetensors] writes the others"
        )


def check_weights(model: nn.Module) -> None:
    """Raise a UserError that names the first tensor with a value that is NaN or infinite."""
    for name, weight in tensors(model).items():
        if weight.is_floating_point() and not weight.isfinite().all():
            raise UserError(
                f"the model can't be exported: {printable(name)} holds values that are NaN or infinite"
            )


def images_for(
    settings: ExportSettings,
    trained: Trained,
    model: FromBytes,
    console: Console,
    trust: Sequence[str] | None,
) -> tuple[Tensor, str]:
    """Return images to compare on, uint8 (N, C, H, W), and what they are: of the test set if it is here."""
    most = OTHERS if model.exported.one_at_a_time else min(IMAGES, at_most(VALUES, model, trained.shape[1:]))
    try:
        test = Reader(settings.trained.data, console, trust).read(is_train=False)
        images, _ = raise_if_error(test.__getitems__(np.arange(min(most, len(test)))))
        return images, count(len(images), "test image")
    except CnntrainError as error:
        if settings.names_data:
            raise
        console.warn(f"compared on noise, since the test images can't be read: {error}")
        generator = torch.Generator().manual_seed(0)
        shape = (min(most, NOISE), *trained.shape)
        images = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
        return images, f"{count(len(images), 'image')} of noise"


def facts(trained: Trained, settings: ModelSettings, any_size: bool) -> dict[str, str]:
    """Return what a file says about its model, as text.

    Args:
        trained: the model.
        settings: what was typed of it.
        any_size: whether it takes images of any height and width.
    """
    channels, height, width = trained.shape
    batch = 1 if trained.task.exported().one_at_a_time else "N"
    shape = f"({batch}, {channels}, {height}, {width})"
    if any_size:
        shape = f"(N, {channels}, H, W), trained with {height}×{width}"
    return {
        "class_names": json.dumps(trained.class_names),
        "input": f"uint8 {shape}, pixels from 0 to 255",
        "output": trained.task.exported().scheme,
        "normalization": json.dumps(trained.normalization),
        "preprocessing": json.dumps(preprocessing(trained)),
        "model": network_name(settings.node, type(trained.model).__name__),
        "cnntrain": __version__,
        "torch": str(torch.__version__),
        **trained.task.exported().metadata,
    }
