"""The lines that a hand would draw to make a digit, from its pixels."""

from __future__ import annotations

import numpy as np

Line = list[tuple[float, float]]
AROUND = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
NEAREST = sorted(AROUND, key=lambda step: abs(step[0]) + abs(step[1]))


def thinned(ink: np.ndarray) -> np.ndarray:
    """Return the middle lines of what is True in a bool (H, W): Zhang and Suen 1984."""
    image = np.pad(ink, 1)
    removed = True
    while removed:
        removed = False
        for first, second in (((0, 2, 4), (2, 4, 6)), ((0, 2, 6), (0, 4, 6))):
            around = np.stack([np.roll(image, (-dy, -dx), (0, 1)) for dy, dx in AROUND])
            rises = (~around & np.roll(around, -1, 0)).sum(0)
            number = around.sum(0)
            goes = image & (number >= 2) & (number <= 6) & (rises == 1)
            goes &= ~around[list(first)].all(0) & ~around[list(second)].all(0)
            image &= ~goes
            removed |= bool(goes.any())
    return image[1:-1, 1:-1]


def lines_of(digit: np.ndarray) -> list[Line]:
    """Return lines as shares of width and height, (x, y), for a digit, uint8 (H, W)."""
    height, width = digit.shape
    left = {(int(y), int(x)) for y, x in np.argwhere(thinned(digit > 100))}
    whole, lines = set(left), []
    while left:
        ends = [at for at in sorted(left) if sum(near in left for near in neighbours(at)) == 1]
        at = (ends or sorted(left))[0]
        path = [*[near for near in neighbours(at) if near in whole - left][:1], at]
        left.discard(at)
        while following := [near for near in neighbours(at) if near in left]:
            at = following[0]
            left.discard(at)
            path.append(at)
        path += [near for near in neighbours(at) if near in whole - left and near not in path[-3:]][:1]
        kept = [*path[:-1:3], path[-1]]
        lines.append([((x + 0.5) / width, (y + 0.5) / height) for y, x in kept])
    return lines


def neighbours(at: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the places around one, those at its sides first."""
    return [(at[0] + dy, at[1] + dx) for dy, dx in NEAREST]
