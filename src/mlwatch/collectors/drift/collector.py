"""Two questions to every feature: is it unusual for this service, and does it matter?"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mlwatch.collectors.drift import episodes, unusual
from mlwatch.collectors.drift.comparison import AnyDetector, ask, pairs_of, spans
from mlwatch.collectors.drift.course import Course
from mlwatch.collectors.drift.unusual import Seen, Subject
from mlwatch.protocols import Item
from mlwatch.records import DriftPolicy, DriftResult, Fault, Memory, Metric
from mlwatch.records.table import worst_first
from mlwatch.records.words import listed
from mlwatch.reference import Reference
from mlwatch.sequential.baseline import FEWEST_DAYS
from mlwatch.training import PREDICTION
from mlwatch.window import Window

_UNEVEN = 0.02


@dataclass(frozen=True)
class DriftCollector:
    """Hand the distributions of reference and windows to detectors, and judge what they return.

    A feature has drifted when it is unusual for this service (the watch says so, within the alarm
    budget) and the lower bound of its effect is above the margin. Drift opens an episode; while
    one is open the verdict is "drifted", and it closes when the effect has stayed below half of
    the margin for a day: in all spans or, once no day has been unusual for a week, in the longest.

    Args:
        detectors: Objects with `detect`, or functions `(reference, current) -> DriftResult`; a
            joint one is asked about all features together.
        policy: When evidence becomes a verdict.
    """

    detectors: Sequence[AnyDetector]
    policy: DriftPolicy = field(default_factory=DriftPolicy)
    name: str = "drift"

    def collect(self, window: Window) -> Iterator[Item]:
        """Return a drift result and a metric a detector, of each feature and the predictions."""
        if window.reference is None:
            return
        subject = Subject(window.reference, self.policy)
        seen = unusual.look(window, subject)
        known = unusual.remembered(window.memory, subject.reference)
        open_before = episodes.from_plain(known.get("episodes", {}))
        course = Course(window, seen, self.policy, open_before)
        results: list[DriftResult] = []
        sampled = _sampled(window)
        for judged in self._judged(window, course):
            item = judged
            if sampled and isinstance(item, DriftResult):
                item = replace(item, caveats=(*item.caveats, sampled))
            yield item
            if isinstance(item, DriftResult):
                results.append(item)
                yield _metric(item)
        yield from _summary(results, window.reference.features)
        yield from _calibration(seen, subject.reference, self.policy)
        body = unusual.to_plain(seen, subject)
        yield Memory(body | {"episodes": episodes.to_plain(course.episodes)}, tuple(seen.panes))

    def _judged(self, window: Window, course: Course) -> Iterator[DriftResult | Fault]:
        views = [window.last(span) for span in spans(self.policy, window)]
        joint = [it for it in self.detectors if getattr(it, "joint", False)]
        single = [it for it in self.detectors if it not in joint]
        for pairs in zip(*map(pairs_of, views), strict=True):
            for detector in single:
                yield from _asked(detector, views, pairs, course)
        wholes = [(view.reference.profile, view.profile) for view in views if view.reference]
        for detector in joint:
            yield from _asked(detector, views, wholes, course)


def _asked(
    detector: AnyDetector, views: Sequence[Window], pairs: Sequence[Any], course: Course
) -> Iterator[DriftResult | Fault]:
    """Return what comes of asking a detector about one thing in every view of it."""
    found = [
        (ask(detector, reference, current, view), view)
        for view, (reference, current) in zip(views, pairs, strict=True)
    ]
    faults = [item for item, _ in found if isinstance(item, Fault)]
    results = [(item, view) for item, view in found if isinstance(item, DriftResult)]
    if faults:
        yield faults[0]
    elif results:
        yield course.judge(results, detector)


def _sampled(window: Window) -> str:
    """Return a caveat where panes hold different shares of their traffic, or ""."""
    least, most = window.kept_shares
    if most - least < _UNEVEN:
        return ""
    return (
        f"memory was full: panes hold from {least:.0%} to {most:.0%} of their traffic, so busy "
        "times weigh less"
    )


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


def _summary(results: Iterable[DriftResult], names: Collection[str]) -> Iterator[Metric]:
    """Return how many features have drifted, and which; the largest bound of an effect; no mean."""
    judged = [result for result in results if result.drifted is not None]
    features = {result.feature for result in results}.intersection(names)
    known = {result.feature for result in judged}.intersection(names)
    if features:
        drifted = [name for name in worst_first(judged) if name in features]
        unknown = len(features) - len(known)
        lacking = f"not enough data for {unknown} of {len(features)}" if unknown else ""
        why = "; ".join(filter(None, (listed(drifted), lacking)))
        value = float(len(drifted)) if known else None
        yield Metric("drifted_features", value, n=len(known), why=why)
    worst = max(judged, key=lambda result: result.effect_low or 0.0, default=None)
    if worst is not None and worst.effect is not None:
        low = worst.effect_low or 0.0
        known_as = f"{worst.feature} ({worst.detector}){'' if worst.drifted else ', stable'}"
        why = known_as if low else "no effect is certain"
        yield Metric("worst_drift", low, n=worst.n, why=why)


def _calibration(seen: Seen, reference: Reference, policy: DriftPolicy) -> Iterator[Metric]:
    """Return on how many days the verdicts rest, and what these would have alarmed."""
    if policy.assume_iid:
        return
    given = set() if reference.history is None else set(reference.history.days)
    known = max(seen.watch.known_days, len(given))
    days = max((it.days for it in seen.watch.baselines.values()), default=known)
    lacking = f"uncalibrated: {days} of {FEWEST_DAYS} days" if not seen.watch.baselines else ""
    yield Metric("calibration_days", float(days), n=days, why=lacking)
    if seen.backtest.days:
        yield Metric(
            "backtest_alarms",
            float(seen.backtest.alarms),
            n=seen.backtest.days,
            why=str(seen.backtest),
        )
