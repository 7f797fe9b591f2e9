"""Performance from the rows that are kept: exact where counts know only a bound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics
from tests.traffic import START, predicted, told, window

from mlwatch.collectors import PerformanceCollector
from mlwatch.errors import ConfigurationError
from mlwatch.records import Metric, Outcome, Prediction
from mlwatch.reference import Reference

ROWS = PerformanceCollector(rows=True)


def view_of(served, true, reference, *, kept=None, probability=None):
    """Return a window of rows, of which the last so many are still kept."""
    probability = [None] * len(served) if probability is None else probability
    events = [predicted(i, value, probability=probability[i]) for i, value in enumerate(served)]
    told_ = [told(i, value) for i, value in enumerate(true)]
    fields = ("model", "model_version", "request_id", "time", "features", "prediction")
    predictions = [
        Prediction(**dict(zip(fields, event[1:7], strict=True)), probability=event[7])
        for event in events
    ]
    outcomes = [
        Outcome(model="m", request_id=str(i), time=START, outcome=value)
        for i, value in enumerate(true)
    ]
    first = 0 if kept is None else len(served) - kept
    view = window([*events, *told_], reference, parts=3)
    return replace(view, rows=lambda since, until: (predictions[first:], outcomes))


def collect(view, collector=ROWS):
    found = [it for it in collector.collect(view) if isinstance(it, Metric)]
    return {(it.name, it.labels.get("quantile")): it for it in found}


def scored(seed, n):
    rng = np.random.default_rng(seed)
    true = rng.integers(0, 2, n)
    return np.clip(rng.normal(0.4 + 0.2 * true, 0.2), 0.0001, 0.9999), true


def fit(predictions, outcomes):
    return Reference.fit({"x": np.zeros(len(outcomes))}, predictions=predictions, outcomes=outcomes)


def test_areas_are_those_of_the_rows():
    """With thousands of distinct scores both areas equal scikit-learn's to 1e-12."""
    past, was = scored(0, 600)
    scores, true = scored(1, 2000)
    view = view_of(scores.tolist(), true.tolist(), fit(past, was))
    exact, counted = collect(view), collect(view, PerformanceCollector())

    for name, area in {
        "roc_auc": metrics.roc_auc_score(true, scores),
        "average_precision": metrics.average_precision_score(true, scores),
    }.items():
        assert exact[name, None].value == pytest.approx(area, rel=1e-12)
        assert exact[name, None].why == ""
        assert counted[name, None].value != pytest.approx(area, rel=1e-12)
    same = exact.keys() - {("roc_auc", None), ("average_precision", None)}
    for key in same - {("performance_change", None)}:
        assert exact[key] == counted[key], key


def test_quantiles_are_those_of_the_rows():
    """Quantiles of the absolute error equal numpy's on the rows."""
    rng = np.random.default_rng(0)
    true = rng.normal(3e5, 8e4, 1000)
    served = true + rng.normal(0, 3e4, 1000)
    found = collect(view_of(served.tolist(), true.tolist(), fit(served, true)))

    for share in (0.5, 0.9, 0.95, 0.99):
        metric = found["absolute_error", f"{share:g}"]
        assert metric.value == pytest.approx(np.quantile(np.abs(served - true), share), rel=1e-12)
        assert metric.low < metric.value < metric.high


@pytest.mark.parametrize("kept", [0, 1, 399])
def test_rows_that_are_gone_are_missed(kept):
    """Where rows have been removed the figures are those of the counts, and say so."""
    past, was = scored(0, 600)
    scores, true = scored(1, 400)
    view = view_of(scores.tolist(), true.tolist(), fit(past, was), kept=kept)
    found, counted = collect(view), collect(view, PerformanceCollector())

    why = f"from counts: {kept} rows are kept of 400 labelled predictions"
    for name in ("roc_auc", "average_precision"):
        assert found[name, None] == replace(counted[name, None], why=why)
    assert found["accuracy", None] == counted["accuracy", None]


def test_outcomes_that_say_nothing_are_in_neither():
    """An outcome that cannot be read is no labelled row; the others are exact all the same."""
    past, was = scored(0, 600)
    scores, true = scored(1, 400)
    told_ = [*true[:-20].tolist(), *["?"] * 20]
    found = collect(view_of(scores.tolist(), told_, fit(past, was)))
    area = metrics.roc_auc_score(true[:-20], scores[:-20])

    assert found["roc_auc", None].value == pytest.approx(area, rel=1e-12)


def test_labels_have_no_areas_from_rows_either():
    """Rows of served labels have no score; their figures say so and none raises."""
    _, true = scored(1, 400)
    found = collect(view_of(true.tolist(), true.tolist(), fit(true.tolist(), true)))

    assert found["accuracy", None].value == 1.0
    assert "no scores" in found["roc_auc", None].why


def test_rows_is_yes_or_no():
    """Anything but True or False is refused."""
    with pytest.raises(ConfigurationError, match="rows="):
        PerformanceCollector(rows=100)
