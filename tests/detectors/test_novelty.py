"""The novelty test from counts, against scipy and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from mlwatch.detectors import NoveltyDetector
from mlwatch.detectors.novelty import excess
from mlwatch.errors import GridMismatchError
from mlwatch.profile import CategoricalGrid, Distribution, NumericGrid

ALPHA = 0.01
RUNS = 200
MOST = ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / RUNS)
ZIPF = (1 / np.arange(1, 2001)) / (1 / np.arange(1, 2001)).sum()
TAIL = np.append(np.full(20, 0.982 / 20), np.full(7, 0.018 / 7))
STEEP = (1 / np.arange(1, 301) ** 2) / (1 / np.arange(1, 301) ** 2).sum()


def fitted(values, **options) -> Distribution:
    """Return the distribution of a reference on its own grid."""
    grid = CategoricalGrid.fit(list(values), **options)
    return Distribution("x", grid, grid.mass)


def on_its_own_rows(values, **options) -> Distribution:
    """Return the distribution of all rows, those among them that chose the vocabulary."""
    names = tuple(set(values))
    return Distribution.count("x", CategoricalGrid(names, np.zeros(len(names) + 1, int)), values)


def p_values(p, n, detect, *, fit=fitted, **options) -> np.ndarray:
    """Return what `detect` says of windows without drift, each beside a reference of its own."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(RUNS):
        past = fit(rng.choice(len(p), 4000, p=p).tolist(), **options)
        seen = rng.choice(len(p), n, p=p).tolist()
        found.append(detect(past, Distribution.count("x", past.grid, seen)))
    return np.array(found)


def ours(past, current) -> float:
    return NoveltyDetector().detect(past, current).p_value


def naive(past, current) -> float:
    """Expect as many unseen values as the reference itself pooled: the wrong way."""
    return excess(current.unseen, current.n, past.unseen, past.n)


@pytest.mark.parametrize(
    ("unseen", "n", "expected", "n_reference"), [(1, 9, 0, 50), (30, 200, 70, 900)]
)
def test_p_value_is_scipys(unseen, n, expected, n_reference):
    """The p-value is scipy's binomial test given the sum, and above the hypergeometric one."""
    found = excess(unseen, n, expected, n_reference)
    both, share = unseen + expected, n / (n + n_reference)

    assert found == pytest.approx(
        stats.binomtest(unseen, both, share, alternative="greater").pvalue, rel=1e-9
    )
    assert found >= stats.hypergeom.sf(unseen - 1, n + n_reference, both, n)
    assert excess(0, n, expected, n_reference) == 1.0


@pytest.mark.parametrize("n", [600, 3000])
@pytest.mark.parametrize(
    ("p", "min_count"),
    [(ZIPF, 10), (ZIPF, 1), (STEEP, 1), (TAIL, 10)],
    ids=["many rare", "all kept", "few rare, all kept", "cut at the threshold"],
)
def test_false_alarms_are_at_the_level(p, n, min_count):
    """Without drift p is below 0.01 in no more than 1% of windows, however many are rare."""
    assert np.mean(p_values(p, n, ours, min_count=min_count) <= ALPHA) <= MOST


def test_without_the_rule_false_alarms_abound():
    """Expecting none, or as many as the reference pooled, fails the same test."""
    assert np.mean(p_values(ZIPF, 600, naive, fit=on_its_own_rows) <= ALPHA) > 0.9
    assert np.mean(p_values(TAIL, 3000, naive) <= ALPHA) > MOST


@pytest.mark.parametrize("p", [ZIPF, STEEP], ids=["many rare", "few rare"])
def test_a_new_category_is_found(p):
    """A new category in a twentieth of 2,000 rows is found nearly always, whatever else is new."""
    rng = np.random.default_rng(1)
    past = fitted(rng.choice(len(p), 10_000, p=p).tolist(), min_count=1)
    found = []
    for _ in range(100):
        seen = [*rng.choice(len(p), 1900, p=p).tolist(), *["new"] * 100]
        result = NoveltyDetector().detect(past, Distribution.count("x", past.grid, seen))
        found.append(result.p_value)
        assert result.effect == pytest.approx(0.05, abs=0.03)

    assert np.mean(np.array(found) <= ALPHA) >= 0.98


def test_a_new_category_moves_the_traffic():
    """The effect is the share beyond what was expected, the bound lies below, and why says both."""
    past = fitted([*["a"] * 3000, *["b"] * 1990, *["rare"] * 10, *["odd"] * 5])
    current = Distribution.count("x", past.grid, [*["a"] * 600, *["new"] * 400])
    result = NoveltyDetector().detect(past, current)

    assert result.statistic == 0.4
    assert result.effect == pytest.approx(0.4 - 15 / 5005)
    assert 0.2 < result.effect_low < result.effect
    assert (result.unseen, result.n, result.n_reference) == (400, 1000, 5005)
    assert "40.0%" in result.why
    assert "0.3%" in result.why


def test_fewer_than_expected_is_no_novelty():
    """A window with fewer unseen values than usual has neither an effect nor a small p-value."""
    past = fitted([*["a"] * 5000, *(f"rare {i}" for i in range(50))])
    result = NoveltyDetector().detect(past, Distribution.count("x", past.grid, ["a"] * 1000))

    assert (result.statistic, result.effect, result.effect_low, result.p_value) == (0, 0, 0, 1)


def test_a_reference_of_other_rows_speaks_for_itself():
    """Beside another window the unseen values of that window are what is to be expected."""
    grid = fitted(["a"] * 1000).grid
    past = Distribution.count("x", grid, [*["a"] * 500, *["new"] * 500])
    current = Distribution.count("x", grid, [*["a"] * 490, *["new"] * 510])
    result = NoveltyDetector().detect(past, current)

    assert result.effect == pytest.approx(0.01)
    assert result.p_value > 0.3


def test_high_cardinality_ids_are_expected_to_be_new():
    """A column in which every value is new, as it was in the reference, shows no novelty."""
    past = fitted([f"id {i}" for i in range(4000)])
    current = Distribution.count("x", past.grid, [f"id {i}" for i in range(9000, 9500)])
    result = NoveltyDetector().detect(past, current)

    assert (result.effect, result.unseen) == (0, 500)
    assert result.p_value > 0.5


def test_other_kinds_and_other_grids():
    """Numbers are not for this detector, and counts of another grid are refused."""
    number = Distribution.count("x", NumericGrid.fit([1.0]), [1.0])

    assert NoveltyDetector().detect(number, number) is None
    with pytest.raises(GridMismatchError):
        NoveltyDetector().detect(fitted(["a"] * 20), fitted(["b"] * 20))
