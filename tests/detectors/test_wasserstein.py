"""The Wasserstein distance from counts, against scipy on the raw values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from tests.detectors.samples import KINDS, counted

from mlwatch.detectors import KSDetector, WassersteinDetector
from mlwatch.detectors.moments import standardised
from mlwatch.detectors.wasserstein import area_at_least
from mlwatch.errors import GridMismatchError
from mlwatch.profile import CategoricalGrid, Distribution

FINITE = [kind for kind in KINDS if kind.__name__ not in {"infinite", "denormal"}]


def least(past, present) -> float:
    return area_at_least(standardised(past, present)[0], past.weights, present.weights)


@pytest.mark.parametrize("kind", FINITE, ids=lambda kind: kind.__name__)
def test_distance_is_scipys_in_standard_deviations(kind):
    """With every value a point it is scipy.stats.wasserstein_distance over the reference's sd."""
    rng = np.random.default_rng(KINDS.index(kind))
    for _ in range(30):
        reference, current = kind(rng, 120), kind(rng, int(rng.integers(1, 130)))
        if np.std(reference) == 0:
            continue
        past, present = counted(reference, current, on=[*reference, *current])
        expected = stats.wasserstein_distance(current, reference) / np.std(reference, ddof=1)
        result = WassersteinDetector().detect(past, present)

        assert result.statistic == pytest.approx(expected, rel=1e-9, abs=1e-12)
        assert result.effect == KSDetector().detect(past, present).effect
        assert result.effect_low == KSDetector().detect(past, present).effect_low
        assert least(past, present) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("kind", FINITE, ids=lambda kind: kind.__name__)
def test_what_the_caveat_says_is_a_lower_bound(kind):
    """On thinned grids the distance of the raw values is never below what the caveat states."""
    rng = np.random.default_rng(50 + KINDS.index(kind))
    for _ in range(30):
        reference, current = kind(rng, 150), kind(rng, 100)
        past, present = counted(reference, current, points=int(rng.integers(2, 30)))
        found = standardised(past, present)
        if isinstance(found, str) or len(past.grid.points) < 2:
            continue
        units, grid = found[0], past.grid
        unit = (units[3] - units[1]) / float(grid.points[1] - grid.points[0])
        truth = stats.wasserstein_distance(current, reference) * unit

        assert least(past, present) <= truth + 1e-9
        assert "at least" in WassersteinDetector().detect(past, present).caveats[0]


def test_the_middle_of_a_gap_alone_is_no_lower_bound():
    """Where the reference has two values the estimate may be above the true distance."""
    past, present = counted([0.0] * 50 + [10.0] * 50, [0.1] * 50 + [10.0] * 50)
    truth = stats.wasserstein_distance([0.1, 10.0], [0.0, 10.0]) / np.std(
        [0.0] * 50 + [10.0] * 50, ddof=1
    )

    assert WassersteinDetector().detect(past, present).statistic > truth
    assert least(past, present) == 0.0


def test_the_shipped_grid_is_near_the_truth():
    """On 255 points of 20,000 rows a shift by half a standard deviation is reported within 3%."""
    rng = np.random.default_rng(0)
    reference, current = rng.normal(5, 2, 20_000), rng.normal(6, 2, 5000)
    result = WassersteinDetector().detect(*counted(reference, current))
    truth = stats.wasserstein_distance(current, reference) / np.std(reference)

    assert result.statistic == pytest.approx(truth, rel=0.03)
    assert result.p_value is None
    assert result.effect_low > 0.1


def test_undefined_distances_say_so():
    """Without spread or without finite values there is no figure, and D still speaks."""
    for reference, current, word in (
        ([3.0] * 90, [4.0] * 80, "one value only"),
        ([1.0, 2.0] * 50, [math.inf] * 80, "the window holds no finite value"),
        ([math.inf] * 90, [1.0] * 80, "the reference holds no finite value"),
    ):
        result = WassersteinDetector().detect(*counted(reference, current))
        assert (result.statistic, result.effect, result.p_value) == (None, 1.0, None)
        assert word in result.why


def test_extreme_values_neither_overflow_nor_vanish():
    """The largest and the smallest numbers of double precision give finite figures."""
    for scale in (1.7e308, 1e-320):
        points = np.array([-1.0, -0.5, 0.5, 1.0]) * scale
        past, present = counted(np.repeat(points, 50), np.repeat(points[:2], 50))
        assert 0.5 < WassersteinDetector().detect(past, present).statistic < 1.5


def test_other_kinds_and_other_grids():
    """Categories are not for this detector, and counts of another grid are refused."""
    names = Distribution.count("x", CategoricalGrid.fit(["a"] * 20), ["a"])

    assert WassersteinDetector().detect(names, names) is None
    with pytest.raises(GridMismatchError):
        WassersteinDetector().detect(counted([2.0], [1.0])[0], counted([1.0], [1.0])[1])


def test_a_spread_lost_to_rounding_says_so():
    """Integers that are one number in double precision have no spread there, but their order."""
    large = 2**62
    result = WassersteinDetector().detect(
        *counted([large] * 50 + [large + 1] * 50, [large + 1] * 80)
    )

    assert (result.statistic, result.effect) == (None, 0.5)
    assert "lost to rounding" in result.why
