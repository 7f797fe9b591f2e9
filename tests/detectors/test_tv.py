"""The share of rows that moved between cells, by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.detectors.samples import by_category, continuous, counted, most, p_values, zipf

from mlwatch.detectors import TotalVariationDetector
from mlwatch.errors import ConfigurationError, GridMismatchError

PAIRS = st.lists(
    st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=16
).filter(lambda pairs: all(sum(side) for side in zip(*pairs, strict=True)))


@given(PAIRS)
def test_statistic_and_effect_are_half_the_sum_of_differences(pairs):
    """Both figures are half the sum of |p - q| over the categories; the bound is below."""
    r, c = (np.array([side[i] for side in pairs]) for i in (0, 1))
    result = TotalVariationDetector(cells=32).detect(*by_category(r, c))

    assert result.statistic == result.effect
    assert result.effect == pytest.approx(np.abs(r / r.sum() - c / c.sum()).sum() / 2, abs=1e-12)
    assert 0 <= result.effect_low <= result.effect <= 1
    assert (result.effect_low > 0) <= (result.p_value < 1e-3)


@pytest.mark.parametrize("k", [2, 4])
def test_p_values_hold_at_any_number_of_rows(k):
    """P(p <= a) is at most a without drift, with a handful of rows too, given what is left out."""
    rng = np.random.default_rng(k)
    p = np.array([0.5, 0.5, *[0.001] * (k - 2)])
    for n_reference, n in ((20, 5), (50, 500)):
        past = rng.multinomial(n_reference, p / p.sum(), 500)
        present = rng.multinomial(n, p / p.sum(), 500)
        found = [
            TotalVariationDetector().detect(*by_category(r, c)).p_value
            for r, c in zip(past, present, strict=True)
        ]
        for alpha in (0.01, 0.05, 0.2):
            assert np.mean(np.array(found) <= alpha) <= most(alpha, 500)


def test_numbers_and_power():
    """Without drift numbers give no small p; a shift of half a standard deviation does."""
    rng = np.random.default_rng(0)
    assert p_values(TotalVariationDetector(), continuous, (1000, 400), 100).min() > 0.5
    result = TotalVariationDetector().detect(
        *counted(rng.normal(size=9000), rng.normal(0.5, 1, 9000))
    )
    assert result.p_value < 1e-20


def test_lower_bound_holds():
    """The lower bound is not above the true share of traffic that moved."""
    rng = np.random.default_rng(1)
    moved = zipf(10)
    moved[[0, 9]] += (-0.2, 0.2)
    for r, c in zip(
        rng.multinomial(5000, zipf(10), 300), rng.multinomial(5000, moved, 300), strict=True
    ):
        assert 0 < TotalVariationDetector().detect(*by_category(r, c)).effect_low <= 0.2


def test_wrong_arguments():
    """Fewer than two cells, or counts of another grid, are refused."""
    with pytest.raises(ConfigurationError, match=r"TotalVariationDetector\(cells=1\)"):
        TotalVariationDetector(cells=1)
    with pytest.raises(GridMismatchError):
        TotalVariationDetector().detect(counted([1.0], [1.0])[0], counted([2.0], [1.0])[1])
