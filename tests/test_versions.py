"""Versions side by side: each metric of a canary less that of the version beside it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy import stats
from tests.traffic import predicted, told, window

from mlwatch import Metric, Monitor, Reference
from mlwatch.catalogue import CATALOGUE
from mlwatch.collectors import PerformanceCollector, PredictionsCollector, TrafficCollector
from mlwatch.records.words import named
from mlwatch.stores import MemoryStore
from mlwatch.testing import ManualClock, RecordingNotifier
from mlwatch.versions import LEVEL, compare

START = datetime(2024, 1, 1, tzinfo=UTC)


def metric(name, version, value, low=None, high=None, **labels):
    return Metric(name, value, low, high, 100, labels, model_version=version)


def served(version, *found, n=100.0):
    """Return the metrics of a version with traffic."""
    return [metric("prediction_count", version, n), *found]


def by_metric(found, version="2"):
    return {
        it.labels["metric"]: it
        for it in found
        if it.name == "version_difference" and it.labels["version"] == version
    }


def rows(rng, n, accuracy, latency):
    """Return scores, outcomes and latencies of calls whose labels are right so often."""
    true = rng.integers(0, 2, n)
    right = rng.random(n) < accuracy
    scores = np.where(right == (true == 1), 0.75, 0.25) + rng.uniform(-0.2, 0.2, n)
    return scores, true, rng.lognormal(np.log(latency), 0.5, n)


def play(monitor, version, scores, true, took):
    for score, outcome, ms in zip(scores, true, took, strict=True):
        monitor.record_prediction(
            {"x": 0.5},
            float(score),
            model_version=version,
            latency_ms=float(ms),
            outcome=int(outcome),
        )


@pytest.fixture(scope="module")
def played():
    """Two versions in one real monitor: rows of each, and the report."""
    rng = np.random.default_rng(0)
    made = {"1": rows(rng, 3000, 0.9, 20), "2": rows(rng, 400, 0.7, 40)}
    reference = Reference.fit(
        {"x": rng.random(200)}, predictions=rng.random(200), outcomes=rng.integers(0, 2, 200)
    )
    told = RecordingNotifier()
    monitor = Monitor(
        reference,
        store=MemoryStore(),
        model_version="1",
        detectors=[],
        notifiers=[told],
        clock=ManualClock(START),
    )
    for version, story in made.items():
        play(monitor, version, *story)
    monitor.record_request("/predict", 200, 5.0)
    monitor.record_log("ERROR")
    return made, monitor.run_cycle(), told


def test_a_difference_is_that_of_the_raw_rows(played):
    """Differences of shares and means are those of the rows, with Newcombe's interval of shares."""
    (one, two), found = played[0].values(), by_metric(played[1].metrics)
    right = [((scores >= 0.5) == true) for scores, true, _ in (one, two)]

    assert found["accuracy"].value == pytest.approx(right[1].mean() - right[0].mean(), abs=1e-12)
    assert found["prediction_mean"].value == pytest.approx(two[0].mean() - one[0].mean())
    assert found["latency_mean_ms"].value == pytest.approx(two[2].mean() - one[2].mean(), abs=1e-6)
    assert found["prediction_count"].value == 400 - 3000
    assert found["prediction_count"].low is None
    table = [[int(it.sum()), int((~it).sum())] for it in (right[1], right[0])]
    newcombe = _newcombe(*table)
    assert (found["accuracy"].low, found["accuracy"].high) == pytest.approx(newcombe)


def test_worse_and_better_go_by_the_direction(played):
    """A canary that errs more and takes longer is worse in both, one way up and one way down."""
    found = by_metric(played[1].metrics)

    assert found["accuracy"].verdict == "worse"
    assert found["accuracy"].value < 0
    assert found["log_loss"].verdict == "worse"
    assert found["latency_mean_ms"].verdict == "worse"
    assert found["latency_ms [quantile=0.5]"].verdict == "worse"
    assert found["error_rate"].verdict == "no difference is certain"
    assert found["prediction_count"].verdict == ""


