"""The Kolmogorov-Smirnov distance from counts, against scipy on the raw values."""

from __future__ import annotations

import itertools
import math
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from tests.detectors.samples import KINDS, counted, most, normal, poisson

from mlwatch.detectors import KSDetector
from mlwatch.detectors.ks import bracket
from mlwatch.errors import ConfigurationError, GridMismatchError
from mlwatch.profile import CategoricalGrid, Distribution, NumericGrid, fit_grid

CASES = 270
"""Random cases a kind; with eight kinds over two thousand, of one-sided ones too."""


def exact(reference, current, alternative="two-sided"):
    """Compute D from the raw values, by scipy."""
    with np.errstate(all="ignore"):  # of the p-value of a sample of one
        return stats.ks_2samp(current, reference, alternative=alternative, method="asymp").statistic


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_distance_is_that_of_the_raw_values(kind):
    """With every reference value a point, D equals scipy.stats.ks_2samp on the rows to 1e-12."""
    rng = np.random.default_rng(KINDS.index(kind))
    for _ in range(CASES):
        reference = kind(rng, int(rng.integers(1, 256)))
        current = kind(rng, int(rng.integers(1, 400)))
        past, present = counted(reference, current)
        low, high = bracket(past, present)

        assert low == high == pytest.approx(exact(reference, current), abs=1e-12)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_thinned_grids_bracket_the_distance(kind):
    """On a grid of fewer points D lies in the bracket, no wider than the largest gap's mass."""
    rng = np.random.default_rng(100 + KINDS.index(kind))
    for _ in range(CASES):
        n = int(rng.integers(20, 1500))
        reference, current = kind(rng, n), kind(rng, int(rng.integers(1, 800)))
        past, present = counted(reference, current, points=int(rng.integers(1, 20)))
        low, high = bracket(past, present)
        widest = past.counts[::2].max() / n

        assert low - 1e-12 <= exact(reference, current) <= high + 1e-12
        assert high - low <= widest + 1e-12


def test_shipped_grid_brackets_large_references():
    """On the 255 points of 20,000 rows the bracket holds D and is no wider than 1/256."""
    rng = np.random.default_rng(0)
    for shift in (0.0, 0.02, 0.3):
        reference, current = rng.normal(size=20_000), rng.normal(shift, 1, 5000)
        past, present = counted(reference, current)
        low, high = bracket(past, present)
        result = KSDetector().detect(past, present)

        assert low <= exact(reference, current) <= high <= low + 1 / 256 + 1e-12
        assert result.statistic == result.effect == low
        assert result.caveats == ()


def test_a_wide_bracket_is_named():
    """Where the grid leaves D open by more than a tenth of the margin, a caveat gives both ends."""
    rng = np.random.default_rng(0)
    reference, current = rng.normal(size=2000), rng.normal(0.3, 1, 500)
    past, present = counted(reference, current, points=20)
    low, high = bracket(past, present)
    result = KSDetector().detect(past, present)

    assert high - low > 0.005
    assert f"{low:.4f} and {high:.4f}" in result.caveats[0]


