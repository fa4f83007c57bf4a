"""The tensors inside a network that the page shows, and how the values of one are made of another's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import activation, batchnorm

from cnntrain.inference.portable.from_bytes import FromBytes
from cnntrain.models.hooks import changed_inputs, forward_hooks, leaves
from cnntrain.report.model_views import SILENT

POOLS = {nn.MaxPool2d: "max", nn.AvgPool2d: "mean", nn.AdaptiveMaxPool2d: "max", nn.AdaptiveAvgPool2d: "mean"}
DISTRIBUTIONS = (nn.Softmax, nn.LogSoftmax, nn.Softmin, nn.Softmax2d)  # whose values depend on one another


@dataclass(frozen=True)
class Call:
    """What a layer got and gave in a forward pass over one image.

    Args:
        name: the layer's name.
        layer: the layer.
        given: its first input.
        output: its output, or the first one of several.
    """

    name: str
    layer: nn.Module
    given: Tensor
    output: Tensor


@dataclass(frozen=True)
class Tap:
    """A tensor that the page shows.

    Args:
        name: the name of the layer that gives it; "" for the network's input.
        kind: the layer's class; "" for a tensor between layers, which enters the layer of that name.
        shape: without the batch: (channels, height, width), (values,) or (steps, values).
        does: how a value is made of those that the layer reads: ``conv``, ``pool``, ``linear`` or
            ``pointwise``; "" if the page can't show it.
        reads: the place of the tap that holds those, in the same order; None if ``does`` is "".
        numbers: the numbers of the window: kernel, stride, padding and the like, (vertical, horizontal).
        weights: the layer's ``weight`` and ``bias``, as far as it has them, by their names in the state_dict.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    does: str = ""
    reads: int | None = None
    numbers: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def recorded(model: nn.Module) -> Iterator[list[Call]]:
    """Yield a list to which each forward pass of a layer is added while the block lasts.

    Layers get copies of their inputs, so that what works in place changes nothing that is recorded.
    """
    calls: list[Call] = []
    given: dict[str, Tensor] = {}
    shown = leaves(model)

    def copied(name: str, x: Any) -> Any:
        given[name] = x
        return x.clone() if isinstance(x, Tensor) else x

    def note(name: str, layer: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if isinstance(output, Tensor) and isinstance(given[name], Tensor):
            calls.append(Call(name, layer, given[name], output.clone()))

    changes: list[tuple[nn.Module, Callable[[Any], Any]]]
    changes = [(layer, partial(copied, name)) for name, layer in shown]
    with changed_inputs(changes), forward_hooks(shown, note):
        yield calls


class Tapped(nn.Module):
    """A network that gives, besides its output, tensors from inside.

    Args:
        model: maps bytes to what the task makes of the outputs.
        chosen: for each tensor the number of the layer's call, and whether its output is meant or its input.
    """

    def __init__(self, model: FromBytes, chosen: Sequence[tuple[int, bool]]) -> None:
        super().__init__()
        self.inner = model
        self.chosen = tuple(chosen)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Map uint8 (1, C, H, W) to the model's output and the tensors."""
        with recorded(self.inner.model) as calls:
            output = self.inner(images)
        inside = [
            calls[place].output if is_output else calls[place].given for place, is_output in self.chosen
        ]
        return (output, *inside)


@torch.no_grad()
def tapped(model: FromBytes, image: Tensor) -> tuple[Tapped, list[Tap]]:
    """Return a network that gives all tensors that are shown, and what these are.

    The values show which tensor a layer reads: those that it gets are equal to those of the tensor,
    also if its shape is another. What comes from no layer, such as a sum of two, is a tensor of its own.

    Args:
        model: the model on the page.
        image: uint8 (1, C, H, W), one with content: of nothing but zeros every tensor would equal another.
    """
    with recorded(model.model) as calls:
        model(image)
    if not calls:
        return Tapped(model, []), []
    taps = [Tap("", "input", tuple(calls[0].given.shape[1:]))]
    chosen, values = [(0, False)], [calls[0].given]
    for place, call in enumerate(calls):
        if isinstance(call.layer, SILENT) or not is_shown(call.output):
            continue
        does, numbers = work_of(call)
        reads = place_of(call.given, values) if does else None
        if does and reads is None and is_shown(call.given):
            reads = len(taps)
            taps.append(Tap(call.name, "", tuple(call.given.shape[1:])))
            chosen.append((place, False))
            values.append(call.given)
        weights = {kind: f"{call.name}.{kind}".lstrip(".") for kind in weights_of(call.layer, does)}
        shape = tuple(call.output.shape[1:])
        kind = type(call.layer).__name__
        taps.append(Tap(call.name, kind, shape, "" if reads is None else does, reads, numbers, weights))
        chosen.append((place, True))
        values.append(call.output)
    return Tapped(model, chosen), taps


def is_shown(x: Tensor) -> bool:
    """Return whether a tensor is of one image, and can be drawn."""
    return x.is_floating_point() and x.dim() in (2, 3, 4) and len(x) == 1 and x.numel() > 0


def place_of(given: Tensor, values: Sequence[Tensor]) -> int | None:
    """Return the place of the last tensor that has the same values in the same order; None without one."""
    for place in range(len(values) - 1, -1, -1):
        if values[place].numel() == given.numel() and torch.equal(values[place].flatten(), given.flatten()):
            return place
    return None


def work_of(call: Call) -> tuple[str, dict[str, Any]]:
    """Return how a layer makes a value, and the numbers of its window, see :class:`Tap`."""
    layer = call.layer
    if isinstance(layer, nn.Conv2d) and layer.padding_mode == "zeros":
        numbers = {"kernel": layer.kernel_size, "stride": layer.stride, "dilation": layer.dilation}
        return "conv", {**numbers, "padding": padding_of(layer), "groups": layer.groups}
    if type(layer) in POOLS and call.output.dim() == 4:
        return "pool", {"takes": POOLS[type(layer)], **window_of(layer)}
    if type(layer) is nn.Linear:
        return "linear", {}
    is_alone = type(layer).__module__ in (activation.__name__, batchnorm.__name__)
    is_alone = is_alone and not isinstance(layer, (*DISTRIBUTIONS, nn.MultiheadAttention, nn.GLU))
    return ("pointwise" if is_alone and call.given.shape == call.output.shape else ""), {}


def padding_of(layer: nn.Conv2d) -> tuple[int, ...]:
    """Return how many rows and columns of zeros lie before the image: above it and on its left."""
    if layer.padding == "valid":
        return (0, 0)
    if layer.padding == "same":  # the odd one of an even kernel lies behind the image, see torch.nn.Conv2d
        sides = zip(layer.kernel_size, layer.dilation, strict=True)
        return tuple(dilation * (side - 1) // 2 for side, dilation in sides)
    return tuple(int(side) for side in layer.padding)


def window_of(layer: Any) -> dict[str, Any]:
    """Return the numbers of a pooling layer's window; none of one that adapts it to the image."""
    if not hasattr(layer, "kernel_size"):
        return {}
    numbers = {"kernel": layer.kernel_size, "stride": layer.stride, "padding": layer.padding}
    numbers["dilation"] = getattr(layer, "dilation", 1)
    return {name: (n, n) if isinstance(n, int) else n for name, n in numbers.items()}


def weights_of(layer: nn.Module, does: str) -> list[str]:
    """Return the kinds of weights that the page multiplies with."""
    if does not in ("conv", "linear"):
        return []
    return [kind for kind in ("weight", "bias") if isinstance(getattr(layer, kind, None), Tensor)]
