"""A store in a folder of JSON lines, readable by any tool."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from mlwatch.errors import StoreError
from mlwatch.records import RECORD_TYPES, Batch, Table
from mlwatch.stores._encoding import (
    JSONTally,
    Plain,
    encode_text,
    from_plain,
    tallies_from_json,
    to_json,
)
from mlwatch.stores._jsonl_files import Commit, Head, Journal, replace_file
from mlwatch.stores._rows import (
    REVISED,
    Selection,
    absolute_path,
    add_pane,
    batch_time,
    check_expects,
    encode_batch,
    encode_cuts,
    in_order,
    lease_times,
)

VERSION = 2

_FORMAT = "mlwatch JSONL store"
_NAME = "store.json"
_UNBORN = {".lock", "commits.jsonl", f"{_NAME}.tmp"}
"""What a folder may hold of a store that was killed while it was made."""


class JSONLStore:
    """Keep everything in a folder of daily files, for one host and a modest volume.

    `predictions_20130101.jsonl` holds the predictions of that day, a JSON object a line: the
    batch it came with, the number of the commit, the key, and the fields. Of several lines with
    one key the last stands; lines of panes are added. Lines count once their batch is in
    `commits.jsonl`, which is written last; only the end of a file can hold others (a writer was
    killed), and the next writer removes them.

    Every read goes through the whole table, also a look-up by key, and writers wait for it: with
    more than some ten thousand rows a day take SQLiteStore. One lock file serialises the
    processes of one host. What `write` has returned for survives the death of the process, not
    surely a loss of power. A closed store raises `StoreError` when it is used.

    Args:
        path: The folder; it is created by the first use, its parent must exist.

    Raises:
        StoreError: The path cannot be used, or holds something else.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = absolute_path("JSONLStore", path)
        self._closed = False
        self._journal: tuple[int, Journal] | None = None
        try:
            _check_folder(self.path)
        except OSError as error:
            raise StoreError(f"{self.path} cannot be reached: {error}; name another") from error

    def __repr__(self) -> str:
        return f"JSONLStore({str(self.path)!r})"

    def write(self, batch: Batch) -> None:
        """Write the rows of `batch`, all or none, or nothing when its id was written before.

        Raises:
            ConflictError: A revision in `batch.expects` no longer holds.
            DataError: A row holds what cannot be kept.
            StoreError: The folder cannot be written.
        """
        rows = encode_batch(batch)
        batch_id = encode_text(batch.id)
        with self._locked(f"write batch {batch.id!r}") as journal:
            if batch_id in journal.batches:
                return
            check_expects(batch, lambda table, key: journal.revisions.get(table, {}).get(key))
            commit = Commit(journal.seq + 1, batch_id, batch_time(rows))
            for table in REVISED & rows.keys():
                commit.revisions[table.value] = {
                    key: row["revision"] for key, row in rows[table].items()
                }
            commit.thinned = _thinned(rows.get(Table.panes, {}).values())
            journal.commit(commit, _lines_by_file(rows, batch_id, commit.seq))

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

        The time it takes grows with the whole table, whatever is asked for.

        Raises:
            StoreError: The folder cannot be read, or a line is damaged.
        """
        selection = Selection.of(since, until, keys, model, model_version)
        self._require_open()
        return self._rows(table, selection)

    def claim(self, key: str, now: datetime, ttl: timedelta) -> bool:
        """Take the lease `key` until `now + ttl`; False while another claim of it runs.

        Raises:
            StoreError: The folder cannot be written.
        """
        name, (start, end, last) = encode_text(key), lease_times(now, ttl)
        path = self.path / "leases.json"
        with self._locked(f"claim {key!r}"):
            leases = _leases(path) if path.exists() else {}
            running = {other: until for other, until in leases.items() if until > start}
            if name in running and running[name] <= last:
                return False
            replace_file(path, msgspec.json.encode(running | {name: end}))
            return True

    def prune(self, before: Mapping[Table, datetime]) -> int:
        """Remove rows older than the time given for their table; return how many.

        Whole days go with their file; of the day in which the time lies, the file is written
        anew. Replaced lines of state and progress go too, whatever their age, and where panes
        were taken back (see `rollup`) the lines of each are added up to one, or none. The ids of
        batches with nothing newer than the time given for panes are forgotten.

        Raises:
            StoreError: The folder cannot be written, or a line is damaged.
        """
        cuts = encode_cuts(before)
        with self._locked("prune") as journal:
            sizes, known, thinned = dict(journal.sizes), len(journal.batches), journal.thinned
            removed = sum(
                _prune_table(journal, table, cuts.get(table, ""))
                for table in Table
                if table in cuts or table in REVISED
            )
            for name in thinned & journal.sizes.keys():
                _add_up_panes(journal, name)
            journal.thinned = set()
            if Table.panes in cuts:
                cut = cuts[Table.panes]
                journal.batches = {k: time for k, time in journal.batches.items() if time >= cut}
            if thinned or journal.sizes != sizes or len(journal.batches) != known:
                journal.rewrite()
            return removed

    @property
    def bytes(self) -> int:
        """The size of its files.

        Raises:
            StoreError: The folder cannot be read.
        """
        with self._locked("measure"):
            return sum(path.stat().st_size for path in self.path.glob("*.jsonl"))

    def close(self) -> None:
        """Refuse any further use; idempotent. Nothing is held between two uses."""
        self._closed = True

    def _require_open(self) -> None:
        if self._closed:
            raise StoreError(f"{self.path} was closed by close(); make a new JSONLStore")

    @contextmanager
    def _locked(self, doing: str) -> Iterator[Journal]:
        """Hold the store's lock, which keeps out other threads and other processes alike."""
        self._require_open()
        try:
            self.path.mkdir(exist_ok=True)
            with (self.path / ".lock").open("ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                try:
                    yield self._journal_now()
                except BaseException:
                    self._journal = None
                    raise
                finally:
                    # Explicitly: a child forked meanwhile holds the same open file.
                    fcntl.flock(lock, fcntl.LOCK_UN)
        except OSError as error:
            raise StoreError(
                f"{self.path}: cannot {doing}: {error}; make room on the disk, or allow this "
                "user to write there"
            ) from error

    def _journal_now(self) -> Journal:
        if self._journal is None or self._journal[0] != os.getpid():
            version = _check_version(self.path)
            if not version:
                (self.path / "commits.jsonl").touch()
            if version < VERSION:  # a line of an older version lacks fields, which have defaults
                about = {"format": _FORMAT, "version": VERSION}
                replace_file(self.path / _NAME, msgspec.json.encode(about))
            self._journal = os.getpid(), Journal(self.path)
        journal = self._journal[1]
        journal.refresh()
        return journal

    def _rows(self, table: Table, selection: Selection) -> Iterator[Any]:
        with self._locked(f"read {table}") as journal:
            scan = _scan_panes if table is Table.panes else _scan
            found = in_order(scan(journal, table, selection))
        for row in found:
            yield from_plain(RECORD_TYPES[table], row)


def _check_folder(path: Path) -> None:
    if not path.exists():
        if not path.parent.is_dir():
            raise StoreError(f"{path.parent} is not a folder; make it, or name another path")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise StoreError(f"{path.parent} cannot be written by this user; name another folder")
        return
    if not path.is_dir():
        raise StoreError(f"{path} is a file; a JSONLStore is a folder, so name another path")
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise StoreError(f"{path} cannot be written by this user; name another folder")
    _check_version(path)


def _check_version(path: Path) -> int:
    """Return of which version the store in a folder is; 0: there is none yet."""
    about = path / _NAME
    # Looked for in this order: one who is making the store writes its files after its name.
    others = {entry.name for entry in path.iterdir()} - _UNBORN
    if not about.exists():
        if others:
            raise StoreError(
                f"{path} is not empty and has no {_NAME}, so it is not an mlwatch store: name "
                "another folder, which will be created"
            )
        return 0
    try:
        found = msgspec.json.decode(about.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError) as error:
        raise StoreError(f"{about} cannot be read ({error}); name another folder") from error
    if found.get("format") != _FORMAT or not isinstance(found.get("version"), int):
        raise StoreError(f"{about} is not of an mlwatch store; name another folder")
    if found["version"] > VERSION:
        raise StoreError(
            f"{path} is an mlwatch store of version {found['version']}, and this library reads "
            f"version {VERSION}: upgrade mlwatch-monitor, or name another folder"
        )
    version: int = found["version"]
    return version


def _leases(path: Path) -> dict[str, str]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except msgspec.MsgspecError as error:
        raise StoreError(
            f"{path} is damaged ({error}); delete it, and every lease is free again"
        ) from error


def _lines_by_file(
    rows: Mapping[Table, Mapping[str, Plain]], batch_id: str, seq: int
) -> dict[str, bytes]:
    files: dict[str, list[bytes]] = {}
    for table, by_key in rows.items():
        for row in by_key.values():
            name = _file_name(table, row)
            line = to_json({"batch": batch_id, "seq": seq} | row)
            files.setdefault(name, []).append(line + b"\n")
    return {name: b"".join(lines) for name, lines in files.items()}


def _file_name(table: Table, row: Plain) -> str:
    return f"{table}_{row['time'][:10].replace('-', '')}.jsonl"


def _thinned(panes: Iterable[Plain]) -> list[str]:
    """Return the files of panes that only take back, and so may leave nothing."""
    names = {
        _file_name(Table.panes, pane)
        for pane in panes
        if not any(count > 0 for tally in pane["tallies"].values() for count in tally.values())
    }
    return sorted(names)


def _asked(selection: Selection, head: Head) -> bool:
    return selection.matches(head.key, head.time, head.model, head.model_version)


def _scan(journal: Journal, table: Table, selection: Selection) -> Iterator[Plain]:
    """Return the rows asked for: of each key the line of the last commit."""
    last: dict[str, tuple[int, bytes | None]] = {}
    for name in journal.files(table):
        for head, line in journal.lines(name):
            if selection.keys is not None and head.key not in selection.keys:
                continue
            if head.seq > last.get(head.key, (0, None))[0]:
                last[head.key] = head.seq, line if _asked(selection, head) else None
    return (msgspec.json.decode(line) for _, line in last.values() if line is not None)


def _scan_panes(journal: Journal, table: Table, selection: Selection) -> Iterator[Plain]:
    """Return the sums of the panes asked for; a pane's key holds its time, and so its file."""
    panes: dict[str, Plain] = {}
    for name in journal.files(table):
        for head, line in journal.lines(name):
            if _asked(selection, head):
                add_pane(panes, _pane(line))
    return iter(panes.values())


def _pane(line: bytes) -> Plain:
    try:
        plain: Plain = msgspec.json.decode(line)
        tallies = msgspec.convert(plain["tallies"], dict[str, JSONTally])
        return plain | {"tallies": tallies_from_json(tallies)}
    except (LookupError, TypeError, ValueError, msgspec.MsgspecError) as error:
        raise StoreError(f"a line is no pane ({error}): {line[:200]!r}; take it out") from error


def _prune_table(journal: Journal, table: Table, cut: str) -> int:
    """Remove the rows of a table from before `cut`; return how many."""
    names = journal.files(table)
    day = cut[:10].replace("-", "")
    if table not in REVISED and all(name.rpartition("_")[2][:8] > day for name in names):
        return 0
    last: dict[str, tuple[int, str]] = {}
    for name in names:
        for head, _ in journal.lines(name):
            last[head.key] = max(last.get(head.key, (0, "")), (head.seq, head.time))
    # Newest first: killed in between, no line comes back that a line now gone had replaced.
    for name in reversed(names):
        lines = list(journal.lines(name))
        kept = [
            line
            for head, line in lines
            if last[head.key][1] >= cut and (table is Table.panes or last[head.key][0] == head.seq)
        ]
        if len(kept) < len(lines):
            journal.replace(name, kept)
    old = {key for key, (_, time) in last.items() if time < cut}
    revisions = journal.revisions.get(table, {})
    for key in old & revisions.keys():
        del revisions[key]
    return len(old)


def _add_up_panes(journal: Journal, name: str) -> None:
    """Put the sum of each pane in the place of its lines; the file does not grow by it."""
    panes: dict[str, Plain] = {}
    for _, line in journal.lines(name):
        add_pane(panes, _pane(line))
    journal.replace(name, [to_json(pane) + b"\n" for pane in panes.values()])
