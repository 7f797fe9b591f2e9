"""Every collector on every kind of bad input, through a real monitor: a right value or a reason."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, mean_absolute_error, precision_score, recall_score

from mlwatch import DriftPolicy, Monitor, Reference, collectors
from mlwatch.catalogue import CATALOGUE
from mlwatch.collectors import NotMissing, Pattern, Range
from mlwatch.defaults import detectors
from mlwatch.errors import DataError
from mlwatch.records import CycleReport, Metric, Segment
from mlwatch.testing import ManualClock, MemoryStore

NOON = datetime(2024, 1, 3, 12, tzinfo=UTC)
PLAIN = DriftPolicy(independent_labels=True)
SEGMENTED = replace(PLAIN, segments=("c", Segment("x", bins=(0.0, 1.0)), Segment()))
RULES = {"x": Range(-2, 2), "c": Pattern("[a-z]"), "more": NotMissing()}
MADE: dict[str, Callable[[DriftPolicy, Mapping[str, Any]], Any]] = {
    "BusinessCollector": lambda *_: collectors.BusinessCollector("true_positives / errors", "roi"),
    "ConceptDriftCollector": lambda policy, _: collectors.ConceptDriftCollector(policy),
    "DriftCollector": lambda policy, _: collectors.DriftCollector(detectors(), policy),
    "ErrorRateCollector": lambda policy, _: collectors.ErrorRateCollector(policy),
    "PerformanceCollector": lambda policy, _: collectors.PerformanceCollector(policy=policy),
    "RetentionValue": lambda *_: collectors.RetentionValue(600, 20, success_rate=0.3),
    "Schema": lambda _, rules: collectors.Schema(rules),
}
"""Collectors that need arguments, or are more telling with some; all others are made without."""

ROWS = 40
BIG, BEYOND = 2**70, 10**400
"""More than an int64 holds, and more than a float64."""


def every_collector(policy: DriftPolicy, rules: Mapping[str, Any]) -> list[Any]:
    """Return one of each collector that the library exports."""
    found = {name: getattr(collectors, name) for name in collectors.__all__}
    classes = {name: made for name, made in found.items() if hasattr(made, "collect")}
    return [MADE[name](policy, rules) if name in MADE else made() for name, made in classes.items()]


def cycled(
    reference: Reference | None,
    frame: pd.DataFrame,
    served: Sequence[Any],
    outcomes: Sequence[Any] = (),
    *,
    singly: bool,
    policy: DriftPolicy = SEGMENTED,
    **more: Any,
) -> CycleReport:
    """Return what all collectors find in rows recorded as a batch or one by one."""
    told: list[Any] = []
    known = RULES if reference is None else dict.fromkeys(reference.features)
    with Monitor(
        reference,
        store=MemoryStore(),
        collectors=every_collector(
            policy, {name: rule for name, rule in RULES.items() if name in known}
        ),
        drift=policy,
        notifiers=[told.append],
        clock=ManualClock(NOON),
    ) as monitor:
        ids: Sequence[str] = []
        if singly:
            rows = [{name: frame[name].iloc[i] for name in frame} for i in range(len(frame))]
            ids = [
                monitor.record_prediction(row, value, **more)
                for row, value in zip(rows, served, strict=True)
            ]
        else:
            ids = monitor.record_batch(frame, served)
        if len(outcomes):
            monitor.record_outcomes(ids, outcomes)
        report = monitor.run_cycle()
        empty = sum(value is None for value in outcomes)
        assert monitor.status().dropped == ({"empty_outcome": empty} if empty else {})
    check(report)
    return report


def check(report: CycleReport) -> None:
    """Assert that no part failed, and that each figure is one or says why it is not."""
    assert report.faults == ()
    names = {metric.key for metric in report.metrics}
    assert len(names) == len(report.metrics)
    for metric in report.metrics:
        check_metric(metric)
    for result in report.drift:
        assert (result.drifted is not None) or result.why, result
    assert str(report)


def check_metric(metric: Metric) -> None:
    assert metric.n >= 0, metric
    assert metric.reference is None or math.isfinite(metric.reference), metric
    if metric.value is None:
        assert metric.why, metric
        return
    low = metric.value if metric.low is None else metric.low
    high = metric.value if metric.high is None else metric.high
    assert math.isfinite(low), metric
    assert math.isfinite(high), metric
    assert low <= metric.value <= high, metric
    spec = CATALOGUE.get(metric.name)
    if spec is not None and spec.unit == "share" and metric.name != "r2":
        assert low >= 0, metric
        assert high <= 1, metric


def plain(n: int = ROWS, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"x": rng.normal(size=n), "c": rng.choice(list("abc"), n)})


def columns(x: Sequence[Any], c: Sequence[Any] | None = None) -> pd.DataFrame:
    """Return a frame of objects as they are, with as many plain categories where none are given."""
    kept = pd.Series(list(x), dtype=object)
    return pd.DataFrame({"x": kept, "c": list(c) if c is not None else ["a", "b"] * (len(x) // 2)})


def repeated(*values: Any) -> list[Any]:
    return [values[i % len(values)] for i in range(ROWS)]


MOMENTS = repeated(NOON, NOON.replace(tzinfo=None), NOON.date(), pd.NaT)
FRAMES: dict[str, pd.DataFrame] = {
    "plain": plain(),
    "one row": plain(1),
    "no row": plain(0),
    "all missing": columns([None] * ROWS, [None] * ROWS),
    "all NaN": plain().assign(x=math.nan, c=math.nan),
    "half missing": columns(repeated(1.0, None, 2.0, math.nan), repeated("a", None, "b", math.nan)),
    "mixed types": columns(
        repeated(1, "a", None, 2.5, True, b"x", (1, 2), {"a": 1}),
        repeated("a", 1, None, 2.5, True, b"x", (1, 2), {"a": 1}),
    ),
    "text among numbers": columns(repeated(1.0, "2", "", "nan", "inf", 0.5)),
    "numbers among categories": columns(repeated(0.5), repeated(1, 2.0, "1", "a")),
    "large integers": columns(repeated(BIG, -BIG, BEYOND, 1)),
    "large integers as categories": columns(repeated(0.5), repeated(BIG, "a", BEYOND)),
    "datetimes": columns(MOMENTS, MOMENTS),
    "a column of datetimes": plain().assign(x=pd.Timestamp("2024-01-01", tz="UTC")),
    "timedeltas": columns(repeated(timedelta(1), pd.NaT), repeated(timedelta(1), "a")),
    "booleans": plain().assign(x=repeated(True, False), c=repeated(True, False)),
    "nullable": pd.DataFrame(
        {
            "x": pd.array(repeated(1, pd.NA, 3), dtype="Int64"),
            "c": pd.array(repeated("a", pd.NA), dtype="string"),
        }
    ),
    "nullable floats and booleans": pd.DataFrame(
        {
            "x": pd.array(repeated(1.5, pd.NA), dtype="Float64"),
            "c": pd.array(repeated(True, pd.NA, False), dtype="boolean"),
        }
    ),
    "pandas categories": plain().assign(c=pd.Categorical(repeated("a", None, "new"))),
    "infinities": plain().assign(x=repeated(math.inf, -math.inf, 0.5, math.nan)),
    "constant": plain().assign(x=7.0, c="a"),
    "other numbers": columns(repeated(Decimal("0.5"), 1 + 2j, np.float32(1), np.int8(3))),
    "arrays": columns(repeated(np.arange(3), [1], {2}), repeated(np.array(["a"]), ["a"], {"a"})),
    "a feature too many": plain().assign(more=repeated(1, "a", None)),
    "a feature too few": plain()[["c"]],
    "no feature": plain()[[]],
    "new categories": plain().assign(c=[f"new {i}" for i in range(ROWS)]),
}
REFUSED = {
    "no row": "without rows or columns",
    "no feature": "without rows or columns",
    "mixed types": "'x' holds values of type bytes, which cannot be counted",
    "timedeltas": "'x' holds values of type timedelta",
    "other numbers": "'x' holds values of type complex",
    "arrays": "'x' holds values of type ndarray",
}
"""Of what no reference can be made, and what is said of it."""

SHARES = [*np.linspace(0.01, 0.99, ROWS).tolist()]
TRUTHS = [int(i % 3 > 0) for i in range(ROWS)]


@cache
def known(task: str) -> Reference | None:
    """Return a reference of a task, of what it says: nothing, features alone, or all."""
    frame, rng = plain(400, 1), np.random.default_rng(2)
    numbers, truths = rng.random(400), rng.integers(0, 2, 400)
    names = rng.choice(list("abc"), 400)
    given: dict[str, dict[str, Any]] = {
        "features alone": {},
        "predictions alone": {"predictions": numbers, "task": "binary"},
        "binary": {"predictions": numbers, "outcomes": truths},
        "binary, by name": {"predictions": numbers, "outcomes": np.where(truths, "yes", "no")},
        "multiclass": {"predictions": names, "outcomes": names},
        "regression": {"predictions": numbers, "outcomes": numbers + 1},
    }
    return Reference.fit(frame, **given[task]) if task in given else None


TASKS = [
    "no reference",
    "predictions alone",
    "binary",
    "binary, by name",
    "multiclass",
    "regression",
]
ANSWERS: dict[str, list[Any]] = {
    "shares": SHARES,
    "numbers": [*range(ROWS)],
    "zeros and ones": TRUTHS,
    "one class": [1] * ROWS,
    "one share": [0.5] * ROWS,
    "booleans": [value > 0 for value in TRUTHS],
    "names": repeated("a", "b", "c"),
    "yes and no": repeated("yes", "no"),
    "unknown names": repeated("new", "other"),
    "missing": repeated(None, math.nan, pd.NA, pd.NaT),
    "some missing": repeated(0.5, None, 1, math.nan),
    "infinities": repeated(math.inf, -math.inf),
    "out of range": repeated(-0.1, 1.1, 1e300),
    "large integers": repeated(BIG, -BIG, BEYOND),
    "datetimes": MOMENTS,
    "lists": repeated([0.2, 0.8], [1], [], (0.1, 0.2, 0.7)),
    "objects": repeated({"a": 1}, {1}, b"x", object()),
    "numpy": [*np.array(SHARES, np.float32)],
    "mixed": repeated(0, 0.5, "a", True, None, BIG),
}


@pytest.mark.parametrize(
    ("task", "singly"),
    [("no reference", False), ("features alone", False), ("binary", False), ("binary", True)],
)
@pytest.mark.parametrize("name", FRAMES)
def test_any_features(name, task, singly):
    """Whatever the features are, each collector gives figures or says why not; counts are right."""
    frame = FRAMES[name]
    n = len(frame)
    report = cycled(known(task), frame, SHARES[:n], TRUTHS[:n], singly=singly)
    assert report["prediction_count"].value == n
    assert report["labelled_count"].value == n
    for result in report.drift:
        if result.feature in frame and result.detector == "missing":
            absent = int(frame[result.feature].isna().sum())
            assert result.missing == absent, result.feature
    for metric in report.find("missing_share"):
        feature = metric.labels["feature"]
        share = frame[feature].isna().mean() if feature in frame else 1.0
        assert metric.value == (pytest.approx(share, abs=1e-12) if n else None), metric
        assert metric.n == n
    tiers = pd.cut(SHARES[:n], [0, 0.4, 0.7, 1], right=False, labels=["low", "medium", "high"])
    for metric in report.find("customers_at_risk"):
        assert metric.value == (tiers == metric.labels["tier"]).sum(), metric


@pytest.mark.parametrize("name", FRAMES)
def test_any_features_as_the_reference(name):
    """What was trained on may be as odd: it is refused in words, or taken and then watched."""
    frame = FRAMES[name]
    if name in REFUSED:
        with pytest.raises(DataError, match=REFUSED[name]):
            Reference.fit(frame)
        return
    reference = Reference.fit(frame)
    report = cycled(reference, frame, SHARES[: len(frame)], singly=False, policy=PLAIN)
    assert [result for result in report.drift if result.drifted] == []
    cycled(reference, plain(), SHARES, singly=False, policy=PLAIN)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", ANSWERS)
def test_any_answer(name, task):
    """Whatever is served, and whatever turns out, no collector fails or gives half a figure."""
    odd = ANSWERS[name]
    for served, outcomes, singly in (
        (odd, TRUTHS, False),
        (SHARES, odd, False),
        (odd, odd, True),
    ):
        report = cycled(known(task), plain(), served, outcomes, singly=singly)
        assert report["prediction_count"].value == ROWS


JUNK = [None, math.nan, pd.NA, pd.NaT, "new", "", 2.5, BIG, -BIG, math.inf, b"1", [1], {"a": 1}]
JUNK += [NOON, object(), 1 + 1j]


def spoiled(values: Sequence[Any], junk: Sequence[Any]) -> tuple[list[Any], np.ndarray]:
    """Put junk in the place of every third value; return which were left as they are."""
    whole = np.arange(len(values)) % 3 > 0
    mixed = [value if whole[i] else junk[i // 3 % len(junk)] for i, value in enumerate(values)]
    return mixed, whole


def sample(n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    scores = rng.random(n)
    return scores, (rng.random(n) < scores).astype(int)


def test_junk_among_outcomes_counts_for_nothing_in_a_binary_task():
    """The figures are scikit-learn's on the rows whose outcome is one of the two classes."""
    scores, truths = sample()
    outcomes, whole = spoiled(truths.tolist(), JUNK)
    report = cycled(known("binary"), plain(300), scores.tolist(), outcomes, singly=False)
    labels = (scores >= 0.5).astype(int)
    assert report["labelled_count"].value == whole.sum()
    for name, judge in {
        "accuracy": accuracy_score,
        "precision": precision_score,
        "recall": recall_score,
    }.items():
        expected = judge(truths[whole], labels[whole])
        assert report[name].value == pytest.approx(expected, abs=1e-12), name
    assert report["accuracy"].n == whole.sum()
    assert report["outcome_rate"].value == pytest.approx(truths[whole].mean(), abs=1e-12)


