"""The likelihood-ratio test of homogeneity, from counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlwatch.detectors.evidence import comparable, evidence
from mlwatch.detectors.pooling import compare_pooled, require_pool
from mlwatch.detectors.smoothed import require_cells, why_uncut
from mlwatch.profile import Distribution, NumericGrid
from mlwatch.records import DriftResult


@dataclass(frozen=True, slots=True)
class GTestDetector:
    """Compare two distributions of any feature by the likelihood ratio G (Wilks, 1938).

    G = 2 sum of count * log(count / expected) over cells of which the rare ones are pooled by
    their count in both samples, as in `ChiSquareDetector`. Numbers are compared on cells of equal
    reference mass, fewer of them where there are few rows. The effect is the total variation over
    the same cells.

    Args:
        cells: Numbers are compared on at most this many cells.
        pool: Cells with a smaller expected count share one; take 20 where p-values below 1e-4
            matter.
        name: The name results go by.

    Raises:
        ConfigurationError: `cells` is below 2, or `pool` is no count from 1 up.
    """

    cells: int = 16
    pool: float = 5.0
    name: str = "g_test"

    def __post_init__(self) -> None:
        require_cells("GTestDetector", self.cells)
        require_pool("GTestDetector", self.pool)

    def detect(self, reference: Distribution, current: Distribution) -> DriftResult | None:
        """Return G as statistic and the total variation as effect.

        Raises:
            GridMismatchError: The two were not counted on one grid.
        """
        uncut = why_uncut(reference)
        if not comparable(reference, current) or uncut:
            return evidence(self.name, reference, current, why=uncut)
        cells = reference.counts, current.counts
        if isinstance(current.grid, NumericGrid):
            # Chosen by the sizes alone, twice the threshold: a share of rows that lay in too
            # small a cell would else be pooled with cells far from it.
            enough = int(min(reference.n, current.n) / (2 * self.pool))
            k = max(2, min(self.cells, enough))
            cells = reference.cells(k), current.cells(k)
        return compare_pooled(
            self.name, reference, current, cells=cells, pool=self.pool, measure=likelihood_ratio
        )


def likelihood_ratio(reference: NDArray[np.int64], current: NDArray[np.int64]) -> float:
    """Return G of a 2 by k table without empty columns."""
    table = np.array([reference, current], np.float64)
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    there = table > 0
    return max(0.0, 2 * float((table[there] * np.log(table[there] / expected[there])).sum()))
