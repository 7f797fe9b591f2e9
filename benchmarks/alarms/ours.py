"""mlwatch itself, as a user would run it: a reference with timestamps and a budget.

The drift collector is given windows, and its memory back, as a cycle gives them; what a store and
a spool do beside is no part of what is measured here.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from alarms.answer import Answer
from alarms.scenario import Scenario
from mlwatch import AlarmBudget, DriftPolicy, DriftResult, Reference
from mlwatch.collectors import DriftCollector
from mlwatch.defaults import detectors
from mlwatch.records import Memory, Pane, pack, sum_tallies
from mlwatch.spans import DAY, HOUR, floor
from mlwatch.window import Window

MONDAY = datetime(2024, 1, 1, tzinfo=UTC)
EVERY = 3
"""Hours between two cycles; the hours between them are watched all the same, one by one."""


def ours(scenario: Scenario, budget: float) -> Answer:
    """Watch the stream with nothing changed, then once for each size of the shift."""
    quiet = {hour: named for hour, named in watch(scenario, scenario.stream, budget) if named}
    found = {size: first(scenario, size, budget, quiet) for size in scenario.sizes}
    return Answer({hour: tuple(sorted(named)) for hour, named in quiet.items()}, found)


def first(
    scenario: Scenario, size: float, budget: float, quiet: dict[int, frozenset[int]]
) -> tuple[int, ...]:
    """Give the first hour at which the shift opens an episode that is not open without it."""
    for hour, named in watch(scenario, scenario.shifted(size), budget):
        false = scenario.feature in quiet.get(hour, ())
        if scenario.feature in named and hour > scenario.onset and not false:
            return (hour,)
    return ()


def watch(
    scenario: Scenario, frames: Iterable[np.ndarray], budget: float
) -> Iterator[tuple[int, frozenset[int]]]:
    """Say for which features an episode is open, at the end of every third hour.

    Args:
        scenario: Whose reference is learnt from.
        frames: The hours that follow it, one at a time, shape (rows, features).
        budget: False alarms a week.
    """
    reference = fit(scenario.reference)
    policy = DriftPolicy(budget=AlarmBudget(alarms=budget))
    collector = DriftCollector(detectors(), policy)
    past = Past(MONDAY + len(scenario.reference) * HOUR, reference)
    for hour, rows in enumerate(frames, start=1):
        past.add(rows)
        if hour % EVERY == 0:
            yield hour, past.cycle(collector)


def fit(hours: np.ndarray) -> Reference:
    """Fit the reference to hours in order of time, shape (hours, rows, features)."""
    times = np.datetime64("2024-01-01T00", "h") + np.arange(len(hours))
    rows = hours.reshape(-1, hours.shape[2])
    return Reference.fit(columns(rows), timestamps=np.repeat(times, hours.shape[1]))


def columns(rows: np.ndarray) -> dict[str, np.ndarray]:
    return {str(place): column for place, column in enumerate(rows.T)}


@dataclass
class Past:
    """What a store would keep: hours, older ones added up to days, and the collector's memory."""

    now: datetime
    reference: Reference
    panes: dict[tuple[datetime, timedelta], Pane] = field(default_factory=dict)
    memory: Memory = field(default_factory=lambda: Memory({}))

    def add(self, rows: np.ndarray) -> None:
        """Count one more hour."""
        counted = self.reference.count(columns(rows)).to_tallies()
        tallies = {name: pack(tally) for name, tally in counted.items()}
        rows_tally = {"rows": {"recorded": len(rows), "counted": len(rows)}}
        pane = Pane(model="m", time=self.now, span=HOUR, tallies=tallies | rows_tally)
        self.panes[pane.time, HOUR] = pane
        self.now += HOUR
        midnight = floor(self.now, DAY)
        if self.now == midnight:
            self.roll_up(midnight - 3 * DAY)

    def roll_up(self, day: datetime) -> None:
        """Add the hours of a day up."""
        hours = [self.panes.pop((day + n * HOUR, HOUR), None) for n in range(24)]
        tallies = sum_tallies(pane.tallies for pane in hours if pane is not None)
        if tallies:
            self.panes[day, DAY] = Pane(model="m", time=day, span=DAY, tallies=tallies)

    def cycle(self, collector: DriftCollector) -> frozenset[int]:
        """Run the collector over the last day and return the features it calls drifted."""
        until = self.now + timedelta(minutes=6)
        window = Window(
            "m", "1", self.now - DAY, until, self.between(self.now - DAY, until), self.reference,
            reach=self.between, read_at=until, memory=self.memory.body,
        )  # fmt: skip
        items = list(collector.collect(window))
        self.memory = next(item for item in items if isinstance(item, Memory))
        results = (item for item in items if isinstance(item, DriftResult))
        return frozenset(int(result.feature) for result in results if result.drifted)

    def between(self, since: datetime, until: datetime) -> tuple[Pane, ...]:
        """Return the panes that start in a span."""
        kept = sorted(self.panes.values(), key=lambda pane: pane.time)
        return tuple(pane for pane in kept if since <= pane.time < until)
