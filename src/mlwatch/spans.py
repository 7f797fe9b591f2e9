"""The time, and how finely each time is kept: by the minute, later by the hour, then by the day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

HOURLY_AFTER = timedelta(hours=2)
"""An hour that ended this long ago is kept as one pane."""

DAILY_AFTER = timedelta(hours=48)
"""A day, of UTC, that ended this long ago is kept as one pane."""

GRACE = timedelta(minutes=5)
"""An hour is closed so long after its end: what comes later is counted, but no longer watched."""

KEPT = timedelta(weeks=8)
"""How far back collectors look at hours and days: so long panes are kept by default."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta.resolution


def utc_now() -> datetime:
    """Return the wall clock's time."""
    return datetime.now(UTC)


def floor(time: datetime, span: timedelta) -> datetime:
    """Return the start of the span that `time` lies in, in UTC."""
    time = time.astimezone(UTC)
    return time - (time - _EPOCH) % span


def kept_in(time: datetime, now: datetime) -> timedelta:
    """Return the length of the pane that `time` is kept in, as of `now`."""
    for span, after in ((DAY, DAILY_AFTER), (HOUR, HOURLY_AFTER)):
        if floor(time, span) + span <= now - after:
            return span
    return MINUTE


def outward(since: datetime, until: datetime, now: datetime) -> tuple[datetime, datetime]:
    """Move the ends of `[since, until)` outwards to where panes begin and end, as of `now`.

    So a window neither loses nor gains part of a pane that cannot be split.
    """
    last = until - _TICK
    span = kept_in(last, now)
    return floor(since, kept_in(since, now)), floor(last, span) + span
