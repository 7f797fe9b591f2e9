"""More categories that were never seen than the reference lets expect, from counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mlwatch.detectors.evidence import CONFIDENCE, comparable, evidence, share_bounds
from mlwatch.profile import CategoricalGrid, Distribution
from mlwatch.records import DriftResult


@dataclass(frozen=True, slots=True)
class NoveltyDetector:
    """Ask whether a window holds more values outside the vocabulary than are to be expected.

    Where there are many rare categories, fresh rows hold some that the reference never had,
    without any drift. How many follows from how many it had just once, or just often enough: the
    estimate of Good and Turing (Good, 1953), kept with the grid. The test is one-sided: given
    the unseen values of both sides together, how likely so many of them fall to the window, by
    the binomial distribution, which lies above the hypergeometric one. Rows of the reference
    count by the variance of the estimate (Esty, 1983), which is larger than that of a count.

    The effect is the share of rows that are unseen beyond what was expected. Its bound, from the
    exact interval of each share, is rigorous but for the estimate, which takes the place of counts
    of so many fresh rows.
    """

    name: str = "novelty"
    group: ClassVar[str] = "unseen"

    def detect(self, reference: Distribution, current: Distribution) -> DriftResult | None:
        """Return the share of unseen values as statistic; None for numbers.

        Raises:
            GridMismatchError: The two were not counted on one grid.
        """
        if not isinstance(current.grid, CategoricalGrid):
            return None
        if not comparable(reference, current):
            return evidence(self.name, reference, current)
        share, (expected, n_reference) = current.unseen / current.n, expected_unseen(reference)
        usual = expected / n_reference
        at_least, _ = share_bounds(current.unseen, current.n, CONFIDENCE / 2)
        _, at_most = share_bounds(expected, n_reference, CONFIDENCE / 2)
        return evidence(
            self.name,
            reference,
            current,
            statistic=share,
            effect=max(0.0, share - usual),
            effect_low=max(0.0, at_least - at_most),
            p_value=excess(current.unseen, current.n, expected, n_reference),
            why=f"{share:.1%} of the values are outside the reference's vocabulary, "
            f"{usual:.1%} were to be expected",
        )


def expected_unseen(reference: Distribution) -> tuple[float, float]:
    """Return how many of how many reference rows stand for those expected to be unseen.

    A distribution of other rows than those that chose the vocabulary says so by itself.
    """
    outside = getattr(reference.grid, "outside", None)
    is_own = np.array_equal(reference.counts, reference.grid.mass)
    if not is_own or outside is None or not outside[0]:
        return reference.unseen, reference.n
    rows, variance = outside
    return rows**2 / variance, reference.n * rows / variance


def excess(unseen: int, n: int, expected: float, n_reference: float) -> float:
    """Return how likely so many unseen values of n are, when as many are expected of n_reference.

    The conditional binomial test (Przyborowski and Wilenski, 1940), one-sided.
    """
    from scipy.special import betainc

    return float(betainc(unseen, expected + 1, n / (n + n_reference))) if unseen else 1.0
