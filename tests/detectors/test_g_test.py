"""The likelihood-ratio test from counts, against scipy and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from tests.detectors.samples import by_category, continuous, counted, most, p_values, zipf

from mlwatch.detectors import ChiSquareDetector, GTestDetector
from mlwatch.detectors.g_test import likelihood_ratio
from mlwatch.detectors.pooling import pool_rare
from mlwatch.errors import ConfigurationError, GridMismatchError
from mlwatch.profile import Distribution

ALPHA, RUNS = 0.01, 400
COUNTS = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=2, max_size=12
).filter(lambda pairs: all(sum(side) for side in zip(*pairs, strict=True)))


def scipys(table):
    return stats.chi2_contingency(table, lambda_="log-likelihood", correction=False)


@settings(max_examples=50)
@given(COUNTS)
def test_statistic_is_scipys_on_the_pooled_table(pairs):
    """G, p and effect are those of scipy.stats.chi2_contingency on the pooled counts."""
    r, c = (np.array([side[i] for side in pairs]) for i in (0, 1))
    table = np.array(pool_rare(r[r + c > 0], c[r + c > 0], 5.0))
    assume(table.shape[1] > 1)
    expected = scipys(table)
    result = GTestDetector().detect(*by_category(r, c))

    assert result.statistic == pytest.approx(expected.statistic, rel=1e-9, abs=1e-9)
    assert result.p_value == pytest.approx(expected.pvalue, rel=1e-9, abs=1e-300)
    shares = table / table.sum(axis=1, keepdims=True)
    assert result.effect == pytest.approx(np.abs(shares[0] - shares[1]).sum() / 2, abs=1e-12)


@settings(max_examples=50)
@given(COUNTS)
def test_g_is_the_weighted_jensen_shannon_divergence(pairs):
    """G = 2 (n + N) times the Jensen-Shannon divergence with weights n and N, to 1e-9."""
    r, c = (np.array([side[i] for side in pairs]) for i in (0, 1))
    r, c = r[r + c > 0], c[r + c > 0]
    rows, pooled = r.sum() + c.sum(), (r + c) / (r.sum() + c.sum())
    js = sum(side.sum() / rows * stats.entropy(side, pooled) for side in (r, c))

    assert likelihood_ratio(r, c) == pytest.approx(2 * rows * js, rel=1e-9, abs=1e-9)


@settings(max_examples=50)
@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_g_of_two_features_is_that_of_one_and_of_the_other_within_it(rows, columns, seed):
    """Chain rule: G(joint) = G(margin) + sum of G(within each cell of the margin), to 1e-9.

    The terms of the sum are scipy's; ours and scipy's of the joint table equal it.
    """
    rng = np.random.default_rng(seed)
    # Few rows a cell: some are empty on one side, and some cells of the margin on both.
    joint = rng.poisson(rng.gamma(0.5, 8, (rows, columns)), (2, rows, columns))
    joint[:, 0, 0] += 1
    flat = joint.reshape(2, -1)
    flat = flat[:, flat.any(axis=0)]
    parts = scipys_g(joint.sum(axis=2)) + sum(scipys_g(joint[:, row]) for row in range(rows))

    assert likelihood_ratio(*flat) == pytest.approx(parts, rel=1e-9, abs=1e-9)
    assert scipys_g(flat) == pytest.approx(parts, rel=1e-9, abs=1e-9)


def scipys_g(table) -> float:
    """Return G of counts, shape (2, k), of which any may be 0: the cells without rows add none."""
    held = table[:, table.any(axis=0)]
    return 0.0 if not held.any(axis=1).all() else float(scipys(held).statistic)


def test_numbers_are_compared_on_coarse_cells():
    """Numbers fall into sixteen cells of equal reference mass, fewer where rows are few."""
    rng = np.random.default_rng(0)
    past, present = counted(rng.normal(size=4000), rng.normal(0.2, 1, 3000))
    expected = scipys(np.array([past.cells(16), present.cells(16)]))
    result = GTestDetector().detect(past, present)
    few = Distribution.count("x", past.grid, rng.normal(size=60))
    six = np.array([past.cells(6), few.cells(6)])

    assert result.statistic == pytest.approx(expected.statistic, rel=1e-9)
    assert result.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert GTestDetector().detect(past, few).statistic == pytest.approx(scipys(six).statistic)


def size(p, n, test) -> float:
    rng = np.random.default_rng(0)
    past, present = rng.multinomial(5000, p, RUNS), rng.multinomial(n, p, RUNS)
    grid = by_category(past[0], present[0])[0].grid  # one, as its fingerprint takes a while
    found = [test(r, c, grid) for r, c in zip(past, present, strict=True)]
    return float(np.mean([p_value is not None and p_value <= ALPHA for p_value in found]))


def ours(r, c, grid):
    sides = [Distribution("x", grid, np.append(side, 0)) for side in (r, c)]
    return GTestDetector(pool=20).detect(*sides).p_value


def unseen_pooled(r, c, _):
    """Pool what the reference has never seen: the wrong way."""
    table = np.array([[*r[r > 0], 0], [*c[r > 0], c[r == 0].sum()]])
    return scipys(table[:, table.sum(axis=0) > 0]).pvalue


def unpooled(r, c, _):
    return scipys(np.array([r, c])[:, r + c > 0]).pvalue


@pytest.mark.parametrize(("k", "n"), [(10, 1000), (100, 100), (2000, 1000), (2000, 5000)])
def test_false_alarms_are_at_the_level(k, n):
    """Without drift p is below 0.01 in no more than 1% of windows, however many categories."""
    assert size(zipf(k), n, ours) <= most(ALPHA, RUNS)


@pytest.mark.parametrize(("k", "n", "wrong"), [(2000, 1000, unseen_pooled), (2000, 5000, unpooled)])
def test_wrong_pooling_fails_the_same_check(k, n, wrong):
    """Pooling what the reference never saw, or not pooling at all, is far above the level."""
    assert size(zipf(k), n, wrong) > 0.2 > most(ALPHA, RUNS)


def test_p_values_of_numbers_without_drift():
    """On numbers P(p <= a) is about a, also for a window of sixty rows."""
    for sizes in ((1000, 600), (1000, 60)):
        found = p_values(GTestDetector(), continuous, sizes, 150)
        for alpha in (0.2, 0.05, 0.01):
            assert np.mean(found <= alpha) <= most(alpha, 150)
        assert np.mean(found <= 0.2) > 0.1


def test_agrees_with_pearson_where_counts_are_large():
    """For a small change of many rows G and Pearson's X2 are nearly one figure."""
    r, c = [40_000, 30_000, 30_000], [10_100, 7_450, 7_450]
    g, x2 = (d.detect(*by_category(r, c)) for d in (GTestDetector(), ChiSquareDetector()))

    assert g.statistic == pytest.approx(x2.statistic, rel=0.01)
    assert (g.effect, g.effect_low) == (x2.effect, x2.effect_low)


def test_wrong_arguments():
    """Too few cells, thresholds that are no counts, and counts of another grid are refused."""
    for wrong in ({"cells": 1}, {"cells": 2.5}, {"pool": 0}, {"pool": math.nan}):
        with pytest.raises(ConfigurationError, match=r"GTestDetector\((cells|pool)="):
            GTestDetector(**wrong)
    with pytest.raises(GridMismatchError):
        GTestDetector().detect(counted([1.0], [1.0])[0], counted([2.0], [1.0])[1])
