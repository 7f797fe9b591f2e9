"""What a raw value is: a number, a time, a category, or one that is counted apart."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from mlwatch.errors import DataError

MISSING, NAN, POSITIVE_INFINITY, NEGATIVE_INFINITY, WRONG_KIND = -1, -2, -3, -4, -5

APART = {
    MISSING: "missing",
    NAN: "nan",
    POSITIVE_INFINITY: "+inf",
    NEGATIVE_INFINITY: "-inf",
    WRONG_KIND: "wrong_kind",
}
"""Names of the counts that stand beside the cells of a grid."""

Values = Sequence[Any] | NDArray[Any]
"""Raw values, shape (n,): a list of Python objects, or an array of numbers or times."""

_INFINITIES = {POSITIVE_INFINITY: "inf", NEGATIVE_INFINITY: "-inf"}
_LARGEST = 1.7976931348623157e308
_INT64 = np.iinfo(np.int64)
EXACT = 2**53
"""Integers up to this size are exact in float64."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def is_missing(value: object) -> bool:
    """Return True for None, `pandas.NA` and NaT; NaN is told apart from them."""
    return value is None or type(value).__name__ in {"NAType", "NaTType"}


def require_column(name: str, values: Any) -> None:
    """Raise `DataError` unless `values` hold one value a row."""
    is_text = isinstance(values, str | bytes)
    if is_text or not hasattr(values, "__len__") or getattr(values, "ndim", 1) != 1:
        shape = f" of shape {values.shape}" if hasattr(values, "shape") else ""
        raise DataError(
            f"column {name!r} is a {type(values).__name__}{shape}: give one value a row, and each "
            "column a name of its own"
        )


