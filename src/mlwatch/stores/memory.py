"""A store in memory, for tests and notebooks."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from mlwatch.errors import StoreError
from mlwatch.records import RECORD_TYPES, Batch, Table
from mlwatch.stores._encoding import Plain, encode_text, from_plain, to_json
from mlwatch.stores._rows import (
    Selection,
    add_pane,
    batch_time,
    check_expects,
    encode_batch,
    encode_cuts,
    in_order,
    lease_times,
)


class MemoryStore:
    """Keep everything in this process, with the semantics of a store on disk.

    Rows pass through the encoding of the other stores, so a row that is changed after it was
    written, or after it was read, changes nothing here. A forked child has a copy of its own.
    A closed store raises `StoreError` when it is used.
    """

    def __init__(self) -> None:
        self._tables: dict[Table, dict[str, Plain]] = {table: {} for table in Table}
        self._batches: dict[str, str] = {}
        self._leases: dict[str, str] = {}
        self._closed = False
        self._locks: dict[int, threading.Lock] = {}

    def write(self, batch: Batch) -> None:
        """Write the rows of `batch`, all or none, or nothing when its id was written before.

        Raises:
            ConflictError: A revision in `batch.expects` no longer holds.
            DataError: A row holds what cannot be kept.
            StoreError: The store is closed.
        """
        rows = encode_batch(batch)
        with self._lock:
            self._require_open()
            if batch.id in self._batches:
                return
            check_expects(batch, self._revision)
            for table, by_key in rows.items():
                if table is Table.panes:
                    for delta in by_key.values():
                        add_pane(self._tables[table], delta)
                else:
                    self._tables[table].update(by_key)
            self._batches[batch.id] = batch_time(rows)

    def read(
        self,
        table: Table,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        keys: Collection[str] | None = None,
        model: str | None = None,
        model_version: str | None = None,
    ) -> Iterator[Any]:
        """Return the rows asked for by time and key, as they are at this moment."""
        selection = Selection.of(since, until, keys, model, model_version)
        with self._lock:
            self._require_open()
            rows = self._tables[table]
            keyed = rows if selection.keys is None else selection.keys & rows.keys()
            found = [
                row
                for row in map(rows.__getitem__, keyed)
                if selection.matches(row["key"], row["time"], row["model"], row["model_version"])
            ]
            return iter([from_plain(RECORD_TYPES[table], row) for row in in_order(found)])

    def claim(self, key: str, now: datetime, ttl: timedelta) -> bool:
        """Take the lease `key` until `now + ttl`; False while another claim of it runs."""
        key, (start, end, last) = encode_text(key), lease_times(now, ttl)
        with self._lock:
            self._require_open()
            self._leases = {name: time for name, time in self._leases.items() if time > start}
            free = key not in self._leases or self._leases[key] > last
            if free:
                self._leases[key] = end
            return free

    def prune(self, before: Mapping[Table, datetime]) -> int:
        """Remove rows older than the time given for their table; return how many.

        The ids of batches with nothing newer than the time given for panes are forgotten.
        """
        cuts = encode_cuts(before)
        with self._lock:
            self._require_open()
            removed = 0
            for table, cut in cuts.items():
                rows = self._tables[table]
                kept = {key: row for key, row in rows.items() if row["time"] >= cut}
                removed += len(rows) - len(kept)
                self._tables[table] = kept
            if Table.panes in cuts:
                cut = cuts[Table.panes]
                self._batches = {name: time for name, time in self._batches.items() if time >= cut}
            return removed

    @property
    def bytes(self) -> int:
        """How long the rows are as JSON; in memory Python takes several times as much."""
        with self._lock:
            self._require_open()
            rows = (row for by_key in self._tables.values() for row in by_key.values())
            return sum(len(to_json(row)) for row in rows)

    def close(self) -> None:
        """Forget everything; idempotent."""
        with self._lock:
            self._closed = True
            self._tables = {table: {} for table in Table}

    @property
    def _lock(self) -> threading.Lock:
        # One a process: a lock that another thread held at the fork would never be free again.
        return self._locks.setdefault(os.getpid(), threading.Lock())

    def _require_open(self) -> None:
        if self._closed:
            raise StoreError("MemoryStore is closed; make a new one")

    def _revision(self, table: Table, key: str) -> int | None:
        row = self._tables[table].get(key)
        return None if row is None else row["revision"]