def test_every_metric_that_both_have_is_compared(played):
    """Each metric of both versions is compared once, and nothing that only one of them has."""
    report = played[1]
    of = {
        version: {named(it): it for it in report.metrics if it.model_version == version}
        for version in "12"
    }
    both = {
        name for name, it in of["2"].items() if name in of["1"] and comparable(it, of["1"][name])
    }

    assert set(by_metric(report.metrics)) == both
    assert {"accuracy", "roc_auc", "error_rate", "latency_ms [quantile=0.99]"} <= both
    assert not {"request_count [endpoint=/predict]", "log_count [level=ERROR]"} & both


def comparable(one, other):
    """Return whether there is a figure of either, which is itself no difference."""
    has_value = one.value is not None or other.value is not None
    return has_value and CATALOGUE[one.name].unit != "difference"


@pytest.mark.parametrize("word", ["untrusted", "immature"])
@pytest.mark.parametrize("which", [0, 1])
def test_no_version_is_better_by_a_figure_that_is_not_to_be_trusted(word, which):
    """An estimate that is untrusted, or a figure whose labels have not come, makes none better."""
    pair = [metric("accuracy", "1", 0.6, 0.55, 0.65), metric("accuracy", "2", 0.9, 0.85, 0.95)]
    pair[which] = replace(pair[which], verdict=word)
    found = by_metric(compare([*served("1", pair[0]), *served("2", pair[1])], "1"))

    assert found["accuracy"].value == pytest.approx(0.3)
    assert found["accuracy"].verdict == word


def test_requests_and_lines_are_counted_once(played):
    """What is of no prediction is of the monitor's own version, and of no other."""
    report = played[1]

    assert [it.model_version for it in report.find("request_count")] == ["1"]
    assert [it.model_version for it in report.find("log_count", level="ERROR")] == ["1"]
    for name in ("latency_mean_ms", "error_rate", "prediction_mean", "unexpected_share"):
        assert [it.model_version for it in report.find(name)] == ["1", "2"]


def test_the_report_shows_them_side_by_side(played):
    """A table of its own has both figures, the difference, its interval and the verdict."""
    lines = str(played[1]).splitlines()
    (head,) = (line for line in lines if line.startswith("side by side"))
    at = lines.index(head)
    row = next(line for line in lines[at:] if line.startswith("accuracy "))

    assert "version 1" in head
    assert "version 2" in head
    assert row.endswith("worse")
    assert row.split()[1] == f"{played[1]['accuracy'].value:.4g}"
    assert not any(line.startswith(("version_difference", "confusion ")) for line in lines[at:])


def test_nobody_is_alerted(played):
    """Versions that differ alert nobody by default."""
    assert played[2].alerts == []


def test_two_equal_versions_are_hardly_ever_worse():
    """Of thirty pairs of the same model at most two have any certain difference."""
    rng = np.random.default_rng(5)
    reference = Reference.fit(
        {"x": rng.random(200)}, predictions=rng.random(200), outcomes=rng.integers(0, 2, 200)
    )
    certain, held = 0, []
    for _ in range(30):
        found = [it for version in "12" for it in measured(rng, version, reference)]
        differences = by_metric(compare(found, "1"))
        certain += any(
            it.verdict in {"worse", "better", "different"} for it in differences.values()
        )
        held += [it.low <= 0 <= it.high for it in differences.values() if it.low is not None]

    assert certain <= 2
    assert 0.94 <= np.mean(held) <= 0.98


def measured(rng, version, reference):
    """Return the metrics of 300 calls of one and the same model, as a cycle has them."""
    scores, true, took = rows(rng, 300, 0.85, 30)
    story = [predicted(i, float(scores[i]), latency_ms=float(took[i])) for i in range(300)]
    view = window([*story, *(told(i, int(true[i])) for i in range(300))], reference)
    for collector in (TrafficCollector(), PredictionsCollector(), PerformanceCollector()):
        found = (it for it in collector.collect(view) if isinstance(it, Metric))
        yield from (replace(it, model_version=version) for it in found)


