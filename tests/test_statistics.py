"""Means, intervals and tests, against values from published tables."""

from __future__ import annotations

import math

import pytest

from cnntrain.statistics import holm, paired_p, student_p, student_quantile, summarize


@pytest.mark.parametrize(
    ("degrees", "quantile"), [(1, 12.7062), (2, 4.30265), (4, 2.77645), (10, 2.22814), (30, 2.04227)]
)
def test_quantiles_of_students_t(degrees: int, quantile: float) -> None:
    assert student_quantile(0.975, degrees) == pytest.approx(quantile, rel=1e-5)
    assert student_p(quantile, degrees) == pytest.approx(0.05, rel=1e-4)


def test_with_many_degrees_it_is_the_normal_distribution() -> None:
    assert student_quantile(0.975, 100_000) == pytest.approx(1.95998, rel=1e-4)
    assert student_p(0.0, 3) == 1.0
    assert student_p(-2.0, 5) == student_p(2.0, 5)


def test_mean_deviation_and_interval() -> None:
    found = summarize([0.9, 0.92, 0.94])
    assert (found.n, found.mean) == (3, pytest.approx(0.92))
    assert found.deviation == pytest.approx(0.02)
    assert found.half_width == pytest.approx(4.30265 * 0.02 / math.sqrt(3), rel=1e-5)
    alone = summarize([0.9])
    assert (alone.mean, alone.deviation, alone.half_width) == (0.9, None, None)


def test_the_paired_test_is_that_of_student() -> None:
    """His own data: hours of sleep that two drugs add, for ten patients (Student 1908): p = 0.00283."""
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    assert paired_p(first, second) == pytest.approx(0.002833, rel=1e-3)


def test_pairs_that_do_not_differ_or_always_do() -> None:
    assert paired_p([1.0, 2.0], [1.0, 2.0]) == 1.0
    assert paired_p([1.0, 2.0], [2.0, 3.0]) == 0.0
    assert paired_p([1.0], [2.0]) == 1.0


def test_holms_correction() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({"a": 0.9, "b": 0.8}) == {"b": 1.0, "a": 1.0}
    assert holm({}) == {}
