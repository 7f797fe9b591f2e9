"""The data a model was trained on, as columns, and the hours of its rows."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mlwatch.errors import DataError
from mlwatch.profile.values import listed, numbers, require_column

PREDICTION: Final = "prediction"
"""The name under which the model's own predictions are compared."""

_HOUR_MICROSECONDS = 3_600_000_000
_YEARS = np.array(["0001", "10000"], "datetime64[h]").astype(np.int64)


def read_columns(data: Any) -> dict[str, Any]:
    """Return a DataFrame, or a mapping of arrays, as columns by name.

    Raises:
        DataError: It is neither, or a column or its name cannot be used; the message names it.
    """
    if not hasattr(data, "keys") or not hasattr(data, "__getitem__"):
        raise DataError(
            f"data of type {type(data).__name__}: give a DataFrame or a mapping of name to array"
        )
    names = list(data.keys())
    odd = [name for name in names if not isinstance(name, str)]
    if odd:
        raise DataError(f"column name {odd[0]!r} is not a text: rename the columns")
    if len(set(names)) < len(names):
        raise DataError("two columns have the same name: rename one")
    if PREDICTION in names:
        raise DataError(
            f'a column "{PREDICTION}": the model\'s own predictions go by this name, so that the '
            "two would be taken for each other: rename the column"
        )
    frame = {name: data[name] for name in names}
    for name, column in frame.items():
        require_column(name, column)
    lengths = {name: len(column) for name, column in frame.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"columns of unequal length: {lengths}")
    if not frame or not next(iter(lengths.values())):
        raise DataError("data without rows or columns: a reference needs both")
    return frame


def read_hours(timestamps: Any, rows: int) -> NDArray[np.int64]:
    """Return the hour since the epoch of each row, shape (rows,).

    Raises:
        DataError: There is not one time a row.
    """
    require_column("timestamps", timestamps)
    values = listed(timestamps)
    if len(values) != rows:
        raise DataError(f"{len(values)} timestamps for {rows} rows of data: give one a row")
    found, codes = numbers(values, time=True)
    hours: NDArray[np.int64] = found // _HOUR_MICROSECONDS
    odd = np.flatnonzero((codes != 0) | (hours < _YEARS[0]) | (hours >= _YEARS[1]))
    if len(odd):
        raise DataError(
            f"timestamps: {values[odd[0]]!r} in row {odd[0]} is no time of the years 1 to 9999: "
            "give datetimes, or leave those rows out"
        )
    return hours
