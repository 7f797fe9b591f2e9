"""Intervals and bounds: how far a figure from n rows may lie from the truth.

Intervals hold with 95%, or at the level whose normal point is given as `z`.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]

Bounded = tuple[float, float, float]
"""A value with the low and the high end of its interval."""

Z95 = 1.959963984540054
"""The 97.5% point of the normal distribution: with it, as `z`, an interval holds with 95%."""

FEWEST = 30
"""With fewer values the central limit theorem is not relied on, and there is no figure."""

MOMENTS = ("e", "abs", "e2", "e4", "y", "y2", "y3", "y4", "e2y", "e2y2")
"""The sums over errors e and outcomes y that figures of a regression need."""

_FEW = 5


def normal_point(level: float) -> float:
    """Return the point that a standard normal exceeds with a chance of `level`."""
    from scipy.special import ndtri

    return -float(ndtri(level))


def share(k: float, n: float, z: float = Z95) -> Interval:
    """Return the interval of a share of k in n, n above 0.

    Wilson's score interval (1927); Jeffreys' where k or n - k is below 5 (Brown, Cai and
    DasGupta, 2001). Of rows that count unequally, n is as many equal rows as would be as
    certain, and need not be whole (Korn and Graubard, 1998).
    """
    if min(k, n - k) < _FEW:
        return _jeffreys(k, n, z)
    center = (k + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * math.sqrt(k * (n - k) / n + z**2 / 4)
    return max(0.0, center - half), min(1.0, center + half)


def _jeffreys(k: float, n: float, z: float) -> Interval:
    from scipy.special import betaincinv

    tail = math.erfc(z / math.sqrt(2)) / 2
    low = 0.0 if k <= 0 else float(betaincinv(k + 0.5, n - k + 0.5, tail))
    high = 1.0 if k >= n else float(betaincinv(k + 0.5, n - k + 0.5, 1 - tail))
    return low, high


def f1(true_positives: int, errors: int, z: float = Z95) -> Interval:
    """Return the interval of F1 from its true positives and its errors of both kinds.

    J = tp / (tp + fp + fn) is a share, and F1 = 2J / (1 + J) grows with it.
    """
    low, high = share(true_positives, true_positives + errors, z)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def average(parts: Sequence[Bounded], spread: float = 1.0) -> Bounded:
    """Return the mean of independent figures with its interval, from those of the figures.

    MOVER, the method of variance estimates recovery (Zou and Donner, 2008).

    Args:
        parts: Value, low and high of each, at least one.
        spread: By what factor the variance is larger, as the figures are not independent.
    """
    value = sum(part[0] for part in parts) / len(parts)
    below = math.sqrt(spread * sum((part[0] - part[1]) ** 2 for part in parts)) / len(parts)
    above = math.sqrt(spread * sum((part[2] - part[0]) ** 2 for part in parts)) / len(parts)
    return value, value - below, value + above


def difference(one: Bounded, other: Bounded) -> Bounded:
    """Return `one` less `other` with its interval, from the intervals of two independent figures.

    MOVER (Zou and Donner, 2008); of two shares it is Newcombe's interval (1998).
    """
    value = one[0] - other[0]
    below = math.hypot(one[0] - one[1], other[2] - other[0])
    above = math.hypot(one[2] - one[0], other[0] - other[1])
    return value, value - below, value + above


def binomial(n: int, p: float) -> Interval:
    """Return the 2.5% and the 97.5% quantile of the number of successes in n trials.

    Args:
        n: Number of trials.
        p: The chance of each.
    """
    from scipy.special import bdtr

    def below(successes: int) -> float:
        return float(bdtr(successes, n, p)) if successes < n else 1.0

    counts = range(n + 1)
    return bisect_left(counts, 0.025, key=below), bisect_left(counts, 0.975, key=below)


def mean(n: int, total: float, squares: float, z: float = Z95) -> Interval:
    """Return the interval of a mean from n values, their sum and the sum of their squares.

    The central limit theorem; n should be at least 30.
    """
    center = total / n
    variance = max(0.0, squares / n - center**2) * n / max(1, n - 1)
    half = z * math.sqrt(variance / n)
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


def auc(
    positive: NDArray[np.int64], negative: NDArray[np.int64], z: float = Z95
) -> tuple[float, Interval]:
    """Return the area under the ROC curve and its interval from counts of scores by cell.

    Ties count half (Mann-Whitney). The variance is DeLong's (1988) on the binned scores. Even
    cells are gaps of the grid, within which the order of the scores is not known: the interval is
    widened by half the pairs that share a gap, so that it also covers the rounding. Where all
    pairs are ordered alike there is no variance; the interval is then that of min(p, n) disjoint
    pairs.

    Args:
        positive: Counts of the positives' scores, shape (cells,), at least 2 in total.
        negative: Counts of the negatives' scores, shape (cells,), at least 2 in total.
        z: The normal point of the interval's level.
    """
    p, n = int(positive.sum()), int(negative.sum())
    below = (np.cumsum(negative) - negative / 2) / n
    above = (p - np.cumsum(positive) + positive / 2) / p
    value = float((positive * below).sum() / p)
    spread = float((positive * (below - value) ** 2).sum() / (p - 1) / p)
    spread += float((negative * (above - value) ** 2).sum() / (n - 1) / n)
    tied = float((positive[::2].astype(np.float64) * negative[::2]).sum())
    half = z * math.sqrt(spread) + tied / (2 * p * n)
    low, high = max(0.0, value - half), min(1.0, value + half)
    if value in (0.0, 1.0):  # without spread: as from disjoint pairs, all of them ordered alike
        low, high = share(round(value * min(p, n)), min(p, n), z)
    return value, (low, high)


def average_precision_bounds(positive: NDArray[np.int64], negative: NDArray[np.int64]) -> Bounded:
    """Return the average precision from counts of scores by cell, and bounds of the exact one.

    The mean, over the positives, of the precision at the score of each. Odd cells are points of
    the grid, whose scores are equal. Even cells are gaps, within which the order is not known.
    With T positives and F negatives above a gap, and a and b in it, the precision at the j-th of
    its positives is at least (T + j) / (T + j + F + b), and at none of them above
    (T + a) / (T + a + F). The value takes them as evenly mixed. The sums over j are integrals
    from 1/2 to a + 1/2, which for the lower bound is at most the sum, as its terms are concave.

    Args:
        positive: Counts of the positives' scores, shape (cells,), at least 1 in total.
        negative: Counts of the negatives' scores, shape (cells,).
    """
    a, b = (count[::-1].astype(np.float64) for count in (positive, negative))  # highest first
    columns = (a, b, np.cumsum(a) - a, np.cumsum(b) - b, np.arange(len(a)) % 2 == 0)
    a, b, true, false, is_gap = (column[a > 0] for column in columns)
    tied = a * (true + a) / (true + a + false + b)
    most = a * (true + a) / (true + a + false)
    least = a - (false + b) * np.log1p(a / (true + 0.5 + false + b))
    rate, start = (a + b) / a, true + false + 0.5
    even = a / rate + (true + 0.5 - start / rate) / rate * np.log1p(rate * a / start)
    terms = (np.clip(even, least, most), least, most)
    value, low, high = (float(np.where(is_gap, each, tied).sum() / a.sum()) for each in terms)
    return value, min(low, value), max(high, value)


def average_precision(
    positive: NDArray[np.int64], negative: NDArray[np.int64], z: float = Z95
) -> tuple[float, Interval]:
    """Return the average precision and its interval from counts of scores by cell.

    The logit interval of as many rows as there are positives (Boyd, Eng and Page, 2013), widened
    by what the cells do not tell (`average_precision_bounds`).

    Args:
        positive: Counts of the positives' scores, shape (cells,), at least 1 in total.
        negative: Counts of the negatives' scores, shape (cells,).
        z: The normal point of the interval's level.
    """
    n = int(positive.sum())
    value, least, most = average_precision_bounds(positive, negative)
    if 0 < value < 1:
        half = z / math.sqrt(n * value * (1 - value))
        logit = math.log(value / (1 - value))
        low, high = (1 / (1 + math.exp(-end)) for end in (logit - half, logit + half))
    else:
        low, high = share(round(value * n), n, z)
    return value, (max(0.0, low - (value - least)), min(1.0, high + (most - value)))


def calibration_error(
    rows: NDArray[np.float64],
    scores: NDArray[np.float64],
    positives: NDArray[np.float64],
    z: float = Z95,
) -> tuple[float, Interval]:
    """Return the expected calibration error over bins of scores, and its interval.

    The mean, over the rows, of |mean score - share of positives| in the bin of each (Naeini,
    Cooper and Hauskrecht, 2015). Chance alone makes it larger than 0, so the lower end is moved
    down by the mean of |N(d, s)| - |d| in each bin, with d^2 taken as what is above s^2. The
    variance is that of the bins' shares, and of how many rows fall into each.

    Args:
        rows: Rows in each bin, shape (bins,), none of them 0.
        scores: The sum of the scores in each, shape (bins,).
        positives: The positives in each, shape (bins,).
        z: The normal point of the interval's level.
    """
    from scipy.special import ndtr

    n = rows.sum()
    weight, gap = rows / n, np.abs(scores - positives) / rows
    value = float((weight * gap).sum())
    usual = (positives + 0.5) / (rows + 1)
    error = np.sqrt(usual * (1 - usual) / rows)
    true = np.sqrt(np.maximum(0.0, gap**2 - error**2))
    ratio = true / error
    density = np.exp(-(ratio**2) / 2) / math.sqrt(2 * math.pi)
    bias = float((weight * (2 * error * density - 2 * true * ndtr(-ratio))).sum())
    variance = float((weight**2 * error**2).sum() + ((weight * gap**2).sum() - value**2) / n)
    half = z * math.sqrt(max(0.0, variance))
    return value, (max(0.0, value - bias - half), min(1.0, value + half))


def r_squared(n: int, sums: dict[str, float], z: float = Z95) -> tuple[float, Interval]:
    """Return R2 and its interval by the delta method on the moments of errors and outcomes.

    Args:
        n: Number of rows.
        sums: Sums of `e2`, `e4`, `y`, `y2`, `y3`, `y4`, `e2y` and `e2y2` (e the error, y the
            outcome); the outcomes must vary.
        z: The normal point of the interval's level.
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
    half = z * math.sqrt(max(0.0, spread) / n)
    return value, (value - half, value + half)
