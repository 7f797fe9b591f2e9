"""The figures of each declared part of the traffic, and which parts do worse than the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from mlwatch import buckets, intervals
from mlwatch.collectors.performance.figures import figures
from mlwatch.collectors.performance.maturity import maturity
from mlwatch.collectors.performance.past import delays_of_week
from mlwatch.collectors.segments.excess import excesses, summary
from mlwatch.errors import ConfigurationError
from mlwatch.records import Metric, Tallies
from mlwatch.scoring import FIXED, Scoring
from mlwatch.window import Window

_FEWEST = 30
_PERFORMANCE = ("accuracy", "precision", "recall", "roc_auc", "mae", "rmse")
"""What is given of each segment; all figures of fifty segments nobody would read."""


@dataclass(frozen=True, slots=True)
class SegmentsCollector:
    """Measure each segment of `DriftPolicy(segments=...)`, and rank them by how much they err.

    Each metric bears the segment's name as a label. They have names of their own
    (`segment_accuracy`), so that a rule on `accuracy` does not come to judge fifty small samples.
    What rests on labels is "immature" as long as the window is, for which the delays of the last
    week are looked at, and raises no alert.

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
        segments, scoring = window.segments, window.scoring
        mark = maturity(window, delays_of_week(window), window.until).mark
        compared = excesses(segments, scoring)
        labelled = window.tally("rows").get("labelled", 0)
        yield mark(summary(compared, labelled, declared=bool(segments)))
        yield from map(mark, compared)
        for parts in segments.values():
            rows = sum(_recorded(tallies) for tallies in parts.values())
            for name, tallies in parts.items():
                measured = [*self._traffic(tallies, rows, scoring)]
                measured += map(mark, _performance(tallies, scoring))
                for metric in measured:
                    labels = {"segment": name, **metric.labels}
                    yield replace(metric, name=f"segment_{metric.name}", labels=labels)

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
    elif scored and scored < _FEWEST:
        why = f"not enough data: {scored} of {_FEWEST} scores"
        yield Metric("prediction_mean", None, n=scored, why=why)
    elif scored:
        total, squares = (moments.get(name, 0) / FIXED for name in ("sum", "squares"))
        ends = (total / scored, *intervals.mean(scored, total, squares))
        value, low, high = (end * scoring.scale + scoring.center for end in ends)
        yield Metric("prediction_mean", value, low, high, scored)
