"""Drift, judged: what is found, what stays silent, and what is not known."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats
from tests.profile.columns import ODD
from tests.traffic import HOUR, START, predicted, window

from mlwatch.collectors import DriftCollector
from mlwatch.collectors.drift import judge, smallest_visible
from mlwatch.detectors import ChiSquareDetector, KLDetector, KSDetector, evidence
from mlwatch.profile import Distribution
from mlwatch.records import DriftPolicy, DriftResult, Fault, Metric, Pane
from mlwatch.reference import Reference
from mlwatch.window import Window

DETECTORS = [KSDetector(), ChiSquareDetector(), KLDetector()]
RNG = np.random.default_rng(0)
TRAIN = {
    "age": RNG.normal(40, 10, 5000),
    "visits": RNG.poisson(3, 5000),
    "city": RNG.choice(["Bonn", "Ulm", "Trier"], 5000, p=[0.6, 0.3, 0.1]),
}
REFERENCE = Reference.fit(TRAIN)


def of_counts(reference: Reference, frame: dict[str, Any]) -> Window:
    """Make a window of rows that were counted elsewhere, all in one pane."""
    profile = reference.count(frame)
    rows = {"rows": {"recorded": profile.rows, "counted": profile.rows}}
    pane = Pane(model="m", time=START, span=HOUR, tallies=profile.to_tallies() | rows)
    return Window("m", "1", START, START + HOUR, (pane,), reference)


def collect(view: Window, detectors: Iterable[Any] = DETECTORS, **policy: Any) -> list[Any]:
    return [*DriftCollector([*detectors], DriftPolicy(**policy)).collect(view)]


def results(found: list[Any]) -> dict[tuple[str, str], DriftResult]:
    return {(r.feature, r.detector): r for r in found if isinstance(r, DriftResult)}


def named(found: list[Any], name: str) -> list[Metric]:
    return [item for item in found if isinstance(item, Metric) and item.name == name]


def verdicts(found: list[Any]) -> dict[str, bool | None]:
    return {feature: result.drifted for (feature, _), result in results(found).items()}


def rows(n, **changed):
    rng = np.random.default_rng(n)
    plain = {
        "age": rng.normal(40, 10, n),
        "visits": rng.poisson(3, n),
        "city": rng.choice(["Bonn", "Ulm", "Trier"], n, p=[0.6, 0.3, 0.1]),
    }
    return plain | changed


def test_each_feature_has_a_result_and_a_metric_of_each_detector():
    """Every detector answers for the features of its kind, and each answer is a metric too."""
    found = collect(of_counts(REFERENCE, rows(2000)))
    expected = {
        ("age", "ks"), ("visits", "ks"), ("city", "chi_square"),
        ("age", "kl"), ("visits", "kl"), ("city", "kl"),
    }  # fmt: skip
    metrics = named(found, "drift")
    (count,) = named(found, "drifted_features")

    assert set(results(found)) == expected
    assert {(m.labels["feature"], m.labels["detector"]) for m in metrics} == expected
    for metric in metrics:
        result = results(found)[metric.labels["feature"], metric.labels["detector"]]
        assert (metric.value, metric.low, metric.n) == (result.effect, result.effect_low, result.n)
        assert metric.verdict == result.verdict == "stable"
    assert (count.value, count.n) == (0.0, 3)


def test_what_moved_is_found_and_the_rest_is_not():
    """Half an sd, and a fourth of the traffic changing city, are drift; the rest is stable."""
    rng = np.random.default_rng(1)
    moved = {
        "age": rng.normal(45, 10, 4000),
        "city": rng.choice(["Bonn", "Ulm", "Trier"], 4000, p=[0.35, 0.3, 0.35]),
    }
    found = collect(of_counts(REFERENCE, rows(4000, **moved)), [KSDetector(), ChiSquareDetector()])

    assert verdicts(found) == {"age": True, "visits": False, "city": True}
    assert named(found, "drifted_features")[0].value == 2.0
    assert named(found, "drifted_features")[0].why == "city, age"
    assert "above the margin of 0.1" in results(found)["age", "ks"].why
    assert results(found)["visits", "ks"].why == ""


def test_the_worst_drift_says_where_it_is_none():
    """The largest bound may be of a feature that has not drifted, and then that is said."""

    def scripted(_reference, current):
        age = current.name == "age"
        low = 0.4 if age else 0.2
        return DriftResult(current.name, "mine", low, low, low, None, current.n, 9, drifted=not age)

    found = collect(of_counts(REFERENCE, rows(2000)), [scripted])
    (worst,), (count,) = named(found, "worst_drift"), named(found, "drifted_features")

    assert (worst.value, worst.why) == (0.4, "age (mine), stable")
    assert (count.value, count.why) == (2.0, "visits, city")


def test_a_harmless_shift_is_silent_at_any_amount_of_traffic():
    """A million rows shifted by 0.02 sd are stable, tiny p and all; by 0.5 sd they drifted."""
    rng = np.random.default_rng(2)
    reference = Reference.fit({"x": rng.normal(size=100_000)})
    base = rng.normal(size=1_000_000)
    tiny, small, large = (
        results(collect(of_counts(reference, {"x": base + shift}), [KSDetector()]))["x", "ks"]
        for shift in (0.01, 0.02, 0.5)
    )

    assert small.p_value < 0.001
    assert (tiny.drifted, small.drifted, small.band) == (False, False, "")
    assert (large.drifted, large.band) == (True, "warning")


def test_no_drift_is_not_called_drift():
    """Over 100 windows of 20 features without drift there is not one verdict of drift."""
    rng = np.random.default_rng(3)
    reference = Reference.fit({f"x{i}": rng.normal(size=2000) for i in range(20)})
    called = 0
    for _ in range(100):
        view = of_counts(reference, {f"x{i}": rng.normal(size=400) for i in range(20)})
        called += sum(v is True for v in verdicts(collect(view, [KSDetector()])).values())

    assert called == 0


@pytest.mark.parametrize("margin", [0.05, 0.1])
def test_a_change_of_just_the_margin_is_not_drift(margin):
    """Where exactly the margin has moved there is a verdict of drift in under 0.1%."""
    rng = np.random.default_rng(4)
    shift = 2 * stats.norm.ppf((1 + margin) / 2)
    called = 0
    for _ in range(300):
        reference = Reference.fit({"x": rng.normal(size=3000)})
        view = of_counts(reference, {"x": rng.normal(shift, 1, 3000)})
        called += verdicts(collect(view, [KSDetector()], margin=margin))["x"] is True

    assert called == 0


@pytest.mark.parametrize(
    ("low", "margin", "drifted", "band"),
    [
        (0.04, 0.1, False, ""),
        (0.06, 0.1, False, "notice"),
        (0.10, 0.1, False, "warning"),
        (0.11, 0.1, True, "warning"),
        (0.20, 0.1, True, "critical"),
        (0.01, 0.0, True, ""),
        (0.0, 0.0, False, ""),
    ],
)
def test_bands_and_margin(low, margin, drifted, band):
    """The band names the bounded effect, and drift is what lies above the margin."""
    result = DriftResult("x", "ks", 0.5, 0.5, low, 0.1, n=9000, n_reference=9000)
    judged = judge(result, DriftPolicy(margin=margin), 3600)

    assert (judged.drifted, judged.band) == (drifted, band)


class TestNotEnoughData:
    """Too little to tell is a verdict of its own."""

    @pytest.mark.parametrize("n", [1, 10, 49, 50, 100, 169])
    @pytest.mark.parametrize("n_reference", [170, 200, 1000, 10**6])
    @pytest.mark.parametrize(("visible", "least"), [(0.2, 50), (0.2, 5000), (0.19999, 1)])
    def test_the_rows_that_are_lacking_are_enough(self, n, n_reference, visible, least):
        """With as many more rows as the verdict asks for, there is a verdict."""
        policy = DriftPolicy(min_visible=visible, min_rows=least)
        result = DriftResult("x", "ks", 0.1, 0.1, 0.0, 0.5, n=n, n_reference=n_reference)
        judged = judge(result, policy, 3600)
        if judged.drifted is not None:
            return
        more = re.search(r"need about (\d+) more rows \((.+) at the present rate\)", judged.why)

        assert more, judged.why
        fed = replace(result, n=n + int(more[1]))
        assert judge(fed, policy, 3600).drifted is False
        barely = replace(result, n=n + int(more[1]) - 2)
        assert judge(barely, policy, 3600).drifted is None
        number, unit = more[2].split()
        hours = int(number) * {"minutes": 1 / 60, "hours": 1, "days": 24}[unit]
        assert hours == pytest.approx(int(more[1]) / n, rel=0.25)

    def test_a_real_window_with_the_rows_it_asked_for(self):
        """A window of 60 rows says how many are lacking; with them it has a verdict."""
        found = results(collect(of_counts(REFERENCE, rows(60)), [KSDetector()]))["age", "ks"]
        more = int(re.search(r"about (\d+) more rows", found.why)[1])
        fed = results(collect(of_counts(REFERENCE, rows(60 + more)), [KSDetector()]))["age", "ks"]

        assert (found.drifted, found.verdict) == (None, "not enough data")
        assert fed.drifted is False

    def test_metrics_of_it_have_no_value(self):
        """What is not known is no figure: neither a drift of 0 nor a count of 0 features."""
        found = collect(of_counts(REFERENCE, rows(20)))
        metrics = named(found, "drift")
        (count,) = named(found, "drifted_features")

        assert all(metric.value is None and metric.why for metric in [*metrics, count])
        assert all(metric.verdict == "not enough data" for metric in metrics)
        assert count.why == "not enough data for 3 of 3"
        assert named(found, "worst_drift") == []

    def test_a_small_reference_says_so(self):
        """A reference of 100 rows can never show a change of a fifth, and the verdict says that."""
        reference = Reference.fit({"x": RNG.normal(size=100)})
        view = of_counts(reference, {"x": RNG.normal(size=10_000)})
        found = results(collect(view, [KSDetector()]))["x", "ks"]

        assert found.drifted is None
        assert "the reference has 100 rows and needs over 169" in found.why

    def test_an_empty_window(self):
        """Without traffic every feature is "not enough data", and no detector calls it 0."""
        found = collect(window([], REFERENCE))

        assert set(verdicts(found).values()) == {None}
        assert all(result.statistic is None for result in results(found).values())
        assert all("the window holds no values" in result.why for result in results(found).values())

    def test_what_may_go_unseen_is_a_caveat(self):
        """A stable verdict from few rows says how large a change it may have overlooked."""
        few, many = (
            results(collect(of_counts(REFERENCE, rows(n)), [KSDetector()]))["age", "ks"]
            for n in (300, 50_000)
        )
        reach = float(re.search(r"a change below (0\.\d+) may go unseen", few.caveats[-1])[1])

        assert few.drifted is many.drifted is False
        assert 0.2 < reach < 0.3
        assert not any("unseen" in caveat for caveat in many.caveats)


@pytest.mark.parametrize(("n", "n_reference"), [(300, 5000), (1000, 1000)])
def test_the_smallest_visible_change_is_found_in_nine_of_ten(n, n_reference):
    """At level 0.001 the smallest visible change has a power of about 90%."""
    rng = np.random.default_rng(5)
    change = smallest_visible(n, n_reference, alpha=1e-3)
    shift = 2 * stats.norm.ppf((1 + change) / 2)
    found = []
    for _ in range(300):
        sample = rng.normal(size=n_reference)
        past = Reference.fit({"x": sample}).distribution("x")
        current = Distribution.count("x", past.grid, rng.normal(shift, 1, n))
        found.append(KSDetector().detect(past, current).p_value <= 1e-3)

    assert np.mean(found) >= 0.85


class TestPredictions:
    """The model's own predictions are compared like a feature, under a name of their own."""

    def test_scores(self):
        """Scores that moved are prediction drift, and count as no feature."""
        rng = np.random.default_rng(6)
        scores, true = rng.beta(2, 5, 3000), rng.integers(0, 2, 3000)
        reference = Reference.fit({"x": rng.normal(size=3000)}, predictions=scores, outcomes=true)
        for shift, expected in ((0.0, False), (0.3, True)):
            served = np.clip(rng.beta(2, 5, 2000) + shift, 0, 1)
            story = [predicted(i, p, {"x": rng.normal()}) for i, p in enumerate(served.tolist())]
            found = collect(window(story, reference, parts=4), [KSDetector()])
            metrics = {item.name: item for item in found if isinstance(item, Metric)}

            assert verdicts(found) == {"prediction": expected, "x": False}
            assert metrics["prediction_drift"].labels == {"detector": "ks"}
            assert metrics["drifted_features"].value == 0.0

    @pytest.mark.parametrize("classes", [(1, 2, 3), ("a", "b", "c"), ("0", "1", "nan")])
    def test_classes(self, classes):
        """Served classes that moved are prediction drift, whatever the classes are called."""
        rng = np.random.default_rng(7)
        past = [classes[i] for i in rng.integers(0, 3, 3000)]
        reference = Reference.fit(
            {"x": rng.normal(size=3000)},
            predictions=past,
            outcomes=past,
            task="multiclass",
            classes=classes,
        )
        served = [classes[i] for i in rng.choice(3, 2000, p=[0.8, 0.1, 0.1])]
        story = [predicted(i, label, {"x": 0.0}) for i, label in enumerate(served)]
        found = collect(window(story, reference), [ChiSquareDetector()])
        result = results(found)["prediction", "chi_square"]

        assert result.drifted is True
        assert result.effect == pytest.approx(
            served.count(classes[0]) / 2000 - past.count(classes[0]) / 3000, abs=1e-9
        )

    def test_a_reference_without_predictions(self):
        """Without predictions in the reference there is no prediction drift and no fault."""
        story = [predicted(i, 0.5, {"age": 1.0, "visits": 1, "city": "Ulm"}) for i in range(99)]
        found = collect(window(story, REFERENCE))

        assert "prediction" not in verdicts(found)
        assert not [item for item in found if isinstance(item, Fault)]


