"""The monitor's own figures as metrics of each cycle, and what was lost in the last hour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from mlwatch.protocols import MetricStore
from mlwatch.records import Metric, State, Table
from mlwatch.status import Status, cycle_key

NO_LOSS = frozenset({"duplicate", "empty_outcome", "empty_request_id", "shutdown"})
"""Reasons that are the caller's doing: what came twice, said nothing, or came after the end."""

_HOUR = timedelta(hours=1)
_APART = timedelta(minutes=1)
_MOST = 61
"""Marks that are kept: one a minute for an hour, and the last one before."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What had been handed over and lost at a moment; neither ever shrinks."""

    time: datetime
    recorded: int
    lost: Mapping[str, int]


def watch(
    store: MetricStore, model: str, status: Status, now: datetime
) -> tuple[list[Metric], State]:
    """Return the figures of the monitor itself, and the state to be written with them.

    Args:
        store: Where the state of the last cycle is.
        model: The model.
        status: What was measured.
        now: The time.
    """
    blank = State(name=cycle_key(model), time=now, revision=0, model=model)
    before: State = next(store.read(Table.state, keys=[blank.key]), blank)
    marks = [_read(mark) for mark in before.body.get("marks", ())] or [Mark(now, 0, {})]
    mark = _grown(marks[-1], status, now)
    kept = _in_sight([*_apart(marks), mark], now)
    metrics = [*_figures(status), _lost(kept[0], mark)]
    age = max(0.0, (now - before.time).total_seconds()) if before.revision else None
    why = "this is the first cycle" if age is None else ""
    metrics.append(Metric("monitor_last_cycle_age_seconds", age, n=1, why=why))
    body = {"marks": [_plain(it) for it in kept]}
    return metrics, replace(before, body=body, revision=before.revision + 1, time=now)


def _figures(status: Status) -> Iterator[Metric]:
    n = status.recorded
    yield Metric("monitor_recorded", float(status.recorded), n=n)
    yield Metric("monitor_stored", float(status.stored), n=n)
    for reason, count in status.dropped.items():
        yield Metric("monitor_dropped", float(count), n=n, labels={"reason": reason})
    yield Metric("monitor_queue_bytes", float(status.queue_bytes), n=1)
    yield Metric("monitor_queue_fill", status.queue_fill, n=1)
    yield Metric("monitor_spool_bytes", float(status.spool_bytes), n=1)
    yield Metric("monitor_spool_fill", status.spool_fill, n=1)
    yield Metric("monitor_ingest_lag_seconds", status.ingest_lag.total_seconds(), n=1)
    few = "" if status.cycle_seconds is not None else "this process has run fewer than 3 cycles"
    yield Metric("monitor_cycle_seconds", status.cycle_seconds, n=1, why=few)
    yield Metric("monitor_cycle_share", status.cycle_share, n=1, why=few)
    yield Metric("monitor_error", float(bool(status.last_error)), n=1, why=status.last_error)


def _lost(since: Mark, now: Mark) -> Metric:
    """Return the share of what was handed over since a mark that was lost."""
    lost = Counter(now.lost) - Counter(since.lost)
    count = lost.total()
    handed = max(now.recorded - since.recorded, count)
    reasons = ", ".join(f"{reason} {number:,}" for reason, number in lost.most_common())
    span = f"since {since.time:%Y-%m-%d %H:%M} UTC" if since.recorded else "since the start"
    why = f"{count:,} of {handed:,} records {span}: {reasons}" if count else ""
    return Metric("monitor_lost_share", count / handed if count else 0.0, n=handed, why=why)


def _grown(last: Mark, status: Status, now: datetime) -> Mark:
    """Return a mark of now; what one process knows and another does not yet takes nothing back."""
    lost = {reason: count for reason, count in status.dropped.items() if reason not in NO_LOSS}
    return Mark(now, max(status.recorded, last.recorded), Counter(lost) | Counter(last.lost))


def _apart(marks: Sequence[Mark]) -> Sequence[Mark]:
    """Leave out the last mark where it is less than a minute from the one before."""
    close = len(marks) > 1 and abs(marks[-1].time - marks[-2].time) < _APART
    return marks[:-1] if close else marks


def _in_sight(marks: Sequence[Mark], now: datetime) -> Sequence[Mark]:
    """Return the marks of the last hour, and the last one before it."""
    old = sum(mark.time <= now - _HOUR for mark in marks)
    return marks[max(old - 1, len(marks) - _MOST, 0) :]


def _plain(mark: Mark) -> list[Any]:
    return [mark.time.isoformat(), mark.recorded, dict(mark.lost)]


def _read(plain: Sequence[Any]) -> Mark:
    return Mark(datetime.fromisoformat(plain[0]), plain[1], plain[2])
