"""Performance beside the reference: what has changed, and whether that is worse."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from sklearn import metrics
from tests.traffic import predicted, told, window

from mlwatch.collectors import PerformanceCollector
from mlwatch.collectors.performance import figures
from mlwatch.collectors.performance.comparison import beside
from mlwatch.errors import ConfigurationError
from mlwatch.records import AlarmBudget, DriftPolicy, Metric
from mlwatch.reference import Reference

POLICY = DriftPolicy()


def scored(rng, n, apart=0.3, rate=0.5):
    true = (rng.random(n) < rate).astype(int)
    return np.clip(rng.normal(0.35 + apart * true, 0.2), 0.001, 0.999), true


def guessed(rng, n, noise=1.0):
    true = rng.normal(50, 5, n)
    return true + rng.normal(0, noise, n), true


def fit(predictions, outcomes, **options):
    return Reference.fit(
        {"x": np.zeros(len(outcomes))}, predictions=predictions, outcomes=outcomes, **options
    )


def counted(reference, served, true, times=1):
    """Return the tallies of rows, each of them so many times."""
    scoring = reference.scoring
    pairs = [scoring.read(value) for value in served.tolist()]
    scores, labels = zip(*pairs, strict=True)
    targets = [scoring.target(value) for value in true.tolist()]
    found = scoring.tally_outcomes(scores, labels, targets)
    return {name: {k: n * times for k, n in tally.items()} for name, tally in found.items()}


def changes(reference, tallies, policy=POLICY, margin=0.02):
    here = partial(figures, tallies, reference.scoring)
    past = partial(figures, reference.tallies, reference.scoring)
    found = beside(here, past, policy, margin)
    return {it.labels["metric"]: it for it in found if it.name == "performance_change"}


def collect(view):
    return [it for it in PerformanceCollector().collect(view) if isinstance(it, Metric)]


def test_each_figure_stands_beside_that_of_the_reference():
    """The figure of the reference is scikit-learn's on its rows; the change is the difference."""
    rng = np.random.default_rng(0)
    past, was = scored(rng, 3000)
    served, true = scored(rng, 800, apart=0.2)
    rows = [predicted(i, value) for i, value in enumerate(served.tolist())]
    rows += [told(i, value) for i, value in enumerate(true.tolist())]
    found = collect(window(rows, fit(past, was)))
    shown = {it.name: it for it in found}
    change = {it.labels["metric"]: it for it in found if it.name == "performance_change"}

    for name, score, side in [
        ("accuracy", metrics.accuracy_score, past >= 0.5),
        ("balanced_accuracy", metrics.balanced_accuracy_score, past >= 0.5),
        ("f1", metrics.f1_score, past >= 0.5),
        ("log_loss", metrics.log_loss, past),
        ("brier_score", metrics.brier_score_loss, past),
    ]:
        assert shown[name].reference == pytest.approx(score(was, side), rel=1e-9), name
        difference = shown[name].value - shown[name].reference
        assert change[name].value == pytest.approx(difference, abs=1e-12)
        assert change[name].low < difference < change[name].high
    assert shown["confusion"].reference is None
    assert not {"confusion", "labelled_count", "label_coverage"} & change.keys()


def test_without_a_reference_nothing_is_compared():
    """Without a reference, or one without outcomes, there are figures and no changes of them."""
    rng = np.random.default_rng(0)
    served, true = scored(rng, 200)
    rows = [predicted(i, value) for i, value in enumerate(served.tolist())]
    rows += [told(i, value) for i, value in enumerate(true.tolist())]
    for reference in (None, Reference.fit({"x": np.zeros(50)})):
        found = collect(window(rows, reference))

        assert "accuracy" in {it.name for it in found}
        assert all(it.reference is None for it in found)
        assert "performance_change" not in {it.name for it in found}


