"""Random samples of many kinds, and their counts, for the tests of detectors."""

from __future__ import annotations

import math

import numpy as np

from mlwatch.profile import CategoricalGrid, Distribution, NumericGrid


def normal(rng, n):
    return rng.normal(rng.normal() / 4, 1, n)


def poisson(rng, n):
    return rng.poisson(rng.uniform(1, 4), n)


def zero_inflated(rng, n):
    return np.where(rng.random(n) < rng.random(), 0.0, rng.exponential(size=n))


def rounded(rng, n):
    return np.round(rng.normal(rng.normal() / 4, 1, n), 1)


def cauchy(rng, n):
    return rng.standard_cauchy(n)


def infinite(rng, n):
    return np.where(rng.random(n) < 0.3, rng.choice([math.inf, -math.inf], n), rng.normal(size=n))


def finite(values):
    """Put infinities far out instead: no rank changes, and older versions of scipy can sum them."""
    values = np.asarray(values)
    return np.clip(values, -1e300, 1e300) if np.isinf(values).any() else values


def denormal(rng, n):
    return rng.choice([5e-324, 1e-323, -5e-324, -0.0, 0.0, 2.2e-308], n)


def boolean(rng, n):
    return (rng.random(n) < rng.random()).astype(int)


KINDS = [normal, poisson, zero_inflated, rounded, cauchy, infinite, denormal, boolean]


def counted(reference, current, points=255, on=None):
    """Count both samples on a grid that is cut on the reference, or on the values `on`."""
    grid = NumericGrid.fit(reference if on is None else on, points=points)
    return Distribution.count("x", grid, reference), Distribution.count("x", grid, current)


def by_category(r, c) -> tuple[Distribution, Distribution]:
    """Make distributions of counts by category; there is nothing beyond the vocabulary."""
    counts = [np.array([*side, 0], np.int64) for side in (r, c)]
    grid = CategoricalGrid(tuple(f"c{i}" for i in range(len(r))), counts[0])
    return Distribution("x", grid, counts[0]), Distribution("x", grid, counts[1])


def zipf(k: int) -> np.ndarray:
    weights = 1 / np.arange(1, k + 1)
    return weights / weights.sum()


def discrete(rng, n):
    return rng.poisson(3, n)


def continuous(rng, n):
    return rng.normal(size=n)


def p_values(detector, draw, sizes, runs, seed=0) -> np.ndarray:
    """Return the p-values of pairs of samples of one distribution, (n_reference, n) rows each."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(runs):
        past, present = counted(draw(rng, sizes[0]), draw(rng, sizes[1]))
        found.append(detector.detect(past, present).p_value)
    return np.array(found)


def most(alpha: float, runs: int) -> float:
    """Return the largest share of false alarms at level alpha that chance explains."""
    return alpha + 3 * math.sqrt(alpha * (1 - alpha) / runs)
