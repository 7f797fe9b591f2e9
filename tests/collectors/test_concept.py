"""Outcomes and their relation to predictions: what moved is told apart, and only what matters."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit
from tests.traffic import START, predicted, told, window

from mlwatch import AlarmBudget, DriftPolicy, DriftResult, Metric, Monitor, Reference
from mlwatch.collectors import ConceptDriftCollector
from mlwatch.collectors.concept.numbers import shift
from mlwatch.detectors.evidence import share_bounds
from mlwatch.records import Memory, Pane
from mlwatch.scoring import FIXED, fit_scoring
from mlwatch.spans import DAY, HOUR
from mlwatch.stores import MemoryStore
from mlwatch.testing import ManualClock, RecordingNotifier
from mlwatch.window import Window


def drawn(rng, n, shift=0.0, rate=expit):
    """Return scores that are calibrated on the reference, and outcomes."""
    x = rng.normal(shift, 1, n)
    return expit(x), (rng.random(n) < rate(x)).astype(int)


def fitted(served, true, **options):
    return Reference.fit({"x": served}, predictions=served, outcomes=true, **options)


def plain(pair):
    return [array.tolist() for array in pair]


def counted(reference, served, true):
    """Return the window that ingest would make, without the rows."""
    scoring = reference.scoring
    read = [scoring.read(value) for value in served]
    scores, said = [score for score, _ in read], [label for _, label in read]
    tallies = scoring.tally_predictions(scores, said) | scoring.tally_outcomes(
        scores[: len(true)], said[: len(true)], true
    )
    rows = {"recorded": len(served), "counted": len(served), "labelled": len(true)}
    pane = Pane(model="m", time=START, span=HOUR, tallies={**tallies, "rows": rows})
    return Window("m", "1", START, START + HOUR, (pane,), reference)


def judged(reference, pair, policy=None):
    """Return the results by name of a window of these predictions and outcomes."""
    collector = ConceptDriftCollector(policy or DriftPolicy())
    found = collector.collect(counted(reference, *plain(pair)))
    return {item.feature: item for item in found if isinstance(item, DriftResult)}


RNG = np.random.default_rng(0)
KNOWN = drawn(RNG, 4000)
BINARY = fitted(*KNOWN)


@pytest.mark.parametrize(
    ("change", "moved"),
    [
        ({}, set()),
        ({"shift": 0.2}, set()),
        ({"shift": 1.5}, {"outcomes"}),
        ({"rate": lambda x: expit(x) ** 0.3}, {"outcomes", "relation"}),
        ({"rate": lambda x: expit(-x)}, {"relation"}),
        ({"shift": 1.5, "rate": lambda x: expit(x - 1.5)}, {"relation"}),
    ],
    ids=["nothing", "harmless", "inputs", "calibration", "turned", "cancelling"],
)
def test_what_moved_is_told_apart(change, moved):
    """Inputs alone take outcomes along; a relation that moves may leave them as they were."""
    found = judged(BINARY, drawn(np.random.default_rng(1), 1000, **change))
    assert {name for name, result in found.items() if result.drifted} == moved
    assert all(result.drifted is not None for result in found.values())


def test_outcomes_are_compared_as_scipy_does():
    """p is that of G, the effect the change of the rate, and its bound that of two exact ones."""
    pair = drawn(np.random.default_rng(2), 800, shift=0.3)
    result = judged(BINARY, pair)["outcomes"]
    rows = [np.bincount(KNOWN[1]), np.bincount(pair[1])]
    test = stats.chi2_contingency(rows, correction=False, lambda_="log-likelihood")
    assert result.p_value == pytest.approx(test.pvalue, rel=1e-9)
    assert result.statistic == pytest.approx(test.statistic, rel=1e-9)
    assert result.effect == pytest.approx(abs(pair[1].mean() - KNOWN[1].mean()))
    bounds = [share_bounds(int(side[1]), int(side.sum()), 2.5e-4) for side in rows]
    assert result.effect_low == pytest.approx(max(0, bounds[1][0] - bounds[0][1]))
    assert (result.n, result.n_reference, result.caveats[0]) == (800, 4000, "uncalibrated")


def test_a_rare_class_is_compared_exactly():
    """Where one class is too rare for G, p is that of Fisher's exact test."""
    few, more = np.repeat([0, 1], [1995, 5]), np.repeat([0, 1], [160, 40])
    scores = np.linspace(0.01, 0.2, 2000)
    reference = fitted(scores, few, task="binary")
    result = judged(reference, (scores[:200], np.repeat([0, 1], [198, 2])))["outcomes"]
    assert result.detector == "fisher"
    assert result.p_value == pytest.approx(stats.fisher_exact([[1995, 5], [198, 2]]).pvalue)
    assert result.drifted is False
    found = judged(reference, (scores[:200], more))["outcomes"]
    assert found.drifted
    assert "20.0% of the outcomes are 1, 0.2% on the reference" in found.why


