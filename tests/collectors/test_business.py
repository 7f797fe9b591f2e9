"""What the model is worth in money."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from tests.traffic import HOUR, START, predicted, told, window

from mlwatch import Metric, Monitor, intervals
from mlwatch.collectors import BusinessCollector, RetentionValue, TrafficCollector
from mlwatch.errors import ConfigurationError
from mlwatch.reference import Reference
from mlwatch.spans import MINUTE
from mlwatch.stores import MemoryStore
from mlwatch.testing import ManualClock

BINARY = Reference.fit(
    {"x": range(100)}, predictions=[0.2, 0.8] * 50, outcomes=["stay", "leave"] * 50,
    classes=("stay", "leave"),
)  # fmt: skip
SCORES = [0.9] * 4 + [0.1] * 6
TRUTHS = ["leave"] * 3 + ["stay"] + ["leave"] * 2 + ["stay"] * 3


def binary():
    """A window of 10 predictions, 4 of them positive, 9 labelled: 3 tp, 1 fp, 2 fn, 3 tn."""
    rows = [predicted(i, score, error="e" if i == 9 else None) for i, score in enumerate(SCORES)]
    return window([*rows, *(told(i, truth) for i, truth in enumerate(TRUTHS))], BINARY)


def classes(reference=None):
    """A window of 6 predictions of three classes, 4 of them labelled."""
    rows = [predicted(i, label) for i, label in enumerate("aabbbc")]
    return window([*rows, *(told(i, truth) for i, truth in enumerate("abbc"))], reference)


def values(figures, view, **options):
    return {m.name: m.value for m in BusinessCollector(figures, **options).collect(view)}


def only(figures, view=None):
    (metric,) = BusinessCollector(figures).collect(binary() if view is None else view)
    return metric


COUNTS = {
    "predictions": 10, "errors": 1, "labelled": 9, "hours": 1,
    "predicted_positives": 4, "predicted_negatives": 6,
    "actual_positives": 5, "actual_negatives": 4,
    "true_positives": 3, "false_positives": 1, "true_negatives": 3, "false_negatives": 2,
    'predicted["leave"]': 4, 'actual["stay"]': 4, "actual['leave']": 5,
}  # fmt: skip


@pytest.mark.parametrize("name", COUNTS)
def test_what_is_counted(name):
    """Each name of a formula is the count of the rows that it says."""
    assert only(name).value == COUNTS[name]


FORMULAS = {
    "40 * true_positives - 5 * predicted_positives": 100,
    "predictions / hours": 10,
    "-(1 + 2) * 3": -9,
    "+1.5e1 / 4 - 2": 1.75,
    " errors\n": 1,
}


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas(text):
    """Arithmetic of counts, as Python reads it."""
    metric = only(text)
    assert (metric.name, metric.value, metric.n) == ("business", FORMULAS[text], 10)


def test_hours_are_those_since_the_first_traffic():
    """What a service of half an hour has an hour is not spread over the day that is looked at."""
    late = [predicted(i, 0.9, time=START + 23 * HOUR + i * MINUTE) for i in range(30, 60)]
    assert only("predictions / hours", window(late, span=24 * HOUR)).value == 60


def test_several_formulas_and_a_name_for_one():
    """A mapping names its figures; one alone is called what the collector is."""
    found = values({"profit": "10 * true_positives", "wasted": "5 * false_positives"}, binary())
    assert found == {"profit": 30, "wasted": 5}
    assert values("10 * true_positives", binary(), name="profit") == {"profit": 30}


def test_classes_are_counted_by_name():
    """With a reference a class that is none of its own is undefined; without one it is 0."""
    reference = Reference.fit(
        {"x": range(60)}, predictions=list("abc") * 20, outcomes=list("abc") * 20
    )
    for view in (classes(reference), classes()):
        assert only('predicted["b"] - actual["b"]', view).value == 1
    missing = only('actual["z"]', classes(reference))
    assert (missing.value, missing.why) == (
        None,
        "undefined: there is no class 'z'; the classes are 'a', 'b', 'c'",
    )
    assert only('actual["z"]', classes()).value == 0
    assert only('predicted["b/c"]', window([predicted(0, "b/c")])).value == 1


UNDEFINED = {
    "1 / (errors - 1)": "division by zero",
    "1e308 * 10": "too large",
    "1e308 * 10 - 1e308 * 10": "too large",
}


@pytest.mark.parametrize("text", UNDEFINED)
def test_what_cannot_be_computed_has_no_value(text):
    """It says why, and is never 0 or infinite."""
    metric = only(text)
    assert metric.value is None
    assert metric.why.startswith("undefined: ")
    assert UNDEFINED[text] in metric.why


def test_what_needs_two_classes():
    """Of another task the counts of positives are not defined."""
    for view in (classes(), window([predicted(i, 7.5) for i in range(3)] + [told(0, 7.0)])):
        metric = only("true_positives", view)
        assert (metric.value, metric.why) == (
            None,
            "undefined: true_positives needs a binary task",
        )
        assert only("predictions", view).value > 0


def test_a_window_without_traffic():
    """Counts are 0, shares of nothing are undefined."""
    view = window([])
    assert only("10 * predictions - 1", view).value == -1
    assert only("errors / predictions", view).why == "undefined: float division by zero"


WRONG = {
    "": "is no formula",
    "1 +": "is no formula",
    "predictons": "did you mean 'predictions'",
    "profit": "there is predictions, errors",
    "actual": 'say of which class, as actual["name"]',
    "2 ** 9": "'2 ** 9' is not allowed",
    "9 // 2": "is not allowed",
    "predictions > 3": "is not allowed",
    "errors if errors else 1": "is not allowed",
    "abs(errors)": "is not allowed",
    "__import__('os').system('true')": "is not allowed",
    "predictions.real": "is not allowed",
    "(lambda: 1)()": "is not allowed",
    "[1][0]": "is not allowed",
    "errors['x']": "is not allowed",
    "actual[predicted]": "is not allowed",
    "'a' * 9": "is not allowed",
    "True": "is not allowed",
    "1j": "is not allowed",
    "1e999": "is not allowed",
    "9" * 400: "is not allowed",
    "errors; errors": "is no formula",
    "errors := 1": "is no formula",
    "(" * 300 + "1" + ")" * 300: "a formula of 601 characters",
    "(" * 240 + "1" + ")" * 240: "is no formula",
    "\0": "is no formula",
}


@pytest.mark.parametrize("text", WRONG, ids=lambda text: text[:20])
def test_wrong_formulas_are_refused(text):
    """When the collector is made, and nothing of them is executed."""
    with pytest.raises(ConfigurationError) as raised:
        BusinessCollector(text)
    assert WRONG[text] in str(raised.value)


def test_a_long_chain_of_signs_is_taken():
    """The longest formula there can be is read and computed."""
    assert only("-" * 498 + "1").value == 1
    assert only("+".join(["1"] * 250)).value == 250


WRONG_FIGURES = {
    "none": (None, "a function of the counts"),
    "a number": (7, "a function of the counts"),
    "nothing": ({}, "at least one"),
    "a function in a mapping": ({"profit": len}, "give a formula as a text"),
    "a name that is none": ({7: "1"}, "must be a text"),
    "an empty name": ({"": "1"}, "must be a text"),
    "a metric of mlwatch": ({"accuracy": "1"}, "is a metric of mlwatch"),
    "a class": (RetentionValue, "is a collector itself"),
    "a collector": (RetentionValue(1, 1, 1), r"collectors=\[RetentionValue"),
}


@pytest.mark.parametrize("case", WRONG_FIGURES)
def test_wrong_figures_are_refused(case):
    """When the collector is made."""
    figures, message = WRONG_FIGURES[case]
    with pytest.raises(ConfigurationError, match=message):
        BusinessCollector(figures)


# Functions


RESULTS = {
    "a number": (lambda counts: 2 * counts["predictions"], {"business": 20}),
    "of numpy": (lambda counts: np.int64(counts["errors"]), {"business": 1}),
    "several": (lambda counts: {"a": counts["errors"], "b": None}, {"a": 1, "b": None}),
    "metrics": (lambda counts: [Metric("a", 5.0)], {"a": 5}),
    "none": (lambda counts: None, {"business": None}),
    "NaN": (lambda counts: math.nan, {"business": None}),
    "a division by 0": (lambda counts: 1 / 0, {"business": None}),
    "all counts": (lambda counts: sum(counts.values()), {"business": 49}),
    "of a class": (lambda counts: counts.of_class("actual", "stay"), {"business": 4}),
}


@pytest.mark.parametrize("case", RESULTS)
def test_functions_of_the_counts(case):
    """A number, several by name, or metrics; what is undefined says so."""
    call, expected = RESULTS[case]
    found = [*BusinessCollector(call).collect(binary())]
    assert {metric.name: metric.value for metric in found} == expected
    assert all(metric.why.startswith("undefined: ") for metric in found if metric.value is None)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda counts: counts["predictons"], "there is predictions"),
        (lambda counts: {"accuracy": 1.0}, "is a metric of mlwatch"),
        (lambda counts: {"a": "b"}, "must be real number"),
        (lambda counts: "12", "collected str"),
    ],
)
def test_mistakes_of_functions_are_faults(call, message):
    """In a cycle a mistake is told as such, and is no figure without data."""
    collectors = [BusinessCollector(call), TrafficCollector()]
    monitor = Monitor(store=MemoryStore(), collectors=collectors, notifiers=[], clock=ManualClock())
    report = monitor.run_cycle()
    assert [fault.part for fault in report.faults] == ["collector business"]
    assert message in report.faults[0].error


def test_a_plain_function_is_a_collector():
    """Custom metrics need no class at all."""

    def failures(view):
        rows = view.tally("rows")
        return [Metric("failures", float(rows.get("errors", 0)), n=rows.get("recorded", 0))]

    monitor = Monitor(store=MemoryStore(), collectors=[failures], notifiers=[], clock=ManualClock())
    monitor.record_prediction({"x": 1}, 0.5, error="timeout")
    assert monitor.run_cycle()["failures"].value == 1


# Retention


def retained(events, reference=None, *, counted=None, **options):
    """Return the figures of retention in a window that was counted by it, or by another."""
    value = RetentionValue(
        **{"customer_value": 600, "contact_cost": 20, "success_rate": 0.3} | options
    )
    view = window(events, reference, tallies={value.name: (counted or value).tally}, parts=3)
    return {(m.name, *m.labels.values()): m for m in value.collect(view)}


def test_the_formulas():
    """Counts by tier, and money by the formulas of the docstring, from 5 high, 3 medium, 4 low."""
    scores = [0.7, 0.71, 0.9, 1.0, 0.7000001, 0.4, 0.5, 0.6999999, 0.0, 0.1, 0.3, 0.3999999]
    found = retained([predicted(i, score) for i, score in enumerate(scores)])
    assert [found["customers_at_risk", tier].value for tier in ("high", "medium", "low")] == [
        5,
        3,
        4,
    ]
    assert found["revenue_at_risk",].value == 5 * 600
    assert found["contact_cost",].value == 5 * 20
    assert found["revenue_saved",].value == pytest.approx(5 * 0.3 * 600)
    assert found["retention_roi",].value == pytest.approx((900 - 100) / 100)
    assert all((metric.n, metric.why) == (12, "") for metric in found.values())


def test_the_interval_of_what_is_saved():
    """That of the number of successes by scipy, in money; 95% of simulated seasons lie in it."""
    found = retained([predicted(i, 0.9) for i in range(200)])
    low, high = stats.binom.ppf([0.025, 0.975], 200, 0.3)
    saved, roi = found["revenue_saved",], found["retention_roi",]
    assert (saved.low, saved.high) == (low * 600, high * 600)
    assert (roi.low, roi.high) == pytest.approx(
        ((low * 600 - 4000) / 4000, (high * 600 - 4000) / 4000)
    )
    seasons = np.random.default_rng(0).binomial(200, 0.3, 20_000) * 600
    assert np.mean((seasons >= saved.low) & (seasons <= saved.high)) == pytest.approx(
        0.955, abs=0.015
    )


@pytest.mark.parametrize("n", [0, 1, 7, 1000, 10**7])
@pytest.mark.parametrize("p", [0.0, 1e-9, 0.3, 0.999, 1.0])
def test_quantiles_of_the_binomial(n, p):
    """They are scipy's."""
    expected = stats.binom.ppf([0.025, 0.975], n, p) if n else [0, 0]
    assert [*intervals.binomial(n, p)] == [max(0, value) for value in expected]


