"""The population stability index, smoothed and calibrated, from counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlwatch.detectors.smoothed import Shares, compare_smoothed, require_cells
from mlwatch.profile import Distribution
from mlwatch.records import DriftResult


@dataclass(frozen=True, slots=True)
class PSIDetector:
    """Compare two distributions of any feature by the population stability index.

    PSI = sum of (p - q) log(p / q), symmetric. The familiar limits of 0.1 and 0.25 depend on the
    number of rows in disguise: without any drift a window of 100 rows exceeds 0.1 in a third of
    cases. Here the p-value comes from n N / (n + N) times the index (Yurdakul and Naranjo, 2020),
    `why` says how much of the index is chance, and the effect is the total variation, as in
    `KLDetector`.

    Args:
        cells: As in `KLDetector`; ten is the custom.
        name: The name results go by.

    Raises:
        ConfigurationError: `cells` is below 2.
    """

    cells: int = 10
    name: str = "psi"

    def __post_init__(self) -> None:
        require_cells("PSIDetector", self.cells)

    def detect(self, reference: Distribution, current: Distribution) -> DriftResult | None:
        """Return the index as statistic and the total variation as effect.

        Raises:
            GridMismatchError: The two were not counted on one grid.
        """
        return compare_smoothed(
            self.name, reference, current, cells=self.cells, divergence=stability_index, factor=1
        )


def stability_index(current: Shares, reference: Shares) -> float:
    """Return the population stability index of two lists of shares."""
    return float(((current - reference) * np.log(current / reference)).sum())
