"""Augmentation of whole batches, on the device, with independent draws for every image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cnntrain.data.augment.annotations import WITH_ANNOTATIONS, Annotated, crop_all
from cnntrain.data.augment.color import random_hue, random_jitter
from cnntrain.data.augment.crop import random_crop
from cnntrain.data.augment.geometry import (
    between,
    random_erase,
    random_flip,
    random_rotate,
    random_shift,
    uniform,
)
from cnntrain.data.augment.policies import rand_augment, trivial_augment

# What each argument does to an image, in this order, after ``crop``.
CHANGES = {
    "flip": random_flip,
    "rotate": random_rotate,
    "shift": random_shift,
    "trivialaugment": trivial_augment,
    "randaugment": rand_augment,
    "jitter": random_jitter,
    "hue": random_hue,
    "erase": random_erase,
}


class Augment:
    """Random changes of images, and of their labels where two are mixed. Every one is off at 0.

    What moves or hides pixels does so in masks and boxes too, see
    :mod:`cnntrain.data.augment.annotations`. What changes colours leaves those alone.

    The draws come from the generator that is handed in, so that the same (seed, epoch, step) gives the
    same images wherever and whenever the batch is made.

    Args:
        shift: move by up to this many pixels in each direction; what comes in is black.
        flip: probability of mirroring left to right.
        rotate: turn by up to this many degrees in each direction.
        erase: probability of blackening a random rectangle, 2 to 33 % of the image
            (Zhong et al. 2020, Random Erasing).
        mixup: blend each image and its label with another's; the share is drawn from Beta(mixup, mixup)
            (Zhang et al. 2018, mixup).
        cutmix: put a rectangle of another image over each, and as much of its label; the share is drawn
            from Beta(cutmix, cutmix) (Yun et al. 2019, CutMix). With both, each image gets one of them.
        crop: scale a random part of at least this share of the image's area to the whole.
        jitter: change brightness, contrast and saturation by factors of 1 - jitter to 1 + jitter.
        hue: turn the colours by up to this share of the colour circle in each direction.
        randaugment: strength of two changes of random kinds, up to 30 (Cubuk et al. 2020, RandAugment).
        trivialaugment: probability of one change of random kind and strength
            (Müller and Hutter 2021, TrivialAugment).
        min_visible: share of its area that a box must keep in sight, or it is dropped. YOLOv5 calls it
            ``area_thr``.
    """

    def __init__(
        self,
        shift: int,
        flip: float,
        rotate: float,
        erase: float,
        mixup: float = 0.0,
        cutmix: float = 0.0,
        crop: float = 0.0,
        jitter: float = 0.0,
        hue: float = 0.0,
        randaugment: float = 0.0,
        trivialaugment: float = 0.0,
        min_visible: float = 0.1,
    ) -> None:
        self.mixup = mixup
        self.cutmix = cutmix
        self.min_visible = min_visible
        strengths = {
            "crop": crop,
            "flip": flip,
            "rotate": rotate,
            "shift": shift,
            "trivialaugment": trivialaugment,
            "randaugment": randaugment,
            "jitter": jitter,
            "hue": hue,
            "erase": erase,
        }
        self.strengths = {name: strength for name, strength in strengths.items() if strength}

    def __bool__(self) -> bool:
        """Return whether anything is switched on."""
        return bool(self.strengths) or self.mixes

    @property
    def mixes(self) -> bool:
        """Whether labels become shares of several classes."""
        return bool(self.mixup or self.cutmix)

    @property
    def crops(self) -> bool:
        """Whether parts of images are scaled, which may then be larger than the network wants them."""
        return "crop" in self.strengths

    def __call__(self, x: Tensor, generator: Generator, size: tuple[int, int] | None = None) -> Tensor:
        """Return changed copies of images.

        Args:
            x: uint8 (N, C, H, W).
            generator: the generator of the draws, on x's device.
            size: height and width of the results, if parts of the images are scaled; None: as before.
        """
        if self.crops:
            x = random_crop(x, self.strengths["crop"], generator, size)
        for name, change in CHANGES.items():
            if name in self.strengths:
                x = change(x, self.strengths[name], generator)
        return x

    def annotated(
        self, batch: Annotated, generator: Generator, size: tuple[int, int] | None = None
    ) -> Annotated:
        """Return changed copies of images, and what is known about places in them changed alike.

        The images are those that ``__call__`` makes of them with the same draws.

        Args:
            batch: images with masks, boxes or both.
            generator: the generator of the draws, on the images' device.
            size: height and width of the results, if parts of the images are scaled; None: as before.
        """
        if self.crops:
            batch = crop_all(batch, self.strengths["crop"], generator, size)
        for name, change in CHANGES.items():
            if name not in self.strengths:
                continue
            if name in WITH_ANNOTATIONS:
                batch = WITH_ANNOTATIONS[name](batch, self.strengths[name], generator)
            else:
                batch = replace(batch, images=change(batch.images, self.strengths[name], generator))
        return batch

    def mix(self, x: Tensor, y: Tensor, num_classes: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """Mix each image of a batch with another one.

        Args:
            x: float (N, C, H, W), normalised.
            y: int64 (N,).
            num_classes: number of classes.
            generator: on the device of both.

        Returns:
            The mixtures, and the share of each class in them, float (N, num_classes).
        """
        n = len(x)
        other = torch.randperm(n, device=x.device, generator=generator)
        cut = uniform(n, 0, 1, x, generator) < (0.5 if self.mixup else 1.0) * bool(self.cutmix)
        own_share = torch.where(cut, beta(n, self.cutmix, x, generator), beta(n, self.mixup, x, generator))
        box = random_box(x, 1 - own_share, generator)
        own_share = torch.where(cut, 1 - box.float().mean(dim=(1, 2)), own_share)
        blend = own_share.view(-1, 1, 1, 1) * x + (1 - own_share).view(-1, 1, 1, 1) * x[other]
        mixed = torch.where(cut.view(-1, 1, 1, 1), torch.where(box[:, None], x[other], x), blend)
        labels = F.one_hot(y, num_classes).to(x.dtype)
        return mixed, own_share.view(-1, 1) * labels + (1 - own_share).view(-1, 1) * labels[other]


def beta(count: int, concentration: float, x: Tensor, generator: Generator) -> Tensor:
    """Return ``count`` draws from Beta(concentration, concentration), float32 (count,); ones for 0."""
    if concentration == 0:
        return torch.ones(count, device=x.device)
    # numpy's, since torch's samplers of this distribution take no generator.
    draws = np.random.default_rng(generator.initial_seed()).beta(concentration, concentration, count)
    return torch.from_numpy(draws).to(x.device, torch.float32)


def random_box(x: Tensor, area: Tensor, generator: Generator) -> Tensor:
    """Return a rectangle in each image, bool (N, H, W), of that share of its area, or less at the edges."""
    n, _, height, width = x.shape
    tall, wide = area.sqrt() * height, area.sqrt() * width
    top = uniform(n, 0, height, x, generator) - tall / 2
    left = uniform(n, 0, width, x, generator) - wide / 2
    return between(top, tall, height)[:, :, None] & between(left, wide, width)[:, None, :]
