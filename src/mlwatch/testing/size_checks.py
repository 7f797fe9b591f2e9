"""The check of a store that says how large it is."""

from __future__ import annotations

from datetime import datetime

from mlwatch.protocols import MetricStore
from mlwatch.records import Batch, Prediction, Table
from mlwatch.testing import _store_samples as samples
from mlwatch.testing._store_samples import DAY, NOON

_ROWS = 400
_TEXT = "x" * 1000


def says_how_large_it_is(store: MetricStore) -> None:
    """Check the property `bytes` of a store that has one."""
    if not hasattr(type(store), "bytes"):
        return
    empty = _size(store)
    store.write(Batch("old", {Table.predictions: _large("old", NOON - DAY)}))
    half = _size(store)
    store.write(Batch("new", {Table.predictions: _large("new", NOON)}))
    full = _size(store)
    least = _ROWS * len(_TEXT)
    assert half - empty >= least, f"{least:,} bytes were written, and `bytes` grew {half - empty:,}"
    assert full - half >= least, f"{least:,} bytes were written, and `bytes` grew {full - half:,}"
    store.prune({Table.predictions: NOON})
    left = _size(store)
    assert left <= half + (full - half) / 10, (
        f"of two equal halves one was pruned, and of {full:,} bytes {left:,} are said to be left"
    )


def _large(name: str, time: datetime) -> list[Prediction]:
    features = {"x": _TEXT}
    return [
        samples.prediction(f"{name}-{place}", features=features, time=time)
        for place in range(_ROWS)
    ]


def _size(store: MetricStore) -> int:
    size = getattr(store, "bytes", None)
    assert isinstance(size, int), f"`bytes` is {size!r}, and has to be a whole number"
    return size
