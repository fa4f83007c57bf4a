"""Torchvision's networks that classify images or pixels, fitted to grey or small images and any classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar
from urllib.error import URLError

import torch
from torch import Tensor, nn

from cnntrain.errors import UserError, did_you_mean
from cnntrain.models.adapt import (
    PATCH,
    ImageSize,
    cant_take,
    give_classes,
    height_and_width,
    is_small,
    on_meta,
    take_channels,
    take_small_images,
    unknown_weights,
)
from cnntrain.runtime.ranks import Reporter


class Torchvision(nn.Module):
    """A network of ``torchvision.models`` with a head for the classes and a stem for the images.

    Args:
        name: the name as ``torchvision.models.list_models()`` has it, such as ``resnet18``. Those of its
            module ``segmentation``, such as ``deeplabv3_resnet50``, give a class for each pixel. Their
            auxiliary heads are left out, since a network has one output here; torchvision's own recipe adds
            half their loss.
        weights: pretrained ones, such as ``DEFAULT`` or ``IMAGENET1K_V2``, downloaded if they are not here;
            None for new ones. Their head is replaced unless it has as many classes.
        small: take small images in at full size: the first convolution is 3×3 without stride, and the first
            pooling is left out, as in the networks for CIFAR (He et al. 2016, section 4.2); a vision
            transformer cuts them into patches of 4×4 pixels. ``auto``: for up to 64 pixels, unless the
            weights are pretrained.
        in_channels: 1 for grey, 3 for colour. Of pretrained weights, grey takes the sum over the colours.
        image_size: side of square images in pixels, or height and width.
        num_classes: number of classes.

    Raises:
        UserError: there is no such network, or no such weights, or they can't be downloaded.
    """

    encoder: ClassVar[tuple[str, ...]] = ("network.backbone",)  # of segmentation; init_from takes it alone

    def __init__(
        self,
        name: str,
        weights: str | None,
        small: bool | str,
        in_channels: int,
        image_size: ImageSize,
        num_classes: int,
    ) -> None:
        super().__init__()
        check_name(name)
        is_small_stem = is_small(small, image_size, weights)
        if weights and not on_meta():
            self.network = pretrained(name, weights)
        else:
            self.network = new(name, image_size, num_classes, is_small_stem)
        if is_small_stem and not name.startswith("vit_"):
            take_small_images(self.network)
        take_channels(self.network, in_channels)
        if name in of_segmentation():
            give_pixels_classes(self.network, num_classes)
        else:
            give_classes(self.network, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images, float (N, C, H, W), to logits (N, num_classes), or (N, num_classes, H, W) of pixels."""
        output = self.network(x)
        return output["out"] if isinstance(output, dict) else output


def names() -> list[str]:
    """Return the networks that classify images or pixels."""
    from torchvision import models

    return [*models.list_models(module=models), *of_segmentation()]


def of_segmentation() -> list[str]:
    """Return the networks that classify pixels."""
    from torchvision import models

    return list(models.list_models(module=models.segmentation))


def give_pixels_classes(network: Any, num_classes: int) -> None:
    """Replace the last convolutions, 1×1, by ones with an output per class. No others have a bias."""
    for path, conv in list(network.classifier.named_modules()):
        if isinstance(conv, nn.Conv2d) and conv.bias is not None and conv.out_channels != num_classes:
            parent, _, name = path.rpartition(".")
            own = nn.Conv2d(conv.in_channels, num_classes, 1)
            setattr(network.classifier.get_submodule(parent), name, own)


def check_name(name: str) -> None:
    """Raise a UserError if torchvision has no such network for classes."""
    from torchvision import models

    if name in models.list_models(module=models.detection):
        raise UserError(f"model.name={name} finds objects: model=torchvision_detector model.name={name}")
    if name not in names():
        near = did_you_mean(name, names()) or f"; there are {', '.join(names())}"
        raise UserError(f"model.name={name}: torchvision has no such network{near}")


def new(name: str, image_size: ImageSize, num_classes: int, small: bool) -> nn.Module:
    """Return a network with weights of its own."""
    from torchvision import models

    own: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):  # whose second outputs would be trained on too
        own = {"aux_logits": False, "init_weights": True}
    elif name in of_segmentation():  # which would download weights for their backbone
        own = {"weights_backbone": None}
    elif name.startswith("vit_"):  # which learn a position for each patch
        if not isinstance(image_size, int):
            raise UserError(f"model.name={name} takes square images only: data.image_size={max(image_size)}")
        own = {"image_size": image_size}
    elif name.startswith("maxvit"):
        own = {"input_size": height_and_width(image_size)}
    try:
        if name.startswith("vit_") and small:
            return vit_of_small_patches(name, own["image_size"], num_classes)
        if name.startswith("regnet") and on_meta():  # which computes its widths with tensors
            with torch.device("cpu"):
                return models.get_model(name, weights=None, num_classes=num_classes).to("meta")
        return models.get_model(name, weights=None, num_classes=num_classes, **own)
    except (AssertionError, ValueError) as error:  # patches or windows that do not fill the image
        raise UserError(cant_take(name, image_size, error, 224)) from error


def vit_of_small_patches(name: str, image_size: int, num_classes: int) -> nn.Module:
    """Return a vision transformer as deep and wide as torchvision's, with patches for small images.

    The patches of 16 to 32 pixels that they are named after would be one or four of a whole small image.
    """
    from torchvision import models

    with torch.device("meta"):
        like: Any = models.get_model(name, weights=None)
    return models.VisionTransformer(
        image_size=image_size,
        patch_size=PATCH,
        num_layers=len(like.encoder.layers),
        num_heads=like.encoder.layers[0].num_heads,
        hidden_dim=like.hidden_dim,
        mlp_dim=like.mlp_dim,
        num_classes=num_classes,
    )


def pretrained(name: str, weights: str) -> nn.Module:
    """Return a network with pretrained weights; what is downloaded is said first."""
    from torchvision import models

    offered = models.get_model_weights(name).__members__  # DEFAULT, the newest, among them
    if weights not in offered:
        raise UserError(unknown_weights(weights, name, list(offered)))
    found: Any = offered[weights]
    network: Any = loaded(name, weights, found.url, lambda: models.get_model(name, weights=found))
    for aux in ("aux1", "aux2", "AuxLogits", "aux_classifier"):
        if hasattr(network, aux):
            setattr(network, aux, None)
    for switch in ("aux_logits", "transform_input"):  # the latter expects ImageNet's normalisation, in colour
        if hasattr(network, switch):
            setattr(network, switch, False)
    return network


def loaded(name: str, weights: str, url: str, build: Callable[[], nn.Module]) -> nn.Module:
    """Return a network that is built with pretrained weights; what is downloaded is said first.

    Args:
        name: the name of the network.
        weights: the name, as typed.
        url: the file that holds them.
        build: builds it, and downloads that file if it is not here.

    Raises:
        UserError: they can't be downloaded, or the file holds something else.
    """
    file = Path(torch.hub.get_dir(), "checkpoints", url.rpartition("/")[2])
    if not file.exists():
        Reporter.remark(f"downloading the weights of {name}: {url} to {file.parent}")
    try:
        return build()
    except (URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(
            f"model.weights={weights}: {url} can't be downloaded ({reason})\n"
            f"put the file into {file.parent}, or train without: model.weights=null"
        ) from error
    except RuntimeError as error:  # a file that is truncated, or holds something else
        raise UserError(
            f"model.weights={weights}: {file} does not hold the weights of {name}: remove it, and it is "
            "downloaded again"
        ) from error
