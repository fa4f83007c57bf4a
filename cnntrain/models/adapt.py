"""Adapts a network made for ImageNet to small images, to grey images, and to any number of classes."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from cnntrain.errors import describe_error, nearest
from cnntrain.text import printable

ImageSize = int | tuple[int, int]  # the side of square images, or height and width, in pixels
SMALL = 64  # pixels; smaller images would be a few pixels wide after the stem of an ImageNet network
STEM_KERNEL = 3
PATCH = 4  # pixels; side of the patches into which a vision transformer cuts small images


def height_and_width(size: ImageSize) -> tuple[int, int]:
    """Return height and width of images."""
    return (size, size) if isinstance(size, int) else size


def is_small(small: bool | str, image_size: ImageSize, weights: str | None) -> bool:
    """Return whether a network is to take small images in at full size; ``auto`` looks at them.

    Pretrained weights belong to the stem that they were trained with, so that ``auto`` leaves it to them.
    """
    return small is True or (small == "auto" and max(height_and_width(image_size)) <= SMALL and not weights)


def take_small_images(network: nn.Module) -> None:
    """Make the stem keep the size of the images: no stride in the first convolution, no first pooling."""
    parent, name, first = find(network, nn.Conv2d, 0)
    kernel = min(STEM_KERNEL, first.kernel_size[0])
    if first.kernel_size != (kernel, kernel) or first.stride != (1, 1):
        conv = nn.Conv2d(
            first.in_channels, first.out_channels, kernel, padding=kernel // 2, bias=first.bias is not None
        )
        if conv.weight.shape == first.weight.shape and conv.weight.device.type != "meta":
            conv.load_state_dict(first.state_dict())
        setattr(parent, name, conv)
    if any(isinstance(module, nn.MaxPool2d) for module in network.modules()):
        parent, name, _ = find(network, nn.MaxPool2d, 0)
        setattr(parent, name, nn.Identity())


def take_channels(network: nn.Module, channels: int) -> None:
    """Replace the first convolution by one that takes the channels of the images."""
    parent, name, first = find(network, nn.Conv2d, 0)
    if first.in_channels == channels:
        return
    conv = nn.Conv2d(
        channels,
        first.out_channels,
        first.kernel_size,
        first.stride,
        first.padding,
        bias=first.bias is not None,
    )
    if conv.weight.device.type != "meta":
        with torch.no_grad():
            grey = first.weight.sum(1, keepdim=True)  # what a grey image in three colours would give
            conv.weight.copy_(grey.expand(-1, channels, -1, -1) / channels)
            if conv.bias is not None and first.bias is not None:
                conv.bias.copy_(first.bias)
    setattr(parent, name, conv)


def give_classes(network: nn.Module, num_classes: int) -> None:
    """Replace the last layer, a Linear or a 1×1 convolution, by one with an output per class."""
    parent, name, last = find(network, (nn.Linear, nn.Conv2d), -1)
    if isinstance(last, nn.Linear):
        if last.out_features != num_classes:
            setattr(parent, name, nn.Linear(last.in_features, num_classes, bias=last.bias is not None))
    elif last.out_channels != num_classes:
        setattr(parent, name, nn.Conv2d(last.in_channels, num_classes, last.kernel_size))


def takes(network: nn.Module, shape: tuple[int, int, int]) -> bool:
    """Return whether a network can do with images of a shape, without computing anything."""
    described = copy.deepcopy(network).to("meta").eval()
    try:
        with torch.no_grad():
            described(torch.zeros(2, *shape, device="meta"))
    except Exception:  # whatever a network may raise
        return False
    return True


def cant_take(name: str, image_size: ImageSize, error: Exception, made_for: int) -> str:
    """Return why a network can't take images of a size, and which it can."""
    reason = describe_error(error)
    size = image_size if isinstance(image_size, int) else "×".join(map(str, image_size))
    return (
        f"model.name={name} can't take images of {size} pixels: {reason}\n"
        f"it was made for {made_for}: data.image_size={made_for}"
    )


def find(network: nn.Module, kind: Any, index: int) -> tuple[nn.Module, str, Any]:
    """Return the first or the last layer of a kind, with the module that holds it and its name there."""
    path, layer = [(name, module) for name, module in network.named_modules() if isinstance(module, kind)][
        index
    ]
    parent, _, name = path.rpartition(".")
    return network.get_submodule(parent), name, layer


def on_meta() -> bool:
    """Return whether a network is only described, without numbers."""
    return torch.get_default_device().type == "meta"


def unknown_weights(weights: str, network: str, offered: Sequence[str]) -> str:
    """Return the message for pretrained weights that a network does not have."""
    near = nearest(weights, offered)
    meant = f": did you mean model.weights={near[0]}?" if near else ""
    choices = ", ".join(offered)
    return f"unknown weights '{printable(weights)}' for {network}{meant}\nchoose from {choices}, or null"
