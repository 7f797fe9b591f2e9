"""What the traffic looks like: how much, how fast, how often it fails, what the log says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mlwatch import buckets, endpoints, intervals, log_levels
from mlwatch.endpoints import Endpoint
from mlwatch.errors import ConfigurationError
from mlwatch.records import Metric, Tally
from mlwatch.window import Window


@dataclass(frozen=True, slots=True)
class TrafficCollector:
    """Measure count, rate, errors and latency of the predictions, and of requests by endpoint.

    Of the service's log, where `mlwatch.integrations.logs` counts it, the lines by level. Latency
    quantiles are within 1% of the exact ones, means are exact to half a nanosecond.

    Args:
        quantiles: The shares of calls at which the latency is given.

    Raises:
        ConfigurationError: A quantile is not a share from 0 to 1.
    """

    quantiles: tuple[float, ...] = (0.5, 0.95, 0.99)
    name: str = "traffic"

    def __post_init__(self) -> None:
        for share in self.quantiles:
            if not 0 <= share <= 1:
                raise ConfigurationError(f"TrafficCollector(quantiles=...): {share!r} is no share")

    def collect(self, window: Window) -> Iterator[Metric]:
        """Return the figures of the window; no errors and latency where nothing was recorded.

        Predictions that found no room in memory count as traffic and in nothing else.
        """
        rows = window.tally("rows")
        n = rows.get("recorded", 0)
        yield Metric("prediction_count", float(n), n=n)
        yield Metric("prediction_rate", n / window.observed_seconds, n=n)
        seen = n - rows.get("missed", 0)
        if seen < n:
            yield Metric("kept_share", seen / n, n=n, why=_thinned(window))
        if seen:
            errors = rows.get("errors", 0)
            low, high = intervals.share(errors, seen)
            yield Metric("error_rate", errors / seen, low, high, seen)
        yield from self._latency(
            "latency", window.tally("latency_ms"), window.tally("latency_sum"), {}
        )
        missed = rows.get("missed_requests", 0)
        why = f"memory was full: {missed:,} requests more are in no figure" if missed else ""
        for endpoint in endpoints.read(window.tallies):
            yield from self._requests(endpoint, why)
        yield from _log(window.tally(log_levels.NAME))

    def _requests(self, endpoint: Endpoint, why: str) -> Iterator[Metric]:
        n, labels = endpoint.requests, {"endpoint": endpoint.name}
        yield Metric("request_count", float(n), n=n, labels=labels, why=why)
        low, high = intervals.share(endpoint.failed, n)
        yield Metric("request_error_rate", endpoint.failed / n, low, high, n, labels, why=why)
        yield from self._latency("request_latency", endpoint.latency, endpoint.sums, labels)

    def _latency(
        self, what: str, tally: Tally, sums: Tally, labels: Mapping[str, str]
    ) -> Iterator[Metric]:
        if sums:
            yield _mean(f"{what}_mean_ms", sums, labels)
        for share in self.quantiles if tally else ():
            yield _quantile(f"{what}_ms", tally, share, labels)


def _log(lines: Tally) -> Iterator[Metric]:
    """Return the lines of the log by level, and the share of those that tell of an error."""
    by_level, serious, n = log_levels.read(lines)
    if not n:
        return
    for level, count in by_level.items():
        yield Metric("log_count", float(count), n=n, labels={"level": level})
    yield Metric("log_error_share", serious / n, *intervals.share(serious, n), n)


def _thinned(window: Window) -> str:
    least, most = window.kept_shares
    return f"memory was full: of a pane's predictions {least:.0%} to {most:.0%} were kept"


def _mean(name: str, sums: Tally, labels: Mapping[str, str]) -> Metric:
    n = sums.get("n", 0)
    if n < intervals.FEWEST:
        return Metric(
            name, None, n=n, labels=labels, why=f"not enough data: {n} of {intervals.FEWEST}"
        )
    total, squares = sums.get("sum", 0), sums.get("squares", 0)
    low, high = (end / buckets.MILLION for end in intervals.mean(n, total, squares))
    return Metric(name, total / n / buckets.MILLION, max(0.0, low), high, n, labels)


def _quantile(name: str, tally: Tally, share: float, labels: Mapping[str, str]) -> Metric:
    """Return a quantile with its 95% interval."""
    ends = buckets.bounded(tally, share, intervals.Z95)
    return Metric(name, *ends, sum(tally.values()), {**labels, "quantile": f"{share:g}"})
