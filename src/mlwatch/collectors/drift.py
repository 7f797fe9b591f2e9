"""Drift of the features and of the predictions, judged by one policy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from mlwatch._guard import attempt
from mlwatch.detectors.evidence import CONFIDENCE, dkw_halfwidth
from mlwatch.profile import Distribution
from mlwatch.protocols import Detect, DriftDetector, part_name
from mlwatch.records import DriftPolicy, DriftResult, Fault, Metric
from mlwatch.window import Window

PREDICTION = "prediction"
"""The name under which the model's own predictions are compared."""


_BANDS = ((0.20, "critical"), (0.10, "warning"), (0.05, "notice"))


@dataclass(frozen=True)
class DriftCollector:
    """Hand the distributions of reference and window to detectors, and judge what they return.

    Args:
        detectors: Objects with `detect`, or functions `(reference, current) -> DriftResult`.
        policy: When evidence becomes a verdict.
    """

    detectors: Sequence[DriftDetector | Detect]
    policy: DriftPolicy = field(default_factory=DriftPolicy)
    name: str = "drift"

    def collect(self, window: Window) -> Iterator[Metric | DriftResult | Fault]:
        """Return a drift result and a metric a detector, of each feature and the predictions."""
        if window.reference is None:
            return
        results: list[DriftResult] = []
        for reference, current in self._pairs(window):
            for detector in self.detectors:
                item = self._detect(detector, reference, current, window)
                if isinstance(item, Fault):
                    yield item
                elif item is not None:
                    results.append(item)
                    yield item
                    yield _metric(item)
        features = {result.feature for result in results if result.feature != PREDICTION}
        drifted = {result.feature for result in results if result.drifted} - {PREDICTION}
        judged = {result.feature for result in results if result.drifted is not None} - {PREDICTION}
        if features:
            unknown = len(features) - len(judged)
            why = f"not enough data for {unknown} of {len(features)}" if unknown else ""
            value = None if not judged else float(len(drifted))
            yield Metric("drifted_features", value, n=len(judged), why=why)

    def _pairs(self, window: Window) -> Iterator[tuple[Distribution, Distribution]]:
        yield from prediction_pair(window)
        if window.profile is not None and window.reference is not None:
            for name, current in window.profile.distributions.items():
                yield window.reference.distribution(name), current

    def _detect(
        self,
        detector: DriftDetector | Detect,
        reference: Distribution,
        current: Distribution,
        window: Window,
    ) -> DriftResult | Fault | None:
        detect = detector.detect if isinstance(detector, DriftDetector) else detector
        found, fault = attempt(
            f"detector {part_name(detector)}", _asked, detect, reference, current
        )
        if fault is not None:
            return replace(fault, error=f"feature {current.name!r}: {fault.error}")
        return None if found is None else judge(found, self.policy, window.observed_seconds)


def _asked(detect: Detect, reference: Distribution, current: Distribution) -> DriftResult | None:
    found = detect(reference, current)
    if not isinstance(found, DriftResult | None):
        raise TypeError(f"returned a {type(found).__name__}, not a DriftResult or None")
    return found


def prediction_pair(window: Window) -> Iterable[tuple[Distribution, Distribution]]:
    """Return how predictions were spread in the reference and are in the window, if both are known.

    Scores where there are some, otherwise classes.
    """
    if window.reference is None:
        return []
    scoring, past = window.scoring, window.reference.tallies
    if scoring.grid is not None and past.get("score"):
        grid, name = scoring.grid, "score"
        both = [
            Distribution.from_tally(PREDICTION, grid, t) for t in (past[name], window.tally(name))
        ]
    elif past.get("label"):
        labels = scoring.labels_grid(past["label"])
        cells = {str(label): str(cell) for cell, label in enumerate(labels.categories)}
        both = [
            Distribution.from_tally(PREDICTION, labels, {cells[k]: n for k, n in tally.items()})
            for tally in (past["label"], window.tally("label"))
        ]
    else:
        return []
    return [(both[0], both[1])]


def smallest_visible(n: int, n_reference: int, alpha: float = CONFIDENCE) -> float:
    """Return the share of traffic that must move to be found with a chance of 90% at level alpha.

    From the limit distribution of the Kolmogorov-Smirnov statistic at n N / (n + N) rows.
    """
    effective = n * n_reference / (n + n_reference)
    return (math.sqrt(math.log(2 / alpha) / 2) + 0.64) / math.sqrt(effective)


def judge(result: DriftResult, policy: DriftPolicy, seconds: float) -> DriftResult:
    """Return the result with a verdict.

    Drifted when the lower bound of the effect is above the policy's margin; not enough data with
    too few rows, or while a change of `min_visible` could not be seen; stable otherwise. A
    detector that has judged for itself is taken at its word.
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
        return replace(result, drifted=None, why=_lacking(result, policy, seconds))
    if result.effect_low > policy.margin:
        why = f"{result.why}; at least {low:.3f}, above the margin of {policy.margin:g}"
        return replace(result, drifted=True, band=band, why=why)
    caveats = result.caveats
    reach = policy.margin + dkw_halfwidth(result.n, result.n_reference)
    if reach > policy.min_visible:
        caveats = (*caveats, f"a change below {reach:.2f} may go unseen with these rows")
    return replace(result, drifted=False, band=band, why="", caveats=caveats)


def _lacking(result: DriftResult, policy: DriftPolicy, seconds: float) -> str:
    needed = (smallest_visible(1, 1) / math.sqrt(2) / policy.min_visible) ** 2
    if needed >= result.n_reference:
        least = math.ceil(needed) + 1
        return (
            f"not enough data: the reference has {result.n_reference} rows and needs over {least}"
        )
    rows = math.ceil(needed * result.n_reference / (result.n_reference - needed))
    more = max(rows, policy.min_rows) - result.n
    wait = _duration(seconds * more / result.n)
    return f"not enough data: need about {more} more rows ({wait} at the present rate)"


def _duration(seconds: float) -> str:
    for unit, name in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{math.ceil(seconds)} seconds"


def _metric(result: DriftResult) -> Metric:
    of_prediction = result.feature == PREDICTION
    labels = {"detector": result.detector}
    return Metric(
        "prediction_drift" if of_prediction else "drift",
        result.effect if result.drifted is not None else None,
        low=result.effect_low,
        high=None,
        n=result.n,
        labels=labels if of_prediction else {"feature": result.feature, **labels},
        verdict=result.verdict,
        why=result.why,
    )
