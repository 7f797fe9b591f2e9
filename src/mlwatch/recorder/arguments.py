"""What a host may hand over, as what is recorded, and the reason where it had to be changed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import index
from typing import Any

import numpy as np

from mlwatch import log_levels
from mlwatch._guard import explain, salvage, type_name
from mlwatch.recorder.encoding import simple

Reason = str | None
"""Under what a change is counted; None where nothing had to be changed."""

REMEDIES: Mapping[str, str] = {
    "bad_batch": "a batch is a DataFrame or a mapping of name to array, and sequences with one "
    "value a row",
    "bad_features": "features are a mapping, a pandas row (not a DataFrame: use .iloc[0]), or "
    "values in the order of the reference's features",
    "bad_level": "level is the number or the name of a level of logging, such as logging.ERROR",
    "bad_latency": "latency_ms is a finite number of milliseconds, from 0 up",
    "bad_status": "status is the number of an HTTP status, such as 200",
    "bad_timestamp": "timestamp is a timezone-aware datetime",
    "empty_outcome": "outcome is the truth about a prediction, and None says nothing",
    "empty_request_id": "request_id is what record_prediction returned",
    "feature_count": "a sequence of features has as many values as the reference has features",
    "future": "timestamp lies more than 5 minutes ahead of the clock",
    "naive_timestamp": "timestamp has no timezone; give it one, as in datetime.now(UTC)",
    "shutdown": "the monitor is closed; make another",
    "unequal_columns": "the columns of a batch, its predictions and its ids are of one length",
    "redaction_failed": "a function of CaptureOptions(redact=...) must return for every value, and "
    '"hash" and "mask" take text, bytes, numbers and times',
    "too_large": "the record is larger than CaptureOptions(max_record_bytes=...)",
}
"""What is wrong, and the remedy, by the reason under which it is counted."""

_AHEAD = timedelta(minutes=5)
_NAMELESS = (str, bytes, bytearray, memoryview)


def as_features(features: Any, names: Sequence[str]) -> tuple[dict[Any, Any], Reason]:
    """Return features by name: of a mapping, a pandas row, or values in the order of `names`."""
    found = salvage(_mapping, features, None)
    if found is not None:
        return found, None
    values = salvage(_values, features, None)
    if values is None or not names:
        return {}, "bad_features"
    if len(values) != len(names):
        return {}, "feature_count"
    return dict(zip(names, values, strict=True)), None


def as_time(timestamp: Any, now: datetime) -> tuple[datetime, Reason]:
    """Return a moment in UTC; one that lies well ahead of the clock becomes the clock's."""
    found = salvage(_utc, timestamp, None)
    if found is None:
        return now, "bad_timestamp"
    time, reason = found
    return (now, "future") if time - now > _AHEAD else (time, reason)


def as_latency(latency_ms: Any) -> tuple[float | None, Reason]:
    """Return a latency, or None for what is no finite number from 0 up."""
    number = salvage(_number, latency_ms, None)
    if number is None or not 0 <= number < math.inf:
        return None, "bad_latency"
    return number, None


def as_status(status: Any) -> tuple[int, Reason]:
    """Return the number of an HTTP status, or 0 for what is none."""
    number = salvage(index, status, 0)  # that of an http.HTTPStatus, too
    return (number, None) if 100 <= number < 600 else (0, "bad_status")


def as_level(level: Any) -> tuple[str, Reason]:
    """Return the level of a line of the log, by its number or its name; "INFO" for what is none."""
    if type(level) is int:  # as logging has them
        return log_levels.of_number(level), None
    known_as = salvage(_level, level, None)
    return ("INFO", "bad_level") if known_as is None else (known_as, None)


def is_absent(request_id: Any) -> bool:
    """Say whether an id is none, as a column of ids with gaps has them: None, NaN, NA or NaT."""
    if request_id is None:
        return True
    if issubclass(type(request_id), float):
        return math.isnan(float.__float__(request_id))
    return type_name(request_id) in {"NAType", "NaTType"}


def as_text(value: Any) -> str:
    """Return a text, an exception or another object as one line of text."""
    if type(value) is str:
        return value
    if issubclass(type(value), BaseException):  # isinstance would ask the object
        return explain(value)
    # A subclass of str may come out, which is not what the id of a record is.
    return str.__str__(salvage(str, value, f"<{type_name(value)}>"))


def _mapping(features: Any) -> dict[Any, Any] | None:
    if isinstance(features, dict):
        return features
    if isinstance(features, Mapping):
        return dict(features)
    if hasattr(features, "to_dict") and getattr(features, "ndim", 0) == 1:
        found = features.to_dict()
        return found if isinstance(found, dict) else None
    return None


def _values(features: Any) -> list[Any] | None:
    if isinstance(features, np.ndarray):
        # One row, whichever way it lies; its items, as tolist() makes nanoseconds of times.
        return list(features.flat) if features.size == max(features.shape, default=0) else None
    if isinstance(features, Sequence) and not isinstance(features, _NAMELESS):
        return list(features)
    return None


def _utc(timestamp: Any) -> tuple[datetime, Reason] | None:
    exact = simple(timestamp) if type(timestamp) is not datetime else timestamp
    if not isinstance(exact, datetime):
        return None
    if exact.utcoffset() is None:
        return exact.replace(tzinfo=UTC), "naive_timestamp"
    return exact.astimezone(UTC), None


def _level(level: Any) -> str | None:
    if isinstance(level, str):
        return log_levels.of_name(level)
    return None if isinstance(level, bool) else log_levels.of_number(index(level))


def _number(value: Any) -> float | None:
    return None if isinstance(value, bool | str | bytes) else float(value)
