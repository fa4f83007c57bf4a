"""``cnntrain data --augmented FILE`` draws masks and boxes over the images, as they are moved with them."""

from __future__ import annotations

from pathlib import Path

import box_tree
import numpy as np
import pytest
from conftest import Command
from PIL import Image

CANVAS = ("data=mnist_canvas", "data.canvases=40", "data.test_canvases=10")
PHOTOS, CROPPED = ("augment=photos",), ("augment.crop=0.5", "augment.rotate=20")


def is_coloured(file: str) -> bool:
    """Return whether an image has pixels that are far from grey."""
    pixels = np.asarray(Image.open(file).convert("RGB")).astype(int)
    return bool(((pixels.max(2) - pixels.min(2)) > 60).sum() > 500)


@pytest.mark.parametrize(
    ("word", "how"),
    [
        ("data.targets=masks", PHOTOS),
        ("data.targets=masks", CROPPED),
        ("data.targets=boxes", CROPPED),
        ("task=detection", PHOTOS),
    ],
)
def test_masks_and_boxes_of_canvases_are_drawn(cnntrain: Command, word: str, how: tuple[str, ...]) -> None:
    done = cnntrain("data", "--augmented", "a.png", *CANVAS, word, *how)
    assert done.code == 0 and "shows 8 images, each with 8 draws" in done.out, done.err
    assert is_coloured("a.png")


def test_digits_stay_grey(cnntrain: Command) -> None:
    assert cnntrain("data", "--augmented", "a.png", "augment=digits").code == 0
    assert not is_coloured("a.png")


def test_boxes_of_a_folder_are_drawn_in_memory_and_streamed(cnntrain: Command) -> None:
    box_tree.coco(Path("data"), range(20))
    for cache in ("ram", "off"):
        words = ("data", "--augmented", f"{cache}.png", "augment.flip=1", f"data.cache={cache}")
        done = cnntrain(words[0], "data", *words[1:])
        assert done.code == 0, done.err
    assert Path("ram.png").read_bytes() == Path("off.png").read_bytes()
