"""What the traffic looks like."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from scipy import stats
from tests.traffic import predicted, window

from mlwatch import buckets
from mlwatch.collectors import TrafficCollector
from mlwatch.errors import ConfigurationError


def collect(view, **options):
    return [*TrafficCollector(**options).collect(view)]


def by_name(view):
    return {metric.name: metric for metric in collect(view)}


def test_counts_rates_and_errors():
    """Count, rate a second of the window and error share are those of the rows, parts or not."""
    story = [predicted(i, 0.5, error="timeout" if i % 4 == 0 else None) for i in range(360)]
    for parts in (1, 5):
        found = by_name(window(story, parts=parts))

        assert found["prediction_count"].value == 360
        assert found["prediction_rate"].value == 0.1
        assert found["error_rate"].value == 0.25
        wilson = stats.binomtest(90, 360).proportion_ci(0.95, method="wilson")
        assert (found["error_rate"].low, found["error_rate"].high) == pytest.approx(wilson)


def test_what_found_no_room_is_traffic_and_nothing_else():
    """Rates count predictions that were missed; shares and tests rest on what was kept."""
    story = [predicted(i, 0.5, error="timeout" if i % 4 == 0 else None) for i in range(360)]
    view = window(story, parts=2, missed=270)
    found = by_name(view)

    assert view.tally("rows") == {"recorded": 900, "counted": 360, "errors": 90, "missed": 540}
    assert found["prediction_count"].value == 900
    assert found["prediction_rate"].value == 0.25
    assert (found["error_rate"].value, found["error_rate"].n) == (0.25, 360)
    assert found["kept_share"].value == 0.4
    assert "kept_share" not in by_name(window(story))


def test_latency_quantiles():
    """Latency quantiles are within 1% of numpy's, with an interval that holds them."""
    took = np.random.default_rng(0).lognormal(3, 1, 2000)
    view = window([predicted(i, 0.5, latency_ms=value) for i, value in enumerate(took)], parts=3)
    found = [metric for metric in collect(view) if metric.name == "latency_ms"]

    assert [metric.labels["quantile"] for metric in found] == ["0.5", "0.95", "0.99"]
    for metric in found:
        exact = np.quantile(took, float(metric.labels["quantile"]), method="lower")
        assert metric.value == pytest.approx(exact, rel=0.01)
        assert metric.low < exact < metric.high


def test_latency_mean():
    """The mean is numpy's, to half a nanosecond, with scipy's interval, parts or not."""
    took = np.random.default_rng(0).lognormal(3, 1, 500)
    events = [predicted(i, 0.5, latency_ms=value) for i, value in enumerate(took)]
    for parts in (1, 7):
        mean = by_name(window(events, parts=parts))["latency_mean_ms"]

        assert mean.value == pytest.approx(took.mean(), abs=5e-7)
        expected = stats.norm.interval(0.95, took.mean(), stats.sem(took))
        assert (mean.low, mean.high) == pytest.approx(expected, rel=1e-9)
        assert mean.n == 500


def test_latency_means_cover_the_truth():
    """The interval of the mean of 300 skewed latencies holds the true one in at least 91%."""
    rng = np.random.default_rng(0)
    (pane,) = window([predicted(0, 0.5)]).panes_
    held = []
    for _ in range(500):
        sums = buckets.sums(rng.lognormal(0, 1, 300).tolist())
        view = replace(window([]), panes_=(replace(pane, tallies={"latency_sum": sums}),))
        mean = by_name(view)["latency_mean_ms"]
        held.append(mean.low <= np.exp(0.5) <= mean.high)

    assert np.mean(held) >= 0.91


def test_few_latencies_have_no_mean():
    """Below 30 calls there is no mean, and it says why; calls of no time have one of 0."""
    view = window([predicted(i, 0.5, latency_ms=5.0) for i in range(29)])
    mean = by_name(view)["latency_mean_ms"]
    assert mean.value is None
    assert "29 of 30" in mean.why

    nothing = by_name(window([predicted(i, 0.5, latency_ms=0.0) for i in range(30)]))
    assert nothing["latency_mean_ms"].value == 0


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_latency_intervals_cover_the_truth(share):
    """The interval of a latency quantile holds the true one in at least 93% of samples."""
    rng = np.random.default_rng(0)
    truth = stats.lognorm(1).ppf(share)
    (pane,) = window([predicted(0, 0.5)]).panes_
    held = []
    for _ in range(500):
        tally = Counter(map(buckets.bucket, rng.lognormal(0, 1, 300).tolist()))
        view = replace(window([]), panes_=(replace(pane, tallies={"latency_ms": tally}),))
        metric = next(item for item in collect(view, quantiles=(share,)) if item.labels)
        held.append(metric.low <= truth <= metric.high)

    assert np.mean(held) >= 0.93


def test_one_call_and_extreme_latencies():
    """A single call has quantiles; so have calls of no time and of absurdly much."""
    for took in (0.0, 12.5, 1e300):
        found = [
            metric
            for metric in collect(window([predicted(0, 0.5, latency_ms=took)]))
            if metric.name == "latency_ms"
        ]
        assert len(found) == 3
        assert all(metric.low <= metric.value and metric.high is None for metric in found)


@pytest.mark.parametrize(("share", "enough"), [(0.5, 4), (0.95, 73), (0.99, 381)])
def test_few_calls_do_not_bound_a_quantile_from_above(share, enough):
    """The upper end is left open where the rank that bounds it is beyond the slowest call."""
    for calls in (enough, enough - 1):
        events = [predicted(i, 0.5, latency_ms=1.0 + i) for i in range(calls)]
        metric = next(it for it in collect(window(events), quantiles=(share,)) if it.labels)
        assert (metric.high is not None) == (calls == enough)


def test_no_traffic_has_no_error_rate_and_no_latency():
    """An empty window has a count and a rate of 0, and no share of errors and no latency."""
    found = by_name(window([], span=timedelta(minutes=5)))

    assert {name: metric.value for name, metric in found.items()} == {
        "prediction_count": 0.0,
        "prediction_rate": 0.0,
    }


@pytest.mark.parametrize("share", [-0.1, 1.5, 95])
def test_quantiles_are_shares(share):
    """A quantile that is no share is refused when the collector is made."""
    with pytest.raises(ConfigurationError, match=str(share)):
        TrafficCollector(quantiles=(share,))
