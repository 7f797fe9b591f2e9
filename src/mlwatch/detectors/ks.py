"""The two-sample Kolmogorov-Smirnov test, from counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlwatch.detectors.evidence import comparable, dkw_halfwidth, evidence
from mlwatch.profile import Distribution, NumericGrid
from mlwatch.records import DriftResult

_INT64_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class KSDetector:
    """Compare two distributions of a numeric feature by their largest distance D.

    D is the largest difference in the share of rows up to any value: no rule of the form "above
    c" changes its hit rate by more. It is exact where every reference value is a point of the
    grid, and otherwise the lower end of a bracket whose upper end is in the caveats. Infinities
    take part, missing values do not.

    The p-value is that of the limit distribution (Kolmogorov, 1933; Smirnov, 1948) at the
    effective size n N / (n + N); it is conservative where values repeat.
    """

    name: str = "ks"

    def detect(self, reference: Distribution, current: Distribution) -> DriftResult | None:
        """Return D as statistic and effect; None for a categorical feature.

        Raises:
            GridMismatchError: The two were not counted on one grid.
        """
        if not isinstance(current.grid, NumericGrid):
            return None
        if not comparable(reference, current):
            return evidence(self.name, reference, current)
        from scipy.special import kolmogorov

        low, high = bracket(reference, current)
        n, n_reference = current.n, reference.n
        effective = n * n_reference / (n + n_reference)
        thinned = f"D lies between {low:.4f} and {high:.4f}: the grid has gaps with reference rows"
        return evidence(
            self.name,
            reference,
            current,
            statistic=low,
            effect=low,
            effect_low=max(0.0, low - dkw_halfwidth(n, n_reference)),
            p_value=float(kolmogorov(np.sqrt(effective) * low)),
            why=f"the share of rows up to some value differs by {low:.3f} from the reference",
            caveats=[thinned] if high > low else [],
        )


def bracket(reference: Distribution, current: Distribution) -> tuple[float, float]:
    """Return the smallest and the largest D that the counts allow; equal where it is exact.

    Both ends of every interval on which the reference is constant are edges of cells, so D is a
    maximum over cells. Inside a gap with rows of both samples the order of the two is unknown,
    and D may be as large as if all rows of one came first.
    """
    r, c = reference.ordered, current.ordered
    n_reference, n = int(r.sum()), int(c.sum())
    scale = n * n_reference
    if scale >= _INT64_MAX:
        r, c = r.astype(object), c.astype(object)
    above_r, above_c = np.cumsum(r), np.cumsum(c)
    low = int(np.abs(above_c * n_reference - above_r * n).max())
    gaps = np.arange(len(r)) % 2 == 1  # the infinities in front shift the gaps to odd places
    mixed = gaps & (r > 0) & (c > 0)
    high = low
    if mixed.any():
        current_first = np.abs(above_c * n_reference - (above_r - r) * n)[mixed].max()
        reference_first = np.abs((above_c - c) * n_reference - above_r * n)[mixed].max()
        high = max(low, int(current_first), int(reference_first))
    return low / scale, high / scale
