"""What a few numbers say of many: means with their intervals, and which differences are more than chance."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


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
    return Summary(n, mean, deviation, student_quantile(0.975, n - 1) * deviation / math.sqrt(n))


def paired_p(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the two-sided p-value of the paired t-test (Student 1908): that both have the same mean.

    Args:
        first: values.
        second: the value that belongs to each of them, of the same seed, say.
    """
    differences = [a - b for a, b in zip(first, second, strict=True)]
    n, mean = len(differences), statistics.fmean(differences)
    if n < 2:
        return 1.0
    deviation = statistics.stdev(differences)
    if deviation == 0:
        return 1.0 if mean == 0 else 0.0
    return student_p(mean / (deviation / math.sqrt(n)), n - 1)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Correct p-values for how many comparisons were made (Holm 1979), by name."""
    ordered = sorted(p_values.items(), key=lambda item: item[1])
    corrected: dict[str, float] = {}
    largest = 0.0
    for rank, (name, p) in enumerate(ordered):
        largest = max(largest, min(1.0, p * (len(ordered) - rank)))
        corrected[name] = largest
    return corrected


def student_p(t: float, degrees: int) -> float:
    """Return how likely a value at least as far from 0 as ``t`` is under Student's t distribution."""
    return incomplete_beta(degrees / 2, 0.5, degrees / (degrees + t * t))


@functools.cache  # a sweep asks for the same few, each of which takes milliseconds
def student_quantile(share: float, degrees: int) -> float:
    """Return the value below which Student's t lies with a probability above one half, by bisection."""
    low, high = 0.0, 1.0
    while 1 - student_p(high, degrees) / 2 < share:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if 1 - student_p(middle, degrees) / 2 < share else (low, middle)
    return (low + high) / 2


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularized incomplete beta function I_x(a, b) (DLMF 8.17, continued fraction 8.17.22)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # where the fraction would converge slowly (DLMF 8.17.4)
        return 1 - incomplete_beta(b, a, 1 - x)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) / a / continued_fraction(a, b, x)


def continued_fraction(a: float, b: float, x: float, terms: int = 300) -> float:
    """Return 1 + d1/(1 + d2/(1 + ...)) of the incomplete beta function, from the innermost term outwards."""
    value = 1.0
    for term in range(terms, 0, -1):
        m = term // 2
        if term % 2:
            d = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            d = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        value = 1 + d / value
    return value
