"""Performance without labels: what rows would give, with intervals that hold, and its doubts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import rankdata
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score, roc_auc_score
from tests.collectors.scored import counted, measured
from tests.traffic import HOUR, START, predicted, told, window

from mlwatch import Monitor, Reference
from mlwatch.collectors import EstimatedPerformanceCollector
from mlwatch.collectors.estimated.calibration import Calibration
from mlwatch.collectors.estimated.figures import NAMES, realised
from mlwatch.profile import Distribution
from mlwatch.stores import MemoryStore
from mlwatch.testing import ManualClock

FIGURES = {
    "accuracy": accuracy_score,
    "precision": precision_score,
    "recall": recall_score,
    "f1": f1_score,
}


def drawn(rng, n, shift=0.0, turned=0.0, sharp=1.0):
    """Return scores of a model that is too sure of itself, and outcomes.

    Args:
        rng: Draws them.
        n: How many.
        shift: How far the inputs have moved.
        turned: The share of positives that turn negative.
        sharp: How well the inputs tell the classes apart.
    """
    x = rng.normal(shift - 0.5, 1, n)
    outcomes = (rng.random(n) < expit(sharp * x)) & (rng.random(n) >= turned)
    return expit(2 * sharp * x), outcomes.astype(int)


def fitted(rng, n=5000, threshold=0.4):
    scores, outcomes = drawn(rng, n)
    return Reference.fit(
        {"x": scores},
        predictions=scores,
        outcomes=outcomes,
        task="binary",
        decision_threshold=threshold,
    )


KNOWN = fitted(np.random.default_rng(0), 100)


def by_rows(reference, scores):
    """Return figures from a calibrated probability a row, by scikit-learn."""
    scoring = reference.scoring
    past, truth = ([], [])
    for name in (0, 1):
        given = Distribution.from_tally("score", scoring.grid, reference.tallies[f"given/{name}"])
        cells = np.repeat(np.arange(scoring.grid.size), given.counts)
        past += cells.tolist()
        truth += [name] * len(cells)
    joined = scoring.grid.coarse(50)
    bins, truth = joined[past], np.array(truth)
    rates = np.array([truth[bins == b].mean() for b in range(joined.max() + 1)])
    weights = np.bincount(bins)
    smooth = IsotonicRegression().fit_transform(range(len(rates)), rates, sample_weight=weights)
    placed = joined[scoring.grid.locate(scores)]
    p = smooth[placed]
    said = scores >= scoring.threshold
    both, ones = np.tile(placed, 2), np.repeat([1, 0], len(p))
    return {
        "accuracy": np.where(said, p, 1 - p).mean(),
        "precision": p[said].mean(),
        "recall": p[said].sum() / p.sum(),
        "f1": 2 * p[said].sum() / (said.sum() + p.sum()),
        "roc_auc": roc_auc_score(ones, both, sample_weight=np.concatenate([p, 1 - p])),
    }


@pytest.mark.parametrize("threshold", [0.4, 0.123456, 0.9])
def test_counts_give_what_rows_give(threshold):
    """Each estimate equals, to 1e-12, that of one calibrated probability a row."""
    rng = np.random.default_rng(0)
    reference = fitted(rng, threshold=threshold)
    scores, _ = drawn(rng, 1234, shift=0.7)
    found = measured(counted(reference, scores))
    for name, value in by_rows(reference, scores).items():
        assert found[f"estimated_{name}"].value == pytest.approx(value, abs=1e-12), name
        assert found[f"estimated_{name}"].n == 1234


def test_ingested_traffic_gives_the_same():
    """What passes through ingest is estimated as what was counted here."""
    rng = np.random.default_rng(1)
    reference = fitted(rng)
    scores, outcomes = drawn(rng, 300)
    events = [predicted(i, float(score)) for i, score in enumerate(scores)]
    events += [told(i, int(outcomes[i])) for i in range(100)]

    def values(view):
        return {name: (it.value, it.low, it.high) for name, it in measured(view).items()}

    assert values(window(events, reference)) == values(counted(reference, scores, outcomes, 100))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shift", [0.0, 0.8], ids=["same", "shifted"])
def test_the_interval_holds_what_outcomes_give(name, shift, coverage):
    """In 92% to 99% of 300 windows the interval holds the figure that the outcomes give."""
    assert 0.92 <= coverage[shift][name] <= 0.99


@pytest.fixture(scope="module")
def coverage():
    """Return how often each interval holds, by the shift of the inputs."""
    held = {}
    runs = 300
    for shift in (0.0, 0.8):
        held[shift] = dict.fromkeys(NAMES, 0.0)
        for seed in range(runs):
            rng = np.random.default_rng(seed)
            reference = counted_reference(rng, 3000)
            scores, outcomes = drawn(rng, 1000, shift)
            found = measured(counted(reference, scores))
            said = scores >= 0.4
            table = np.array([[(said == a) & (outcomes == b) for b in (0, 1)] for a in (0, 1)])
            truth = realised(table.sum(axis=2), table.sum(axis=2))
            ranks = rankdata(scores)[outcomes == 1]
            pairs = len(ranks) * (1000 - len(ranks))
            truth["roc_auc"] = (ranks.sum() - len(ranks) * (len(ranks) + 1) / 2) / pairs
            for n in NAMES:
                it = found[f"estimated_{n}"]
                held[shift][n] += (it.low <= truth[n] <= it.high) / runs
    return held


def counted_reference(rng, n, sharp=1.0):
    """Return what `fitted` does, of which only scores and outcomes were counted."""
    scores, outcomes = drawn(rng, n, sharp=sharp)
    known = KNOWN
    grid = type(known.scoring.grid).fit(scores.tolist())
    scoring = type(known.scoring)("binary", (0, 1), 0.4, grid)
    given = {
        f"given/{name}": Distribution.count("score", grid, scores[outcomes == name]).to_tally()
        for name in (0, 1)
    }
    tallies = {**known.tallies, **given}
    return type(known)(known.profile, scoring, tallies)


def test_realised_stands_beside_estimated():
    """On the rows with labels both figures are of these rows, and the difference has a bound."""
    rng = np.random.default_rng(2)
    reference = fitted(rng)
    scores, outcomes = drawn(rng, 1000)
    found = measured(counted(reference, scores, outcomes, 400))
    known, true = scores[:400], outcomes[:400]
    for name, figure in FIGURES.items():
        realised, expected = figure(true, known >= 0.4), by_rows(reference, known)[name]
        assert found[name].value == pytest.approx(realised - expected, abs=1e-12)
        assert found[name].low < 0 < found[name].high
        assert found[name].n == 400
        beside = f"realised {realised:.3f}, estimated {expected:.3f} on the 400 rows labelled"
        assert beside in found[f"estimated_{name}"].why
    exact = roc_auc_score(true, known) - by_rows(reference, known)["roc_auc"]
    assert found["roc_auc"].value == pytest.approx(exact, abs=0.002)
    then = Calibration.of(reference.scoring, reference.tallies).known
    assert found["estimated_roc_auc"].reference == pytest.approx(
        roc_auc_score(np.repeat([0, 1], then.sum(axis=0)), np.concatenate([
            np.repeat(np.arange(len(then)), then[:, 0]), np.repeat(np.arange(len(then)), then[:, 1])
        ])), abs=1e-12
    )  # fmt: skip


def test_every_estimate_says_what_it_cannot_see():
    """The blind spot is printed with each, and drift of the relation leaves its value as it is."""
    rng = np.random.default_rng(3)
    reference = fitted(rng)
    scores, outcomes = drawn(rng, 1000)
    quiet = measured(counted(reference, scores))
    for name in NAMES:
        assert quiet[f"estimated_{name}"].why == "cannot see concept drift"
        assert quiet[f"estimated_{name}"].verdict == ""
    turned = measured(counted(reference, scores, 1 - outcomes, 500))
    for name in NAMES:
        metric = turned[f"estimated_{name}"]
        assert metric.value == quiet[f"estimated_{name}"].value
        assert metric.verdict == "untrusted"
        assert metric.why.startswith("untrusted: at the same score the 500 outcomes so far differ")


@pytest.mark.parametrize(("labels", "least"), [(100, 0.2), (200, 0.6), (500, 0.95)])
def test_the_smoke_alarm_has_its_power(labels, least):
    """15% of positives that turn negative while inputs move: found, the surer the more labels."""
    assert alarmed(labels, shift=1.0, turned=0.15) >= least


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_the_smoke_alarm_is_silent_while_the_relation_stands(shift):
    """Of 200 windows with 500 labels, moved or not, at most 2 are doubted (level 1e-3)."""
    assert alarmed(500, shift=shift, turned=0.0, runs=200) <= 2 / 200


def alarmed(labels, *, shift, turned, runs=100):
    """Return the share of windows whose estimates are untrusted because of their labels."""
    count = 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        reference = counted_reference(rng, 5000, sharp=3.0)
        scores, outcomes = drawn(rng, labels, shift, turned, sharp=3.0)
        found = measured(counted(reference, scores, outcomes, labels))
        count += "at the same score" in found["estimated_accuracy"].why
    return count / runs


def test_scores_that_the_reference_hardly_has_are_not_trusted():
    """More than 20% of the scores beyond all of the reference make estimates untrusted."""
    rng = np.random.default_rng(4)
    scores = rng.uniform(0.2, 0.8, 5000)
    reference = Reference.fit(
        {"x": scores}, predictions=scores, outcomes=(rng.random(5000) < scores).astype(int)
    )
    for beyond, verdict in ((150, ""), (250, "untrusted")):
        served = np.concatenate([rng.uniform(0.25, 0.75, 1000 - beyond), np.full(beyond, 0.99)])
        found = measured(counted(reference, served))["estimated_accuracy"]
        assert found.verdict == verdict
        assert found.why.startswith("untrusted: 25% of the scores") == bool(verdict)


def test_labels_that_do_not_follow_from_scores_give_no_estimate():
    """Where a service decides by something else, estimates are undefined, and it is said."""
    rng = np.random.default_rng(5)
    reference = fitted(rng)
    events = [predicted(i, i % 2, probability=0.05) for i in range(100)]
    found = measured(window(events, reference))
    assert {found[f"estimated_{name}"].value for name in NAMES} == {None}
    assert "do not follow from the scores" in found["estimated_f1"].why


def test_predictions_without_a_score_are_left_out():
    """A label without a score changes nothing but one row of the cell at the threshold at most."""
    rng = np.random.default_rng(6)
    reference = fitted(rng)
    scores, _ = drawn(rng, 500)
    events = [predicted(i, float(score)) for i, score in enumerate(scores)]
    plain = measured(window(events, reference))["estimated_accuracy"]
    more = measured(window([*events, predicted(500, 1)], reference))["estimated_accuracy"]
    assert more.n == plain.n == 500
    assert more.value == pytest.approx(plain.value, abs=1 / 500)


def test_what_cannot_be_estimated_is_said_once():
    """Other tasks have one metric that says so; few rows, or no outcomes, give no figure."""
    numbers = list(range(100))
    regression = Reference.fit({"x": numbers}, predictions=numbers, outcomes=numbers)
    (only,) = EstimatedPerformanceCollector().collect(window([predicted(0, 1.0)], regression))
    assert only.name == "estimated_accuracy"
    assert only.value is None
    assert only.why.startswith("undefined: only the scores of a binary task")
    silent = Reference.fit({"x": numbers})
    assert list(EstimatedPerformanceCollector().collect(window([predicted(0, 0.5)], silent))) == []
    few = fitted(np.random.default_rng(7))
    found = measured(window([predicted(i, 0.5) for i in range(29)], few))
    assert found["estimated_accuracy"].why == "not enough data: 29 of 30 scores"
    certain = measured(counted(few, np.full(100, 0.01)))
    assert certain["estimated_precision"].why.startswith("undefined: no positives are predicted")
    assert certain["estimated_accuracy"].value > 0.5


def test_the_report_shows_both():
    """A printed report has the estimate, what was realised beside it, and the blind spot."""
    rng = np.random.default_rng(8)
    clock = ManualClock(START)
    scores, outcomes = drawn(rng, 200)
    with Monitor(fitted(rng), store=MemoryStore(), clock=clock, notifiers=[]) as monitor:
        ids = monitor.record_batch({"x": scores}, scores)
        monitor.record_outcomes(ids[:100], outcomes[:100])
        clock.advance(HOUR)
        report = monitor.run_cycle()
    (line,) = [line for line in str(report).splitlines() if line.startswith("estimated_accuracy")]
    assert report["estimated_accuracy"].n == 200
    assert "realised" in line
    assert line.endswith("on the 100 rows labelled; cannot see concept drift")


def test_labels_later_than_the_window_are_looked_at_where_they_have_come():
    """Labels two days late stand beside estimates and raise the doubt that they give cause to."""
    rng = np.random.default_rng(9)
    clock, reference = ManualClock(START), fitted(rng)
    monitor = Monitor(
        reference,
        store=MemoryStore(),
        clock=clock,
        collectors=[EstimatedPerformanceCollector()],
        notifiers=[],
    )
    days = []
    for day in range(8):
        scores, outcomes = drawn(rng, 500)
        days.append((monitor.record_batch({"x": scores}, scores), 1 - outcomes, scores))
        if day >= 2:
            monitor.record_outcomes(*days[day - 2][:2])
        clock.advance(24 * HOUR)
        report = monitor.run_cycle()
    _, outcomes, scores = days[4]
    (metric,) = report.find("realised_minus_estimated", metric="accuracy")
    expected = by_rows(reference, scores)["accuracy"]
    realised = accuracy_score(outcomes, scores >= 0.4)
    assert metric.value == pytest.approx(realised - expected, abs=1e-12)
    assert (metric.since, metric.time) == (START + 4 * 24 * HOUR, START + 5 * 24 * HOUR)
    assert report["estimated_accuracy"].verdict == "untrusted"
    assert "rows labelled of 2024-01-05 00:00 to 2024-01-06 00:00" in str(report)
    monitor.close()


def test_labels_that_came_soon_raise_no_doubt_while_others_are_to_come():
    """Where positives are told at once and negatives three hours later, estimates stay trusted."""
    rng = np.random.default_rng(10)
    clock = ManualClock(START)
    monitor = Monitor(
        fitted(rng),
        store=MemoryStore(),
        clock=clock,
        collectors=[EstimatedPerformanceCollector()],
        notifiers=[],
        window=HOUR,
    )
    waiting, seen = [], []
    for hour in range(12):
        clock.advance(HOUR / 4)
        scores, outcomes = drawn(rng, 300)
        ids = np.array(monitor.record_batch({"x": scores}, scores))
        clock.advance(HOUR / 2)
        monitor.record_outcomes(ids[outcomes == 1], outcomes[outcomes == 1])
        waiting.append(ids[outcomes == 0])
        if len(waiting) > 3:
            known = waiting.pop(0)
            monitor.record_outcomes(known, np.zeros(len(known), int))
        clock.advance(HOUR / 4)
        report = monitor.run_cycle()
        if hour < 4:  # what comes later than all that ever came is not known
            continue
        (beside,) = report.find("realised_minus_estimated", metric="accuracy")
        assert report["estimated_accuracy"].verdict == ""
        assert beside.verdict == ("immature" if beside.time == report.time else "")
        seen.append(beside.verdict)
    assert set(seen) == {"immature", ""}
    monitor.close()
