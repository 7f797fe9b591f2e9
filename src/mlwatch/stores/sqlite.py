"""A store in one SQLite file, which people can query by hand."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from mlwatch.errors import StoreError
from mlwatch.records import RECORD_TYPES, Batch, Table
from mlwatch.stores._encoding import Plain, encode_text, from_plain
from mlwatch.stores._rows import (
    Selection,
    absolute_path,
    add_pane,
    batch_time,
    check_expects,
    encode_batch,
    encode_cuts,
    lease_times,
)
from mlwatch.stores._sqlite_schema import (
    LAYOUTS,
    identify,
    prepare,
    read_tallies,
    require_current,
    select,
    used_bytes,
)

_BUSY_SECONDS = 10.0
_CHUNK = 500
_LOG_BYTES = 16 * 2**20


class SQLiteStore:
    """Keep everything in one SQLite file, with write-ahead logging.

    There is a table for every `Table` with a column for every field; `_sqlite_schema` says how
    values are spelt. The first use creates the file, or brings one of an older version up to date;
    making a store only looks. Reading takes a connection of its own, sees one moment, and never
    holds up a writer. What `write` has returned for survives the death of the process; a loss of
    power may take the last batches, never the file. A closed store raises `StoreError` when used.

    A store may cross a fork: the child leaves the parent's connections and opens its own. Only
    when a thread of the parent was inside SQLite at the fork does the child get a `StoreError`.

    Args:
        path: The file; its folder must exist.
        read_only: Refuse to write, and to create the file.

    Raises:
        StoreError: The path cannot be used, or holds something else.
    """

    def __init__(self, path: str | os.PathLike[str], *, read_only: bool = False) -> None:
        if path == ":memory:":
            raise StoreError("SQLiteStore(':memory:') would lose its rows; use MemoryStore()")
        self.path = absolute_path("SQLiteStore", path)
        self.read_only = read_only
        self._closed = False
        self._process = _Process()
        try:
            _check_access(self.path, read_only=read_only)
            if self.path.exists():
                self._look()
        except OSError as error:
            raise StoreError(f"{self.path} cannot be reached: {error}; name another") from error

    def __repr__(self) -> str:
        return f"SQLiteStore({str(self.path)!r}, read_only={self.read_only})"

    def write(self, batch: Batch) -> None:
        """Write the rows of `batch`, all or none, or nothing when its id was written before.

        Raises:
            ConflictError: A revision in `batch.expects` no longer holds.
            DataError: A row holds what cannot be kept.
            StoreError: The file cannot be written, or is read-only.
        """
        rows = encode_batch(batch)
        batch_id = encode_text(batch.id)
        with self._transaction(f"write batch {batch.id!r}") as connection:
            known = "SELECT 1 FROM batches WHERE id = ?"
            if connection.execute(known, (batch_id,)).fetchone():
                return
            check_expects(batch, lambda table, key: _revision(connection, table, key))
            for table, by_key in rows.items():
                if table is Table.panes:
                    _add_panes(connection, self.path, by_key.values())
                else:
                    layout = LAYOUTS[table]
                    connection.executemany(layout.replace, map(layout.to_cells, by_key.values()))
            connection.execute("INSERT INTO batches VALUES (?, ?)", (batch_id, batch_time(rows)))

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
        """Return the rows asked for by time and key, as they are when the first is taken.

        Raises:
            StoreError: The file cannot be read.
        """
        selection = Selection.of(since, until, keys, model, model_version)
        self._require_open()
        return self._rows(table, selection)

    def claim(self, key: str, now: datetime, ttl: timedelta) -> bool:
        """Take the lease `key` until `now + ttl`; False while another claim of it runs.

        Raises:
            StoreError: The file cannot be written, or is read-only.
        """
        name, (start, end, last) = encode_text(key), lease_times(now, ttl)
        with self._transaction(f"claim {key!r}") as connection:
            over = "DELETE FROM leases WHERE until <= ? OR (key = ? AND until > ?)"
            connection.execute(over, (start, name, last))
            take = "INSERT OR IGNORE INTO leases VALUES (?, ?)"
            return connection.execute(take, (name, end)).rowcount == 1

    def prune(self, before: Mapping[Table, datetime]) -> int:
        """Remove rows older than the time given for their table; return how many.

        The ids of batches with nothing newer than the time given for panes are forgotten.

        Raises:
            StoreError: The file cannot be written, or is read-only.
        """
        cuts = encode_cuts(before)
        with self._transaction("prune") as connection:
            removed = 0
            for table, cut in cuts.items():
                delete = f'DELETE FROM "{table}" WHERE time < ?'  # noqa: S608  a name of ours
                removed += connection.execute(delete, (cut,)).rowcount
            if Table.panes in cuts:
                connection.execute("DELETE FROM batches WHERE time < ?", (cuts[Table.panes],))
            return removed

    @property
    def bytes(self) -> int:
        """The size of what is kept; the file stays as large as it was, and is filled again.

        Raises:
            StoreError: The file cannot be read.
        """
        self._require_open()
        if not self.path.exists():
            return 0
        with self._in_sqlite("measure") as process:
            connection = process.connect(self.path, "mode=ro")
            try:
                return used_bytes(connection)
            finally:
                process.drop(connection)

    def close(self) -> None:
        """Close the file; idempotent. Reads that have begun may be finished."""
        self._closed = True
        process = self._process
        if process.pid == os.getpid():
            with process.write_lock, self._in_sqlite("close"):
                if process.writer is not None:
                    process.drop(process.writer)
                    process.writer = None

    def __del__(self) -> None:
        process = self.__dict__.get("_process")
        if process is not None and process.pid == os.getpid():
            process.close()

    def _look(self) -> None:
        # Never by open(): closing a file drops every lock that this process's connections hold.
        # Without a log beside it the file may be looked at as if nobody could change it, so that
        # looking makes none.
        logged = self.path.with_name(f"{self.path.name}-wal").exists()
        with self._in_sqlite("open") as process:
            try:
                self._identify(process, "mode=ro" if logged else "mode=ro&immutable=1")
            except sqlite3.DatabaseError:  # so does a file look that is just being made
                self._identify(process, "mode=ro")

    def _identify(self, process: _Process, mode: str) -> None:
        connection = process.connect(self.path, mode)
        try:
            identify(connection, self.path)
        finally:
            process.drop(connection)

    def _require_open(self) -> None:
        if self._closed:
            raise StoreError(f"{self.path} was closed by close(); make a new SQLiteStore")

    @contextmanager
    def _in_sqlite(self, doing: str) -> Iterator[_Process]:
        """Lead into SQLite: the one place that minds forks and translates errors."""
        process = self._process
        if process.pid != os.getpid():
            self._process = process = process.succeed(self.path)
        visit = object()
        process.inside.add(visit)
        try:
            yield process
        except sqlite3.Error as error:
            remedy = _REMEDIES.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "")
            raise StoreError(f"{self.path}: cannot {doing}: {error}{remedy}") from error
        finally:
            process.inside.discard(visit)

    @contextmanager
    def _transaction(self, doing: str) -> Iterator[sqlite3.Connection]:
        if self.read_only:
            raise StoreError(f"{self.path}: cannot {doing}: the store was opened read_only=True")
        with self._in_sqlite(doing) as process, process.write_lock:
            connection = self._writer(process)
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _writer(self, process: _Process) -> sqlite3.Connection:
        self._require_open()
        if process.writer is None:
            connection = process.connect(self.path, "mode=rwc")
            try:
                connection.execute("PRAGMA synchronous = NORMAL")
                # The log is cut back once what a large prune wrote there is in the file.
                connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
                prepare(connection, self.path)
            except BaseException:
                process.drop(connection)
                raise
            process.writer = connection
        return process.writer

    def _rows(self, table: Table, selection: Selection) -> Iterator[Any]:
        with self._in_sqlite(f"read {table}") as process:
            if process.writer is None and not self.read_only:
                with process.write_lock:
                    self._writer(process)
            connection = process.connect(self.path, "mode=ro")
        try:
            with self._in_sqlite(f"read {table}"):
                require_current(connection, self.path)
                cursor = select(connection, table, selection)
            while True:
                with self._in_sqlite(f"read {table}") as here:
                    if here is not process:
                        raise StoreError(f"{self.path}: a read does not cross a fork; read again")
                    chunk = cursor.fetchmany(_CHUNK)
                if not chunk:
                    return
                for cells in chunk:
                    yield _record(self.path, table, cells)
        finally:
            if process.pid == os.getpid():
                process.drop(connection)


class _Process:
    """The connections of one process, and who is inside SQLite at this moment."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.write_lock = threading.Lock()
        self.writer: sqlite3.Connection | None = None
        self.inside: set[object] = set()
        self._connections: list[sqlite3.Connection] = []

    def connect(self, path: Path, mode: str) -> sqlite3.Connection:
        """Open a connection that is closed by `drop`."""
        connection = sqlite3.connect(
            f"{path.as_uri()}?{mode}",
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        self._connections.append(connection)
        return connection

    def drop(self, connection: sqlite3.Connection) -> None:
        """Close a connection."""
        connection.close()
        self._connections.remove(connection)

    def close(self) -> None:
        """Close all connections, for a store that nobody holds any more."""
        for connection in self._connections:
            connection.close()

    def succeed(self, path: Path) -> _Process:
        """Return what a forked child uses instead.

        The inherited connections are closed. Left open, SQLite would take their locks for the
        child's own, and the log could be deleted under its hands: commits were seen lost so.

        Raises:
            StoreError: A thread of the parent was inside SQLite at the fork.
        """
        if self.inside:
            raise StoreError(
                f"{path}: this process was forked while a thread of its parent was using the "
                "store; use it first after the fork, or start processes by spawn"
            )
        for connection in self._connections:
            connection.close()
        return _Process()


_REMEDIES = {
    sqlite3.SQLITE_BUSY: "; another process holds the file: let one process write",
    sqlite3.SQLITE_CANTOPEN: "; make its folder, or allow this user to write there",
    sqlite3.SQLITE_CORRUPT: "; restore the file, or name another",
    sqlite3.SQLITE_FULL: "; make room on the disk",
    sqlite3.SQLITE_IOERR: "; make room on the disk, and see whether it is well",
    sqlite3.SQLITE_NOTADB: "; name another file, which will be created",
    sqlite3.SQLITE_READONLY: "; allow this user to write the file and its folder",
}


_DAMAGES = (StoreError, msgspec.MsgspecError, TypeError, ValueError)
"""What decoding raises of a cell that somebody, or the disk, has changed."""


def _check_access(path: Path, *, read_only: bool) -> None:
    if path.is_dir():
        raise StoreError(f"{path} is a folder; name a file in it, such as {path / 'mlwatch.db'}")
    if path.exists():
        if not os.access(path, os.R_OK if read_only else os.R_OK | os.W_OK):
            raise StoreError(f"{path} cannot be {'read' if read_only else 'written'} by this user")
    elif read_only:
        raise StoreError(f"{path} does not exist, and a read-only store is not created")
    if not path.parent.is_dir():
        raise StoreError(f"{path.parent} is not a folder; make it, or name another path")
    if not read_only and not os.access(path.parent, os.W_OK | os.X_OK):
        raise StoreError(f"{path.parent} cannot be written by this user; name another folder")


def _revision(connection: sqlite3.Connection, table: Table, key: str) -> int | None:
    select = f'SELECT revision FROM "{table}" WHERE key = ?'  # noqa: S608  a name of ours
    found: tuple[int] | None = connection.execute(select, (key,)).fetchone()
    return found[0] if found else None


def _record(path: Path, table: Table, cells: tuple[Any, ...]) -> Any:
    try:
        return from_plain(RECORD_TYPES[table], LAYOUTS[table].from_cells(cells))
    except _DAMAGES as error:
        raise _damaged(path, table, cells[0], error) from error


def _damaged(path: Path, table: Table, key: str, error: Exception) -> StoreError:
    return StoreError(
        f"{path}: the row {key!r} of table {table} is damaged ({error}); restore the file, or "
        "mend or delete that row"
    )


def _add_panes(connection: sqlite3.Connection, path: Path, deltas: Iterable[Plain]) -> None:
    layout = LAYOUTS[Table.panes]
    for delta in deltas:
        key = delta["key"]
        sums: dict[str, Plain] = {}
        select = "SELECT tallies FROM panes WHERE key = ?"
        for (tallies,) in connection.execute(select, (key,)).fetchall():
            try:
                known = read_tallies(tallies)
            except _DAMAGES as error:
                raise _damaged(path, Table.panes, key, error) from error
            sums[key] = delta | {"tallies": known}
        add_pane(sums, delta)
        if sums:
            connection.execute(layout.replace, layout.to_cells(sums[key]))
        else:
            connection.execute("DELETE FROM panes WHERE key = ?", (key,))
