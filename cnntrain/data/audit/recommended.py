"""The command that ``cnntrain data DIR`` suggests: sensible for what is in the folder, and one that runs."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cnntrain.config.overrides import in_quotes
from cnntrain.image_folder.inventory import LARGEST, SMALL, Inventory, why_not_trainable

UNEVEN = 3  # times as many images as the smallest class has, above which classes count as uneven
ELONGATED = 0.4  # share of the median image that data.resize=crop leaves out, above which it is too much
WHOLE = 8 * LARGEST // 7  # side, in pixels, of images from which parts are drawn: 256 for 224
MANY = 5000  # training images from which a ResNet learns without pretrained weights
SMALL_SIDE = 48  # pixels at which a small CNN looks at larger images: a tenth of the time at 160
SMALLEST = 8  # side, in pixels, of images that a CNN of three blocks takes
WIDTHS = "model.channels=[16,32,64]"
# Networks whose pretrained weights may be in torch's cache, best choice for few images first, and the file.
PRETRAINED = {
    "resnet18": "resnet18-f37072fd.pth",
    "resnet34": "resnet34-b627a593.pth",
    "resnet50": "resnet50-11ad3fa6.pth",
    "efficientnet_b0": "efficientnet_b0_rwightman-7f5810bc.pth",
    "mobilenet_v3_large": "mobilenet_v3_large-5c1a4163.pth",
    "mobilenet_v3_small": "mobilenet_v3_small-047dcff4.pth",
}


def command(
    root: str, found: Inventory, facts: Mapping[str, Any], parts: np.ndarray, left_out: float, balance: float
) -> str:
    """Return the command that trains on a folder; empty if ``train`` would refuse it.

    Args:
        root: the folder, as typed.
        found: its inventory.
        facts: the values that ``auto`` stands for.
        parts: the parts of its images, from :meth:`Inventory.parts`.
        left_out: share of the median image that ``data.resize=crop`` leaves out.
        balance: how many times the images of the smallest class the largest has.
    """
    if why_not_trainable(parts):
        return ""
    words = [
        "cnntrain",
        "train",
        "data=folder",
        f"data.root={in_quotes(root) if needs_quotes(root) else root}",
    ]
    if found.bad or found.listing.found.denied:
        words.append("data.on_bad_image=skip")
    if left_out > ELONGATED:
        words.append("data.resize=pad")
    if balance > UNEVEN:
        words.append("balance_classes=true")
    seen = found.records[found.readable]
    side = float(np.median(np.minimum(seen["width"], seen["height"])))
    return shlex.join([*words, *model(facts, side, int((parts == "train").sum()))])


def needs_quotes(root: str) -> bool:
    """Return whether a folder's name would be taken for several values, or for one in quotes."""
    return "," in root or root[:1] in "'\""


def model(facts: Mapping[str, Any], side: float, images: int) -> list[str]:
    """Return the overrides that choose a model, the size of its images, and the augmentation.

    Args:
        facts: the values that ``auto`` stands for.
        side: median of the shorter sides, in pixels.
        images: the number of training images.
    """
    size, is_colour = facts["image_size"], facts["channels"] == 3
    is_large = size > SMALL and is_colour
    weights = cached_weights() if is_large else None
    if weights is not None and images < MANY:
        return [
            "model=torchvision",
            f"model.name={weights}",
            "model.weights=DEFAULT",
            "freeze=backbone",
            *crops(side),
        ]
    if is_large and images >= MANY:
        return ["model=torchvision", *crops(side)]
    if size < SMALLEST:
        return ["model=mlp"]
    words = ["model=cnn", WIDTHS, "model.batch_norm=true"]
    if size > SMALL:
        words.insert(0, f"data.image_size={SMALL_SIDE}")
    if is_colour and size >= 2 * SMALLEST:
        words.append("augment=photos")
    return [*words, "epochs=25"] if images < MANY else words


def crops(side: float) -> list[str]:
    """Return the augmentation that suits large photographs: random parts, of images somewhat larger."""
    if side < WHOLE:
        return ["augment=imagenet", "augment.crop=0.5"]
    return ["augment=imagenet", "data.image_size=224", f"data.resize_size={WHOLE}"]


def cached_weights() -> str | None:
    """Return the name of a network whose pretrained weights need not be downloaded; None if there is none."""
    home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "torch")
    try:
        folder = Path(home).expanduser() / "hub" / "checkpoints"
        return next((name for name, file in PRETRAINED.items() if (folder / file).is_file()), None)
    except (OSError, RuntimeError):  # no home, or one that may not be read
        return None
