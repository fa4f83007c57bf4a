"""What the training doctor concludes of a detection run that is over. On little evidence: nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from cnntrain.config.sections import DoctorSettings
from cnntrain.tasks.detection.boxes import BOX_OF
from cnntrain.tasks.detection.matching import IOU
from cnntrain.tasks.detection.predictions import BoxMatches
from cnntrain.tasks.doctor import Finding, Finished, Row

LEARNT = 0.1  # AP50 from which a run has learnt something
PIXEL = 1.5  # median side of objects, in pixels, up to which coordinates are probably shares of the image
SMALL = 0.5  # share of a stride, below which an object is hard to find
MANY = 0.3  # share of such objects
OUTSIDE = 0.2  # share of objects that leave the image
OFTEN = 0.5  # share of the objects


def has_learnt(row: Row) -> bool:
    """Return whether AP50 is more than a start; True without a validation set, which would show nothing."""
    value: float | None = row["val_ap50"]
    return value is None or value > LEARNT


def findings(run: Finished) -> list[Finding]:
    """Return the problems of a run."""
    found = [run.never_there("image")]
    if run.train is not None and len(run.train.objects):
        found.append(at_the_wrong_scale(run.train) or too_small(run.train, run.settings))
    if not any(found) and not run.is_explained and run.val is not None and not has_learnt(run.history[-1]):
        found.append(finds_nothing(run.val))
    return [finding for finding in found if finding is not None]


def at_the_wrong_scale(train: BoxMatches) -> Finding | None:
    """Report that the boxes are not in pixels of these images."""
    sides, (height, width) = sides_of(train.objects), train.size
    median = float(sides.median())
    fix = "check the boxes with cnntrain data DIR --html FILE: they are in pixels of the file"
    if median < PIXEL:
        evidence = (
            f"the median object of the training images is {median:.2g} pixels large, on {width}×{height}"
        )
        return Finding("the boxes are at the wrong scale", evidence, fix)
    ends = torch.tensor([width, height, width, height]) + 1
    share = float((train.objects[:, BOX_OF] > ends).any(dim=1).float().mean())
    if share < OUTSIDE:
        return None
    evidence = f"{share:.0%} of the objects of the training images lie beyond {width}×{height} pixels"
    return Finding("the boxes are at the wrong scale", evidence, fix)


def too_small(train: BoxMatches, settings: DoctorSettings) -> Finding | None:
    """Report that many objects are smaller than what a cell looks at."""
    strides = settings.model.get("strides")
    if not strides:
        return None
    share = float((sides_of(train.objects) < SMALL * strides[0]).float().mean())
    if share < MANY:
        return None
    evidence = (
        f"{share:.0%} of the objects are below {SMALL * strides[0]:g} pixels, and a cell is {strides[0]}"
    )
    finer = ",".join(str(stride) for stride in [strides[0] // 2, *strides])
    return Finding(
        "objects are smaller than the cells",
        evidence,
        f"a larger data.image_size, or 'model.strides=[{finer}]'",
    )


def finds_nothing(val: BoxMatches) -> Finding | None:
    """Explain why a run that is long enough finds nothing: no box is near, or none has the right class."""
    if not len(val.objects):
        return None
    near, right = (float((best >= IOU).float().mean()) for best in (val.best_iou, val.best_of_class))
    score = float(val.scores.median())
    evidence = (
        f"of {len(val.objects):,} validation objects {near:.0%} have a box at IoU {IOU} with any score and "
        f"class, {right:.0%} one of their class; the highest score in the median image is {score:.2g}"
    )
    if near < OFTEN:
        sides, own = (
            float(sides_of(val.objects).median()),
            float(val.sides.median()) if len(val.sides) else 0.0,
        )
        evidence += f"; objects are {sides:.0f} pixels large, boxes {own:.0f}"
        fix = "more epochs or a larger optim.lr; if sizes differ much, check the boxes: cnntrain data DIR"
        return Finding("no box comes near the objects", evidence, fix)
    if right < OFTEN * near:
        fix = "check that the classes belong to the boxes: cnntrain data DIR --html FILE; if so, more epochs"
        return Finding("boxes lie right, but have other classes", evidence, fix)
    return Finding("boxes lie right, but have low scores", evidence, "more epochs, or a larger optim.lr")


def sides_of(objects: Tensor) -> Tensor:
    """Return the longer side of each object, float32 (O,)."""
    longer: Tensor = (objects[:, 2:4] - objects[:, :2]).amax(dim=1)
    return longer
