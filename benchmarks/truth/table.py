"""What a monitor finds in real traffic, period by period."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np

from mlwatch import CaptureOptions, Monitor
from mlwatch.catalogue import CATALOGUE
from mlwatch.collectors import PerformanceCollector, PredictionsCollector
from mlwatch.records import CycleReport, Metric, Retention
from mlwatch.testing import ManualClock, MemoryStore
from truth.sets import RealSet
from truth.traffic import Traffic

SECOND = timedelta(seconds=1)
WINDOW = timedelta(weeks=4)
"""So long does it take some of the sets to have rows enough."""


@dataclass(frozen=True, slots=True)
class Period:
    """What was found in one period.

    Args:
        since: Its start.
        until: Its end.
        metrics: The figures of performance and of predictions over the whole of it.
        drifted: The features that were said to drift in a window that lies within it.
        prediction: Whether the prediction was.
    """

    since: datetime
    until: datetime
    metrics: tuple[Metric, ...]
    drifted: frozenset[str]
    prediction: bool

    def figure(self, name: str) -> Metric:
        """Return a figure."""
        return next(metric for metric in self.metrics if metric.name == name)

    def change(self, name: str) -> Metric:
        """Return by how much a figure differs from the reference's."""
        return next(
            metric
            for metric in self.metrics
            if metric.name == "performance_change" and metric.labels["metric"] == name
        )


def play(real: RealSet) -> Iterator[Period]:
    """Record all that was served, a cycle every four weeks, and give what each period showed."""
    reference, live = real.before.reference(real.task, real.judged), real.live
    clock = ManualClock(real.periods[0].to_pydatetime())
    longest = max(np.diff(real.periods.to_pydatetime())) + WINDOW  # a period is judged at its end
    kept = CaptureOptions(retention=Retention(rows=longest, panes=longest))
    with Monitor(
        reference, store=MemoryStore(), window=WINDOW, notifiers=[], capture=kept, clock=clock
    ) as monitor:
        for since, until in pairwise(real.periods.to_pydatetime()):
            reports = list(_cycles(live, monitor, clock, since, until))
            window = monitor.window(since, until)
            found = [*PerformanceCollector(rows=True).collect(window)]
            found += PredictionsCollector().collect(window)
            metrics = tuple(item for item in found if isinstance(item, Metric))
            results = [it for report in reports for it in report.drift if it.since >= since]
            drifted = {it.feature for it in results if it.drifted}
            yield Period(
                since,
                until,
                metrics,
                frozenset(drifted & {*live.features}),
                "prediction" in drifted,
            )


def _cycles(
    live: Traffic, monitor: Monitor, clock: ManualClock, since: datetime, until: datetime
) -> Iterator[CycleReport]:
    while since < until:
        end = min(since + WINDOW, until)
        clock.advance(end - SECOND - clock())
        live.between(since, end).record(monitor)
        report = monitor.run_cycle()
        if report.faults:
            raise RuntimeError(f"the monitor failed: {report.faults}")
        yield report
        since = end


def table(real: RealSet, periods: Sequence[Period]) -> Iterator[str]:
    """Give the lines of the table of one set."""
    heads = ["period", "rows", "figure", "value", "95% interval", "reference"]
    yield _line([*heads, "change", "95% interval", "verdict"])
    for period in periods:
        for name in real.figures:
            yield _figure_line(period, name)
        yield f"{'':<9}{_predictions(real, period)}; drifted: {_drift(period)}"


def _figure_line(period: Period, name: str) -> str:
    now, change = period.figure(name), period.change(name)
    start = period.since
    label = (
        f"{start:%Y}" if (period.until - start).days > 300 else f"{start:%Y}Q{start.month // 3 + 1}"
    )
    known = now.reference
    shown = [_short(now.value), _interval(now), _short(known)]
    return _line(
        [label, f"{now.n:,}", name, *shown, _short(change.value), _interval(change), worse(change)]
    )


def worse(change: Metric) -> str:
    """Return the verdict on a change in words."""
    if change.verdict == "drifted":
        return "WORSE"
    if change.verdict != "stable" or not excludes_zero(change):
        return {"stable": "no worse"}.get(change.verdict, change.verdict)
    up = CATALOGUE[change.labels["metric"]].direction == "up"
    return "better" if up == (change.value > 0) else "worse, not surely by the margin"


def excludes_zero(change: Metric) -> bool:
    """Return whether a figure has certainly changed, for better or for worse."""
    low, high = change.low, change.high
    return low is not None and high is not None and not low <= 0 <= high


def _predictions(real: RealSet, period: Period) -> str:
    outcome = "outcome_mean" if real.task == "regression" else "outcome_rate"
    mean, true = period.figure("prediction_mean"), period.figure(outcome)
    return f"predicted {_short(mean.value)} on average, true {_short(true.value)}"


def _drift(period: Period) -> str:
    names = [*(["the prediction"] if period.prediction else []), *sorted(period.drifted)]
    return ", ".join(names) or "nothing"


def _interval(metric: Metric) -> str:
    return "" if metric.low is None else f"{_short(metric.low)} to {_short(metric.high)}"


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}" if abs(value) < 2 else f"{value:.1f}"


def _line(cells: list[str]) -> str:
    widths = (9, 9, 10, 8, 18, 11, 8, 18, 0)
    return "".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))
