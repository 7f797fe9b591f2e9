"""How predictions and outcomes are read and counted."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlwatch.errors import ConfigurationError, DataError
from mlwatch.records import add_tallies
from mlwatch.scoring import FIXED, Scoring, fit_scoring, fixed_sum

BINARY = Scoring("binary", ("no", "yes"), 0.4)
MULTICLASS = Scoring("multiclass", ("a", "b", "c"))
REGRESSION = Scoring("regression", (), center=10.0, scale=4.0)
UNKNOWN = Scoring.unknown()

ANYTHING = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=3)
    | st.sampled_from(["a", "yes", 0, 1, 0.5, [0.2, 0.8], [0.2, 0.3, 0.5], {"a": 1.0}, b"x"])
)


@pytest.mark.parametrize(
    ("scoring", "prediction", "probability", "expected"),
    [
        (BINARY, 0.4, None, (0.4, "yes")),
        (BINARY, 0.39, None, (0.39, "no")),
        (BINARY, "no", 0.3, (0.3, "no")),
        (BINARY, "no", 0.9, (0.9, "no")),
        (BINARY, "yes", [0.2, 0.8], (0.8, "yes")),
        (BINARY, "yes", {"yes": 0.7, "no": 0.3}, (0.7, "yes")),
        (BINARY, "yes", 7.0, (None, "yes")),
        (BINARY, "maybe", None, (None, None)),
        (BINARY, math.nan, None, (None, None)),
        (Scoring("binary"), 1, None, (None, 1)),
        (Scoring("binary"), True, None, (None, 1)),
        (Scoring("binary"), 1, {"0": 0.25, "1": 0.75}, (0.75, 1)),
        (MULTICLASS, "b", [0.2, 0.7, 0.1], ([0.2, 0.7, 0.1], "b")),
        (MULTICLASS, "b", {"b": 0.7, "a": 0.3}, ([0.3, 0.7, 0.0], "b")),
        (MULTICLASS, "b", [0.2, 0.8], (None, "b")),
        (MULTICLASS, "b", [0.2, math.nan, 0.1], (None, "b")),
        (Scoring("multiclass", (1, 2, 3)), 2, {"1": 0.5, "2": 0.5}, ([0.5, 0.5, 0.0], 2)),
        (REGRESSION, 3, None, (3.0, None)),
        (REGRESSION, "3", None, (None, None)),
        (REGRESSION, math.inf, None, (None, None)),
        (REGRESSION, True, None, (None, None)),
        (UNKNOWN, 0.7, None, (0.7, 1)),
        (UNKNOWN, 17.5, None, (17.5, None)),
        (UNKNOWN, 1, None, (1.0, 1)),
        (UNKNOWN, True, None, (None, 1)),
        (UNKNOWN, "spam", None, (None, "spam")),
        (UNKNOWN, "spam", 0.9, (0.9, "spam")),
    ],
)
def test_what_is_read_of_a_prediction(scoring, prediction, probability, expected):
    """The score and the label are those of the task; what cannot be read is None."""
    assert scoring.read(prediction, probability) == expected


@pytest.mark.parametrize(
    ("scoring", "outcome", "expected"),
    [
        (BINARY, "yes", "yes"),
        (BINARY, "maybe", None),
        (BINARY, 1, None),
        (Scoring("binary"), True, 1),
        (Scoring("binary"), 1.0, 1),
        (Scoring("binary", (False, True)), 1, True),
        (MULTICLASS, "c", "c"),
        (REGRESSION, 3, 3.0),
        (REGRESSION, math.nan, None),
        (REGRESSION, "3", None),
        (UNKNOWN, 1.0, 1),
        (UNKNOWN, True, 1),
        (UNKNOWN, 17, 17.0),
        (UNKNOWN, "spam", "spam"),
        (UNKNOWN, [1], None),
    ],
)
def test_what_is_read_of_an_outcome(scoring, outcome, expected):
    """An outcome is a class of the task or a finite number; else it is None."""
    found = scoring.target(outcome)

    assert found == expected
    assert type(found) is type(expected)


@given(
    st.sampled_from([BINARY, MULTICLASS, REGRESSION, UNKNOWN, Scoring("binary")]),
    ANYTHING,
    ANYTHING,
    ANYTHING,
)
def test_nothing_that_is_served_or_told_raises(scoring, prediction, probability, outcome):
    """Whatever is served and told can be read and counted, in integers that JSON can hold."""
    score, label = scoring.read(prediction, probability)
    tallies = scoring.tally_predictions([score], [label])
    target = scoring.target(outcome)
    if target is not None:
        tallies |= scoring.tally_outcomes([score], [label], [target])

    assert all(type(count) is int for tally in tallies.values() for count in tally.values())
    assert json.loads(json.dumps(tallies)) == tallies


SERVED = st.lists(
    st.tuples(st.floats(0, 1) | st.sampled_from(["no", "yes"]), st.sampled_from(["no", "yes"])),
    max_size=20,
)
NUMBERS = st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), max_size=20)


@given(SERVED | NUMBERS, st.integers(0, 20))
def test_tallies_of_parts_add(rows, cut):
    """Tallies of two parts add to those of the whole, to the integer, means included."""
    is_number = bool(rows) and isinstance(rows[0][1], float)
    scoring = REGRESSION if is_number else fitted()
    total: dict = {}
    for part in (rows[:cut], rows[cut:]):
        add_tallies(total, counted(scoring, part))

    whole: dict = {}
    add_tallies(whole, counted(scoring, rows))
    assert total == whole


def fitted() -> Scoring:
    return fit_scoring(np.linspace(0, 1, 50), ["no", "yes"] * 25, "binary", None, 0.4)[0]


def counted(scoring, rows):
    pairs = [scoring.read(served) for served, _ in rows]
    scores, labels = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    targets = [scoring.target(outcome) for _, outcome in rows]
    return scoring.tally_predictions(scores, labels) | scoring.tally_outcomes(
        scores, labels, targets
    )


@given(st.lists(st.floats(-1e9, 1e9), max_size=30))
def test_fixed_sums_are_within_their_units(values):
    """A sum in fixed units is within half a unit a value of the exact sum, in any order."""
    exact = math.fsum(values)

    assert abs(fixed_sum(values) / FIXED - exact) <= len(values) / FIXED + abs(exact) * 1e-15
    assert fixed_sum(values) == fixed_sum(values[::-1])


def test_a_row_too_large_to_be_squared_is_left_out_whole():
    """An outcome whose fourth power overflows is in none of the sums, and is counted apart."""
    huge = REGRESSION.tally_outcomes([1.0, 1e200, 2.0], [None] * 3, [1.0, 1.0, 2.0])
    plain = REGRESSION.tally_outcomes([1.0, 2.0], [None] * 2, [1.0, 2.0])

    assert huge["residual"].pop("too_large") == 1
    assert huge == plain
    assert plain["residual"]["n"] == 2
    assert REGRESSION.tally_predictions([1e200], [None]) == {}


def test_sums_of_large_rows_stay_within_float64():
    """Whatever a row holds, the sums of a billion like it can still be read as floats."""
    for size in (10.0 ** np.arange(-300, 308, 4)).tolist():
        tallies = REGRESSION.tally_outcomes([size, -size], [None] * 2, [1.0, size])
        tallies |= REGRESSION.tally_predictions([size], [None])
        for tally in tallies.values():
            assert all(math.isfinite(10**9 * count / FIXED) for count in tally.values())


def test_what_the_calibration_needs_is_counted_by_bins_of_the_reference():
    """Rows, scores and positives are those of ten bins, each with a tenth of the reference."""
    rng = np.random.default_rng(0)
    past = rng.beta(1, 4, 4000)
    scoring, tallies = fit_scoring(past, rng.integers(0, 2, 4000), "binary", None, 0.5)
    known = [tallies["calibration"][f"{place}/n"] for place in range(10)]
    assert min(known) >= 360
    assert sum(known) == 4000

    edges = np.quantile(past, np.arange(1, 10) / 10)
    scores, true = rng.beta(2, 3, 500), rng.integers(0, 2, 500)
    clear = np.abs(scores[:, None] - edges).min(axis=1) > 0.005  # a bin ends where a cell does
    scores, true = scores[clear], true[clear]
    found = scoring.tally_outcomes(scores.tolist(), [0] * len(true), true.tolist())["calibration"]
    for place in range(10):
        inside = np.searchsorted(edges, scores) == place
        assert found.get(f"{place}/n", 0) == inside.sum()
        assert found.get(f"{place}/positive", 0) == true[inside].sum()
        assert found.get(f"{place}/score", 0) / FIXED == pytest.approx(scores[inside].sum())


def test_bins_without_a_reference_are_tenths_of_the_scale():
    """Where no reference cuts the scores, the bins of calibration are tenths from 0 to 1."""
    middles = [0.05 + 0.1 * place for place in range(10)]
    tally = UNKNOWN.tally_outcomes(middles, [0] * 10, [1] * 10)["calibration"]

    assert [tally[f"{place}/n"] for place in range(10)] == [1] * 10


def test_a_percentage_of_zero_is_counted_apart():
    """Outcomes of 0 are counted as having no percentage error, and are in no sum."""
    tally = REGRESSION.tally_outcomes([1.0, 3.0, 5.0], [None] * 3, [0.0, 2.0, 5e-324])["percentage"]

    assert tally == {
        "n": 1, "sum": fixed_sum([0.5]), "squares": fixed_sum([0.25]), "zero": 2
    }  # fmt: skip


class TestFit:
    @pytest.mark.parametrize(
        ("predictions", "outcomes", "task", "classes"),
        [
            ([0.1, 0.9], [0, 1], "binary", (0, 1)),
            ([0.1, 0.9], [0.0, 1.0], "binary", (0, 1)),
            ([0.1, 0.9], [1, 1], "binary", (0, 1)),
            ([True, False], [True, False], "binary", (False, True)),
            (["b", "a"], ["a", "b"], "binary", ("a", "b")),
            ([[0.4, 0.6], [0.9, 0.1]], ["a", "b"], "binary", ("a", "b")),
            (["a", "b", "c"], ["c", "b", "a"], "multiclass", ("a", "b", "c")),
            ([[0.2, 0.3, 0.5]] * 3, [0, 1, 2], "multiclass", (0, 1, 2)),
            ([0.1, 2.0, 3.5], [0, 1, 2], "regression", ()),
            ([0.1, 2.0, 3.5], [0.5, 1.5, 2.5], "regression", ()),
            (None, [0, 1], "binary", (0, 1)),
            (None, None, "", (0, 1)),
        ],
    )
    def test_task_and_classes_follow_from_the_outcomes(self, predictions, outcomes, task, classes):
        """Two values are two classes, texts or rows of shares more, other numbers a regression."""
        for form in (list, np.array):
            served = None if predictions is None else form(predictions)
            true = None if outcomes is None else form(outcomes)
            scoring, _ = fit_scoring(served, true, None, None, 0.5)
            assert (scoring.task, scoring.classes) == (task, classes)

    def test_classes_may_be_an_array(self):
        """`classes=model.classes_` of scikit-learn is taken, the positive class last."""
        scoring, tallies = fit_scoring([0.9, 0.2], [3, 5], None, np.array([5, 3]), 0.5)

        assert scoring.classes == (5, 3)
        assert tallies["confusion"] == {"3/3": 1, "5/5": 1}

    def test_predict_proba_frames_and_series_count_alike(self):
        """Probabilities as an array, a frame of one or two columns or a Series are the same."""
        p = np.array([0.1, 0.7, 0.6, 0.2])
        true = [0, 1, 0, 1]
        forms = [p, p.tolist(), pd.Series(p), pd.DataFrame({"p": p}), np.column_stack([1 - p, p])]
        expected = fit_scoring(p, true, None, None, 0.5)[1]

        assert expected["confusion"] == {"0/0": 1, "1/1": 1, "1/0": 1, "0/1": 1}
        for form in forms:
            assert fit_scoring(form, pd.Series(true), None, None, 0.5)[1] == expected

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"task": "ranking"}, "task='ranking'"),
            ({"predictions": [0.5], "outcomes": None}, "say task="),
            ({"outcomes": ["a", "a"]}, "name each class once"),
            ({"task": "binary", "outcomes": ["a", "a"]}, "classes="),
            ({"task": "binary", "outcomes": ["a", "b"], "classes": ["a", "b", "c"]}, "multiclass"),
            ({"task": "binary", "outcomes": ["a", "b"], "classes": ["a", "a"]}, "once"),
            ({"task": "multiclass", "outcomes": [1, "1"], "classes": [1, "1"]}, "print alike"),
        ],
    )
    def test_wrong_arguments(self, arguments, message):
        """A task or classes that cannot be right are named, with the remedy."""
        given_ = {"predictions": None, "outcomes": [0, 1], "task": None, "classes": None}
        with pytest.raises(ConfigurationError, match=message):
            fit_scoring(*(given_ | arguments).values(), 0.5)

    @pytest.mark.parametrize(
        ("predictions", "outcomes", "task", "message"),
        [
            ([0.1], [0, 1], None, "1 predictions and 2 outcomes"),
            ([0.1, 0.2], [0, None], None, "outcomes hold missing"),
            ([0.1, 0.2], pd.array([0, None], dtype="Int64"), None, "outcomes hold missing"),
            ([0.1, 0.2], [0.0, math.nan], None, "outcomes hold missing"),
            ([0.1, 0.2], [[0, 1], [1, 0]], None, "one value a row"),
            ([0.1, None], [0, 1], None, "prediction None"),
            ([0.1, 7.0], [0, 1], None, "prediction 7.0"),
            ([0.1, [0.1, 0.2, 0.7]], [0, 1], None, "prediction"),
            (["a", "x", "b"], ["a", "b", "c"], None, "prediction 'x'"),
            ([0.1, 0.2, 0.3], ["1", "2", "3"], "regression", "outcome '1'"),
            ([0.1, 0.2], [1.0, math.inf], "regression", "outcome inf"),
            ([0.1, 0.2], [1e300, -1e300], "regression", "too large"),
            ([0.1, 0.2], [0, "1"], None, "mixed types"),
            (0.5, [0, 1], None, "predictions=0.5"),
        ],
    )
    def test_bad_data_is_named(self, predictions, outcomes, task, message):
        """What cannot be read is refused, and the value or the argument is named."""
        with pytest.raises(DataError, match=message):
            fit_scoring(predictions, outcomes, task, None, 0.5)

    def test_regression_is_counted_in_units_of_its_spread(self):
        """Targets are centred, and scaled by a power of two near their standard deviation."""
        outcomes = np.random.default_rng(0).normal(1e6, 300, 1000)
        scoring, _ = fit_scoring(outcomes, outcomes, None, None, 0.5)

        assert scoring.center == pytest.approx(1e6, abs=100)
        assert 150 < scoring.scale < 600
        assert math.log2(scoring.scale).is_integer()
