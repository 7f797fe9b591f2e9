"""Data quality: every share against pandas on the raw rows."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.traffic import START, predicted, window

from mlwatch import Monitor, endpoints
from mlwatch.collectors import QualityCollector
from mlwatch.errors import ConfigurationError
from mlwatch.reference import Reference
from mlwatch.stores import MemoryStore
from mlwatch.testing import ManualClock, check_collector
from mlwatch.window import no_rows

ODD = [None, math.nan, math.inf, -math.inf, "12.5", b"x", 2**70, True, Decimal("1.5"), START, [1]]
"""What a service may send for a number."""


def figures(view, collector=None):
    """Return the metrics of a window by name and feature."""
    found = (collector or QualityCollector()).collect(view)
    return {(it.name, *it.labels.values()): it for it in found}


def served(rows, reference=None, parts=1):
    """Return the window of rows, one a second."""
    events = [predicted(i, 0.5, features) for i, features in enumerate(rows)]
    return window(events, reference, parts=parts)


def is_number(value):
    """Say what of `ODD` is a number: all but texts, bytes, times, lists and what is missing."""
    absent = value is None or (isinstance(value, float) and math.isnan(value))
    return not absent and isinstance(value, int | float | Decimal)


@pytest.mark.parametrize("parts", [1, 2, 7])
@pytest.mark.parametrize("seed", range(4))
def test_shares_of_numbers_are_those_of_pandas(seed, parts):
    """Missing, of a wrong kind, infinite and out of range: to the row, however panes were split."""
    rng = np.random.default_rng(seed)
    known = pd.Series(np.round(rng.normal(size=500), 1))
    reference = Reference.fit({"x": known})
    values = [*np.round(rng.normal(0, 2, size=300), 1).tolist(), *(ODD * 7)]
    values = pd.Series([values[i] for i in rng.permutation(len(values))], dtype=object)
    found = figures(served([{"x": value} for value in values], reference, parts))

    number = values[values.map(is_number)].astype(float)
    finite = number[~np.isinf(number)]
    truth = {
        "missing_share": values.isna().mean(),
        "wrong_kind_share": (~values.map(is_number) & ~values.isna()).mean(),
        "infinite_share": np.isinf(number).sum() / len(values),
        "out_of_range_share": (~finite.between(known.min(), known.max())).mean(),
    }
    for name, share in truth.items():
        metric = found[name, "x"]
        assert metric.value == pytest.approx(share, abs=1e-12), name
        assert metric.reference == 0
        assert metric.low <= share <= metric.high
        assert metric.n == (len(finite) if name == "out_of_range_share" else len(values))


@pytest.mark.parametrize("seed", range(4))
def test_shares_of_categories_are_those_of_pandas(seed):
    """Missing and unseen, each beside its share on the reference."""
    rng = np.random.default_rng(seed)
    known = pd.Series(rng.choice(["a", "b", "c", None], 1000))
    values = pd.Series(rng.choice(["a", "b", "d", "e", None], 400), dtype=object)
    reference = Reference.fit({"c": known})
    found = figures(served([{"c": value} for value in values], reference))
    present = values.dropna()

    assert found["missing_share", "c"].value == pytest.approx(values.isna().mean(), abs=1e-12)
    assert found["missing_share", "c"].reference == pytest.approx(known.isna().mean(), abs=1e-12)
    unseen = found["unseen_share", "c"]
    assert unseen.value == pytest.approx((~present.isin(known.dropna())).mean(), abs=1e-12)
    assert (unseen.n, unseen.reference) == (len(present), 0)
    assert ("infinite_share", "c") not in found


def test_missing_is_missing_in_any_form():
    """None, NaN, pandas.NA, NaT and a name that is not there are one thing."""
    reference = Reference.fit({"x": [1.0, 2.0] * 50, "c": ["a", "b"] * 50})
    rows = [{"x": gone, "c": gone} for gone in (None, math.nan, pd.NA, pd.NaT)]
    with Monitor(reference, store=MemoryStore()) as monitor:
        for row in [*rows, {}, {"x": 1.0, "c": "a"}]:
            monitor.record_prediction(row, 0.5)
        report = monitor.run_cycle()
    shares = {it.labels["feature"]: it for it in report.metrics if it.name == "missing_share"}

    assert shares["x"].value == shares["c"].value == pytest.approx(5 / 6)


def test_of_many_distinct_numbers_the_outermost_points_are_the_range():
    """What lies beyond them on the reference too is said beside the share."""
    rng = np.random.default_rng(0)
    known = rng.normal(size=5000)
    reference = Reference.fit({"x": known})
    points = reference.distribution("x").grid.points
    values = rng.normal(0, 2, size=1000)
    metric = figures(served([{"x": value} for value in values.tolist()], reference))[
        "out_of_range_share", "x"
    ]

    assert metric.value == pytest.approx(np.mean((values < points[0]) | (values > points[-1])))
    assert metric.reference == pytest.approx(np.mean((known < points[0]) | (known > points[-1])))
    assert 0 < metric.reference < 0.01


def test_of_many_rare_categories_the_share_to_be_expected_is_the_reference():
    """Fresh rows of a column of ids are unseen in all rows; so they were to be expected."""
    rng = np.random.default_rng(0)
    reference = Reference.fit({"c": rng.integers(0, 20_000, 5000).astype(str)})
    rows = [{"c": str(value)} for value in rng.integers(0, 20_000, 1000)]
    metric = figures(served(rows, reference))["unseen_share", "c"]

    assert metric.value == pytest.approx(metric.reference, abs=0.01)


def test_a_column_without_values_has_no_range():
    """Of a reference column that holds nothing, no number is out of range."""
    reference = Reference.fit({"x": [math.nan] * 50, "y": [1.0] * 50})
    metric = figures(served([{"x": 3.0, "y": None}] * 40, reference))
    assert metric["out_of_range_share", "x"].value is None
    assert metric["out_of_range_share", "y"].value is None
    assert "not enough data" in metric["out_of_range_share", "x"].why


def test_new_and_vanished_features_are_named():
    """A name the reference lacks is new; one that never comes is gone, unless that is usual."""
    data = {"x": [1.0, 2.0] * 50, "y": [1.0, 2.0] * 50, "rare": [None] * 95 + ["a"] * 5}
    reference = Reference.fit(data)
    found = figures(served([{"x": 1.0 + i % 2, "z": i} for i in range(40)], reference))

    new, gone = found[("new_features",)], found[("vanished_features",)]
    assert (new.value, new.n, new.why) == (1, 40, "z (100.0% of the rows)")
    assert (gone.value, gone.why) == (1, "y")
    few = figures(served([{"x": 1.0}] * 5, reference))[("vanished_features",)]
    assert few.value is None
    assert "5 of 30 rows" in few.why


def test_endless_names_cost_no_endless_memory():
    """Of names with an id in them 50 are told apart, in every pane and in all parts together."""
    reference = Reference.fit({"x": [1.0, 2.0] * 50})
    rows = [{"x": 1.0, f"evil\n{i}" + "z" * 10_000: 1} for i in range(300)]
    view = served(rows, reference, parts=6)
    tally = view.tally("new_features")
    new = figures(view)[("new_features",)]

    assert len(tally) == endpoints.MOST + 1
    assert sum(tally.values()) == 300
    assert max(map(len, tally)) <= 100
    assert new.value == endpoints.MOST + 1
    assert "at least" in new.why


def test_a_feature_that_stands_still_is_constant():
    """One value alone is told, by counts or by rows, unless the reference had no other."""
    rng = np.random.default_rng(0)
    data = {
        "point": [1.0, 2.0] * 500,
        "between": rng.normal(size=1000),
        "moves": rng.normal(size=1000),
        "category": ["a", "b"] * 500,
        "unknown": ["a", "b"] * 500,
        "ever": [5.0] * 1000,
        "endless": [1.0, 2.0] * 500,
        "seldom": [0.0] * 970 + [1.0] * 30,
    }
    still = {
        "seldom": 0.0,
        "point": 1.0,
        "between": 0.123456,
        "category": "b",
        "unknown": "new",
        "ever": 5.0,
    }
    view = served(
        [{**still, "moves": value, "endless": math.inf} for value in np.linspace(10, 11, 50)],
        Reference.fit(data),
    )
    names = ["point", "between", "category", "unknown", "endless"]
    assert figures(view)[("constant_features",)].why == ", ".join(names)
    assert figures(view)[("constant_features",)].value == 5
    counted = figures(replace(view, rows=no_rows))[("constant_features",)]
    assert counted.why == "point, category, endless"


def test_ids_are_told_by_rows():
    """Texts and whole numbers that are nearly all different; numbers with fractions are not."""
    rows = [
        {"id": f"u{i}", "number": 10**6 + i, "few": i % 3, "real": i / 7, "flag": i % 2 == 0}
        for i in range(200)
    ]
    metric = figures(served(rows))[("id_like_features",)]
    assert (metric.value, metric.why) == (2, "id, number; of all 200 rows")


@pytest.mark.parametrize("seed", range(5))
def test_duplicates_are_those_of_pandas(seed):
    """Rows whose features are all those of a row before, NaN and order of names aside."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "a": rng.integers(0, 4, 200),
            "b": rng.choice(["x", "y", None], 200),
            "c": rng.choice([0.5, math.nan], 200),
        }
    )
    rows = frame.astype(object).to_dict("records")
    rows[::2] = [dict(reversed(row.items())) for row in rows[::2]]
    metric = figures(served(rows))[("duplicate_share",)]

    assert metric.value == pytest.approx(frame.duplicated().mean(), abs=1e-12)
    assert metric.n == 200
    assert metric.why == "of all 200 rows"


