"""What the model says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from tests.traffic import predicted, window

from mlwatch.collectors import PredictionsCollector
from mlwatch.reference import Reference


def collect(served, reference=None, **options):
    story = [predicted(i, value, **options) for i, value in enumerate(served)]
    return [*PredictionsCollector().collect(window(story, reference, parts=3))]


def by_name(found):
    return {metric.name: metric for metric in found}


def fit(predictions, outcomes):
    return Reference.fit({"x": np.zeros(len(outcomes))}, predictions=predictions, outcomes=outcomes)


def test_scores_of_a_binary_task():
    """Mean, spread and share of positives are those of the scores, by the decision threshold."""
    scores = np.random.default_rng(0).beta(2, 5, 500)
    found = by_name(collect(scores.tolist(), fit([0.2, 0.8] * 50, [0, 1] * 50)))

    assert found["prediction_mean"].value == pytest.approx(scores.mean(), rel=1e-9)
    assert found["prediction_std"].value == pytest.approx(scores.std(), rel=1e-9)
    assert found["positive_rate"].value == pytest.approx((scores >= 0.5).mean(), rel=1e-12)
    expected = stats.norm.interval(0.95, scores.mean(), stats.sem(scores))
    mean = found["prediction_mean"]
    assert (mean.low, mean.high) == pytest.approx(expected, rel=1e-6)


def test_numbers_of_a_regression():
    """Mean and spread come back in the outcomes' own unit; nothing is called positive."""
    rng = np.random.default_rng(0)
    past, served = rng.normal(3e5, 8e4, 500), rng.normal(5e5, 1e4, 500)
    found = by_name(collect(served.tolist(), fit(past, past)))

    assert found["prediction_mean"].value == pytest.approx(served.mean(), rel=1e-9)
    assert found["prediction_std"].value == pytest.approx(served.std(), rel=1e-6)
    assert "positive_rate" not in found


def test_classes():
    """The share of each class is given, of those never served too."""
    served = ["a"] * 60 + ["b"] * 40
    found = collect(served, fit(list("abc") * 20, list("abc") * 20))
    shares = {m.labels["class"]: m.value for m in found if m.name == "class_share"}

    assert shares == {"a": 0.6, "b": 0.4, "c": 0.0}
    assert all(metric.low <= metric.value <= metric.high for metric in found)


@pytest.mark.parametrize("value", [0.0, 1.0, 0.5])
def test_equal_scores(value):
    """A model that says the same to everyone has that mean and no spread; nothing fails."""
    found = by_name(collect([value] * 50, fit([0.2, 0.8] * 50, [0, 1] * 50)))

    assert found["prediction_mean"].value == pytest.approx(value, abs=1e-9)
    assert found["prediction_std"].value == pytest.approx(0, abs=1e-5)
    assert found["positive_rate"].value == float(value >= 0.5)


def test_too_few_scores():
    """Below 30 scores there is no mean and no spread, and both say why."""
    found = by_name(collect([0.5] * 29))

    for name in ("prediction_mean", "prediction_std"):
        assert found[name].value is None
        assert "29 of 30" in found[name].why


class TestWithoutReference:
    """Without a reference predictions are what their type says."""

    def test_scores(self):
        """Shares have a mean and a share of positives."""
        found = by_name(collect(np.linspace(0, 1, 101).tolist()))

        assert found["prediction_mean"].value == pytest.approx(0.5)
        assert found["positive_rate"].value == pytest.approx(51 / 101)

    def test_texts(self):
        """Texts have shares, of the twenty most frequent at most, and none is called positive."""
        served = [f"label {i}" for i in range(30) for _ in range(40 - i)]
        unexpected, *found = collect(served)

        assert (unexpected.name, unexpected.value) == ("unexpected_share", 0)
        assert len(found) == 20
        assert {metric.name for metric in found} == {"class_share"}
        assert found[0].labels == {"class": "label 0"}
        assert found[0].value == pytest.approx(40 / len(served))

    def test_numbers(self):
        """Counts, some of which are 0 and 1, have a mean and no share of positives."""
        served = np.random.default_rng(0).poisson(2, 200).tolist()
        found = by_name(collect(served))

        assert found["prediction_mean"].value == pytest.approx(np.mean(served))
        assert "positive_rate" not in found


