"""What a detector looks at: maps of an image at several strides, each as wide as the others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnntrain.errors import UserError, describe_error, did_you_mean
from cnntrain.models import torchvision
from cnntrain.models.adapt import on_meta, take_channels
from cnntrain.models.copying import copied
from cnntrain.models.unet import padded

TRIED = 128  # pixels; side of the image that distinguishes the layers of a network
POWERS = (2, 4, 8, 16, 32, 64)
TIMM = "timm/"  # begins the name of a backbone of timm


class Pyramid(nn.Module):
    """A feature pyramid (Lin et al. 2017): coarse maps, which have seen much, are added to fine ones.

    Args:
        in_channels: 1 for grey, 3 for colour.
        width: channels of the own backbone's first map; each halving doubles them, up to four times as many.
        strides: pixels from one place of a map to the next: powers of two, each twice the one before.
        backbone: a network of torchvision, such as ``resnet18``, or of timm, such as ``timm/resnet18``; None
            for a small one that is made for small images.
        weights: pretrained ones of that network, such as ``DEFAULT``; None for new ones.

    Attributes:
        channels: the channels of each map.

    Raises:
        ValueError: the strides are others.
        UserError: there is no such network, or it has no maps of these strides.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        strides: Sequence[int],
        backbone: str | None = None,
        weights: str | None = None,
    ) -> None:
        super().__init__()
        check_strides(strides)
        self.strides = tuple(strides)
        self.channels = 4 * width
        if backbone is None:
            self.backbone: nn.Module = Halvings(in_channels, width, self.strides)
            widths = self.backbone.widths
        else:
            self.backbone, widths = named(backbone, weights, in_channels, self.strides)
        self.lateral = nn.ModuleList(nn.Conv2d(wide, self.channels, 1) for wide in widths)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map images of any size, float (N, C, H, W), to maps (N, channels, rows, columns), finest first."""
        maps = list(self.backbone(padded(x, self.strides[-1])))
        found: list[Tensor] = []
        for lateral, own in zip(reversed(self.lateral), reversed(maps), strict=True):
            own = lateral(own)
            if found:
                own = own + F.interpolate(found[-1], own.shape[2:], mode="nearest")
            found.append(own)
        return found[::-1]


class Halvings(nn.Module):
    """A small backbone: each stage halves the image, and looks at the result once more.

    Args:
        in_channels: the number of channels of the images.
        width: channels of the first stage.
        strides: the strides of the maps that are wanted.
    """

    def __init__(self, in_channels: int, width: int, strides: Sequence[int]) -> None:
        super().__init__()
        widths = [width * min(4, 2**level) for level in range(int(math.log2(strides[-1])))]
        self.stages = nn.ModuleList(map(halved, [in_channels, *widths], widths))
        self.wanted = [int(math.log2(stride)) - 1 for stride in strides]
        self.widths = [widths[level] for level in self.wanted]

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map images, float (N, C, H, W), to their maps."""
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return [maps[level] for level in self.wanted]


def conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Return 3×3 convolution, batch norm and SiLU; a stride of 2 halves height and width."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.SiLU()
    )


def halved(inputs: int, outputs: int) -> nn.Sequential:
    """Return what halves height and width, and then looks at the result once more."""
    return nn.Sequential(conv(inputs, outputs, stride=2), conv(outputs, outputs))


def check_strides(strides: Sequence[int]) -> None:
    """Raise a ValueError unless strides are powers of two, each twice the one before."""
    first = strides[0] if strides else 0
    powers = [first * 2**place for place in range(len(strides))]
    if first < 2 or first & (first - 1) or list(strides) != powers:
        raise ValueError(
            f"strides={list(strides)}: they are powers of two, each twice the one before: [8,16]"
        )


class Maps(nn.Module):
    """Gives the maps of a network of torchvision's or timm's as a list.

    Args:
        network: gives a dictionary or a list of maps.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map images, float (N, C, H, W), to their maps."""
        maps = self.network(x)
        return list(maps.values()) if isinstance(maps, dict) else list(maps)