@pytest.mark.parametrize("alternative", ["greater", "less"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_one_sided_distances_are_scipys(kind, alternative):
    """D+ and D- equal scipy's for (current, reference), and thinned grids bracket them."""
    rng = np.random.default_rng(200 + KINDS.index(kind))
    for _ in range(CASES // 2):
        reference = kind(rng, int(rng.integers(1, 256)))
        current = kind(rng, int(rng.integers(1, 400)))
        expected = exact(reference, current, alternative)
        low, high = bracket(*counted(reference, current), alternative)
        least, most_ = bracket(*counted(reference, current, points=5), alternative)

        assert low == high == pytest.approx(expected, abs=1e-12)
        assert least - 1e-12 <= expected <= most_ + 1e-12


def test_one_sided_tests_look_one_way():
    """ "greater" finds values that became smaller, "less" larger, and `why` says which."""
    rng = np.random.default_rng(5)
    reference = rng.normal(size=4000)
    for shift, finds, misses, word in (
        (-1, "greater", "less", "smaller"),
        (1, "less", "greater", "larger"),
    ):
        past, present = counted(reference, rng.normal(shift, 1, 2000))
        found = KSDetector(alternative=finds).detect(past, present)
        missed = KSDetector(alternative=misses).detect(past, present)

        assert found.effect_low > 0.2
        assert found.p_value < 1e-12
        assert f"became {word}" in found.why
        assert missed.effect < 0.03
        assert missed.effect_low == 0.0


@pytest.mark.parametrize("alternative", ["greater", "less"])
def test_one_sided_p_values_without_drift(alternative):
    """The one-sided p is exp(-2 n_e D^2), at most 1, and keeps its level without drift."""
    rng = np.random.default_rng(6)
    found = []
    for _ in range(700):
        past, present = counted(rng.normal(size=100), rng.normal(size=200))
        result = KSDetector(alternative=alternative).detect(past, present)
        found.append(result.p_value)
        effective = 100 * 200 / 300
        assert result.p_value == pytest.approx(math.exp(-2 * effective * result.statistic**2))

    for alpha in (0.2, 0.05, 0.01):
        assert 0.4 * alpha - 0.003 <= np.mean(np.array(found) <= alpha) <= most(alpha, 700)


def test_wrong_alternative():
    """An alternative that does not exist is refused, and the message names those that do."""
    with pytest.raises(ConfigurationError, match=r"alternative='larger'.*\"less\""):
        KSDetector(alternative="larger")


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(2**60, 2**60 + 3), min_size=1),
    st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(2**60, 2**60 + 3), min_size=1),
)
def test_integers_of_any_size_are_exact(reference, current):
    """For 64-bit integers beyond 2**53, D is that of their ranks."""
    past, present = counted(reference, current)
    ranks = {value: rank for rank, value in enumerate(sorted({*reference, *current}))}
    expected = exact([ranks[v] for v in reference], [ranks[v] for v in current])

    assert bracket(past, present)[0] == pytest.approx(expected, abs=1e-12)


def test_float32_reference_with_float64_traffic():
    """Equal decimals in float32 at training and float64 in service are equal values."""
    rng = np.random.default_rng(0)
    reference = rng.normal(size=20_000).round(1).astype(np.float32)
    current = rng.normal(size=20_000).round(1)
    past, present = counted(reference, current)

    naive = exact(reference.astype(np.float64), current)
    ours = bracket(past, present)[0]
    assert ours == pytest.approx(
        exact(*(sample.astype(np.float32).astype(np.float64) for sample in (reference, current))),
        abs=1e-12,
    )
    assert ours < 0.015
    assert naive > 0.03


def test_times_are_compared_in_their_order():
    """D of times equals scipy's on their microseconds, missing times left out."""
    rng = np.random.default_rng(0)
    start = datetime(2024, 1, 1, tzinfo=UTC)
    past, now = rng.integers(0, 200, 300).tolist(), rng.integers(20, 220, 200).tolist()
    reference = [start + timedelta(hours=hour) for hour in past]
    grid = fit_grid("t", reference)
    current = [start + timedelta(hours=hour) for hour in now]

    low, _ = bracket(
        Distribution.count("t", grid, reference), Distribution.count("t", grid, [*current, None])
    )
    assert low == pytest.approx(exact(past, now), abs=1e-12)


def test_counts_of_billions_are_exact():
    """Where n times N is beyond 64 bits, D is still the exact fraction."""
    grid = NumericGrid.fit([1, 2])
    past = Distribution.from_tally("x", grid, {"1": 5 * 10**9, "3": 5 * 10**9 + 1})
    present = Distribution.from_tally("x", grid, {"1": 7 * 10**9, "3": 4 * 10**9})
    expected = abs(Fraction(5 * 10**9, 10**10 + 1) - Fraction(7, 11))

    assert bracket(past, present)[0] == float(expected)


