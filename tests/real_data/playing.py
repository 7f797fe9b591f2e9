"""Real data, played through a real monitor."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

from mlwatch import Monitor, Reference
from mlwatch.records import Alert, CycleReport
from mlwatch.testing import ManualClock, MemoryStore

ROOT = Path(__file__).parents[2]
DAY, SECOND, WEEK = timedelta(days=1), timedelta(seconds=1), timedelta(days=7)
MARGIN = 0.05
USUAL = "this much is usual for this service"
BIG = 0.1
"""What the README of the data calls a big effect."""


def shared(name: str) -> Path:
    """Return a file of the data that lie beside the checkout, or skip the test and say so."""
    folder = Path(os.environ.get("MLWATCH_DATA", ROOT.parent / "shared" / "data"))
    path = folder / name
    if not path.exists():
        pytest.skip(f"no {path}: these data do not belong to the project; set MLWATCH_DATA")
    return path


@dataclass(frozen=True, slots=True)
class Traffic:
    """Rows in the order of time.

    Args:
        features: The features.
        times: When each row was served, in UTC; rows of one time are one batch.
        predictions: What the model served.
        outcomes: The truth, where it is told.
    """

    features: pd.DataFrame
    times: pd.DatetimeIndex
    predictions: np.ndarray
    outcomes: np.ndarray | None = None

    def between(self, since: Any, until: Any) -> "Traffic":
        """Return the rows of `[since, until)`."""
        rows = slice(*self.times.searchsorted([_utc(since), _utc(until)]))
        outcomes = None if self.outcomes is None else self.outcomes[rows]
        return Traffic(self.features[rows], self.times[rows], self.predictions[rows], outcomes)

    def reference(self, task: str) -> Reference:
        """Return a reference of these rows that knows their days."""
        return Reference.fit(
            self.features,
            timestamps=self.times,
            predictions=self.predictions,
            outcomes=self.outcomes,
            task=task,
        )

    def column(self, name: str) -> pd.Series:
        """Return a feature, or what was predicted."""
        return pd.Series(self.predictions) if name == "prediction" else self.features[name]

    def effects(self, before: "Traffic") -> dict[str, float]:
        """Return from the raw rows what share of each feature, and of the prediction, moved."""
        names = ["prediction", *self.features]
        return {name: effect(before.column(name), self.column(name)) for name in names}


def effect(before: pd.Series, now: pd.Series) -> float:
    """Return the Kolmogorov-Smirnov distance of numbers, the total variation of the others."""
    if pd.api.types.is_numeric_dtype(before):
        return float(ks_2samp(before, now, method="asymp").statistic)
    shares = before.value_counts(normalize=True), now.value_counts(normalize=True)
    return float(shares[0].sub(shares[1], fill_value=0).abs().sum() / 2)


def spread(periods: pd.PeriodIndex) -> pd.DatetimeIndex:
    """Return times that spread the rows of each period evenly over its days, all at noon."""
    rows = pd.Series(1, index=range(len(periods))).groupby(periods)
    place = ((rows.cumsum() - 1) / rows.transform("size")).to_numpy()
    begin, end = periods.start_time, (periods + 1).start_time
    days = (begin + (end - begin) * place).floor("D")
    return (days + pd.Timedelta(hours=12)).tz_localize("UTC")


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
        """Return the last day of the traffic on which each feature was first found to drift."""
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
            if result.drifted
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
            _record(monitor, traffic.between(since, until))
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


def _record(monitor: Monitor, traffic: Traffic) -> None:
    for time, places in pd.Series(range(len(traffic.times))).groupby(traffic.times):
        rows = slice(places.iloc[0], places.iloc[-1] + 1)
        served = time.to_pydatetime()
        ids = monitor.record_batch(
            traffic.features[rows], traffic.predictions[rows].tolist(), timestamp=served
        )
        if traffic.outcomes is not None:
            monitor.record_outcomes(ids, traffic.outcomes[rows].tolist(), timestamp=served)


def _utc(time: Any) -> pd.Timestamp:
    stamp = pd.Timestamp(time)
    return stamp if stamp.tzinfo else stamp.tz_localize("UTC")
