"""What a model said about each image of an evaluation, and what of it is worth a look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cnntrain.tasks.collector import Collector

BINS = 15  # of the calibration curve, as in Guo et al. 2017


class PredictionCollector(Collector["ImagePredictions"]):
    """Keeps the label of every image, and what the model says about it."""

    def extract(self, output: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        """Return the labels and, of logits (N, classes), predicted classes and their probability, (N,)."""
        confidence, predicted = output.float().softmax(dim=1).max(dim=1)
        return y, predicted, confidence

    def combine(self, batches: Sequence[tuple[Tensor, ...]]) -> ImagePredictions:
        """Return all that was noted."""
        labels, predicted, confidence = zip(*batches, strict=True)
        return ImagePredictions(torch.cat(labels), torch.cat(predicted), torch.cat(confidence))


@dataclass(frozen=True)
class ImagePredictions:
    """What a model said about some images.

    Args:
        labels: their classes, int64 (N,).
        predicted: what the model takes them for, int64 (N,).
        confidence: the probability that it gives to that, float32 (N,), from 0 to 1.
    """

    labels: Tensor
    predicted: Tensor
    confidence: Tensor

    @property
    def correct(self) -> Tensor:
        """Whether the model is right, bool (N,)."""
        return self.labels == self.predicted

    @property
    def accuracy(self) -> float:
        """Share of images classified correctly, from 0 to 1."""
        return 1 - float((~self.correct).double().mean())

    def share_as_confident(self) -> float:
        """Return the share of the errors that are as confident as the median of the right answers.

        Honest errors are hesitant; where a label is wrong, the model is as confident as anywhere (the idea
        of Northcutt et al. 2021, Confident Learning).
        """
        typical = self.confidence[self.correct].median()
        return float((self.confidence[~self.correct] >= typical).float().mean())

    def mistakes(self, most: int) -> list[int]:
        """Return up to ``most`` images that the model is wrong about, the most confident first."""
        wrong = (~self.correct).nonzero().flatten()
        order = self.confidence[wrong].argsort(descending=True, stable=True)
        return [int(index) for index in wrong[order][:most]]

    def in_cells(self, most: int, in_cell: int) -> dict[tuple[int, int], list[int]]:
        """Return some images for each cell (true class, predicted class) of the confusion matrix.

        Cells take turns, those of mistakes first, until there are ``most`` images or each has ``in_cell``.
        In a cell the most confident come first.
        """
        order = self.confidence.argsort(descending=True, stable=True)
        order = order[self.correct[order].int().argsort(stable=True)]  # mistakes first
        cells: dict[tuple[int, int], list[int]] = {}
        for index, truth, said in zip(
            order.tolist(), self.labels[order].tolist(), self.predicted[order].tolist(), strict=True
        ):
            images = cells.setdefault((truth, said), [])
            if len(images) < in_cell:
                images.append(index)
        turns = [pair for turn in range(in_cell) for pair in taken_in(turn, cells)]
        chosen: dict[tuple[int, int], list[int]] = {}
        for cell, index in turns[:most]:
            chosen.setdefault(cell, []).append(index)
        return chosen

    def examples(self, most: int) -> list[int]:
        """Return a few images of different classes, recognised ones first."""
        order = torch.arange(len(self.labels))[(~self.correct).int().argsort(stable=True)].tolist()
        by_class: dict[int, int] = {}
        for index in order:
            by_class.setdefault(int(self.labels[index]), index)
        return list(by_class.values())[:most]

    def calibration(self) -> Calibration:
        """Compare how sure the model is with how often it is right."""
        bins = (self.confidence * BINS).ceil().long().clamp(1, BINS) - 1
        counts = torch.bincount(bins, minlength=BINS)
        divisor = counts.clamp(min=1).double()
        sure = torch.bincount(bins, self.confidence.double(), minlength=BINS) / divisor
        right = torch.bincount(bins, self.correct.double(), minlength=BINS) / divisor
        error = float((counts * (right - sure).abs()).sum() / counts.sum())
        return Calibration(counts.tolist(), sure.tolist(), right.tolist(), error)


@dataclass(frozen=True)
class Calibration:
    """How sure a model is, in bins of equal width, against how often it is right (Guo et al. 2017).

    Args:
        counts: images in each bin.
        confidence: mean confidence of each bin; 0 where it is empty.
        accuracy: share of right answers in each bin; 0 where it is empty.
        error: expected calibration error: the mean distance of the two, over all images.
    """

    counts: list[int]
    confidence: list[float]
    accuracy: list[float]
    error: float


def taken_in(turn: int, cells: dict[tuple[int, int], list[int]]) -> Iterator[tuple[tuple[int, int], int]]:
    """Yield the image that each cell gives in a turn, if it has so many."""
    for cell, images in cells.items():
        if turn < len(images):
            yield cell, images[turn]
