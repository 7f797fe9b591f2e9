"""How well the model does: figures from counts, against scikit-learn on the rows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics
from tests.traffic import predicted, told, window

from mlwatch import intervals
from mlwatch.collectors import PerformanceCollector
from mlwatch.collectors.performance import figures
from mlwatch.records import Metric, join_key
from mlwatch.reference import Reference

EXACT = {"rel": 1e-12, "abs": 1e-12}
CLOSE = {"rel": 1e-9}


def collect(view):
    items = PerformanceCollector().collect(view)
    return {item.name: item for item in items if isinstance(item, Metric)}


def labelled(view, name, label):
    """Return the values of a metric by one of its labels."""
    found = PerformanceCollector().collect(view)
    return {
        it.labels[label]: it.value for it in found if isinstance(it, Metric) and it.name == name
    }


def confusion(view):
    return {
        (it.labels["predicted"], it.labels["actual"]): it.value
        for it in PerformanceCollector().collect(view)
        if isinstance(it, Metric) and it.name == "confusion"
    }


def sklearn_confusion(true, served):
    names = np.unique([true, served])
    table = metrics.confusion_matrix(true, served, labels=names)
    return {
        (str(predicted), str(actual)): table[i, j]
        for i, actual in enumerate(names)
        for j, predicted in enumerate(names)
    }


def calibration_error(reference, scores, true):
    """Return the error over the rows, in bins of a tenth of the reference's rows each."""
    grid = reference.scoring.grid
    below = np.array([grid.mass[:cell].sum() for cell in range(grid.size)]) + grid.mass / 2
    bins = (below / grid.mass.sum() * 10).astype(int)[grid.locate(scores)]
    gaps = [(scores - true)[bins == place].sum() for place in range(10)]
    return np.abs(gaps).sum() / len(true)


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
        """Ratios of counts and areas are exact, means of losses are to nine digits."""
        reference = fit(*binary(5000, seed=1))
        scores, true = binary(400)
        story = events if way == "told once" else corrected
        wrong = () if way == "told once" else (1 - true,)
        told_story = story(scores.tolist(), true.tolist(), *(side.tolist() for side in wrong))
        view = window(told_story, reference, parts=parts)
        found = collect(view)
        labels = scores >= 0.5

        for name, expected in {
            "accuracy": metrics.accuracy_score(true, labels),
            "balanced_accuracy": metrics.balanced_accuracy_score(true, labels),
            "average_precision": metrics.average_precision_score(true, scores),
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
        expected = metrics.brier_score_loss(true, scores)
        assert found["brier_score"].value == pytest.approx(expected, **CLOSE)
        expected = calibration_error(reference, scores, true)
        assert found["calibration_error"].value == pytest.approx(expected, **CLOSE)
        assert confusion(view) == sklearn_confusion(true, labels.astype(int))

    def test_multiclass(self, parts, way):
        """Ratios of counts are exact, averaged in either way; log loss is to nine digits."""
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
        view = window([*rows, *before, *after], reference, parts=parts)
        found = collect(view)

        assert found["accuracy"].value == pytest.approx(
            metrics.accuracy_score(true, served), **EXACT
        )
        for name in ("precision", "recall", "f1"):
            score = getattr(metrics, f"{name}_score")
            for metric, average in {name: "macro", f"{name}_weighted": "weighted"}.items():
                expected = score(true, served, average=average, zero_division=0)
                assert found[metric].value == pytest.approx(expected, **EXACT), metric
        expected = metrics.balanced_accuracy_score(true, served)
        assert found["balanced_accuracy"].value == pytest.approx(expected, **EXACT)
        recalls = dict(zip("abc", metrics.recall_score(true, served, average=None), strict=True))
        assert labelled(view, "class_recall", "class") == pytest.approx(recalls, **EXACT)
        assert confusion(view) == sklearn_confusion(true, served)
        expected = metrics.log_loss(true, shares, labels=list("abc"))
        assert found["log_loss"].value == pytest.approx(expected, **CLOSE)
        assert "roc_auc" not in found

    def test_regression(self, parts, way):
        """Means of errors are those of the rows to nine digits, quantiles to within 1%."""
        rng = np.random.default_rng(0)
        past = rng.normal(3e5, 8e4, 2000)
        reference = fit(past + rng.normal(0, 3e4, 2000), past)
        true = rng.normal(4e5, 9e4, 400)
        served = true + rng.normal(1e4, 4e4, 400)
        story = events if way == "told once" else corrected
        wrong = () if way == "told once" else ((true * 3).tolist(),)
        told_story = story(served.tolist(), true.tolist(), *wrong)
        view = window(told_story, reference, parts=parts)
        found = collect(view)

        for name, expected in {
            "mae": metrics.mean_absolute_error(true, served),
            "rmse": metrics.mean_squared_error(true, served) ** 0.5,
            "mape": metrics.mean_absolute_percentage_error(true, served),
            "r2": metrics.r2_score(true, served),
            "mean_error": (served - true).mean(),
            "outcome_mean": true.mean(),
        }.items():
            assert found[name].value == pytest.approx(expected, **CLOSE), name
            assert found[name].low < expected < found[name].high
        for share, value in labelled(view, "absolute_error", "quantile").items():
            if value is not None:
                errors = np.abs(served - true)
                assert value == pytest.approx(
                    np.quantile(errors, float(share), method="lower"), 0.01
                )


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

    for name in ("roc_auc", "average_precision", "balanced_accuracy"):
        assert found[name].value is None
        assert "one class only" in found[name].why
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
    for name in ("roc_auc", "average_precision"):
        assert "no scores" in found[name].why
    for name in ("log_loss", "brier_score", "calibration_error"):
        assert "no probabilities" in found[name].why


def test_scores_that_the_reference_does_not_know():
    """Of a reference of labels, scores have losses and no cells; what needs those says so."""
    scores, true = binary(200)
    reference = fit(true.tolist(), true)
    found = collect(window(events(scores.tolist(), true.tolist()), reference))
    expected = metrics.brier_score_loss(true, scores)

    assert found["brier_score"].value == pytest.approx(expected, **CLOSE)
    for name in ("roc_auc", "average_precision", "calibration_error"):
        assert (found[name].value, found[name].why[:34]) == (
            None,
            "undefined: the reference has no sc",
        )


@pytest.mark.parametrize("size", [1e-3, 1e-6, 1e-9])
def test_a_nearly_perfect_model(size):
    """Errors a billion times smaller than the outcomes are measured to nine digits all the same."""
    rng = np.random.default_rng(0)
    past = rng.normal(50, 10, 500)
    true = rng.integers(-100, 100, 300) * 2.0
    served = true + size * rng.integers(-3, 4, 300)
    found = collect(window(events(served.tolist(), true.tolist()), fit(past, past)))
    errors = served - true  # exact to the last bit but one that adding them has rounded away

    assert found["mae"].value == pytest.approx(np.abs(errors).mean(), **CLOSE)
    assert found["rmse"].value == pytest.approx(np.sqrt((errors**2).mean()), **CLOSE)
    assert found["rmse"].low < found["rmse"].value < found["rmse"].high
    assert found["mean_error"].value == pytest.approx(errors.mean(), **CLOSE)


def test_a_nearly_certain_model():
    """Losses of a model that is right with a chance of 0.999999 are measured to nine digits."""
    reference = fit(*binary(5000, seed=1))
    true = np.arange(200) % 2
    scores = np.where(true == 1, 1 - 1e-6, 1e-6)
    found = collect(window(events(scores.tolist(), true.tolist()), reference))

    assert found["log_loss"].value == pytest.approx(metrics.log_loss(true, scores), **CLOSE)
    assert found["brier_score"].value == pytest.approx(1e-12, **CLOSE)
    assert found["calibration_error"].value == pytest.approx(1e-6, rel=1e-6)


def test_a_percentage_of_nothing_is_left_out():
    """Outcomes of 0 have no percentage error: they are left out, and how many is said."""
    true = np.array([0.0, 2.0, -4.0] * 50)
    served = true + 1
    found = collect(window(events(served.tolist(), true.tolist()), fit(served, true)))
    rest = true != 0
    expected = metrics.mean_absolute_percentage_error(true[rest], served[rest])

    assert found["mape"].value == pytest.approx(expected, **CLOSE)
    assert (found["mape"].n, found["mape"].why[-9:]) == (100, "50 of 150")
    nothing = collect(window(events([1.0] * 40, [0.0] * 40), fit(served, true)))
    assert (nothing["mape"].value, nothing["mape"].why) == (None, "undefined: all outcomes are 0")


def test_rare_large_errors_have_no_quantile_yet():
    """A quantile whose interval would reach beyond the largest error is not given."""
    true = np.random.default_rng(0).normal(size=380)
    view = window(events((true + 1).tolist(), true.tolist()), fit(true, true))
    quantiles = labelled(view, "absolute_error", "quantile")

    assert [share for share, value in quantiles.items() if value is None] == ["0.99"]
    found = collect(view)["absolute_error"]
    assert found.why == "not enough data: 380 of 381 labelled predictions"


@pytest.mark.parametrize("huge", [1e150, 1e300, -1e308])
def test_errors_too_large_to_be_added(huge):
    """A prediction whose error overflows costs its own row, which is said; nothing is infinite."""
    true = np.random.default_rng(0).normal(size=200)
    served = [*(true + 1)[:-1].tolist(), huge]
    found = collect(window(events(served, true.tolist()), fit(true, true)))

    assert found["mae"].value == pytest.approx(1.0)
    assert found["mae"].n == 199
    assert found["mae"].why == "errors too large to be squared are left out: 1 of 200"
    assert all(it.value is None or np.isfinite(it.value) for it in found.values())


def test_more_cells_than_a_page_holds():
    """Of a large confusion matrix the largest cells are told apart, and no row is missing."""
    names = [f"c{i:02}" for i in range(60)]
    places = np.random.default_rng(0).integers(0, 60, (2, 3000))
    served, true = ([names[place] for place in side] for side in places)
    view = window(events(served, true), fit(served, true, task="multiclass"))
    cells = confusion(view)

    assert len(cells) == 101
    assert sum(cells.values()) == 3000
    assert cells["other", "other"] > 0
    assert len(labelled(view, "class_recall", "class")) == 50


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
        area = metrics.average_precision_score(true, scores)
        assert found["average_precision"].value == pytest.approx(area, abs=0.005)
        inside = (scores > 0) & (scores < 1)  # a served 0 or 1 is as likely a label
        brier = metrics.brier_score_loss(true[inside], scores[inside])
        assert found["brier_score"].value == pytest.approx(brier, **CLOSE)
        assert found["calibration_error"].low < 0.15 < found["calibration_error"].high + 0.1

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
def test_averaged_intervals_cover_the_truth(joint):
    """The intervals of averaged figures hold the truth in 91% to 98% of samples."""
    rng = np.random.default_rng(0)
    hits, actual, served = np.diag(joint), joint.sum(axis=1), joint.sum(axis=0)
    truth = {
        "precision": (hits / served).mean(),
        "recall": (hits / actual).mean(),
        "balanced_accuracy": (hits / actual).mean(),
        "f1": (2 * hits / (served + actual)).mean(),
        "precision_weighted": (actual * hits / served).sum(),
        "recall_weighted": hits.sum(),
        "f1_weighted": (actual * 2 * hits / (served + actual)).sum(),
    }
    names = "abcdefgh"[: len(joint)]
    scoring = fit(list(names) * 20, list(names) * 20).scoring
    held = {name: [] for name in truth}
    for counts in rng.multinomial(600, joint.ravel(), 400):
        cells = dict(zip(np.ndindex(joint.shape), counts.tolist(), strict=True))
        tally = {join_key(names[j], names[i]): n for (i, j), n in cells.items() if n}
        tallies = {"outcome": {"a": 1}, "confusion": tally}
        found = {metric.name: metric for metric in figures(tallies, scoring)}
        for name, value in truth.items():
            held[name].append(found[name].low <= value <= found[name].high)

    for name, share in held.items():
        assert 0.91 <= np.mean(share) <= 0.98, name


def test_intervals_of_errors_cover_the_truth():
    """The intervals of a regression's figures hold the truth in 92% to 99% of samples."""
    rng = np.random.default_rng(12)
    past = rng.normal(size=2000)
    scoring = fit(past, past).scoring
    truth = {
        "mae": np.sqrt(2 / np.pi),
        "rmse": 1.0,
        "mean_error": 0.0,
        **{f"absolute_error {share}": stats.halfnorm.ppf(share) for share in (0.5, 0.9, 0.95)},
    }
    held = {name: [] for name in truth}
    for _ in range(400):
        error = rng.normal(size=150)
        true = rng.normal(size=150)
        tallies = scoring.tally_outcomes((true + error).tolist(), [None] * 150, true.tolist())
        for metric in figures(tallies, scoring):
            name = " ".join([metric.name, *metric.labels.values()])
            if name in truth:
                held[name].append(metric.low <= truth[name] <= metric.high)

    for name, hits in held.items():
        assert len(hits) == 400
        assert 0.92 <= np.mean(hits) <= 0.99, name


def test_scores_where_the_reference_has_none_are_told_apart():
    """A model that is sure of its reference, and of nothing else, is ranked as by the rows."""
    rng = np.random.default_rng(3)
    sure = np.where(rng.random(3000) < 0.5, rng.uniform(0, 0.02, 3000), rng.uniform(0.98, 1, 3000))
    reference = fit(sure, (rng.random(3000) < sure).astype(int))
    true = rng.integers(0, 2, 600)
    scores = np.clip(rng.normal(0.45 + 0.1 * true, 0.12), 0.05, 0.95)
    found = collect(window(events(scores.tolist(), true.tolist()), reference))["roc_auc"]

    assert found.value == pytest.approx(metrics.roc_auc_score(true, scores), abs=0.01)
    assert found.high - found.low < 0.2


@pytest.mark.parametrize("kind", ["classes", "counts"])
def test_outcomes_of_two_kinds_have_no_figure_without_a_task(kind):
    """Classes 0 to 3, and counts of which many are 0 and 1, are undefined and never in part."""
    rng = np.random.default_rng(0)
    true = rng.integers(0, 4, 200)
    served = true if kind == "classes" else true + rng.uniform(0.0, 0.5, 200)
    found = collect(window(events(served.tolist(), true.tolist())))
    figure = found.get("mae") or found["accuracy"]
    assert figure.value is None
    assert "give Reference.fit(..., task=...)" in figure.why
    assert not {"f1", "rmse"} & set(found)


def test_a_single_odd_outcome_takes_no_figure_away():
    """One number among outcomes of 0 and 1 is left out, and the accuracy is that of the rest."""
    scores, true = binary(200)
    odd = [2, *true[1:].tolist()]
    found = collect(window(events(scores.tolist(), odd)))
    expected = metrics.accuracy_score(true[1:], scores[1:] >= 0.5)
    assert found["accuracy"].value == pytest.approx(expected, **EXACT)
    assert found["accuracy"].n == 199
