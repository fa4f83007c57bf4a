"""All objects that were found in files: as CSV, and as JSON in the format of COCO's results."""

from __future__ import annotations

from collections.abc import Sequence

from cnntrain.inference.prediction import Prediction
from cnntrain.runs.named_output import json_of
from cnntrain.runs.safe_csv import csv_of

PLACES = ("left", "top", "right", "bottom")


def as_csv(found: Sequence[Prediction], class_names: Sequence[str]) -> str:
    """Return a row for each box, in pixels of the file; a file without one has a row, too."""
    rows: list[list[object]] = [["file", "class", "score", *PLACES, "error"]]
    for prediction in found:
        boxes = [] if prediction.objects is None else prediction.objects.tolist()
        for *place, score, label in boxes:
            numbers = (f"{score:.6g}", *(f"{value:.2f}" for value in place))
            rows.append([prediction.file, class_names[int(label)], *numbers, ""])
        if not boxes:
            rows.append([prediction.file, *[""] * 6, prediction.reason])
    return csv_of(rows)


def as_json(found: Sequence[Prediction], class_names: Sequence[str]) -> str:
    """Return a list of all boxes, as COCO takes results: image, category, bbox (x, y, width, height), score.

    ``file`` and ``category`` are added, which say in words what the numbers mean. Source:
    https://cocodataset.org/#format-results
    """
    rows = []
    for number, prediction in zip(numbers_of(found), found, strict=True):
        boxes = [] if prediction.objects is None else prediction.objects.tolist()
        for left, top, right, bottom, score, label in boxes:
            rows.append(
                {
                    "image_id": number,
                    "category_id": int(label),
                    "bbox": [round(value, 2) for value in (left, top, right - left, bottom - top)],
                    "score": round(score, 6),
                    "file": str(prediction.file),
                    "category": class_names[int(label)],
                }
            )
    return json_of(rows)


def numbers_of(found: Sequence[Prediction]) -> list[int]:
    """Return a number for each file: its name, as COCO's files are named, or 1, 2, 3 in their order."""
    stems = [prediction.file.stem for prediction in found]
    if all(stem.isascii() and stem.isdecimal() for stem in stems):
        numbers = [int(stem) for stem in stems]
        if len(set(numbers)) == len(numbers):
            return numbers
    return list(range(1, len(found) + 1))