def test_without_a_reference_nothing_is_judged():
    """A window without a reference gives nothing."""
    assert collect(window([predicted(0, 0.5, {"age": 1.0})])) == []


class TestGuests:
    """Detectors that others write."""

    def test_a_function_is_a_detector(self):
        """A plain function is a detector; what it does not set is judged by the policy."""

        def mean_shift(reference, current):
            if reference.kind != "numeric":
                return None
            means = [np.average(d.values, weights=d.weights) for d in (reference, current)]
            low = min(1.0, abs(means[1] - means[0]) / 100)
            return evidence("mean_shift", reference, current, effect=low, effect_low=low, why="m")

        view = of_counts(REFERENCE, rows(2000, age=RNG.normal(60, 10, 2000)))

        assert verdicts(collect(view, [mean_shift])) == {"age": True, "visits": False}

    @pytest.mark.parametrize("verdict", [True, False])
    def test_a_detector_that_judges_is_taken_at_its_word(self, verdict):
        """A verdict that a detector sets stands, whatever the policy would say."""

        def judges(reference, current):
            return evidence(
                "judges", reference, current, statistic=1.0, effect=0.5,
                effect_low=0.0 if verdict else 0.5, drifted=verdict,
            )  # fmt: skip

        found = collect(of_counts(REFERENCE, rows(100)), [judges])
        assert set(verdicts(found).values()) == {verdict}

    @pytest.mark.parametrize("answer", [ValueError("boom"), True, 0.3, {"drift": 1}], ids=repr)
    def test_a_detector_that_fails_is_a_fault_and_the_others_go_on(self, answer):
        """What a detector raises, or answers instead of a result, is a fault that names both."""

        def broken(reference, current):
            if isinstance(answer, Exception):
                raise answer
            return answer

        found = collect(of_counts(REFERENCE, rows(2000)), [broken, KSDetector()])
        faults = [item for item in found if isinstance(item, Fault)]

        assert verdicts(found) == {"age": False, "visits": False}
        assert len(faults) == 3
        assert all("broken" in fault.part for fault in faults)
        assert "'age'" in faults[0].error

    @pytest.mark.parametrize("value", [math.nan, math.inf])
    @pytest.mark.parametrize("field", ["effect", "effect_low"])
    def test_an_effect_that_is_no_number_is_no_verdict(self, field, value):
        """NaN or infinity for an effect is neither drift nor stable, and no figure."""

        def odd(reference, current):
            given = {"effect": 0.5, "effect_low": 0.5} | {field: value}
            return evidence("odd", reference, current, statistic=1.0, why="odd", **given)

        found = collect(of_counts(REFERENCE, rows(2000)), [odd])
        assert set(verdicts(found).values()) == {None}
        for metric in [*named(found, "drift"), *named(found, "drifted_features")]:
            assert metric.value is None
            assert metric.low is None
            assert metric.why

    def test_a_detector_without_a_bound_gives_no_verdict(self):
        """An effect without a lower bound is not judged, and the result says so."""

        def unbounded(reference, current):
            return evidence("unbounded", reference, current, statistic=1.0, effect=0.5)

        found = results(collect(of_counts(REFERENCE, rows(2000)), [unbounded]))
        assert found["age", "unbounded"].drifted is None
        assert "no bound" in found["age", "unbounded"].why


