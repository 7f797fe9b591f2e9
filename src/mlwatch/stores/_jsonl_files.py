"""The files of a JSONL store: lines that count only once a commit says so.

A writer holds the store's lock, appends its lines to the daily files, and then one line to
`commits.jsonl` that says how long each of these files now is. A file counts up to the length
that the last commit naming it says; what a killed writer left beyond is ignored, and cut off by
the next who appends there. A file that is shorter was pruned by someone who was killed before
saying so: all of it counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from mlwatch.errors import StoreError
from mlwatch.records import Table

_HEAD = 32
"""So many bytes at the start of `commits.jsonl` tell one version of it from the next."""


class Commit(msgspec.Struct, omit_defaults=True):
    """One line of `commits.jsonl`: what a batch, or a prune, has changed.

    Args:
        seq: The number of the commit; the lines it wrote carry it too.
        batch: The id of the batch; empty for a prune, which says everything anew.
        time: The newest time in the batch.
        files: How long the files now are, in bytes.
        revisions: The revisions of the rows of state and progress, by table and key.
        thinned: The files in which counts were taken back, so that lines may cancel out.
    """

    seq: int
    batch: str
    time: str = ""
    files: dict[str, int] = {}
    revisions: dict[str, dict[str, int]] = {}
    thinned: list[str] = []


class Head(msgspec.Struct):
    """What is read of every line; the rest is read of the lines that are asked for."""

    seq: int
    key: str
    time: str
    model: str
    model_version: str


_HEADS = msgspec.json.Decoder(Head)
_COMMITS = msgspec.json.Decoder(Commit)


class Journal:
    """What `commits.jsonl` says, read as it grows; used only under the store's lock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "commits.jsonl"
        self._forget()

    def _forget(self) -> None:
        self.seq = 0
        self.batches: dict[str, str] = {}
        self.sizes: dict[str, int] = {}
        self.revisions: dict[str, dict[str, int]] = {}
        self.thinned: set[str] = set()
        self._head = b""
        self._end = 0

    def refresh(self) -> None:
        """Read what others have committed since.

        Raises:
            StoreError: `commits.jsonl` is damaged, or gone: without it nothing would count.
        """
        if not self._path.exists():
            raise StoreError(f"{self._path} is gone; restore it, or name another folder")
        with self._path.open("rb") as file:
            head = file.read(_HEAD)
            if not head.startswith(self._head) or os.fstat(file.fileno()).st_size < self._end:
                self._forget()
            self._head = head
            file.seek(self._end)
            for line in file:
                if line.endswith(b"\n"):
                    self._apply(_decoded(_COMMITS, line, f"{self._path} at byte {self._end}"))
                    self._end += len(line)

    def _apply(self, commit: Commit) -> None:
        self.seq = max(self.seq, commit.seq)
        if commit.batch:
            self.batches[commit.batch] = commit.time
        self.sizes.update(commit.files)
        self.thinned.update(commit.thinned)
        for table, revisions in commit.revisions.items():
            self.revisions.setdefault(table, {}).update(revisions)

    def files(self, table: Table) -> list[str]:
        """Return the names of the table's daily files, oldest first."""
        return sorted(name for name in self.sizes if name.rpartition("_")[0] == table)

    def lines(self, name: str) -> Iterator[tuple[Head, bytes]]:
        """Return the committed lines of a file, each with its head."""
        path = self._folder / name
        left = self.sizes.get(name, 0)
        with suppress(FileNotFoundError), path.open("rb") as file:
            for number, line in enumerate(file, 1):
                left -= len(line)
                if left < 0:
                    return
                yield _decoded(_HEADS, line, f"{path} line {number}"), line

    def commit(self, commit: Commit, appends: dict[str, bytes]) -> None:
        """Append to the files and then say so; on a failure the files are as they were.

        Raises:
            OSError: The disk is full, or a file cannot be written.
        """
        sizes: dict[str, int] = {}
        try:
            for name, data in appends.items():
                size = self._true_size(name)
                append(self._folder / name, size, data)
                sizes[name] = size
                commit.files[name] = size + len(data)
            line = msgspec.json.encode(commit) + b"\n"
            append(self._path, self._end, line)
        except OSError:
            for name, size in sizes.items():
                with suppress(OSError):
                    os.truncate(self._folder / name, size)
            raise
        self._end += len(line)
        self._apply(commit)

    def _true_size(self, name: str) -> int:
        said = self.sizes.get(name, 0)
        path = self._folder / name
        found = path.stat().st_size if path.exists() else 0
        if found < said:
            self.commit(Commit(self.seq + 1, "", files={name: found}), {})
        return min(said, found)

    def replace(self, name: str, lines: Iterable[bytes]) -> None:
        """Put these lines in the place of a file, at once; without lines it is removed."""
        path, data = self._folder / name, b"".join(lines)
        if data:
            replace_file(path, data)
            self.sizes[name] = len(data)
        else:
            path.unlink(missing_ok=True)
            del self.sizes[name]

    def rewrite(self) -> None:
        """Write `commits.jsonl` anew from what is known; so what was taken out is forgotten."""
        commit = Commit(self.seq + 1, "", "", self.sizes, self.revisions, sorted(self.thinned))
        ids = (Commit(0, batch, time) for batch, time in self.batches.items())
        data = b"".join(msgspec.json.encode(line) + b"\n" for line in (commit, *ids))
        replace_file(self._path, data)
        self.seq, self._head, self._end = commit.seq, data[:_HEAD], len(data)


def append(path: Path, size: int, data: bytes) -> None:
    """Cut the file to `size` and append `data`; when that fails, cut it again.

    Raises:
        OSError: The disk is full, or the file cannot be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        os.ftruncate(descriptor, size)
        written = 0
        while written < len(data):
            written += os.pwrite(descriptor, data[written:], size + written)
    except BaseException:
        with suppress(OSError):
            os.ftruncate(descriptor, size)
        raise
    finally:
        os.close(descriptor)


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` in the place of a file, at once."""
    fresh = path.with_name(f"{path.name}.tmp")
    fresh.write_bytes(data)
    fresh.replace(path)


def _decoded(decoder: msgspec.json.Decoder[Any], line: bytes, where: str) -> Any:
    try:
        return decoder.decode(line)
    except msgspec.MsgspecError as error:
        raise StoreError(
            f"{where}: the line is damaged ({error}); take the line out to go on without it"
        ) from error
