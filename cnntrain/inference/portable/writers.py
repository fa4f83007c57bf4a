"""The formats: ONNX, torch.export's pt2 and safetensors, each with what the model is in its metadata."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cnntrain.errors import UserError, describe_error
from cnntrain.inference.portable.from_bytes import FromBytes, tensors
from cnntrain.runs.named_output import save_bytes
from cnntrain.runtime.torch_private import ignoring_sizes, looping

Run = Callable[..., Tensor]


@dataclass(frozen=True)
class Source:
    """What is written.

    Args:
        model: the model in evaluation mode.
        example: images, uint8 (2 or 1, C, H, W), that the exporters follow through the model.
        any_size: whether the exported model takes other heights and widths too.
        metadata: what a file says about its model.
    """

    model: FromBytes
    example: Tensor
    any_size: bool
    metadata: dict[str, str]

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What the exporters follow through the model."""
        return (self.example,)

    @property
    def names(self) -> tuple[str, ...]:
        """What the inputs are called in ONNX."""
        return ("images",)

    @property
    def loops(self) -> bool:
        """Whether torch.export is to write recurrent layers as loops over any number of steps."""
        return False

    def as_written(self, kind: str) -> Source:
        """Return what is written in a format."""
        return self

    def given(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return inputs as the written model takes them."""
        return inputs

    def dynamic_shapes(self, kind: str) -> dict[str, dict[int, Any]]:
        """Return the sides of ``images`` that may have any length, as the exporter of a format takes them."""
        free = torch.export.Dim
        if self.model.exported.one_at_a_time:
            return {"images": {}}
        if not self.any_size:
            return {"images": {0: free("N")}}
        # torch.export calls a named side constrained that is in an inequality, even in one that always holds.
        names = {0: "N", 2: "H", 3: "W"}
        return {"images": {side: free(n) if kind == "onnx" else free.DYNAMIC for side, n in names.items()}}


def traced(source: Source) -> torch.export.ExportedProgram:
    """Return the program of torch.export.

    The example stands for images of any size.
    """
    with quietly(), ignoring_sizes(source.any_size), looping(source.loops):
        return torch.export.export(source.model, source.inputs, dynamic_shapes=source.dynamic_shapes("pt2"))


def why_one_size(source: Source) -> str:
    """Return why a model takes images of its own size alone; empty if it takes any."""
    height, width = source.example.shape[2:]
    other = source.example.new_zeros(*source.example.shape[:2], height + 5, width + 3)
    try:
        with torch.no_grad():
            found = tuple(source.model(other).shape[2:])
        if found != tuple(other.shape[2:]):
            return f"of {height + 5}×{width + 3} pixels it makes {'×'.join(map(str, found))}"
        traced(source)
    except Exception as error:  # whatever the network, or torch's tracing, may raise
        return describe_error(error)
    return ""


def takes_any_height(model: FromBytes) -> bool:
    """Return whether a network reads images of any height, as recurrent ones do that read rows."""
    return bool(getattr(model.model, "takes_any_height", False))


def is_by_torchscript(model: nn.Module) -> bool:
    """Return whether a network is exported to ONNX by the exporter for TorchScript.

    What a two-stage detector looks at depends on what it has found, which torch.export can't follow.
    """
    return bool(getattr(model, "by_torchscript", False))


def to_onnx(model: nn.Module, source: Source, outputs: Sequence[str], any_height: bool = False) -> Any:
    """Return a model as a ``ModelProto``.

    Args:
        model: the source's, or one around it that gives several outputs.
        source: what the exporter follows through it, and which sides of that may have any length.
        outputs: the names of the outputs.
        any_height: whether the model takes images of any height.

    Raises:
        UserError: the model can't be exported.
    """
    import onnx

    names: dict[str, Any] = {"input_names": list(source.names), "output_names": list(outputs)}
    with quietly(), exporting("onnx"), looping(wanted=False):  # torch.onnx asks for loops itself
        if takes_any_height(source.model) or is_by_torchscript(source.model.model):
            # torch.export would unroll recurrent layers to a fixed number of steps, which this one does not.
            axes = {"images": {0: "N", 2: "H"}, outputs[0]: {0: "N"}} if any_height else {}
            buffer: Any = io.BytesIO()
            torch.onnx.export(model, source.inputs, buffer, dynamo=False, dynamic_axes=axes, **names)
            return onnx.load_from_string(buffer.getvalue())
        shapes = source.dynamic_shapes("onnx")
        program = torch.onnx.export(
            model, source.inputs, dynamo=True, dynamic_shapes=shapes, verbose=False, **names
        )
        assert program is not None
        return program.model_proto


def write_onnx(source: Source, file: Path) -> Run:
    """Write ONNX and return a function that runs it in onnxruntime."""
    import onnx
    import onnxruntime

    any_height = takes_any_height(source.model)
    proto = to_onnx(source.model, source, [source.model.exported.output], any_height)
    extra = {"height": "any, since each row is a step"} if any_height else {}
    onnx.helper.set_model_props(proto, {**source.metadata, **extra})
    onnx.checker.check_model(proto, full_check=True)
    save_bytes(file, proto.SerializeToString())
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def run(*inputs: Tensor) -> Tensor:
        given = {name: part.numpy() for name, part in zip(source.names, inputs, strict=True)}
        return torch.from_numpy(session.run(None, given)[0])

    return run


def write_pt2(source: Source, file: Path) -> Run:
    """Write the program of torch.export and return a function that runs it."""
    buffer, source = io.BytesIO(), source.as_written("pt2")
    with exporting("pt2"):
        program = traced(source)
        with quietly():
            torch.export.save(program, buffer, extra_files={"metadata.json": json.dumps(source.metadata)})
    save_bytes(file, buffer.getvalue())
    with quietly():
        loaded = torch.export.load(file).module()
    return lambda *inputs: loaded(*source.given(*inputs))


def write_safetensors(source: Source, file: Path) -> None:
    """Write the network's weights, under the names that its state_dict has."""
    from safetensors.torch import save

    weights = {name: weight.contiguous().clone() for name, weight in tensors(source.model.model).items()}
    metadata = source.metadata
    own = {**metadata, "input": f"float32, normalised; {metadata['input']}"}
    save_bytes(file, save(weights, {**own, "output": source.model.exported.raw}))


WRITERS: dict[str, Callable[[Source, Path], Run | None]] = {
    "onnx": write_onnx,
    "pt2": write_pt2,
    "safetensors": write_safetensors,
}


@contextmanager
def exporting(kind: str) -> Iterator[None]:
    """Report in one line that torch can't export a model."""
    try:
        yield
    except Exception as error:  # whatever torch's tracing may raise
        reason = describe_error(error.__cause__ or error)
        raise UserError(
            f"this model can't be exported to {kind}: {reason}\n"
            "cnntrain export RUN 'formats=[safetensors]' writes its weights"
        ) from error


@contextmanager
def quietly() -> Iterator[None]:
    """Omit what torch's exporters say about themselves; what they fail at is in their exceptions."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"), redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)
