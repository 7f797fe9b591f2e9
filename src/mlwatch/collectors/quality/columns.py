"""Features as a whole: which are new, gone, constant, or an id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

import numpy as np

from mlwatch import endpoints
from mlwatch.profile import Distribution, NumericGrid, Profile
from mlwatch.profile.values import numbers
from mlwatch.records import Metric, Tally
from mlwatch.records.words import listed
from mlwatch.redaction.values import is_absent

FEWEST = 30
"""Fewer rows say nothing of a feature as a whole."""

_CHANCE = 1e-3
_NEARLY_ALL = 0.95
_IDS = {str, int}
_MICROSECOND = timedelta(microseconds=1)

Columns = Mapping[str, Sequence[Any]]
"""The values of a row sample by feature, None where a row has none."""


def new(names: Tally, rows: int) -> Metric:
    """Return how many features came that the reference does not have, and which.

    Args:
        names: In how many rows each came.
        rows: How many rows came.
    """
    known = sorted((it for it in names if it != endpoints.OTHER), key=lambda it: -names[it])
    shown = known[: endpoints.MOST]
    is_more = endpoints.OTHER in names or len(shown) < len(known)
    why = listed([f"{name} ({names[name] / rows:.1%} of the rows)" for name in shown])
    more = f"at least so many: beyond {endpoints.MOST} they are not told apart" if is_more else ""
    return Metric(
        "new_features",
        float(len(shown)) + is_more,
        n=rows,
        why="; ".join(filter(None, (why, more))),
    )


def vanished(reference: Profile, current: Profile) -> Metric:
    """Return how many features are missing in every row, and would by chance in few windows."""
    if current.rows < FEWEST:
        why = f"not enough data: {current.rows} of {FEWEST} rows"
        return Metric("vanished_features", None, n=current.rows, why=why)
    names = [
        name
        for name, found in current.distributions.items()
        if found.absent == found.total
        and _share_absent(reference.distributions[name]) ** found.total < _CHANCE
    ]
    return _named("vanished_features", names, current.rows)


def _share_absent(reference: Distribution) -> float:
    return (reference.absent + 1) / (reference.total + 1)


def constant(reference: Profile, current: Profile, columns: Columns) -> Metric:
    """Return how many features have one value alone, and had more on the reference.

    By the counts, where that is a value of the reference; where it is not, by the row sample. A
    value that is so frequent that this many rows may well all have it is no sign of anything.
    """
    enough = [it for it in current.distributions.values() if it.n >= FEWEST]
    if not enough:
        n = max((it.n for it in current.distributions.values()), default=0)
        why = f"not enough data: {n} of {FEWEST} values"
        return Metric("constant_features", None, n=current.rows, why=why)
    names = [
        found.name
        for found in enough
        if _is_one_value(found, columns.get(found.name, ()))
        and not _is_usual(reference.distributions[found.name], found)
    ]
    return _named("constant_features", names, current.rows)


def _is_usual(reference: Distribution, found: Distribution) -> bool:
    """Say whether the reference has one value, or rows like its own may well all fall there."""
    there = int(reference.ordered[found.ordered > 0].sum())
    likely = ((there + 1) / (reference.n + 1)) ** found.n >= _CHANCE
    return likely or _is_one_value(reference, ())


def _is_one_value(found: Distribution, sample: Sequence[Any]) -> bool:
    filled = np.flatnonzero(found.ordered)
    if len(filled) != 1:
        return False
    if isinstance(found.grid, NumericGrid):
        cell = int(filled[0]) - 1  # -1 and the last are infinities
        if cell % 2 or cell == found.grid.size:
            return True
    elif filled[0] < found.grid.size - 1:
        return True
    present = _present(sample)
    return len(present) >= FEWEST and len(set(map(repr, present))) == 1


def id_like(columns: Columns, lacks: str, words: str, rows: int) -> Metric:
    """Return how many features have another text or whole number in nearly every row."""
    if lacks:
        return Metric("id_like_features", None, n=rows, why=lacks)
    names = [name for name, values in columns.items() if _is_id_like(values)]
    found = _named("id_like_features", names, rows)
    return Metric(found.name, found.value, n=rows, why="; ".join(filter(None, (found.why, words))))


def _is_id_like(values: Sequence[Any]) -> bool:
    if set(map(type, values)).isdisjoint(_IDS):
        return False
    present = _present(values)
    is_id = len(present) >= FEWEST and set(map(type, present)) <= _IDS
    return is_id and len(set(present)) >= _NEARLY_ALL * len(present)


def ages(
    columns: Columns, times: frozenset[str] | None, until: datetime, words: str
) -> Iterator[Metric]:
    """Return how long ago the newest value of each feature of times was, in seconds.

    Args:
        columns: The values of the row sample.
        times: The features that are times; None where nobody has said.
        until: The end of the window.
        words: What the row sample is.
    """
    end = int(numbers([until], time=True)[0][0])
    for name, values in columns.items():
        if not _is_of_times(name, values, times):
            continue
        micros, codes = numbers(_present(values), time=True)
        known = micros[codes == 0]
        if len(known):
            age = (end - int(known.max())) * _MICROSECOND.total_seconds()
            labels = {"feature": name}
            yield Metric("feature_age_seconds", age, n=len(known), labels=labels, why=words)


def _is_of_times(name: str, values: Sequence[Any], times: frozenset[str] | None) -> bool:
    if times is not None:
        return name in times
    return all(isinstance(value, datetime | None) for value in values)


def columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the values of rows by feature."""
    names = dict.fromkeys(chain.from_iterable(rows))
    return {name: [features.get(name) for features in rows] for name in names}


def _present(values: Sequence[Any]) -> list[Any]:
    return [value for value in values if not is_absent(value)]


def _named(metric: str, names: Sequence[str], rows: int) -> Metric:
    return Metric(metric, float(len(names)), n=rows, why=listed(names))
