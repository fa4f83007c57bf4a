"""COCO's average precision, computed by the library faster-coco-eval, whose numbers are pycocotools'."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cnntrain.annotations.regions import BOX_CLASS, BOX_IGNORED
from cnntrain.tasks.detection.boxes import SCORE

NAMES = (
    *("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large"),
    *("ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large"),
)
ALL_AREAS, MOST_BOXES = 0, 2  # places in the arrays of precision: any size, 100 boxes an image


@dataclass(frozen=True)
class AveragePrecision:
    """COCO's numbers for some images, each from 0 to 1; NaN where no object counts.

    Args:
        numbers: the twelve, by the names in ``NAMES``. ``ap`` is the mean over ten IoUs from 0.5 to 0.95 and
            over the classes that occur; ``ap_small`` that of objects below 32² pixels, ``ap_large`` of those
            from 96²; ``ar10`` the recall with 10 boxes an image (cocodataset.org, detection evaluation).
        precision: at recalls from 0 to 1 in steps of 0.01, float64 (10 IoUs, 101, classes); NaN of a class
            that no object has.
    """

    numbers: dict[str, float]
    precision: np.ndarray

    @cached_property
    def per_class(self) -> list[float]:
        """The AP of each class; NaN of one that no object has."""
        return [float(each) for each in self.precision.mean(axis=(0, 1))]


def average_precision(truth: Tensor, found: Tensor, num_classes: int) -> AveragePrecision:
    """Compare boxes with those that are there.

    Args:
        truth: float32 (N, M, 6), see :class:`cnntrain.data.targets.Boxes`. Those that are ignored, such as
            crowds, are neither missed nor wrong.
        found: float32 (N, K, 6), see :func:`cnntrain.tasks.detection.boxes.detections`.
        num_classes: number of classes.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    images = [{"id": index + 1} for index in range(len(truth))]
    categories = [{"id": label + 1, "name": str(label)} for label in range(num_classes)]
    known = COCO({"images": images, "categories": categories, "annotations": objects_in(truth)})
    compared = COCOeval_faster(known, known.loadRes(results(found)), "bbox", print_function=silent)
    compared.evaluate()
    compared.accumulate()
    compared.summarize()
    numbers = dict(zip(NAMES, (or_nan(value) for value in compared.stats[: len(NAMES)]), strict=True))
    precision = np.asarray(compared.eval["precision"], np.float64)[..., ALL_AREAS, MOST_BOXES]
    return AveragePrecision(numbers, np.where(precision < 0, np.nan, precision))


def objects_in(truth: Tensor) -> list[dict[str, Any]]:
    """Return objects as COCO has them: left, top, width and height."""
    image, place = (truth[..., BOX_CLASS] >= 0).nonzero().unbind(1)
    rows = truth[image, place].double()
    sides = rows[:, 2:4] - rows[:, :2]
    each = zip(
        image.tolist(),
        torch.cat([rows[:, :2], sides], dim=1).tolist(),
        sides.prod(dim=1).tolist(),
        rows[:, BOX_CLASS].long().tolist(),
        rows[:, BOX_IGNORED].long().tolist(),
        strict=True,
    )
    return [
        {"id": n, "image_id": of + 1, "bbox": box, "area": area, "category_id": label + 1, "iscrowd": crowd}
        for n, (of, box, area, label, crowd) in enumerate(each, start=1)
    ]


def results(found: Tensor) -> list[dict[str, Any]]:
    """Return detections as COCO has them."""
    image, place = (found[..., SCORE + 1] >= 0).nonzero().unbind(1)
    rows = found[image, place].double()
    each = zip(
        image.tolist(),
        torch.cat([rows[:, :2], rows[:, 2:4] - rows[:, :2]], dim=1).tolist(),
        rows[:, SCORE].tolist(),
        rows[:, SCORE + 1].long().tolist(),
        strict=True,
    )
    return [
        {"image_id": of + 1, "bbox": box, "score": score, "category_id": label + 1}
        for of, box, score, label in each
    ]


def or_nan(value: float) -> float:
    """Return a number of COCO's; NaN for its -1, which says that no object counts."""
    return float(value) if value >= 0 else float("nan")


def silent(*words: object) -> None:
    """Print nothing."""
