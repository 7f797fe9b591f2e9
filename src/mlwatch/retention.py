"""Retention: what is too old goes, and then, oldest first, what no longer fits."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mlwatch._guard import explain
from mlwatch.errors import StoreError
from mlwatch.protocols import MetricStore
from mlwatch.records import Fault, Metric, Retention, Table
from mlwatch.spans import MINUTE, floor

PART = "retention"

_DAY = timedelta(days=1)
_STEPS = 8
"""So often at most rows are removed by one cycle to make the store fit; the next one goes on."""

_GROUPS = (
    ((Table.predictions, Table.outcomes), MINUTE),
    ((Table.metrics, Table.drift, Table.alerts, Table.deliveries), _DAY),
    ((Table.pending,), _DAY),
    ((Table.panes,), 2 * _DAY),
)
"""What is shortened, in this order, and how much of it stays in any case."""


@dataclass(frozen=True, slots=True)
class Kept:
    """How large a store is after rows were removed by size, and whether that is too large."""

    metric: Metric
    fault: Fault | None


def prune(store: MetricStore, keep: Retention, now: datetime) -> Kept | None:
    """Remove what is too old, and what no longer fits; return how it went, of a bounded store.

    Raises:
        StoreError: The store cannot be read or written.
    """
    store.prune(cut_offs(keep, now))
    return None if keep.max_bytes is None else _fit(store, keep.max_bytes, now)


def cut_offs(keep: Retention, now: datetime) -> dict[Table, datetime]:
    """Return the times before which rows of each table are too old."""
    ages = {
        Table.predictions: keep.rows,
        Table.outcomes: keep.rows,
        Table.pending: keep.pending,
        Table.panes: keep.panes,
        Table.progress: keep.panes,
        Table.metrics: keep.metrics,
        Table.drift: keep.metrics,
        Table.alerts: keep.alerts,
        Table.deliveries: keep.alerts,
    }
    cuts = {table: now - age for table, age in ages.items()}
    return cuts | {Table.panes: _whole(cuts[Table.panes])}


def _whole(cut: datetime) -> datetime:
    """Return where the day begins in which a time lies: its figures are written anew, or gone."""
    return floor(cut, _DAY)


def _fit(store: MetricStore, most: int, now: datetime) -> Kept:
    """Shorten what is kept until the store fits, or a few steps are done."""
    size = size_of(store)
    done: dict[Table, datetime] = {}
    left = _STEPS
    for tables, least in _GROUPS:
        while size > most and left:
            cuts = _cuts(store, tables, now, now - least, excess=(size - most) / size)
            if not cuts:
                break
            store.prune(cuts)
            size, left = size_of(store), left - 1
            done |= cuts
    told = "; ".join(f"{table} from {cut:%Y-%m-%d %H:%M} on" for table, cut in done.items())
    why = f"to stay within Retention(max_bytes={most:,}) kept are {told}" if done else ""
    return Kept(Metric("monitor_store_bytes", float(size), n=1, why=why), _misfit(size, most, left))


def says_size(store: object) -> bool:
    """Return whether a store has `bytes`, of its own or by its class, without measuring it."""
    return inspect.getattr_static(store, "bytes", None) is not None


def size_of(store: MetricStore) -> int:
    """Return how many bytes the rows of a store take.

    Raises:
        StoreError: It says no number, or cannot be read.
    """
    size = getattr(store, "bytes", None)
    if not isinstance(size, int):
        raise StoreError(f"{store!r}.bytes is {size!r}; Retention(max_bytes=...) needs an int")
    return size


def _misfit(size: int, most: int, left: int) -> Fault | None:
    if size <= most or not left:  # the next cycle goes on
        return None
    error = StoreError(
        f"the store holds {size:,} bytes and Retention(max_bytes={most:,}) is too little for what "
        "is kept in any case: the counts of 2 days, and a day of results and of what late outcomes "
        "need; raise it"
    )
    return Fault(PART, explain(error), error)


def _cuts(
    store: MetricStore, tables: Sequence[Table], now: datetime, latest: datetime, *, excess: float
) -> dict[Table, datetime]:
    """Return the times before which to remove rows of some tables; none when there are no older.

    The span that is kept is shortened by as much as the store is too large, or a little more.
    """
    oldest = [row.time for table in tables for row in _first(store, table)]
    if not oldest:
        return {}
    share = min(max(1.2 * excess, 1 / 64), 1 / 2)
    cut = min(min(oldest) + (now - min(oldest)) * share, latest)
    cuts = {table: min([cut, *_held(store, table)]) for table in tables}
    if Table.panes in cuts:
        cuts[Table.panes] = _whole(cuts[Table.panes])
    return cuts if max(cuts.values()) > min(oldest) else {}


def _first(store: MetricStore, table: Table) -> Iterator[Any]:
    return itertools.islice(store.read(table), 1)


def _held(store: MetricStore, table: Table) -> list[datetime]:
    """Return the times of what is not over: alerts that fire, messages on their way."""
    status = _OPEN.get(table)
    return [] if status is None else [r.time for r in store.read(table) if status(r)]


_OPEN: Mapping[Table, Callable[[Any], bool]] = {
    Table.alerts: lambda alert: alert.state == "firing",
    Table.deliveries: lambda delivery: delivery.status == "pending",
}
