"""Means, intervals and tests, against published values."""

from __future__ import annotations

import math

import pytest

from cnntrain.compare.statistics import holm, paired_p, summarize


@pytest.mark.parametrize(
    ("n", "quantile"), [(2, 12.7062), (3, 4.30265), (5, 2.77645), (11, 2.22814), (31, 2.04227)]
)
def test_the_interval_is_that_of_students_t(n: int, quantile: float) -> None:
    found = summarize([float(value) for value in range(n)])
    assert found.std is not None
    assert found.interval is not None
    low, high = found.interval
    assert low + high == pytest.approx(2 * found.mean)
    assert (high - low) / 2 == pytest.approx(quantile * found.std / math.sqrt(n), rel=1e-5)


def test_mean_standard_deviation_and_interval() -> None:
    found = summarize([0.9, 0.92, 0.94])
    assert (found.n, found.mean) == (3, pytest.approx(0.92))
    assert found.std == pytest.approx(0.02)
    alone = summarize([0.9])
    assert (alone.mean, alone.std, alone.interval) == (0.9, None, None)


def test_the_interval_ends_at_the_bounds() -> None:
    found = summarize([0.9, 0.99], 0.0, 1.0)
    assert found.interval is not None and found.interval[1] == 1.0
    assert 0 < found.interval[0] < 0.9


def test_the_paired_test_is_that_of_student() -> None:
    """His own data: hours of sleep that two drugs add, for ten patients (Student 1908): p = 0.00283."""
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    assert paired_p(first, second) == pytest.approx(0.002833, rel=1e-3)


def test_pairs_that_do_not_differ_or_always_do() -> None:
    assert paired_p([1.0, 2.0], [1.0, 2.0]) == 1.0
    assert paired_p([0.9, 0.91], [0.8, 0.81]) == 0.5  # of two seeds, that proves little
    assert paired_p([1.0] * 5, [2.0] * 5) == 0.0625
    assert paired_p([1.0], [2.0]) == 1.0


def test_holms_correction() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({"a": 0.9, "b": 0.8}) == {"b": 1.0, "a": 1.0}
    assert holm({}) == {}
