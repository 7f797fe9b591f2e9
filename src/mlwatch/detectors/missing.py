"""A change in the share of values that cannot be used, from counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mlwatch.detectors.chi_square import chi_square
from mlwatch.detectors.evidence import evidence, total_variation
from mlwatch.profile import Distribution
from mlwatch.records import DriftResult


@dataclass(frozen=True, slots=True)
class MissingDetector:
    """Compare the share of rows in which a feature is missing, NaN or of a wrong kind.

    The other detectors compare the values that are there; this one sees a column that breaks, is
    renamed or changes its type. The statistic and the effect are the difference of the two
    shares, the p-value is Pearson's for the two by two table. Its `n` counts rows, not values.
    """

    name: str = "missing"
    group: ClassVar[str] = "absent"

    def detect(self, reference: Distribution, current: Distribution) -> DriftResult | None:
        """Return the difference of the shares as statistic and effect.

        Raises:
            GridMismatchError: The two were not counted on one grid.
        """
        _ = reference + current
        if not (reference.total and current.total):
            return evidence(self.name, reference, current)
        from scipy.special import chdtrc

        r, c = (np.array([side.n, side.total - side.n]) for side in (reference, current))
        effect, effect_low = total_variation(c, r)
        varies = bool(((r + c) > 0).all())
        return evidence(
            self.name,
            reference,
            current,
            rows=True,
            statistic=effect,
            effect=effect,
            effect_low=effect_low,
            p_value=float(chdtrc(1, chi_square(r, c))) if varies else None,
            why=f"{c[1] / current.total:.1%} of the values are missing or of a wrong kind, "
            f"{r[1] / reference.total:.1%} in the reference",
        )
