"""Random numbers as a function of where they are used, so that canvas 4,711 needs none of those before it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cnntrain.runtime.rng import seed_for

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Draws:
    """The random numbers of the canvases of one part, each by its purpose, canvas and place.

    They are SplitMix64's (Steele, Lea and Flood 2014, Fast splittable pseudorandom number generators), whose
    n-th number takes a few multiplications for any n. So all canvases are drawn at once, and each the same
    however many there are.

    Args:
        seed: the seed of the canvases.
        train: the training part or the test part, which have other numbers.
    """

    def __init__(self, seed: int, train: bool) -> None:
        self.seed = seed
        self.train = train

    def bits(self, purpose: str, canvases: Ints, first: int, count: int) -> NDArray[np.uint64]:
        """Return 64 random bits for some places of each canvas: uint64 (N, count).

        Args:
            purpose: the purpose for which the numbers are drawn; each has numbers of its own.
            canvases: the index of each canvas, int64 (N,).
            first: the first place.
            count: the number of places.
        """
        places = np.arange(first, first + count, dtype=np.uint64)
        place = (canvases.astype(np.uint64)[:, None] << np.uint64(32)) + places
        key = np.uint64(seed_for(self.seed, f"canvas {purpose}", int(self.train)))
        z = key + (place + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(z ^ (z >> np.uint64(31)))

    def uniform(self, purpose: str, canvases: Ints, count: int, first: int = 0) -> Floats:
        """Return numbers from 0 to below 1, float64 (N, count). The arguments are those of :meth:`bits`."""
        return (self.bits(purpose, canvases, first, count) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def whole(self, purpose: str, canvases: Ints, count: int, low: int, high: int) -> Ints:
        """Return whole numbers from ``low`` to ``high``, both included: int64 (N, count)."""
        return low + (self.uniform(purpose, canvases, count) * (high - low + 1)).astype(np.int64)

    def dealt(self, purpose: str, places: Ints, count: int) -> Ints:
        """Return whole numbers below ``count``, dealt like cards: none twice before all have been dealt.

        Args:
            purpose: the purpose for which they are drawn.
            places: the places of the numbers in the order of dealing, int64 of any shape.
            count: the number of cards. They are shuffled again whenever all have been dealt.
        """
        rounds, cards = np.divmod(places, count)
        result = np.empty_like(places)
        for number in np.unique(rounds):
            order = np.argsort(self.bits(purpose, np.array([number]), 0, count)[0], kind="stable")
            here = rounds == number
            result[here] = order[cards[here]]
        return result
