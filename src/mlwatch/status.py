"""The monitor of the monitor: what was taken in, what was kept, what was lost and why."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mlwatch.errors import MLWatchError
from mlwatch.protocols import MetricStore
from mlwatch.records import Progress, Table

if TYPE_CHECKING:
    from mlwatch.recorder import AnyRecorder
    from mlwatch.spool import Spool


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How the monitor itself does, over all processes that share the store.

    Once everything is ingested, `recorded == stored + sum(dropped.values())`.

    Attributes:
        recorded: Predictions and outcomes that were handed over.
        stored: Those that are in the store.
        dropped: The rest, by reason.
        noted: What was stored but is worth knowing, by reason.
        queue_bytes: Waiting in this process's memory.
        spool_bytes: In the spool, ingested or not.
        ingest_lag: Age of the oldest record in the spool that is not in the store.
        last_cycle: When this monitor last finished a cycle.
        last_error: What goes wrong, and when it last did; "" once it works again.
        running: Whether this process ingests and runs cycles in the background.
    """

    recorded: int = 0
    stored: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    noted: Mapping[str, int] = field(default_factory=dict)
    queue_bytes: int = 0
    spool_bytes: int = 0
    ingest_lag: timedelta = timedelta(0)
    last_cycle: datetime | None = None
    last_error: str = ""
    running: bool = False


def measure(
    recorder: AnyRecorder,
    spool: Spool,
    store: MetricStore,
    *,
    model: str,
    now: datetime,
    last_cycle: datetime | None,
    last_error: str,
    running: bool,
) -> Status:
    """Return the status of one monitor; a store that cannot be read is told in `last_error`."""
    stats = recorder.stats
    progress: list[Progress] = []
    lag = timedelta(0)
    try:
        progress = list(store.read(Table.progress, model=model))
        lag = _lag(spool, progress, now)
    except MLWatchError as error:
        last_error = f"{type(error).__name__}: {error}"
    newest = {row.writer: row for row in sorted(progress, key=lambda row: row.segment)}
    own = [row for row in newest.values() if row.writer == spool.writer]
    others = [row for row in newest.values() if row.writer != spool.writer]
    dropped = _sum(row.dropped for row in own) | _sum([stats.dropped])
    noted = _sum(row.noted for row in own) | _sum([stats.noted])
    return Status(
        recorded=stats.recorded + sum(row.recorded for row in others),
        stored=sum(row.stored for row in newest.values()),
        dropped=dict(dropped + _sum(row.dropped for row in others)),
        noted=dict(noted + _sum(row.noted for row in others)),
        queue_bytes=stats.queue_bytes,
        spool_bytes=spool.bytes,
        ingest_lag=lag,
        last_cycle=last_cycle,
        last_error=last_error or stats.last_error,
        running=running,
    )


def _lag(spool: Spool, progress: Sequence[Progress], now: datetime) -> timedelta:
    done = {(row.writer, row.segment): row.revision for row in progress}
    waiting = [
        frame.time
        for segment in spool.segments()
        for frame in itertools.islice(
            spool.read(segment, done.get((segment.writer, segment.segment), 0)), 1
        )
    ]
    return max(timedelta(0), now - min(waiting)) if waiting else timedelta(0)


def _sum(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return total
