"""The layers of a model: output shapes, parameters, multiply-adds and receptive fields, without allocating it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from rich.markup import escape
from rich.table import Table
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from cnntrain.config import conf_folder, read_yaml
from cnntrain.console import Console
from cnntrain.run import Config, build_model, input_shape

Field = tuple[int, int]  # receptive field and distance between neighbouring positions, in pixels of the input
WINDOWS = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)


@dataclass(frozen=True)
class Layer:
    """One layer, as the summary shows it.

    Args:
        name: its path in the model.
        kind: its class.
        output_shape: without the batch.
        parameters: numbers to learn.
        multiply_adds: for one picture.
        receptive_field: side, in pixels, of what one output sees; None where that can't be told.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    receptive_field: int | None


class FieldTracker(TorchFunctionMode):
    """Carries receptive fields through every operation between the layers: activations, sums, flattening.

    The arithmetic: a window of side k over positions j pixels apart adds (k - 1) · j to the field, and its
    stride multiplies j (Araujo, Norris and Sim 2019, Computing Receptive Fields of CNNs).
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Give the result the largest field among the inputs."""
        result = func(*args, **(kwargs or {}))
        fields = [field for field in map(field_of, args) if field is not None]
        if fields and isinstance(result, Tensor) and field_of(result) is None:
            set_field(result, max(fields))
        return result


def field_of(value: Any) -> Field | None:
    """Return the field that a tensor carries."""
    return getattr(value, "_cnntrain_field", None) if isinstance(value, Tensor) else None


def set_field(value: Tensor, field: Field) -> None:
    """Let a tensor carry a field."""
    value._cnntrain_field = field  # type: ignore[attr-defined]


def layers(model: nn.Module, shape: tuple[int, int, int]) -> list[Layer]:
    """Return every layer that the forward pass of a model on the meta device calls, in its order.

    Args:
        model: built under ``torch.device("meta")``.
        shape: channels, height and width of a picture.
    """
    found: list[Layer] = []
    names = {module: name for name, module in model.named_modules()}

    def after_layer(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if not isinstance(output, Tensor):
            return
        before = field_of(args[0]) if args else None
        field = widened(module, before, shape)
        if field is not None:
            set_field(output, field)
        found.append(
            Layer(
                names[module],
                type(module).__name__,
                tuple(output.shape[1:]),
                sum(p.numel() for p in module.parameters(recurse=False)),
                multiply_adds(module, output),
                None if field is None else field[0],
            )
        )

    leaves = [module for module in model.modules() if not list(module.children())]
    handles = [module.register_forward_hook(after_layer) for module in leaves]
    x = torch.zeros(1, *shape, device="meta")
    set_field(x, (1, 1))
    try:
        with torch.no_grad(), FieldTracker():
            model.eval()(x)
    finally:
        for handle in handles:
            handle.remove()
    return found


def widened(module: nn.Module, before: Field | None, shape: tuple[int, int, int]) -> Field | None:
    """Return the field behind a layer, from that before it."""
    if isinstance(module, nn.Linear):
        return max(shape[1:]), 1  # sees the whole picture
    if before is None:
        return None
    if isinstance(module, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
        return max(shape[1:]), before[1]
    if not isinstance(module, WINDOWS):
        return before
    kernel, stride = first(module.kernel_size), first(module.stride)
    dilation = first(getattr(module, "dilation", 1))
    field, distance = before
    return field + dilation * (kernel - 1) * distance, distance * stride


def first(value: Any) -> int:
    """Return a number, or the first of several: the height of a window."""
    return int(value[0]) if isinstance(value, tuple) else int(value)


def multiply_adds(module: nn.Module, output: Tensor) -> int:
    """Return the multiply-adds of a convolution or a linear layer for one picture; 0 for any other."""
    if isinstance(module, nn.Conv2d):
        kernel = module.kernel_size
        return output.numel() * (module.in_channels // module.groups) * kernel[0] * kernel[1]
    if isinstance(module, nn.Linear):
        return output.numel() * module.in_features
    return 0


def show(config: Config) -> None:
    """Print the summary of the configured model."""
    shape = input_shape(config["data"])
    model = build_model(config, trust=None, device="meta")
    rows = layers(model, shape)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("layer", "kind"):
        table.add_column(heading)
    for heading in ("output", "parameters", "multiply-adds", "receptive field"):
        table.add_column(heading, justify="right")
    table.add_row("", "input", "×".join(map(str, shape)), "", "", "1")
    for row in rows:
        size = "×".join(map(str, row.output_shape))
        field = "–" if row.receptive_field is None else f"{row.receptive_field}"
        figures = (f"{row.parameters:,}", f"{row.multiply_adds:,}", field)
        table.add_row(escape(row.name), row.kind, size, *figures)
    trainable = sum(p.numel() for p in model.parameters())
    console = Console(max(1, config["verbose"]))
    console.table(table)
    console.line()
    console.line(
        f"[bold]{type(model).__name__}: {trainable:,} parameters[/] ({bytes_in_words(4 * trainable)} as fp32), "
        f"{sum(row.multiply_adds for row in rows):,} multiply-adds for a picture"
    )
    weighted = [row for row in rows if row.parameters]
    if weighted and weighted[0].kind == "Linear":
        show_convolution_instead(console, config, weighted[0])


def show_convolution_instead(console: Console, config: Config, layer: Layer) -> None:
    """Say what a convolution in place of a fully connected first layer would need."""
    channels, height, width = input_shape(config["data"])
    cnn = read_yaml(conf_folder() / "model" / "cnn.yaml")
    filters, side = cnn["channels"][0], cnn["kernel_size"]
    parameters = filters * (channels * side * side + 1)
    console.line(
        f"The first layer has a weight for each pair of one of {channels * height * width:,} input values and one of "
        f"{layer.output_shape[-1]:,} units: {layer.parameters:,} parameters.\n"
        f"A convolution sees the same picture through {filters} filters of {side}x{side} (model=cnn): "
        f"{parameters:,}, whatever the size of the picture."
    )


def bytes_in_words(size: int) -> str:
    """Return a size such as ``0.4 MB``."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
