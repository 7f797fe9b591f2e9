"""The one catalogue of metrics: what is collected is in it, and what is in it is collected."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from tests.collectors.servers import serving, status
from tests.traffic import START, predicted, requested, told, window

from mlwatch import defaults
from mlwatch.catalogue import CATALOGUE
from mlwatch.collectors import (
    DriftScoreCollector,
    NotMissing,
    OneOf,
    RetentionValue,
    Schema,
    ServiceCollector,
)
from mlwatch.records import DriftPolicy, Metric, Segment
from mlwatch.reference import Reference

OF_THE_CYCLE = {"monitoring_fault", "version_difference"} | {
    name for name in CATALOGUE if name.startswith("monitor_")
}
"""What a cycle measures of itself, over its collectors."""

UNITS = {
    "alarms", "bytes", "connections", "currency", "customers", "days", "descriptors", "difference",
    "errors", "faults", "features", "lines", "ms", "nats", "percent", "processes", "ratio",
    "records", "requests", "rows", "rows/s", "s", "score", "segments", "share", "status", "target",
    "threads",
}  # fmt: skip

VALUE = RetentionValue(600.0, 20.0, 0.3)
DAYS = {
    "since": (START - timedelta(days=9)).isoformat(),
    "counts": [10] * 9 * 24,
    "last": START.isoformat(),
}
"""What is remembered of the volume of nine days."""

LABELS = DriftPolicy(independent_labels=True, segments=(Segment("x", bins=(0,)),))
"""What asks for everything that is collected by default, or where the policy asks for it."""

SCHEMA = Schema({"x": NotMissing(), "c": OneOf("a")})

ON_REQUEST = [DriftScoreCollector(), VALUE, SCHEMA]
"""Rules of the user's own."""


def windows():
    """Give a window of each task, with outcomes, latencies, errors and a request.

    The references know of 20 days, and labels are also counted as they arrive.
    """
    rng = np.random.default_rng(0)
    x = rng.normal(size=400)
    days = [START - timedelta(days=20) + timedelta(hours=1.2) * i for i in range(400)]
    of_task = {
        "binary": (rng.random(400).tolist(), rng.integers(0, 2, 400).tolist()),
        "multiclass": (
            rng.choice(list("abc"), 400).tolist(),
            rng.choice(list("abc"), 400).tolist(),
        ),
        "regression": (rng.normal(size=400).tolist(), rng.normal(size=400).tolist()),
    }
    for task, (served, true) in of_task.items():
        reference = Reference.fit(
            {"x": x}, predictions=served, outcomes=true, task=task, timestamps=days
        )
        rows = [
            predicted(
                i, served[i], {"x": float(x[i])}, latency_ms=5.0, error="e" * (i == 0) or None
            )
            for i in range(400)
        ]
        outcomes = [told(i, true[i]) for i in range(400)]
        rows.append(requested(0))
        yield window([*rows, *outcomes], reference, arrivals=START, segments=LABELS.segments)
        rows += [requested(i) for i in range(30)]
        rows.append(["l", "m", "1", START, {"INFO": 9, "ERROR": 1}])
        for known, missed in ((reference, 0), (None, 1)):
            yield window(
                [*rows, *outcomes],
                known,
                arrivals=START,
                missed=missed,
                tallies={"retention": VALUE.tally},
            )
    data = {"c": ["a", "b"] * 50, "seen": [START] * 100}
    rows = [predicted(i, 0.5, {"c": "a", "seen": START}) for i in range(40)]
    yield window(rows, Reference.fit(data), tallies={"schema": SCHEMA.tally})
    yield replace(window(rows, missed=1), memory=DAYS)


@pytest.fixture(scope="module")
def service():
    """A service that answers."""
    with serving(status(200)) as server:
        yield ServiceCollector({"api": f"http://{server.place}"}, name="more services")


@pytest.fixture(scope="module")
def collected(service):
    """Every metric that the collectors make of those windows, with those on request."""
    every = [*defaults.collectors(None, LABELS), *ON_REQUEST, service]
    return [
        item
        for view in windows()
        for collector in every
        for item in collector.collect(view)
        if isinstance(item, Metric)
    ]


def test_what_is_collected_is_in_the_catalogue(collected):
    """Each metric of our collectors has an entry, with the labels it carries."""
    for metric in collected:
        assert metric.name in CATALOGUE
        assert set(metric.labels) == set(CATALOGUE[metric.name].labels), metric


def test_what_is_in_the_catalogue_is_collected(collected):
    """No entry of the catalogue is a metric that nothing measures."""
    measured = {metric.name for metric in collected if metric.value is not None}

    assert set(CATALOGUE) == measured | OF_THE_CYCLE


def test_shares_are_shares(collected):
    """A metric of unit "share" lies between 0 and 1, but for R2, which may be negative."""
    for metric in collected:
        if CATALOGUE[metric.name].unit == "share" and metric.value is not None:
            assert metric.value <= 1
            assert metric.value >= 0 or metric.name == "r2"
        assert metric.value is None or math.isfinite(metric.value)


@pytest.mark.parametrize("spec", CATALOGUE.values(), ids=lambda spec: spec.name)
def test_entries_are_complete(spec):
    """Each entry has a known unit, kind and direction, and one line of text that ends in a stop."""
    assert CATALOGUE[spec.name] is spec
    assert spec.unit in UNITS
    assert spec.kind in {"gauge", "total"}
    assert spec.direction in {"up", "down", ""}
    assert spec.text.endswith(".")
    assert "\n" not in spec.text