@pytest.mark.parametrize("value", [None, math.nan, math.inf, [1, 2], {"a": 1}])
def test_what_cannot_be_read_is_no_figure_but_is_seen(value):
    """A prediction that cannot be read makes no figure, but for the share of those."""
    (found,) = collect([value] * 50)

    assert (found.name, found.value, found.n) == ("unexpected_share", 1, 50)


class TestUnexpected:
    """What is served beside the model's own classes, or numbers, is visible."""

    def test_labels(self):
        """A label that is none of the classes has no part in their shares, and one of its own."""
        found = collect(["a"] * 60 + ["d"] * 40, fit(list("abc") * 20, list("abc") * 20))
        shares = {m.labels["class"]: m.value for m in found if m.name == "class_share"}
        unexpected = by_name(found)["unexpected_share"]

        assert shares == {"a": 1.0, "b": 0.0, "c": 0.0}
        assert (unexpected.value, unexpected.n) == (0.4, 100)
        wilson = stats.binomtest(40, 100).proportion_ci(0.95, method="wilson")
        assert (unexpected.low, unexpected.high) == pytest.approx(wilson)
        assert "40 that are none of" in unexpected.why

    @pytest.mark.parametrize(
        ("served", "reference"),
        [
            (["a", "b"] * 20, (list("abc") * 20, list("abc") * 20)),
            ([0.1, 0.9] * 20, ([0.2, 0.8] * 50, [0, 1] * 50)),
            ([2.5, 7.0] * 20, (range(100), range(100))),
        ],
    )
    def test_nothing(self, served, reference):
        """Where all is as expected the share is 0, with an interval."""
        unexpected = by_name(collect(served, fit(*reference)))["unexpected_share"]

        assert (unexpected.value, unexpected.low, unexpected.why) == (0, 0, "")
        assert 0 < unexpected.high < 0.1

    def test_a_text_of_a_regression(self):
        """A regression that serves a text has served no number."""
        served = [1.0] * 30 + ["many"] * 10
        unexpected = by_name(collect(served, fit(range(100), range(100))))["unexpected_share"]

        assert unexpected.value == 0.25

    def test_a_call_that_failed_says_nothing(self):
        """A prediction recorded with an error and no value is an error, and not unexpected."""
        assert collect([None] * 50, error="timeout") == []


class TestBesideTheReference:
    """Each figure has the same one of the reference's predictions beside it."""

    def test_scores(self):
        """Mean, spread and share of positives are numpy's, of what the reference has seen."""
        past = np.random.default_rng(1).beta(2, 2, 300)
        true = np.arange(300) % 2
        found = by_name(collect([0.25] * 50, fit(past, true)))

        assert found["prediction_mean"].reference == pytest.approx(past.mean(), rel=1e-9)
        assert found["prediction_std"].reference == pytest.approx(past.std(), rel=1e-9)
        assert found["positive_rate"].reference == pytest.approx((past >= 0.5).mean(), rel=1e-12)

    def test_numbers(self):
        """Those of a regression are in the outcomes' own unit."""
        past = np.random.default_rng(1).normal(3e5, 8e4, 300)
        found = by_name(collect([3e5] * 50, fit(past, past + 1)))

        assert found["prediction_mean"].reference == pytest.approx(past.mean(), rel=1e-9)
        assert found["prediction_std"].reference == pytest.approx(past.std(), rel=1e-9)

    def test_classes(self):
        """Each class has its own, one that only the reference has seen too."""
        past = ["a"] * 50 + ["c"] * 50
        found = collect(["a"] * 60 + ["b"] * 40, fit(past, list("abc") * 33 + ["a"]))
        shares = {m.labels["class"]: (m.value, m.reference) for m in found if m.labels}

        assert shares == {"a": (0.6, 0.5), "b": (0.4, 0.0), "c": (0.0, 0.5)}

    def test_a_reference_without_predictions(self):
        """Where the reference has no predictions nothing stands beside a figure."""
        served = np.linspace(0, 1, 101).tolist()
        assert all(metric.reference is None for metric in collect(served))
        bare = Reference.fit({"x": np.zeros(100)}, outcomes=[0, 1] * 50)
        assert all(metric.reference is None for metric in collect(served, bare))
