"""The one segment a process appends to."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from mlwatch.errors import SpoolError
from mlwatch.spool.frame import NOTHING, OPENING, Counts, Encoded, Payload, encode_frame


class OpenSegment:
    """An append-only file, locked for as long as its writer lives.

    The lock tells others that the writer is alive; it goes with the process, whatever ends it.

    Args:
        path: The file, which must not exist yet.
        sync: Wait for the disk at each append.

    Raises:
        OSError: The file cannot be made.
    """

    def __init__(self, path: Path, *, sync: bool) -> None:
        self.path = path
        self.frames = 0
        self._counts = NOTHING
        self.size = 0
        self._sync = sync
        self._descriptor = _create(path)
        try:
            self._write(OPENING)
            if sync:
                _sync_folder(path.parent)
        except OSError:
            self.close()
            raise

    @property
    def linked(self) -> bool:
        """Whether the file still has a name; what is written to a deleted one is lost."""
        return os.fstat(self._descriptor).st_nlink > 0

    def encode(self, own: Counts, time: datetime, records: Sequence[Encoded]) -> bytes:
        """Return the bytes of what will be the next frame."""
        return encode_frame(Payload(self.frames + 1, self._counts, own, time, records))

    def append(self, frame: bytes, own: Counts) -> None:
        """Write a whole frame or none of it.

        Args:
            frame: What `encode` returned.
            own: The counts in it.

        Raises:
            OSError: It was not written, and nothing of it is left in the file.
            SpoolError: It was written, but the disk would not confirm it, or what was written of
                it could not be taken back. This segment must not be appended to any more.
        """
        self._write(frame)
        self.frames += 1
        self._counts = self._counts.plus(own)
        if self._sync:
            try:
                os.fdatasync(self._descriptor)
            except OSError as error:
                # Some of it may have been read already, so it stays; ingest drops what comes twice.
                raise SpoolError(f"{self.path} cannot be synced: {error}") from error

    def close(self) -> None:
        """Let go of the file, and remove it when it holds no frame."""
        if self._descriptor < 0:
            return
        if self.frames == 0:
            with contextlib.suppress(OSError):
                self.path.unlink()
        self.abandon()

    def abandon(self) -> None:
        """Close the descriptor and nothing else, as a forked child has to."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        self.abandon()

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            self._take_back()
            raise
        self.size += len(data)

    def _take_back(self) -> None:
        try:
            os.ftruncate(self._descriptor, self.size)
        except OSError as error:
            raise SpoolError(f"{self.path} has a torn end that stays: {error}") from error


def _create(path: Path) -> int:
    """Make and lock a file that no reader has taken for a dead writer's in between."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
    while True:
        descriptor = os.open(path, flags, 0o600)
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                undo.pop_all()
                return descriptor


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