def labels(rng, n, weights=(1, 1, 1), right=0.8):
    """Return classes that were said and that came, right with some chance."""
    came = rng.choice(3, n, p=np.array(weights) / sum(weights))
    said = np.where(rng.random(n) < right, came, rng.choice(3, n))
    return np.array(list("abc"))[said], np.array(list("abc"))[came]


def test_classes_without_scores():
    """Outcomes by G over the classes; the relation by the classes that came where one was said."""
    reference = fitted(*labels(np.random.default_rng(3), 3000))
    same = judged(reference, labels(np.random.default_rng(4), 1000))
    assert {name: it.drifted for name, it in same.items()} == {"outcomes": False, "relation": False}
    moved = labels(np.random.default_rng(5), 1000, weights=(3, 1, 1))
    result = judged(reference, moved)["outcomes"]
    past = labels(np.random.default_rng(3), 3000)[1]
    rows = [[(side == name).sum() for name in "abc"] for side in (past, moved[1])]
    test = stats.chi2_contingency(rows, correction=False, lambda_="log-likelihood")
    assert result.p_value == pytest.approx(test.pvalue, rel=1e-9)
    assert result.drifted
    worse = judged(reference, labels(np.random.default_rng(6), 2000, right=0.4))
    assert worse["outcomes"].drifted is False
    assert worse["relation"].drifted
    assert worse["relation"].detector == "given_label"
    assert worse["relation"].effect_low < worse["relation"].effect == pytest.approx(0.3, abs=0.05)


def numbers(rng, n, mean=10.0, bias=0.0, spread=1.0):
    true = rng.normal(mean, 5, n)
    return true + bias + rng.normal(0, spread, n), true


def test_a_regression_is_compared_by_its_means():
    """p is that of the two-sample z of raw rows; the effect the shift as a share of rows."""
    past = numbers(np.random.default_rng(7), 2000)
    now = numbers(np.random.default_rng(8), 900, mean=12, bias=0.3)
    found = judged(fitted(*past), now)
    sides = (now[1], past[1])
    z = (sides[0].mean() - sides[1].mean()) / np.sqrt(sum(s.var(ddof=1) / len(s) for s in sides))
    assert found["outcomes"].p_value == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-6)
    assert found["outcomes"].statistic == pytest.approx(now[1].mean() - past[1].mean())
    shift = (now[1].mean() - past[1].mean()) / past[1].std(ddof=1)
    assert found["outcomes"].effect == pytest.approx(2 * stats.norm.cdf(shift / 2) - 1)
    assert found["outcomes"].drifted is (found["outcomes"].effect_low > 0.1)
    errors = (now[0] - now[1], past[0] - past[1])
    z = (errors[0].mean() - errors[1].mean()) / np.sqrt(sum(e.var(ddof=1) / len(e) for e in errors))
    assert found["relation"].p_value == pytest.approx(4 * stats.norm.sf(abs(z)), rel=1e-6)
    assert f"the mean error is {errors[0].mean():.4g}" in found["relation"].why or (
        found["relation"].drifted is False
    )


@pytest.mark.parametrize(
    ("change", "moved"),
    [
        ({}, set()),
        ({"mean": 14.0}, {"outcomes"}),
        ({"bias": 1.0}, {"relation"}),
        ({"spread": 2.0}, {"relation"}),
    ],
    ids=["nothing", "outcomes", "bias", "spread"],
)
def test_what_moved_in_a_regression(change, moved):
    """A mean outcome, a mean error and a mean absolute error are told apart from each other."""
    reference = fitted(*numbers(np.random.default_rng(9), 2000))
    found = judged(reference, numbers(np.random.default_rng(10), 800, **change))
    assert {name for name, result in found.items() if result.drifted} == moved


def test_bounds_of_means_hold_for_skewed_errors():
    """In 500 pairs of samples with exponential errors, no bound is above the true shift."""
    rng = np.random.default_rng(11)
    truth = 2 * stats.norm.cdf(0.5 / 2) - 1
    above = 0
    for _ in range(500):
        past, now = rng.exponential(1, 500), 0.5 + rng.exponential(1, 200)
        sides = [
            {"n": len(e), "e": fixed(e.sum()), "e2": fixed((e * e).sum())} for e in (past, now)
        ]
        above += shift(*sides, "e", "e2", tests=1).effect_low > truth
    assert above <= 2


def fixed(value):
    return round(float(value) * FIXED)


def test_a_change_is_no_drift_within_the_margin():
    """What is certain and small is stable, with a note; a policy with another margin decides."""
    pair = drawn(np.random.default_rng(12), 3000, rate=lambda x: np.clip(expit(x) + 0.08, 0, 1))
    result = judged(BINARY, pair)["outcomes"]
    assert result.p_value < 1e-6
    assert result.drifted is False
    assert any("by no more than the margin" in caveat for caveat in result.caveats)
    assert judged(BINARY, pair, DriftPolicy(margin=0.01))["outcomes"].drifted


