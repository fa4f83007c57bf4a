"""Views of a trained model: its filters, and the feature maps of its layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnntrain.compute.precision import Precision
from cnntrain.models.hooks import forward_hooks
from cnntrain.models.views import HasAttention
from cnntrain.tasks.collector import evenly

MOST_FILTERS = 64
MOST_LAYERS = 12  # whose feature maps are shown
FEWEST_STAGES = 4  # below which layers are shown that are evenly spread
MOST_MAPS = 16  # of each of them
# What these give out is what came in, except for its shape or in training.
SILENT = (nn.Flatten, nn.Unflatten, nn.Identity, nn.Dropout, nn.Dropout2d)


@dataclass(frozen=True)
class Filters:
    """The weights of the first layer, as images.

    Args:
        layer: its name.
        kind: its class.
        weights: float32 (filters, channels, height, width), on the CPU.
        total: filters that the layer has.
    """

    layer: str
    kind: str
    weights: Tensor
    total: int


@dataclass(frozen=True)
class Maps:
    """The feature maps of a layer for some images.

    Args:
        layer: its name.
        kind: its class.
        values: float32 (N, maps, height, width), on the CPU; (N, 1, 1, values) if it knows no places.
        total: maps, or values, that the layer has.
        ends_stage: whether it is the last one before the resolution changes, of a network with many layers.
    """

    layer: str
    kind: str
    values: Tensor
    total: int
    ends_stage: bool = False


def first_filters(model: nn.Module, shape: tuple[int, int, int]) -> Filters | None:
    """Return the filters of the first layer that fits the image; None if there is no such layer.

    Args:
        model: any network; a Conv2d must take the image's channels, a Linear all of its values.
        shape: channels, height and width of an image.
    """
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d) and layer.in_channels == shape[0] and layer.groups == 1:
            weights = layer.weight
        elif isinstance(layer, nn.Linear) and layer.in_features == shape[0] * shape[1] * shape[2]:
            weights = layer.weight.view(-1, *shape)
        else:
            continue
        some = weights[:MOST_FILTERS].detach().float().cpu()
        return Filters(name, type(layer).__name__, some, len(weights))
    return None


@torch.no_grad()
def feature_maps(model: nn.Module, x: Tensor, precision: Precision) -> list[Maps]:
    """Return what layers make of images, float (N, C, H, W), in the order in which they are done.

    Of up to ``MOST_LAYERS`` layers all are there; of more, the ends of the stages, which are the outermost
    modules that end a resolution, and the output.
    """
    found: dict[str, Maps] = {}

    def note(name: str, layer: nn.Module, args: Any, output: Any) -> None:
        if isinstance(output, Tensor) and len(output) == len(x) and output.dim() in (2, 4):
            maps = output if output.dim() == 4 else output[:, None, None, :]
            total = output.shape[1]
            found.pop(name, None)  # of a layer that is called twice, the last call counts
            found[name] = Maps(name, type(layer).__name__, maps[:, :MOST_MAPS].float().cpu(), total)

    shown = [(name, m) for name, m in model.named_modules() if not isinstance(m, SILENT)]
    with forward_hooks(shown, note), precision.autocast():
        model.eval()(x)
    inner = {name for name, module in model.named_modules() if list(module.children())}
    layers = [maps for name, maps in found.items() if name not in inner]
    if len(layers) <= MOST_LAYERS:
        return layers
    stages = ends_of_stages([maps for name, maps in found.items() if name], layers[-1])
    if len(stages) >= FEWEST_STAGES:
        return stages
    chosen = torch.linspace(0, len(layers) - 1, MOST_LAYERS).round().int().tolist()
    return [layers[index] for index in chosen]


@torch.no_grad()
def attention(model: HasAttention, x: Tensor) -> Tensor:
    """Return where a network looks in images, float (N, C, H, W).

    Returns:
        float32 (N, layers, heads, H, W), on the CPU; of more than ``MOST_LAYERS`` layers, some evenly spread.
    """
    maps = model.attention_over(x)[:, :, :MOST_MAPS].float().cpu()
    chosen = evenly(MOST_LAYERS, maps.shape[1]).tolist()
    drawn: Tensor = F.interpolate(maps[:, chosen].flatten(1, 2), x.shape[2:], mode="nearest")
    result: Tensor = drawn.unflatten(1, (len(chosen), -1))
    return result


def ends_of_stages(done: Sequence[Maps], output: Maps) -> list[Maps]:
    """Return the outermost module that is the last to give each resolution, in order, and the output.

    Args:
        done: by all modules, inner ones too, in the order in which they are done.
        output: the output of the last layer.
    """
    ends: dict[tuple[int, ...], Maps] = {}
    for maps in done:
        size = tuple(maps.values.shape[2:])
        if maps.values.shape[1] == 1 and size[0] == 1:  # values
            continue
        known = ends.get(size)
        if known is None or maps.layer.count(".") <= known.layer.count("."):
            ends.pop(size, None)
            ends[size] = maps
    return [replace(maps, ends_stage=True) for maps in ends.values() if maps.layer != output.layer] + [output]


def which(layers: Sequence[Maps]) -> str:
    """Return which layers are shown, in words."""
    if any(maps.ends_stage for maps in layers):
        return "the ends of the stages, where the resolution changes, and the output"
    return "the layers" if len(layers) < MOST_LAYERS else f"{len(layers)} of the layers, evenly spread"
