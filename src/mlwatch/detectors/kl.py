"""The Kullback-Leibler divergence, smoothed and calibrated, from counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlwatch.detectors.evidence import comparable, evidence, total_variation
from mlwatch.errors import ConfigurationError
from mlwatch.profile import Distribution
from mlwatch.records import DriftResult

_FEWEST_CELLS = 2


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
    """

    cells: int = 16
    name: str = "kl"

    def __post_init__(self) -> None:
        if self.cells < _FEWEST_CELLS:
            raise ConfigurationError(f"KLDetector(cells={self.cells!r}): must be at least 2")

    def detect(self, reference: Distribution, current: Distribution) -> DriftResult | None:
        """Return the divergence as statistic and the total variation as effect.

        Raises:
            GridMismatchError: The two were not counted on one grid.
        """
        if not comparable(reference, current):
            return evidence(self.name, reference, current)
        from scipy.special import chdtrc

        r, c = reference.cells(self.cells), current.cells(self.cells)
        used = (r + c) > 0
        r, c = r[used], c[used]
        n, n_reference = int(c.sum()), int(r.sum())
        statistic = divergence(c, r)
        scaled = 2 * n * n_reference / (n + n_reference) * statistic
        effect, effect_low = total_variation(c, r)
        return evidence(
            self.name,
            reference,
            current,
            statistic=statistic,
            effect=effect,
            effect_low=effect_low,
            p_value=float(chdtrc(len(r) - 1, scaled)) if len(r) > 1 else None,
            why=f"{effect:.1%} of the rows moved between {len(r)} cells against the reference",
            caveats=[] if len(r) > 1 else ["all rows of both samples fall into one cell"],
        )


def divergence(current: NDArray[np.int64], reference: NDArray[np.int64]) -> float:
    """Return KL(current || reference) in nats, counts smoothed by 1/2 a cell."""
    p = (current + 0.5) / (current + 0.5).sum()
    q = (reference + 0.5) / (reference + 0.5).sum()
    return max(0.0, float((p * np.log(p / q)).sum()))
