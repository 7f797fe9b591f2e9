"""Segments measured against scikit-learn on their rows, and ranked by what is certain."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics
from tests.traffic import HOUR, START, predicted, told, window

from mlwatch import DriftPolicy, Monitor, Segment, Threshold
from mlwatch.collectors import SegmentsCollector
from mlwatch.collectors.segments.excess import excesses, summary
from mlwatch.defaults import collectors
from mlwatch.errors import ConfigurationError
from mlwatch.records import join_key
from mlwatch.reference import Reference
from mlwatch.scoring import FIXED, Scoring
from mlwatch.stores import MemoryStore
from mlwatch.testing import ManualClock, RecordingNotifier

RIGHT, WRONG = join_key(0, 0), join_key(1, 0)
BINARY = Scoring("binary")
CHANCE = 2 * (0.05 * 0.95 / 300) ** 0.5
"""Two standard errors of a share of 5% in 300 simulated windows."""


def found(view):
    """Return the metrics by name and segment."""
    return {(it.name, it.labels.get("segment")): it for it in SegmentsCollector().collect(view)}


def classified(wrong, n):
    """Return segments with so many wrong labels among so many, as a window gives them."""
    parts = {}
    for number, (k, rows) in enumerate(zip(wrong, n, strict=True)):
        counts = {RIGHT: int(rows - k), WRONG: int(k)}
        parts[f"s={number}"] = {"confusion": {pair: c for pair, c in counts.items() if c}}
    return {"s": parts}


def measured(samples):
    """Return segments with these errors of a regression."""
    return {
        "s": {
            f"s={number}": {
                "residual": {
                    "n": len(errors),
                    "abs": sum(round(abs(e) * FIXED) for e in errors.tolist()),
                    "e2": sum(round(e * e * FIXED) for e in errors.tolist()),
                }
            }
            for number, errors in enumerate(samples)
        }
    }


class TestAgainstScikitLearn:
    """The figures of a segment are those of its rows, whatever was told before."""

    def test_binary(self):
        """Shares are exact, and the excess is that of the error against all other rows."""
        rng = np.random.default_rng(1)
        part = rng.choice(["a", "b", "c"], 900, p=[0.6, 0.3, 0.1])
        true = rng.integers(0, 2, 900)
        scores = np.clip(rng.normal(0.4 + 0.2 * true, 0.2), 0, 1).round(2)
        reference = Reference.fit({"g": part}, predictions=scores, outcomes=true, task="binary")
        events = [
            predicted(
                i,
                scores[i].item(),
                {"g": part[i]},
                latency_ms=float(i),
                error="e" if i % 5 == 0 else None,
            )
            for i in range(900)
        ]
        wrong_first = [told(i, 1 - int(true[i])) for i in range(0, 900, 2)]
        events = [*wrong_first, *events, *(told(i, int(true[i])) for i in range(900))]
        view = window(events, reference, parts=7, segments=("g",))
        of = found(view)
        served = scores >= 0.5

        for name in "abc":
            rows = part == name
            y, p, s = true[rows], served[rows], scores[rows]
            for metric, value in {
                "segment_accuracy": metrics.accuracy_score(y, p),
                "segment_precision": metrics.precision_score(y, p),
                "segment_recall": metrics.recall_score(y, p),
                "segment_roc_auc": metrics.roc_auc_score(y, s),
                "segment_positive_rate": p.mean(),
                "segment_share": rows.mean(),
                "segment_error_rate": (np.flatnonzero(rows) % 5 == 0).mean(),
                "segment_error_excess": (y != p).mean() - (true != served)[~rows].mean(),
            }.items():
                item = of[metric, f"g={name}"]
                assert item.value == pytest.approx(value, rel=1e-12, abs=1e-12), metric
                assert item.low <= value <= item.high
            latency = of["segment_latency_ms", f"g={name}"]
            exact = np.quantile(np.flatnonzero(rows), 0.95, method="lower")
            assert latency.value == pytest.approx(exact, rel=0.01)
            assert latency.labels == {"segment": f"g={name}", "quantile": "0.95"}
            assert of["segment_accuracy", f"g={name}"].n == rows.sum()

    def test_regression(self):
        """Errors are in the unit of the target, and so is the excess."""
        rng = np.random.default_rng(2)
        part = rng.choice(["a", "b"], 600, p=[0.8, 0.2])
        true = rng.normal(3e5, 8e4, 600)
        served = true + rng.normal(0, 1e4, 600) * np.where(part == "b", 3, 1)
        reference = Reference.fit({"g": part}, predictions=served, outcomes=true, task="regression")
        events = [predicted(i, served[i].item(), {"g": part[i]}) for i in range(600)]
        events += [told(i, true[i].item()) for i in range(600)]
        of = found(window(events, reference, segments=("g",)))
        errors, rows = abs(true - served), part == "b"

        for metric, value in {
            "segment_mae": errors[rows].mean(),
            "segment_rmse": (errors[rows] ** 2).mean() ** 0.5,
            "segment_prediction_mean": served[rows].mean(),
            "segment_mae_excess": errors[rows].mean() - errors[~rows].mean(),
        }.items():
            item = of[metric, "g=b"]
            assert item.value == pytest.approx(value, rel=1e-9), metric
            assert item.low < value < item.high
        assert of["segments_worse", None].value == 1
        assert of["segments_worse", None].why.startswith("worst first: g=b (at least 1")

    def test_multiclass(self):
        """Of several classes there is the accuracy, and the share of wrong labels beside others."""
        rng = np.random.default_rng(3)
        true, served = rng.choice(list("xyz"), 400), rng.choice(list("xyz"), 400)
        part = rng.choice(["a", "b"], 400)
        reference = Reference.fit({"g": part}, predictions=served, outcomes=true)
        events = [predicted(i, str(served[i]), {"g": part[i]}) for i in range(400)]
        of = found(
            window(
                [*events, *(told(i, str(true[i])) for i in range(400))], reference, segments=("g",)
            )
        )
        right = true == served

        assert of["segment_accuracy", "g=a"].value == right[part == "a"].mean()
        excess = right[part == "b"].mean() - right[part == "a"].mean()
        assert of["segment_error_excess", "g=a"].value == pytest.approx(excess, rel=1e-12)


SIZES = {
    "of all sizes": np.repeat([30, 200, 3000], [20, 15, 5]),
    "all small": np.full(40, 30),
    "one large": np.repeat([40_000, 30], [1, 39]),
}


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("rate", [0.002, 0.05, 0.4])
def test_luck_names_no_segment(rate, sizes):
    """Of 40 segments that err equally none is called worse in at least 95% of windows.

    In 6,000 windows of the first sizes and a rate of 0.4 it was 96.4%.
    """
    rng = np.random.default_rng(7)
    named = [
        summary(excesses(classified(wrong, SIZES[sizes]), BINARY), 1, declared=True).value > 0
        for wrong in rng.binomial(SIZES[sizes], rate, (300, 40))
    ]

    assert np.mean(named) <= 0.05 + CHANCE


@pytest.mark.parametrize("draw", ["normal", "exponential", "lognormal"])
def test_luck_names_no_segment_of_a_regression(draw):
    """The same of mean absolute errors, of light tails and of heavy ones."""
    rng = np.random.default_rng(8)
    sizes = [30] * 15 + [200] * 5
    named = [
        summary(
            excesses(measured([getattr(rng, draw)(size=n) for n in sizes]), Scoring("regression")),
            1,
            declared=True,
        ).value
        > 0
        for _ in range(200)
    ]

    assert np.mean(named) <= 0.05


def test_the_worst_segment_leads_and_not_the_unluckiest():
    """One of 40 segments errs in 25% of 600 rows, the others in 15%: it leads nearly always.

    By the difference itself a small segment leads in most windows.
    """
    rng = np.random.default_rng(9)
    sizes = np.append(SIZES["of all sizes"][:-1], 600)
    rates = np.append(np.full(39, 0.15), 0.25)
    first, named, by_value = [], [], []
    for wrong in rng.binomial(sizes, rates, (200, 40)):
        compared = excesses(classified(wrong, sizes), BINARY)
        first.append(compared[0].labels["segment"] == "s=39")
        named.append(compared[0].low > 0)
        largest = max(compared, key=lambda it: it.value)
        by_value.append(largest.labels["segment"] == "s=39")

    assert np.mean(first) > 0.98
    assert np.mean(named) > 0.98
    assert np.mean(by_value) < 0.5


def test_bounds_hold_for_all_segments_at_once():
    """In at least 95% of windows no lower bound of 40 is above its true difference."""
    rng = np.random.default_rng(10)
    sizes, rates = SIZES["of all sizes"], rng.uniform(0.01, 0.3, 40)
    errors = (sizes * rates).sum()
    truth = rates - (errors - sizes * rates) / (sizes.sum() - sizes)
    held = []
    for wrong in rng.binomial(sizes, rates, (300, 40)):
        lows = {it.labels["segment"]: it.low for it in excesses(classified(wrong, sizes), BINARY)}
        held.append(all(lows[f"s={i}"] <= truth[i] for i in range(40)))

    assert np.mean(held) >= 0.95 - CHANCE


@pytest.mark.parametrize(
    ("wrong", "sizes", "why"),
    [
        ([3, 29], [100, 29], "29 of 30 labelled predictions in it"),
        ([3, 20], [29, 100], "29 of 30 labelled predictions in the rest"),
        ([3], [100], "0 of 30 labelled predictions in the rest"),
    ],
)
def test_few_labels_are_not_compared(wrong, sizes, why):
    """With fewer than 30 labelled rows on either side there is no excess, and it says why."""
    compared = excesses(classified(wrong, sizes), BINARY)
    worst = summary(compared, 100, declared=True)

    assert all(it.value is None and it.low is None for it in compared)
    assert (
        f"not enough data: {why}"
        in {it.labels["segment"]: it.why for it in compared}[f"s={len(sizes) - 1}"]
    )
    assert (worst.value, worst.why[:15]) == (None, "not enough data")


def test_without_labels_or_segments():
    """The traffic of segments is measured without outcomes; without segments it says so."""
    events = [predicted(i, 0.7, {"g": "ab"[i % 2]}) for i in range(50)]
    of = found(window(events, segments=("g",)))

    assert of["segment_share", "g=a"].value == 0.5
    assert of["segment_positive_rate", "g=a"].value == 1.0
    assert ("segment_latency_ms", "g=a") not in of
    assert "not enough data" in of["segments_worse", None].why
    (none,) = found(window(events)).values()
    assert (none.value, "declare DriftPolicy(segments=...)" in none.why) == (None, True)


def test_a_rule_on_a_figure_does_not_come_to_judge_segments():
    """They have names of their own; a rule on one of them can ask for one, by its certain end."""
    rng = np.random.default_rng(0)
    true = rng.integers(0, 2, 400)
    scores = [float(t if i % 4 else 1 - t) for i, t in enumerate(true)]
    events = [predicted(i, scores[i], {"g": "bad" if i % 4 == 0 else "good"}) for i in range(400)]
    view = window([*events, *(told(i, int(true[i])) for i in range(400))], segments=("g",))
    of = list(SegmentsCollector().collect(view))
    worse = Threshold("segment_error_excess", above=0.05, use="lower")
    one = Threshold("segment_accuracy", below=0.5, labels={"segment": "g=bad"})

    assert not list(Threshold("accuracy", below=0.9)(of))
    assert {it.metric.labels["segment"] for it in worse(of) if it.firing} == {"g=bad"}
    assert [it.firing for it in one(of)] == [True]


def test_it_is_there_when_the_policy_has_segments():
    """By default the collector is one of a monitor's only where segments are declared."""
    asked = collectors(None, DriftPolicy(segments=(Segment(),)))

    assert [it.name for it in asked].count("segments") == 1
    assert "segments" not in {it.name for it in collectors(None, DriftPolicy())}


