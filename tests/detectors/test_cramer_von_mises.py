"""The Cramer-von Mises statistic from counts, against scipy on the raw values."""

from __future__ import annotations

import math
from fractions import Fraction

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

from mlwatch.detectors import CramerVonMisesDetector, KSDetector
from mlwatch.detectors.cramer_von_mises import bracket, limit_tail, root_mean_square
from mlwatch.errors import GridMismatchError
from mlwatch.profile import CategoricalGrid, Distribution, NumericGrid

CASES = 270
"""Random cases a kind; with eight kinds over two thousand."""


def scipys(reference, current):
    return stats.cramervonmises_2samp(finite(current), finite(reference), method="asymptotic")


def by_hand(reference, current) -> Fraction:
    """T by its definition in middle ranks, in whole numbers."""
    n, n_reference = len(current), len(reference)
    ranks = (2 * stats.rankdata(finite([*current, *reference]))).astype(int).tolist()
    x, y = sorted(ranks[:n]), sorted(ranks[n:])
    four_u = n * sum((rank - 2 * i) ** 2 for i, rank in enumerate(x, 1))
    four_u += n_reference * sum((rank - 2 * j) ** 2 for j, rank in enumerate(y, 1))
    pairs, rows = n * n_reference, n + n_reference
    return Fraction(four_u, 4 * pairs * rows) - Fraction(4 * pairs - 1, 6 * rows)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_statistic_is_scipys(kind):
    """With every value a point, T is that of its definition to the last bit, and scipy's."""
    rng = np.random.default_rng(KINDS.index(kind))
    for _ in range(CASES):
        reference = kind(rng, int(rng.integers(2, 130)))
        current = kind(rng, int(rng.integers(2, 126)))
        low, high = bracket(*counted(reference, current, on=[*reference, *current]))

        assert low == high == float(by_hand(reference, current))
        assert low == pytest.approx(scipys(reference, current).statistic, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_thinned_grids_bracket_the_statistic(kind):
    """On a grid of fewer points T of the raw values lies in the bracket, ties or not."""
    rng = np.random.default_rng(100 + KINDS.index(kind))
    for _ in range(CASES // 4):
        reference, current = (
            kind(rng, int(rng.integers(1, 80))),
            kind(rng, int(rng.integers(1, 80))),
        )
        low, high = bracket(*counted(reference, current, points=int(rng.integers(1, 12))))

        assert low <= float(by_hand(reference, current)) <= high


def test_every_order_in_a_gap_is_in_the_bracket():
    """However the rows of one gap lie, apart or tied, T is in the bracket; some order meets it."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        edge = sorted(rng.integers(1, 4, 2).tolist())
        reference_out, current_out = [[0.0] * a + [9.0] * b for a, b in (edge, edge[::-1])]
        r, c = int(rng.integers(1, 5)), int(rng.integers(1, 5))
        found = []
        for _ in range(40):
            inner = rng.integers(1, 9, r + c) if rng.random() < 0.5 else rng.permutation(r + c) + 1
            inner = inner / 1 if inner.max() < 9 else inner / (inner.max() + 1) * 9
            reference = [*reference_out, *inner[:r]]
            current = [*current_out, *inner[r:]]
            low, high = bracket(*counted(reference, current, on=[0.0, 9.0]))
            found.append(float(by_hand(reference, current)))

        assert low <= min(found)
        assert max(found) <= high
        tied_first = [*reference_out, *[1.0] * r], [*current_out, *[2.0] * c]
        tied_last = [*reference_out, *[2.0] * r], [*current_out, *[1.0] * c]
        assert high == float(max(by_hand(*tied_first), by_hand(*tied_last)))


def test_values_between_the_points_of_a_full_grid():
    """With every reference value a point and no repeats T is the lower end and equals scipy's."""
    rng = np.random.default_rng(1)
    for _ in range(100):
        reference = rng.normal(size=int(rng.integers(2, 255)))
        current = rng.normal(0.2, 1, int(rng.integers(2, 400)))
        result = CramerVonMisesDetector().detect(*counted(reference, current))
        expected = scipys(reference, current)

        assert result.statistic == pytest.approx(expected.statistic, rel=1e-9, abs=1e-9)
        assert result.p_value >= expected.pvalue - 1e-8


def test_p_value_is_scipys():
    """Where every value is a point and none repeats, p is scipy's asymptotic one to 1e-8."""
    rng = np.random.default_rng(2)
    for _ in range(100):
        n = int(rng.integers(2, 200))
        pooled = rng.permutation(255) + rng.normal(0, 0.0, 255)
        split = np.argsort(rng.random(255) + rng.uniform(0, 0.003) * pooled)
        reference, current = pooled[split[n:]], pooled[split[:n]]
        result = CramerVonMisesDetector().detect(*counted(reference, current, on=pooled))

        assert result.p_value == pytest.approx(scipys(reference, current).pvalue, abs=1e-8)


def test_tail_of_the_limit_distribution():
    """The tail agrees with the published table of Anderson and Darling (1952), and far out too."""
    table = {0.11888: 0.5, 0.34730: 0.1, 0.46136: 0.05, 0.74346: 0.01, 1.16786: 0.001}
    for x, share in table.items():
        assert limit_tail(x) == pytest.approx(share, rel=3e-4)
    assert limit_tail(0.0) == limit_tail(-1.0) == 1.0
    rates = [math.log(limit_tail(x) / limit_tail(x + 1)) for x in (20.0, 40.0)]
    assert rates == pytest.approx([math.pi**2 / 2] * 2, rel=0.01)


@pytest.mark.parametrize("draw", [continuous, discrete], ids=["continuous", "discrete"])
def test_p_values_without_drift(draw):
    """Without drift P(p <= a) is at most a for discrete values, and p uniform for continuous."""
    runs = 600
    found = p_values(CramerVonMisesDetector(), draw, (120, 80), runs)

    for alpha in (0.2, 0.05, 0.01):
        assert np.mean(found <= alpha) <= most(alpha, runs)
    if draw is continuous:
        assert stats.kstest(found, "uniform").pvalue > 1e-4


def test_the_p_value_of_tied_ranks_fails():
    """The p-value that scipy reads from T with ties calls every window of counts a drift."""
    rng = np.random.default_rng(3)
    pairs = [(rng.poisson(3, 2000), rng.poisson(3, 200)) for _ in range(100)]
    naive = [scipys(reference, current).pvalue for reference, current in pairs]
    ours = [CramerVonMisesDetector().detect(*counted(*pair)).p_value for pair in pairs]

    assert np.mean(np.array(naive) <= 0.01) == 1.0
    assert np.mean(np.array(ours) <= 0.01) <= most(0.01, 100)


def distance_by_hand(reference, current) -> float:
    """Compute the root mean squared distance at the middle of each jump, over all rows."""
    pooled = np.concatenate([reference, current])
    sides = [
        (np.searchsorted(np.sort(x), pooled) + np.searchsorted(np.sort(x), pooled, side="right"))
        / (2 * len(x))
        for x in (reference, current)
    ]
    return float(np.sqrt(np.mean((sides[0] - sides[1]) ** 2)))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_effect_is_the_root_mean_squared_distance(kind):
    """The effect is that of its definition, on thinned grids no more, and never above D."""
    rng = np.random.default_rng(300 + KINDS.index(kind))
    for _ in range(40):
        reference = kind(rng, int(rng.integers(1, 120)))
        current = kind(rng, int(rng.integers(1, 120)))
        full = counted(reference, current, on=[*reference, *current])
        expected = distance_by_hand(reference, current)

        assert root_mean_square(*full) == pytest.approx(expected, abs=1e-12)
        assert expected <= KSDetector().detect(*full).effect + 1e-12
        assert root_mean_square(*counted(reference, current, points=6)) <= expected + 1e-12


@pytest.mark.parametrize("shift", [0.0, 0.2, 1.0])
def test_lower_bound_holds(shift):
    """The lower bound is not above the true largest distance, in at least 99.9%."""
    rng = np.random.default_rng(4)
    truth = 2 * stats.norm.cdf(shift / 2) - 1
    for _ in range(60):
        past, present = counted(rng.normal(size=2000), rng.normal(shift, 1, 2000))
        result = CramerVonMisesDetector().detect(past, present)
        assert 0 <= result.effect_low <= min(truth, result.effect)

    assert (result.effect_low > 0.1) == (shift == 1.0)


def test_the_shipped_grid_loses_little():
    """On 255 points of 20,000 rows the effect is at most half a gap's mass below the true one."""
    rng = np.random.default_rng(5)
    reference, current = rng.normal(size=20_000), rng.normal(0.1, 1, 5000)
    result = CramerVonMisesDetector().detect(*counted(reference, current))

    true = distance_by_hand(reference, current)
    assert true - 1 / 256 <= result.effect <= true
    assert result.p_value < 1e-3
    assert "T lies between" in result.caveats[0]


def test_counts_of_billions_are_exact():
    """With 10**9 rows a side T is exact, where double precision would lose it."""
    grid = NumericGrid.fit([1.0, 2.0])
    past = Distribution.from_tally("x", grid, {"1": 10**9, "3": 10**9 + 1})
    present = Distribution.from_tally("x", grid, {"1": 10**9 + 1, "3": 10**9})
    low, high = bracket(past, present)
    n = 2 * 10**9 + 1
    first, last = (10**9 + 1, 10**9), (10**9, 10**9 + 1)
    twelve_u = sum(
        n * (3 * c * (2 * below + r) ** 2 + c**3 - c)
        + n * (3 * r * (2 * under + c) ** 2 + r**3 - r)
        for (c, r), below, under in ((first, 0, 0), (last, first[1], first[0]))
    )
    expected = Fraction(twelve_u, 12 * n * n * 2 * n) - Fraction(4 * n * n - 1, 12 * n)

    assert low == high == float(expected)


def test_nothing_to_compare_and_other_kinds():
    """One row a side has a p-value of 1; categories and other grids are refused."""
    names = Distribution.count("x", CategoricalGrid.fit(["a"] * 20), ["a"])
    past, present = counted([1.0], [1.0])

    assert CramerVonMisesDetector().detect(past, present).p_value == 1.0
    assert CramerVonMisesDetector().detect(names, names) is None
    with pytest.raises(GridMismatchError):
        CramerVonMisesDetector().detect(counted([2.0], [1.0])[0], present)
