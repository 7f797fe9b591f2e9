"""Pearson's chi-square test of homogeneity, from counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlwatch.detectors.evidence import comparable, evidence
from mlwatch.detectors.pooling import compare_pooled, require_pool
from mlwatch.profile import CategoricalGrid, Distribution
from mlwatch.records import DriftResult


@dataclass(frozen=True, slots=True)
class ChiSquareDetector:
    """Compare two distributions of a categorical feature.

    The statistic is Pearson's X2 (1900) over the categories, rare ones pooled by their pooled
    count of both samples; the choice does not look at either sample alone, so the p-value keeps
    its size. Unseen categories are one cell like any other. The effect is the total variation:
    the share of rows that changed category.

    Args:
        pool: Categories with a smaller expected count share one cell. Take 20 where p-values
            below 1e-4 matter: at 5 they come a few times too often.
        name: The name results go by.

    Raises:
        ConfigurationError: `pool` is no count from 1 up.
    """

    pool: float = 5.0
    name: str = "chi_square"

    def __post_init__(self) -> None:
        require_pool("ChiSquareDetector", self.pool)

    def detect(self, reference: Distribution, current: Distribution) -> DriftResult | None:
        """Return X2 as statistic and the total variation as effect; None for numbers.

        Raises:
            GridMismatchError: The two were not counted on one grid.
        """
        if not isinstance(current.grid, CategoricalGrid):
            return None
        if not comparable(reference, current):
            return evidence(self.name, reference, current)
        cells = reference.counts, current.counts
        return compare_pooled(
            self.name, reference, current, cells=cells, pool=self.pool, measure=chi_square
        )


def chi_square(reference: NDArray[np.int64], current: NDArray[np.int64]) -> float:
    """Return Pearson's X2 of a 2 by k table without empty columns."""
    n, n_reference = int(current.sum()), int(reference.sum())
    pooled = (reference + current) / (n + n_reference)
    return float(
        ((current - n * pooled) ** 2 / (n * pooled)).sum()
        + ((reference - n_reference * pooled) ** 2 / (n_reference * pooled)).sum()
    )
