"""A batch of predictions, column by column: what it hands over, and the ids of its rows."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import msgspec
import numpy as np
from numpy.typing import NDArray

from mlwatch._guard import salvage
from mlwatch.errors import DataError
from mlwatch.recorder.arguments import as_text, is_absent
from mlwatch.recorder.encoding import encode, text_keys
from mlwatch.redaction import Redactor
from mlwatch.spool.batch import Numbers, Repeated

_ROWS = 256
_MOST_ROWS = 4096
_MOST_OBJECTS = 1024
_MOST_OBJECT_BYTES = 4096
_EVEN_BYTES = 100 * 2**10
_NUMBERS = "biuf"
_WIDEST = 8
_TIMES = "mM"  # of which tolist() makes nanoseconds
_NO_COLUMN = (str, bytes, bytearray, Mapping)


class RequestIds(Sequence[str]):
    """The request ids of a batch, each made when it is asked for.

    Args:
        prefix: What all of them begin with.
        rows: How many there are.
    """

    def __init__(self, prefix: str, rows: int) -> None:
        self.prefix = prefix
        self._rows = range(rows)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [f"{self.prefix}-{row}" for row in self._rows[place]]
        return f"{self.prefix}-{self._rows[place]}"

    def __iter__(self) -> Iterator[str]:
        return (f"{self.prefix}-{row}" for row in self._rows)

    def __repr__(self) -> str:
        return f"<{len(self)} request ids {self.prefix}-...>"


class Column:
    """The values of a column: an array of one dimension, or a list.

    Args:
        values: Any sequence.

    Raises:
        TypeError: It is a text or a mapping, whose parts are no rows.
    """

    def __init__(self, values: Any) -> None:
        self.values = _as_column(values)
        self._packed = None if isinstance(self.values, list) else _pack(self.values)

    def __len__(self) -> int:
        return len(self.values)

    def to_list(self) -> list[Any]:
        """Return the values as objects of Python."""
        return self.values if isinstance(self.values, list) else self.values.tolist()

    @property
    def most_bytes(self) -> float:
        """The bytes that a value takes at most, as far as that is known without a look at each."""
        return math.inf if self._packed is None else self._packed.most_bytes

    def packed(self, start: int, stop: int) -> Any:
        """Return a stretch as it is encoded."""
        if self._packed is not None:
            return self._packed.part(start, stop)
        part = self.values[start:stop]
        return part if isinstance(part, list) else part.tolist()


@dataclass(frozen=True, slots=True)
class Columns:
    """The predictions of a batch.

    Args:
        rows: How many rows all columns have.
        features: By name.
        predictions: What was served.
        probabilities: What goes with it, or None.
        request_ids: The caller's own, or None.
        lost: How many more rows the longest column has.
        segments: The segment of each row, one of all, or None.
    """

    rows: int
    features: Mapping[Any, Column]
    predictions: Column
    probabilities: Column | None
    request_ids: Column | None
    lost: int
    segments: Column | str | None = None

    @property
    def most_row_bytes(self) -> float:
        """The bytes that a row takes at most, as far as that is known without a look at each."""
        others = (self.predictions, self.probabilities, self.request_ids, self.segments)
        every = (*self.features.values(), *(it for it in others if isinstance(it, Column)))
        return sum(column.most_bytes for column in every)

    def packed(self, ids: Sequence[str], start: int, stop: int) -> tuple[Any, ...]:
        """Return the last fields of the event that stands for a stretch of rows.

        Args:
            ids: The ids of all rows.
            start: The first row.
            stop: The row behind the last.
        """
        if isinstance(ids, RequestIds):
            known_as: Any = {"prefix": ids.prefix, "first": start}
        else:
            known_as = ids[start:stop]
        features = [column.packed(start, stop) for column in self.features.values()]
        others = None if self.probabilities is None else self.probabilities.packed(start, stop)
        served = self.predictions.packed(start, stop)
        fields = (known_as, tuple(self.features), features, served, others)
        if self.segments is None:
            return fields
        parts = self.segments
        return (*fields, parts.packed(start, stop) if isinstance(parts, Column) else parts)

    def segments_in(self, rows: range) -> list[str | None]:
        """Return the segment of each of some rows."""
        if isinstance(self.segments, Column):
            return [self.segments.values[row] for row in rows]
        return [self.segments] * len(rows)

    def row(self, number: int) -> tuple[dict[Any, Any], Any, Any]:
        """Return features, prediction and probability of one row."""
        features = {name: column.values[number] for name, column in self.features.items()}
        other = None if self.probabilities is None else self.probabilities.values[number]
        return features, self.predictions.values[number], other


def read_columns(
    batch: tuple[Any, Any, Any, Any], names: Sequence[str], segments: Any = None
) -> Columns:
    """Return the columns of a batch.

    Args:
        batch: The features (a DataFrame, a mapping of name to column, or an array of rows by
            columns), the predictions, and the probabilities and request ids, or None.
        names: The names of an array's columns.
        segments: The segment of each row, one text for all, or None.

    Raises:
        DataError: Two columns have the same name, or an array has not as many as there are names.
        TypeError: Something is no column.
    """
    frame, predictions, probabilities, request_ids = batch
    features = {name: Column(values) for name, values in _features(frame, names)}
    served = Column(_flat(predictions))
    other = None if probabilities is None else Column(probabilities)
    ids = None if request_ids is None else Column(request_ids)
    parts = segments if segments is None or isinstance(segments, str) else _texts(segments)
    every = (*features.values(), served, other, ids, parts)
    lengths = [len(it) for it in every if isinstance(it, Column)]
    rows = min(lengths)
    return Columns(rows, features, served, other, ids, max(lengths) - rows, parts)


def read_pairs(batch: tuple[Any, Any]) -> tuple[list[tuple[Any, Any]], int]:
    """Return two columns as pairs, up to the end of the shorter, and how many more the longer has.

    Raises:
        TypeError: Something is no column.
    """
    first, second = (Column(values).to_list() for values in batch)
    return list(zip(first, second, strict=False)), abs(len(first) - len(second))


def ids_of(columns: Columns, new_id: Callable[[], str]) -> Sequence[str]:
    """Return the ids of the rows: the caller's own, and new ones where there are none."""
    if columns.request_ids is None:
        return RequestIds(new_id(), columns.rows)
    given = columns.request_ids.values[: columns.rows]
    return [new_id() if is_absent(it) else as_text(it) for it in given]


