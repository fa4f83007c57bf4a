"""What a few numbers say of many: means with their intervals, and which differences are more than chance."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.special import stdtr, stdtrit  # not with scipy.stats, which takes a second to import

ROUNDING = 1e-9  # a share of a number, below which a difference is one of rounding


@dataclass(frozen=True)
class Summary:
    """The mean of some values and how sure it is.

    Args:
        n: how many values.
        mean: their mean.
        deviation: their standard deviation; None for a single value.
        half_width: of the 95 % interval of the mean, by Student's t; None for a single value.
    """

    n: int
    mean: float
    deviation: float | None
    half_width: float | None


def summarize(values: Sequence[float]) -> Summary:
    """Summarize values that are independent of each other."""
    n, mean = len(values), statistics.fmean(values)
    if n < 2:
        return Summary(n, mean, None, None)
    deviation = statistics.stdev(values)
    return Summary(n, mean, deviation, float(stdtrit(n - 1, 0.975)) * deviation / math.sqrt(n))


def paired_p(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the two-sided p-value of the paired t-test (Student 1908): that both have the same mean.

    Where the difference is the same in each pair, t is infinite and says nothing, however few they are; there
    the sign test has a say, whose p halves with each pair.

    Args:
        first: values.
        second: the value that belongs to each of them, of the same seed, say.
    """
    differences = [a - b for a, b in zip(first, second, strict=True)]
    n, mean = len(differences), statistics.fmean(differences)
    if n < 2:
        return 1.0
    deviation = statistics.stdev(differences)
    if deviation <= ROUNDING * abs(mean):
        return 1.0 if mean == 0 else 0.5 ** (n - 1)
    t = mean / (deviation / math.sqrt(n))
    return 2 * float(stdtr(n - 1, -abs(t)))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Correct p-values for how many comparisons were made (Holm 1979), by name."""
    ordered = sorted(p_values.items(), key=lambda item: item[1])
    corrected: dict[str, float] = {}
    largest = 0.0
    for rank, (name, p) in enumerate(ordered):
        largest = max(largest, min(1.0, p * (len(ordered) - rank)))
        corrected[name] = largest
    return corrected