def test_a_rare_success_lies_within_its_interval():
    """Where one success in a hundred is expected of ten contacts, none is the most likely."""
    saved = retained([predicted(i, 0.9) for i in range(10)], success_rate=0.001)["revenue_saved",]
    assert saved.low <= saved.value <= saved.high


def test_no_return_on_nothing():
    """Of nobody who is contacted, or of a contact that costs nothing, it is undefined."""
    nobody = retained([predicted(i, 0.1) for i in range(5)])
    assert (nobody["revenue_at_risk",].value, nobody["revenue_saved",].value) == (0, 0)
    assert nobody["retention_roi",].value is None
    assert nobody["retention_roi",].why == "undefined: nobody is contacted"
    free = retained([predicted(0, 0.9)], contact_cost=0)
    assert free["retention_roi",].why == "undefined: a contact costs nothing"


def test_without_predictions_there_is_no_money():
    """0 customers, and no value for all else."""
    found = retained([])
    assert found["customers_at_risk", "high"].value == 0
    money = [metric for (name, *_), metric in found.items() if name != "customers_at_risk"]
    assert [metric.value for metric in money] == [None] * 4
    assert {metric.why for metric in money} == {"not enough data: there are no predictions"}


PROBABILITIES = {
    "a score": ({}, [0.9, 0.5, 0.1]),
    "a label with the score": ({}, [(1, 0.9), (0, 0.5), (0, 0.1)]),
    "a row of two": ({}, [(1, [0.1, 0.9]), (0, [0.5, 0.5]), (0, [0.9, 0.1])]),
    "by class": ({}, [(1, {"0": 0.1, "1": 0.9}), (0, {"0": 0.5, "1": 0.5}), (0, {"0": 1, "1": 0})]),
    "by a named class": (
        {"positive": "leave"},
        [("leave", {"stay": 0.1, "leave": p}) for p in (0.9, 0.5, 0.1)],
    ),
}


