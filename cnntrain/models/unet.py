"""The U-Net: an encoder that sees more and more of the image, and a decoder that brings back where it was."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DEEPEST = 10  # levels; an image of 1,024 pixels is one pixel there


class Encoder(nn.Module):
    """Two convolutions, and two more at each level, which halves the image and doubles the channels.

    Args:
        in_channels: 1 for grey, 3 for colour.
        width: channels of the first level; the next has twice as many, and so on.
        depth: how often the image is halved.
        batch_norm: normalise each channel over the batch, before ReLU.
        dropout: probability with which a feature at the end is switched off in training.

    Raises:
        ValueError: the image is halved more often than ``DEEPEST``.
    """

    encoder: ClassVar[tuple[str, ...]] = ("first", "down")  # which init_from takes from other models

    def __init__(self, in_channels: int, width: int, depth: int, batch_norm: bool, dropout: float) -> None:
        super().__init__()
        if depth > DEEPEST:
            raise ValueError(f"depth={depth} halves the image {depth} times; at most {DEEPEST} times")
        self.multiple = 2**depth
        self.widths = [width * 2**level for level in range(depth + 1)]
        self.first = double_conv(in_channels, width, batch_norm)
        self.pool = nn.MaxPool2d(2)
        self.down = nn.ModuleList(double_conv(wide, 2 * wide, batch_norm) for wide in self.widths[:-1])
        self.dropout = nn.Dropout(dropout)

    def features(self, x: Tensor) -> list[Tensor]:
        """Map images of any size, float (N, C, H, W), to the features of each level, the finest first."""
        levels = [self.first(padded(x, self.multiple))]
        for down in self.down:
            levels.append(down(self.pool(levels[-1])))
        return levels


class UNet(Encoder):
    """A class for each pixel (Ronneberger, Fischer and Brox 2015, U-Net, figure 1).

    Each level of the encoder halves the image and doubles the channels. Each level of the decoder does the
    opposite, and gets the encoder's features of its own size beside its own: the skip connection. Other than
    in the paper, 3×3 convolutions are padded, so that the output has the size of the image.

    ``UNet(1, 11, width=12, depth=4)`` has 1,093,295 parameters.

    Args:
        in_channels: 1 for grey, 3 for colour.
        num_classes: number of classes, the outputs of each pixel.
        width: channels of the first level; the next has twice as many, and so on.
        depth: how often the image is halved.
        batch_norm: normalise each channel over the batch, before ReLU (Ioffe and Szegedy 2015).
        upsample: ``transposed``, a learnt 2×2 convolution, as in the paper, or ``bilinear``.
        dropout: probability with which a value at the end of the encoder is switched off in training, as in
            the paper's section 3.1.

    Raises:
        ValueError: the image is halved more often than ``DEEPEST``.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        width: int,
        depth: int,
        batch_norm: bool = True,
        upsample: str = "transposed",
        dropout: float = 0.0,
    ) -> None:
        super().__init__(in_channels, width, depth, batch_norm, dropout)
        widths = self.widths[-2::-1]
        self.up = nn.ModuleList(twice_as_large(2 * wide, wide, upsample) for wide in widths)
        self.merge = nn.ModuleList(double_conv(2 * wide, wide, batch_norm) for wide in widths)
        self.classifier = nn.Conv2d(width, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map images of any size, float (N, C, H, W), to logits, float (N, num_classes, H, W)."""
        height, width = x.shape[2:]
        *skips, x = self.features(x)
        x = self.dropout(x)
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(torch.cat([skips.pop(), up(x)], dim=1))
        return self.classifier(x)[:, :, :height, :width]

    @property
    def skip_connections(self) -> list[tuple[str, str]]:
        """The module that gives features and the one that merges them, by name, the finest first."""
        levels = len(self.merge)
        givers = ["first", *(f"down.{level}" for level in range(levels - 1))]
        return [(giver, f"merge.{levels - 1 - level}") for level, giver in enumerate(givers)]


class UNetEncoder(Encoder):
    """A classifier: the encoder of a U-Net, the mean of its features over the image, and a linear layer.

    ``init_from`` gives its weights to a :class:`UNet` of the same width and depth.

    Args:
        in_channels: 1 for grey, 3 for colour.
        num_classes: number of classes.
        width: channels of the first level; the next has twice as many, and so on.
        depth: how often the image is halved.
        batch_norm: normalise each channel over the batch, before ReLU.
        dropout: probability with which a feature is switched off in training.

    Raises:
        ValueError: the image is halved more often than ``DEEPEST``.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        width: int,
        depth: int,
        batch_norm: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(in_channels, width, depth, batch_norm, dropout)
        self.classifier = nn.Linear(width * 2**depth, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images of any size, float (N, C, H, W), to logits, float (N, num_classes)."""
        x = self.features(x)[-1]
        return self.classifier(self.dropout(x.mean(dim=(2, 3))))


def double_conv(inputs: int, outputs: int, batch_norm: bool) -> nn.Sequential:
    """Return (3×3 convolution + batch norm + ReLU) × 2, which keeps height and width."""
    layers = nn.Sequential()
    for channels in (inputs, outputs):
        # The bias would be undone by the batch norm that follows.
        layers.append(nn.Conv2d(channels, outputs, 3, padding=1, bias=not batch_norm))
        if batch_norm:
            layers.append(nn.BatchNorm2d(outputs))
        layers.append(nn.ReLU())
    return layers


def twice_as_large(inputs: int, outputs: int, how: str) -> nn.Module:
    """Return what doubles height and width, and changes the channels."""
    if how == "transposed":
        return nn.ConvTranspose2d(inputs, outputs, 2, stride=2)
    # The 1x1 convolution first: the result is the same, for a quarter of the computation.
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.Upsample(scale_factor=2, mode="bilinear"))


def padded(x: Tensor, multiple: int) -> Tensor:
    """Return images whose height and width are multiples of a number; the last row and column are repeated.

    An exported graph keeps this arithmetic, and takes images of other sizes too.
    """
    height, width = x.shape[2:]
    below = (height + multiple - 1) // multiple * multiple - height
    right = (width + multiple - 1) // multiple * multiple - width
    return F.pad(x, (0, right, 0, below), mode="replicate")