@pytest.mark.parametrize(
    ("name", "mine", "theirs", "verdict"),
    [
        ("accuracy", (0.9, 0.89, 0.91), (0.8, 0.79, 0.81), "worse"),
        ("accuracy", (0.8, 0.79, 0.81), (0.9, 0.89, 0.91), "better"),
        ("accuracy", (0.9, 0.8, 0.95), (0.89, 0.8, 0.95), "no difference is certain"),
        ("error_rate", (0.1, 0.09, 0.11), (0.2, 0.19, 0.21), "worse"),
        ("positive_rate", (0.1, 0.09, 0.11), (0.2, 0.19, 0.21), "different"),
        ("orders", (1.0, 0.9, 1.1), (2.0, 1.9, 2.1), "different"),
        ("orders", (1.0, None, None), (2.0, None, None), ""),
        ("accuracy", (0.9, 0.89, 0.91), (None, None, None), "not enough data"),
    ],
)
def test_verdicts(name, mine, theirs, verdict):
    """Which way is better says the catalogue; where it says nothing two figures are different."""
    found = by_metric(
        compare(
            [*served("1", metric(name, "1", *mine)), *served("2", metric(name, "2", *theirs))], "1"
        )
    )

    assert found[name].verdict == verdict


def test_the_level_is_shared_out_over_what_is_compared():
    """What is certain alone need not be among fifty comparisons: 1% is for all of them."""

    def versions(many):
        for version, value in (("1", 0.5), ("2", 0.53)):
            labelled = [
                metric(
                    "class_share", version, value, value - 0.014, value + 0.014, **{"class": f"{i}"}
                )
                for i in range(many)
            ]
            yield from served(version, *labelled)

    sure = 1.0 - 2 * stats.norm.sf(0.03 / (0.014 * np.sqrt(2) / stats.norm.ppf(0.975)))
    assert 1 - LEVEL < sure < 1 - LEVEL / 50

    for many, verdict in ((1, "different"), (50, "no difference is certain")):
        found = by_metric(compare([*versions(many)], "1"))
        assert {it.verdict for name, it in found.items() if "class" in name} == {verdict}


def test_a_version_without_traffic_is_not_compared():
    """A version of which only late labels came, or nothing, stands beside nobody."""
    own = served("1", metric("accuracy", "1", 0.9, 0.8, 0.95))
    gone = served("0", metric("accuracy", "0", 0.9, 0.8, 0.95), n=0.0)

    assert compare([*own, *gone], "1") == []
    assert compare(own, "1") == []
    assert compare([], "1") == []


def test_each_other_version_is_compared_with_the_own_one():
    """Of three versions two are compared with the monitor's own."""
    found = compare(
        [it for v in "123" for it in served(v, metric("mae", v, float(v), 0.0, 9.0))], "2"
    )

    assert {(it.labels["version"], it.labels["metric"]): it.value for it in found} == {
        ("1", "prediction_count"): 0.0,
        ("1", "mae"): -1.0,
        ("3", "prediction_count"): 0.0,
        ("3", "mae"): 1.0,
    }


def test_one_version_has_no_such_table():
    """With one version in the window nothing stands side by side."""
    monitor = Monitor(store=MemoryStore(), clock=ManualClock(START))
    monitor.record_prediction({}, 0.5, timestamp=START - timedelta(minutes=1))
    report = monitor.run_cycle()

    assert report.find("version_difference") == ()
    assert "side by side" not in str(report)


def _newcombe(two, one):
    """Return Newcombe's interval (1998) of a difference of shares, from scipy's of each."""
    ends = []
    for k, failed in (two, one):
        wilson = stats.binomtest(k, k + failed).proportion_ci(0.95, method="wilson")
        ends.append((k / (k + failed), wilson.low, wilson.high))
    (a, al, ah), (b, bl, bh) = ends
    return a - b - np.hypot(a - al, bh - b), a - b + np.hypot(ah - a, b - bl)
