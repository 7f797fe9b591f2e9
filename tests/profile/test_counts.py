"""Profiles: the distributions of all features over the same rows."""

from __future__ import annotations

import sqlite3
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlwatch.errors import DataError, GridMismatchError
from mlwatch.profile import Profile, fit_grid

RNG = np.random.default_rng(0)
TRAIN = {
    "amount": RNG.lognormal(size=3000),
    "count": RNG.poisson(3, 3000),
    "city": RNG.choice(["Bonn", "Ulm", "Trier"], 3000),
}
GRIDS = {name: fit_grid(name, column) for name, column in TRAIN.items()}
ROWS = st.lists(
    st.tuples(
        st.floats() | st.none(),
        st.integers(0, 9) | st.none(),
        st.sampled_from(["Bonn", "Ulm", "Rom", None]),
    ),
    max_size=40,
)


def columns(rows: list[tuple]) -> dict[str, list]:
    return {name: [row[i] for row in rows] for i, name in enumerate(GRIDS)}


@given(ROWS, ROWS)
def test_profiles_add(a, b):
    """profile(a) + profile(b) equals profile(a then b) and profile(b then a), to the integer."""
    both = Profile.count(GRIDS, columns(a)) + Profile.count(GRIDS, columns(b))

    assert both == Profile.count(GRIDS, columns(a + b)) == Profile.count(GRIDS, columns(b + a))
    assert both.rows == len(a) + len(b)
    assert both - Profile.count(GRIDS, columns(b)) == Profile.count(GRIDS, columns(a))


@given(ROWS)
def test_tallies_of_panes_are_the_profile(rows):
    """What a pane keeps of a profile reads back as the same profile."""
    profile = Profile.count(GRIDS, columns(rows))

    assert Profile.from_tallies(GRIDS, profile.to_tallies(), len(rows)) == profile


def test_a_frame_and_its_columns_count_alike():
    """A DataFrame, a mapping of arrays, of lists and of Series give one profile."""
    frame = pd.DataFrame(TRAIN)
    expected = Profile.count(GRIDS, TRAIN)

    assert Profile.count(GRIDS, frame) == expected
    assert Profile.count(GRIDS, {name: frame[name].tolist() for name in frame}) == expected
    assert Profile.count(GRIDS, frame.assign(unknown=1)) == expected


def test_profiles_of_other_grids_or_features_do_not_add():
    """Profiles of another reference are refused; the message names the feature."""
    profile = Profile.count(GRIDS, TRAIN)
    other = {**GRIDS, "count": fit_grid("count", [1, 2, 3])}
    fewer = {name: GRIDS[name] for name in ("amount", "count")}

    with pytest.raises(GridMismatchError, match="count"):
        profile + Profile.count(other, TRAIN)
    with pytest.raises(GridMismatchError, match="city"):
        profile + Profile.count(fewer, TRAIN)
    with pytest.raises(GridMismatchError, match="city"):
        profile - Profile.count(fewer, TRAIN)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"amount": [1.0], "count": [1]}, "missing column.*'city'"),
        ({"amount": [1.0, 2.0], "count": [1], "city": ["Ulm"]}, "unequal length"),
        ({"amount": np.zeros((1, 2)), "count": [1], "city": ["Ulm"]}, "'amount'.*one value a row"),
        ({"amount": 1.0, "count": [1], "city": ["Ulm"]}, "'amount'"),
        ([1, 2, 3], "list"),
        (
            pd.DataFrame(
                [[1.0, 2, "Ulm", "Ulm"]], columns=pd.Index(["amount", "count", "city", "city"])
            ),
            "'city'",
        ),
    ],
)
def test_bad_data_is_named(frame, message):
    """Data that cannot be counted is refused, with the column's name."""
    with pytest.raises(DataError, match=message):
        Profile.count(GRIDS, frame)


def test_unknown_feature():
    """Asking for a feature that is not there names those that are."""
    with pytest.raises(DataError, match=r"'age'.*'amount'"):
        Profile.count(GRIDS, TRAIN).distribution("age")


