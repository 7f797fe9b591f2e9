"""The two-sample Cramer-von Mises test, from counts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlwatch.detectors.evidence import comparable, dkw_halfwidth, evidence
from mlwatch.profile import Distribution, NumericGrid
from mlwatch.records import DriftResult

_NODES = 64
_SURELY = 0.003
"""Below this the tail of the limit distribution is 1 to sixteen digits."""


@dataclass(frozen=True, slots=True)
class CramerVonMisesDetector:
    """Compare two distributions of a numeric feature by their mean squared distance.

    It weighs differences at all values, where `KSDetector` looks at the largest one. The statistic
    is T of Anderson (1962) with middle ranks, the figure of `scipy.stats.cramervonmises_2samp`. It
    is exact where every value is a point of the grid, and otherwise the lower end of a bracket
    whose upper end is in the caveats.

    The effect is the root of the mean squared distance of the two distribution functions over the
    rows of both samples, where values repeat the middle of the jump. It is at most the largest
    distance D, which is at most the share of traffic that moved. Its bound: the distance of the
    samples differs from that of the distributions by no more than the
    Dvoretzky-Kiefer-Wolfowitz width anywhere, so neither does its root mean square over the same
    rows (triangle inequality), and that of the distributions is at most their D whatever the rows
    are. `effect_low` is therefore a lower bound of D and of the share of traffic that moved.

    The p-value is that of the limit distribution at n N / (n + N) times the squared effect, which
    is scipy's where no value repeats. Where values do, T of unequal samples grows without any
    drift, while the squared effect only becomes smaller than the limit has it (Anderson's
    inequality), so that the p-value stays valid.
    """

    name: str = "cramer_von_mises"

    def detect(self, reference: Distribution, current: Distribution) -> DriftResult | None:
        """Return T as statistic; None for a categorical feature.

        Raises:
            GridMismatchError: The two were not counted on one grid.
        """
        if not isinstance(current.grid, NumericGrid):
            return None
        if not comparable(reference, current):
            return evidence(self.name, reference, current)
        low, high = bracket(reference, current)
        n, n_reference = current.n, reference.n
        effect = root_mean_square(reference, current)
        shown = f"{low:.4f}", f"{high:.4f}"
        thinned = f"T lies between {shown[0]} and {shown[1]}: the grid has gaps"
        return evidence(
            self.name,
            reference,
            current,
            statistic=low,
            effect=effect,
            effect_low=max(0.0, effect - dkw_halfwidth(n, n_reference)),
            p_value=_p_value(effect, n, n_reference),
            why=f"the share of rows up to a value differs by {effect:.3f} from the reference, in "
            "the root mean square",
            caveats=[thinned] if shown[0] != shown[1] else [],
        )


def bracket(reference: Distribution, current: Distribution) -> tuple[float, float]:
    """Return the smallest and the largest T that the counts allow; equal where it is exact.

    T = U / (n N (n + N)) - (4 n N - 1) / (6 (n + N)) with U = n sum (a_i^2) + N sum (b_j^2) and
    the terms of ties, where a_i is the number of reference rows below row i of the window and b_j
    that of the window's below row j of the reference, ties half. All in twelfths, as whole numbers.
    """
    r, c = reference.ordered.astype(object), current.ordered.astype(object)
    n, n_reference = current.n, reference.n
    y, x = np.cumsum(r) - r, np.cumsum(c) - c
    ties = n * (c**3 - c) + n_reference * (r**3 - r)
    points = slice(None, None, 2)  # the infinities in front shift the gaps to odd places
    a, b = (2 * y + r)[points], (2 * x + c)[points]
    exact = int((3 * (n * c[points] * a**2 + n_reference * r[points] * b**2) + ties[points]).sum())
    least, most = _in_gaps(c[1::2], r[1::2], x[1::2], y[1::2], (n, n_reference))
    low, high = exact + int(least.sum()), exact + int((most + ties[1::2]).sum())
    pairs = n * n_reference
    start, scale = 2 * pairs * (4 * pairs - 1), 12 * pairs * (n + n_reference)
    return (low - start) / scale, (high - start) / scale


def _in_gaps(
    c: NDArray[np.object_],
    r: NDArray[np.object_],
    x: NDArray[np.object_],
    y: NDArray[np.object_],
    sizes: tuple[int, int],
) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """Return the least and the most that rows of gaps add to 12 U, but for ties.

    With A in [0, c r] the reference rows below rows of the window in the gap, over all pairs, it
    is at least n (c y + A)^2 / c + N (r x + c r - A)^2 / r, which is convex in A, and at most what
    is linear in A: when all rows of one sample come first.
    """
    n, n_reference = sizes
    reference_last = 12 * (n * c * y**2 + n_reference * r * (x + c) ** 2)
    reference_first = 12 * (n * c * (y + r) ** 2 + n_reference * r * x**2)
    weight = n_reference * c + n * r
    turn = c * r * (n_reference * (x + c) - n * y)
    both = c * y + r * x + c * r
    inside = 12 * n * n_reference * both**2 // np.where(weight == 0, 1, weight)
    least = np.where(turn >= c * r * weight, reference_first, inside)
    least = np.where(turn <= 0, reference_last, least)
    return least, np.maximum(reference_last, reference_first)


def root_mean_square(reference: Distribution, current: Distribution) -> float:
    """Return the least root of the mean squared distance that the counts allow.

    A cell adds its rows times the square of the distance at the middle of its jump. In a gap that
    is a lower bound by the Cauchy-Schwarz inequality, once the middle is moved towards 0 by the
    most that the order of the two samples in the gap can move the mean of its rows.
    """
    r, c = (side.ordered.astype(np.float64) for side in (reference, current))
    n, n_reference = current.n, reference.n
    rows = r + c
    middle = (np.cumsum(c) - c / 2) / n - (np.cumsum(r) - r / 2) / n_reference
    slack = r * c / (2 * np.maximum(rows, 1)) * (1 / n + 1 / n_reference)
    slack[::2] = 0.0
    least = np.maximum(0.0, np.abs(middle) - slack)
    return math.sqrt(float((rows * least**2).sum()) / (n + n_reference))


def _p_value(effect: float, n: int, n_reference: int) -> float:
    """Return the p-value by the limit, T brought to its mean and variance (Anderson, 1962)."""
    rows, pairs = n + n_reference, n * n_reference
    t = pairs / rows * effect**2 + 1 / (4 * rows)
    spread = 4 * pairs * rows - 3 * (n**2 + n_reference**2) - 2 * pairs
    if not spread:
        return 1.0
    variance = (rows + 1) * spread / (4 * pairs * rows**2)
    return limit_tail(1 / 6 + (t - (1 + 1 / rows) / 6) / math.sqrt(variance))


def limit_tail(x: float) -> float:
    """Return the chance that the limit of T is above x, by the series of Smirnov (1936).

    (2 / pi) times the alternating sum over k of the integrals of
    sqrt(-u / sin u) exp(-x u^2 / 2) / u over u from (2k - 1) pi to 2k pi. With u - (2k - 1/2) pi =
    (pi / 2) sin(theta) the integrand is smooth and periodic, and the middle rule exact to
    rounding.
    """
    if x < _SURELY:
        return 1.0
    theta = (np.arange(_NODES) + 1 / 2) / _NODES * math.pi - math.pi / 2
    v = math.pi / 2 * np.sin(theta)
    k = np.arange(1, 4 + int(math.sqrt(90 / x) / (2 * math.pi)))[:, None]
    u = (2 * k - 1 / 2) * math.pi + v
    weight = np.cos(theta) / np.sqrt(np.cos(v)) * math.pi**2 / (2 * _NODES)
    terms = (weight * np.exp(-x * u**2 / 2) / np.sqrt(u)).sum(axis=1)
    return min(1.0, max(0.0, float(2 / math.pi * (terms * (-1.0) ** (k[:, 0] + 1)).sum())))
