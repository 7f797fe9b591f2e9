"""One value, hashed or masked by its one text, or seen to be missing."""

from __future__ import annotations

import string
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from math import isnan
from typing import Any, Final
from uuid import UUID

import numpy as np

from mlwatch.profile.values import is_missing

_HASH_LENGTH = 32
_LONGEST_SHAPE = 32
_NUMBER, _BYTES = "\0n", "\0b"  # before what is hashed, so that 1 and "1" differ
_CHUNK = 2047  # of more at once the GIL would be released, and the caller wait for its return
_WHAT_THE_KEY_IS = b"\0mlwatch redaction key"
_MOST_DIGITS = 400  # more than the largest float has
_TEXTS: Final = (str, UUID)
_TIMES: Final = (date, time, np.datetime64)


def is_absent(value: Any) -> bool:
    """Return True for None, NaN and what else stands for no value."""
    kind = type(value)
    if is_missing(value) or kind.__name__ == "MaskedConstant":
        return True
    if issubclass(kind, np.datetime64 | np.timedelta64):
        return bool(np.isnat(value))
    if issubclass(kind, Decimal):
        return Decimal.is_nan(value)
    return issubclass(kind, float | np.floating) and isnan(value)


def hash_with(key: bytes | str) -> tuple[Callable[[Any], str], str]:
    """Return what hashes a value with a key, and a digest of the key itself."""
    import hmac  # loads OpenSSL, which is not needed to import mlwatch

    fresh = hmac.new(key.encode() if isinstance(key, str) else key, digestmod="sha256")

    def digest_of(data: bytes) -> str:
        code = fresh.copy()
        for at in range(0, len(data), _CHUNK):
            code.update(data[at : at + _CHUNK])
        return code.hexdigest()[:_HASH_LENGTH]

    def hashed(value: Any) -> str:
        kind, text = text_of(value)
        return digest_of((kind + text).encode("utf-8", "surrogatepass"))

    return hashed, digest_of(_WHAT_THE_KEY_IS)


def mask(value: Any) -> str:
    """Return the shape of a value: "Bob-17" becomes "Aaa-99"."""
    _, text = text_of(value)
    return "".join(map(_shape, text[:_LONGEST_SHAPE]))


def _shape(letter: str) -> str:
    if letter.isalpha():
        return "A" if letter.isupper() else "a"
    if letter.isnumeric():
        return "9"
    return letter if letter in string.punctuation or letter == " " else "?"


def text_of(value: Any) -> tuple[str, str]:
    """Return the kind and the text of a value; those of equal values are equal.

    Raises:
        TypeError: It is of a type for which no one text stands.
    """
    kind = type(value)
    if issubclass(kind, Enum):
        return text_of(value.value)
    if issubclass(kind, _TEXTS):
        return "", str.__str__(value) if issubclass(kind, str) else str(value)
    if issubclass(kind, bytes | bytearray | memoryview):
        return _BYTES, bytes(value).decode("latin-1")
    if issubclass(kind, _TIMES):
        return "", _moment(value)
    if issubclass(kind, np.timedelta64):  # an integer to numpy
        raise TypeError(kind.__name__)
    if issubclass(kind, int | float | Decimal | np.integer | np.floating | np.bool_):
        return _NUMBER, _number(value)
    raise TypeError(kind.__name__)


def _number(value: Any) -> str:
    if isinstance(value, int):
        return str(int.__int__(value))
    if isinstance(value, np.integer | np.bool_):
        return str(int(value))
    if isinstance(value, Decimal) and Decimal.is_finite(value):
        if Decimal.adjusted(value) > _MOST_DIGITS:
            raise ValueError("a number of too many digits")
        if value == value.to_integral_value():
            return str(int(value))
    number = float(value)
    return str(int(number)) if number.is_integer() else repr(number)


def _moment(value: Any) -> str:
    if isinstance(value, np.datetime64):
        value = value.astype("datetime64[us]").item()
    if isinstance(value, datetime):
        aware = datetime.utcoffset(value) is not None
        return datetime.isoformat(datetime.astimezone(value, UTC) if aware else value)
    return date.isoformat(value) if isinstance(value, date) else time.isoformat(value)
