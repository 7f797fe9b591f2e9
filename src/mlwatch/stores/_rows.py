"""What the stores share: a batch as encoded rows, which rows a read asks for, what a batch expects.

An encoded row is the encoded record with its `key`, `model` and `model_version` beside the fields.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from mlwatch._threads import breathing
from mlwatch.errors import ConflictError, DataError, StoreError
from mlwatch.records import RECORD_TYPES, Batch, Record, Table, add_tallies, pack
from mlwatch.stores._encoding import Plain, encode_text, time_text, to_plain

REVISED = frozenset({Table.state, Table.progress})
"""The tables whose rows have a revision, of which a batch may expect something."""


_SLOW = timedelta(minutes=10)
"""So old may the `now` be of a worker that is in the middle of a long cycle."""


def absolute_path(store: str, path: str | os.PathLike[str]) -> Path:
    """Return the absolute path that was given to a store.

    Raises:
        StoreError: It is no path.
    """
    try:
        return Path(path).absolute()
    except TypeError as error:
        kind = type(path).__name__
        raise StoreError(
            f"{store}({path!r:.80}): a {kind} is no path; give text or a pathlib.Path"
        ) from error


def encode_batch(batch: Batch) -> dict[Table, dict[str, Plain]]:
    """Encode the rows of `batch` by table and key: the last of a key stands, panes are added.

    Raises:
        DataError: A row is not of its table's type or holds what cannot be kept, or the batch
            expects a revision of a table that has none.
    """
    for table, key in batch.expects:
        if table not in REVISED:
            raise DataError(
                f"batch {batch.id!r} expects a revision of {table} {key!r}; "
                "only rows of state and progress have one"
            )
    encoded: dict[Table, dict[str, Plain]] = {}
    for table, rows in batch.rows.items():
        by_key = encoded.setdefault(table, {})
        for row in breathing(rows):
            plain = _encode_row(table, row)
            if table is Table.panes:
                add_pane(by_key, plain)
            else:
                by_key[plain["key"]] = plain
    return encoded


def _encode_row(table: Table, row: Record) -> Plain:
    wanted = RECORD_TYPES[table]
    if type(row) is not wanted:
        raise DataError(f"{table} holds rows of type {wanted.__name__}, not {type(row).__name__}")
    names = {name: encode_text(getattr(row, name)) for name in ("key", "model", "model_version")}
    return names | to_plain(row)


def add_pane(panes: dict[str, Plain], delta: Plain) -> None:
    """Add an encoded pane to the sum of its key in place; an empty sum is taken out."""
    pane = panes.setdefault(delta["key"], delta | {"tallies": {}})
    tallies = pane["tallies"]
    add_tallies(tallies, delta["tallies"])
    for name in delta["tallies"].keys() & tallies.keys():
        tallies[name] = pack(tallies[name])
    if not tallies:
        del panes[delta["key"]]


def batch_time(rows: Mapping[Table, Mapping[str, Plain]]) -> str:
    """Return the newest time in an encoded batch, by which its id is forgotten one day."""
    return max((row["time"] for by_key in rows.values() for row in by_key.values()), default="")


def check_expects(batch: Batch, find: Callable[[Table, str], int | None]) -> None:
    """Compare what `batch` expects with what `find(table, encoded key)` says is there.

    Raises:
        ConflictError: A revision is another; the message names the key and both revisions.
    """
    for (table, key), expected in batch.expects.items():
        found = find(table, encode_text(key)) or 0
        if found != expected:
            raise ConflictError(
                f"batch {batch.id!r} expects revision {expected} of {table} {key!r}, "
                f"but revision {found} is there: another process wrote first; read and decide anew"
            )


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows a read asks for, in the encoding; None asks for all."""

    since: str | None
    until: str | None
    keys: frozenset[str] | None
    model: str | None
    model_version: str | None

    @classmethod
    def of(
        cls,
        since: datetime | None,
        until: datetime | None,
        keys: Collection[str] | None,
        model: str | None,
        model_version: str | None,
    ) -> Selection:
        """Encode the arguments of `MetricStore.read`."""
        return cls(
            since=None if since is None else time_text(since),
            until=None if until is None else time_text(until),
            keys=None if keys is None else frozenset(map(encode_text, keys)),
            model=None if model is None else encode_text(model),
            model_version=None if model_version is None else encode_text(model_version),
        )

    def matches(self, key: str, time: str, model: str, model_version: str) -> bool:
        """Say whether the encoded row with these is asked for."""
        return (
            (self.since is None or time >= self.since)
            and (self.until is None or time < self.until)
            and (self.keys is None or key in self.keys)
            and (self.model is None or model == self.model)
            and (self.model_version is None or model_version == self.model_version)
        )


def in_order(rows: Iterable[Plain]) -> list[Plain]:
    """Return encoded rows by time and then by key."""
    return sorted(rows, key=lambda row: (row["time"], row["key"]))


def encode_cuts(before: Mapping[Table, datetime]) -> dict[Table, str]:
    """Encode the times before which rows are removed."""
    return {table: time_text(time) for table, time in before.items()}


def lease_times(now: datetime, ttl: timedelta) -> tuple[str, str, str]:
    """Encode when a lease is taken, when it ends, and the latest end that one can have by now.

    One that ends later was taken by a clock that ran ahead.
    """
    return time_text(now), time_text(now + ttl), time_text(now + ttl + _SLOW)
