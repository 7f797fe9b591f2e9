"""Pearson's chi-square test of homogeneity, from counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlwatch.detectors.evidence import comparable, evidence, total_variation
from mlwatch.profile import CategoricalGrid, Distribution
from mlwatch.records import DriftResult

_RARE = 5.0
"""Categories with a smaller expected count share one cell."""


@dataclass(frozen=True, slots=True)
class ChiSquareDetector:
    """Compare two distributions of a categorical feature.

    The statistic is Pearson's X2 (1900) over the categories, rare ones pooled by their pooled
    count of both samples; the choice does not look at either sample alone, so the p-value keeps
    its size. Unseen categories are one cell like any other. The effect is the total variation:
    the share of rows that changed category.
    """

    name: str = "chi_square"

    def detect(self, reference: Distribution, current: Distribution) -> DriftResult | None:
        """Return X2 as statistic and the total variation as effect; None for numbers.

        Raises:
            GridMismatchError: The two were not counted on one grid.
        """
        if not isinstance(current.grid, CategoricalGrid):
            return None
        if not comparable(reference, current):
            return evidence(self.name, reference, current)
        from scipy.special import chdtrc

        r, c = reference.counts, current.counts
        used = (r + c) > 0
        r, c = pool_rare(r[used], c[used])
        if len(r) == 1 < used.sum():
            why = "not enough data: too few rows to tell one category from another"
            return evidence(self.name, reference, current, why=why)
        statistic = chi_square(r, c)
        effect, effect_low = total_variation(c, r)
        p_value = float(chdtrc(len(r) - 1, statistic)) if len(r) > 1 else None
        caveats = [] if len(r) > 1 else ["all rows of both samples fall into one cell"]
        return evidence(
            self.name,
            reference,
            current,
            statistic=statistic,
            effect=effect,
            effect_low=effect_low,
            p_value=p_value,
            why=f"{effect:.1%} of the rows changed category against the reference",
            caveats=caveats,
        )


def chi_square(reference: NDArray[np.int64], current: NDArray[np.int64]) -> float:
    """Return Pearson's X2 of a 2 by k table without empty columns."""
    n, n_reference = int(current.sum()), int(reference.sum())
    pooled = (reference + current) / (n + n_reference)
    return float(
        ((current - n * pooled) ** 2 / (n * pooled)).sum()
        + ((reference - n_reference * pooled) ** 2 / (n_reference * pooled)).sum()
    )


def pool_rare(
    reference: NDArray[np.int64], current: NDArray[np.int64], threshold: float = _RARE
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Put cells whose smaller expected count is below `threshold` into one, the last.

    When that one is itself below the threshold, the next smallest cell joins it.
    """
    pooled = reference + current
    n, n_reference = int(current.sum()), int(reference.sum())
    expected = pooled * (min(n, n_reference) / (n + n_reference))
    order = np.argsort(expected, kind="stable")
    rare = int((expected < threshold).sum())
    if rare and expected[order[:rare]].sum() < threshold:
        rare += 1
    if rare <= 1:
        return reference, current
    joined, kept = order[:rare], np.sort(order[rare:])
    return (
        np.append(reference[kept], reference[joined].sum()),
        np.append(current[kept], current[joined].sum()),
    )
