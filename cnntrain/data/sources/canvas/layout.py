"""The places of the digits on each canvas, for many canvases at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnntrain.data.sources.canvas.draws import Draws, Floats, Ints
from cnntrain.errors import UserError

TRIES = 20  # places that are drawn for a digit before its canvas begins again
LAYOUTS = 100  # times that a canvas may begin again


@dataclass(frozen=True)
class Digits:
    """The digits of N canvases, up to K on each: which are there, how large, and where they have ink.

    Args:
        number: digits of each canvas, int64 (N,).
        size: height and width of each digit's image on the canvas, int64 (N, K), in pixels.
        ink: the box around a digit's visible pixels within that image, int64 (N, K, 4): x1, y1, x2, y2.
    """

    number: Ints
    size: Ints
    ink: Ints


def placed(digits: Digits, canvas: tuple[int, int], overlap: float, draws: Draws, canvases: Ints) -> Ints:
    """Return where each digit's image begins, int64 (N, K, 2): left and top.

    Every place that lies on the canvas is as probable as any other. A place is drawn again while the digit
    overlaps an earlier one too much, and the whole canvas if that does not help.

    Args:
        digits: the digits of the canvases.
        canvas: height and width, in pixels.
        overlap: largest share of a box that another one may cover, from 0 to 1.
        draws: the draws of the part.
        canvases: the index of each canvas, int64 (N,).

    Raises:
        UserError: a canvas has no room for its digits.
    """
    corners = np.zeros((*digits.size.shape, 2), dtype=np.int64)
    pending = np.arange(len(canvases))
    for layout in range(LAYOUTS):
        some = Digits(digits.number[pending], digits.size[pending], digits.ink[pending])
        purpose = f"layout {layout}"
        corners[pending], is_done = attempted(some, canvas, overlap, draws, canvases[pending], purpose)
        pending = pending[~is_done]
        if not len(pending):
            return corners
    most = digits.number[pending[0]]
    raise UserError(
        f"data.digits: {most} digits of up to {digits.size[pending[0]].max()} pixels do not fit on a "
        f"canvas of {canvas[0]}x{canvas[1]} with data.overlap={overlap:g}: take fewer or smaller digits, a "
        "larger data.image_size or more overlap"
    )


def attempted(
    digits: Digits, canvas: tuple[int, int], overlap: float, draws: Draws, canvases: Ints, purpose: str
) -> tuple[Ints, np.ndarray]:
    """Try to lay out each canvas once: return the corners, and which canvases have room for all digits."""
    count, most = digits.size.shape
    corners = np.zeros((count, most, 2), dtype=np.int64)
    boxes = np.zeros((count, most, 4), dtype=np.int64)
    is_good = np.ones(count, dtype=bool)
    for slot in range(most):
        pending = np.flatnonzero(is_good & (digits.number > slot))
        for trial in range(TRIES):
            if not len(pending):
                break
            drawn = draws.uniform(purpose, canvases[pending], 2, first=2 * (slot * TRIES + trial))
            room = np.array(canvas[::-1]) - digits.size[pending, slot, None] + 1
            corner = (drawn * room).astype(np.int64)
            box = digits.ink[pending, slot] + np.tile(corner, 2)
            fits = (covered(box, boxes[pending, :slot]) <= overlap).all(axis=1)
            corners[pending[fits], slot], boxes[pending[fits], slot] = corner[fits], box[fits]
            pending = pending[~fits]
        is_good[pending] = False
    return corners, is_good


def covered(box: Ints, others: Ints) -> Floats:
    """Return which share of the smaller of two boxes the other one covers, float64 (N, K).

    Args:
        box: int64 (N, 4), x1, y1, x2, y2.
        others: int64 (N, K, 4).
    """
    low = np.maximum(box[:, None, :2], others[..., :2])
    high = np.minimum(box[:, None, 2:], others[..., 2:])
    common = np.clip(high - low, 0, None).prod(axis=-1)
    areas = np.minimum(area(box)[:, None], area(others))
    return np.asarray(common / np.maximum(areas, 1))


def area(boxes: Ints) -> Ints:
    """Return the area of boxes (..., 4) in pixels."""
    return np.asarray((boxes[..., 2:] - boxes[..., :2]).prod(axis=-1))
