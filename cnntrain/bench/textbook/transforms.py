"""Torchvision's v2 transforms, which change an image together with its mask or boxes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cnntrain.annotations.regions import IGNORED

Target = Tensor | dict[str, Tensor]  # a mask, uint8 (H, W), or ``boxes`` (M, 4) and ``labels`` (M,)
Sample = tuple[Tensor, Target]
Transform = Callable[[Any, Any], Sample]


def as_learnt(image: NDArray[np.uint8], target: Target, transform: Transform) -> Sample:
    """Return an image, uint8 (C, H, W), and its mask or boxes after the transforms."""
    from torchvision import tv_tensors

    seen = tv_tensors.Image(torch.from_numpy(image))
    if isinstance(target, Tensor):
        return transform(seen, tv_tensors.Mask(target))
    boxes = tv_tensors.BoundingBoxes(
        target["boxes"],
        format=tv_tensors.BoundingBoxFormat.XYXY,
        canvas_size=(image.shape[1], image.shape[2]),
    )
    return transform(seen, {**target, "boxes": boxes})


def transforms(
    strengths: Mapping[str, float],
    size: tuple[int, int],
    normalize: tuple[list[float], list[float]] | None,
    targets: str,
) -> Transform:
    """Return transforms of images with masks or boxes, which turn it into floats at last.

    Args:
        strengths: the strengths of each kind of augmentation. Those that torchvision does not have for masks
            and boxes (TrivialAugment, RandAugment, erasing) are left out, which makes the textbook loop
            faster.
        size: height and width of an image, in pixels.
        normalize: mean and standard deviation of each channel; None: the image stays between 0 and 1.
        targets: ``masks`` or ``boxes``.
    """
    from torchvision import tv_tensors
    from torchvision.transforms import InterpolationMode, v2

    fill = {tv_tensors.Image: 0, tv_tensors.Mask: IGNORED, "others": 0}
    geometric: dict[str, Callable[[float], Any]] = {
        "crop": lambda least: v2.RandomResizedCrop(size, scale=(least, 1.0)),
        "flip": v2.RandomHorizontalFlip,
        "rotate": lambda degrees: v2.RandomRotation(
            [-degrees, degrees], InterpolationMode.BILINEAR, fill=fill
        ),
        "shift": lambda pixels: v2.RandomCrop(size, padding=int(pixels), fill=fill),
    }
    photometric: dict[str, Callable[[float], Any]] = {
        "jitter": lambda strength: v2.ColorJitter(strength, strength, strength),
        "hue": lambda strength: v2.ColorJitter(hue=strength),
    }
    chosen = [make(strengths[kind]) for kind, make in (geometric | photometric).items() if kind in strengths]
    if targets == "boxes" and geometric.keys() & strengths.keys():
        chosen.append(v2.SanitizeBoundingBoxes())  # without those that have left the image
    chosen.append(v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True))
    if normalize is not None:
        chosen.append(v2.Normalize(*normalize))
    composed: Transform = v2.Compose([*chosen, v2.ToPureTensor()])
    return composed
