"""The Kullback-Leibler divergence from counts: its value, its calibration, its edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mlwatch.detectors import KLDetector
from mlwatch.detectors.kl import kullback_leibler
from mlwatch.detectors.smoothed import smoothed_shares
from mlwatch.errors import ConfigurationError, GridMismatchError
from mlwatch.profile import CategoricalGrid, Distribution, NumericGrid

ALPHA = 0.01
RUNS = 2000
PAIRS = st.lists(
    st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=16
).filter(lambda pairs: all(sum(side) for side in zip(*pairs, strict=True)))


def zipf(k: int) -> np.ndarray:
    weights = 1 / np.arange(1, k + 1)
    return weights / weights.sum()


def by_category(r, c) -> tuple[Distribution, Distribution]:
    counts = [np.array([*side, 0], np.int64) for side in (r, c)]
    grid = CategoricalGrid(tuple(f"c{i}" for i in range(len(r))), counts[0])
    return Distribution("x", grid, counts[0]), Distribution("x", grid, counts[1])


def numbers(reference, current) -> tuple[Distribution, Distribution]:
    grid = NumericGrid.fit(reference)
    return Distribution.count("x", grid, reference), Distribution.count("x", grid, current)


@given(PAIRS)
def test_divergence_is_scipys_entropy_of_smoothed_shares(pairs):
    """KL(current || reference) is scipy's entropy of the counts plus 1/2, and never negative."""
    r, c = (np.array([side[i] for side in pairs]) for i in (0, 1))
    expected = stats.entropy((c + 0.5) / (c + 0.5).sum(), (r + 0.5) / (r + 0.5).sum())
    p, q = smoothed_shares(c), smoothed_shares(r)

    assert kullback_leibler(p, q) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert kullback_leibler(p, p) == 0
    found = KLDetector(cells=32).detect(*by_category(r, c))
    assert found.statistic == pytest.approx(max(0, expected), rel=1e-9, abs=1e-12)


@given(PAIRS)
def test_an_empty_category_changes_nothing(pairs):
    """A category that nobody has does not count."""
    r, c = ([side[i] for side in pairs] for i in (0, 1))
    plain = KLDetector(cells=32).detect(*by_category(r, c))
    wider = KLDetector(cells=32).detect(*by_category([*r, 0], [*c, 0]))

    assert plain == wider


def p_values(draw, runs=RUNS) -> np.ndarray:
    return np.array([KLDetector().detect(*draw()).p_value for _ in range(runs)])


def categories(k, n, n_reference=5000):
    rng = np.random.default_rng(0)
    return lambda: by_category(rng.multinomial(n_reference, zipf(k)), rng.multinomial(n, zipf(k)))


def continuous(n, n_reference):
    rng = np.random.default_rng(1)
    return lambda: numbers(rng.normal(size=n_reference), rng.normal(size=n))


def discrete(n, n_reference):
    rng = np.random.default_rng(2)
    return lambda: numbers(rng.poisson(3, n_reference), rng.poisson(3, n))


@pytest.mark.parametrize(
    ("draw", "runs"),
    [
        (categories(10, 1000), RUNS),
        (categories(10, 100), RUNS),
        (continuous(1000, 1000), 800),
        (continuous(500, 100), 800),
        (discrete(1000, 1000), 800),
    ],
    ids=["k=10, n=1000", "k=10, n=100", "continuous", "small reference", "discrete"],
)
def test_p_values_without_drift(draw, runs):
    """Without drift P(p <= a) is at most a, and not far below it."""
    found = p_values(draw, runs)
    for alpha in (0.01, 0.05, 0.2):
        error = math.sqrt(alpha * (1 - alpha) / runs)
        assert alpha / 5 - 2 * error <= (found <= alpha).mean() <= alpha + 3 * error


def test_a_fixed_epsilon_sets_the_value_and_fails():
    """An epsilon in place of the smoothing calls most windows critical without any drift."""
    rng = np.random.default_rng(0)
    p = zipf(20)
    naive, ours = [], []
    for _ in range(500):
        r, c = rng.multinomial(2000, p), rng.multinomial(50, p)
        naive.append(stats.entropy(r / r.sum() + 1e-7, c / c.sum() + 1e-7))
        ours.append(KLDetector(cells=32).detect(*by_category(r, c)))

    assert np.mean(np.array(naive) > 0.5) > 0.9
    assert np.mean([result.statistic > 0.5 for result in ours]) == 0
    assert np.mean([result.p_value <= ALPHA for result in ours]) <= 0.025


@pytest.mark.parametrize("draw", [np.random.default_rng(3).normal, None], ids=["numbers", "names"])
def test_drift_is_found(draw):
    """Half a standard deviation, or a tenth of the traffic, has a p-value below 1e-6."""
    rng = np.random.default_rng(4)
    if draw is None:
        moved = zipf(10)
        moved[[0, 9]] += (-0.1, 0.1)
        pair = by_category(rng.multinomial(5000, zipf(10)), rng.multinomial(2000, moved))
    else:
        pair = numbers(draw(size=5000), draw(0.5, 1, 2000))
    result = KLDetector().detect(*pair)

    assert result.p_value < 1e-6
    assert 0 < result.effect_low < result.effect < 1


def test_effect_is_the_total_variation_of_the_cells():
    """The effect is half the sum of |p - q| over sixteen cells, its bound below the truth."""
    rng = np.random.default_rng(5)
    past, present = numbers(rng.normal(size=4000), rng.normal(0.5, 1, 4000))
    result = KLDetector().detect(past, present)
    r, c = past.cells(16) / 4000, present.cells(16) / 4000

    assert result.effect == pytest.approx(np.abs(r - c).sum() / 2, abs=1e-12)
    assert result.effect_low < 2 * stats.norm.cdf(0.25) - 1


def test_a_new_value_of_a_constant_feature_is_found():
    """When all traffic leaves the one value of the reference, all of it has moved."""
    past, present = numbers(np.full(500, 3.0), np.full(500, 4.0))
    result = KLDetector().detect(past, present)

    assert result.effect == 1.0
    assert result.p_value < 1e-9


def test_one_cell_is_no_test():
    """Where all rows of both samples are equal nothing moved and there is no p-value."""
    past, present = numbers(np.full(500, 3.0), np.full(500, 3.0))
    result = KLDetector().detect(past, present)

    assert (result.statistic, result.effect, result.p_value) == (0.0, 0.0, None)
    assert "one cell" in result.caveats[0]


def test_wrong_arguments():
    """Fewer than two cells, or counts of another grid, are refused."""
    with pytest.raises(ConfigurationError, match="cells=1"):
        KLDetector(cells=1)
    with pytest.raises(GridMismatchError):
        KLDetector().detect(numbers([1.0], [1.0])[0], numbers([2.0], [1.0])[1])
