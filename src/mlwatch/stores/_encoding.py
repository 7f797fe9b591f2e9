"""The one encoding of records that every store here uses.

A record becomes a mapping of field name to plain value: what JSON can say, and nothing else.

| value                              | plain                                                      |
|------------------------------------|------------------------------------------------------------|
| None, True, False, int of any size | itself                                                     |
| float                              | itself; "$nan", "$inf", "$-inf" where JSON has no word     |
| text                               | itself; text that starts with "$" gets one more "$"        |
| text that UTF-8 cannot hold        | "$text:<unicode_escape>" (lone surrogates)                 |
| bytes                              | "$bytes:<base64>"                                          |
| datetime in a free value           | "$time:<ISO 8601 as it was>"                               |
| datetime in a declared field       | ISO 8601 in UTC, six digits and "Z": order of text is time |
| timedelta in a declared field      | seconds                                                    |
| mapping                            | mapping; its keys become text                              |
| tally of 32 cells and more         | ["i2", "<base64>", {"missing": 1}]: little-endian integers |
| list, tuple                        | list (a declared tuple comes back as a tuple)              |
| numpy scalar                       | the Python value it holds                                  |

A key that is absent stays absent, so missing, None and NaN stay apart. Anything else is refused.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import lru_cache
from typing import Any, get_origin, get_type_hints

import msgspec
import numpy as np

from mlwatch.errors import DataError, StoreError
from mlwatch.records import Cells, Tallies, Tally

Plain = dict[str, Any]
"""A record or a mapping in the encoding."""

JSONTally = dict[str, int] | tuple[str, bytes, dict[str, int]]
"""A tally in JSON: that of many cells as the width of its integers, their bytes, and the rest."""

Codec = tuple[Callable[[Any], Any], Callable[[Any], Any]]


def to_plain(record: Any) -> Plain:
    """Encode a record, one entry a field.

    Raises:
        DataError: A field holds what no store can keep; the message names record and field.
    """
    plain = {}
    cls: Any = type(record)
    for name, (encode_field, _) in codecs(cls).items():
        try:
            plain[name] = encode_field(getattr(record, name))
        except (DataError, RecursionError) as error:
            what = "is nested too deep" if isinstance(error, RecursionError) else str(error)
            where = f"{cls.__name__} {getattr(record, 'key', '')!r}: {name}"
            raise DataError(f"{where}: {what}") from error
    return plain


def from_plain(cls: Any, plain: Mapping[str, Any]) -> Any:
    """Build the record of type `cls` that `plain` encodes; other entries are ignored.

    Raises:
        StoreError: `plain` does not encode such a record.
    """
    try:
        values = {
            name: decode_field(plain[name])
            for name, (_, decode_field) in codecs(cls).items()
            if name in plain
        }
        return cls(**values)
    except (AttributeError, TypeError, ValueError) as error:
        raise StoreError(f"a row is not a {cls.__name__}: {error}: {dict(plain)!r:.200}") from error


@lru_cache(maxsize=64)
def codecs(cls: type) -> Mapping[str, Codec]:
    """Return how each field of `cls` is encoded and decoded."""
    hints = get_type_hints(cls)
    return {entry.name: _codec(hints[entry.name]) for entry in fields(cls)}


def _codec(hint: Any) -> Codec:
    if hint is datetime:
        return time_text, datetime.fromisoformat
    if hint is timedelta:
        return _seconds, _span
    if get_origin(hint) is tuple:
        return encode, _decode_tuple
    if hint == Tallies:
        return _encode_tallies, _decode_tallies
    if isinstance(hint, type) and issubclass(hint, Enum):
        return encode, hint
    if isinstance(hint, type) and is_dataclass(hint):
        return to_plain, lambda plain: from_plain(hint, plain)
    return encode, decode


def time_text(time: datetime) -> str:
    """Return `time` as text of fixed width in UTC, so that the order of text is that of time."""
    if not isinstance(time, datetime) or time.utcoffset() is None:
        raise DataError(f"{time!r} is not a timezone-aware datetime; give times in UTC")
    return time.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def _seconds(span: timedelta) -> float:
    if not isinstance(span, timedelta):
        raise DataError(f"{span!r} is not a timedelta")
    seconds = span.total_seconds()
    return int(seconds) if seconds.is_integer() else seconds


def _span(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def encode(value: Any) -> Any:
    """Encode a free value.

    Raises:
        DataError: The value is of a type that cannot be kept.
    """
    kind = type(value)
    if kind is float:
        return value if math.isfinite(value) else f"${value!r}"
    if kind is str:
        return encode_text(value)
    if value is None or kind is int or kind is bool:
        return value
    if isinstance(value, Mapping):
        return {encode_text(str(name)): encode(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [encode(entry) for entry in value]
    return _encode_rare(value)


def _encode_rare(value: Any) -> Any:
    if isinstance(value, str):
        return encode_text(str(value))
    if isinstance(value, float):
        return encode(float(value))
    if isinstance(value, int):
        return int(value)
    if isinstance(value, bytes | bytearray):
        return f"$bytes:{base64.b64encode(value).decode()}"
    if isinstance(value, datetime) and value == value:  # noqa: PLR0124  pandas.NaT is a datetime
        return f"$time:{value.isoformat()}"
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return encode(value.item())
    raise DataError(
        f"a value of type {type(value).__name__} cannot be kept; "
        "give numbers, text, bytes, datetimes, None, or lists and mappings of them"
    )


def encode_text(text: str) -> str:
    """Encode text: a leading "$" is doubled, so that no text is taken for a special value."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return f"$text:{text.encode('unicode_escape').decode()}"
    return f"${text}" if text[:1] == "$" else text


