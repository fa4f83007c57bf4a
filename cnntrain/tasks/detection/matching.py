"""Which boxes are right, and what is wrong with the others (Bolya et al. 2020, TIDE)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import box_iou

from cnntrain.annotations.regions import BOX_CLASS, BOX_IGNORED
from cnntrain.tasks.detection.boxes import BOX_OF, SCORE

IOU = 0.5  # from which a box is right
TOUCHES = 0.1  # IoU from which a wrong box is about an object, and not about the background
RIGHT, DUPLICATE, MISLOCATED, CONFUSED, BACKGROUND, UNCOUNTED = range(6)
KINDS = ("right", "duplicate", "mislocated", "confused", "background", "not counted")


@dataclass(frozen=True)
class Matches:
    """What became of the boxes and of the objects of N images.

    Args:
        image: of each box, int64 (D,).
        score: of each box, float32 (D,).
        label: the class of each box, int64 (D,).
        kind: one of ``KINDS`` for each box, int64 (D,).
        truth: the class of the object that a box is about, int64 (D,); -1 of the background.
        object_image, object_label: of each object that counts, int64 (O,).
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

    def curves(self, thresholds: Tensor) -> tuple[Tensor, Tensor]:
        """Return precision and recall of the boxes from each score on, float64 (thresholds,).

        The precision of no boxes is 1.
        """
        counted = self.kind != UNCOUNTED
        from_here = (self.score >= thresholds[:, None]) & counted
        right = (from_here & (self.kind == RIGHT)).sum(dim=1).double()
        boxes = from_here.sum(dim=1).double()
        precision = torch.where(boxes > 0, right / boxes.clamp(min=1), 1.0)
        return precision, right / max(1, len(self.object_label))

    def errors(self, score: float) -> dict[str, int]:
        """Return how many boxes from a score on are wrong, by kind, and how many objects are missed."""
        shown = self.kind[self.score >= score]
        counts = {
            KINDS[kind]: int((shown == kind).sum()) for kind in (DUPLICATE, MISLOCATED, CONFUSED, BACKGROUND)
        }
        return {**counts, "missed": int((self.object_score < score).sum())}

    def errors_by_image(self, score: float, images: int) -> tuple[Tensor, Tensor]:
        """Return of each image the objects that are missed, and the boxes from a score on that are wrong."""
        is_wrong = (self.score >= score) & (self.kind != RIGHT) & (self.kind != UNCOUNTED)
        missed = self.object_image[self.object_score < score]
        return missed.bincount(minlength=images), self.image[is_wrong].bincount(minlength=images)

    def confusion(self, score: float, num_classes: int) -> Tensor:
        """Return boxes from a score on and objects, int64 (classes + 1, classes + 1); the last is background.

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
    """Match boxes with objects of their class, the surest first, at an IoU of 0.5.

    Args:
        truth: float32 (N, M, 6), see :class:`cnntrain.data.targets.Boxes`.
        found: float32 (N, K, 6), see :func:`cnntrain.tasks.detection.boxes.detections`.
    """
    boxes, objects = [], []
    for image, (known, said) in enumerate(zip(truth, found, strict=True)):
        known, said = known[known[:, BOX_CLASS] >= 0], said[said[:, SCORE + 1] >= 0]
        kinds, about, scores = in_image(known, said)
        of_image = torch.full((len(said),), image)
        boxes.append((of_image, said[:, SCORE], said[:, SCORE + 1].long(), kinds, about))
        counts = known[:, BOX_IGNORED] == 0
        objects.append(
            (
                torch.full_like(known[counts, BOX_CLASS], image).long(),
                known[counts, BOX_CLASS].long(),
                scores[counts],
            )
        )
    return Matches(*map(torch.cat, zip(*boxes, strict=True)), *map(torch.cat, zip(*objects, strict=True)))


def in_image(known: Tensor, said: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the kind of each box of an image, the class that it is about, and the score of each object.

    Args:
        known: objects, float32 (M, 6).
        said: boxes, the surest first, float32 (D, 6).
    """
    labels, scores = known[:, BOX_CLASS].long(), torch.zeros(len(known))
    kinds = torch.full((len(said),), BACKGROUND)
    about = torch.full((len(said),), -1)
    if not len(known):
        return kinds, about, scores
    iou, is_counted = box_iou(said[:, BOX_OF], known[:, BOX_OF]), known[:, BOX_IGNORED] == 0
    for place, row in enumerate(said):
        overlaps, own = iou[place], labels == int(row[SCORE + 1])
        best = kind_of(overlaps, own, is_counted, scores > 0)
        if best is not None:
            kinds[place], nearest = best
            about[place] = labels[nearest]
            if kinds[place] == RIGHT:
                scores[nearest] = row[SCORE]
    return kinds, about, scores


def kind_of(overlaps: Tensor, own: Tensor, is_counted: Tensor, is_found: Tensor) -> tuple[int, int] | None:
    """Return what a box is, and the object that it is about; None of the background.

    Args:
        overlaps: its IoU with each object, float (M,).
        own: the objects of its class, bool (M,).
        is_counted: the objects that are not ignored, bool (M,).
        is_found: the objects that a surer box has found, bool (M,).
    """
    for kind, which, least in (
        (RIGHT, own & is_counted & ~is_found, IOU),
        (UNCOUNTED, own & ~is_counted, IOU),
        (DUPLICATE, own & is_counted & is_found, IOU),
        (CONFUSED, ~own & is_counted, IOU),
        (MISLOCATED, own & is_counted, TOUCHES),
    ):
        nearest = int(overlaps.where(which, -1).argmax())
        if which[nearest] and overlaps[nearest] >= least:
            return kind, nearest
    return None
