"""Intervals and bounds: how far a figure from n rows may lie from the truth."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]

Z95 = 1.959963984540054
"""The 97.5% point of the normal distribution: intervals hold with 95%."""

MOMENTS = ("e", "abs", "e2", "e4", "y", "y2", "y3", "y4", "e2y", "e2y2")
"""The sums over errors e and outcomes y that figures of a regression need."""

_FEW = 5


def share(k: int, n: int) -> Interval:
    """Return the 95% interval of a share of k in n, n above 0.

    Wilson's score interval (1927); Jeffreys' where k or n - k is below 5 (Brown, Cai and
    DasGupta, 2001).
    """
    if min(k, n - k) < _FEW:
        return _jeffreys(k, n)
    center = (k + Z95**2 / 2) / (n + Z95**2)
    half = Z95 / (n + Z95**2) * math.sqrt(k * (n - k) / n + Z95**2 / 4)
    return max(0.0, center - half), min(1.0, center + half)


def _jeffreys(k: int, n: int) -> Interval:
    from scipy.special import betaincinv

    low = 0.0 if k == 0 else float(betaincinv(k + 0.5, n - k + 0.5, 0.025))
    high = 1.0 if k == n else float(betaincinv(k + 0.5, n - k + 0.5, 0.975))
    return low, high


def f1(true_positives: int, errors: int) -> Interval:
    """Return the 95% interval of F1 from its true positives and its errors of both kinds.

    J = tp / (tp + fp + fn) is a share, and F1 = 2J / (1 + J) grows with it.
    """
    low, high = share(true_positives, true_positives + errors)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def mean(n: int, total: float, squares: float) -> Interval:
    """Return the 95% interval of a mean from n values, their sum and the sum of their squares.

    The central limit theorem; n should be at least 30.
    """
    center = total / n
    variance = max(0.0, squares / n - center**2) * n / max(1, n - 1)
    half = Z95 * math.sqrt(variance / n)
    return center - half, center + half


def spread(n: int, total: float, squares: float, cubes: float, fourths: float) -> Interval:
    """Return the 95% interval of a standard deviation from n values and the sums of their powers.

    That of the variance by the central limit theorem, at both ends under the root; n should be at
    least 30.
    """
    center, second = total / n, squares / n
    variance = max(0.0, second - center**2)
    fourth = _fourth_central(center, second, cubes / n, fourths / n)
    half = Z95 * math.sqrt(max(0.0, fourth - variance**2) / n)
    return math.sqrt(max(0.0, variance - half)), math.sqrt(variance + half)


def _fourth_central(mean: float, second: float, third: float, fourth: float) -> float:
    """Return the fourth central moment from the mean and the raw moments."""
    return fourth - 4 * mean * third + 6 * mean**2 * second - 3 * mean**4


def auc(positive: NDArray[np.int64], negative: NDArray[np.int64]) -> tuple[float, Interval]:
    """Return the area under the ROC curve and its 95% interval from counts of scores by cell.

    Ties count half (Mann-Whitney). The variance is DeLong's (1988) on the binned scores. Even
    cells are gaps of the grid, within which the order of the scores is not known: the interval is
    widened by half the pairs that share a gap, so that it also covers the rounding. Where all
    pairs are ordered alike there is no variance; the interval is then that of min(p, n) disjoint
    pairs.

    Args:
        positive: Counts of the positives' scores, shape (cells,), at least 2 in total.
        negative: Counts of the negatives' scores, shape (cells,), at least 2 in total.
    """
    p, n = int(positive.sum()), int(negative.sum())
    below = (np.cumsum(negative) - negative / 2) / n
    above = (p - np.cumsum(positive) + positive / 2) / p
    value = float((positive * below).sum() / p)
    spread = float((positive * (below - value) ** 2).sum() / (p - 1) / p)
    spread += float((negative * (above - value) ** 2).sum() / (n - 1) / n)
    tied = float((positive[::2].astype(np.float64) * negative[::2]).sum())
    half = Z95 * math.sqrt(spread) + tied / (2 * p * n)
    low, high = max(0.0, value - half), min(1.0, value + half)
    if value in (0.0, 1.0):  # without spread: as from disjoint pairs, all of them ordered alike
        low, high = share(round(value * min(p, n)), min(p, n))
    return value, (low, high)


def r_squared(n: int, sums: dict[str, float]) -> tuple[float, Interval]:
    """Return R2 and its 95% interval by the delta method on the moments of errors and outcomes.

    Args:
        n: Number of rows.
        sums: Sums of `e2`, `e4`, `y`, `y2`, `y3`, `y4`, `e2y` and `e2y2` (e the error, y the
            outcome); the outcomes must vary.
    """
    m = {name: total / n for name, total in sums.items()}
    mu = m["y"]
    variance = m["y2"] - mu**2
    value = 1 - m["e2"] / variance
    centered4 = _fourth_central(mu, m["y2"], m["y3"], m["y4"])
    cross = m["e2y2"] - 2 * mu * m["e2y"] + mu**2 * m["e2"]
    var_e2, var_y = m["e4"] - m["e2"] ** 2, centered4 - variance**2
    covariance = cross - m["e2"] * variance
    ratio = m["e2"] / variance
    spread = (var_e2 - 2 * ratio * covariance + ratio**2 * var_y) / variance**2
    half = Z95 * math.sqrt(max(0.0, spread) / n)
    return value, (value - half, value + half)