def decode(plain: Any) -> Any:
    """Decode what `encode` encoded.

    Raises:
        ValueError: `plain` is no such thing.
    """
    kind = type(plain)
    if kind is str:
        return decode_text(plain) if plain[:1] == "$" else plain
    if kind is dict:
        return {
            # Counts are spared the call.
            decode_text(name) if name[:1] == "$" else name: (
                entry if type(entry) is int else decode(entry)
            )
            for name, entry in plain.items()
        }
    if kind is list:
        return [decode(entry) for entry in plain]
    return plain


_WIDTHS = {f"i{size}": 2 ** (8 * size - 1) for size in (1, 2, 4, 8)}
"""The widths of integers in which cells are kept, and what is too large for each."""

_NON_FINITE = {"$nan": math.nan, "$inf": math.inf, "$-inf": -math.inf}


def decode_text(text: str) -> Any:
    """Decode text that starts with "$"."""
    if text[:2] == "$$":
        return text[1:]
    if text in _NON_FINITE:
        return _NON_FINITE[text]
    mark, _, rest = text.partition(":")
    if mark == "$bytes":
        return base64.b64decode(rest, validate=True)
    if mark == "$time":
        return datetime.fromisoformat(rest)
    if mark == "$text":
        return rest.encode().decode("unicode_escape")
    raise ValueError(f"{text!r:.40} is not in this library's encoding")


def _encode_tallies(tallies: Tallies) -> Plain:
    return {encode_text(str(name)): _encode_tally(tally) for name, tally in tallies.items()}


def _encode_tally(tally: Any) -> Any:
    # Counts of cells, by far the most there is to keep, need no look at each.
    if isinstance(tally, Cells):
        return Cells(tally.counts, encode(tally.apart))
    if type(tally) is dict and set(map(type, tally.values())) == {int} and _plain_names(tally):
        return tally.copy()
    return encode(tally)


def _decode_tallies(plain: Plain) -> dict[str, Tally]:
    return {
        decode_text(name) if name[:1] == "$" else name: _decode_tally(tally)
        for name, tally in plain.items()
    }


def _decode_tally(tally: Any) -> Tally:
    if isinstance(tally, Cells):
        return Cells(tally.counts, decode(tally.apart)) if tally.apart else tally
    found: Tally = tally.copy() if _plain_names(tally) else decode(tally)
    return found


def _plain_names(tally: Mapping[str, int]) -> bool:
    """Return whether the names need neither encoding nor decoding, as cell numbers do not."""
    names = "".join(tally) if set(map(type, tally)) <= {str} else "$"
    return "$" not in names and names.isascii()


def to_json(plain: Any) -> bytes:
    """Return an encoded value as JSON."""
    return msgspec.json.encode(plain, enc_hook=_cells_to_json)


def _cells_to_json(cells: Any) -> tuple[str, bytes, Mapping[str, int]]:
    if not isinstance(cells, Cells):
        raise NotImplementedError(f"{type(cells).__name__} is not in the encoding")
    least, most = cells.counts.min(initial=0), cells.counts.max(initial=0)
    width = next(name for name, limit in _WIDTHS.items() if -limit <= least <= most < limit)
    return width, cells.counts.astype(f"<{width}").tobytes(), cells.apart


def tallies_from_json(plain: Mapping[str, JSONTally]) -> Plain:
    """Return the encoded tallies that `to_json` wrote.

    Raises:
        ValueError: A tally is no such thing.
    """
    return {
        name: tally if isinstance(tally, dict) else _cells_from_json(*tally)
        for name, tally in plain.items()
    }


def _cells_from_json(width: str, counts: bytes, apart: dict[str, int]) -> Cells:
    if width not in _WIDTHS:
        raise ValueError(f"{width!r:.40} is no width of cells")
    return Cells(np.frombuffer(counts, f"<{width}"), apart)


def _decode_tuple(plain: Any) -> tuple[Any, ...]:
    return tuple(decode(plain))