def test_few_rows_are_not_enough():
    """With fewer labels than show a change there is no verdict, and it is said how many lack."""
    found = judged(BINARY, drawn(np.random.default_rng(13), 60))
    for result in found.values():
        assert result.drifted is None
        assert "more labelled rows" in result.why
    nothing = judged(BINARY, (np.array([0.5] * 10), np.array([], int)))
    assert {result.verdict for result in nothing.values()} == {"not enough data"}


def test_the_budget_holds_where_p_decides():
    """Without a margin, of 150 quiet windows no more are drifted than the budget allows."""
    policy = DriftPolicy(margin=0.0, budget=AlarmBudget(alarms=168))
    level = 168 * 0.25 / 3 / 168 / 4
    wrong = 0
    for seed in range(150):
        found = judged(BINARY, drawn(np.random.default_rng(seed), 300), policy)
        wrong += sum(bool(result.drifted) for result in found.values())
    assert wrong <= stats.binom.ppf(0.999, 2 * 150, level)


@pytest.mark.parametrize(
    "reference",
    [None, Reference.fit({"x": [1.0, 2.0]}), fitted(KNOWN[0], None, task="binary")],
    ids=["no reference", "no predictions", "no outcomes"],
)
def test_without_known_outcomes_there_is_nothing_to_say(reference):
    """A reference without outcomes gives no result, no metric and no memory."""
    events = [*(predicted(i, 0.5) for i in range(100)), *(told(i, 1) for i in range(100))]
    view = window(events, reference)
    assert list(ConceptDriftCollector().collect(view)) == []


class Service:
    """A service whose labels come some hours late, of which the last day is judged twice a day."""

    def __init__(self, late=0):
        self.clock, self.told, self.late = ManualClock(START), RecordingNotifier(), late
        self.monitor = Monitor(
            BINARY,
            store=MemoryStore(),
            clock=self.clock,
            notifiers=[self.told],
            collectors=[ConceptDriftCollector(DriftPolicy(windows=(DAY,)))],
        )
        self.rng, self.waiting = np.random.default_rng(0), []

    def run(self, hours, **change):
        for hour in range(hours):
            scores, true = drawn(self.rng, 40, **change)
            ids = self.monitor.record_batch({"x": scores}, scores)
            self.waiting.append((ids, true.tolist()))
            if len(self.waiting) > self.late:
                self.monitor.record_outcomes(*self.waiting.pop(0))
            self.clock.advance(HOUR)
            if hour % 12 == 11:
                self.report = self.monitor.run_cycle()
        return {result.feature: result for result in self.report.drift}


def test_an_alert_is_raised_once_and_resolved_after_a_calm_day():
    """A relation that turns alerts once, in words, and resolves when it has been back for a day."""
    service = Service()
    service.run(48)
    assert service.told.alerts == []
    service.run(24, rate=lambda x: expit(-2 * x))
    (alert,) = service.told.alerts
    assert alert.title == "the relation of outcomes to predictions has drifted (given_score)"
    assert "at the same score" in alert.why
    headline = str(service.report).splitlines()[1]
    assert headline.startswith("outcomes did not move; their relation moved (at least ")
    service.run(36)
    assert len(service.told.alerts) == 1, "the day after is not calm for a day"
    service.run(24)
    assert [alert.state for alert in service.told.alerts] == ["firing", "resolved"]


def test_the_newest_span_with_its_labels_is_judged():
    """While labels are to come nothing is judged, then the newest span as long that has them."""
    service = Service(late=30)
    found = service.run(24)
    assert {result.verdict for result in found.values()} == {"not enough data"}
    found = service.run(24 * 3, rate=lambda x: expit(-2 * x))
    assert found["relation"].drifted
    assert found["outcomes"].drifted is False
    assert service.clock() - found["relation"].time >= timedelta(hours=29)
    assert any("later labels are to come" in caveat for caveat in found["relation"].caveats)


def test_a_new_reference_ends_its_episodes():
    """What is remembered of one reference is not held against another."""
    turned = counted(
        BINARY, *plain(drawn(np.random.default_rng(15), 1000, rate=lambda x: expit(-x)))
    )
    (*_, memory) = ConceptDriftCollector().collect(turned)
    assert isinstance(memory, Memory)
    assert set(memory.body["episodes"]) == {"relation"}
    other = fitted(*drawn(np.random.default_rng(16), 3000))
    calm = counted(other, *plain(drawn(np.random.default_rng(17), 1000)))
    found = list(ConceptDriftCollector().collect(replace(calm, memory=memory.body)))
    assert [it.verdict for it in found if isinstance(it, Metric)] == ["stable", "stable"]
    kept = list(ConceptDriftCollector().collect(replace(turned, memory=memory.body)))
    assert kept[-1].body["episodes"] == memory.body["episodes"]


def test_errors_that_are_all_alike_have_no_variance_to_compare_by():
    """A model that is always off by the same gives no change, whatever rounding adds to sums."""
    rng = np.random.default_rng(0)
    true = rng.normal(size=50)
    for error in rng.random(30):
        _, tallies = fit_scoring(true + error, true, "regression", None, 0.5)
        alike = tallies["residual"]
        assert shift(alike, alike, "e", "e2", tests=1) is None
