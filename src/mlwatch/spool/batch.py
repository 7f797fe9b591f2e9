"""Many predictions as columns in one record, which reading turns into one event a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mlwatch.spool.wire import BATCH, end_of, name_of

_FIELDS = 10
_HEAD = len(BATCH[0])


@dataclass(frozen=True, slots=True)
class Numbers:
    """A column of numbers as it lies in memory.

    Args:
        kind: How numpy spells the type of one.
        width: The bytes of one.
        data: The bytes of all.
    """

    kind: str
    width: int
    data: memoryview

    @property
    def most_bytes(self) -> int:
        """The bytes that a value takes."""
        return self.width

    @classmethod
    def of(cls, column: NDArray[Any]) -> Numbers:
        """Return the numbers of an array of one dimension."""
        data = np.ascontiguousarray(column).view(np.uint8).data
        return cls(column.dtype.str, column.dtype.itemsize, data)

    def part(self, start: int, stop: int) -> dict[str, Any]:
        """Return a stretch of the column as it is encoded."""
        return {"kind": self.kind, "data": self.data[start * self.width : stop * self.width]}


@dataclass(frozen=True, slots=True)
class Repeated:
    """A column in which few objects come again and again.

    Args:
        objects: Each of them once, encoded as a list.
        places: The place in that list of each row.
    """

    objects: msgspec.Raw
    places: Numbers

    @property
    def most_bytes(self) -> int:
        """The bytes that a value takes at most."""
        return len(memoryview(self.objects))

    def part(self, start: int, stop: int) -> dict[str, Any]:
        """Return a stretch of the column as it is encoded."""
        return {"objects": self.objects, "places": self.places.part(start, stop)}


def rows_in(record: bytes) -> int:
    """Return how many predictions or outcomes an encoded record stands for."""
    if not record.startswith(BATCH):
        return 1
    return int(msgspec.msgpack.decode(record[_HEAD : end_of(record, _HEAD)]))


def events_of(record: Any) -> Iterator[Any]:
    """Return the events of a decoded record: of a batch one a row, of any other itself."""
    if not isinstance(record, list) or len(record) - _FIELDS not in {0, 1} or record[0] != "b":
        yield record
        return
    _, rows, model, version, time, ids, names, columns, served, probabilities, *last = record
    keys = [name_of(name) for name in _whole(names, len(columns))]
    values = [_whole(column, rows) for column in columns]
    by_row = zip(
        _ids(ids, rows),
        zip(*values, strict=True) if values else [()] * rows,
        _whole(served, rows),
        _whole(probabilities, rows),
        _whole(last[0] if last else None, rows),
        strict=True,
    )
    for known_as, row, prediction, probability, segment in by_row:
        features = dict(zip(keys, row, strict=True))
        told = (prediction, probability, *_NOTHING, segment)
        yield ["p", model, version, known_as, time, features, *told]


_NOTHING = (None, None)
"""Latency and error, which a batch does not have."""


def _ids(ids: Any, rows: int) -> Sequence[Any]:
    if isinstance(ids, dict):
        first = ids["first"]
        return [f"{ids['prefix']}-{row}" for row in range(first, first + rows)]
    return _whole(ids, rows)


def _whole(column: Any, rows: int) -> Sequence[Any]:
    """Return a column; what stands for one that could not be read, or is none, for each row."""
    values = _unpacked(column) if isinstance(column, dict) else column
    return values if isinstance(values, list) and len(values) == rows else [values] * rows


def _unpacked(column: dict[str, Any]) -> Any:
    if column.keys() == {"kind", "data"}:
        return np.frombuffer(column["data"], column["kind"]).tolist()
    if column.keys() == {"objects", "places"}:
        objects = column["objects"]
        return [objects[place] for place in _unpacked(column["places"])]
    return column
