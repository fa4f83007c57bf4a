"""The arithmetic of each layer with its numbers put in: output size, parameters, receptive field."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cnntrain.models.hooks import forward_hooks
from cnntrain.models.summary import ENLARGING, WINDOWS, Layer, layers, side

NORMS = (nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)


@dataclass(frozen=True)
class Place:
    """Where one output of a layer looks, in pixels of the image, along one side.

    Args:
        field: side of the square that it sees, the receptive field.
        jump: distance between the squares of two neighbours.
        start: first pixel of the first square; negative where there is padding.
    """

    field: int = 1
    jump: int = 1
    start: int = 0


@dataclass(frozen=True)
class TracedLayer:
    """One call of a layer.

    Args:
        layer: the layer as the summary shows it.
        module: the layer itself.
        input_shape: without the batch.
        before: where its inputs look; None where that can't be determined.
        place: where its outputs look; None where that can't be determined.
    """

    layer: Layer
    module: nn.Module
    input_shape: tuple[int, ...]
    before: Place | None
    place: Place | None


def trace(model: nn.Module, shape: tuple[int, int, int]) -> list[TracedLayer]:
    """Return every layer that the forward pass calls, in its order, with what goes in and comes out.

    Args:
        model: built under ``torch.device("meta")``.
        shape: channels, height and width of an image.
    """
    called: list[tuple[str, nn.Module, tuple[int, ...]]] = []

    def after_layer(name: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        inputs = tuple(args[0].shape[1:]) if args and isinstance(args[0], Tensor) else ()
        called.append((name, module, inputs))

    with forward_hooks(model.named_modules(), after_layer):
        rows = layers(model, shape)
    found = []
    place: Place | None = Place()
    calls = iter(called)  # in the order of the rows; not all of them have one
    for row in rows:
        module, inputs = next((module, inputs) for name, module, inputs in calls if name == row.name)
        before, place = place, place and moved(place, module, row)
        found.append(TracedLayer(row, module, inputs, before, place))
    return found


def moved(place: Place, module: nn.Module, row: Layer) -> Place | None:
    """Return where the outputs of a layer look; None unless the summary, which follows branches too, agrees.

    A window of side k over positions j pixels apart sees (k - 1) · j pixels more, begins p · j pixels
    earlier for a padding of p, and its stride multiplies j (Araujo, Norris and Sim 2019).
    """
    if isinstance(module, ENLARGING):
        return None
    if isinstance(module, WINDOWS):
        kernel, stride, dilation, padding = window(module)
        if kernel is None or stride is None or padding is None:
            return None
        field = place.field + dilation * (kernel - 1) * place.jump
        after = Place(field, place.jump * stride, place.start - padding * place.jump)
    else:
        after = place
    return after if after.field == row.receptive_field and len(row.output_shape) == 3 else None


def window(module: Any) -> tuple[int | None, int | None, int, int | None]:
    """Return side, stride, dilation and padding of a window; None for what is not the same both ways."""
    padding = module.padding
    border = None if isinstance(padding, str) else side(padding)
    return side(module.kernel_size), side(module.stride), side(getattr(module, "dilation", 1)) or 1, border


def describe_size(traced: TracedLayer) -> str:
    """Return how an output size is computed: ``(28 + 2·1 − 3)/1 + 1 = 28``; empty where nothing changes."""
    module, before, after = traced.module, traced.input_shape, traced.layer.output_shape
    if isinstance(module, WINDOWS) and len(before) == len(after) == 3:
        if before[1] != before[2] or after[1] != after[2]:
            return ""
        return describe_window(module, before[1], after[1])
    if isinstance(module, nn.Flatten) and len(before) > 1:
        return f"{'·'.join(map(str, before))} = {math.prod(before):,}"
    return ""


def describe_window(module: Any, size: int, result: int) -> str:
    """Return the formula of ``torch.nn.Conv2d`` and of pooling with the numbers of one side put in."""
    kernel, stride, dilation, padding = window(module)
    if kernel is None or stride is None or padding is None or getattr(module, "ceil_mode", False):
        return ""
    span = dilation * (kernel - 1) + 1
    border = f" + 2·{padding}" if padding else ""
    width = f"{span}" if dilation == 1 else f"({dilation}·({kernel} − 1) + 1)"
    left = f"{size}{border} − {width}"
    is_whole = (size + 2 * padding - span) % stride == 0
    steps = f"({left})/{stride}" if is_whole else f"⌊({left})/{stride}⌋"
    return f"{steps} + 1 = {result}"


def describe_parameters(traced: TracedLayer) -> str:
    """Return how a number of parameters is computed: ``3·3·1·32 + 32 = 320``; empty for none."""
    module, total = traced.module, traced.layer.parameters
    if not total:
        return ""
    terms = terms_of(module)
    return f"{terms} = {total:,}" if terms else f"{total:,}"


def terms_of(module: Any) -> str:
    """Return the terms of a number of parameters, weights and biases, with the numbers put in."""
    if isinstance(module, nn.Conv2d):
        high, wide = module.kernel_size
        weights = f"{high}·{wide}·{module.in_channels // module.groups}·{module.out_channels}"
        return weights + (f" + {module.out_channels}" if module.bias is not None else "")
    if isinstance(module, nn.Linear):
        weights = f"{module.in_features}·{module.out_features}"
        return weights + (f" + {module.out_features}" if module.bias is not None else "")
    if isinstance(module, nn.RNNBase):
        return recurrent_terms(module)
    if isinstance(module, nn.MultiheadAttention) and module.in_proj_weight is not None:
        width = module.embed_dim  # queries, keys and values; then the output
        return f"3·({width}·{width} + {width}) + {width}·{width} + {width}"
    if isinstance(module, NORMS) and module.weight is not None and module.bias is not None:
        return f"{module.weight.numel()} + {module.bias.numel()}"
    return ""


def recurrent_terms(module: nn.RNNBase) -> str:
    """Return the parameters of recurrent layers, in terms of what each gate reads: ``4·(28·128 + ...)``.

    A gate has a weight for each input and for each number of the state, and two biases.
    """
    width, ways = module.hidden_size, 2 if module.bidirectional else 1
    gates = {"LSTM": 4, "GRU": 3}.get(module.mode, 1)
    terms = []
    for layer in range(module.num_layers):
        inputs = module.input_size if layer == 0 else ways * width
        of_gate = f"{inputs}·{width} + {width}·{width}" + (f" + 2·{width}" if module.bias else "")
        terms.append(f"{gates * ways}·({of_gate})")
    return " + ".join(terms)


def describe_field(traced: TracedLayer) -> str:
    """Return how a receptive field is computed: ``3 + (2 − 1)·1 = 4``."""
    field, before, place = traced.layer.receptive_field, traced.before, traced.place
    if field is None:
        return "–"
    if not isinstance(traced.module, WINDOWS) or before is None or place is None:
        return f"{field}"
    kernel, _, dilation, _ = window(traced.module)
    factor = f"{dilation}·" if dilation > 1 else ""
    return f"{before.field} + {factor}({kernel} − 1)·{before.jump} = {field}"


def describe_total(rows: list[TracedLayer], total: int) -> str:
    """Return all parameters as one sum: ``784·128 + 128 + 128·10 + 10 = 101,770``."""
    modules = {id(row.module): row for row in rows if row.layer.parameters}  # one may be called twice
    terms = " + ".join(terms_of(row.module) or f"{row.layer.parameters:,}" for row in modules.values())
    is_all = sum(row.layer.parameters for row in modules.values()) == total
    return f"{terms} = {total:,}" if is_all and terms else f"{total:,}"


def format_shape(shape: tuple[int, ...] | torch.Size) -> str:
    """Return a shape as ``16×28×28``."""
    return "×".join(map(str, shape)) or "()"
