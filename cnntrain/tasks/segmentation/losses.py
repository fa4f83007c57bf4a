"""Losses of segmentation. Each maps logits, float (N, classes, H, W), and classes, int64 (N, H, W), to ().

Pixels of the class ``IGNORED`` are left out. Each loss is a mean in which an image counts as much as its
other pixels do, so that nothing depends on how a batch is cut; where every pixel is ignored it is 0, and so
is its gradient. It is computed in float32 whatever the precision of the model is.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnntrain.annotations.regions import IGNORED

LEAST = 1e-6  # pixels: what a batch counts that has none, so that nothing is divided by 0


class PixelLoss(nn.Module):
    """A mean over the pixels that are not ignored, or over images that count as much as theirs do.

    Args:
        weight: the weight of each class's pixels, float (classes,). None: all count 1.
    """

    takes_weights = True  # of the classes

    def __init__(self, weight: Tensor | None = None) -> None:
        super().__init__()
        self.weight: Tensor | None
        self.register_buffer("weight", weight)

    @abstractmethod
    def forward(self, output: Tensor, y: Tensor) -> Tensor:
        """Map logits, float (N, classes, H, W), and classes, int64 (N, H, W), to the loss, float32 ()."""

    def weights(self, y: Tensor) -> Tensor:
        """Return what each pixel counts, float32 (N, H, W): 0 if it is ignored.

        Raises:
            ValueError: there is no class for each pixel.
        """
        if y.dim() != 3:
            raise ValueError("it is for segmentation, with a class for each pixel")
        counts = y != IGNORED
        if self.weight is None:
            return counts.float()
        weights: Tensor = self.weight[y.where(counts, 0)] * counts
        return weights

    def weigh(self, y: Tensor) -> Tensor:
        """Return what a batch counts in a mean over several batches, float32 ()."""
        return self.weights(y).sum().clamp(min=LEAST)


class CrossEntropy(PixelLoss):
    """The cross entropy of each pixel: that of ``torch.nn.CrossEntropyLoss``, and 0 of no pixels, not NaN.

    Args:
        weight: the weight of each class, float (classes,), or None.
        label_smoothing: share of the target that is spread over all classes (Szegedy et al. 2016).
    """

    def __init__(self, weight: Tensor | None = None, label_smoothing: float = 0.0) -> None:
        super().__init__(weight)
        self.label_smoothing = label_smoothing

    def forward(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the weighted mean over the pixels."""
        pixels = self.weigh(y)
        total = F.cross_entropy(
            output.float(),
            y,
            self.weight,
            ignore_index=IGNORED,
            reduction="sum",
            label_smoothing=self.label_smoothing,
        )
        return total / pixels


class Focal(PixelLoss):
    """The focal loss: -(1 - p)^gamma · log p of the true class's probability p (Lin et al. 2017, equation 5).

    Pixels that are easy by now count little, so that a large background does not drown the rest.

    Args:
        weight: the weight of each class, float (classes,), the paper's alpha; or None.
        gamma: how little easy pixels count; 0 is cross entropy.
    """

    def __init__(self, weight: Tensor | None = None, gamma: float = 2.0) -> None:
        super().__init__(weight)
        self.gamma = gamma

    def forward(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the weighted mean over the pixels."""
        negative_log = F.cross_entropy(output.float(), y, ignore_index=IGNORED, reduction="none")
        # Of p = 1 the power's own gradient would be infinite for a gamma below 1.
        hard = (1 - torch.exp(-negative_log)).clamp(min=torch.finfo(torch.float32).eps) ** self.gamma
        return (self.weights(y) * hard * negative_log).sum() / self.weigh(y)


class Dice(PixelLoss):
    """One minus the soft Dice coefficient, mean over the classes in an image (Milletari et al. 2016, V-Net).

    Of probabilities p and the truth g, which is 0 or 1, Dice is 2 Σ p·g / (Σ p² + Σ g²) over the pixels of an
    image. It counts a small class as much as a large one. Classes that an image does not have are left out:
    their Dice would be 0 however good the model is, and what it takes for them, the others lack.
    """

    takes_weights = False

    def __init__(self) -> None:
        super().__init__()

    def forward(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the mean over the images; each counts as much as the pixels that are not ignored."""
        pixels = self.weights(y).sum(dim=(1, 2))
        return (pixels * soft_dice_loss(output, y)).sum() / self.weigh(y)


class CrossEntropyDice(PixelLoss):
    """The sum of cross entropy and Dice, which nnU-Net trains with (Isensee et al. 2021).

    Args:
        weight: the weight of each class in the cross entropy, float (classes,), or None.
        label_smoothing: the label smoothing of the cross entropy.
    """

    def __init__(self, weight: Tensor | None = None, label_smoothing: float = 0.0) -> None:
        super().__init__(weight)
        self.label_smoothing = label_smoothing

    def forward(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the mean over the images; each counts as much as its pixels do."""
        cross_entropy: Tensor = CrossEntropy(self.weight, self.label_smoothing)(output, y)
        pixels = self.weights(y).sum(dim=(1, 2))
        return cross_entropy + (pixels * soft_dice_loss(output, y)).sum() / self.weigh(y)


def soft_dice_loss(output: Tensor, y: Tensor) -> Tensor:
    """Return 1 - Dice of each image, float32 (N,): the mean over the classes that it has; 0 of none.

    Args:
        output: logits, float (N, classes, H, W).
        y: classes, int64 (N, H, W).
    """
    counts = (y != IGNORED)[:, None]
    truth = (
        torch.zeros_like(output, dtype=torch.float32).scatter(1, y[:, None].where(counts, 0), 1.0) * counts
    )
    probability = output.float().softmax(dim=1) * counts
    pixels = truth.sum(dim=(2, 3))
    both = (probability * truth).sum(dim=(2, 3))
    is_here = pixels > 0
    dice = 2 * both / (probability.square().sum(dim=(2, 3)) + pixels).clamp(min=LEAST)
    losses: Tensor = ((1 - dice) * is_here).sum(dim=1) / is_here.sum(dim=1).clamp(min=1)
    return losses
