"""The Mann-Whitney U test, from counts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mlwatch.detectors.evidence import comparable, dkw_halfwidth, evidence
from mlwatch.profile import Distribution, NumericGrid
from mlwatch.records import DriftResult


@dataclass(frozen=True, slots=True)
class MannWhitneyDetector:
    """Compare two distributions of a numeric feature by which tends to be larger.

    U counts the pairs of a row of the window and one of the reference in which the window's is
    larger, ties half (Mann and Whitney, 1947). It is exact where every reference value is a point
    of the grid; otherwise it lies in a bracket that is in the caveats, and the statistic is what
    is nearest to no change in it. The p-value is that of the normal limit, two-sided, corrected
    for ties and continuity; where ties between the points of the grid are unknown it counts none,
    and is never too small for that. It sees a shift and is blind to a change that leaves
    A = U / (n N) at 1/2, such as a spread that grows to both sides.

    The effect is the least share t of traffic that must have moved to make such an A. Where a
    share 1 - t of both distributions is common, a pair of common rows is as often won as lost,
    and only the 1 - (1 - t)^2 other pairs can tip the balance: |2A - 1| <= 2t - t^2. So
    t = 1 - sqrt(1 - |2A - 1|). A changes by no more than each distribution function does, so that
    the Dvoretzky-Kiefer-Wolfowitz bound of the two bounds A, and thereby the effect.
    """

    name: str = "mann_whitney"

    def detect(self, reference: Distribution, current: Distribution) -> DriftResult | None:
        """Return U of the window as statistic; None for a categorical feature.

        Raises:
            GridMismatchError: The two were not counted on one grid.
        """
        if not isinstance(current.grid, NumericGrid):
            return None
        if not comparable(reference, current):
            return evidence(self.name, reference, current)
        low, high = twice_u(reference, current)
        pairs = current.n * reference.n
        nearest = min(max(pairs, low), high)
        share = nearest / (2 * pairs)
        lean = abs(nearest - pairs) / (2 * pairs)
        bounded = max(0.0, lean - dkw_halfwidth(current.n, reference.n))
        direction = "larger" if share > 1 / 2 else "smaller"
        thinned = f"U lies between {low / 2:.1f} and {high / 2:.1f}: the grid has gaps"
        return evidence(
            self.name,
            reference,
            current,
            statistic=nearest / 2,
            effect=_least_moved(lean),
            effect_low=_least_moved(bounded),
            p_value=_p_value(reference, current, abs(nearest - pairs)),
            why=f"values tend to be {direction} than in the reference: a row is larger in "
            f"{share:.1%} of pairs"
            if lean
            else "values tend to be neither larger nor smaller than in the reference",
            caveats=[thinned] if high > low else [],
        )


def twice_u(reference: Distribution, current: Distribution) -> tuple[int, int]:
    """Return the smallest and the largest 2 U that the counts allow; equal where it is exact."""
    r, c = reference.ordered.astype(object), current.ordered.astype(object)
    below = np.cumsum(r) - r
    inner = r * c
    in_gaps = int(inner[1::2].sum())  # the infinities in front shift the gaps to odd places
    low = int((2 * c * below).sum()) + int(inner[::2].sum())
    return low, low + 2 * in_gaps


def _least_moved(lean: float) -> float:
    return 1 - math.sqrt(max(0.0, 1 - 2 * lean))


def _p_value(reference: Distribution, current: Distribution, twice_lean: int) -> float:
    """Return the p-value of U that lies half of `twice_lean` from its mean n N / 2."""
    tied = (reference.ordered + current.ordered)[::2].astype(object)
    n, n_reference = current.n, reference.n
    rows = n + n_reference
    varied = (rows**3 - rows) - int((tied**3 - tied).sum())
    if not varied:
        return 1.0
    variance = n * n_reference * varied / (12 * rows * (rows - 1))
    z = max(0.0, twice_lean / 2 - 1 / 2) / math.sqrt(variance)
    return math.erfc(z / math.sqrt(2))
