"""The Mann-Whitney U test from counts, against scipy on the raw values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from tests.detectors.samples import (
    KINDS,
    continuous,
    counted,
    discrete,
    finite,
    most,
    p_values,
)

from mlwatch.detectors import MannWhitneyDetector
from mlwatch.detectors.mann_whitney import twice_u
from mlwatch.errors import GridMismatchError
from mlwatch.profile import CategoricalGrid, Distribution, NumericGrid

CASES = 270
"""Random cases a kind; with eight kinds over two thousand."""


def scipys(reference, current):
    with np.errstate(all="ignore"):  # of samples without any spread
        return stats.mannwhitneyu(
            finite(current), finite(reference), method="asymptotic", use_continuity=True
        )


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_u_and_p_are_scipys(kind):
    """With every value a point, U equals scipy.stats.mannwhitneyu exactly, and p to 1e-9."""
    rng = np.random.default_rng(KINDS.index(kind))
    for _ in range(CASES):
        reference = kind(rng, int(rng.integers(1, 130)))
        current = kind(rng, int(rng.integers(1, 126)))
        past, present = counted(reference, current, on=[*reference, *current])
        result, expected = MannWhitneyDetector().detect(past, present), scipys(reference, current)

        assert result.statistic == expected.statistic
        assert result.p_value == pytest.approx(expected.pvalue, rel=1e-9, abs=1e-300)
        assert result.caveats == ()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_values_between_the_points_of_a_full_grid(kind):
    """With every reference value a point U is exact, and p is never below scipy's."""
    rng = np.random.default_rng(50 + KINDS.index(kind))
    for _ in range(30):
        reference = kind(rng, int(rng.integers(1, 256)))
        current = kind(rng, int(rng.integers(1, 400)))
        result = MannWhitneyDetector().detect(*counted(reference, current))
        expected = scipys(reference, current)

        assert result.statistic == expected.statistic
        assert result.p_value >= expected.pvalue * (1 - 1e-9)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_thinned_grids_bracket_u(kind):
    """On fewer points U lies in the bracket; statistic and p are the ends nearest to no change."""
    rng = np.random.default_rng(100 + KINDS.index(kind))
    for _ in range(30):
        reference, current = (
            kind(rng, int(rng.integers(1, 900))),
            kind(rng, int(rng.integers(1, 400))),
        )
        past, present = counted(reference, current, points=int(rng.integers(1, 20)))
        low, high = twice_u(past, present)
        result, expected = MannWhitneyDetector().detect(past, present), scipys(reference, current)
        middle = len(reference) * len(current) / 2

        assert low <= 2 * expected.statistic <= high
        assert low <= 2 * result.statistic <= high
        assert abs(result.statistic - middle) <= abs(expected.statistic - middle)
        assert result.p_value >= expected.pvalue * (1 - 1e-9)
        assert bool(result.caveats) == (high > low)


@pytest.mark.parametrize("draw", [continuous, discrete], ids=["continuous", "discrete"])
def test_p_values_without_drift(draw):
    """Without drift P(p <= a) is at most a, and p is uniform for continuous values."""
    runs = 600
    found = p_values(MannWhitneyDetector(), draw, (120, 80), runs)

    for alpha in (0.2, 0.05, 0.01):
        assert 0.6 * alpha - 0.008 <= np.mean(found <= alpha) <= most(alpha, runs)
    if draw is continuous:
        assert stats.kstest(found, "uniform").pvalue > 1e-4


def test_effect_is_the_least_share_that_moved():
    """When a share t of the rows moves below all others, the effect is t; never more than moved."""
    for t in (0.0, 0.1, 0.5, 1.0):
        moved = int(1000 * t)
        current = [*[-1.0] * moved, *range(1000 - moved)]
        reference = [*range(1000 - moved), *[5000.0] * moved]
        past, present = counted(reference, current, points=2000)
        result = MannWhitneyDetector().detect(past, present)

        assert result.effect == pytest.approx(t, abs=1e-12)
    assert "smaller" in result.why


@pytest.mark.parametrize(("shift", "word"), [(-1.0, "smaller"), (0.0, ""), (1.0, "larger")])
def test_lower_bound_holds(shift, word):
    """The lower bound is not above the true effect, in at least 99.9%, and `why` names the way."""
    rng = np.random.default_rng(4)
    truth = 1 - math.sqrt(1 - abs(2 * stats.norm.cdf(shift / math.sqrt(2)) - 1))
    for _ in range(60):
        past, present = counted(rng.normal(size=2000), rng.normal(shift, 1, 2000))
        result = MannWhitneyDetector().detect(past, present)
        assert 0 <= result.effect_low <= min(truth, result.effect)

    assert (result.effect_low > 0.1) == bool(shift)
    assert word in result.why


def test_a_spread_that_grows_is_not_seen():
    """U is blind to a change that leaves as many rows above as below, as the docs say."""
    rng = np.random.default_rng(5)
    result = MannWhitneyDetector().detect(*counted(rng.normal(size=4000), rng.normal(0, 3, 4000)))

    assert result.effect_low == 0.0
    assert result.effect < 0.05


def test_counts_of_billions_and_of_one_value():
    """With 10**9 rows a side U is a whole number; where all rows are equal p is 1."""
    grid = NumericGrid.fit([1.0, 2.0])
    past = Distribution.from_tally("x", grid, {"1": 10**9, "3": 10**9})
    present = Distribution.from_tally("x", grid, {"1": 10**9 + 1, "3": 10**9 - 1})
    assert sum(twice_u(past, present)) == 2 * (4 * 10**18 - 2 * 10**9)
    same = MannWhitneyDetector().detect(*counted([3.0] * 50, [3.0] * 60))
    assert (same.statistic, same.effect, same.p_value) == (1500.0, 0.0, 1.0)


def test_other_kinds_and_other_grids():
    """Categories are not for this detector, and counts of another grid are refused."""
    names = Distribution.count("x", CategoricalGrid.fit(["a"] * 20), ["a"])

    assert MannWhitneyDetector().detect(names, names) is None
    with pytest.raises(GridMismatchError):
        MannWhitneyDetector().detect(counted([2.0], [1.0])[0], counted([1.0], [1.0])[1])