def test_a_sample_is_of_the_newest_rows_and_bounded():
    """No more rows are read than asked for, and they are those of the last panes."""
    rows = [{"a": i if i < 1000 else 7} for i in range(1200)]
    view = served(rows, parts=3)
    asked = []

    def counting(since, until):
        asked.append(since)
        for row in view.rows(since, until)[0]:
            asked.append(row)
            yield row

    lazy = replace(view, rows=lambda since, until: (counting(since, until), ()))
    metric = figures(lazy, QualityCollector(sample=100))[("duplicate_share",)]

    assert (metric.value, metric.n) == (0.99, 100)
    assert metric.why == "of 100 of the newest rows"
    assert len(asked) == 101
    assert asked[0] >= START + timedelta(minutes=18)


def test_rows_that_are_gone_are_no_figure():
    """Where rows are no longer kept, or not to be read, what needs them says so."""
    view = replace(served([{"a": i} for i in range(100)]), rows=no_rows)
    for name in ("duplicate_share", "id_like_features"):
        gone, unasked = (figures(view, it)[(name,)] for it in (None, QualityCollector(sample=0)))
        assert gone.value is unasked.value is None
        assert gone.why == "not enough data: 0 of 30 rows; the others are no longer kept"
        assert "sample=0" in unasked.why
    few = figures(served([{"a": 1}] * 3))[("duplicate_share",)]
    assert (few.value, few.why) == (None, "not enough data: 3 of 30 rows")


