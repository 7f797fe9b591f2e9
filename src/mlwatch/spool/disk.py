"""A spool on disk: a folder of segments, one writer each."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from mlwatch import _threads
from mlwatch.errors import ConfigurationError, SpoolError
from mlwatch.spans import utc_now
from mlwatch.spool.batch import rows_in
from mlwatch.spool.frame import (
    OPENING,
    Counts,
    Encoded,
    Frame,
    SegmentId,
    new_writer,
)
from mlwatch.spool.reading import Place, begin, read_end, read_frames
from mlwatch.spool.segment import OpenSegment

_NAME = re.compile(r"(?P<writer>[0-9a-v]+)-(?P<segment>[0-9]{6,})\.seg")


class DiskSpool:
    """Segments in a folder. What was appended survives the death of the process.

    Every process appends to a segment of its own, holding a lock on it (flock) by which others
    see that it lives: the folder must be on a local file system. Nothing is made before the first
    append. A segment in which damage was met is renamed to `<name>.bad` when it is done, and never
    looked at again.

    Args:
        path: The folder.
        max_bytes: All segments together take no more; beyond, appending raises `SpoolError`.
        durability: "process", or "disk" to survive a loss of power: each append waits for the disk.
        segment_bytes: A segment that is larger is finished.
        segment_age: A segment that is older is finished.
        clock: Gives the time of a frame.
        monotonic: Gives seconds for the age of a segment.

    Raises:
        ConfigurationError: The folder cannot be written, or made.
    """

    def __init__(
        self,
        path: str | Path,
        max_bytes: int = 2**30,
        durability: Literal["process", "disk"] = "process",
        *,
        segment_bytes: int = 64 * 2**20,
        segment_age: timedelta = timedelta(hours=1),
        clock: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = Path(path).absolute()
        self._max_bytes = max_bytes
        self._sync = durability == "disk"
        # A fourth at most, so that segments finish, and can be removed, before the spool is full.
        self._segment_bytes = min(segment_bytes, max_bytes // 4)
        self._segment_age = segment_age.total_seconds()
        self._clock = clock
        self._monotonic = monotonic
        _require_writable(self.path)
        self._places: dict[SegmentId, Place] = {}
        self.forget()

    def forget(self) -> None:
        """Let go, in a forked child, of what belongs to the parent; takes no lock."""
        open_segment = getattr(self, "_open", None)
        if open_segment is not None:
            open_segment.abandon()
        self._lock = _threads.new_lock()
        self._pid = os.getpid()
        self._writer = new_writer()
        self._filled = 0
        self._open: OpenSegment | None = None
        self._due = 0.0

    @property
    def writer(self) -> str:
        """The name under which this process appends."""
        return self._writer

    @property
    def bytes(self) -> int:
        """The size of all segments, of every writer.

        Raises:
            SpoolError: The folder cannot be read, as for `segments`.
        """
        return sum(size for _, size in self._seen())

    def append(
        self,
        records: Sequence[Encoded],
        recorded: int,
        dropped: Mapping[str, int],
        noted: Mapping[str, int],
    ) -> None:
        """Append one frame to this process's own segment.

        Raises:
            SpoolError: The frame was not written; appending it again makes no duplicate.
        """
        if self._pid != os.getpid():  # a fork that ran no hook, as uWSGI's
            self.forget()
        with self._lock:
            try:
                segment = self._ready()
                own = Counts(sum(map(rows_in, records)), recorded, dict(dropped), dict(noted))
                frame = segment.encode(own, self._clock(), records)
                self._require_room(len(frame))
                segment.append(frame, own)
            except OSError as error:
                raise SpoolError(f"the spool {self.path} cannot be written: {error}") from error
            except SpoolError:
                self._finish()
                raise

    def segments(self) -> list[SegmentId]:
        """Return all segments, those of other and of dead processes too, oldest first.

        Raises:
            SpoolError: The folder cannot be read.
        """
        matches = [_NAME.fullmatch(name) for name, _ in self._seen()]
        found = sorted(SegmentId(m["writer"], int(m["segment"])) for m in matches if m)
        places = self._places
        self._places = {segment: places[segment] for segment in found if segment in places}
        return found

    def read(self, segment: SegmentId, after: int, *, to_end: bool = False) -> Iterator[Frame]:
        """Return the frames numbered above `after`, past those that are damaged.

        What was lost with damaged frames is counted as dropped by the next sound one. At the end
        of a finished segment (`to_end`) a last frame does so; it notes there what a kill has torn.

        Raises:
            SpoolError: The segment cannot be read, is foreign or newer than this library.
        """
        with self._reading(segment) as descriptor:
            if descriptor is None:
                return
            known = self._places.get(segment)
            if known is None or known.number > after:
                known = begin(descriptor, str(self._file(segment)))
            place = known
            for frame, place in read_frames(descriptor, segment, known, after):
                if frame is not None:
                    yield frame
                # Asked for the next: this one is done with, and need not be read over again.
                self._places[segment] = place
            end = read_end(descriptor, segment, place, self._clock()) if to_end else None
            if end is not None:
                frame, self._places[segment] = end
                if frame.number > after:
                    yield frame

    def finished(self, segment: SegmentId) -> bool:
        """Whether nobody will append to the segment any more."""
        if self._is_open(segment):
            return False
        with self._without_writer(segment) as dead:
            return dead

    def remove(self, segment: SegmentId) -> None:
        """Remove a finished segment; one that is gone already is no error.

        One in which damage was met is kept as `<name>.bad`.

        Raises:
            SpoolError: The segment is not finished, or cannot be removed.
        """
        path = self._file(segment)
        with self._without_writer(segment) as dead:
            if self._is_open(segment) or not dead:
                raise SpoolError(f"{path} is still written to and cannot be removed")
            place = self._places.get(segment)
            try:
                with contextlib.suppress(FileNotFoundError):
                    if place is not None and place.damaged:
                        path.replace(f"{path}.bad")
                    else:
                        path.unlink()
            except OSError as error:
                raise SpoolError(f"{path} cannot be removed: {error}") from error

    def rotate(self) -> None:
        """Finish the open segment when it is large or old enough."""
        if self._pid == os.getpid():
            with self._lock:
                if self._open is not None and self._is_done(self._open):
                    self._finish()

    def close(self) -> None:
        """Finish the open segment; a later append starts another."""
        if self._pid == os.getpid():
            with self._lock:
                self._finish()

    def _ready(self) -> OpenSegment:
        """Return the segment to append to, a new one when it is time for that."""
        if self._open is not None and self._is_done(self._open):
            self._finish()
        if self._open is None:
            self._require_room(len(OPENING))
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self._file(self._current())
            path.unlink(missing_ok=True)  # what an earlier try left, without a whole frame
            self._open = OpenSegment(path, sync=self._sync)
            self._due = self._monotonic() + self._segment_age
        return self._open

    def _is_done(self, segment: OpenSegment) -> bool:
        aged = self._monotonic() >= self._due
        return aged or segment.size >= self._longest() or not segment.linked

    def _longest(self) -> int:
        """Return how long a segment may be: short in a crowd, since none is removed while open."""
        crowded = self._size() > self._max_bytes // 4
        return min(self._segment_bytes, self._max_bytes // 256) if crowded else self._segment_bytes

    def _finish(self) -> None:
        if self._open is not None:
            self._open.close()
            # Numbers have no gaps: one that holds no frame is used again.
            self._filled += self._open.frames > 0
            self._open = None

    def _require_room(self, size: int) -> None:
        if self._size() + size > self._max_bytes:
            raise SpoolError(
                f"the spool {self.path} has reached {self._max_bytes:,} bytes; ingest it (run a "
                "cycle), or raise CaptureOptions(max_spool_bytes=...)",
                reason="spool_full",
            )

    def _is_open(self, segment: SegmentId) -> bool:
        own = self._pid == os.getpid() and self._open is not None
        return own and segment == self._current()

    def _current(self) -> SegmentId:
        return SegmentId(self._writer, self._filled + 1)

    def _file(self, segment: SegmentId) -> Path:
        return self.path / f"{segment.writer}-{segment.segment:06d}.seg"

    def _files(self) -> Iterator[tuple[str, int]]:
        with contextlib.suppress(FileNotFoundError), os.scandir(self.path) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    if entry.name.endswith(".seg"):
                        yield entry.name, entry.stat().st_size

    def _size(self) -> int:
        return sum(size for _, size in self._files())

    def _seen(self) -> list[tuple[str, int]]:
        """Return the files for a reader.

        Raises:
            SpoolError: No descriptor is left, say, or the folder became a file.
        """
        try:
            return list(self._files())
        except OSError as error:
            raise SpoolError(f"the spool {self.path} cannot be read: {error}") from error

    @contextlib.contextmanager
    def _without_writer(self, segment: SegmentId) -> Iterator[bool]:
        """Say whether the writer let go of a segment, and keep any from taking it meanwhile."""
        try:
            descriptor = os.open(self._file(segment), os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            yield isinstance(error, FileNotFoundError)  # anything else: nobody can tell
            return
        try:
            yield _try_lock(descriptor)
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def _reading(self, segment: SegmentId) -> Iterator[int | None]:
        """Open a segment to read it; None where there is none."""
        path = self._file(segment)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            yield None
            return
        except OSError as error:
            raise SpoolError(f"{path} cannot be read: {error}") from error
        try:
            yield descriptor
        except OSError as error:  # a failing disk, or a folder of that name
            raise SpoolError(f"{path} cannot be read: {error}") from error
        finally:
            os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _require_writable(path: Path) -> None:
    standing = next(folder for folder in (path, *path.parents) if _exists(folder))
    if not standing.is_dir():
        raise ConfigurationError(
            f"the spool {path} cannot be a folder: {standing} is a file; name another in "
            "CaptureOptions(spool=...)"
        )
    if not os.access(standing, os.R_OK | os.W_OK | os.X_OK):
        raise ConfigurationError(
            f"the spool {path} cannot be written: no permission in {standing}; grant it, or name "
            "another folder in CaptureOptions(spool=...)"
        )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        return False