def named(
    name: str, weights: str | None, in_channels: int, strides: Sequence[int]
) -> tuple[nn.Module, list[int]]:
    """Return a network that gives maps of these strides, and the channels of each."""
    if name.startswith(TIMM):
        return of_timm(name.removeprefix(TIMM), weights, in_channels, strides)
    network = of_torchvision(name, weights)
    take_channels(network, in_channels)
    places = layers_of(name, network, in_channels)
    if missing := [stride for stride in strides if stride not in places]:
        raise lacks(name, missing, list(places))
    from torchvision.models.feature_extraction import create_feature_extractor

    wanted = {places[stride][0]: str(stride) for stride in strides}
    return Maps(create_feature_extractor(network, wanted)), [places[stride][1] for stride in strides]


def of_torchvision(name: str, weights: str | None) -> nn.Module:
    """Return a network of torchvision that classifies."""
    from torchvision import models

    names = list(models.list_models(module=models))
    if name not in names:
        near = did_you_mean(name, names) or f"; there are {', '.join(names)}, and timm/NAME"
        raise UserError(f"model.backbone={name}: torchvision has no such network{near}")
    if weights and not on_meta():
        return torchvision.pretrained(name, weights)
    return torchvision.new(name, TRIED, 1, small=False)


def layers_of(name: str, network: nn.Module, in_channels: int) -> dict[int, tuple[str, int]]:
    """Return for each stride the last layer whose output has it, and its channels."""
    from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

    described: Any = network.to("meta") if on_meta() else copied_to_meta(network)
    try:
        nodes = [node for node in get_graph_node_names(described)[1] if "getattr" not in node and node != "x"]
        outputs = create_feature_extractor(described, nodes)(
            torch.zeros(2, in_channels, TRIED, TRIED, device="meta")
        )
    except Exception as error:  # whatever a network may raise that can't be traced
        raise UserError(
            f"model.backbone={name}: its layers can't be distinguished: {describe_error(error)}"
        ) from error
    found = {}
    for node, output in outputs.items():
        if isinstance(output, Tensor) and output.dim() == 4 and output.shape[2] == output.shape[3] < TRIED:
            found[TRIED // output.shape[2]] = (node, output.shape[1])
    return found


def copied_to_meta(network: nn.Module) -> nn.Module:
    """Return a copy of a network without numbers, as it evaluates."""
    return copied(network).to("meta").eval()


def of_timm(
    name: str, weights: str | None, in_channels: int, strides: Sequence[int]
) -> tuple[nn.Module, list[int]]:
    """Return a network of timm that gives maps of these strides, and the channels of each."""
    from cnntrain.models import timm

    library = timm.imported()
    timm.check_name(library, name.partition(".")[0])
    own = timm.pretrained(library, name, weights) if weights and not on_meta() else {}
    try:
        network = library.create_model(name, features_only=True, in_chans=in_channels, **own)
    except (AttributeError, RuntimeError, AssertionError) as error:  # it has no maps
        raise UserError(f"model.backbone={TIMM}{name}: it gives no maps: {describe_error(error)}") from error
    there = network.feature_info.reduction()
    if missing := [stride for stride in strides if stride not in there]:
        raise lacks(TIMM + name, missing, there)
    wanted = [there.index(stride) for stride in strides]
    network = library.create_model(name, features_only=True, out_indices=wanted, in_chans=in_channels, **own)
    return Maps(network), network.feature_info.channels()


def lacks(name: str, missing: Sequence[int], there: Sequence[int]) -> UserError:
    """Return the error that a network has no maps of some strides."""
    return UserError(
        f"model.backbone={name} has no maps of stride {', '.join(map(str, missing))}; it has "
        f"{', '.join(str(stride) for stride in sorted(there) if stride in POWERS)}: model.strides"
    )
