"""How well the model does: figures from counts, against scikit-learn on the rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics
from tests.traffic import predicted, told, window

from mlwatch import intervals
from mlwatch.collectors import PerformanceCollector
from mlwatch.records import Metric, join_key
from mlwatch.reference import Reference

EXACT = {"rel": 1e-12, "abs": 1e-12}
CLOSE = {"rel": 1e-9}


def collect(view):
    items = PerformanceCollector().collect(view)
    return {item.name: item for item in items if isinstance(item, Metric)}


def fit(predictions, outcomes, **options):
    return Reference.fit(
        {"x": np.zeros(len(outcomes))}, predictions=predictions, outcomes=outcomes, **options
    )


def binary(n, seed=0):
    rng = np.random.default_rng(seed)
    true = rng.integers(0, 2, n)
    return np.clip(rng.normal(0.4 + 0.2 * true, 0.2), 0, 1).round(2), true


def events(served, outcomes, **options):
    rows = [predicted(i, value, **options) for i, value in enumerate(served)]
    return [*rows, *(told(i, value) for i, value in enumerate(outcomes))]


def corrected(served, outcomes, wrong):
    """Tell a wrong outcome of every prediction first, in between, and then the right one."""
    rng = np.random.default_rng(9)
    first = [told(i, value) for i, value in enumerate(wrong)]
    rows = [predicted(i, value) for i, value in enumerate(served)]
    again = [told(i, value) for i, value in enumerate(outcomes)]
    order = rng.permutation(len(rows))
    return [*(first[i] for i in order[::2]), *rows, *(first[i] for i in order), *again]


@pytest.mark.parametrize("parts", [1, 2, 7, 400])
@pytest.mark.parametrize("way", ["told once", "corrected"])
class TestAgainstScikitLearn:
    """However the rows were split, and whatever was told before, figures are those of the rows."""

    def test_binary(self, parts, way):
        """Accuracy, precision, recall, F1 and AUC are exact, log loss is to nine digits."""
        reference = fit(*binary(5000, seed=1))
        scores, true = binary(400)
        story = events if way == "told once" else corrected
        wrong = () if way == "told once" else (1 - true,)
        told_story = story(scores.tolist(), true.tolist(), *(side.tolist() for side in wrong))
        found = collect(window(told_story, reference, parts=parts))
        labels = scores >= 0.5

        for name, expected in {
            "accuracy": metrics.accuracy_score(true, labels),
            "precision": metrics.precision_score(true, labels),
            "recall": metrics.recall_score(true, labels),
            "f1": metrics.f1_score(true, labels),
            "roc_auc": metrics.roc_auc_score(true, scores),
            "outcome_rate": true.mean(),
            "labelled_count": 400,
            "label_coverage": 1.0,
        }.items():
            assert found[name].value == pytest.approx(expected, **EXACT), name
        clipped = np.clip(scores, 2.0**-52, 1 - 2.0**-52)
        expected = metrics.log_loss(true, clipped)
        assert found["log_loss"].value == pytest.approx(expected, **CLOSE)

    def test_multiclass(self, parts, way):
        """Accuracy and macro precision, recall and F1 are exact, log loss is to nine digits."""
        rng = np.random.default_rng(0)
        true = rng.choice(list("abc"), 400, p=[0.6, 0.3, 0.1])
        shares = rng.dirichlet(np.ones(3), 400) + 0.4 * (true[:, None] == list("abc"))
        shares /= shares.sum(axis=1, keepdims=True)
        served = np.array(list("abc"))[shares.argmax(axis=1)]
        reference = fit(shares, true)
        rows = [
            predicted(i, str(label), probability=row.tolist())
            for i, (label, row) in enumerate(zip(served, shares, strict=True))
        ]
        before = [] if way == "told once" else [told(i, "c") for i in range(400)]
        after = [told(i, str(value)) for i, value in enumerate(true)]
        found = collect(window([*rows, *before, *after], reference, parts=parts))

        assert found["accuracy"].value == pytest.approx(
            metrics.accuracy_score(true, served), **EXACT
        )
        for name in ("precision", "recall", "f1"):
            score = getattr(metrics, f"{name}_score")
            expected = score(true, served, average="macro", zero_division=0)
            assert found[name].value == pytest.approx(expected, **EXACT), name
        expected = metrics.log_loss(true, shares, labels=list("abc"))
        assert found["log_loss"].value == pytest.approx(expected, **CLOSE)
        assert "roc_auc" not in found

    def test_regression(self, parts, way):
        """MAE, RMSE, R2 and the mean outcome are those of the rows to nine digits."""
        rng = np.random.default_rng(0)
        past = rng.normal(3e5, 8e4, 2000)
        reference = fit(past + rng.normal(0, 3e4, 2000), past)
        true = rng.normal(4e5, 9e4, 400)
        served = true + rng.normal(1e4, 4e4, 400)
        story = events if way == "told once" else corrected
        wrong = () if way == "told once" else ((true * 3).tolist(),)
        told_story = story(served.tolist(), true.tolist(), *wrong)
        found = collect(window(told_story, reference, parts=parts))

        for name, expected in {
            "mae": metrics.mean_absolute_error(true, served),
            "rmse": metrics.mean_squared_error(true, served) ** 0.5,
            "r2": metrics.r2_score(true, served),
            "outcome_mean": true.mean(),
        }.items():
            assert found[name].value == pytest.approx(expected, **CLOSE), name
            assert found[name].low < expected < found[name].high


def test_no_row_of_the_story_is_left_behind():
    """Told and corrected in any order, the tallies are those of the last word, to the integer."""
    reference = fit(*binary(5000, seed=1))
    scores, true = (side.tolist() for side in binary(300))
    plain = window(events(scores, true), reference)
    story = window(corrected(scores, true, [1 - value for value in true]), reference, parts=11)

    assert story.tallies == plain.tallies


@pytest.mark.parametrize("n", [0, 29])
def test_too_few_labels_give_no_figure(n):
    """With fewer than 30 labelled rows no figure is given, and each says what is lacking."""
    reference = fit(*binary(5000, seed=1))
    scores, true = binary(400)
    story = events(scores.tolist(), true.tolist()[:n])
    found = collect(window(story, reference))

    assert found["label_coverage"].value == n / 400
    assert found["labelled_count"].value == n
    assert n == 0 or "accuracy" in found
    for metric in found.values():
        if metric.name not in {"label_coverage", "label_maturity", "labelled_count", "confusion"}:
            assert metric.value is None
            assert "29 of 30" in metric.why


def test_too_few_labels_of_a_regression():
    """A regression with 29 outcomes has no figure, and says so."""
    values = np.random.default_rng(0).normal(size=200)
    found = collect(window(events(values.tolist(), values[:29].tolist()), fit(values, values)))

    for name in ("mae", "rmse", "r2"):
        assert found[name].value is None
        assert "29 of 30" in found[name].why


def test_outcomes_of_one_class():
    """With one class only the area is undefined and says so; the other figures stand."""
    reference = fit(*binary(5000, seed=1))
    scores, _ = binary(100)
    found = collect(window(events(scores.tolist(), [0] * 100), reference))

    assert found["roc_auc"].value is None
    assert "one class only" in found["roc_auc"].why
    assert found["recall"].value is None
    assert "no actual positives" in found["recall"].why
    assert found["accuracy"].value == pytest.approx((scores < 0.5).mean())
    assert found["outcome_rate"].value == 0.0


def test_nothing_predicted_positive():
    """Without a predicted positive precision is undefined, not 0, and F1 is 0."""
    reference = fit(*binary(5000, seed=1))
    found = collect(window(events([0.1] * 100, [1] * 50 + [0] * 50), reference))

    assert found["precision"].value is None
    assert "no predicted positives" in found["precision"].why
    assert (found["recall"].value, found["f1"].value) == (0.0, 0.0)


def test_labels_without_scores():
    """Served labels have no area and no log loss, and the figures say that scores are missing."""
    _, true = binary(200)
    reference = fit(true.tolist(), true)
    found = collect(window(events(true.tolist(), true.tolist()), reference))

    assert found["accuracy"].value == 1.0
    assert found["accuracy"].low < 1.0
    assert "no scores" in found["roc_auc"].why
    assert "no probabilities" in found["log_loss"].why


@pytest.mark.parametrize("value", [0.0, 0.3, 1e-9, 1e6])
def test_a_perfect_model_of_equal_outcomes(value):
    """A regression without error or variance has MAE 0 and no R2; nothing divides by zero."""
    past = np.random.default_rng(0).normal(size=200)
    found = collect(window(events([value] * 50, [value] * 50), fit(past, past)))

    assert (found["mae"].value, found["rmse"].value) == (0.0, 0.0)
    assert found["r2"].value is None
    assert "all outcomes are equal" in found["r2"].why
    assert found["outcome_mean"].value == pytest.approx(value, abs=1e-9)


def test_a_certain_and_right_model():
    """Probabilities of exactly 0 and 1 that were right have a log loss of 0, not a fault."""
    reference = fit(*binary(5000, seed=1))
    true = [0.0, 1.0] * 50
    found = collect(window(events(true, [int(value) for value in true]), reference))

    assert found["log_loss"].value == pytest.approx(0, abs=1e-12)
    assert found["roc_auc"].value == 1.0
    assert found["roc_auc"].low == intervals.share(50, 50)[0]


class TestWithoutReference:
    """Without a reference outcomes decide by their own type what is measured."""

    @pytest.mark.parametrize("kind", [int, float, bool])
    def test_probabilities(self, kind):
        """Scores in [0, 1] with outcomes 0 and 1, in any type, are a binary task."""
        scores, true = binary(300)
        found = collect(window(events(scores.tolist(), [kind(value) for value in true])))

        assert found["accuracy"].value == metrics.accuracy_score(true, scores >= 0.5)
        assert found["recall"].value == metrics.recall_score(true, scores >= 0.5)
        assert found["roc_auc"].value == pytest.approx(
            metrics.roc_auc_score(true, scores), abs=0.001
        )
        assert found["outcome_rate"].value == pytest.approx(true.mean())

    @pytest.mark.parametrize("kind", [int, bool])
    def test_labels(self, kind):
        """Served labels 0 and 1, or False and True, are a binary task too."""
        rng = np.random.default_rng(0)
        served, true = rng.integers(0, 2, 200), rng.integers(0, 2, 200)
        story = events([kind(value) for value in served], [kind(value) for value in true])
        found = collect(window(story))

        assert found["accuracy"].value == metrics.accuracy_score(true, served)
        assert found["f1"].value == pytest.approx(metrics.f1_score(true, served))
        assert found["log_loss"].value is None

    def test_texts(self):
        """Served texts are classes of their own; nothing is called positive."""
        rng = np.random.default_rng(0)
        served, true = rng.choice(["spam", "ham"], 200), rng.choice(["spam", "ham"], 200)
        found = collect(window(events(served.tolist(), true.tolist())))

        assert found["accuracy"].value == metrics.accuracy_score(true, served)
        assert found["f1"].value == pytest.approx(metrics.f1_score(true, served, average="macro"))
        assert "outcome_rate" not in found

    def test_numbers(self):
        """Other numbers are a regression."""
        true = np.random.default_rng(0).normal(50, 10, 200)
        found = collect(window(events((true + 1).tolist(), true.tolist())))

        assert found["mae"].value == pytest.approx(1.0)
        assert found["r2"].value == pytest.approx(metrics.r2_score(true, true + 1))


FEW = np.array([[0.5, 0.03, 0.02], [0.05, 0.2, 0.05], [0.02, 0.03, 0.1]])
MANY = np.full((8, 8), 0.15 / 56)
np.fill_diagonal(MANY, 0.85 / 8)


@pytest.mark.parametrize("joint", [FEW, MANY], ids=["3 classes", "8 classes"])
def test_macro_intervals_cover_the_truth(joint):
    """The intervals of macro precision, recall and F1 hold the truth in 91% to 98% of samples."""
    rng = np.random.default_rng(0)
    hits, actual, served = np.diag(joint), joint.sum(axis=1), joint.sum(axis=0)
    truth = {
        "precision": (hits / served).mean(),
        "recall": (hits / actual).mean(),
        "f1": (2 * hits / (served + actual)).mean(),
    }
    names = "abcdefgh"[: len(joint)]
    reference = fit(list(names) * 20, list(names) * 20)
    blank = window([predicted(0, "a"), told(0, "a")], reference)
    held = {name: [] for name in truth}
    for counts in rng.multinomial(600, joint.ravel(), 400):
        cells = dict(zip(np.ndindex(joint.shape), counts.tolist(), strict=True))
        tally = {join_key(names[j], names[i]): n for (i, j), n in cells.items() if n}
        pane = replace(blank.panes_[0], tallies={"outcome": {"a": 1}, "confusion": tally})
        found = collect(replace(blank, panes_=(pane,)))
        for name, value in truth.items():
            held[name].append(found[name].low <= value <= found[name].high)

    for name, share in held.items():
        assert 0.91 <= np.mean(share) <= 0.98, name
