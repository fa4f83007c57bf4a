"""Find the objects in image files with model.onnx, which lies beside this file.

Type: python predict.py FILE_OR_FOLDER...

It needs onnxruntime, Pillow and numpy, and nothing else. The model takes bytes; normalisation and
non-maximum suppression are inside it. The model's metadata describe how a file becomes those bytes, and this
script does it.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from cnntrain.tasks.portable.script import Model, line, middle, program, report_each, sides

USAGE = """usage: python predict.py FILE_OR_FOLDER...
(a line for each object: file, class, score, and left, top, right and bottom in pixels of the file)"""
NO_BOX = -1


def back(boxes: np.ndarray, size: tuple[int, int], how: dict[str, Any]) -> np.ndarray:
    """Return boxes, float32 (N, 4), in pixels of a file of a height and width, of those the model gives."""
    (tall, wide), (height, width) = sides(how["resize_size"]), sides(how["image_size"])
    down, across = tall / size[0], wide / size[1]
    if how["resize"] != "squash":
        down = across = (max if how["resize"] == "crop" else min)(down, across)
    # The middle of what the model sees is the middle of the file.
    left, top = (width - across * size[1]) / 2, (height - down * size[0]) / 2
    moved: np.ndarray = (boxes - np.array([left, top, left, top])) / np.array([across, down, across, down])
    clipped: np.ndarray = np.clip(moved, 0, np.array([size[1], size[0]] * 2))
    return clipped


def main(words: list[str], model: Model) -> int:
    """Print the objects in each file. Return 1 if a file could not be read."""

    def show(file: str, image: tuple[np.ndarray, tuple[int, int]]) -> None:
        (found,) = model.outputs(image[0])
        found = found[found[:, 5] != NO_BOX]
        boxes = back(found[:, :4], image[1], model.how)
        for (*_, score, label), box in zip(found, boxes, strict=True):
            corners = "\t".join(f"{corner:.2f}" for corner in box)
            print(f"{line(file)}\t{line(model.names[int(label)])}\t{score:.6f}\t{corners}")

    return report_each(words, lambda file: middle(file, model.how), show)


if __name__ == "__main__":
    sys.exit(program(USAGE, 1, main))
