"""The share of values that cannot be used, against scipy and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mlwatch.detectors import MissingDetector
from mlwatch.errors import GridMismatchError
from mlwatch.profile import CategoricalGrid, Distribution, NumericGrid

GRID = NumericGrid.fit([1.0, 2.0])
SIDES = st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)).filter(sum)


def side(there: int, missing: int) -> Distribution:
    return Distribution.from_tally("x", GRID, {"1": there, "missing": missing})


@given(SIDES, SIDES)
def test_statistic_is_the_difference_of_the_shares(past, present):
    """The effect is the difference of the missing shares, p that of scipy's two by two table."""
    result = MissingDetector().detect(side(*past), side(*present))
    shares = [missing / (there + missing) for there, missing in (past, present)]

    assert result.effect == pytest.approx(abs(shares[1] - shares[0]), abs=1e-12)
    assert 0 <= result.effect_low <= result.effect
    assert (result.n, result.n_reference) == (sum(present), sum(past))
    if past[0] + present[0] and past[1] + present[1]:
        expected = stats.chi2_contingency([past, present], correction=False).pvalue
        assert result.p_value == pytest.approx(expected, rel=1e-6, abs=1e-300)
    else:
        assert result.p_value is None


def test_every_way_to_be_unusable_counts():
    """None, NaN and values of a wrong kind count; infinities and unseen categories do not."""
    numbers = Distribution.count("x", GRID, [1.0, math.inf, None, math.nan, "text", [1]])
    grid = CategoricalGrid.fit(["a"] * 20)
    names = Distribution.count("x", grid, ["a", "new", None, math.nan, b"x"])

    for past, present, share in (
        (side(100, 0), numbers, 4 / 6),
        (Distribution.count("x", grid, ["a"] * 20), names, 3 / 5),
    ):
        assert MissingDetector().detect(past, present).effect == pytest.approx(share)


def test_a_column_that_is_gone_is_found():
    """When all values of a window are missing, the effect is 1 and bounded well above 0."""
    result = MissingDetector().detect(side(5000, 0), side(0, 1000))

    assert result.effect == 1.0
    assert result.effect_low > 0.8
    assert (result.missing, result.n) == (1000, 1000)


@pytest.mark.parametrize("p", [0.02, 0.3])
def test_lower_bound_and_p_values_hold(p):
    """Without drift the bound is 0 and p is below 0.01 in about 1% of windows."""
    rng = np.random.default_rng(0)
    found = []
    for past, present in zip(rng.binomial(5000, p, 2000), rng.binomial(1000, p, 2000), strict=True):
        found.append(
            MissingDetector().detect(
                side(5000 - int(past), int(past)), side(1000 - int(present), int(present))
            )
        )

    assert {result.effect_low for result in found} == {0.0}
    assert np.mean([result.p_value <= 0.01 for result in found]) == pytest.approx(0.01, abs=0.007)


def test_nothing_to_compare():
    """An empty window or reference gives no figure; counts of another grid are refused."""
    for past, present in ((side(5, 5), side(0, 0)), (side(0, 0), side(5, 5))):
        result = MissingDetector().detect(past, present)
        assert (result.statistic, result.effect, result.p_value) == (None, None, None)
        assert result.why
    with pytest.raises(GridMismatchError):
        MissingDetector().detect(side(5, 5), Distribution.count("x", NumericGrid.fit([3.0]), [3.0]))
