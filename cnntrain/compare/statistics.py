"""Means with their intervals, and tests whether a difference is more than chance."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.special import stdtr, stdtrit  # not with scipy.stats, which takes a second to import

ROUNDING = 1e-9  # relative differences below this are rounding errors


@dataclass(frozen=True)
class Summary:
    """The mean of some values and how well it is known.

    Args:
        n: the number of values.
        mean: their mean.
        std: their standard deviation; None for a single value.
        interval: the 95 % interval of the mean, by Student's t; None for a single value.
    """

    n: int
    mean: float
    std: float | None
    interval: tuple[float, float] | None


def summarize(values: Sequence[float], low: float = -math.inf, high: float = math.inf) -> Summary:
    """Summarize values that are independent of each other.

    Args:
        values: at least one.
        low: the least that a value can be; the interval ends there.
        high: the most that a value can be: 1 for a fraction.
    """
    n, mean = len(values), statistics.fmean(values)
    if n < 2:
        return Summary(n, mean, None, None)
    std = statistics.stdev(values)
    half = float(stdtrit(n - 1, 0.975)) * std / math.sqrt(n)
    return Summary(n, mean, std, (max(low, mean - half), min(high, mean + half)))


def paired_p(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the two-sided p-value of the paired t-test (Student 1908) that both have the same mean.

    Where the difference is the same in each pair, t is infinite even for two pairs. There the sign test
    decides, whose p halves with each pair.

    Args:
        first: values.
        second: the value that is paired with each of them, by the same seed for example.
    """
    differences = [a - b for a, b in zip(first, second, strict=True)]
    n, mean = len(differences), statistics.fmean(differences)
    if n < 2:
        return 1.0
    std = statistics.stdev(differences)
    if std <= ROUNDING * abs(mean):
        return 1.0 if mean == 0 else 0.5 ** (n - 1)
    t = mean / (std / math.sqrt(n))
    return 2 * float(stdtr(n - 1, -abs(t)))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Correct named p-values for the number of comparisons (Holm 1979)."""
    ordered = sorted(p_values.items(), key=lambda item: item[1])
    corrected: dict[str, float] = {}
    largest = 0.0
    for rank, (name, p) in enumerate(ordered):
        largest = max(largest, min(1.0, p * (len(ordered) - rank)))
        corrected[name] = largest
    return corrected
