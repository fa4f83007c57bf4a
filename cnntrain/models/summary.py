"""A model's layers: output shapes, parameters, multiply-adds, receptive fields; no memory for large ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from cnntrain.models.conv_arithmetic import Field
from cnntrain.models.hooks import forward_hooks, is_leaf
from cnntrain.models.sequences.reading import Reader
from cnntrain.runtime.torch_private import flops_without_compiler

UNKNOWN = Field(math.inf, math.inf)  # the largest, so that a sum with it is unknown too
WINDOWS = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
ENLARGING = (nn.ConvTranspose2d, nn.Upsample)
INPUTS_OF = {"nearest": 1, "bilinear": 2, "bicubic": 4}  # of each output along a side, of interpolation
# Functions that mix positions, by part of their name. Where a layer calls them, the layer knows how.
MIXING = ("conv", "pool", "attention", "linear", "matmul", "mm", "einsum", "roll", "fold", "grid")


@dataclass(frozen=True)
class Layer:
    """One layer, as the summary shows it.

    Args:
        name: its path in the model.
        kind: its class.
        output_shape: without the batch.
        parameters: numbers to learn.
        multiply_adds: the multiply-adds for one image; None where torch can't count them.
        receptive_field: side, in pixels, of what one output sees; None where that can't be determined.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int | None
    receptive_field: int | None


class FieldTracker(TorchFunctionMode):
    """Carries receptive fields through every operation between the layers: activations, sums, flattening."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Give the result the largest field among the inputs, unless positions may have been mixed."""
        kwargs = kwargs or {}
        inputs = [x for x in tensors_in([args, list(kwargs.values())]) if field_of(x) is not None]
        field = max((field_of(x) or UNKNOWN for x in inputs), default=None, key=lambda seen: seen.size)
        result = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if field is None or name.startswith("new_") or name.endswith("_like"):  # only shaped by the inputs
            return result
        for output in tensors_in(result):
            set_field(output, field if keeps_positions(name, inputs, output) else UNKNOWN)
        return result


def keeps_positions(function: str, inputs: list[Tensor], output: Tensor) -> bool:
    """Return whether each position of a result comes from the same position, or edge, of the inputs."""
    if function == "pad":
        return True
    if any(word in function for word in MIXING):
        return False
    return any(output.shape[2:] == x.shape[2:] or output.numel() == x.numel() for x in inputs)


def tensors_in(value: Any) -> list[Tensor]:
    """Return the tensors in nested lists and tuples."""
    if isinstance(value, Tensor):
        return [value]
    return [x for item in value for x in tensors_in(item)] if isinstance(value, list | tuple) else []


def field_of(value: Tensor) -> Field | None:
    """Return the field that a tensor carries; None if it does not come from the image, as a weight does."""
    return getattr(value, "_cnntrain_field", None)


def set_field(value: Tensor, field: Field) -> None:
    """Let a tensor carry a field."""
    value._cnntrain_field = field  # type: ignore[attr-defined]


def layers(model: nn.Module, shape: tuple[int, int, int]) -> list[Layer]:
    """Return every layer that the forward pass of a model calls, in its order.

    A module that holds others is among them if it computes something itself, as attention does.

    Args:
        model: on any device; on the meta device nothing is computed.
        shape: channels, height and width of an image.
    """
    from torch.utils.flop_counter import FlopCounterMode

    flops_without_compiler()
    counter = FlopCounterMode(display=False)
    try:
        return forward_pass(model, shape, counter, counter.get_total_flops).rows
    except Exception:  # torch can't count an operation; an error of the model's own comes again
        return forward_pass(model, shape, nullcontext(), lambda: None).rows


