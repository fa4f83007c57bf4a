"""What a network gets, ``data.inputs``: images, series or texts, what they are called, and their shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

IMAGES, SERIES, TEXT = "images", "series", "text"  # the values of data.inputs


@dataclass(frozen=True)
class Called:
    """What messages call the examples that a network gets.

    Args:
        word, words: what one is called, and several.
        speed: how many in a second, as the head of a narrow column.
    """

    word: str
    words: str
    speed: str


CALLED: Mapping[str, Called] = {
    IMAGES: Called("image", "images", "img/s"),
    SERIES: Called("sequence", "sequences", "seq/s"),
    TEXT: Called("text", "texts", "text/s"),
}


def inputs_of(data: Mapping[str, Any]) -> str:
    """Return what the network gets: ``images``, which most data do not say, ``series`` or ``text``."""
    return str(data.get("inputs", IMAGES))


def input_shape(data: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return channels, height and width of an image as the network gets it.

    A sequence is an image of one channel. Its rows are the steps, and its columns the features, and one that
    says which steps are padding: see :mod:`cnntrain.data.sequences.batch`.
    """
    if inputs_of(data) != IMAGES:
        return 1, data["steps"], data.get("features", 1) + 1
    return data["channels"], *height_and_width(data["image_size"])


def height_and_width(size: Any) -> tuple[int, int]:
    """Return height and width of a size, which is the side of a square or a list of both."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])
