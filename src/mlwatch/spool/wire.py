"""The bytes of one record: MessagePack, and two extensions of ours.

Whatever an encoder let through becomes lists, mappings with text keys and plain values, nested no
deeper than `DEEPEST`, so that nothing downstream has to be afraid of a record.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

BIG_INTEGER: Final = 1
"""Extension: an integer beyond 64 bits, big-endian two's complement."""

UNENCODABLE: Final = 2
"""Extension: the name of the type of a value that could not be kept."""

DEEPEST: Final = 16
"""How deep lists and mappings may be nested inside a field."""


BATCH: Final = (b"\x9a\xa1b", b"\x9b\xa1b")
"""What a record that stands for many begins with: an array of ten fields, the first of them "b".

Or of eleven, where the rows have segments.
"""
_FIRST_SIZE = 512  # room for most records, as growing costs


def marker(type_name: str) -> str:
    """Return the text that stands for a value that could not be kept."""
    return f"<unencodable {type_name}>"


def packer(encoder: msgspec.msgpack.Encoder) -> Callable[[Any], bytes]:
    """Return what encodes into bytes; without memory it raises.

    The encoder's own `encode` ends the process there by a segmentation fault: it grows `bytes`,
    which are gone when they cannot grow.
    """
    encode_into = encoder.encode_into

    def encode(value: Any) -> bytes:
        grown = bytearray(_FIRST_SIZE)
        encode_into(value, grown)
        return bytes(grown)

    return encode


def decode_record(data: bytes) -> tuple[Any, list[str]]:
    """Decode one record.

    Returns:
        The record, and the types of those of its values that had to be replaced by a marker.

    Raises:
        msgspec.DecodeError: The bytes are no record at all.
    """
    replaced: list[str] = []
    try:
        record = _DECODER.decode(data)
    except (RecursionError, msgspec.DecodeError):
        record = _salvaged(data, replaced)
    if record.__class__ in _CONTAINERS:
        _tidy(record, DEEPEST, replaced)
        _tell_time(record)
    return record, replaced


def _tell_time(record: list[Any] | dict[Any, Any]) -> None:
    """Make a datetime of a prediction's seconds since 1970, in place."""
    if record.__class__ is not list or record[:1] != ["p"] or len(record) <= _TIME:
        return
    if record[_TIME].__class__ is float:
        try:
            record[_TIME] = datetime.fromtimestamp(record[_TIME], UTC)
        except (OverflowError, OSError, ValueError):
            return  # and it stays what it is, which ingest counts as malformed


def name_of(key: Hashable) -> str:
    """Return the text that a key of a mapping becomes."""
    if isinstance(key, bytes):
        return key.decode("utf-8", "replace")
    return str(key)


def _read_extension(code: int, data: memoryview) -> Any:
    if code == BIG_INTEGER:
        return int.from_bytes(data, "big", signed=True)
    if code == UNENCODABLE:
        return marker(bytes(data).decode("utf-8", "replace"))
    return marker(f"extension {code}")


_DECODER = msgspec.msgpack.Decoder(ext_hook=_read_extension)
_CONTAINERS = (list, dict)
_TIME = 4  # where a prediction has it


def _tidy(value: list[Any] | dict[Any, Any], room: int, replaced: list[str]) -> None:
    """Make keys text and cut what is nested deeper than `room`, in place; name what was cut."""
    if isinstance(value, dict):
        for key in [key for key in value if key.__class__ is not str]:
            value[name_of(key)] = value.pop(key)
    slots: Any = value.items() if isinstance(value, dict) else enumerate(value)
    for slot, item in slots:
        if item.__class__ not in _CONTAINERS:
            continue
        if room:
            _tidy(item, room - 1, replaced)
        else:
            value[slot] = marker(type(item).__name__)
            replaced.append(type(item).__name__)


def _salvaged(data: bytes, replaced: list[str]) -> Any:
    try:
        if end_of(data, 0) == len(data):
            levels = 3 if data.startswith(BATCH) else 2
            return _mend(data, 0, len(data), levels, replaced)
    except IndexError:
        pass
    raise msgspec.DecodeError("the bytes are not one MessagePack value")


def _mend(data: bytes, start: int, end: int, levels: int, replaced: list[str]) -> Any:
    """Decode what can be decoded of a value, part by part where the whole cannot."""
    try:
        return _DECODER.decode(data[start:end])
    except (RecursionError, msgspec.DecodeError):
        opened = _open(data, start) if levels else None
        if opened is None:
            replaced.append("value")
            return marker("value")
    kind, at, count = opened
    parts = []
    for _ in range(count):
        after = end_of(data, at)
        parts.append(_mend(data, at, after, levels - 1, replaced))
        at = after
    if kind is list:
        return parts
    return {name_of(key): item for key, item in _pairs(parts)}


def _pairs(parts: list[Any]) -> Iterator[tuple[Any, Any]]:
    return zip(parts[::2], parts[1::2], strict=True)


def _open(data: bytes, at: int) -> tuple[type, int, int] | None:
    """Return the kind of the container at `at`, where its parts begin, and how many there are."""
    code = data[at]
    if 0x80 <= code <= 0x8F:
        return dict, at + 1, 2 * (code & 0x0F)
    if 0x90 <= code <= 0x9F:
        return list, at + 1, code & 0x0F
    if 0xDC <= code <= 0xDF:
        width = 2 if code in {0xDC, 0xDE} else 4
        count = int.from_bytes(data[at + 1 : at + 1 + width], "big")
        return (list, at + 1 + width, count) if code <= 0xDD else (dict, at + 1 + width, 2 * count)
    return None


# From 0xc0 on: how many bytes follow the first, and for text, bytes and extensions (the second
# row) how wide the length is that stands there and how many bytes come on top of that length.
_FIXED = {0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8} | {
    0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8, 0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17
}  # fmt: skip
_SIZED = {0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0), 0xC7: (1, 1), 0xC8: (2, 1), 0xC9: (4, 1)} | {
    0xD9: (1, 0), 0xDA: (2, 0), 0xDB: (4, 0)
}  # fmt: skip


def end_of(data: bytes, at: int) -> int:
    """Return where the value at `at` ends, however deep it is nested."""
    waiting = 1
    while waiting:
        waiting -= 1
        opened = _open(data, at)
        if opened is not None:
            _, at, count = opened
            waiting += count
        else:
            at = _end_of_leaf(data, at)
    return at


def _end_of_leaf(data: bytes, at: int) -> int:
    code = data[at]
    if code <= 0x7F or code >= 0xE0:
        return at + 1
    if 0xA0 <= code <= 0xBF:
        return at + 1 + (code & 0x1F)
    if code in _FIXED:
        return at + 1 + _FIXED[code]
    if code not in _SIZED:
        raise msgspec.DecodeError(f"no MessagePack value begins with {code:#x}")
    width, more = _SIZED[code]
    return at + 1 + width + more + int.from_bytes(data[at + 1 : at + 1 + width], "big")
