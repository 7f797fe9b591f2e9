"""Batches handed over as columns, read as rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlwatch._guard import salvage

if TYPE_CHECKING:
    from mlwatch.recorder import AnyRecorder

Rows = tuple[list[tuple[Any, ...]], int]
"""Rows, and how many more there would be if no column were shorter than the others."""


def read_rows(
    read: Callable[[Sequence[Any]], Rows], columns: Sequence[Any], recorder: AnyRecorder
) -> list[tuple[Any, ...]]:
    """Return what `read` makes of a batch; count what is no batch, and rows that lack a value."""
    found = salvage(read, columns, None)
    if found is None:
        recorder.refuse("bad_batch")
        return []
    rows, lost = found
    if lost:
        recorder.refuse("unequal_columns", lost)
    return rows


def aligned(columns: Sequence[Any]) -> Rows:
    """Return columns as rows, up to the end of the shortest."""
    lists = [plain(column) for column in columns]
    rows = list(zip(*lists, strict=False))
    return rows, max(map(len, lists)) - len(rows)


def plain(values: Any) -> list[Any]:
    """Return values as a list of Python objects.

    Raises:
        TypeError: They are a text or a mapping, whose parts are no rows.
    """
    if isinstance(values, str | bytes | Mapping):
        raise TypeError(f"{type(values).__name__} is no sequence of values")
    return list(values.tolist() if hasattr(values, "tolist") else values)
