"""The monitor of the monitor: what was taken in, what was kept, what was lost and why."""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mlwatch._guard import attempt
from mlwatch.protocols import MetricStore
from mlwatch.records import (
    Account,
    CaptureOptions,
    Fault,
    Progress,
    State,
    Table,
    ingest_key,
    join_key,
)

if TYPE_CHECKING:
    from mlwatch.recorder import AnyRecorder
    from mlwatch.spool import Frame, SegmentId, Spool

_CYCLES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How the monitor itself does, over all processes that share the store.

    Once everything is ingested, `recorded == stored + sum(dropped.values())`.

    Attributes:
        recorded: Predictions, outcomes and requests that were handed over.
        stored: Those that are in the store.
        dropped: The rest, by reason.
        noted: What was stored but is worth knowing, by reason.
        queue_bytes: Waiting in this process's memory.
        queue_fill: The same as a share of `CaptureOptions(max_bytes=...)`.
        spool_bytes: In the spool, ingested or not.
        spool_fill: The same as a share of `CaptureOptions(max_spool_bytes=...)`.
        ingest_lag: Age of the oldest record in the spool that is not in the store.
        last_cycle: When a cycle of this model was last run, whoever ran it.
        cycle_seconds: How long a cycle takes: the median of this process's last three, or None.
        cycle_share: The same as a share of the monitor's `every`.
        last_error: What goes wrong, and when it last did; "" once it works again.
        running: Whether this process ingests and runs cycles in the background.
    """

    recorded: int = 0
    stored: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    noted: Mapping[str, int] = field(default_factory=dict)
    queue_bytes: int = 0
    queue_fill: float = 0.0
    spool_bytes: int = 0
    spool_fill: float = 0.0
    ingest_lag: timedelta = timedelta(0)
    last_cycle: datetime | None = None
    cycle_seconds: float | None = None
    cycle_share: float | None = None
    last_error: str = ""
    running: bool = False


class Pace:
    """How long the cycles of this process take.

    Args:
        every: The time between two.
    """

    def __init__(self, every: timedelta) -> None:
        self._every = every.total_seconds()
        self._took: deque[float] = deque(maxlen=_CYCLES)

    def note(self, seconds: float) -> None:
        """Note how long a cycle took."""
        self._took.append(seconds)

    @property
    def seconds(self) -> float | None:
        """The median of the last three: a first one loads libraries, and one may be unlucky."""
        return sorted(self._took)[_CYCLES // 2] if len(self._took) == _CYCLES else None

    @property
    def share(self) -> float | None:
        """The same as a share of the time between two."""
        return None if self.seconds is None else self.seconds / self._every


def cycle_key(model: str) -> str:
    """Return the name of the state that says when the last cycle of a model was run."""
    return join_key("monitor", model)


def measure(
    recorder: AnyRecorder,
    spool: Spool,
    store: MetricStore,
    *,
    model: str,
    now: datetime,
    capture: CaptureOptions,
    pace: Pace,
    last_error: str,
    running: bool,
) -> Status:
    """Return the status of one monitor; a store that cannot be read is told in `last_error`."""
    stats = recorder.stats
    kept, fault = attempt("store", _read, store, model)
    kept = kept or _Kept()
    own = _newest(kept.progress, spool.writer)
    lag, unread = _lag(spool, kept.progress, now)
    size, unseen = attempt("spool", lambda: spool.bytes)
    spool_bytes = size or 0
    waiting = Account(
        recorded=max(0, stats.recorded - own.recorded),
        dropped=Counter(stats.dropped) - Counter(own.dropped),
        noted=Counter(stats.noted) - Counter(own.noted),
    )
    total = kept.account.plus(waiting)
    return Status(
        recorded=total.recorded,
        stored=total.stored,
        dropped=total.dropped,
        noted=total.noted,
        queue_bytes=stats.queue_bytes,
        queue_fill=stats.queue_bytes / capture.max_bytes,
        spool_bytes=spool_bytes,
        spool_fill=spool_bytes / capture.max_spool_bytes,
        ingest_lag=lag,
        last_cycle=kept.last_cycle,
        cycle_seconds=pace.seconds,
        cycle_share=pace.share,
        last_error=_first(fault) or last_error or _first(unseen or unread) or stats.last_error,
        running=running,
    )


@dataclass(frozen=True, slots=True)
class _Kept:
    """What the store says."""

    account: Account = field(default_factory=Account)
    progress: Sequence[Progress] = ()
    last_cycle: datetime | None = None


def _read(store: MetricStore, model: str) -> _Kept:
    keys = [ingest_key(model), cycle_key(model)]
    states: dict[str, State] = {row.key: row for row in store.read(Table.state, keys=keys)}
    ingest, cycle = (states.get(key) for key in keys)
    return _Kept(
        Account() if ingest is None else Account.of(ingest.body),
        list(store.read(Table.progress, model=model)),
        None if cycle is None else cycle.time,
    )


def _newest(progress: Sequence[Progress], writer: str) -> Account:
    """Return what of a writer's account is in the store."""
    rows = [row for row in progress if row.writer == writer]
    if not rows:
        return Account()
    row = max(rows, key=lambda row: row.segment)
    return Account(recorded=row.recorded, dropped=row.dropped, noted=row.noted)


def _lag(
    spool: Spool, progress: Sequence[Progress], now: datetime
) -> tuple[timedelta, Fault | None]:
    """Return the age of what waits, and why some of it cannot be read."""
    done = {(row.writer, row.segment): row.revision for row in progress}
    faults: list[Fault] = []
    waiting: list[datetime] = []
    segments, unseen = attempt("spool", spool.segments)
    faults += [unseen] if unseen else []
    for segment in segments or ():
        after = done.get((segment.writer, segment.segment), 0)
        found, fault = attempt("spool", _next_frame, spool, segment, after)
        waiting += [frame.time for frame in found or ()]
        faults += [fault] if fault else []
    oldest = min(waiting, default=now)
    return max(timedelta(0), now - oldest), next(iter(faults), None)


def _next_frame(spool: Spool, segment: SegmentId, after: int) -> list[Frame]:
    return list(itertools.islice(spool.read(segment, after), 1))


def _first(fault: Fault | None) -> str:
    return "" if fault is None else fault.error
