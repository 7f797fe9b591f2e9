"""Every collector keeps the contract, and the check of it fails on collectors that do not."""

from __future__ import annotations

import math

import pytest
from tests.traffic import HOUR, START, predicted, told, window

from mlwatch.collectors import (
    BusinessCollector,
    ConceptDriftCollector,
    DriftCollector,
    DriftScoreCollector,
    ErrorRateCollector,
    EstimatedPerformanceCollector,
    NotMissing,
    OneOf,
    Pattern,
    PerformanceCollector,
    PredictionsCollector,
    QualityCollector,
    Range,
    RetentionValue,
    Schema,
    SegmentsCollector,
    ServiceCollector,
    SystemCollector,
    TrafficCollector,
    VolumeCollector,
)
from mlwatch.detectors import ChiSquareDetector, KLDetector, KSDetector
from mlwatch.protocols import Collector
from mlwatch.records import DriftPolicy, Memory, Metric, Pane, Segment
from mlwatch.reference import Reference
from mlwatch.testing import ScriptedCollector, ScriptedDetector, check_collector
from mlwatch.testing.checks import sample_windows

COLLECTORS = [
    TrafficCollector(),
    TrafficCollector(quantiles=(0.0, 1.0)),
    PredictionsCollector(),
    VolumeCollector(),
    PerformanceCollector(),
    QualityCollector(),
    QualityCollector(sample=0),
    EstimatedPerformanceCollector(),
    Schema({"x": Range(0, 1), "c": [OneOf("a"), Pattern("[ab]"), NotMissing()], "z": str.isdigit}),
    DriftCollector([KSDetector(), ChiSquareDetector(), KLDetector()]),
    DriftCollector([KLDetector()], DriftPolicy(margin=0.0, min_rows=1)),
    DriftCollector([ScriptedDetector({"x": ValueError("boom"), "c": None})]),
    ErrorRateCollector(),
    SegmentsCollector(),
    ConceptDriftCollector(),
    ConceptDriftCollector(DriftPolicy(margin=0.0, min_rows=1)),
    DriftScoreCollector(),
    SystemCollector(),
    SystemCollector(mounts=["/", "/not/there"]),
    ServiceCollector({"up": lambda: True, "down": lambda: False}),
    BusinessCollector({"profit": "true_positives / predictions", "gold": 'actual["gold"]'}),
    BusinessCollector(lambda counts: {"pace": counts["predictions"] / counts["hours"]}),
    RetentionValue(customer_value=600, contact_cost=20, success_rate=0.3),
    ScriptedCollector([[Metric("orders", 3.0)]]),
]

SEGMENTS = ("c", Segment("x", bins=(0,)))


def odd_windows(segments=()):
    """Give windows that are easy to get wrong: constant, perfect, one-sided, without labels."""
    data = {"x": [1.0] * 100, "c": ["a"] * 100}
    tasks = [
        None,
        Reference.fit(data),
        Reference.fit(data, predictions=[0.2, 0.8] * 50, outcomes=[0, 1] * 50),
        Reference.fit(data, predictions=["a", "b"] * 50, outcomes=["a", "b"] * 50),
        Reference.fit(data, predictions=list("abcd") * 25, outcomes=list("abcd") * 25),
        Reference.fit(data, predictions=range(100), outcomes=range(100)),
    ]
    answers = [0.0, 1.0, 0.5, 0, 1, True, "a", "b", 7.5, math.nan, None]
    for reference in tasks:
        for served in answers:
            for n, labelled in ((1, 1), (40, 0), (40, 40)):
                rows = [
                    predicted(i, served, {"x": 1.0, "c": "a"}, latency_ms=0.0) for i in range(n)
                ]
                outcomes = [told(i, served) for i in range(labelled)]
                yield window([*rows, *outcomes], reference, segments=segments)


@pytest.mark.parametrize("collector", COLLECTORS, ids=lambda collector: repr(collector)[:60])
def test_our_collectors_keep_the_contract(collector):
    """Each collector of the library passes the check, on hard windows too."""
    assert isinstance(collector, Collector)
    check_collector(collector)
    segments = SEGMENTS if isinstance(collector, SegmentsCollector) else ()
    check_collector(collector, [*odd_windows(segments)])


class Wrong:
    """A collector that measures the traffic, and what a subclass does with it."""

    name = "wrong"

    def collect(self, view):
        return [Metric("prediction_count", float(view.tally("rows").get("recorded", 0)))]


class Nameless:
    collect = Wrong.collect


class CollectsNumbers(Wrong):
    def collect(self, view):
        return [0.5]


class MeasuresTwice(Wrong):
    def collect(self, view):
        return super().collect(view) * 2


class MeasuresNaN(Wrong):
    def collect(self, view):
        return [Metric("mood", math.nan)]


class SilentAboutNothing(Wrong):
    def collect(self, view):
        return [Metric("mood", None)]


class LowAboveTheValue(Wrong):
    def collect(self, view):
        return [Metric("mood", 0.5, low=0.6, high=0.7)]


