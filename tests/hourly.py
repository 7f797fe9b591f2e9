"""A service whose hours pass: counts of each hour in a store, and a real monitor that is asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np

from mlwatch import AlarmBudget, DriftPolicy, Monitor, Reference, Table
from mlwatch.testing import ManualClock, RecordingNotifier

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
MODEL, VERSION = "m", "1"
ROWS = 200
POLICY = DriftPolicy(budget=AlarmBudget(alarms=1))


def numbers(hour, shift=0.0, rows=ROWS):
    """Return the values of an hour, the same whenever it is asked for."""
    return np.round(np.random.default_rng(hour + 10_000).normal(shift, 1, rows), 1)


@cache
def reference(days=20):
    """Return what the model was trained on: so many days before the first hour, or bare rows."""
    if not days:
        return Reference.fit({"x": numbers(-1, rows=5000)})
    hours = range(-24 * days, 0)
    values = np.concatenate([numbers(hour) for hour in hours])
    times = [BEGIN + hour * HOUR for hour in hours for _ in range(ROWS)]
    return Reference.fit({"x": values}, timestamps=times)


class Worker:
    """A monitor of the service, and what it told; several may share a store.

    Args:
        store: Where the service's counts are.
        given: The reference.
        told: Keeps the alerts; one for all workers where there are several.
    """

    def __init__(self, store, given=None, told=None, **options):
        self.store = store
        self.clock = ManualClock(BEGIN)
        self.told = told or RecordingNotifier()
        self.reference = given or reference()
        options.setdefault("drift", POLICY)
        options.setdefault("notifiers", [self.told])
        self.monitor = Monitor(
            self.reference,
            store=store,
            model=MODEL,
            model_version=VERSION,
            clock=self.clock,
            **options,
        )

    def serve(self, hours, shift=0.0, rows=ROWS):
        """Put the counts of these hours into the store."""
        for hour in hours:
            start = BEGIN + hour * HOUR
            profile = self.reference.count({"x": numbers(hour, shift, rows)})
            self.monitor.record_profile(profile, start, start + HOUR)

    def cycle(self, hour):
        """Run the cycle in which the hour before this one is closed."""
        self.at(hour)
        return self.monitor.run_cycle()

    def at(self, hour):
        """Set the clock to ten minutes past an hour."""
        self.clock.advance(BEGIN + hour * HOUR + 10 * MINUTE - self.clock())

    @property
    def titles(self):
        """What was told, in order."""
        return [(alert.state, alert.id) for alert in self.told.alerts]


def remembered(store, collector="drift"):
    """Return what a collector remembers, with its revision; None at first."""
    key = f"collector/{MODEL}/{VERSION}/{collector}"
    found = next(store.read(Table.state, keys=[key]), None)
    return None if found is None else (found.body, found.revision)


def own_panes(store):
    """Return the panes that collectors keep for themselves, by key."""
    panes = store.read(Table.panes)
    return {pane.key: pane.tallies for pane in panes if pane.source.startswith("collector")}


def left(store):
    """Return all that cycles leave of what they found in the traffic, by table and key."""
    tables = (Table.metrics, Table.drift, Table.alerts)
    kept = {table: {row.key: row for row in store.read(table)} for table in tables}
    about = kept[Table.metrics].items()
    kept[Table.metrics] = {  # the workers themselves differ, and what the machine has left
        key: row for key, row in about if row.model_version or row.name == "monitoring_fault"
    }
    return kept | {"memory": remembered(store), "own": own_panes(store)}