def test_junk_among_predictions_counts_for_nothing_in_a_binary_task():
    """A prediction that is no share and no class has no part in accuracy, but is traffic."""
    scores, truths = sample()
    served, whole = spoiled(scores.tolist(), JUNK)
    report = cycled(known("binary"), plain(300), served, truths.tolist(), singly=False)
    labels = (scores >= 0.5).astype(int)
    expected = accuracy_score(truths[whole], labels[whole])
    assert report["prediction_count"].value == 300
    assert report["accuracy"].value == pytest.approx(expected, abs=1e-12)
    assert report["accuracy"].n == whole.sum()
    assert report["positive_rate"].value == pytest.approx(labels[whole].mean(), abs=1e-12)


def test_junk_counts_for_nothing_in_a_task_of_many_classes():
    """Accuracy is scikit-learn's on the rows whose label and outcome are known classes."""
    rng = np.random.default_rng(8)
    truths, labels = rng.choice(list("abc"), 300), rng.choice(list("abc"), 300)
    outcomes, whole = spoiled(truths.tolist(), JUNK)
    report = cycled(known("multiclass"), plain(300), labels.tolist(), outcomes, singly=False)
    expected = accuracy_score(truths[whole], labels[whole])
    assert report["accuracy"].value == pytest.approx(expected, abs=1e-12)
    assert report["labelled_count"].value == whole.sum()


