"""Pearson's chi-square test from counts, against scipy and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from mlwatch.detectors import ChiSquareDetector, total_variation
from mlwatch.detectors.evidence import CONFIDENCE
from mlwatch.errors import ConfigurationError, GridMismatchError
from mlwatch.profile import CategoricalGrid, Distribution, NumericGrid

ALPHA = 0.01
RUNS = 2000
COUNTS = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=2, max_size=12
).filter(lambda pairs: all(sum(side) for side in zip(*pairs, strict=True)))


def pair(r, c) -> tuple[Distribution, Distribution]:
    """Make distributions of counts by category; there is nothing beyond the vocabulary."""
    counts = [np.array([*side, 0], np.int64) for side in (r, c)]
    grid = CategoricalGrid(tuple(f"c{i}" for i in range(len(r))), counts[0])
    return Distribution("x", grid, counts[0]), Distribution("x", grid, counts[1])


def detect(r, c):
    return ChiSquareDetector().detect(*pair(r, c))


def pooled_by_hand(r, c) -> np.ndarray:
    """Pool as the documentation says, category by category."""
    share = min(sum(r), sum(c)) / (sum(r) + sum(c))
    cells = sorted(
        ((a + b) * share, i, a, b) for i, (a, b) in enumerate(zip(r, c, strict=True)) if a + b
    )
    rare = [cell for cell in cells if cell[0] < 5]
    kept = [cell for cell in cells if cell[0] >= 5]
    if rare and sum(cell[0] for cell in rare) < 5 and kept:
        rare.append(kept.pop(0))
    table = [[cell[2], cell[3]] for cell in kept]
    if rare:
        table.append([sum(cell[2] for cell in rare), sum(cell[3] for cell in rare)])
    return np.array(table).T


def zipf(k: int) -> np.ndarray:
    weights = 1 / np.arange(1, k + 1)
    return weights / weights.sum()


def size(p, n, n_reference=5000, *, test, runs=RUNS) -> float:
    """Share of runs without drift in which `test` gives a p-value of at most `ALPHA`."""
    rng = np.random.default_rng(0)
    past, present = rng.multinomial(n_reference, p, runs), rng.multinomial(n, p, runs)
    found = [test(r, c) for r, c in zip(past, present, strict=True)]
    return float(np.mean([p_value is not None and p_value <= ALPHA for p_value in found]))


def ours(r, c):
    return detect(r, c).p_value


def unseen_pooled(r, c):
    """Pool what the reference has never seen: the wrong way."""
    unseen = r == 0
    table = np.array([[*r[~unseen], 0], [*c[~unseen], c[unseen].sum()]])
    return stats.chi2_contingency(table[:, table.sum(axis=0) > 0], correction=False).pvalue


def unpooled(r, c):
    table = np.array([r, c])
    return stats.chi2_contingency(table[:, table.sum(axis=0) > 0], correction=False).pvalue


MOST = ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / RUNS)


@given(COUNTS)
def test_statistic_is_scipys(pairs):
    """Where no category is rare, X2 and p equal scipy.stats.chi2_contingency on the counts."""
    r, c = ([side[i] * 40 + 60 for side in pairs] for i in (0, 1))
    expected = stats.chi2_contingency([r, c], correction=False)
    result = detect(r, c)

    assert result.statistic == pytest.approx(expected.statistic, rel=1e-9, abs=1e-9)
    assert result.p_value == pytest.approx(expected.pvalue, rel=1e-9)


@given(COUNTS)
def test_rare_categories_are_pooled_by_both_samples_together(pairs):
    """Categories expected under 5 times share a cell, and the next joins while it is too small."""
    r, c = ([side[i] for side in pairs] for i in (0, 1))
    table = pooled_by_hand(r, c)
    assume(table.shape[1] > 1)
    expected = stats.chi2_contingency(table, correction=False)
    result = detect(r, c)

    assert result.statistic == pytest.approx(expected.statistic, rel=1e-9, abs=1e-9)
    assert result.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert result.effect == pytest.approx(
        np.abs(table[0] / sum(r) - table[1] / sum(c)).sum() / 2, abs=1e-12
    )


@given(COUNTS)
def test_swapping_the_samples_or_adding_an_empty_category_changes_nothing(pairs):
    """The test looks at both samples alike, and a category nobody has does not count."""
    r, c = ([side[i] for side in pairs] for i in (0, 1))
    there, back, wider = detect(r, c), detect(c, r), detect([*r, 0], [*c, 0])

    for other in (back, wider):
        assert (there.statistic is None) == (other.statistic is None)
        if there.statistic is not None:
            assert other.statistic == pytest.approx(there.statistic, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("p", "n"),
    [
        (zipf(10), 1000),
        (zipf(100), 100),
        (zipf(2000), 1000),
        (np.array([0.6, 0.399, 0.001]), 100),
    ],
    ids=["k=10", "k=100, n=100", "k=2000", "k=3, one rare"],
)
def test_false_alarms_are_at_the_level(p, n):
    """Without drift p is below 0.01 in no more than 1% of windows, whatever the categories."""
    assert size(p, n, test=ours) <= MOST


def test_the_rule_has_power():
    """A tenth of the traffic moving between two of ten categories is found almost always."""
    rng = np.random.default_rng(1)
    p, moved = zipf(10), zipf(10)
    moved[[0, 9]] += (-0.1, 0.1)
    found = [
        ours(rng.multinomial(5000, p), rng.multinomial(1000, moved)) <= ALPHA for _ in range(200)
    ]

    assert np.mean(found) > 0.99


def test_without_the_rule_false_alarms_abound():
    """Pooling what the reference never saw, or not pooling at all, fails the same test."""
    assert size(zipf(2000), 1000, test=unseen_pooled, runs=300) > 0.2
    assert size(np.array([0.6, 0.399, 0.001]), 100, test=unpooled) > 0.03
    assert size(zipf(100), 100, test=unpooled) > 0.025


@pytest.mark.parametrize("k", [2, 10, 60])
@pytest.mark.parametrize("n", [60, 1000])
def test_lower_bound_of_the_effect_holds(k, n):
    """The lower bound is not above the true share of traffic that moved, in at least 99.9%."""
    rng = np.random.default_rng(k)
    too_high, runs = 0, 0
    for _ in range(20):
        p, q = rng.dirichlet(np.ones(k)), rng.dirichlet(np.ones(k))
        truth = np.abs(p - q).sum() / 2
        for r, c in zip(rng.multinomial(3000, p, 50), rng.multinomial(n, q, 50), strict=True):
            result = detect(r, c)
            too_high += (result.effect_low or 0.0) > truth
            runs += 1

    assert too_high <= runs / 1000


@given(COUNTS)
def test_total_variation_is_half_the_sum_of_differences(pairs):
    """Total variation is half the sum of |p - q|, between 0 and 1, and its bound is below it."""
    r, c = (np.array([side[i] for side in pairs]) for i in (0, 1))
    moved, low = total_variation(c, r)

    assert moved == pytest.approx(0.5 * np.abs(r / r.sum() - c / c.sum()).sum(), abs=1e-12)
    assert 0 <= low <= moved <= 1


@pytest.mark.parametrize(
    ("r", "c"), [((900, 100), (80, 20)), ((5000, 0), (0, 70)), ((9, 1), (1, 9))]
)
def test_two_cells_are_bounded_by_the_exact_intervals_of_their_shares(r, c):
    """Of two cells the bound lies between the Clopper-Pearson intervals that scipy gives."""
    low, high = stats.binomtest(c[1], sum(c)).proportion_ci(1 - CONFIDENCE / 2)
    low_reference, high_reference = stats.binomtest(r[1], sum(r)).proportion_ci(1 - CONFIDENCE / 2)
    expected = max(0.0, low - high_reference, low_reference - high)

    _, found = total_variation(np.array(c), np.array(r))

    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("p", "q"), [(0.0, 0.1), (0.5, 0.5), (0.02, 0.03), (0.9, 0.3)])
def test_the_bound_of_two_cells_is_rarely_too_high(p, q):
    """In one of a thousand pairs of samples at most it lies above the true difference."""
    rng = np.random.default_rng(3)
    pairs = zip(rng.binomial(3000, p, 4000), rng.binomial(200, q, 4000), strict=True)
    lows = [total_variation(np.array([200 - k, k]), np.array([3000 - j, j]))[1] for j, k in pairs]

    assert sum(low > abs(p - q) for low in lows) <= 4


def test_unseen_categories_are_a_cell():
    """Traffic of a category that was never seen is a change, counted as unseen."""
    grid = CategoricalGrid.fit(["a"] * 600 + ["b"] * 400)
    past = Distribution("x", grid, grid.mass)
    result = ChiSquareDetector().detect(
        past, Distribution.count("x", grid, ["a"] * 300 + ["b"] * 200 + ["new"] * 500)
    )

    assert result.unseen == 500
    assert result.effect == pytest.approx(0.5)
    assert result.p_value < 1e-9


def test_too_few_rows_to_tell_categories_apart():
    """When all categories are rare there is no figure, and the result says why."""
    result = detect([500, 500, 0], [0, 0, 3])

    assert (result.statistic, result.effect, result.p_value) == (None, None, None)
    assert "not enough data" in result.why


def test_a_window_that_dwarfs_the_reference():
    """A thousand million rows of an unseen category are drift, though none is expected to be."""
    result = detect([3000, 2000, 0], [0, 0, 10**9])

    assert (result.statistic, result.p_value, result.effect) == (None, None, 1.0)
    assert result.effect_low > 0.9
    assert "100.0% of the rows changed category" in result.why
    assert "no p-value" in result.caveats[0]


def test_one_category_is_no_test():
    """Where both samples hold one category nothing moved and there is no p-value."""
    result = detect([500, 0], [300, 0])

    assert (result.statistic, result.effect, result.p_value) == (0.0, 0.0, None)
    assert "one cell" in result.caveats[0]


def test_other_kinds_and_other_grids():
    """Numbers are not for this detector, and counts of another grid are refused."""
    number = Distribution.count("x", NumericGrid.fit([1.0]), [1.0])
    past, _ = pair([5, 6], [1, 2])

    assert ChiSquareDetector().detect(number, number) is None
    with pytest.raises(GridMismatchError):
        ChiSquareDetector().detect(pair([5, 7], [1, 2])[0], past)


def test_high_cardinality_columns_are_honest():
    """Many categories near the threshold give no false drift: they are counted on fresh rows."""
    rng = np.random.default_rng(0)
    honest, naive, runs = 0, 0, 40
    for _ in range(runs):
        reference, current = rng.integers(0, 200, 4000), rng.integers(0, 200, 8000)
        texts = [str(value) for value in current]
        grid = CategoricalGrid.fit([str(value) for value in reference])
        past = Distribution("x", grid, grid.mass)
        p_value = ChiSquareDetector().detect(past, Distribution.count("x", grid, texts)).p_value
        honest += p_value <= ALPHA

        names, counts = np.unique(reference, return_counts=True)
        chosen = [str(name) for name in names[counts >= 20]]
        same_rows = CategoricalGrid(tuple(chosen), np.zeros(len(chosen) + 1, np.int64))
        past = Distribution.count("x", same_rows, [str(value) for value in reference])
        p_value = (
            ChiSquareDetector().detect(past, Distribution.count("x", same_rows, texts)).p_value
        )
        naive += p_value <= ALPHA

    assert honest <= 3
    assert naive > 20


def test_the_threshold_is_a_parameter():
    """Categories expected under `pool` times share a cell; what is no count is refused."""
    r, c = [1000, 500, 60, 60], [500, 250, 30, 30]
    apart, joined = (ChiSquareDetector(pool=pool).detect(*pair(r, c)) for pool in (5, 35))

    assert apart.statistic == pytest.approx(stats.chi2_contingency([r, c], correction=False)[0])
    together = [[*side[:2], side[2] + side[3]] for side in (r, c)]
    assert joined.statistic == pytest.approx(stats.chi2_contingency(together, correction=False)[0])
    for wrong in (0, -1, math.nan, math.inf, "5"):
        with pytest.raises(ConfigurationError, match="pool="):
            ChiSquareDetector(pool=wrong)
