"""Which past days have new labels, and what is remembered of how late labels come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from mlwatch.collectors.performance.delays import Delays, chosen, delays_in
from mlwatch.records import Tallies
from mlwatch.spans import DAY, GRACE, HOUR, KEPT, floor
from mlwatch.window import DELAY, Window

WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Past:
    """What is remembered from cycle to cycle.

    Args:
        cursor: The labels that arrived before this are in the figures of their days.
        first: When there was traffic first, as far as is known.
        settled: The days that ended by then were mature when they were last looked at.
        delays: Of the last labels that tell how late they come.
    """

    cursor: datetime | None = None
    first: datetime | None = None
    settled: datetime | None = None
    delays: Tallies = field(default_factory=dict)

    @classmethod
    def recall(cls, body: Mapping[str, Any]) -> Past:
        """Return what was remembered; at first nothing."""
        times = {name: body.get(name) for name in ("cursor", "first", "settled")}
        read = {name: it and datetime.fromisoformat(it) for name, it in times.items()}
        return cls(**read, delays=body.get("delays", {}))

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        times = {name: getattr(self, name) for name in ("cursor", "first", "settled")}
        plain = {name: it and it.isoformat() for name, it in times.items()}
        return plain | {"delays": {name: dict(it) for name, it in self.delays.items()}}


@dataclass(frozen=True, slots=True)
class Look:
    """What a cycle sees of the past.

    Args:
        past: What is to be remembered.
        delays: How late labels come.
        days: The days whose figures are to be written, by their start.
    """

    past: Past
    delays: Delays
    days: tuple[datetime, ...] = ()


def look(window: Window, before: Past) -> Look:
    """Take in the labels that arrived in hours that were closed since the last cycle.

    A day is due when it has closed, when labels of it have come or have changed, and when by the
    time that labels take they all have come. It does not matter how often this is asked: each
    closed hour is taken in once, or as a part of the day that it has become.
    """
    closed = floor(window.until - GRACE, HOUR)
    recent = window.last(max(window.until - window.since, WEEK))
    if before.cursor is not None and closed <= before.cursor:
        if before.cursor > window.until:  # by a clock that ran ahead: what comes now is to be seen
            before = replace(before, cursor=closed)
        return Look(before, _delays(chosen(delays_in(recent), before.delays), before, window))
    oldest = floor(window.until - KEPT, DAY)
    begin = oldest if before.cursor is None else max(oldest, before.cursor)
    view = window.last(max(window.until - begin, HOUR))
    late = {day for day in _late_days(view, closed) if oldest <= day}
    seen = (before.first, _first_traffic(view), *late)
    first = min((it for it in seen if it is not None), default=None)
    found = chosen(delays_in(recent), delays_in(view), before.delays)
    past = replace(before, cursor=closed, first=first, delays=found)
    delays = _delays(found, past, window)
    if delays.lag is not None:
        settled = floor(closed - delays.lag, DAY)
        past = replace(past, settled=max(settled, before.settled or settled))
    days = late | set(_ended(before, past, oldest))
    return Look(past, delays, tuple(sorted(day for day in days if day + DAY <= closed)))


def delays_of_week(window: Window) -> Delays:
    """Return how late labels come as the last week alone tells, for who remembers nothing."""
    recent = window.last(max(window.until - window.since, WEEK))
    return _delays(delays_in(recent), Past(), recent)


def _delays(found: Tallies, past: Past, window: Window) -> Delays:
    """Return how late labels come, and how late they could have been."""
    first = past.first or _first_traffic(window) or window.until
    seen = window.until - first
    return Delays(found, seen - min(WEEK, seen / 2), _usual(found, window))


def _usual(found: Tallies, window: Window) -> dict[str, float]:
    """Return the shares of the reference's outcomes; none where delays are not told by class."""
    known = {} if window.reference is None else window.reference.tallies.get("outcome", {})
    if DELAY in found or not known:
        return {}
    total = sum(known.values())
    return {f"{DELAY}/{name}": count / total for name, count in known.items()}


def _first_traffic(window: Window) -> datetime | None:
    return min((pane.time for pane in window.panes_ if "rows" in pane.tallies), default=None)


def _late_days(view: Window, closed: datetime) -> set[datetime]:
    """Return the past days that labels came for in hours that are closed."""
    return {
        datetime.fromisoformat(day).replace(tzinfo=UTC)
        for pane in view.panes_
        if pane.time < closed
        for day in pane.tallies.get("late", ())
    }


def _ended(before: Past, past: Past, oldest: datetime) -> Iterator[datetime]:
    """Return the days with traffic that have ended, or become mature, since the last cycle."""
    assert past.cursor is not None
    day = max(oldest, floor(past.first or past.cursor, DAY))
    while (end := day + DAY) <= past.cursor:
        if _passed(before.cursor, end, past.cursor) or _passed(before.settled, end, past.settled):
            yield day
        day = end


def _passed(before: datetime | None, time: datetime, now: datetime | None) -> bool:
    return now is not None and time <= now and (before is None or before < time)