def test_a_model_that_has_become_worse_is_found():
    """What is clearly worse is "drifted" and says by how much at least; what is better is not."""
    rng = np.random.default_rng(1)
    reference = fit(*scored(rng, 5000))
    worse = changes(reference, counted(reference, *scored(rng, 3000, apart=0.1)))
    better = changes(reference, counted(reference, *scored(rng, 3000, apart=0.5)))

    for name in ("accuracy", "recall", "f1", "roc_auc", "average_precision", "brier_score"):
        assert worse[name].verdict == "drifted", name
        assert worse[name].why.startswith("worse than on the reference, by at least 0.")
        assert better[name].verdict == "stable", name


def test_errors_of_a_regression_that_have_grown_are_found():
    """A larger error is worse, in the unit of the outcomes; a bias alone has no verdict."""
    rng = np.random.default_rng(1)
    reference = fit(*guessed(rng, 3000))
    found = changes(reference, counted(reference, *guessed(rng, 2000, noise=1.5)))

    for name in ("mae", "rmse", "mape", "absolute_error/0.5", "absolute_error/0.9"):
        assert found[name].verdict == "drifted", name
    assert found["mean_error"].verdict == ""
    assert found["outcome_mean"].verdict == ""


def test_what_is_certain_and_trivial_is_stable():
    """A hundredth less of accuracy is certain with a million rows, and within the margin."""
    rng = np.random.default_rng(2)
    past, was = scored(rng, 20_000)
    reference = fit(past, was)
    reference.tallies.update(counted(reference, past, was, times=500))
    flipped = was.copy()
    flipped[:200] = 1 - flipped[:200]
    tallies = counted(reference, past, flipped, times=50)
    found = changes(reference, tallies)["accuracy"]

    assert -0.02 < found.low < found.high < -0.004
    assert found.verdict == "stable"
    assert changes(reference, tallies, margin=0.0)["accuracy"].verdict == "drifted"


def test_too_few_labels_are_no_verdict():
    """Where a large change could not be seen the verdict is "not enough data", never "stable"."""
    rng = np.random.default_rng(3)
    reference = fit(*scored(rng, 5000))
    for n in (20, 40):
        found = changes(reference, counted(reference, *scored(rng, n)))
        for name in ("accuracy", "recall", "roc_auc", "log_loss"):
            assert found[name].verdict == "not enough data", name
            assert found[name].why.startswith("not enough data: ")


@pytest.mark.parametrize("draw", [scored, guessed])
def test_nothing_is_found_while_nothing_changes(draw):
    """By default, none of 120 windows like the reference is worse in any figure."""
    rng = np.random.default_rng(4)
    verdicts = set()
    for _ in range(8):
        reference = fit(*draw(rng, 1000))
        for _ in range(15):
            found = changes(reference, counted(reference, *draw(rng, 300)))
            verdicts |= {change.verdict for change in found.values()}

    assert verdicts <= {"stable", "not enough data", ""}


def test_false_verdicts_keep_to_the_level():
    """Without a margin each figure is found worse no more often than its share of the budget.

    The budget of an alarm an hour leaves each of 10 figures 0.83% of the cycles.
    """
    policy = DriftPolicy(budget=AlarmBudget(alarms=24, per="day"))
    rng = np.random.default_rng(5)
    worse, rounds = [], 200
    for _ in range(rounds):
        reference = fit(*scored(rng, 600))
        found = changes(reference, counted(reference, *scored(rng, 300)), policy, margin=0.0)
        worse += [name for name, change in found.items() if change.verdict == "drifted"]

    level = 0.25 / 3 / 10
    allowed = level + 3 * np.sqrt(level / rounds)
    for name in set(worse):
        assert worse.count(name) / rounds <= allowed, name
    assert len(worse) > 0


@pytest.mark.parametrize("margin", [-0.1, 1.0, "much", None, float("nan")])
def test_a_margin_that_cannot_be(margin):
    """A margin is a share from 0 up to 1."""
    with pytest.raises(ConfigurationError, match="margin="):
        PerformanceCollector(margin=margin)
