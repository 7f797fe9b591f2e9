"""The figures of each declared part of the traffic, and which parts do worse than the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from mlwatch import buckets, intervals
from mlwatch.collectors.performance.figures import figures
from mlwatch.collectors.performance.maturity import settled
from mlwatch.collectors.performance.past import delays_of_week
from mlwatch.collectors.segments.excess import excesses, summary
from mlwatch.errors import ConfigurationError
from mlwatch.records import Metric, Tallies
from mlwatch.scoring import FIXED, Scoring
from mlwatch.window import Window

_PERFORMANCE = ("accuracy", "precision", "recall", "roc_auc", "mae", "rmse")
"""What is given of each segment; all figures of fifty segments nobody would read."""


@dataclass(frozen=True, slots=True)
class SegmentsCollector:
    """Measure each segment of `DriftPolicy(segments=...)`, and rank them by how much they err.

    Each metric bears the segment's name as a label. They have names of their own
    (`segment_accuracy`), so that a rule on `accuracy` does not come to judge fifty small samples.
    What rests on labels is that of the newest span as long as the window whose labels have come,
    by the delays of the last week; where there is none it is "immature", and raises no alert.

    Args:
        quantile: The share of predictions at which the latency is given.

    Raises:
        ConfigurationError: It is no share from 0 to 1.
    """

    quantile: float = 0.95
    name: str = "segments"

    def __post_init__(self) -> None:
        if not isinstance(self.quantile, int | float) or not 0 <= self.quantile <= 1:
            raise ConfigurationError(f"SegmentsCollector(quantile={self.quantile!r}): is no share")

    def collect(self, window: Window) -> Iterator[Metric]:
        """Return the comparison of the segments, worst first, and then the figures of each."""
        scoring = window.scoring
        view, state = settled(window, delays_of_week(window))
        for metric in _by_labels(view, declared=bool(window.segments)):
            yield state.mark(metric) if view is window else _of_span(metric, view)
        for parts in window.segments.values():
            rows = sum(_recorded(tallies) for tallies in parts.values())
            for name, tallies in parts.items():
                for metric in self._traffic(tallies, rows, scoring):
                    yield _of_segment(metric, name)

    def _traffic(self, tallies: Tallies, rows: int, scoring: Scoring) -> Iterator[Metric]:
        n = _recorded(tallies)
        if n:
            yield Metric("share", n / rows, *intervals.share(n, rows), rows)
            errors = tallies["rows"].get("errors", 0)
            yield Metric("error_rate", errors / n, *intervals.share(errors, n), n)
        if latency := tallies.get("latency_ms"):
            ends = buckets.bounded(latency, self.quantile, intervals.Z95)
            labels = {"quantile": f"{self.quantile:g}"}
            yield Metric("latency_ms", *ends, sum(latency.values()), labels)
        yield from _predictions(tallies, scoring)


def _by_labels(view: Window, *, declared: bool) -> Iterator[Metric]:
    """Return what rests on labels: how the segments compare, and the figures of each."""
    compared = excesses(view.segments, view.scoring)
    labelled = view.tally("rows").get("labelled", 0)
    yield summary(compared, labelled, declared=declared)
    yield from compared
    for parts in view.segments.values():
        for name, tallies in parts.items():
            for metric in _performance(tallies, view.scoring):
                yield _of_segment(metric, name)


def _of_segment(metric: Metric, name: str) -> Metric:
    labels = {"segment": name, **metric.labels}
    return replace(metric, name=f"segment_{metric.name}", labels=labels)


def _of_span(metric: Metric, view: Window) -> Metric:
    """Say that a figure is of an earlier span, whose labels have come."""
    told = f"of {view.since:%Y-%m-%d %H:%M} to {view.until:%Y-%m-%d %H:%M}, whose labels have come"
    return replace(metric, since=view.since, time=view.until, why=metric.why or told)


def _performance(tallies: Tallies, scoring: Scoring) -> Iterator[Metric]:
    found = {metric.name: metric for metric in figures(tallies, scoring)}
    yield from (found[name] for name in _PERFORMANCE if name in found)


def _recorded(tallies: Tallies) -> int:
    return tallies.get("rows", {}).get("recorded", 0)


def _predictions(tallies: Tallies, scoring: Scoring) -> Iterator[Metric]:
    """Return the share of positives, or the mean of what are numbers."""
    labels, moments = tallies.get("label", {}), tallies.get("moments", {})
    n, scored = sum(labels.values()), moments.get("n", 0)
    if n and n >= scored and scoring.is_binary(labels):
        k = labels.get(str(scoring.classes[1]), 0)
        yield Metric("positive_rate", k / n, *intervals.share(k, n), n)
    elif scored and scored < intervals.FEWEST:
        why = f"not enough data: {scored} of {intervals.FEWEST} scores"
        yield Metric("prediction_mean", None, n=scored, why=why)
    elif scored:
        total, squares = (moments.get(name, 0) / FIXED for name in ("sum", "squares"))
        ends = (total / scored, *intervals.mean(scored, total, squares))
        value, low, high = (end * scoring.scale + scoring.center for end in ends)
        yield Metric("prediction_mean", value, low, high, scored)
