"""A trained model for use elsewhere: ONNX, torch.export and safetensors, each checked against torch."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cnntrain import __version__
from cnntrain.config.sections import DataSettings, ExportSettings, ModelSettings
from cnntrain.data.batches import raised
from cnntrain.data.reader import Reader
from cnntrain.errors import CnntrainError, RunFailed, UserError, in_words
from cnntrain.inference.model import Trained
from cnntrain.inference.portable import README, describe, preprocessing
from cnntrain.runs import run_folder
from cnntrain.runs.checkpoint import write_atomically
from cnntrain.runtime.console import Console, bytes_in_words
from cnntrain.tasks.base import Task
from cnntrain.text import network_name, printable, shown_path, some

IMAGES = 1000  # of the test set, on which an exported model is compared with torch
LARGEST_DIFFERENCE = 1e-4  # in a probability; of larger outputs, as a share of the largest one
BATCHES = (1, 7, 256)  # sizes that the comparison goes through, since the batch is to be of any size
NAME = "model"


class FromBytes(nn.Module):
    """A network with its preprocessing before it and the task's head behind it: from bytes to probabilities.

    Args:
        model: maps float (N, C, H, W) to outputs, such as logits (N, classes).
        task: makes of them what a user wants, such as probabilities.
        mean: of each channel, for pixels between 0 and 1.
        std: likewise.
    """

    def __init__(self, model: nn.Module, task: Task, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.model = model
        self.task = task
        self.exported = task.exported()
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", 255 * mean.view(1, -1, 1, 1))
        self.register_buffer("scale", 1 / (255 * std.view(1, -1, 1, 1)))

    def forward(self, images: Tensor) -> Tensor:
        """Map uint8 (N, C, H, W) to what the task makes of the outputs, float32 (N, ...)."""
        x = (images.to(torch.float32) - self.mean) * self.scale
        return self.task.activate(self.model(x))


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
    normalization = trained.normalization
    mean, std = (torch.tensor(normalization[name], dtype=torch.float32) for name in ("mean", "std"))
    model = FromBytes(trained.model, trained.task, mean, std).eval()
    images, what = images_for(settings.trained.data, trained, console, data_trust)
    with torch.no_grad():
        expected = torch.cat([model(part) for part in images.split(256)])

    own = path.parent.name == run_folder.CHECKPOINTS
    folder = (path.parent.parent if own else path.parent) / "export"
    run_folder.make_folder(folder, advice="")
    files = []
    for kind in settings.formats:
        file = folder / f"{NAME}.{kind}"
        with console.bar(1, 0, f"exporting {kind}", unit="file"):
            run = WRITERS[kind](model, images[:2], file, facts(trained, settings.trained.model))
        files.append(file)
        size = bytes_in_words(file.stat().st_size)
        if run is None:
            console.line("[bold]{}[/]  {}, the weights as they are", shown_path(file), size)
            if others := left_out(trained.model):
                console.warn(f"left out of {file.name}, since they are not tensors: {some(others)}")
            continue
        with torch.no_grad():
            found = torch.cat([run(part) for part in in_batches(images)])
        difference = float((found - expected).abs().max())
        same = trained.task.means_the_same(found, expected)
        told = f"{size}, largest difference {difference:.1e} on {what}"
        console.line("[bold]{}[/]  {}", shown_path(file), told)
        if not same or not difference < LARGEST_DIFFERENCE * max(1.0, float(expected.abs().max())):
            raise RunFailed(
                f"{file} gives other {model.exported.output} than torch: up to {difference:.2g} apart, and "
                f"{'the same' if same else 'other'} {trained.task.listed} on {what}"
            )
    describe(folder, settings.formats, facts(trained, settings.trained.model), model.exported)
    and_script = ", and a script that does it" if model.exported.script else ""
    line = f"how images get into it{and_script}: [bold]{{}}[/]"
    console.line(line, shown_path(folder / README))
    return files


def check_weights(model: nn.Module) -> None:
    """Raise a UserError that names the first tensor with a value that is NaN or infinite."""
    for name, weight in tensors(model).items():
        if weight.is_floating_point() and not weight.isfinite().all():
            raise UserError(
                f"the model can't be exported: {printable(name)} holds values that are NaN or infinite"
            )


def tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a model's state_dict, which may hold extra state of other types too."""
    return {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}