def test_junk_counts_for_nothing_in_a_regression():
    """The mean absolute error is scikit-learn's on the rows whose outcome is a finite number."""
    scores, _ = sample()
    truths = scores + 0.25
    outcomes, whole = spoiled(truths.tolist(), [it for it in JUNK if not is_number(it)])
    report = cycled(known("regression"), plain(300), scores.tolist(), outcomes, singly=False)
    expected = mean_absolute_error(truths[whole], scores[whole])
    assert report["mae"].value == pytest.approx(expected, rel=1e-9)
    assert report["mae"].n == report["labelled_count"].value == whole.sum()


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


@pytest.mark.parametrize("singly", [False, True], ids=["batch", "singly"])
def test_values_are_told_apart_as_pandas_does(singly):
    """Missing, infinite, unseen and wrong values of a column are counted as pandas counts them."""
    xs = repeated(0.5, None, math.nan, pd.NA, math.inf, "text", -math.inf, True, "1")
    frame = columns(xs, repeated("a", None, "new", 5))
    report = cycled(known("features alone"), frame, SHARES, singly=singly)
    found = {result.feature: result for result in report.drift if result.detector == "missing"}
    assert found["x"].missing == frame["x"].isna().sum()
    assert found["x"].infinite == sum(
        value in (math.inf, -math.inf) for value in frame["x"].dropna()
    )
    assert found["x"].wrong_kind == sum(isinstance(value, str) for value in xs)
    assert found["c"].missing == frame["c"].isna().sum()
    assert found["c"].unseen == frame["c"].isin(["new", 5]).sum()


@pytest.mark.parametrize("latency", ["nan", "inf", "-1", "beyond", "text", "0"])
def test_any_latency(latency):
    """A latency that is no time is left out; one of nothing at all is 0."""
    values = {"beyond": BEYOND, "text": "fast", "0": 0}
    value = values[latency] if latency in values else float(latency)
    report = cycled(known("binary"), plain(), SHARES, TRUTHS, singly=True, latency_ms=value)
    found = [metric.value for metric in report.find("latency_ms")]
    assert found == ([0.0] * 3 if latency == "0" else [])


@pytest.mark.parametrize("error", ["ValueError", ValueError("x"), "", 5, b"x"], ids=repr)
def test_any_error(error):
    """Whatever an error is, it counts as one."""
    report = cycled(known("binary"), plain(), SHARES, TRUTHS, singly=True, error=error)
    assert report["error_rate"].value == 1.0
