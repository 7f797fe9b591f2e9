"""Real data, played through a real monitor."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlwatch import Monitor, Reference
from mlwatch.collectors.concept.classes import OUTCOMES, RELATION
from mlwatch.records import Alert, CycleReport
from mlwatch.testing import ManualClock, MemoryStore
from truth.traffic import Traffic, effect, folder

DAY, SECOND, WEEK = timedelta(days=1), timedelta(seconds=1), timedelta(days=7)
MARGIN = 0.05
USUAL = "this much is usual for this service"
BIG = 0.1
"""What the README of the data calls a big effect."""


def shared(name: str) -> Path:
    """Return a file of the data that lie beside the checkout, or skip the test and say so."""
    path = folder() / name
    if not path.exists():
        pytest.skip(f"no {path}: these data do not belong to the project; set MLWATCH_DATA")
    return path


@dataclass(frozen=True, slots=True)
class Story:
    """What a monitor told about some traffic.

    Args:
        reports: One a cycle.
        alerts: All that was told, in order.
        backtest: The line of the backtest at the end.
    """

    reports: list[CycleReport] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    backtest: list[str] = field(default_factory=list)

    def first(self) -> dict[str, str]:
        """Return the last day of the traffic on which each feature was first found to drift.

        Outcomes and their relation to the predictions are two of them.
        """
        found: dict[str, str] = {}
        for report in self.reports:
            for result in report.drift:
                if result.drifted:
                    found.setdefault(result.feature, f"{report.time - SECOND:%Y-%m-%d}")
        return found

    def drifted(self, since: str, until: str) -> set[str]:
        """Return what was drifted in any cycle of `[since, until)`."""
        return {
            result.feature
            for report in self.reports
            if since <= f"{report.time - SECOND:%Y-%m-%d}" < until
            for result in report.drift
            if result.drifted
        }

    def usual(self) -> set[str]:
        """Return what was ever said to differ from the reference no more than is usual."""
        return {
            result.feature
            for report in self.reports
            for result in report.drift
            if result.drifted is False and USUAL in result.caveats
        }

    def exaggerated(self, before: Traffic, traffic: Traffic) -> list[str]:
        """Return the verdicts "drifted" that the raw rows of their window do not bear out."""
        return [
            f"{result.feature} at {result.time}: {moved:.3f} moved, not {result.effect_low}"
            for report in self.reports
            for result in report.drift
            if result.drifted and result.feature not in {OUTCOMES, RELATION}
            for rows in [traffic.between(result.since, result.time)]
            for moved in [effect(before.column(result.feature), rows.column(result.feature))]
            if moved < (result.effect_low or 0.0)
        ]


def play(
    reference: Reference, traffic: Traffic, *, every: timedelta = DAY, **options: Any
) -> Story:
    """Record traffic and run a cycle each `every`."""
    story = Story()
    start = traffic.times[0].floor("D").to_pydatetime()
    clock = ManualClock(start)
    options = {"store": MemoryStore(), "notifiers": [story.alerts.append]} | options
    with Monitor(reference, clock=clock, **options) as monitor:
        for since, until in _stretches(traffic, start, every):
            clock.advance(until - SECOND - clock())
            traffic.between(since, until).record(monitor)
            story.reports.append(monitor.run_cycle())
        story.backtest.append(str(monitor.backtest()))
    return story


def _stretches(
    traffic: Traffic, start: datetime, every: timedelta
) -> Iterator[tuple[datetime, datetime]]:
    end = traffic.times[-1].to_pydatetime()
    while start <= end:
        yield start, start + every
        start += every
