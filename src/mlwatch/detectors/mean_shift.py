"""A shift of the mean or of the standard deviation, from counts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from mlwatch.detectors.evidence import comparable, evidence
from mlwatch.detectors.ks import distance
from mlwatch.detectors.moments import Moments, standardised
from mlwatch.errors import ConfigurationError
from mlwatch.profile import Distribution, NumericGrid
from mlwatch.records import DriftResult

Moment = Literal["mean", "std"]


@dataclass(frozen=True, slots=True)
class MeanShiftDetector:
    """Compare the mean, or the standard deviation, of a numeric feature with the reference's.

    The statistic is |mean - mean of the reference| / standard deviation of the reference, with the
    p-value of Welch's t test (1947), or |log of the ratio of the standard deviations|, which has
    none: its spread depends on a kurtosis that counts do not hold well. A mean is blind to every
    change that leaves it where it is, a spread that doubles or a column that splits in two; a
    standard deviation is blind to every shift. A row between two points of the grid stands at
    their middle, one beyond the range of the reference at its end. The verdict is not read from
    the statistic: the effect is D of the Kolmogorov-Smirnov test, so that one margin fits all
    detectors, and D is not blind. Infinities take part in D alone.

    Args:
        of: "mean" or "std".
        name: The name results go by; "mean_shift" or "std_shift" when not given.

    Raises:
        ConfigurationError: `of` is neither.
    """

    of: Moment = "mean"
    name: str = ""

    def __post_init__(self) -> None:
        if self.of not in get_args(Moment):
            raise ConfigurationError(f'MeanShiftDetector(of={self.of!r}): must be "mean" or "std"')
        object.__setattr__(self, "name", self.name or f"{self.of}_shift")

    def detect(self, reference: Distribution, current: Distribution) -> DriftResult | None:
        """Return the shift as statistic and D as effect; None for a categorical feature.

        Raises:
            GridMismatchError: The two were not counted on one grid.
        """
        if not isinstance(current.grid, NumericGrid):
            return None
        if not comparable(reference, current):
            return evidence(self.name, reference, current)
        effect, effect_low = distance(reference, current)
        statistic, p_value, why = self._shift(reference, current)
        in_gaps = bool((reference.weights + current.weights)[::2].any())
        middles = "rows between the points of the grid are taken to be at the middle"
        return evidence(
            self.name,
            reference,
            current,
            statistic=statistic,
            effect=effect,
            effect_low=effect_low,
            p_value=p_value,
            why=f"{why}; the share of rows up to some value differs by {effect:.3f}",
            caveats=[middles] if in_gaps else [],
        )

    def _shift(
        self, reference: Distribution, current: Distribution
    ) -> tuple[float | None, float | None, str]:
        found = standardised(reference, current)
        if isinstance(found, str):
            return None, None, f"the shift is {found}"
        _, past, present = found
        if self.of == "mean":
            why = f"the mean moved by {present.mean - past.mean:+.3f} standard deviations"
            return abs(present.mean - past.mean), welch(past, present), why
        if not present.sd:
            return None, None, "the shift is undefined: the window holds one value only"
        ratio = present.sd / past.sd
        why = f"the standard deviation is {ratio:.3f} times that of the reference"
        return abs(math.log(ratio)), None, why


def welch(reference: Moments, current: Moments) -> float | None:
    """Return the two-sided p-value of Welch's t test; None where one side is a single row."""
    if min(reference.n, current.n) < 2:
        return None
    from scipy.stats import ttest_ind_from_stats

    sides = (current.mean, current.sd, current.n, reference.mean, reference.sd, reference.n)
    return float(ttest_ind_from_stats(*sides, equal_var=False).pvalue)