def left_out(model: nn.Module) -> list[str]:
    """Return the names of what a model's state_dict holds besides tensors."""
    return [name for name, value in model.state_dict().items() if not isinstance(value, Tensor)]


def images_for(
    settings: DataSettings, trained: Trained, console: Console, trust: Sequence[str] | None
) -> tuple[Tensor, str]:
    """Return images to compare on, uint8 (N, C, H, W), and what they are: of the test set if it is here."""
    try:
        test = Reader(settings, console, trust).read(is_train=False)
        count = min(IMAGES, len(test))
        images, _ = raised(test.__getitems__(np.arange(count)))
        return images, f"{count:,} test images"
    except CnntrainError as error:
        console.warn(f"compared on noise, since the test images can't be read: {error}")
        generator = torch.Generator().manual_seed(0)
        shape = (64, *trained.shape)
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8), "64 images of noise"


def in_batches(images: Tensor) -> Iterator[Tensor]:
    """Yield images in batches of several sizes."""
    begin = 0
    for size in BATCHES[:-1]:
        if begin + size < len(images):
            yield images[begin : begin + size]
            begin += size
    yield from images[begin:].split(BATCHES[-1])


def facts(trained: Trained, settings: ModelSettings) -> dict[str, str]:
    """Return what a file says of its model, as text."""
    return {
        "class_names": json.dumps(trained.class_names),
        "input": f"uint8 (N, {', '.join(map(str, trained.shape))}), pixels from 0 to 255",
        "output": trained.task.exported().meaning,
        "normalization": json.dumps(trained.normalization),
        "preprocessing": json.dumps(preprocessing(trained)),
        "model": network_name(settings.node, type(trained.model).__name__),
        "cnntrain": __version__,
        "torch": str(torch.__version__),
    }


Run = Callable[[Tensor], Tensor]


def write_onnx(model: FromBytes, example: Tensor, file: Path, metadata: dict[str, str]) -> Run:
    """Write ONNX and return a function that runs it in onnxruntime."""
    import onnx
    import onnxruntime

    with quietly(), exporting("onnx"):
        program = torch.onnx.export(
            model,
            (example,),
            dynamo=True,
            dynamic_shapes={"images": {0: torch.export.Dim("N")}},
            verbose=False,
            input_names=["images"],
            output_names=[model.exported.output],
        )
    assert program is not None
    proto = program.model_proto
    onnx.helper.set_model_props(proto, metadata)
    onnx.checker.check_model(proto, full_check=True)
    write(file, proto.SerializeToString())
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(None, {"images": images.numpy()})[0])


def write_pt2(model: FromBytes, example: Tensor, file: Path, metadata: dict[str, str]) -> Run:
    """Write the program of torch.export and return a function that runs it."""
    import io

    buffer = io.BytesIO()
    with quietly(), exporting("pt2"):
        program = torch.export.export(
            model, (example,), dynamic_shapes={"images": {0: torch.export.Dim("N")}}
        )
        torch.export.save(program, buffer, extra_files={"metadata.json": json.dumps(metadata)})
    write(file, buffer.getvalue())
    with quietly():
        loaded = torch.export.load(file).module()
    return lambda images: loaded(images)


def write_safetensors(model: FromBytes, example: Tensor, file: Path, metadata: dict[str, str]) -> None:
    """Write the network's weights, under the names that its state_dict has."""
    from safetensors.torch import save

    weights = {name: weight.contiguous().clone() for name, weight in tensors(model.model).items()}
    own = {**metadata, "input": f"float32, normalised; {metadata['input']}", "output": model.exported.raw}
    write(file, save(weights, own))


WRITERS: dict[str, Callable[[FromBytes, Tensor, Path, dict[str, str]], Run | None]] = {
    "onnx": write_onnx,
    "pt2": write_pt2,
    "safetensors": write_safetensors,
}


def write(file: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    try:
        write_atomically(file, data)
    except OSError as error:
        raise RunFailed(f"{file} can't be written: {error.strerror or error}") from error


@contextmanager
def exporting(kind: str) -> Iterator[None]:
    """Tell in a line that torch can't export a model."""
    try:
        yield
    except Exception as error:  # whatever torch's tracing may raise
        raise UserError(f"this model can't be exported to {kind}: {in_words(error)}") from error


@contextmanager
def quietly() -> Iterator[None]:
    """Leave out what torch's exporters say of themselves."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)