HARD = {
    "nothing": [],
    "one row": [1.0],
    "all missing": [None] * 500,
    "all NaN": [math.nan] * 500,
    "all infinite": [math.inf] * 500,
    "both infinities": [math.inf, -math.inf] * 250,
    "constant": [5] * 500,
    "huge integers": [2**70, -(2**70)] * 250,
    "texts": ["a", "b"] * 250,
    "unseen text": ["new"] * 500,
    "lists": [[1, 2]] * 500,
    "odd values": ODD * 30,
    "numbers and None": [1.0, None] * 250,
    "booleans": [True, False] * 250,
}
COUNTABLE = [name for name in HARD if name not in {"nothing", "lists", "odd values"}]


@pytest.mark.parametrize("past", COUNTABLE)
@pytest.mark.parametrize("present", HARD)
def test_hard_inputs_never_raise_and_never_mislead(past, present):
    """Whatever reference and window hold, each result is a finite share or says why it is none."""
    reference = Reference.fit({"x": HARD[past]})
    view = of_counts(reference, {"x": HARD[present]})
    for found in collect(view):
        assert not isinstance(found, Fault), found.error
        if isinstance(found, DriftResult):
            for value in (found.statistic, found.effect, found.effect_low, found.p_value):
                assert value is None or math.isfinite(value)
            assert found.effect is None or 0 <= found.effect_low <= found.effect <= 1
            assert found.drifted is not None or found.why
            assert found.n or found.drifted is None


