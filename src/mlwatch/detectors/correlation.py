"""A change in how numeric features go together, from sums of rank codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mlwatch.detectors.evidence import CONFIDENCE
from mlwatch.profile import Profile
from mlwatch.profile.codes import CELLS
from mlwatch.records import DriftResult

FEATURE = "correlations"
"""The name under which all pairs are judged together."""

_FEWEST_ROWS = 50

_LARGEST = 0.99
"""Correlations beyond count as this one: Fisher's formula does not hold there, and one odd row
among rows that all agree would decide."""

_FEWEST_EXPECTED = 5.0
"""Pairs expected to leave their most frequent cells together fewer times are left out."""

_VARIANCE = 1.06
"""Of a rank correlation's atanh, times n - 3 (Fieller, Hartley and Pearson, 1957)."""

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CorrelationDetector:
    """Compare the rank correlations of all pairs of numeric features.

    Each feature by itself may look as ever while what lies between them has changed: a feature
    decoupled from the others, or with its sign turned. The statistic is the largest |z| of the
    differences of atanh(r) (Fisher, 1921) over all pairs, with the variance of rank correlations
    by Fieller, Hartley and Pearson (1957); the p-value is that of it by Bonferroni's inequality
    over the pairs. The effect is half the difference of the two correlations, from 0 to 1, of
    the pair with the largest lower bound of it.

    The bound comes from Fisher's intervals. Unlike those of other detectors it is asymptotic, not
    rigorous: it assumes independent rows, and ranks that go together much as normal ones do.
    Pairs are left out where a feature hardly leaves its most frequent cell.
    """

    joint: ClassVar[bool] = True
    name: str = "correlation"

    def detect(self, reference: Profile, current: Profile) -> DriftResult | None:
        """Return the largest |z| as statistic, of all pairs in one result.

        Raises:
            GridMismatchError: The two were not counted on the grids of one reference.
        """
        lacking = _lacking(reference, current)
        if lacking:
            return self._result(reference, current, why=f"not enough data: {lacking}")
        sides = [side.codes.correlations() for side in (reference, current)]
        pairs = _usable(reference + current, sides)
        if not len(pairs):
            why = "not enough data: no pair of features varies enough over these rows"
            return self._result(reference, current, why=why)
        at = tuple(pairs.T)
        (past, n_past), (now, n_now) = ((r[at], n[at]) for r, n in sides)
        z, low = _compared(past, n_past, now, n_now)
        worst = int(np.lexsort((z, low))[-1])
        first, second = (reference.codes.features[i] for i in pairs[worst])
        return self._result(
            reference,
            current,
            statistic=float(z.max()),
            effect=abs(float(now[worst] - past[worst])) / 2,
            effect_low=float(low[worst]),
            p_value=_bonferroni(float(z.max()), len(pairs)),
            why=f"{first} and {second}: {past[worst]:.2f} in the reference, {now[worst]:.2f} now",
        )

    def _result(self, reference: Profile, current: Profile, **found: Any) -> DriftResult:
        """Return a result; values that stand apart are those of all features with codes."""
        seen = [current.distribution(name) for name in current.codes.features]
        given = {"statistic": None, "effect": None, "effect_low": None, "p_value": None} | found
        return DriftResult(
            feature=FEATURE,
            detector=self.name,
            n=current.codes.rows,
            n_reference=reference.codes.rows,
            missing=sum(each.absent for each in seen),
            infinite=sum(each.infinite for each in seen),
            wrong_kind=sum(each.wrong_kind for each in seen),
            **given,
        )


def _lacking(reference: Profile, current: Profile) -> str:
    """Return what is lacking for a comparison, or nothing.

    Raises:
        GridMismatchError: The two were not counted on the grids of one reference.
    """
    _ = reference + current
    features = (reference.codes + current.codes).features
    if len(features) < 2:
        return f"correlations need two numeric features, and there is {len(features) or 'none'}"
    for side, profile in (("reference", reference), ("window", current)):
        rows = profile.codes.rows
        if rows < _FEWEST_ROWS:
            made = f" counted one by one, of {profile.rows:,}" if profile.rows > rows else ""
            return f"the {side} has {rows:,} rows{made}, and correlations need {_FEWEST_ROWS}"
    return ""


def _usable(both: Profile, sides: Sequence[tuple[Floats, Counts]]) -> NDArray[np.intp]:
    """Return the pairs that can be compared, shape (pairs, 2).

    Both features vary in both samples, over enough rows that hold the two, and are expected to
    leave their most frequent cells together often enough: below that, one row decides, as with
    two features that are nearly always 0. The rule looks at both samples together.

    Args:
        both: The two samples in one.
        sides: The correlations of each sample, and of how many rows.
    """
    cells = [both.distribution(name).cells(CELLS) for name in both.codes.features]
    moving = np.array([1 - part.max() / max(1, part.sum()) for part in cells])
    usable = np.ones((len(moving), len(moving)), np.bool_)
    for r, n in sides:
        often = n * np.outer(moving, moving) >= _FEWEST_EXPECTED
        usable &= np.isfinite(r) & (n >= _FEWEST_ROWS) & often
    return np.argwhere(np.triu(usable, 1))


def _compared(past: Floats, n_past: Counts, now: Floats, n_now: Counts) -> tuple[Floats, Floats]:
    """Return |z| of each pair, and a lower bound of half the difference of its correlations.

    Each of the two intervals of each pair has its share of `CONFIDENCE`.
    """
    from scipy.special import ndtri

    before, after = (np.arctanh(np.clip(r, -_LARGEST, _LARGEST)) for r in (past, now))
    error, error_now = (np.sqrt(_VARIANCE / (n - 3)) for n in (n_past, n_now))
    z = np.abs(after - before) / np.hypot(error, error_now)
    reach = -float(ndtri(CONFIDENCE / (4 * len(past))))
    below, above = np.minimum(before, after), np.maximum(before, after)
    is_swapped = after < before
    half_below = reach * np.where(is_swapped, error_now, error)
    half_above = reach * np.where(is_swapped, error, error_now)
    gap = np.tanh(above - half_above) - np.tanh(below + half_below)
    return z, np.maximum(0.0, gap / 2)


def _bonferroni(z: float, pairs: int) -> float:
    from scipy.special import ndtr

    return min(1.0, 2 * pairs * float(ndtr(-z)))
