"""The Hellinger distance, smoothed and calibrated, from counts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mlwatch.detectors.smoothed import Shares, compare_smoothed, require_cells
from mlwatch.profile import Distribution
from mlwatch.records import DriftResult


@dataclass(frozen=True, slots=True)
class HellingerDetector:
    """Compare two distributions of any feature by their Hellinger distance H, from 0 to 1.

    H^2 is half the sum of (sqrt p - sqrt q)^2. Smoothing, calibration (8 n N / (n + N) times H^2)
    and effect are those of `KLDetector`.

    Args:
        cells: As in `KLDetector`.
        name: The name results go by.

    Raises:
        ConfigurationError: `cells` is below 2.
    """

    cells: int = 16
    name: str = "hellinger"

    def __post_init__(self) -> None:
        require_cells("HellingerDetector", self.cells)

    def detect(self, reference: Distribution, current: Distribution) -> DriftResult | None:
        """Return H as statistic and the total variation as effect.

        Raises:
            GridMismatchError: The two were not counted on one grid.
        """
        return compare_smoothed(
            self.name,
            reference,
            current,
            cells=self.cells,
            divergence=squared_hellinger,
            factor=8,
            shown=math.sqrt,
        )


def squared_hellinger(current: Shares, reference: Shares) -> float:
    """Return the square of the Hellinger distance of two lists of shares."""
    return float(((np.sqrt(current) - np.sqrt(reference)) ** 2).sum() / 2)
