"""Records and values that a store has to keep; read by `store_checks`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from mlwatch.records import (
    Alert,
    Delivery,
    DriftResult,
    Metric,
    Outcome,
    Pane,
    Pending,
    Prediction,
    Progress,
    Record,
    Severity,
    State,
    Table,
    Tallies,
)

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
EAST = timezone(timedelta(hours=5, minutes=45))

VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -(2**63) - 1,
    2**63,
    10**40,
    0.1,
    1.0,
    5e-324,
    1.7976931348623157e308,
    math.nan,
    math.inf,
    -math.inf,
    "",
    "1",
    "nan",
    "null",
    "true",
    "[1]",
    "$",
    "$$",
    "$nan",
    "$true",
    "$json:[1]",
    "$bytes:AA==",
    "$text:x",
    "line\nbreak\r\t\0",
    "Zürich 東京 🛫",
    "\ud800 alone",
    "$\ud800",
    b"",
    b"\x00\xff$",
    datetime(2013, 3, 1, 12, 0, 0, 1, tzinfo=UTC),
    datetime(2013, 3, 1, 12, tzinfo=EAST),
    [],
    {},
    [1, [math.nan, "$nan", None], {"a": {"$b": [b"c", True]}}],
)
"""Values that are easily lost or taken for one another."""

NAMES = (
    "m",
    "m/1",
    "m%2F1",
    "%",
    "_",
    "m' OR '1'='1",
    'say "m"',
    "m; DROP TABLE predictions; --",
    "../../etc/passwd",
    "$m",
    "$$m",
    "two\nlines",
    "nul\0byte",
    "Zürich 東京 🛫",
    "\udc80",
    " m",
    "M",
    "",
)
"""Names that break out of what they are put in, or are taken for one another."""


def prediction(
    request_id: str,
    *,
    time: datetime = NOON,
    features: Mapping[str, Any] | None = None,
    prediction: Any = 0.5,
    model: str = "m",
    model_version: str = "1",
) -> Prediction:
    """Return a prediction."""
    return Prediction(
        model=model,
        request_id=request_id,
        time=time,
        features={"x": 1.5} if features is None else features,
        prediction=prediction,
        model_version=model_version,
    )


def pane(tallies: Tallies, *, time: datetime = NOON) -> Pane:
    """Return a pane of one minute."""
    return Pane(model="m", model_version="1", time=time, span=HOUR / 60, tallies=tallies)


def metric(name: str) -> Metric:
    """Return a metric."""
    return Metric(name, 1.5, n=3, model="m", model_version="1", since=NOON - HOUR, time=NOON)


def state(revision: int) -> State:
    """Return the state "s" at a revision."""
    return State(name="s", time=NOON, revision=revision)


def progress(revision: int) -> Progress:
    """Return the progress of the writer "w" in its segment 1."""
    return Progress(writer="w", segment=1, time=NOON, revision=revision, recorded=revision)


def one_of_each() -> dict[Table, Record]:
    """Return one full record for every table, with awkward content."""
    alert = _alert()
    state = State(**_OWN, name="alerts/m", revision=3, body={"since": None, "n": [1]})
    delivery = Delivery(
        alert=alert, notifier="slack", status="pending", time=NOON, attempts=2, error="$"
    )
    return _events() | {
        Table.panes: Pane(
            **_OWN,
            reference="f",
            segment="west",
            source="spark",
            span=timedelta(seconds=90),
            tallies={"feature/$a": {"7": 3, "$": 2**65}, "score": {"-1": -4}},
        ),
        Table.metrics: _metric(),
        Table.drift: _drift(),
        Table.alerts: alert,
        Table.deliveries: delivery,
        Table.state: state,
        Table.progress: Progress(
            **_OWN,
            writer="w",
            segment=1,
            revision=9,
            recorded=10,
            stored=7,
            dropped={"full": 3},
            noted={"future": 1},
        ),
    }


_OWN: dict[str, Any] = {
    "model": "m",
    "model_version": "1",
    "time": NOON + timedelta(microseconds=1),
}


def _events() -> dict[Table, Record]:
    return {
        Table.predictions: Prediction(
            **_OWN,
            request_id="r/1",
            features={"age": 41, "city": None, "fare": 7.25, "tags": ["a"], "raw": {"k": b"v"}},
            prediction="late",
            probability=[0.25, 0.75],
            latency_ms=12.5,
            error="ValueError: $x",
            segment="west",
        ),
        Table.outcomes: Outcome(**_OWN, request_id="r/1", outcome=True, joined=True),
        Table.pending: Pending(
            **_OWN, request_id="r/1", reference="f", score=[0.5, 0.5], label="late", outcome=2**70
        ),
    }


def _metric() -> Metric:
    return Metric(
        "latency_ms",
        None,
        low=1.25,
        high=math.inf,
        n=12,
        labels={"quantile": "0.99"},
        verdict="not enough data",
        why="12 rows, 50 needed",
        since=NOON - DAY,
        **_OWN,
    )


def _drift() -> DriftResult:
    return DriftResult(
        feature="age",
        detector="ks",
        statistic=0.25,
        effect=0.125,
        effect_low=None,
        p_value=1e-300,
        n=100,
        n_reference=2000,
        missing=1,
        unseen=2,
        infinite=3,
        drifted=False,
        band="notice",
        caveats=("thinned", "$few"),
        why="margin",
        since=NOON - DAY,
        **_OWN,
    )


def _alert() -> Alert:
    return Alert(
        **_OWN,
        id="episode/1",
        fingerprint="accuracy/m/1",
        rule="accuracy",
        severity=Severity.CRITICAL,
        state="firing",
        title="accuracy is $low",
        why="0.5 is below 0.7",
        since=NOON - DAY,
        metric="accuracy",
        value=0.5,
        low=-math.inf,
        threshold=0.7,
        labels={"feature": "$a/b"},
    )


def same(one: Any, other: Any) -> bool:
    """Return whether two values are equal and of one kind, NaN being equal to itself."""
    if isinstance(one, float) and isinstance(other, float) and math.isnan(other):
        return math.isnan(one)
    return bool(one == other) and kinds(one) == kinds(other)


def kinds(value: Any) -> Any:
    """Return the types in a value, so that 1, 1.0 and True are told apart."""
    if isinstance(value, Mapping):
        return {name: kinds(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [type(value), *map(kinds, value)]
    if hasattr(value, "__dataclass_fields__"):
        return {name: kinds(getattr(value, name)) for name in value.__dataclass_fields__}
    return datetime if isinstance(value, datetime) else type(value)