def test_p_value_is_scipys_limit():
    """The p-value is the limit distribution's at the square root of n N / (n + N), times D."""
    rng = np.random.default_rng(0)
    past, present = counted(rng.normal(size=200), rng.normal(0.2, 1, 300))
    result = KSDetector().detect(past, present)

    expected = stats.kstwobign.sf(math.sqrt(200 * 300 / 500) * result.statistic)
    assert result.p_value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("draw", "usual"), [(normal, True), (poisson, False)], ids=["continuous", "ties"]
)
def test_p_values_under_no_drift(draw, usual):
    """P(p <= a) is at most a without drift, and near it for continuous data."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(1500):
        rows = draw(rng, 650)  # both samples of one distribution, which differs from run to run
        past, present = counted(rows[:250], rows[250:])
        found.append(KSDetector().detect(past, present).p_value)
    for alpha in (0.2, 0.05, 0.01):
        share = np.mean(np.array(found) <= alpha)
        error = math.sqrt(alpha * (1 - alpha) / len(found))
        assert share <= alpha + 3 * error
        assert not usual or share >= 0.6 * alpha - 3 * error


@pytest.mark.parametrize("shift", [0.0, 0.2, 1.0])
@pytest.mark.parametrize(("n", "n_reference"), [(100, 1000), (2000, 2000)])
def test_lower_bound_holds(shift, n, n_reference):
    """The lower bound of the effect is not above the true distance, in at least 99.9%."""
    rng = np.random.default_rng(2)
    truth = 2 * stats.norm.cdf(shift / 2) - 1
    too_high = 0
    for _ in range(500):
        past, present = counted(rng.normal(size=n_reference), rng.normal(shift, 1, n))
        result = KSDetector().detect(past, present)
        too_high += result.effect_low > truth
        assert 0 <= result.effect_low <= result.effect

    assert too_high == 0


def test_bound_tightens_with_rows():
    """More rows of the same drift bring the lower bound closer to the effect, never past it."""
    grid = NumericGrid.fit([1, 2])
    gaps = []
    for rows in (100, 1000, 10_000, 100_000):
        past = Distribution.from_tally("x", grid, {"1": rows // 2, "3": rows // 2})
        present = Distribution.from_tally("x", grid, {"1": rows})
        result = KSDetector().detect(past, present)
        gaps.append(result.effect - result.effect_low)

    assert result.effect == 0.5
    assert all(wide > narrow > 0 for wide, narrow in itertools.pairwise(gaps))


def test_how_the_counts_were_put_together_changes_nothing():
    """One window, its seven parts, and its rows in another order give one result."""
    rng = np.random.default_rng(3)
    reference, current = rng.normal(size=3000), rng.normal(0.1, 1, 700)
    past, whole = counted(reference, current)
    merged = Distribution.count("x", past.grid, [])
    for part in np.array_split(rng.permutation(current), 7):
        merged += Distribution.count("x", past.grid, part)

    assert KSDetector().detect(past, merged) == KSDetector().detect(past, whole)


def test_missing_values_take_no_part():
    """NaN, None and text change no figure but the counts that name them."""
    rng = np.random.default_rng(4)
    reference, current = rng.normal(size=100), rng.normal(size=80).tolist()
    past, clean = counted(reference, current)
    _, dirty = counted(reference, [*current, math.nan, None, "text"])
    a, b = KSDetector().detect(past, clean), KSDetector().detect(past, dirty)

    assert (a.statistic, a.p_value, a.n) == (b.statistic, b.p_value, b.n)
    assert (b.missing, b.n_reference) == (2, 100)


def test_other_kinds_and_other_grids():
    """Categories are not for this detector, and counts of another grid are refused."""
    names = Distribution.count("x", CategoricalGrid.fit(["a"] * 20), ["a"])
    past, present = counted([1.0, 2.0], [1.0])

    assert KSDetector().detect(names, names) is None
    with pytest.raises(GridMismatchError):
        KSDetector().detect(counted([1.0, 3.0], [1.0])[0], present)
    with pytest.raises(GridMismatchError):
        KSDetector().detect(names, past)
