"""Whether evidence matters: the lower bound of its effect against the margin."""

from __future__ import annotations

import math
from dataclasses import replace

from mlwatch.detectors.evidence import CONFIDENCE, dkw_halfwidth
from mlwatch.records import DriftPolicy, DriftResult

CALIBRATED_MARGIN, UNCALIBRATED_MARGIN = 0.05, 0.10
"""The share of traffic that may move where nothing else is said."""

_BANDS = ((0.20, "critical"), (0.10, "warning"), (0.05, "notice"))


def smallest_visible(n: int, n_reference: int, alpha: float = CONFIDENCE) -> float:
    """Return the share of traffic that must move to be found with a chance of 90% at level alpha.

    From the limit distribution of the Kolmogorov-Smirnov statistic at n N / (n + N) rows.
    """
    effective = n * n_reference / (n + n_reference)
    return (math.sqrt(math.log(2 / alpha) / 2) + 0.64) / math.sqrt(effective)


def chosen_margin(policy: DriftPolicy, *, calibrated: bool) -> float:
    """Return the margin of a policy, or the default where it names none."""
    if policy.margin is not None:
        return policy.margin
    return CALIBRATED_MARGIN if calibrated else UNCALIBRATED_MARGIN


def judge(
    result: DriftResult,
    policy: DriftPolicy,
    seconds: float,
    *,
    calibrated: bool = False,
    of: str = "rows",
) -> DriftResult:
    """Return the result with a verdict on its size alone.

    Drifted when the lower bound of the effect is above the policy's margin; not enough data with
    too few rows, or while a change of `min_visible` could not be seen; stable otherwise. A
    detector that has judged for itself is taken at its word.

    Args:
        result: The evidence.
        policy: When it becomes a verdict.
        seconds: The time in which its rows came.
        calibrated: Whether it is known what is usual.
        of: What its rows are called.
    """
    if not all(math.isfinite(share or 0.0) for share in (result.effect, result.effect_low)):
        why = "the detector gave an effect that is not a finite number"
        result = replace(result, effect=None, effect_low=None, why=why)
    low = result.effect_low or 0.0
    band = next((name for edge, name in _BANDS if low >= edge), "")
    if result.drifted is not None:
        return replace(result, band=result.band or band)
    if result.effect_low is None or not result.n or not result.n_reference:
        why = result.why or "not enough data: the detector gave no bound of the effect"
        return replace(result, drifted=None, why=why)
    visible = smallest_visible(result.n, result.n_reference)
    if result.n < policy.min_rows or visible > policy.min_visible:
        return replace(result, drifted=None, why=_lacking(result, policy, seconds, of))
    margin = chosen_margin(policy, calibrated=calibrated)
    if result.effect_low > margin or (calibrated and not margin):
        why = f"{result.why}; at least {low:.3f}, above the margin of {margin:g}"
        return replace(result, drifted=True, band=band, why=why if margin else result.why)
    caveats = result.caveats
    reach = margin + dkw_halfwidth(result.n, result.n_reference)
    if reach > policy.min_visible:
        caveats = (*caveats, f"a change below {reach:.2f} may go unseen with these rows")
    return replace(result, drifted=False, band=band, why="", caveats=caveats)


def _lacking(result: DriftResult, policy: DriftPolicy, seconds: float, of: str) -> str:
    needed = (smallest_visible(1, 1) / math.sqrt(2) / policy.min_visible) ** 2
    if needed >= result.n_reference:
        least = math.ceil(needed) + 1
        return (
            f"not enough data: the reference has {result.n_reference} {of} and needs over {least}"
        )
    rows = math.ceil(needed * result.n_reference / (result.n_reference - needed))
    more = max(rows, policy.min_rows) - result.n
    wait = _duration(seconds * more / result.n)
    return f"not enough data: need about {more} more {of} ({wait} at the present rate)"


def _duration(seconds: float) -> str:
    for unit, name in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{math.ceil(seconds)} seconds"
