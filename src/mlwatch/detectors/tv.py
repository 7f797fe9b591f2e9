"""The share of traffic that moved between cells, from counts."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mlwatch.detectors.evidence import comparable, evidence, total_variation
from mlwatch.detectors.smoothed import require_cells, why_uncut
from mlwatch.profile import Distribution
from mlwatch.records import DriftResult


@dataclass(frozen=True, slots=True)
class TotalVariationDetector:
    """Compare two distributions of any feature by the share of rows that moved between cells.

    Half the sum of |p - q|, which is both statistic and effect. The p-value inverts the bound of
    Weissman et al. (2003) for both samples: it holds at any number of rows and is far from sharp,
    so a small change shows in other tests long before.

    Args:
        cells: As in `KLDetector`.
        name: The name results go by.

    Raises:
        ConfigurationError: `cells` is below 2.
    """

    cells: int = 16
    name: str = "total_variation"

    def __post_init__(self) -> None:
        require_cells("TotalVariationDetector", self.cells)

    def detect(self, reference: Distribution, current: Distribution) -> DriftResult | None:
        """Return the total variation as statistic and effect.

        Raises:
            GridMismatchError: The two were not counted on one grid.
        """
        uncut = why_uncut(reference)
        if not comparable(reference, current) or uncut:
            return evidence(self.name, reference, current, why=uncut)
        r, c = reference.cells(self.cells), current.cells(self.cells)
        used = (r + c) > 0
        r, c = r[used], c[used]
        effect, effect_low = total_variation(c, r)
        return evidence(
            self.name,
            reference,
            current,
            statistic=effect,
            effect=effect,
            effect_low=effect_low,
            p_value=weissman(effect, len(r), current.n, reference.n),
            why=f"{effect:.1%} of the rows moved between {len(r)} cells against the reference",
        )


def weissman(moved: float, cells: int, n: int, n_reference: int) -> float:
    """Return a bound of the chance that without drift this share or more seems to have moved.

    The inverse of the bound in `total_variation`. That cells empty in both samples are left out
    costs nothing: given the counts of both samples together each is drawn from them without
    replacement, which concentrates no less (Hoeffding, 1963).
    """
    spread = 1 / math.sqrt(n) + 1 / math.sqrt(n_reference)
    return min(1.0, math.exp((cells + 1) * math.log(2) - 2 * (moved / spread) ** 2))