class HighBelowTheValue(Wrong):
    def collect(self, view):
        return [Metric("mood", 0.5, low=0.3, high=0.4)]


class NegativeRows(Wrong):
    def collect(self, view):
        return [Metric("mood", 0.5, n=-1)]


class Counts(Wrong):
    """A collector that adds up the hours that are closed, each once."""

    def collect(self, view):
        done = view.memory.get("done", "")
        closed = [pane for pane in view.panes(HOUR) if self.is_closed(pane, view, done)]
        rows = [pane.tallies["rows"]["recorded"] for pane in closed]
        total = self.known(view) + sum(rows)
        kept = [
            Pane(model="", time=pane.time, span=HOUR, tallies={"own": {"rows": n}})
            for pane, n in zip(closed, rows, strict=True)
        ]
        last = closed[-1].time.isoformat() if closed else done
        yield Metric("seen", float(total), n=total)
        yield from self.remembered({"done": last, "rows": total}, kept)

    def is_closed(self, pane, view, done):
        return pane.time + HOUR <= view.until and pane.time.isoformat() > done

    def known(self, view):
        return view.memory.get("rows", 0)

    def remembered(self, body, kept):
        yield Memory(body, kept)


class TakesInTwice(Counts):
    def is_closed(self, pane, view, done):
        return pane.time + HOUR <= view.until


class TakesInWhatIsOpen(Counts):
    def is_closed(self, pane, view, done):
        return pane.time.isoformat() > done


class KeepsNothing(Counts):
    def remembered(self, body, kept):
        yield Memory(body)


class AddsUpTwice(KeepsNothing):
    is_closed = TakesInTwice.is_closed


class CountsItsCycles(KeepsNothing):
    def known(self, view):
        return view.memory.get("rows", 0) + 1


class MeasuresItsCycles(KeepsNothing):
    def collect(self, view):
        yield Metric("is_first", float(not view.memory))
        yield from super().collect(view)


class RemembersTwice(Counts):
    def remembered(self, body, kept):
        yield Memory(body)
        yield Memory({}, kept)


class RemembersFirst(Counts):
    def remembered(self, body, kept):
        yield Memory(body, kept)
        yield Metric("last", 1.0)


class RemembersASet(Counts):
    def remembered(self, body, kept):
        yield Memory({"seen": set(body)})


class RemembersByNumber(Counts):
    def remembered(self, body, kept):
        yield Memory({5: body})


class KeepsHalfRows(Counts):
    def remembered(self, body, kept):
        yield Memory(body, [Pane(model="", time=START, span=HOUR, tallies={"own": {"rows": 0.5}})])


class IsAskedOnce(Counts):
    scope = "machine"


class ChangesItsNames(Wrong):
    scope = "machine"

    def __init__(self):
        self.asked = 0

    def collect(self, view):
        self.asked += 1
        return [Metric(f"mood_{self.asked}", 1.0)]


class ZeroOfNothing(Wrong):
    def collect(self, view):
        return [Metric("accuracy", 0.0)]


class Remembers(Wrong):
    def __init__(self):
        self.asked = 0

    def collect(self, view):
        self.asked += 1
        return [Metric("mood", float(self.asked))]


WRONG = {
    Nameless: "has no name",
    CollectsNumbers: "collected 0.5",
    MeasuresTwice: "measured twice",
    MeasuresNaN: "mood is nan",
    SilentAboutNothing: "does not say why",
    LowAboveTheValue: "low is above",
    HighBelowTheValue: "high is below",
    NegativeRows: "n is negative",
    ZeroOfNothing: "without any traffic",
    Remembers: "two answers",
    TakesInTwice: "panes it keeps add up to other counts",
    TakesInWhatIsOpen: "panes it keeps add up to other counts",
    AddsUpTwice: "depends on how often it is asked",
    CountsItsCycles: "remembers depends on how often it is asked",
    MeasuresItsCycles: "measures depends on how often it is asked",
    RemembersTwice: "more than one Memory",
    RemembersFirst: "has to be the last item",
    RemembersASet: "cannot be kept: TypeError: .* set ",
    RemembersByNumber: "comes back from JSON as",
    IsAskedOnce: "remembers, and its scope is the machine",
    ChangesItsNames: "other metrics",
    KeepsHalfRows: "cannot be kept: TypeError: 'float'",
}


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.__name__)
def test_the_check_fails_on_wrong_collectors(wrong):
    """A collector that breaks one promise fails the check, and the message says which."""
    with pytest.raises(AssertionError, match=WRONG[wrong]):
        check_collector(wrong())


@pytest.mark.parametrize("right", [Counts, KeepsNothing])
def test_the_check_passes_on_collectors_that_remember(right):
    """A collector that takes in each closed hour once passes, with panes of its own or without."""
    check_collector(right())


def test_the_windows_of_the_check():
    """The check's own windows: empty, without a reference, and with one and half the labels."""
    empty, small, full = sample_windows()

    assert empty.tallies == {}
    assert (small.reference, small.tally("rows")["recorded"]) == (None, 3)
    assert full.tally("rows") == {"recorded": 400, "counted": 400, "labelled": 200}
