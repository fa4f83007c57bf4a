"""Find the objects in image files with model.onnx, which lies beside this file.

Type: python predict.py FILE_OR_FOLDER...

It needs onnxruntime, Pillow and numpy, and nothing else. The model takes bytes; normalisation and
non-maximum suppression are inside it. The model's metadata describe how a file becomes those bytes, and this
script does it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from cnntrain.tasks.image_input import ended, fitted, line, pixels_of, read_all, sides, upright

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


def main(words: list[str]) -> int:
    """Print the objects in each file. Return 1 if a file could not be read."""
    if not words or {"-h", "--help"} & set(words):
        print(USAGE, file=sys.stdout if words else sys.stderr)
        return 0 if words else 2
    try:
        session = onnxruntime.InferenceSession(Path(__file__).with_name("model.onnx"))
        metadata = session.get_modelmeta().custom_metadata_map
        names, how = json.loads(metadata["class_names"]), json.loads(metadata["preprocessing"])
    except Exception as error:  # onnxruntime has its own kinds
        print(f"model.onnx can't be read: {line(str(error))}", file=sys.stderr)
        return 2
    large, (height, width) = sides(how["resize_size"]), sides(how["image_size"])
    top, left = (large[0] - height) // 2, (large[1] - width) // 2

    def read(file: str) -> tuple[np.ndarray, tuple[int, int]]:
        image, size = upright(file, how)
        whole = fitted(image, large, how["resize"])
        return pixels_of(whole.crop((left, top, left + width, top + height))), size

    failed = 0
    for file, image in read_all(words, read):
        if isinstance(image, str):
            print(f"{line(file)}: {line(image)}", file=sys.stderr)
            failed += 1
            continue
        (found,) = session.run(None, {"images": image[0]})[0]
        found = found[found[:, 5] != NO_BOX]
        for (*_, score, label), box in zip(found, back(found[:, :4], image[1], how), strict=True):
            corners = "\t".join(f"{corner:.2f}" for corner in box)
            print(f"{line(file)}\t{line(names[int(label)])}\t{score:.6f}\t{corners}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(ended(lambda: main(sys.argv[1:])))