def listed(values: Any) -> Values:
    """Return `values` as a numpy array of numbers or times, or else as a list of Python objects."""
    dtype = getattr(values, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind in "iufbM":
        return np.asarray(values)
    if isinstance(dtype, np.dtype) and dtype.kind == "m":
        return list(np.asarray(values))
    if dtype is not None:
        return list(np.asarray(values, dtype=object))
    return values if isinstance(values, list) else list(values)


def numbers(values: Values, *, time: bool) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Read values as numbers, or as microseconds since the epoch where `time` is true.

    Returns:
        The numbers, shape (n,), and beside them the code of the values that are counted apart (0
        where the number holds), shape (n,). The numbers are float64, float32 or int64; uint64, or
        objects, where integers would not be exact in any of these.
    """
    array = as_array(values)
    if array is not None and time and array.dtype.kind == "M":
        return as_micros(array), np.where(np.isnat(array), MISSING, 0).astype(np.int64)
    if array is not None and not time and array.dtype.kind in "iub":
        beyond = array.dtype == np.uint64 and array.size and array.max() > _INT64.max
        return array if beyond else array.astype(np.int64), np.zeros(len(array), np.int64)
    if array is not None and not time and array.dtype.kind == "f":
        array = array if array.dtype == np.float32 else array.astype(np.float64)
        codes = set_apart(np.zeros(len(array), np.int64), array)
        return np.where(codes == 0, array, array.dtype.type(0)), codes
    pairs = [_moment(value) if time else _number(value) for value in values]
    found = [pair[0] for pair in pairs]
    codes = np.array([pair[1] for pair in pairs], dtype=np.int64)
    integral = [number for number in found if isinstance(number, int)]
    if len(integral) == len(found):
        return np.array(found, dtype=np.int64), codes
    exact = all(abs(number) <= EXACT for number in integral)
    return np.array(found, dtype=np.float64 if exact else object), codes


def as_array(values: Values) -> NDArray[Any] | None:
    """Return an array as it is, a list of only ints and bools or only floats as one, else None."""
    if isinstance(values, np.ndarray):
        return values
    kinds = set(map(type, values))
    if kinds and kinds <= {int, bool}:
        try:
            return np.array(values, dtype=np.int64)
        except OverflowError:
            return None
    return np.array(values, dtype=np.float64) if kinds == {float} else None


def as_micros(array: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """Return times as microseconds since the epoch; what NaT becomes means nothing."""
    return array.astype("datetime64[us]").astype(np.int64)


def as_floats(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Cast numbers to float64 and from there to `dtype`; those it cannot hold become infinite."""
    if array.dtype == dtype:
        return array
    with np.errstate(over="ignore"):
        return array.astype(np.float64, copy=False).astype(dtype, copy=False)


def set_apart(cells: NDArray[np.int64], array: NDArray[Any]) -> NDArray[np.int64]:
    """Put in place of the cells of NaN and infinities the codes of their counts; return `cells`.

    Args:
        cells: The cell of each value, shape (n,); changed.
        array: The values as floats, shape (n,).
    """
    finite = np.isfinite(array)
    if not finite.all():
        odd = np.flatnonzero(~finite)
        values = array[odd]
        infinities = np.where(values > 0, POSITIVE_INFINITY, NEGATIVE_INFINITY)
        cells[odd] = np.where(np.isnan(values), NAN, infinities)
    return cells


def as_points(found: NDArray[Any], dtype: np.dtype[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Cast numbers to the dtype of a grid's points, each as if it stood alone.

    Returns:
        The numbers, and beside them True where the cast took nothing away that would put the
        number between two points: to int64, fractions are rounded down and marked False.
    """
    if dtype != np.int64:
        return as_floats(found, dtype), np.ones(len(found), np.bool_)
    if found.dtype == np.int64:
        return found, np.ones(len(found), np.bool_)
    if found.dtype.kind == "f":
        floor = np.floor(found.astype(np.float64))
        inside = (floor >= -(2.0**63)) & (floor < 2.0**63)
        whole = np.where(inside, floor, 0).astype(np.int64)
        beyond = np.where(found > 0, _INT64.max, _INT64.min)
        return np.where(inside, whole, beyond), inside & (floor == found)
    floors = [min(max(math.floor(number), _INT64.min), _INT64.max) for number in found.tolist()]
    whole = np.array(floors, np.int64)
    return whole, np.array(whole.astype(object) == found.astype(object), np.bool_)


def category(value: object) -> tuple[Hashable, int]:
    """Return a value as a category, and the code of the count it belongs to (0: a category).

    1, 1.0 and True are one category, as they are one dictionary key; "1" is another. Infinities
    are the categories "inf" and "-inf".
    """
    if isinstance(value, np.timedelta64):
        return None, WRONG_KIND
    if isinstance(value, np.datetime64):
        value = value.astype("datetime64[us]")
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, str | bool | int):
        return value, 0
    if is_missing(value):
        return None, MISSING
    if isinstance(value, float | Decimal):
        number, code = _number(value)
        return (_INFINITIES[code], 0) if code in _INFINITIES else (number, code)
    if isinstance(value, datetime | date):
        return value.isoformat(), 0
    if isinstance(value, UUID):
        return str(value), 0
    return None, WRONG_KIND


def _number(value: object) -> tuple[float | int, int]:
    if isinstance(value, np.datetime64 | np.timedelta64):  # item() is a bare integer for some units
        return 0, MISSING if np.isnat(value) else WRONG_KIND
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return int(value), 0
    if isinstance(value, int):
        return (value, 0) if -(2**63) <= value < 2**63 else (_as_float(value), 0)
    if is_missing(value):
        return 0, MISSING
    if isinstance(value, float | Decimal):
        if value.is_nan() if isinstance(value, Decimal) else math.isnan(value):
            return 0, NAN
        if math.isinf(value):
            return 0, POSITIVE_INFINITY if value > 0 else NEGATIVE_INFINITY
        return _as_float(value), 0
    return 0, WRONG_KIND


def _as_float(value: float | Decimal) -> float:
    try:
        return max(-_LARGEST, min(_LARGEST, float(value)))
    except OverflowError:
        return _LARGEST if value > 0 else -_LARGEST


def _moment(value: object) -> tuple[int, int]:
    if isinstance(value, np.datetime64):
        if np.isnat(value):
            return 0, MISSING
        return int(value.astype("datetime64[us]").astype(np.int64)), 0
    if is_missing(value):
        return 0, MISSING
    if isinstance(value, float) and math.isnan(value):
        return 0, NAN
    if isinstance(value, str):  # the recorder keeps a time without a zone, and a date, as ISO text
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return 0, WRONG_KIND
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        delta = aware - _EPOCH
        return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds, 0
    return 0, WRONG_KIND


def kinds(values: Iterable[object]) -> set[str]:
    """Return which kinds occur among Python objects: "number", "time", "category", "other"."""
    found = set()
    for value in values:
        if is_missing(value) or (isinstance(value, float) and math.isnan(value)):
            continue
        if isinstance(value, datetime | date | np.datetime64):
            found.add("time")
        elif isinstance(value, np.timedelta64):
            found.add("other")
        elif isinstance(value, bool | np.bool_ | str | Enum | UUID):
            found.add("category")
        elif isinstance(value, int | float | Decimal | np.number):
            found.add("number")
        else:
            found.add("other")
    return found
