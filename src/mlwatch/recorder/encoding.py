"""A record into bytes: in C where it can be, value by value where it must.

The quick way runs none of the host's code: what MessagePack does not know is turned by `simple`,
which looks at the type alone. Only what fails there goes the slow way, where an object may be
asked, and may raise whatever it likes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from enum import Enum
from typing import Any, Final

import msgspec
import numpy as np

from mlwatch._guard import salvage, type_name
from mlwatch.spool.wire import BIG_INTEGER, DEEPEST, UNENCODABLE, marker, name_of, packer

_LARGEST_ARRAY = 4096
_LARGEST_INTEGER_BITS = 4096  # beyond, Python itself refuses to print it
_LARGEST_CONTAINER = 2**16
_MOST_REPAIRS = 200
_LONGEST_NAME = 64
_PANDAS_TEXTS = {"Interval", "Period"}
_ATOMS = (type(None), bool, int, float, str)


def simple(value: Any) -> Any:
    """Turn what MessagePack does not know into what it does, running no code of the host.

    Raises:
        TypeError: It is of none of the known types.
    """
    kind = type(value)
    if issubclass(kind, np.generic):
        return _numpy_scalar(value, kind)
    for known, turn in _TURNS:
        if issubclass(kind, known):
            if kind.__name__ == "NaTType":  # a datetime to Python, and none to anybody else
                return None
            return turn(value)
    if kind.__module__.startswith("pandas"):
        if kind.__name__ == "NAType":
            return None
        if kind.__name__ in _PANDAS_TEXTS:
            return str(value)
    raise TypeError(kind.__name__)


encode: Final = packer(msgspec.msgpack.Encoder(enc_hook=simple, decimal_format="number"))
"""The quick way; raises what it likes for what it cannot keep."""


def encode_slowly(record: tuple[Any, ...]) -> tuple[bytes, list[str]]:
    """Encode a record value by value.

    Returns:
        The bytes, and the names of the types of the values that were replaced.
    """
    repair = _Repair()
    return encode(repair.value(record, DEEPEST + 1)), repair.replaced


def text_keys(features: dict[Any, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return features under the names that they will have in the store.

    Returns:
        A copy, and the names of the types of the keys that were replaced.
    """
    plain = features.copy() if type(features) is dict else dict(dict.items(features))
    if set(map(type, plain)) <= {str}:
        return plain, []
    repair = _Repair()
    named = {key if type(key) is str else repair.key(key): item for key, item in plain.items()}
    return named, repair.replaced


class _Repair:
    """One record on the slow way."""

    def __init__(self) -> None:
        self.replaced: list[str] = []
        self._around: set[int] = set()

    def value(self, value: Any, room: int) -> Any:
        """Return what can be encoded and stands for `value`."""
        if id(value) in self._around:
            return self.replacement(value)
        if len(self.replaced) < _MOST_REPAIRS or type(value) in _ATOMS:
            data = salvage(encode, value, None)
            if data is not None:
                return msgspec.Raw(data)
            parts = salvage(_unfold, value, None) if room else None
            if parts is not None:
                self._around.add(id(value))
                stand_in = self.parts(parts, room - 1)
                self._around.discard(id(value))
                return stand_in
            kept = salvage(_extended, value, None)
            if kept is not None:
                return kept
        return self.replacement(value)

    def parts(self, parts: dict[Any, Any] | list[Any], room: int) -> Any:
        """Return what stands for the parts of a container."""
        if isinstance(parts, dict):
            return {self.key(key): self.value(item, room) for key, item in parts.items()}
        return [self.value(item, room) for item in parts]

    def key(self, key: Any) -> str:
        """Return the text that the key of a mapping becomes."""
        name = salvage(_key_name, key, None)
        if name is not None:
            return name
        self.replaced.append(kind := _short_name(key))
        return salvage(_escaped, key, None) or marker(kind)

    def replacement(self, value: Any) -> Any:
        """Count a value that cannot be kept, and return what is kept in its place."""
        self.replaced.append(name := _short_name(value))
        text = salvage(_escaped, value, None)
        return msgspec.msgpack.Ext(UNENCODABLE, name.encode()) if text is None else text


def _numpy_scalar(value: Any, kind: type) -> Any:
    if issubclass(kind, np.datetime64 | np.timedelta64):
        return None if np.isnat(value) else str(value)
    if issubclass(kind, np.str_):
        return str.__str__(value)
    if issubclass(kind, np.floating):
        return float(value)
    return value.item()


def _array(value: Any) -> Any:
    if value.size > _LARGEST_ARRAY:
        raise TypeError("array")
    plain = np.asarray(value)
    times = plain.dtype.kind in "mM"
    masked = sys.modules.get("numpy.ma")  # what is not loaded has made no value
    absent = np.isnat(plain) if times else np.False_
    if masked is not None and issubclass(type(value), masked.MaskedArray):
        absent = absent | masked.getmaskarray(value)
    cells = plain.astype(str) if times else plain
    nothing: Any = None
    return (np.where(absent, nothing, cells) if absent.any() else cells).tolist()


def _datetime(value: Any) -> datetime:
    return datetime.combine(datetime.date(value), datetime.timetz(value))


def _date(value: Any) -> date:
    return date.fromordinal(date.toordinal(value))


def _time(value: Any) -> str:
    return time.isoformat(value)


def _span(value: Any) -> timedelta:
    return timedelta(seconds=timedelta.total_seconds(value))


# Subclasses of what MessagePack knows (it takes the very types only), as what they are.
_TURNS: Final[tuple[tuple[type, Callable[[Any], Any]], ...]] = (
    (np.ndarray, _array),
    (str, str.__str__),
    (float, float.__float__),
    (int, int.__int__),
    (bytes, bytes.__bytes__),
    (datetime, _datetime),
    (date, _date),
    (time, _time),
    (timedelta, _span),
)


def _unfold(value: Any) -> dict[Any, Any] | list[Any] | None:
    """Return the parts of a container, in the way that asks the object least."""
    if isinstance(value, np.ndarray):
        return _array(value) if value.ndim else None
    if not isinstance(value, Mapping | list | tuple | set | frozenset):
        return None
    if len(value) > _LARGEST_CONTAINER:
        return None
    if isinstance(value, dict):
        return dict(dict.items(value))
    return dict(value) if isinstance(value, Mapping) else list(value)


def _extended(value: Any) -> Any:
    """Return an Enum as its value, and an integer of more than 64 bits as an extension."""
    if isinstance(value, Enum):
        return msgspec.Raw(encode(value.value))
    if not isinstance(value, int):
        return None
    number = int.__int__(value)
    bits = number.bit_length()
    if bits > _LARGEST_INTEGER_BITS:
        return None
    return msgspec.msgpack.Ext(BIG_INTEGER, number.to_bytes(bits // 8 + 1, "big", signed=True))


def _key_name(key: Any) -> str:
    return name_of(msgspec.msgpack.decode(encode(key)))


def _escaped(value: Any) -> str | None:
    """Return text with what UTF-8 cannot hold escaped; None for what is no text."""
    if isinstance(value, str):
        return str.encode(value, "utf-8", "backslashreplace").decode()
    return None


def _short_name(value: Any) -> str:
    return type_name(value)[:_LONGEST_NAME].encode("utf-8", "replace").decode()