@pytest.mark.parametrize("form", PROBABILITIES)
def test_every_form_of_a_probability(form):
    """The probability of the class that leaves is read however it was recorded."""
    options, served = PROBABILITIES[form]
    pairs = [it if isinstance(it, tuple) else (it, None) for it in served]
    events = [predicted(i, label, probability=p) for i, (label, p) in enumerate(pairs)]
    found = retained(events, **options)
    assert [found["customers_at_risk", tier].value for tier in ("high", "medium", "low")] == [
        1,
        1,
        1,
    ]


def test_what_has_no_score_is_in_no_tier():
    """Labels, errors and NaN are counted as such, and every figure says how many."""
    events = [predicted(i, served) for i, served in enumerate([0.9, 1, "leave", math.nan, 1.5])]
    events.append(predicted(5, None, error="timeout"))
    found = retained(events)
    assert found["customers_at_risk", "high"].value == 1
    why = "5 of 6 predictions are in no tier (5 without a score)"
    assert {metric.why for metric in found.values()} == {why}


def test_counts_under_other_limits_are_not_mixed():
    """After a change of the limits, what was counted before is left out and told."""
    events = [predicted(i, 0.75) for i in range(5)]
    found = retained(events, high=0.8, counted=RetentionValue(1, 1, 1))
    assert found["customers_at_risk", "medium"].value == 0
    assert found["revenue_at_risk",].value is None
    assert "5 counted under other limits" in found["revenue_at_risk",].why