class LayerRecorder:
    """Makes the rows of the summary while the forward pass goes from layer to layer.

    Args:
        image: the longer side of the image, in pixels.
        flops: returns the floating-point operations so far, two for a multiply-add; None if not counted.
    """

    def __init__(self, image: int, flops: Callable[[], int | None]) -> None:
        self.image = image
        self.flops = flops
        self.rows: list[Layer] = []
        self.called = set[nn.Module]()
        self.begun: list[list[int]] = []  # of each module under way: FLOPs before it, and those of its layers

    def before_layer(self) -> None:
        """Note that a module begins."""
        self.begun.append([self.flops() or 0, 0])

    def after_layer(self, name: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """Add the row of a module, if it computes something itself."""
        self.called.add(module)
        before, inner = self.begun.pop()
        total = self.flops()
        work = (total or 0) - before
        if self.begun:
            self.begun[-1][1] += work
        outputs = tensors_in(output)
        if not outputs or (not is_leaf(module) and work == inner):
            return
        if is_leaf(module):
            field = widened(module, args, outputs[0], self.image)
            set_field(outputs[0], field)
        else:
            field = field_of(outputs[0]) or UNKNOWN
        # nn.MultiheadAttention holds a layer whose weights it uses without calling it.
        unused = [child for child in module.children() if is_leaf(child) and child not in self.called]
        self.rows.append(
            Layer(
                name,
                type(module).__name__,
                tuple(outputs[0].shape[1:]),
                sum(p.numel() for part in (module, *unused) for p in part.parameters(recurse=False)),
                None if total is None else (work - inner) // 2,
                None if field == UNKNOWN else int(field.size),
            )
        )


def forward_pass(
    model: nn.Module,
    shape: tuple[int, int, int],
    counting: AbstractContextManager[Any],
    flops: Callable[[], int | None],
) -> LayerRecorder:
    """Send an image through a model, and return what was recorded; see :class:`LayerRecorder`."""
    recorder = LayerRecorder(max(shape[1:]), flops)
    some = next(model.parameters(), None)
    x = torch.zeros(1, *shape, device="meta" if some is None else some.device)
    set_field(x, Field(1, 1))
    hooks = forward_hooks(model.named_modules(), recorder.after_layer, recorder.before_layer)
    with torch.no_grad(), without_fused_kernels(), hooks, FieldTracker(), counting:
        model.eval()(x)
    return recorder


@contextmanager
def without_fused_kernels() -> Iterator[None]:
    """Let attention and recurrent layers call one operation after another: torch counts no fused ones."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    libraries: list[Any] = [torch.backends.mkldnn, torch.backends.cudnn]
    enabled = [library.enabled for library in libraries]
    try:
        for library in libraries:
            library.enabled = False
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        for library, was in zip(libraries, enabled, strict=True):
            library.enabled = was


def widened(module: nn.Module, args: tuple[Any, ...], output: Tensor, image: int) -> Field:
    """Return the field after a layer, from what went in and came out, and the side of the image."""
    if isinstance(module, nn.Linear):  # of more than (N, values) it is unknown what they are
        return Field(image, 1) if output.dim() == 2 else UNKNOWN
    if isinstance(module, nn.RNNBase):  # the last step has seen all
        return Field(image, 1)
    if isinstance(module, Reader):
        return Field(max(module.part), max(module.part))
    before = (field_of(args[0]) if args else None) or UNKNOWN
    if isinstance(module, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
        if output.shape[2:].numel() == 1:
            return Field(image, 1)
        return before if output.shape[2:] == args[0].shape[2:] else UNKNOWN
    if not isinstance(module, (*WINDOWS, *ENLARGING)):
        return field_of(output) or UNKNOWN
    if before == UNKNOWN:
        return UNKNOWN
    if isinstance(module, nn.Upsample):
        return behind_interpolation(before, str(module.mode), args[0].shape, output.shape)
    return behind_window(before, module)


def behind_window(before: Field, module: Any) -> Field:
    """Return the field after a convolution, a transposed one too, or after pooling."""
    kernel, stride = side(module.kernel_size), side(module.stride)
    dilation = side(getattr(module, "dilation", 1))
    if kernel is None or stride is None or dilation is None:
        return UNKNOWN
    span = dilation * (kernel - 1) + 1
    if isinstance(module, nn.ConvTranspose2d):
        return before.enlarged(stride, math.ceil(span / stride))
    return before.widened(span, stride)


def behind_interpolation(before: Field, mode: str, size: torch.Size, result: torch.Size) -> Field:
    """Return the field after ``nn.Upsample``, from two shapes (N, C, H, W)."""
    factors, inputs = {result[axis] / size[axis] for axis in (2, 3)}, INPUTS_OF.get(mode)
    return UNKNOWN if len(factors) > 1 or inputs is None else before.enlarged(factors.pop(), inputs)


def side(value: Any) -> int | None:
    """Return the side of a square window; None if it is not square."""
    if isinstance(value, tuple):
        return int(value[0]) if len(set(value)) == 1 else None
    return int(value)


def total_multiply_adds(rows: Iterable[Layer]) -> int | None:
    """Return the multiply-adds of all layers for one image; None if they were not counted."""
    counts = [row.multiply_adds for row in rows]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def in_digits(number: int | None) -> str:
    """Return a number with commas; a dash for what is not known."""
    return "–" if number is None else f"{number:,}"