class TestFromCounts:
    def test_counts_of_sql_are_the_profile(self):
        """Cells counted by SQL comparisons on the grid's edges make the same profile."""
        like = Profile.count(GRIDS, TRAIN)
        amount, count = GRIDS["amount"], GRIDS["count"]
        with sqlite3.connect(":memory:") as database:
            database.execute("CREATE TABLE traffic (amount REAL, count INTEGER, city TEXT)")
            rows = zip(*(column.tolist() for column in TRAIN.values()), strict=True)
            database.executemany("INSERT INTO traffic VALUES (?, ?, ?)", rows)
            for name, grid in (("amount", amount), ("count", count)):
                database.execute(f"CREATE TABLE {name}_edges (edge)")
                edges = [(edge,) for edge in grid.edges.tolist()]
                database.executemany(f"INSERT INTO {name}_edges VALUES (?)", edges)
            counts = {
                name: dict(
                    database.execute(
                        f"SELECT (SELECT count(*) FROM {name}_edges WHERE edge <= {name}) AS cell,"
                        " count(*) FROM traffic GROUP BY cell"
                    )
                )
                for name in ("amount", "count")
            }
            counts["city"] = dict(
                database.execute("SELECT city, count(*) FROM traffic GROUP BY city")
            )
        database.close()

        found = Profile.from_counts(like, counts)

        assert (found.rows, found.distributions) == (like.rows, like.distributions)

    def test_counts_of_all_cells_in_order(self):
        """numpy's bincount of searchsorted makes the same profile."""
        like = Profile.count(GRIDS, TRAIN)
        cells = {
            name: np.bincount(
                np.searchsorted(GRIDS[name].edges, TRAIN[name], side="right"),
                minlength=GRIDS[name].size,
            )
            for name in ("amount", "count")
        }
        city = {name: Decimal(n) for name, n in pd.Series(TRAIN["city"]).value_counts().items()}

        found = Profile.from_counts(like, {**cells, "city": city})

        assert (found.rows, found.distributions) == (like.rows, like.distributions)

    def test_what_stands_apart(self):
        """None counts missing values, "nan" and infinities theirs, an unknown category unseen."""
        like = Profile.count(GRIDS, TRAIN)
        found = Profile.from_counts(
            like,
            {
                "amount": {0: 2, None: 3, "nan": 4, "+inf": 5, "-inf": 6, "wrong_kind": 7},
                "count": {},
                "city": {"Rom": 2, "Ulm": 3, None: 4},
            },
            rows=30,
        )
        amount, city = found.distribution("amount"), found.distribution("city")

        assert (amount.missing, amount.nan, amount.infinite, amount.wrong_kind) == (3, 4, 11, 7)
        assert (city.unseen, city.missing, city.n) == (2, 4, 5)
        assert found.rows == 30

    @pytest.mark.parametrize(
        ("amount", "message"),
        [
            ({"9999": 1}, "no cell '9999'"),
            ({-1: 1}, "no cell '-1'"),
            ({"x": 1}, "no cell 'x'"),
            ({0: -1}, "a count of -1"),
            ({0: 1.5}, "a count of 1.5"),
            ({0: float("nan")}, "a count of nan"),
            ({0: None}, "a count of None"),
            ([1, 2, 3], "3 counts of feature 'amount', which has 511 cells"),
        ],
    )
    def test_bad_counts_are_named(self, amount, message):
        """Counts of no cell, or that are no counts, are refused with the feature's name."""
        like = Profile.count(GRIDS, TRAIN)
        with pytest.raises(DataError, match=message) as caught:
            Profile.from_counts(like, {"amount": amount, "count": {}, "city": {}})
        assert "amount" in str(caught.value)

    def test_features_must_be_those_of_the_reference(self):
        """A feature too many or too few, or a list of categories, is named."""
        like = Profile.count(GRIDS, TRAIN)
        empty = {name: {} for name in GRIDS}

        with pytest.raises(DataError, match="'age'"):
            Profile.from_counts(like, {**empty, "age": {}})
        with pytest.raises(DataError, match="no counts of feature 'city'"):
            Profile.from_counts(like, {"amount": {}, "count": {}})
        with pytest.raises(DataError, match="'city' must be a mapping"):
            Profile.from_counts(like, {**empty, "city": [1, 2, 3]})
