"""The boundary F1: how well the predicted borders between classes match the true ones."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from cnntrain.annotations.regions import IGNORED

DISTANCE = 2  # pixels that a border may be off
NONE = -1  # the class of a pixel that counts nowhere


def around(classes: Tensor, distance: int) -> Iterator[Tensor]:
    """Yield what lies that many pixels across and down from each pixel, itself included, int (N, H, W).

    To compare it with whole images a few times takes a third of the time of pooling on a CPU.
    """
    height, width = classes.shape[1:]
    wider = F.pad(classes, (distance,) * 4, value=NONE)
    for down in range(2 * distance + 1):
        for right in range(2 * distance + 1):
            yield wider[:, down : down + height, right : right + width]


def borders(classes: Tensor) -> Tensor:
    """Return the classes, int (N, H, W), of pixels that have another class beside them; ``NONE`` elsewhere.

    The edge of the image is no border, and neither is that of what counts nowhere.
    """
    is_border = torch.zeros_like(classes, dtype=torch.bool)
    for other in around(classes, 1):
        is_border |= (other != classes) & (other != NONE)
    return classes.where(is_border, NONE)


def near(pixels: Tensor, others: Tensor) -> Tensor:
    """Return the classes, int (N, H, W), of those pixels that have others of their class near; else ``NONE``.

    Near is up to ``DISTANCE`` pixels across, down or both.
    """
    is_near = torch.zeros_like(pixels, dtype=torch.bool)
    for other in around(others, DISTANCE):
        is_near |= pixels == other
    return pixels.where(is_near, NONE)


def border_counts(predicted: Tensor, y: Tensor, num_classes: int) -> Tensor:
    """Return for each class what its boundary F1 is made of, int64 (4, classes).

    The boundary F1 (Csurka et al. 2013, What is a good evaluation measure for semantic segmentation?) is the
    harmonic mean of precision, the share of a class's predicted border that lies near its true border, and
    recall, the opposite. Csurka et al. compute it for each image; here the pixels of all images are counted
    together, as for the other scores.

    Args:
        predicted: classes, int64 (N, H, W).
        y: true classes, int64 (N, H, W).
        num_classes: number of classes.

    Returns:
        The number of pixels on the predicted borders, of those that are near the true one, of pixels on the
        true borders, and of those that are near the predicted one.
    """
    small = torch.int16 if num_classes < 2**15 else torch.int32  # which is compared faster
    said, true = (borders(c.where(y != IGNORED, NONE).to(small)) for c in (predicted, y))
    found = (said, near(said, true), true, near(true, said))
    return torch.stack([counted(pixels, num_classes) for pixels in found])


def counted(classes: Tensor, num_classes: int) -> Tensor:
    """Return how many pixels each class has, int64 (classes,), of classes, int (N, H, W)."""
    numbers: Tensor = torch.bincount(classes.flatten().int() - NONE, minlength=num_classes + 1)
    return numbers[1:]


def boundary_f1(counts: Tensor) -> Tensor:
    """Return the boundary F1 of each class, float64 (classes,), from the sum of :func:`border_counts`.

    It is NaN for a class that has no border, neither true nor predicted.
    """
    said, said_near, true, true_near = counts.double()
    # Without a predicted border nothing is precise, and without a true one nothing is found.
    precision, recall = (said_near / said).nan_to_num(0.0), (true_near / true).nan_to_num(0.0)
    f1: Tensor = 2 * precision * recall / (precision + recall).clamp(min=torch.finfo(torch.float64).tiny)
    return f1.where(said + true > 0, torch.nan)
