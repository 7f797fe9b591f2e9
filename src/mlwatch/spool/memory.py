"""A spool in memory: one process, gone with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from mlwatch import _threads
from mlwatch.errors import SpoolError
from mlwatch.spans import utc_now
from mlwatch.spool.batch import rows_in
from mlwatch.spool.frame import (
    NOTHING,
    PREFIX,
    Counts,
    Encoded,
    Frame,
    Payload,
    SegmentId,
    decode_frame,
    encode_frame,
    new_writer,
    read_payload,
)

_SEGMENT_BYTES = 2**20


class MemorySpool:
    """Frames in memory, for tests, notebooks and services that may lose what a kill takes.

    It serves the process that made it: another one's records would never be seen here.

    Args:
        max_bytes: All segments together take no more; beyond, appending raises `SpoolError`.
        clock: Gives the time of a frame.
    """

    def __init__(self, max_bytes: int = 2**30, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._max_bytes = max_bytes
        # A fourth at most, so that segments finish, and can be removed, before the spool is full.
        self._segment_bytes = min(_SEGMENT_BYTES, max_bytes // 4)
        self._clock = clock
        self._pid = os.getpid()
        self._writer = new_writer()
        self._lock = _threads.new_lock()
        self._frames: dict[SegmentId, list[bytes]] = {}
        self._sizes: dict[SegmentId, int] = {}
        self._opened = 1

    @property
    def writer(self) -> str:
        """The name under which this process appends."""
        return self._writer

    @property
    def bytes(self) -> int:
        """The size of all segments."""
        return sum(tuple(self._sizes.values()))

    def append(
        self,
        records: Sequence[Encoded],
        recorded: int,
        dropped: Mapping[str, int],
        noted: Mapping[str, int],
    ) -> None:
        """Append one frame.

        Raises:
            SpoolError: There is no room, or this is not the process that made the spool.
        """
        if os.getpid() != self._pid:
            raise SpoolError(
                "a spool in memory serves only the process that made it; make the monitor in each "
                'worker, or give CaptureOptions(spool="a/folder")',
                reason="fork",
                permanent=True,
            )
        with self._lock:
            segment = self._current()
            number = len(self._frames.get(segment, ())) + 1
            if self._sizes.get(segment, 0) >= self._segment_bytes:
                self._finish()
                segment, number = self._current(), 1
            own = Counts(sum(map(rows_in, records)), recorded, dict(dropped), dict(noted))
            # Memory cannot be damaged, so that no frame has to tell of the earlier ones.
            frame = encode_frame(Payload(number, NOTHING, own, self._clock(), records))
            if self.bytes + len(frame) > self._max_bytes:
                self._finish()
                raise SpoolError(
                    f"the spool in memory has reached {self._max_bytes:,} bytes; run a cycle, or "
                    "raise CaptureOptions(max_spool_bytes=...)",
                    reason="spool_full",
                )
            self._frames.setdefault(segment, []).append(frame)
            self._sizes[segment] = self._sizes.get(segment, 0) + len(frame)

    def segments(self) -> list[SegmentId]:
        """Return all segments, oldest first."""
        return sorted(self._frames)

    def read(self, segment: SegmentId, after: int, *, to_end: bool = False) -> Iterator[Frame]:
        """Return the frames numbered above `after`; nothing else is ever at the end."""
        for frame in self._frames.get(segment, [])[max(after, 0) :]:
            payload = read_payload(frame[: PREFIX.size], frame[PREFIX.size :])
            if payload is not None:
                yield decode_frame(segment, payload)

    def finished(self, segment: SegmentId) -> bool:
        """Whether the segment is no longer appended to."""
        return segment != self._current()

    def remove(self, segment: SegmentId) -> None:
        """Remove a finished segment.

        Raises:
            SpoolError: The segment is not finished.
        """
        with self._lock:
            if not self.finished(segment):
                raise SpoolError(f"{segment} is still written to and cannot be removed")
            self._frames.pop(segment, None)
            self._sizes.pop(segment, None)

    def forget(self) -> None:
        """Let go, in a forked child, of what belongs to the parent."""
        self._lock = _threads.new_lock()
        self._frames = {}
        self._sizes = {}

    def rotate(self) -> None:
        """Leave the open segment: it takes no room that ingest could free."""

    def close(self) -> None:
        """Finish the open segment."""
        with self._lock:
            self._finish()

    def _current(self) -> SegmentId:
        return SegmentId(self._writer, self._opened)

    def _finish(self) -> None:
        if self._current() in self._frames:
            self._opened += 1