def redacted(columns: Columns, redactor: Redactor) -> tuple[Columns, list[str], int]:
    """Return columns without what nobody may see.

    Returns:
        The columns, the names of the types of feature names that are no text, and how many values
        are left out because a redactor failed.
    """
    whole = columns.features.items()
    raw, replaced = text_keys({name: it.values[: columns.rows] for name, it in whole})
    kept, failed = redactor.columns(raw)
    features = {name: Column(values) for name, values in kept.items()}
    return replace(columns, features=features), replaced, failed.total()


def encoded(
    columns: Columns, ids: Sequence[str], about: tuple[Any, ...], most: int
) -> Iterator[tuple[int, int, bytes | None]]:
    """Return stretches of rows, each with the record that stands for them.

    None in its place: these rows have to be recorded one by one.

    Args:
        columns: The batch.
        ids: The ids of its rows.
        about: Model, version and time.
        most: No row takes more bytes: no record does, where it is not known of each row.
    """
    if columns.most_row_bytes <= most:
        most = max(most, _EVEN_BYTES)
    start, step = 0, _ROWS
    while start < columns.rows:
        stop = min(start + step, columns.rows)
        record = salvage(
            encode, ("b", stop - start, *about, *columns.packed(ids, start, stop)), None
        )
        if record is not None and len(record) > most:
            record = None
            if stop - start > 1:
                step = (stop - start) // 2
                continue
        yield start, stop, record
        size = most if record is None else len(record)
        step = min(max(1, most * (stop - start) * 4 // (5 * size)), _MOST_ROWS)
        start = stop


def _texts(values: Any) -> Column:
    """Return a column of texts; None where there is none."""
    texts = [None if is_absent(it) else as_text(it) for it in Column(values).to_list()]
    column = np.empty(len(texts), dtype=object)
    column[:] = texts
    return Column(column)


def _flat(predictions: Any) -> Any:
    """Return the one column of an array or a table of one column, as some models serve it."""
    if getattr(predictions, "shape", ())[1:] != (1,):
        return predictions
    return predictions[:, 0] if isinstance(predictions, np.ndarray) else predictions.iloc[:, 0]


def _as_column(values: Any) -> NDArray[Any] | list[Any]:
    """Return values as an array of numbers or objects, or else as a list of objects."""
    if isinstance(values, _NO_COLUMN):
        raise TypeError(f"{type(values).__name__} is no sequence of values")
    if hasattr(values, "to_numpy"):
        # What numpy has no type for comes as objects.
        plain = isinstance(values.dtype, np.dtype) and values.dtype.kind in _NUMBERS
        values = values.to_numpy() if plain else values.to_numpy(dtype=object)
    if not isinstance(values, np.ndarray):
        return list(values)
    if isinstance(values, np.ma.MaskedArray) and values.mask.any():
        return [None if it is np.ma.masked else it for it in values.astype(object)]
    if _is_numeric(values) or (values.ndim == 1 and values.dtype.kind == "O"):
        return values
    return list(values if values.dtype.kind in _TIMES else values.tolist())


def _pack(values: NDArray[Any]) -> Numbers | Repeated | None:
    return Numbers.of(values) if _is_numeric(values) else _repeated(values)


def _repeated(objects: NDArray[Any]) -> Repeated | None:
    """Return a column of objects as few of them and places, where it is one.

    Told apart by where they lie in memory, which asks none of them anything: pandas reads a column
    of few texts into as few objects, and to encode each text anew would take ten times as long.
    """
    pandas = sys.modules.get("pandas")
    if pandas is None or len(objects) < _ROWS:
        return None
    addresses = np.ndarray(len(objects), np.intp, np.ascontiguousarray(objects).data)
    if len(set(addresses[:_ROWS].tolist())) > _ROWS // 4:
        return None
    places, found = pandas.factorize(addresses)
    if len(found) > _MOST_OBJECTS:
        return None
    first = np.empty(len(found), np.intp)
    first[places[::-1]] = np.arange(len(objects) - 1, -1, -1)
    record = salvage(encode, objects[first].tolist(), None)
    if record is None or len(record) > _MOST_OBJECT_BYTES:
        return None
    kind = np.uint8 if len(found) <= np.iinfo(np.uint8).max else np.uint16
    return Repeated(msgspec.Raw(record), Numbers.of(places.astype(kind)))


def _is_numeric(values: NDArray[Any] | list[Any]) -> bool:
    if isinstance(values, list) or values.ndim != 1:
        return False
    return values.dtype.kind in _NUMBERS and values.dtype.itemsize <= _WIDEST


def _features(frame: Any, names: Sequence[str]) -> list[tuple[Any, Any]]:
    if isinstance(frame, np.ndarray) and frame.dtype.names is None:
        if frame.ndim != len(("rows", "columns")) or frame.shape[1] != len(names):
            raise DataError(f"an array of shape {frame.shape}, and {len(names)} features are known")
        return [(name, frame[:, place]) for place, name in enumerate(names)]
    found = list(frame.dtype.names) if isinstance(frame, np.ndarray) else list(frame.keys())
    if len(set(found)) < len(found):
        raise DataError("two columns have the same name")
    return [(name, frame[name]) for name in found]
