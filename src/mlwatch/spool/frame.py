"""A frame: what one append adds to a segment, and its bytes.

A segment begins with a magic word and a version. Each frame follows as its length, its CRC-32 and
one MessagePack array: number, recorded, dropped, noted, time, and the records, each as a byte
string of its own, so that a record nobody can decode costs no other.
"""

from __future__ import annotations

import os
import struct
import time as wall
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final

import msgspec

from mlwatch.errors import SpoolError
from mlwatch.spool.wire import decode_record

VERSION: Final = 1
_MAGIC = b"MLWSPOOL"
_OPENING = struct.Struct("<8sI")
_PREFIX = struct.Struct("<II")

OPENING: Final = _OPENING.pack(_MAGIC, VERSION)
"""What a segment begins with."""


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
        records: The decoded records, as lists.
        recorded: How many records the host handed over since the writer's last frame.
        dropped: How many were dropped since, by reason.
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

Payload = tuple[int, int, dict[str, int], dict[str, int], datetime, list[Encoded]]

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Payload)


def utc_now() -> datetime:
    """Return the wall clock's time."""
    return datetime.now(UTC)


def new_writer() -> str:
    """Return a name that no other process, on any host, ever had; names sort by time."""
    return f"{wall.time_ns() // 1_000_000:012x}{os.urandom(8).hex()}"


def encode_frame(
    number: int,
    records: Sequence[Encoded],
    *,
    recorded: int,
    dropped: Mapping[str, int],
    noted: Mapping[str, int],
    time: datetime,
) -> bytes:
    """Return the bytes of a frame."""
    payload = _ENCODER.encode((number, recorded, dict(dropped), dict(noted), time, records))
    return _PREFIX.pack(len(payload), zlib.crc32(payload)) + payload


def decode_frame(segment: SegmentId, payload: bytes) -> Frame:
    """Return the frame of a payload; a record that cannot be decoded is counted as dropped.

    Raises:
        msgspec.DecodeError: The payload is not one of a frame.
    """
    number, recorded, dropped, noted, time, encoded = _DECODER.decode(payload)
    records = []
    undecodable = replaced = 0
    for data in encoded:
        try:
            record, lost = decode_record(data)
        except msgspec.DecodeError:
            undecodable += 1
            continue
        records.append(record)
        replaced += lost > 0
    return Frame(
        segment.writer,
        segment.segment,
        number,
        records,
        recorded,
        _plus(dropped, "undecodable", undecodable),
        _plus(noted, "unencodable_value", replaced),
        time,
    )


def read_opening(file: BinaryIO, name: str) -> bool:
    """Read what a segment begins with; False when its writer died before that was written.

    Raises:
        SpoolError: The file is not a segment, or of a newer version.
    """
    opening = file.read(len(OPENING))
    if len(opening) < len(OPENING) or not any(opening):
        return False
    magic, version = _OPENING.unpack(opening)
    if magic != _MAGIC:
        raise SpoolError(f"{name} is not a segment of a spool; move it out of the folder")
    if version > VERSION:
        raise SpoolError(
            f"{name} has version {version} and this mlwatch reads up to {VERSION}; upgrade mlwatch"
        )
    return True


def read_payload(file: BinaryIO) -> bytes | None:
    """Read the next frame's payload; None when no whole and sound frame follows."""
    prefix = file.read(_PREFIX.size)
    if len(prefix) < _PREFIX.size:
        return None
    length, checksum = _PREFIX.unpack(prefix)
    # A disk that lost its power may give zeros, whose length and checksum would agree.
    if length == 0:
        return None
    payload = file.read(length)
    if len(payload) < length or zlib.crc32(payload) != checksum:
        return None
    return payload


def _plus(counts: dict[str, int], reason: str, more: int) -> Mapping[str, int]:
    return Counter(counts) + Counter({reason: more}) if more else counts
