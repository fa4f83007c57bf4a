"""Every classification network of torchvision, fitted to grey pictures, small pictures and any classes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from torch import Tensor, nn

from cnntrain.errors import UserError, did_you_mean

SMALL = 64  # pixels; smaller pictures would be a few pixels wide behind the stem of an ImageNet network
STEM_KERNEL = 3


class Torchvision(nn.Module):
    """A network of ``torchvision.models`` with a head for the classes and a stem for the pictures.

    Args:
        name: as ``torchvision.models.list_models()`` has it, such as ``resnet18``.
        weights: pretrained ones, such as ``DEFAULT`` or ``IMAGENET1K_V2``, downloaded if they are not here;
            None for new ones. Their head is replaced unless it has as many classes.
        small: take small pictures in at full size: the first convolution is 3×3 without stride, and the first
            pooling is left out, as in the networks for CIFAR (He et al. 2016, section 4.2); ``auto``: for up
            to 64 pixels, unless the weights are pretrained.
        in_channels: 1 for grey, 3 for colour. Of pretrained weights, grey takes the sum over the colours.
        image_size: height and width of a picture in pixels.
        num_classes: number of classes.

    Raises:
        UserError: there is no such network, or no such weights, or they can't be downloaded.
    """

    def __init__(
        self,
        name: str,
        weights: str | None,
        small: bool | str,
        in_channels: int,
        image_size: int,
        num_classes: int,
    ) -> None:
        super().__init__()
        self.network = pretrained(name, weights) if weights and not on_meta() else new(name, image_size)
        if small is True or (small == "auto" and image_size <= SMALL and not weights):
            take_small_pictures(self.network)
        take_channels(self.network, in_channels)
        give_classes(self.network, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures, float (N, C, H, W), to logits (N, num_classes)."""
        return self.network(x)


def names() -> list[str]:
    """Return the networks that classify pictures."""
    from torchvision import models

    return list(models.list_models(module=models))


def check_name(name: str) -> None:
    """Raise a UserError if torchvision has no such network."""
    if name not in names():
        near = did_you_mean(name, names()) or f"; there are {', '.join(names())}"
        raise UserError(f"model.name={name}: torchvision has no such network{near}")


def new(name: str, image_size: int) -> nn.Module:
    """Return a network with weights of its own."""
    from torchvision import models

    check_name(name)
    own: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):  # whose second outputs would be trained on too
        own = {"aux_logits": False, "init_weights": True}
    elif name.startswith("vit_"):  # which learn a position for each patch
        own = {"image_size": image_size}
    elif name.startswith("maxvit"):
        own = {"input_size": (image_size, image_size)}
    try:
        return models.get_model(name, weights=None, **own)
    except (AssertionError, ValueError) as error:  # patches or windows that do not fill the picture
        raise UserError(f"model.name={name} can't take pictures of {image_size} pixels: {error}") from error


def pretrained(name: str, weights: str) -> nn.Module:
    """Return a network with pretrained weights; what is downloaded is said first."""
    from torchvision import models

    check_name(name)
    offered = models.get_model_weights(name).__members__
    if weights not in offered and weights != "DEFAULT":
        near = did_you_mean(weights, [*offered, "DEFAULT"])
        takes = ", ".join([*offered, "DEFAULT"])
        raise UserError(f"model.weights={weights} is not there for {name}{near}\nit takes {takes}, or null")
    found: Any = models.get_model_weights(name)[weights]
    file = Path(torch.hub.get_dir(), "checkpoints", found.url.rpartition("/")[2])
    if not file.exists():
        print(f"cnntrain: downloading the weights of {name}: {found.url} to {file.parent}", file=sys.stderr)
    try:
        network: nn.Module = models.get_model(name, weights=found)
    except (URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(
            f"model.weights={weights}: {found.url} can't be downloaded ({reason})\n"
            f"put the file into {file.parent}, or train without: model.weights=null"
        ) from error
    for aux in ("aux1", "aux2", "AuxLogits"):
        if hasattr(network, aux):
            setattr(network, aux, None)
    if hasattr(network, "aux_logits"):
        network.aux_logits = False  # type: ignore[assignment]
    return network


def take_small_pictures(network: nn.Module) -> None:
    """Let the stem keep the size of the pictures: no stride in the first convolution, no first pooling."""
    parent, name, first = find(network, nn.Conv2d, 0)
    kernel = min(STEM_KERNEL, first.kernel_size[0])
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
    """Give the first convolution as many channels as the pictures have."""
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
            grey = first.weight.sum(1, keepdim=True)  # what a grey picture in three colours would give
            conv.weight.copy_(grey.expand(-1, channels, -1, -1) / channels)
            if conv.bias is not None and first.bias is not None:
                conv.bias.copy_(first.bias)
    setattr(parent, name, conv)


def give_classes(network: nn.Module, num_classes: int) -> None:
    """Give the last layer, a Linear or a 1×1 convolution, as many outputs as there are classes."""
    parent, name, last = find(network, (nn.Linear, nn.Conv2d), -1)
    if isinstance(last, nn.Linear):
        if last.out_features != num_classes:
            setattr(parent, name, nn.Linear(last.in_features, num_classes, bias=last.bias is not None))
    elif last.out_channels != num_classes:
        setattr(parent, name, nn.Conv2d(last.in_channels, num_classes, last.kernel_size))


def find(network: nn.Module, kind: Any, index: int) -> tuple[nn.Module, str, Any]:
    """Return the first or the last layer of a kind, with the module that holds it and its name there."""
    path, layer = [(name, module) for name, module in network.named_modules() if isinstance(module, kind)][
        index
    ]
    parent, _, name = path.rpartition(".")
    return network.get_submodule(parent), name, layer


def on_meta() -> bool:
    """Say whether a network is only described, without numbers."""
    return torch.get_default_device().type == "meta"