def test_predictions_of_before_are_told():
    """What was ingested without it is in no tier."""
    value = RetentionValue(600, 20, 0.3)
    view = window([predicted(i, 0.9) for i in range(5)])
    (first, *_) = value.collect(view)
    assert first.value == 0
    assert first.why.endswith("(5 not kept, or of before this was counted)")


def test_it_is_counted_in_a_monitor():
    """From the hot path to the report, also of rows that are gone by then."""
    clock = ManualClock()
    monitor = Monitor(
        store=MemoryStore(), collectors=[RetentionValue(600, 20, 0.3)], notifiers=[], clock=clock
    )
    monitor.record_batch({"x": [1, 2, 3]}, [0.9, 0.8, 0.5])
    report = monitor.run_cycle()
    assert report.faults == ()
    assert report["revenue_saved"].value == pytest.approx(360)
    assert report.find("customers_at_risk", tier="medium")[0].value == 1


@pytest.mark.parametrize(
    "options",
    [
        {"customer_value": -1}, {"customer_value": math.nan}, {"customer_value": math.inf},
        {"customer_value": "600"}, {"customer_value": True}, {"contact_cost": -0.01},
        {"contact_cost": None}, {"success_rate": 1.01}, {"success_rate": -0.1},
        {"success_rate": 30}, {"high": 0.4}, {"high": 0.3}, {"high": 1.2}, {"medium": -0.1},
        {"medium": 0.7}, {"high": "0.7"},
    ],
    ids=str,
)  # fmt: skip
def test_wrong_parameters_are_refused(options):
    """With the name of what is wrong."""
    given = {"customer_value": 600, "contact_cost": 20, "success_rate": 0.3} | options
    (name,) = options
    with pytest.raises(ConfigurationError, match=f"RetentionValue.*{name}="):
        RetentionValue(**given)
