"""What is compared with what, and what a detector says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from mlwatch._guard import attempt
from mlwatch.profile import Distribution
from mlwatch.protocols import Detect, DriftDetector, JointDetector, part_name
from mlwatch.records import DriftPolicy, DriftResult, Fault
from mlwatch.window import Window

_DAY, _WEEK = timedelta(days=1), timedelta(days=7)

Pair = tuple[Distribution, Distribution]

AnyDetector = DriftDetector | JointDetector | Detect


def spans(policy: DriftPolicy, window: Window) -> list[timedelta]:
    """Return the spans that are compared with the reference, the shortest first.

    A day and a week, unless the policy says otherwise: in a shorter span the hours of a day, or a
    few long sessions, look like drift. A window that is longer stands in their place.
    """
    if policy.windows is not None:
        return sorted(set(policy.windows))
    own = window.until - window.since
    return sorted({max(own, _DAY), max(own, _WEEK)})


def part_of(window: Window, since: datetime, until: datetime) -> Window:
    """Return the traffic of a span that ends before the window does."""
    reaching = window.last(window.until - since)
    panes = tuple(pane for pane in reaching.panes_ if since <= pane.time < until)
    return replace(reaching, since=since, until=until, panes_=panes)


def pairs_of(window: Window) -> Iterator[Pair]:
    """Return how each feature, and first the predictions, were and are spread."""
    reference, profile = window.reference, window.profile
    if reference is None or profile is None:
        return
    served = reference.count_predictions(window.tallies)
    if reference.predictions is not None and served is not None:
        yield reference.predictions, served
    for name, current in profile.distributions.items():
        yield reference.distribution(name), current


def ask(
    detector: AnyDetector, reference: Any, current: Any, view: Window
) -> DriftResult | Fault | None:
    """Return what a detector says of one feature, or of a whole profile, in one window."""
    detect = getattr(detector, "detect", detector)
    part = f"detector {part_name(detector)}"
    found, fault = attempt(part, _answer, detect, reference, current)
    if fault is not None:
        subject = f"feature {current.name!r}" if isinstance(current, Distribution) else "profile"
        return replace(fault, error=f"{subject}: {fault.error}")
    return None if found is None else replace(found, since=view.since, time=view.until)


def _answer(detect: Callable[[Any, Any], Any], reference: Any, current: Any) -> DriftResult | None:
    found = detect(reference, current)
    if not isinstance(found, DriftResult | None):
        raise TypeError(f"returned a {type(found).__name__}, not a DriftResult or None")
    return found
