"""A frame: what one append adds to a segment, and its bytes.

A segment begins with a magic word, a version and the CRC-32 of both. Each frame follows as a mark,
its length, its CRC-32 and one MessagePack array, a `Payload`. The mark begins with a byte that
MessagePack never uses, so that a reader finds the next frame behind a damaged one; the counts of
all earlier frames, which every frame carries, then say what was lost between. Each record is a byte
string of its own, so that a record nobody can decode costs no other.
"""

from __future__ import annotations

import base64
import os
import struct
import time as wall
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from mlwatch.errors import SpoolError
from mlwatch.spool.batch import events_of, rows_in
from mlwatch.spool.wire import decode_record, packer

VERSION: Final = 2
MARK: Final = b"\xc1MLF"
"""What a frame begins with."""

PREFIX: Final = struct.Struct("<4sII")
"""What stands before a payload: the mark, the payload's length, its CRC-32."""

_MAGIC = b"MLWSPOOL"
_ABOUT = struct.Struct("<8sI")
_CHECKSUM = struct.Struct("<I")


def opening(version: int = VERSION) -> bytes:
    """Return what a segment begins with."""
    about = _ABOUT.pack(_MAGIC, version)
    return about + _CHECKSUM.pack(zlib.crc32(about))


OPENING: Final = opening()


@dataclass(frozen=True, slots=True, order=True)
class SegmentId:
    """A segment: its writer, and its place among that writer's, from 1 and without gaps."""

    writer: str
    segment: int


@dataclass(frozen=True, slots=True)
class Frame:
    """One append, the unit in which progress is kept.

    Args:
        writer: Who appended it.
        segment: In which segment.
        number: Its place there, from 1.
        records: The decoded events, as lists; a batch is as many as it has rows.
        recorded: How many records the host handed over since the writer's last frame.
        dropped: How many were dropped since, by reason; "damaged" are those of frames before this
            one that cannot be read.
        noted: What else is worth knowing of them, by reason.
        time: When it was appended, by the wall clock.
    """

    writer: str
    segment: int
    number: int
    records: list[Any]
    recorded: int
    dropped: Mapping[str, int]
    noted: Mapping[str, int]
    time: datetime


Encoded = bytes
"""One record, as the recorder encoded it."""


class Counts(msgspec.Struct, frozen=True, array_like=True):
    """What one append, or several, counted.

    Args:
        records: How many events were written.
        recorded: How many the host handed over.
        dropped: How many were dropped, by reason.
        noted: What else is worth knowing of them, by reason.
    """

    records: int = 0
    recorded: int = 0
    dropped: dict[str, int] = {}
    noted: dict[str, int] = {}

    def plus(self, other: Counts) -> Counts:
        """Return both together."""
        return Counts(
            self.records + other.records,
            self.recorded + other.recorded,
            Counter(self.dropped) + Counter(other.dropped),
            Counter(self.noted) + Counter(other.noted),
        )

    def minus(self, other: Counts) -> Counts:
        """Return what was counted since `other`."""
        return Counts(
            self.records - other.records,
            self.recorded - other.recorded,
            Counter(self.dropped) - Counter(other.dropped),
            Counter(self.noted) - Counter(other.noted),
        )


NOTHING: Final = Counts()


class Payload(msgspec.Struct, frozen=True, array_like=True):
    """A frame as it is written.

    Args:
        number: Its place in the segment, from 1.
        earlier: The counts of all frames of the segment before it.
        own: Its own counts.
        time: When it was appended.
        records: The encoded records.
    """

    number: int
    earlier: Counts
    own: Counts
    time: datetime
    records: Sequence[Encoded]


_encode = packer(msgspec.msgpack.Encoder())
_DECODER = msgspec.msgpack.Decoder(Payload)


def new_writer() -> str:
    """Return a name that no other process, on any host, ever had; names sort by time."""
    drawn = (wall.time_ns() // 1_000_000).to_bytes(6, "big") + os.urandom(8)
    # Every record bears it, so it is short, and this alphabet is in the order of the bytes.
    return base64.b32hexencode(drawn).decode().rstrip("=").lower()


def encode_frame(payload: Payload) -> bytes:
    """Return the bytes of a frame."""
    data = _encode(payload)
    return PREFIX.pack(MARK, len(data), zlib.crc32(data)) + data


def read_payload(prefix: bytes, data: bytes) -> Payload | None:
    """Return the payload whose bytes are `data`; None when they are damaged."""
    mark, length, checksum = PREFIX.unpack(prefix)
    if mark != MARK or len(data) != length or zlib.crc32(data) != checksum:
        return None
    return decode_payload(data)


def decode_payload(data: bytes) -> Payload | None:
    """Return the payload that can be decoded, sound or not; None where none can."""
    try:
        return _DECODER.decode(data)
    except msgspec.DecodeError:
        return None


def decode_frame(segment: SegmentId, payload: Payload, lost: Counts = NOTHING) -> Frame:
    """Return the frame of a payload; a record that cannot be decoded is counted as dropped.

    Args:
        segment: Where the frame lies.
        payload: What was read of it.
        lost: The counts of the frames before it that could not be read.
    """
    counts = payload.own.plus(lost)
    records: list[Any] = []
    undecodable = 0
    replaced: Counter[str] = Counter()
    for data in payload.records:
        try:
            record, changed = decode_record(data)
            records += list(events_of(record))
        except (msgspec.DecodeError, LookupError, TypeError, ValueError):
            undecodable += rows_in(data)
            continue
        if changed:
            replaced["unencodable_value"] += 1
            replaced.update(f"unencodable_value: {name}" for name in changed)
    return Frame(
        segment.writer,
        segment.segment,
        payload.number,
        records,
        counts.recorded,
        Counter(counts.dropped) + Counter(damaged=lost.records, undecodable=undecodable),
        Counter(counts.noted) + replaced,
        payload.time,
    )


def check_opening(data: bytes, name: str) -> bool:
    """Say whether a segment's opening is whole.

    Raises:
        SpoolError: It is whole and of a newer version.
    """
    about, checksum = data[: _ABOUT.size], data[_ABOUT.size : len(OPENING)]
    if len(data) < len(OPENING) or checksum != _CHECKSUM.pack(zlib.crc32(about)):
        return False
    magic, version = _ABOUT.unpack(about)
    if magic == _MAGIC and version > VERSION:
        raise SpoolError(
            f"{name} has version {version} and this mlwatch reads up to {VERSION}; upgrade mlwatch"
        )
    return bool(magic == _MAGIC)
