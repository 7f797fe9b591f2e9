"""The Jensen-Shannon divergence, smoothed and calibrated, from counts."""

from __future__ import annotations

from dataclasses import dataclass

from mlwatch.detectors.kl import kullback_leibler
from mlwatch.detectors.smoothed import Shares, compare_smoothed, require_cells
from mlwatch.profile import Distribution
from mlwatch.records import DriftResult


@dataclass(frozen=True, slots=True)
class JSDetector:
    """Compare two distributions of any feature by their Jensen-Shannon divergence, in nats.

    The mean divergence of the two from their average (Lin, 1991): symmetric, between 0 and log 2.
    Smoothing, calibration (8 n N / (n + N) times the divergence) and effect are those of
    `KLDetector`.

    Args:
        cells: As in `KLDetector`.
        name: The name results go by.

    Raises:
        ConfigurationError: `cells` is below 2.
    """

    cells: int = 16
    name: str = "js"

    def __post_init__(self) -> None:
        require_cells("JSDetector", self.cells)

    def detect(self, reference: Distribution, current: Distribution) -> DriftResult | None:
        """Return the divergence as statistic and the total variation as effect.

        Raises:
            GridMismatchError: The two were not counted on one grid.
        """
        return compare_smoothed(
            self.name, reference, current, cells=self.cells, divergence=jensen_shannon, factor=8
        )


def jensen_shannon(current: Shares, reference: Shares) -> float:
    """Return the Jensen-Shannon divergence of two lists of shares in nats."""
    middle = (current + reference) / 2
    return (kullback_leibler(current, middle) + kullback_leibler(reference, middle)) / 2
