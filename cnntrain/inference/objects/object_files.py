"""What is written of each image in which objects were found: labels as YOLO has them, and an overlay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from cnntrain.drawing.boxes import named
from cnntrain.inference.mask_files import OVERLAYS, save
from cnntrain.inference.seen import Seen
from cnntrain.runs.named_output import save_bytes
from cnntrain.text import encoded

LABELS = "labels"


@dataclass(frozen=True)
class Writer:
    """Writes labels and overlays into a folder.

    Args:
        folder: it gets ``labels/`` and ``overlays/``.
        class_names: the class names of the model.
    """

    folder: Path
    class_names: Sequence[str]

    def write(self, name: Path, objects: Tensor, seen: Seen) -> tuple[tuple[str, Path], ...]:
        """Write both files of an image, and return what they are and where.

        Args:
            name: the name of the overlay.
            objects: float32 (K, 6): left, top, right, bottom in pixels of the file, score and class.
            seen: the image.
        """
        labels, overlay = self.folder / LABELS / name.with_suffix(".txt"), self.folder / OVERLAYS / name
        save_bytes(labels, encoded(yolo_text(objects, seen.size)))
        (height, width), (tall, wide) = seen.size, seen.shown.shape[:2]
        edges = objects[:, :4].numpy() * (wide / width, tall / height, wide / width, tall / height)
        classes = [int(label) for label in objects[:, 5]]
        names = (self.class_names[label] for label in classes)
        texts = [f"{name} {score:.0%}" for name, score in zip(names, objects[:, 4].tolist(), strict=True)]
        save(overlay, named(seen.shown, edges, classes, texts))
        return (("labels", labels), ("overlay", overlay))


def yolo_text(objects: Tensor, size: tuple[int, int]) -> str:
    """Return objects as YOLO's labels: class, middle, width and height, as shares of the image, a line each.

    Source: https://docs.ultralytics.com/datasets/detect/

    Args:
        objects: float32 (K, 6).
        size: height and width of the file.
    """
    height, width = size
    lines = []
    for left, top, right, bottom, _, label in objects.tolist():
        shares = (left + right) / 2 / width, (top + bottom) / 2 / height
        sides = (right - left) / width, (bottom - top) / height
        lines.append(" ".join([str(int(label)), *(f"{value:.6f}" for value in (*shares, *sides))]) + "\n")
    return "".join(lines)
