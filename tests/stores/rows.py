"""Rows for the tests of stores."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mlwatch.records import Pane, Prediction, State

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)


def prediction(request_id, *, time=NOON, features=None, prediction=0.5):
    return Prediction(
        model="m",
        model_version="1",
        request_id=request_id,
        time=time,
        features={"x": 1.5} if features is None else features,
        prediction=prediction,
    )


def pane(count, *, time=NOON):
    return Pane(model="m", time=time, span=timedelta(minutes=1), tallies={"n": {"n": count}})


def state(revision, **body):
    return State(name="counter", time=NOON, revision=revision, body=body)