@pytest.mark.parametrize("name", COUNTABLE)
def test_a_reference_does_not_drift_from_itself(name):
    """The very rows of the reference are stable, or not enough, and never drift."""
    reference = Reference.fit({"x": HARD[name]})
    found = verdicts(collect(of_counts(reference, {"x": HARD[name]})))

    assert True not in found.values()


@pytest.mark.parametrize(
    ("past", "present"),
    [
        ([5] * 5000, [6] * 5000),
        ([5.0] * 5000, [math.inf] * 5000),
        (["a"] * 5000, ["b"] * 5000),
        ([True] * 5000, [False] * 5000),
        ([1, 2] * 2500, [1.5] * 5000),
    ],
)
def test_a_complete_change_is_found_by_every_detector(past, present):
    """When all rows leave the values of the reference, each detector that answers says drift."""
    reference = Reference.fit({"x": past})
    found = results(collect(of_counts(reference, {"x": present})))

    assert found
    for result in found.values():
        assert result.drifted is True
        assert result.effect >= 0.5
        assert result.band == "critical"


def test_high_cardinality_columns_do_not_drift_of_themselves():
    """A column of many rare names is stable on fresh traffic: its pooled cell is counted fairly."""
    rng = np.random.default_rng(8)
    called = []
    for _ in range(12):
        reference = Reference.fit({"x": [str(v) for v in rng.integers(0, 400, 8000)]})
        view = of_counts(reference, {"x": [str(v) for v in rng.integers(0, 400, 8000)]})
        called.append(verdicts(collect(view, [ChiSquareDetector()]))["x"])

    assert set(called) == {False}