def test_the_age_of_times():
    """Seconds from the newest value to the end of the window; texts of times count as such."""
    days = pd.Series(pd.date_range("2023-01-01", periods=300))
    reference = Reference.fit({"seen": days, "x": range(300)})
    rows = [{"seen": START - timedelta(hours=i), "x": i} for i in range(40)]
    rows[7]["seen"] = datetime(2023, 6, 1).isoformat()  # noqa: DTZ001  as it is recorded
    view = served(rows[1:], reference)
    metric = figures(view)["feature_age_seconds", "seen"]

    assert metric.value == (view.until - START + timedelta(hours=1)).total_seconds()
    assert metric.n == 39
    assert ("feature_age_seconds", "x") not in figures(view)
    aware = figures(served([{"t": datetime(2023, 1, 1, tzinfo=UTC)}] * 40))
    assert aware["feature_age_seconds", "t"].n == 40


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
    | st.datetimes(timezones=st.just(UTC)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("xct") | st.text(), VALUES), max_size=8))
def test_any_value_is_counted_somewhere(rows):
    """Whatever is sent, the contract holds and each value of a feature is in one share."""
    reference = Reference.fit(
        {"x": [1.0, 2.0] * 50, "c": ["a", "b"] * 50, "t": [START, START + timedelta(1)] * 50}
    )
    view = served(rows * 30, reference) if rows else served([{}], reference)
    check_collector(QualityCollector(), [view, replace(view, reference=None)])
    found = figures(view)
    for name in "xct":
        assert found["missing_share", name].n == view.tally("rows")["recorded"]


def test_a_report_shows_what_differs():
    """Figures of features that are as on the reference are counted, not listed."""
    rng = np.random.default_rng(0)
    names = [f"x{i}" for i in range(20)]
    reference = Reference.fit({name: rng.integers(0, 9, 500) for name in names})
    clock = ManualClock()
    with Monitor(reference, store=MemoryStore(), clock=clock) as monitor:
        for i in range(100):
            monitor.record_prediction({n: 1 if i % 2 or n != "x3" else "1" for n in names}, 0.5)
        text = str(monitor.run_cycle())
    figures_shown = [line.split("]")[0] for line in text.splitlines() if "[feature=" in line]

    assert figures_shown == ["wrong_kind_share [feature=x3"]
    assert "(79 figures of features at 0, as on the reference or without data, not shown)" in text


@pytest.mark.parametrize("sample", [-1, 1.5, None, "many"])
def test_a_sample_is_a_number_of_rows(sample):
    """Anything else is refused when the collector is made."""
    with pytest.raises(ConfigurationError, match="whole number from 0 up"):
        QualityCollector(sample=sample)
