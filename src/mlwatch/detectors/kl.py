"""The Kullback-Leibler divergence, smoothed and calibrated, from counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlwatch.detectors.smoothed import Shares, compare_smoothed, require_cells
from mlwatch.profile import Distribution
from mlwatch.records import DriftResult


@dataclass(frozen=True, slots=True)
class KLDetector:
    """Compare two distributions of any feature by KL(current || reference), in nats.

    Counts are smoothed by Jeffreys' 1/2 a cell, so that no arbitrary epsilon sets the value. Under
    no drift 2 n N / (n + N) times the divergence follows a chi-square distribution with k - 1
    degrees of freedom (Kullback, 1959), which gives the p-value. The effect is the total variation
    over the same cells.

    Args:
        cells: Numeric features are compared on at most this many cells of equal reference mass,
            categorical ones on the most frequent categories; cells empty in both are left out.
        name: The name results go by.

    Raises:
        ConfigurationError: `cells` is below 2.
    """

    cells: int = 16
    name: str = "kl"

    def __post_init__(self) -> None:
        require_cells("KLDetector", self.cells)

    def detect(self, reference: Distribution, current: Distribution) -> DriftResult | None:
        """Return the divergence as statistic and the total variation as effect.

        Raises:
            GridMismatchError: The two were not counted on one grid.
        """
        return compare_smoothed(
            self.name, reference, current, cells=self.cells, divergence=kullback_leibler, factor=2
        )


def kullback_leibler(current: Shares, reference: Shares) -> float:
    """Return KL(current || reference) in nats."""
    return float((current * np.log(current / reference)).sum())
