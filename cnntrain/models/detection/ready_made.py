"""Torchvision's detectors as they are: Faster R-CNN, RetinaNet, FCOS and SSD."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn

from cnntrain.errors import UserError, did_you_mean
from cnntrain.models import torchvision
from cnntrain.models.adapt import on_meta, take_channels, unknown_weights
from cnntrain.models.detection.of_torchvision import OfTorchvision

OTHERS = ("maskrcnn", "keypointrcnn")  # which learn more than boxes


class TorchvisionDetector(OfTorchvision):
    """A detector of ``torchvision.models.detection`` for the classes and the images.

    It is made for photographs of some 800 pixels: small images need ``model=yolo`` or ``model=faster_rcnn``.

    Args:
        name: such as ``fasterrcnn_resnet50_fpn``, ``retinanet_resnet50_fpn`` or ``ssd300_vgg16``.
        weights: pretrained ones, downloaded if they are not here: on COCO, such as ``DEFAULT``, or of the
            backbone on ImageNet, such as ``IMAGENET1K_V1``; None for new ones. What belongs to COCO's classes
            is new. Torchvision's recipes freeze each batch norm then, and the first layers: see ``freeze`` in
            conf/experiment/coco_fasterrcnn.yaml.
        in_channels: 1 for grey, 3 for colour. Of pretrained weights, grey takes the sum over the colours.
        num_classes: number of classes; background is none of them.

    Raises:
        UserError: there is no such network, or no such weights, or they can't be downloaded.
    """

    def __init__(self, name: str, weights: str | None, in_channels: int, num_classes: int) -> None:
        from torchvision import models

        if name not in names():
            near = did_you_mean(name, names()) or f"; there are {', '.join(names())}"
            raise UserError(f"model.name={name}: torchvision has no such detector{near}")
        network: Any = models.get_model(
            name, weights=None, weights_backbone=None, num_classes=num_classes + 1
        )
        if weights and not on_meta():
            take_weights(network, pretrained(name, weights))
        take_channels(network, in_channels)
        super().__init__(network, num_classes)


def pretrained(name: str, weights: str) -> nn.Module:
    """Return a detector of COCO's classes with pretrained weights, or one whose backbone has them.

    Raises:
        UserError: there are no such weights, or they can't be downloaded.
    """
    from torchvision import models

    own = models.get_model_weights(name).__members__
    build = models.get_model_builder(name)
    usual: Any = inspect.signature(build).parameters["weights_backbone"].default
    of_backbone: dict[str, Any] = {
        key: value for key, value in type(usual).__members__.items() if key not in own
    }
    if weights not in {*own, *of_backbone}:
        raise UserError(unknown_weights(weights, name, [*own, *of_backbone]))
    if weights in own:
        return torchvision.pretrained(name, weights)
    found = of_backbone[weights]
    return torchvision.loaded(
        f"the backbone of {name}", weights, found.url, lambda: build(weights=None, weights_backbone=found)
    )


def names() -> list[str]:
    """Return torchvision's networks that find boxes."""
    from torchvision import models

    found = models.list_models(module=models.detection)
    return [name for name in found if not name.startswith(OTHERS)]


def take_weights(network: nn.Module, other: nn.Module) -> None:
    """Give a network the weights of another one, except for layers of another shape: those of the classes."""
    own = network.state_dict()
    same = {name: value for name, value in other.state_dict().items() if own[name].shape == value.shape}
    with torch.no_grad():
        network.load_state_dict({**own, **same})
