"""Write a mask of each image file with model.onnx, which lies beside this file.

Type: python predict.py OUT FILE_OR_FOLDER...

It needs onnxruntime, Pillow and numpy, and nothing else. The model takes bytes; normalisation and softmax are
inside it. How a file becomes those bytes is said in the model's metadata, and done here.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cnntrain.tasks.portable.script import (
    Model,
    fitted,
    line,
    pixels_of,
    program,
    report_each,
    sides,
    upright,
)

USAGE = """usage: python predict.py OUT FILE_OR_FOLDER...
(writes a mask of each image into the new folder OUT, and prints its largest class and its share)"""
OVERLAP = 0.25  # of a window, at least, that its neighbour sees too
BAND = 2**22  # values that are scaled at a time

Network = Callable[[np.ndarray], np.ndarray]


def starts(length: int, window: int) -> list[int]:
    """Return where windows begin along a side, spread evenly."""
    if length <= window:
        return [0]
    step = max(1, window - math.ceil(OVERLAP * window))
    number = math.ceil((length - window) / step) + 1
    return [round(index * (length - window) / (number - 1)) for index in range(number)]


def shares(length: int, window: int) -> np.ndarray:
    """Return how much each window counts at each of its pixels along a side: less towards its border."""
    places = np.arange(window, dtype=np.float32)
    ramp = np.minimum(np.minimum(places + 0.5, window - 0.5 - places), OVERLAP * window)
    total = np.zeros(length, np.float32)
    for begin in starts(length, window):
        total[begin : begin + window] += ramp
    return np.stack([ramp / total[begin : begin + window] for begin in starts(length, window)])


def probabilities(pixels: np.ndarray, window: tuple[int, int], network: Network) -> np.ndarray:
    """Return the probabilities of an image, float32 (K, H, W), from windows that overlap.

    Args:
        pixels: uint8 (1, C, H, W), at least as large as a window.
        window: height and width that the network was trained with.
        network: maps uint8 (1, C, *window) to float32 (1, K, *window).
    """
    height, width = pixels.shape[2:]
    (tall, wide), result = window, np.zeros(0, np.float32)
    for top, down in zip(starts(height, tall), shares(height, tall), strict=True):
        for left, across in zip(starts(width, wide), shares(width, wide), strict=True):
            part = (slice(None), slice(top, top + tall), slice(left, left + wide))
            (found,) = network(np.ascontiguousarray(pixels[0][part][None]))
            if not len(result):
                result = np.zeros((len(found), height, width), np.float32)
            result[part] += found * np.outer(down, across)
    return result


def along(length: int, old: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each place's two neighbours in the side that is scaled, and the share of the second one."""
    source = ((np.arange(length, dtype=np.float32) + 0.5) * (old / length) - 0.5).clip(0, old - 1)
    first = source.astype(int)
    return first, (first + 1).clip(max=old - 1), (source - first).astype(np.float32)


def classes(found: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scale probabilities, float32 (K, h, w), bilinearly; return each pixel's class, uint8 (H, W)."""
    above, below, down = along(size[0], found.shape[1])
    before, behind, across = along(size[1], found.shape[2])
    result, band = np.empty(size, np.uint8), max(1, BAND // (len(found) * size[1]))
    for top in range(0, size[0], band):
        rows = slice(top, top + band)
        share = down[rows, None]
        scaled = found[:, above[rows]] * (1 - share) + found[:, below[rows]] * share
        wide = scaled[:, :, before] * (1 - across) + scaled[:, :, behind] * across
        result[rows] = wide.argmax(0)
    return result


def wanted_size(size: tuple[int, int], least: tuple[int, int], resize: str) -> tuple[int, int]:
    """Return what an image is scaled to: by crop, its longer side is longer than the network's."""
    if resize != "crop":
        return least
    scale = min(size[0] / least[0], size[1] / least[1])
    return max(least[0], round(size[0] / scale)), max(least[1], round(size[1] / scale))


def pasted(tall: int, wide: int, size: tuple[int, int], resize: str) -> tuple[slice, slice]:
    """Return where an image lies in what it was scaled to: by pad, black is beside it."""
    if resize != "pad":
        return slice(None), slice(None)
    scale = min(size[0] / tall, size[1] / wide)
    high, broad = max(1, round(tall * scale)), max(1, round(wide * scale))
    top, left = (size[0] - high) // 2, (size[1] - broad) // 2
    return slice(top, top + high), slice(left, left + broad)


def mask_of(file: str, how: dict[str, Any], network: Network) -> np.ndarray:
    """Return the class of each pixel of an image file, uint8 (H, W), in the size of the file."""
    image, full = upright(file, how)
    least, window, resize = sides(how["resize_size"]), sides(how["image_size"]), str(how["resize"])
    size = wanted_size((image.height, image.width), least, resize)
    scaled = fitted(image, size, "pad" if resize == "pad" else "squash")
    rows, columns = pasted(image.height, image.width, size, resize)
    return classes(probabilities(pixels_of(scaled), window, network)[:, rows, columns], full)


def new_name(folder: Path, file: str, taken: set[Path]) -> Path:
    """Return the name of a file's mask that no other has."""
    path, number = folder / f"{Path(file).stem}.png", 1
    while path in taken:
        number += 1
        path = folder / f"{Path(file).stem}_{number}.png"
    taken.add(path)
    return path


def main(words: list[str], model: Model) -> int:
    """Write the mask of each file and print its largest class. Return 1 if a file could not be read."""
    folder, taken = Path(words[0]), set[Path]()
    colors = np.array(json.loads(model.metadata["colors"]), np.uint8)
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        print(f"the folder {line(words[0])} can't be made: {error.strerror}", file=sys.stderr)
        return 2

    def show(file: str, mask: np.ndarray) -> None:
        image = Image.fromarray(mask)
        image.putpalette(colors.tobytes())
        path = new_name(folder, file, taken)
        image.save(path)
        counts = np.bincount(mask.ravel(), minlength=len(model.names))
        best = int(counts.argmax())
        share = counts[best] / mask.size
        print(f"{line(file)}\t{line(str(path))}\t{line(model.names[best])}\t{share:.6f}")

    return report_each(words[1:], lambda file: mask_of(file, model.how, model.outputs), show)


if __name__ == "__main__":
    sys.exit(program(USAGE, 2, main))
