"""How much comes in, against the same hour of past days; and when the last prediction came."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import median
from typing import Any, ClassVar

from mlwatch.protocols import Item, Scope
from mlwatch.records import Memory, Metric, Pane
from mlwatch.spans import DAY, GRACE, HOUR, HOURLY_AFTER, KEPT, floor
from mlwatch.window import Window

FEWEST_DAYS = 7
"""Of so many past days the same hour has to be known."""

_LIMIT = 8.0  # scales from what is usual; measured on simulated weeks, see docs/parts.md
_MARGIN = 0.25  # less of a difference matters to nobody
_ROBUST = 1.4826  # the standard deviation of normal values whose MAD is 1
_TRIMMED_FROM = 4
_FOR_CERTAIN = 10  # so many an hour nine days of ten: then none at all is no chance
_DAYS_A_WEEK = 7
_HOURS_A_DAY = DAY // HOUR
_TICK = timedelta.resolution


@dataclass(frozen=True, slots=True)
class VolumeCollector:
    """Compare the last closed hour of predictions with the same hour of past days.

    It is unusual where it lies beyond 8 scales from the median (a scale is 1.4826 MAD of the past
    days, at least Poisson's), beyond as many of Poisson's from what the same weekday has had (its
    least and largest, from four weeks on the second of each), and differs by a quarter. None at
    all is unusual also where nine past days of ten had ten or more, or the same weekday in each of
    at least four weeks. At least 7 past days have to be known. It is about the model: the versions'
    predictions are added up, so that to deploy one changes nothing.
    """

    name: str = "volume"
    scope: ClassVar[Scope] = "model"

    def collect(self, window: Window) -> Iterator[Item]:
        """Return `seconds_since_prediction` and `volume_ratio`, and remember the closed hours."""
        near = window if window.until - window.since >= HOURLY_AFTER else window.last(HOURLY_AFTER)
        hours = _Hours.recall(window.memory).with_closed(near)
        yield _age(near, hours)
        yield _volume(hours)
        yield Memory(hours.to_plain())


@dataclass(frozen=True, slots=True)
class _Hours:
    """What was counted in each hour from `since` on; None where that is not known by the hour.

    `last` is the end of the hour of the newest prediction.
    """

    since: datetime | None = None
    counts: Sequence[int | None] = ()
    last: datetime | None = None

    @classmethod
    def recall(cls, body: Mapping[str, Any]) -> _Hours:
        since, last = (body.get(name) for name in ("since", "last"))
        if since is None or last is None:
            return cls()
        return cls(
            datetime.fromisoformat(since), tuple(body["counts"]), datetime.fromisoformat(last)
        )

    def to_plain(self) -> dict[str, Any]:
        if self.since is None or self.last is None:
            return {}
        since, last = self.since.isoformat(), self.last.isoformat()
        return {"since": since, "counts": list(self.counts), "last": last}

    def with_closed(self, window: Window) -> _Hours:
        """Return these hours with those that were closed since."""
        busy = [pane for pane in window.panes_ if _predictions(pane)]
        ends = [floor(pane.time + pane.span - _TICK, HOUR) + HOUR for pane in busy]
        last = max(ends, default=self.last)
        if self.since is None and not busy:
            return self
        # Of the first hour a part may be missing.
        since = self.since or floor(min(pane.time for pane in busy), HOUR) + HOUR
        cursor, end = since + len(self.counts) * HOUR, floor(window.until - GRACE, HOUR)
        if cursor >= end:
            return replace(self, since=since, last=last)
        begin = max(cursor, end - KEPT)
        skipped = [None] * ((begin - cursor) // HOUR)
        counts = (*self.counts, *skipped, *_closed(window, begin, end))
        old = max(0, len(counts) - KEPT // HOUR)
        return _Hours(since + old * HOUR, counts[old:], last)

    def before(self, days: int) -> list[int]:
        """Return the same hour of the past, every so many days, where it is known."""
        step = days * _HOURS_A_DAY
        return [count for count in self.counts[-1 - step :: -step] if count is not None]


def _closed(window: Window, begin: datetime, end: datetime) -> Iterator[int | None]:
    """Give the count of each hour: 0 of one without traffic, None where a pane is coarser."""
    panes = window.last(window.until - begin).panes(HOUR)
    known = {pane.time: _predictions(pane) for pane in panes if pane.span == HOUR}
    coarse = [(pane.time, pane.time + pane.span) for pane in panes if pane.span != HOUR]
    for place in range((end - begin) // HOUR):
        hour = begin + place * HOUR
        hidden = any(first < hour + HOUR and hour < last for first, last in coarse)
        yield None if hidden else known.get(hour, 0)


def _predictions(pane: Pane) -> int:
    return pane.tallies.get("rows", {}).get("recorded", 0)


def _age(window: Window, hours: _Hours) -> Metric:
    """Return how long ago the last prediction came, as finely as its time is kept."""
    name, until = "seconds_since_prediction", window.until
    spans = [(pane.time, pane.time + pane.span) for pane in window.row_panes if _predictions(pane)]
    if not spans and hours.last is None:
        return Metric(name, None, why="undefined: no prediction was recorded so far")
    begin, end = max(spans, key=lambda span: span[1], default=(None, hours.last or until))
    youngest = max(0.0, (until - end).total_seconds())
    oldest = None if begin is None else (until - begin).total_seconds()
    return Metric(name, youngest, youngest, oldest, n=1)


def _volume(hours: _Hours) -> Metric:
    """Return the last closed hour as a share of what is usual, with a verdict."""
    past = hours.before(1)
    blank = Metric("volume_ratio", None, n=len(past), verdict="not enough data")
    if hours.since is None or not hours.counts:
        return replace(blank, why="not enough data: no hour is closed so far")
    begin = hours.since + (len(hours.counts) - 1) * HOUR
    count, same_weekday = hours.counts[-1], hours.before(_DAYS_A_WEEK)
    if count is None:
        return replace(blank, why=f"not enough data: {begin:%H:%M} is known by the day alone")
    if len(past) < FEWEST_DAYS or not same_weekday:
        why = f"not enough data: {begin:%H:%M} is known of {len(past)} of {FEWEST_DAYS} past days"
        return replace(blank, why=why)
    usual, (low, high) = median(past), _band(past, same_weekday)
    unusual = not low <= count <= high or (not count and _surely_some(past, same_weekday))
    told = replace(
        blank,
        verdict="unusual" if unusual else "usual",
        why=f"{count:,} from {begin:%Y-%m-%d %H:%M} to {begin + HOUR:%H:%M}; usual are "
        f"{low:,.0f} to {high:,.0f} (median {usual:,.0f} of {len(past)} days at this hour)",
    )
    if not usual:
        return replace(told, why=f"undefined: usually there are none; {told.why}")
    least, most = _poisson(count)
    return replace(told, value=count / usual, low=least / usual, high=most / usual)


def _surely_some(past: Sequence[int], same_weekday: Sequence[int]) -> bool:
    """Return whether none at all is no chance: nine days of ten had some, or this weekday always.

    The second is for services that rest on other days, such as at weekends.
    """
    if len(same_weekday) >= _TRIMMED_FROM and min(same_weekday) >= _FOR_CERTAIN:
        return True
    return sorted(past)[len(past) // 10] >= _FOR_CERTAIN <= median(same_weekday)


def _band(past: Sequence[int], same_weekday: Sequence[int]) -> tuple[float, float]:
    """Return the least and the largest count that is usual.

    Args:
        past: The same hour of past days.
        same_weekday: That of the same weekday, which a weekly season moves away from the median.
    """
    usual = median(past)
    scale = _ROBUST * median(abs(count - usual) for count in past)
    ordered = sorted(same_weekday)
    place = 1 if len(ordered) >= _TRIMMED_FROM else 0  # one odd week is no example
    least, most = ordered[place], ordered[-1 - place]
    low = min(_below(usual, scale), _below(least))
    return max(0.0, low), max(_above(usual, scale), _above(most))


def _below(count: float, scale: float = 0.0) -> float:
    return min(count - _LIMIT * max(scale, math.sqrt(count), 1.0), (1 - _MARGIN) * count)


def _above(count: float, scale: float = 0.0) -> float:
    return max(count + _LIMIT * max(scale, math.sqrt(count), 1.0), (1 + _MARGIN) * count)


def _poisson(count: int) -> tuple[float, float]:
    """Return the exact 95% interval of a Poisson rate (Garwood, 1936)."""
    from scipy.special import gammaincinv

    low = float(gammaincinv(count, 0.025)) if count else 0.0
    return low, float(gammaincinv(count + 1, 0.975))
