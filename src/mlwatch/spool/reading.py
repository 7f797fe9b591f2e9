"""Reading a segment: every sound frame, what was lost between, and what is left at its end."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from mlwatch.errors import SpoolError
from mlwatch.spool.batch import rows_in
from mlwatch.spool.frame import (
    MARK,
    NOTHING,
    OPENING,
    PREFIX,
    Counts,
    Frame,
    Payload,
    SegmentId,
    check_opening,
    decode_frame,
    decode_payload,
    read_payload,
)


@dataclass(frozen=True, slots=True)
class Place:
    """How far a segment has been read.

    Args:
        at: Where its last sound frame ends, in bytes.
        number: The number of that frame.
        counts: The counts of all frames up to that one.
        damaged: Whether something before it, or behind it in a finished segment, is damaged.
    """

    at: int = len(OPENING)
    number: int = 0
    counts: Counts = NOTHING
    damaged: bool = False


class _Sound(NamedTuple):
    payload: Payload
    start: int
    end: int


def begin(descriptor: int, name: str) -> Place:
    """Return the place where the frames of a segment begin.

    Raises:
        SpoolError: The file is not a segment, or of a newer version.
    """
    opening = os.pread(descriptor, len(OPENING), 0)
    if check_opening(opening, name):
        return Place()
    if _next(descriptor, Place(at=0)) is not None:
        return Place(at=0, damaged=True)
    # Its writer died before the opening was written, or a loss of power left zeros.
    if len(opening) < len(OPENING) or not any(opening):
        return Place(at=0)
    raise SpoolError(f"{name} is not a segment of a spool; move it out of the folder")


def read_frames(
    descriptor: int, segment: SegmentId, place: Place, after: int
) -> Iterator[tuple[Frame | None, Place]]:
    """Return the sound frames behind a place, each with the place behind it.

    A frame counts as its own what was lost with the damaged frames before it; of those up to the
    number `after` nothing was lost, and a sound one of them is None.
    """
    while (found := _next(descriptor, place)) is not None:
        payload = found.payload
        lost = _lost(place, payload, after)
        counts = payload.earlier.plus(payload.own)
        damaged = place.damaged or found.start > place.at
        place = Place(found.end, payload.number, counts, damaged)
        yield decode_frame(segment, payload, lost) if payload.number > after else None, place


def read_end(
    descriptor: int, segment: SegmentId, place: Place, now: datetime
) -> tuple[Frame, Place] | None:
    """Return what lies behind the last sound frame of a finished segment; None when nothing does.

    It comes as a frame without records. An end that is torn, as a kill or a loss of power leaves
    it, is noted; whatever else cannot be read is damaged, and as many records as can be made out,
    one a frame at least, are dropped.
    """
    rest = _rest(descriptor, place.at)
    if not rest:
        return None
    torn = _is_torn(rest, place)
    lost = 0 if torn else sum(map(_records_in, rest[len(MARK) :].split(MARK)))
    frame = Frame(
        segment.writer,
        segment.segment,
        place.number + 1,
        [],
        lost,
        {"damaged": lost} if lost else {},
        {"torn_bytes": len(rest), "torn_segments": 1} if torn else {},
        now,
    )
    return frame, replace(place, damaged=place.damaged or not torn)


def _next(descriptor: int, place: Place) -> _Sound | None:
    """Return the next sound frame, past what is damaged; None when none follows (yet)."""
    found = _frame_at(descriptor, place.at, place.number)
    if found is not None:
        return found
    for start in _candidates(_rest(descriptor, place.at)):
        behind = _frame_at(descriptor, place.at + start, place.number)
        if behind is not None:
            # Asked again: a write that failed may have been taken back and repeated meanwhile.
            return _frame_at(descriptor, place.at, place.number) or behind
    return None


def _frame_at(descriptor: int, at: int, above: int) -> _Sound | None:
    """Return the frame at an offset if it is whole, sound and numbered above `above`."""
    prefix = os.pread(descriptor, PREFIX.size, at)
    if len(prefix) < PREFIX.size:
        return None
    start = at + PREFIX.size
    end = start + PREFIX.unpack(prefix)[1]
    if end > os.fstat(descriptor).st_size:
        return None
    payload = read_payload(prefix, os.pread(descriptor, end - start, start))
    return None if payload is None or payload.number <= above else _Sound(payload, at, end)


def _candidates(rest: bytes) -> Iterator[int]:
    """Return where the next frame may begin: behind this one's length, and at every mark."""
    if rest.startswith(MARK) and len(rest) >= PREFIX.size:
        yield PREFIX.size + PREFIX.unpack_from(rest)[1]
    start = rest.find(MARK, 1)
    while start >= 0:
        yield start
        start = rest.find(MARK, start + 1)


def _lost(place: Place, payload: Payload, after: int) -> Counts:
    missing = payload.number - 1 - max(place.number, after)
    if missing <= 0:
        return NOTHING
    if place.number >= after:
        return payload.earlier.minus(place.counts)
    # The counts up to `after` were in a frame that is damaged by now.
    return Counts(records=missing, recorded=missing)


def _is_torn(rest: bytes, place: Place) -> bool:
    if len(rest) < PREFIX.size or not rest.strip(b"\0"):
        return True
    if place.at == 0 and len(rest) < len(OPENING):
        return True
    mark, length, checksum = PREFIX.unpack_from(rest)
    data = rest[PREFIX.size :]
    # A whole frame of which only the length is damaged is not torn.
    return bool(mark == MARK and len(data) < length and zlib.crc32(data) != checksum)


def _records_in(part: bytes) -> int:
    """Return how many records a damaged frame holds, 1 when that cannot be made out."""
    payload = decode_payload(part[PREFIX.size - len(MARK) :])
    return 1 if payload is None else sum(map(rows_in, payload.records))


def _rest(descriptor: int, at: int) -> bytes:
    return os.pread(descriptor, max(0, os.fstat(descriptor).st_size - at), at)