@pytest.mark.parametrize("quantile", [-0.1, 1.1, "p95", None])
def test_refuses_a_quantile_that_is_no_share(quantile):
    """A quantile is a share from 0 to 1."""
    with pytest.raises(ConfigurationError, match="is no share"):
        SegmentsCollector(quantile=quantile)


def ranking(clock, told):
    """Return a monitor that ranks segments by `g`, and alerts on one that certainly errs more."""
    return Monitor(
        store=MemoryStore(),
        clock=clock,
        collectors=[SegmentsCollector()],
        drift=DriftPolicy(segments=("g",)),
        rules=[Threshold("segment_error_excess", above=0.05, use="lower")],
        notifiers=[told],
    )


def test_segments_of_a_window_whose_labels_are_still_to_come_are_immature():
    """What rests on labels is marked until they have come, and no rule fires by it before."""
    clock, told = ManualClock(START), RecordingNotifier()
    rng = np.random.default_rng(0)
    monitor = ranking(clock, told)
    true = rng.integers(0, 2, 400)
    groups = ["bad" if i % 4 == 0 else "good" for i in range(400)]
    scores = [float(t if i % 4 else 1 - t) for i, t in enumerate(true)]
    ids = monitor.record_batch({"g": groups}, scores)
    clock.advance(2 * HOUR)
    monitor.record_outcomes(ids[:300], true[:300])
    early = monitor.run_cycle()
    monitor.record_outcomes(ids[300:], true[300:])
    late = monitor.run_cycle()

    def verdict(report, name):
        return report.find(name, segment="g=bad")[0].verdict

    assert early["segments_worse"].verdict == "immature"
    assert verdict(early, "segment_error_excess") == "immature"
    assert verdict(early, "segment_accuracy") == "immature"
    assert verdict(early, "segment_share") == ""
    assert "immature" in str(early)
    assert not early.alerts
    assert late["segments_worse"].verdict == verdict(late, "segment_accuracy") == ""
    assert [alert.labels["segment"] for alert in late.alerts] == ["g=bad"]
    monitor.close()


