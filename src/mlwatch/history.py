"""Windows of past traffic, read from a store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache, partial
from typing import Any

from mlwatch import log_levels
from mlwatch.endpoints import holds_requests
from mlwatch.protocols import MetricStore
from mlwatch.records import EPOCH, Pane, Table, split_key
from mlwatch.reference import FindReference
from mlwatch.spans import outward
from mlwatch.window import COLLECTOR, DELAY, Rows, Window

_REACHES = 4
"""So many spans further back than a window are read once and remembered with it."""

_TRAFFIC = frozenset({"rows", "latency_ms", "latency_sum", log_levels.NAME})
"""Tallies that no reference has a part in, beside those of requests and of delays."""

_COMPARED = frozenset({"counted", "labelled"})
"""Of the rows, those that other tallies of the same pane speak of."""


def read_windows(
    store: MetricStore,
    *,
    model: str,
    model_version: str,
    references: FindReference,
    since: datetime,
    until: datetime,
    now: datetime,
    rows_since: datetime = EPOCH,
) -> list[Window]:
    """Return the window of `model_version` and, after it, of every other version with traffic.

    Of panes counted under another reference than the version's present one only the traffic
    itself is taken (rows, errors, latency, requests, log, how late labels were), which no reference
    has a part in. The ends are moved outwards to where panes begin, as finely as time is kept as
    of `now`. Rows of before `rows_since` are not given: whether they are still there depends on
    when the last cycle ended.

    Raises:
        StoreError: The store cannot be read.
    """
    panes: dict[str, list[Pane]] = {model_version: []}
    parts: dict[str, list[Pane]] = {}
    since, until = outward(since, until, now)
    found = store.read(Table.panes, since=since, until=until, model=model)
    for pane in _comparable(found, references):
        into = parts if pane.segment else panes
        into.setdefault(pane.model_version, []).append(pane)
    windows = [
        Window(
            model,
            version,
            since,
            until,
            tuple(kept),
            references(version),
            _rows(store, model, version, rows_since),
            _reach(store, model, version, references),
            now,
            parts=tuple(parts.get(version, ())),
            ask_store=lambda: next(store.read(Table.state, keys=[model], model=model), None),
        )
        for version, kept in panes.items()
    ]
    together = partial(_together, store, windows, rows_since)
    return [replace(window, together=together) for window in windows]


def _together(store: MetricStore, windows: Sequence[Window], rows_since: datetime) -> Window:
    """Return the traffic of all versions in one window."""
    own = windows[0]
    return Window(
        own.model,
        "",
        own.since,
        own.until,
        tuple(_traffic_alone(pane) for window in windows for pane in window.panes_),
        rows=_rows(store, own.model, None, rows_since),
        reach=_reach(store, own.model, None, lambda _: None),
        read_at=own.read_at,
    )


def _comparable(found: Iterable[Pane], references: FindReference) -> Iterator[Pane]:
    for pane in found:
        reference = references(pane.model_version)
        fingerprint = "" if reference is None else reference.fingerprint
        if split_key(pane.source)[0] != COLLECTOR:
            yield pane if pane.reference == fingerprint else _traffic_alone(pane)


def _traffic_alone(pane: Pane) -> Pane:
    kept = {
        name: tally
        for name, tally in pane.tallies.items()
        if name in _TRAFFIC or name.startswith(DELAY) or holds_requests(name)
    }
    if "rows" in kept:
        kept["rows"] = {name: n for name, n in kept["rows"].items() if name not in _COMPARED}
    return replace(pane, tallies=kept)


def _rows(
    store: MetricStore, model: str, version: str | None, oldest: datetime
) -> Callable[[datetime, datetime], Rows]:
    def rows(since: datetime, until: datetime) -> Rows:
        since = max(since, oldest)
        read = partial(store.read, model=model, model_version=version)
        predictions = read(Table.predictions, since=since, until=until)
        return predictions, _when_asked(partial(read, Table.outcomes))

    return rows


def _when_asked(read: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    """Read nothing before the first row is taken: few who ask for predictions ask for outcomes."""
    yield from read()


def _reach(
    store: MetricStore, model: str, version: str | None, references: FindReference
) -> Callable[[datetime, datetime], tuple[Pane, ...]]:
    @lru_cache(maxsize=_REACHES)
    def reach(since: datetime, until: datetime) -> tuple[Pane, ...]:
        found = store.read(
            Table.panes, since=since, until=until, model=model, model_version=version
        )
        return tuple(_comparable(found, references))

    return reach
