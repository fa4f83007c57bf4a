"""Which boxes are right, and what is wrong with the others (Bolya et al. 2020, TIDE)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cnntrain.annotations.regions import BOX_CLASS, BOX_COLUMNS
from cnntrain.tasks.detection.boxes import BOX_OF, SCORE, exist, pairwise_iou

IOU = 0.5  # from which a box is right
TOUCHES = 0.1  # IoU from which a wrong box is about an object, and not about the background
THRESHOLDS = [place / 100 for place in range(1, 100)]  # thresholds that are tried
RIGHT, DUPLICATE, MISLOCATED, CONFUSED, BACKGROUND, UNCOUNTED = range(6)
KINDS = ("right", "duplicate", "mislocated", "confused", "background", "not counted")


@dataclass(frozen=True)
class Matches:
    """What became of the boxes and of the objects of N images.

    Args:
        image: the image of each box, int64 (D,).
        score: the score of each box, float32 (D,).
        label: the class of each box, int64 (D,).
        kind: one of ``KINDS`` for each box, int64 (D,).
        truth: the class of the object that a box is about, int64 (D,); -1 of the background.
        object_image, object_label: those of each object that counts, int64 (O,).
        object_score: the score of the box that found it, float32 (O,); 0 if none did.
    """

    image: Tensor
    score: Tensor
    label: Tensor
    kind: Tensor
    truth: Tensor
    object_image: Tensor
    object_label: Tensor
    object_score: Tensor

    def curves(self, thresholds: Sequence[float]) -> tuple[Tensor, Tensor]:
        """Return precision and recall of the boxes with at least each score, float64 (thresholds,).

        The precision of no boxes is 1.
        """
        counted = self.kind != UNCOUNTED
        scores = torch.tensor(thresholds, dtype=torch.float64)
        from_here = (self.score >= scores[:, None]) & counted
        right = (from_here & (self.kind == RIGHT)).sum(dim=1).double()
        boxes = from_here.sum(dim=1).double()
        precision = torch.where(boxes > 0, right / boxes.clamp(min=1), 1.0)
        return precision, right / max(1, len(self.object_label))

    def f1(self, thresholds: Sequence[float]) -> Tensor:
        """Return F1 of the boxes with at least each score, float64 (thresholds,); 0 where none is right."""
        precision, recall = self.curves(thresholds)
        return 2 * precision * recall / (precision + recall).clamp(min=1e-9)

    def best_threshold(self) -> float | None:
        """Return the threshold at which the boxes have the highest F1; None if no box is right.

        Of several such scores it is the middle one, which is the farthest from a worse one.
        """
        f1 = self.f1(THRESHOLDS)
        if f1.max() <= 0:
            return None
        best = (f1 == f1.max()).nonzero()[:, 0]
        return THRESHOLDS[int(best[len(best) // 2])]

    def errors(self, score: float) -> dict[str, int]:
        """Return the numbers of wrong boxes of at least a score, by kind, and of missed objects."""
        shown = self.kind[self.score >= score]
        counts = {
            KINDS[kind]: int((shown == kind).sum()) for kind in (DUPLICATE, MISLOCATED, CONFUSED, BACKGROUND)
        }
        return {**counts, "missed": int((self.object_score < score).sum())}

    def errors_by_image(self, score: float, images: int) -> tuple[Tensor, Tensor]:
        """Return, for each image, the numbers of missed objects and of wrong boxes of at least a score."""
        is_wrong = (self.score >= score) & (self.kind != RIGHT) & (self.kind != UNCOUNTED)
        missed = self.object_image[self.object_score < score]
        return missed.bincount(minlength=images), self.image[is_wrong].bincount(minlength=images)

    def confusion(self, score: float, num_classes: int) -> Tensor:
        """Return objects and boxes of at least a score, int64 (classes + 1, classes + 1), background last.

        Row: the class of the object; column: the class of the box. An object without a box of any class is in
        the last column, and a box without an object in the last row.
        """
        matrix = torch.zeros(num_classes + 1, num_classes + 1, dtype=torch.int64)
        shown = (self.score >= score) & (self.kind != UNCOUNTED)
        about = torch.where((self.kind == RIGHT) | (self.kind == CONFUSED), self.truth, num_classes)[shown]
        ones = torch.ones_like(about)
        matrix.index_put_((about, self.label[shown]), ones, accumulate=True)
        objects = self.object_label.bincount(minlength=num_classes)
        matrix[:num_classes, num_classes] = (objects - matrix[:num_classes, :num_classes].sum(dim=1)).clamp(
            min=0
        )
        return matrix


def matched(truth: Tensor, found: Tensor) -> Matches:
    """Match boxes with objects of their class, the most confident first, at an IoU of 0.5.

    All images are looked at together, box by box: after each epoch the validation images are.

    Args:
        truth: float32 (N, M, 6), see :class:`cnntrain.data.targets.Boxes`.
        found: float32 (N, K, 6), see :func:`cnntrain.tasks.detection.boxes.detections`.
    """
    truth = torch.cat([truth, nothing(truth)], dim=1)
    is_box, counts, labels = found[..., SCORE + 1] >= 0, exist(truth), truth[..., BOX_CLASS].long()
    kinds = torch.full(is_box.shape, BACKGROUND)
    about = torch.full(is_box.shape, -1)
    scores = torch.zeros(labels.shape)
    for place in range(int(is_box.sum(dim=1).amax()) if len(found) else 0):
        box = found[:, place]
        overlaps = pairwise_iou(box[:, None, BOX_OF], truth[..., BOX_OF])[:, 0]
        is_own = (labels == box[:, SCORE + 1].long()[:, None]) & (labels >= 0)
        kinds[:, place], nearest = kinds_of(overlaps, is_own, counts, scores > 0)
        is_about = kinds[:, place] != BACKGROUND
        about[is_about, place] = labels.gather(1, nearest[:, None])[:, 0][is_about]
        right = ((kinds[:, place] == RIGHT) & is_box[:, place]).nonzero()[:, 0]
        scores[right, nearest[right]] = box[right, SCORE]
    of_box, of_object = is_box.nonzero()[:, 0], counts.nonzero()[:, 0]
    rows = found[is_box]
    text = rows[:, SCORE], rows[:, SCORE + 1].long(), kinds[is_box], about[is_box]
    return Matches(of_box, *text, of_object, labels[counts], scores[counts])


def nothing(truth: Tensor) -> Tensor:
    """Return a row of padding for each image, so that each has a row: float32 (N, 1, 6)."""
    row = truth.new_zeros(len(truth), 1, BOX_COLUMNS)
    row[..., BOX_CLASS] = -1
    return row


def kinds_of(overlaps: Tensor, own: Tensor, counts: Tensor, is_found: Tensor) -> tuple[Tensor, Tensor]:
    """Return what a box of each image is, and the place of the object that it is about, int64 (N,) each.

    Args:
        overlaps: its IoU with each object, float (N, M).
        own: the objects of its class, bool (N, M).
        counts: the objects that are not ignored, bool (N, M).
        is_found: the objects that a more confident box has found, bool (N, M).
    """
    kinds = torch.full((len(overlaps),), BACKGROUND)
    nearest = torch.zeros_like(kinds)
    for kind, which, least in (  # the last that holds
        (MISLOCATED, own & counts, TOUCHES),
        (CONFUSED, ~own & counts, IOU),
        (DUPLICATE, own & counts & is_found, IOU),
        (UNCOUNTED, own & ~counts, IOU),
        (RIGHT, own & counts & ~is_found, IOU),
    ):
        best, place = overlaps.where(which, -1).max(dim=1)
        kinds = torch.where(best >= least, kind, kinds)
        nearest = torch.where(best >= least, place, nearest)
    return kinds, nearest
