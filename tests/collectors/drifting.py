"""A service whose drift collector is asked hour by hour: counts in, verdicts out, no store."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from mlwatch.collectors import DriftCollector
from mlwatch.detectors import ChiSquareDetector, KSDetector, MissingDetector
from mlwatch.records import DriftPolicy, DriftResult, Memory, Metric, Pane
from mlwatch.reference import Reference
from mlwatch.spans import GRACE, HOUR, outward
from mlwatch.window import Window

START = datetime(2024, 1, 1, tzinfo=UTC)
DETECTORS = (KSDetector(), ChiSquareDetector(), MissingDetector())


def numbers(rng, n, shift=0.0):
    """Draw numbers, rounded so that few cells hold them."""
    return np.round(rng.normal(shift, 1, n), 1)


def reference(days=0, *, rows=20_000, seed=0, names=("x", "y"), shift=0.0):
    """Return a reference; of so many days of 24 hours where that is not 0."""
    rng = np.random.default_rng(seed)
    rows = days * 24 * 200 or rows
    times = None
    if days:
        times = [START - days * 24 * HOUR + place // 200 * HOUR for place in range(rows)]
    data = {name: numbers(rng, rows, shift) for name in names}
    return Reference.fit(data, timestamps=times)


class Service:
    """Hours of traffic, and what the collector remembers of them, through JSON each time.

    Args:
        given: The reference.
        start: When the traffic begins.
        policy: Options of the drift policy.
    """

    def __init__(self, given, *, start=START, detectors=DETECTORS, seed=1, **policy):
        self.reference = given
        self.collector = DriftCollector(detectors, DriftPolicy(**policy))
        self.now = start
        self.rng = np.random.default_rng(seed)
        self.panes = []
        self.kept = []
        self.memory = {}
        self.items = []

    def hour(self, rows=200, **changed):
        """Let an hour of traffic pass; `changed` says the shift, or the values, of a feature."""
        frame = {}
        for name in self.reference.features:
            given = changed.get(name, 0.0)
            frame[name] = given if isinstance(given, list) else numbers(self.rng, rows, given)
        if rows:
            profile = self.reference.count(frame)
            tallies = profile.to_tallies() | {"rows": {"recorded": rows, "counted": rows}}
            self.panes.append(Pane(model="m", time=self.now, span=HOUR, tallies=tallies))
        self.now += HOUR

    def hours(self, n, every=1, rows=200, **changed):
        """Let hours pass, with a cycle after every so many of them; return the last results."""
        for hour in range(1, n + 1):
            self.hour(rows, **changed)
            if hour % every == 0:
                self.cycle()
        return self.results

    def days(self, n, **changed):
        """Let days pass, with a cycle at the end of each."""
        return self.hours(24 * n, every=24, **changed)

    def until_drifted(self, limit, **changed):
        """Return after how many hours a feature is said to have drifted, or None."""
        for hour in range(1, limit + 1):
            self.hours(1, **changed)
            if any(result.drifted for result in self.results.values()):
                return hour
        return None

    def window(self):
        until = self.now + GRACE
        since, _ = outward(until - timedelta(hours=24), until, until)

        def within(panes, first, last):
            return tuple(pane for pane in panes if first <= pane.time < last)

        return Window(
            "m",
            "1",
            since,
            until,
            within(self.panes, since, until),
            self.reference,
            reach=lambda first, last: within(self.panes, first, last),
            read_at=until,
            memory=self.memory,
            kept=lambda first, last: within(self.kept, first, last),
        )

    def cycle(self):
        """Ask the collector, and keep what it wants kept."""
        self.items = list(self.collector.collect(self.window()))
        *_, memory = self.items
        assert isinstance(memory, Memory)
        self.memory = json.loads(json.dumps(memory.body))
        self.kept += [replace(pane, model="m") for pane in memory.panes]

    @property
    def results(self):
        """The results of the last cycle by feature, of the detectors of values."""
        found = [item for item in self.items if isinstance(item, DriftResult)]
        return {item.feature: item for item in found if item.detector != "missing"}

    def of(self, detector):
        found = [item for item in self.items if isinstance(item, DriftResult)]
        return {item.feature: item for item in found if item.detector == detector}

    def metric(self, name):
        return next((m for m in self.items if isinstance(m, Metric) and m.name == name), None)