def test_labels_later_than_the_window_rank_the_segments_where_they_have_come():
    """Labels two days late are of an earlier day: that day is ranked, says so, and alerts."""
    clock, told = ManualClock(START), RecordingNotifier()
    rng = np.random.default_rng(1)
    monitor = ranking(clock, told)
    groups, days = ["bad" if i % 4 == 0 else "good" for i in range(400)], []
    for day in range(8):
        true = rng.integers(0, 2, 400)
        scores = [float(t if i % 4 else 1 - t) for i, t in enumerate(true)]
        days.append((monitor.record_batch({"g": groups}, scores), true))
        if day >= 2:
            monitor.record_outcomes(*days[day - 2])
        clock.advance(24 * HOUR)
        report = monitor.run_cycle()
    (excess,) = report.find("segment_error_excess", segment="g=bad")
    assert (excess.value, excess.n) == (1.0, 100)
    assert (excess.since, excess.time) == (START + 4 * 24 * HOUR, START + 5 * 24 * HOUR)
    assert report.find("segment_accuracy", segment="g=good")[0].value == 1.0
    assert report.find("segment_share", segment="g=bad")[0].time == report.time
    assert [alert.labels["segment"] for alert in told.alerts] == ["g=bad"]
    assert "of 2024-01-05 00:00 to 2024-01-06 00:00, whose labels have come" in str(report)
    monitor.close()
