"""The two-sample Kolmogorov-Smirnov test, from counts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from mlwatch.detectors.evidence import comparable, dkw_halfwidth, evidence
from mlwatch.errors import ConfigurationError
from mlwatch.profile import Distribution, NumericGrid
from mlwatch.records import DriftResult

_INT64_MAX = 2**63 - 1

_WIDE = 0.005
"""A tenth of the margin that counts as drift by default: a narrower bracket changes no verdict."""

Alternative = Literal["two-sided", "greater", "less"]

_WORDS = {
    "two-sided": "differs by {:.3f} from the reference",
    "greater": "is {:.3f} larger than in the reference: values became smaller",
    "less": "is {:.3f} smaller than in the reference: values became larger",
}


@dataclass(frozen=True, slots=True)
class KSDetector:
    """Compare two distributions of a numeric feature by their largest distance D.

    D is the largest difference in the share of rows up to any value: no rule of the form "above
    c" changes its hit rate by more. It is exact where every reference value is a point of the
    grid, and otherwise the lower end of a bracket, of 1/256 on the grid of a reference; where it
    is wider than 0.005 the caveats give both ends. Infinities take part, missing values do not.

    The p-value is that of the limit distribution (Kolmogorov, 1933; Smirnov, 1948) at the
    effective size n_e = n N / (n + N), one-sided exp(-2 n_e D^2); it is conservative where values
    repeat.

    Args:
        alternative: "greater" looks only for values up to which the window holds a larger share
            of rows than the reference, so for values that became smaller; "less" only for values
            that became larger. These are the words of `scipy.stats.ks_2samp(current, reference)`,
            which speak of the distribution functions.
        name: The name results go by.

    Raises:
        ConfigurationError: There is no such alternative.
    """

    alternative: Alternative = "two-sided"
    name: str = "ks"

    def __post_init__(self) -> None:
        if self.alternative not in get_args(Alternative):
            raise ConfigurationError(
                f"KSDetector(alternative={self.alternative!r}): must be "
                '"two-sided", "greater" or "less"'
            )

    def detect(self, reference: Distribution, current: Distribution) -> DriftResult | None:
        """Return D as statistic and effect; None for a categorical feature.

        Raises:
            GridMismatchError: The two were not counted on one grid.
        """
        if not isinstance(current.grid, NumericGrid):
            return None
        if not comparable(reference, current):
            return evidence(self.name, reference, current)
        low, high = bracket(reference, current, self.alternative)
        thinned = f"D lies between {low:.4f} and {high:.4f}: the grid has gaps with reference rows"
        return evidence(
            self.name,
            reference,
            current,
            statistic=low,
            effect=low,
            effect_low=max(0.0, low - dkw_halfwidth(current.n, reference.n)),
            p_value=self._p_value(low, current.n, reference.n),
            why=f"the share of rows up to some value {_WORDS[self.alternative].format(low)}",
            caveats=[thinned] if high - low > _WIDE else [],
        )

    def _p_value(self, distance: float, n: int, n_reference: int) -> float:
        effective = n * n_reference / (n + n_reference)
        if self.alternative != "two-sided":
            return math.exp(-2 * effective * distance**2)
        from scipy.special import kolmogorov

        return float(kolmogorov(math.sqrt(effective) * distance))


def distance(reference: Distribution, current: Distribution) -> tuple[float, float]:
    """Return D and a lower bound of it, for detectors whose own figure is no share of traffic."""
    low, _ = bracket(reference, current)
    return low, max(0.0, low - dkw_halfwidth(current.n, reference.n))


def bracket(
    reference: Distribution, current: Distribution, alternative: Alternative = "two-sided"
) -> tuple[float, float]:
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
    edges = above_c * n_reference - above_r * n
    gaps = np.arange(len(r)) % 2 == 1  # the infinities in front shift the gaps to odd places
    mixed = gaps & (r > 0) & (c > 0)
    current_first = (edges + r * n)[mixed]
    reference_first = (edges - c * n_reference)[mixed]
    above = int(edges.max()), int(max(current_first, default=0))
    below = int(-edges.min()), int(-min(reference_first, default=0))
    chosen = {"greater": [above], "less": [below], "two-sided": [above, below]}[alternative]
    low = max(side[0] for side in chosen)
    return low / scale, max(low, *(side[1] for side in chosen)) / scale
