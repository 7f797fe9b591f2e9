"""Outcomes that are numbers: their mean, and the mean of the errors."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mlwatch.collectors.concept.classes import OUTCOMES, RELATION
from mlwatch.detectors.evidence import CONFIDENCE
from mlwatch.records import DriftResult, Tally
from mlwatch.reference import Reference
from mlwatch.scoring import FIXED

_AS_SHARE = "a shift of means, as the share of rows that it moves in a normal distribution"


@dataclass(frozen=True, slots=True)
class Shift:
    """A change of a mean against the reference.

    Args:
        means: That of the reference and that of the window.
        effect: The change in standard deviations of the reference, as the share of rows that it
            moves in a normal distribution: 2 Phi(d / 2) - 1.
        effect_low: A lower bound of it.
        p_value: Of no change, by the central limit theorem.
    """

    means: tuple[float, float]
    effect: float
    effect_low: float
    p_value: float


def compare_outcomes(reference: Reference, tally: Tally) -> DriftResult:
    """Return whether the mean of the outcomes is that of the reference."""
    past = reference.tallies.get("residual", {})
    found = shift(past, tally, "y", "y2", tests=1)
    blank = _blank(OUTCOMES, "mean", past, tally)
    if found is None:
        return blank
    scoring = reference.scoring
    before, now = (mean * scoring.scale + scoring.center for mean in found.means)
    why = f"the mean outcome is {now:.4g}, {before:.4g} on the reference"
    return _filled(blank, found, found.p_value, why, scoring.scale)


def compare_relation(reference: Reference, tally: Tally) -> DriftResult:
    """Return whether errors are, on balance and in size, as large as on the reference."""
    past = reference.tallies.get("residual", {})
    blank = _blank(RELATION, "errors", past, tally)
    balance, size = (shift(past, tally, name, "e2", tests=2) for name in ("e", "abs"))
    if balance is None or size is None:
        return blank
    scale = reference.scoring.scale
    bias, mae = ([mean * scale for mean in found.means] for found in (balance, size))
    why = (
        f"the mean error is {bias[1]:.4g}, {bias[0]:.4g} on the reference; the mean absolute "
        f"error {mae[1]:.4g}, {mae[0]:.4g} there"
    )
    larger = max(balance, size, key=lambda found: (found.effect_low, found.effect))
    p_value = min(1.0, 2 * min(balance.p_value, size.p_value))
    return _filled(blank, larger, p_value, why, scale)


def shift(past: Tally, now: Tally, name: str, squares: str, *, tests: int) -> Shift | None:
    """Return the change of a mean from sums and sums of squares; None where it is undefined.

    Args:
        past: The sums of the reference.
        now: Those of the window.
        name: The sum.
        squares: The sum of its squares.
        tests: So many share the confidence of the bound.
    """
    from scipy.special import ndtr, ndtri

    n, n_reference = now.get("n", 0), past.get("n", 0)
    if min(n, n_reference) < 2:
        return None
    before, spread = _moments(past, name, squares)
    mean, variance = _moments(now, name, squares)
    if not spread:
        return None
    change = abs(mean - before)
    error = math.sqrt(variance / n + spread / n_reference)
    low = max(0.0, change - float(-ndtri(CONFIDENCE / 2 / tests)) * error)
    shares = (2 * float(ndtr(part / math.sqrt(spread) / 2)) - 1 for part in (change, low))
    effect, effect_low = shares
    return Shift((before, mean), effect, effect_low, 2 * float(ndtr(-change / error)))


def _moments(tally: Tally, name: str, squares: str) -> tuple[float, float]:
    """Return a mean and a variance, 0 where it is what rounding can make.

    That of the sums, and that of float64 in each of the squares.
    """
    n = tally["n"]
    total, square = tally.get(name, 0) / FIXED, tally.get(squares, 0) / FIXED
    variance = (square - total**2 / n) / (n - 1)
    rounding = (1 + 2 * abs(total / n)) / FIXED + 2.0**-50 * square / n
    return total / n, variance if variance > rounding else 0.0


def _blank(feature: str, detector: str, past: Tally, now: Tally) -> DriftResult:
    n, n_reference = now.get("n", 0), past.get("n", 0)
    why = "undefined: on the reference it is always the same"
    if n < 2:
        why = f"not enough data: {n} of 2 known outcomes"
    return DriftResult(feature, detector, None, None, None, None, n, n_reference, why=why)


def _filled(
    blank: DriftResult, found: Shift, p_value: float, why: str, scale: float
) -> DriftResult:
    return DriftResult(
        blank.feature,
        blank.detector,
        statistic=(found.means[1] - found.means[0]) * scale,
        effect=found.effect,
        effect_low=found.effect_low,
        p_value=p_value,
        n=blank.n,
        n_reference=blank.n_reference,
        caveats=(_AS_SHARE,),
        why=why,
    )
