"""Grids: which cell a value falls into."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from enum import Enum, IntEnum

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.profile.columns import MIXED, NUMBERS, ODD

from mlwatch.errors import DataError
from mlwatch.profile import CategoricalGrid, NumericGrid, fit_grid, grid_from_plain
from mlwatch.profile.values import MISSING, NAN, NEGATIVE_INFINITY, POSITIVE_INFINITY, WRONG_KIND

FLOATS = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=40)
INTEGERS = st.lists(st.integers(-(2**62), 2**62) | st.integers(-4, 4), min_size=1, max_size=40)
SIZES = st.lists(
    st.floats() | st.integers(-3, 3) | st.sampled_from([-0.0, 5e-324, 2.0**53, 2.0**63, 3.4e38]),
    max_size=30,
)
WHOLE = st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3) | st.just(2**53 + 1)
MOMENTS = st.datetimes() | st.just("NaT")


def array(values: list, dtype: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.array(values, np.float64).astype(dtype)


COLUMNS = (
    st.builds(array, SIZES, st.sampled_from(["float64", "float32", "float16"]))
    | st.builds(np.array, st.lists(WHOLE, max_size=30), st.just(np.int64))
    | st.builds(np.array, st.lists(st.integers(0, 2**64 - 1), max_size=30), st.just(np.uint64))
    | st.builds(np.array, st.lists(st.integers(-3, 3), max_size=30), st.just(np.int8))
    | st.builds(np.array, st.lists(st.booleans(), max_size=30), st.just(np.bool_))
)


def same_cells(grid: NumericGrid, values: np.ndarray) -> None:
    expected = np.searchsorted(grid.edges, values, side="right")
    assert grid.locate(values).tolist() == expected.tolist()


class TestNumericCells:
    @given(FLOATS, FLOATS)
    def test_cells_of_floats_are_those_of_searchsorted(self, reference, current):
        """A float's cell is `searchsorted(side="right")` on the edges [p, nextafter(p))."""
        grid = NumericGrid.fit(np.array(reference))
        p = np.unique(reference)
        with np.errstate(over="ignore"):
            edges = np.stack([p, np.nextafter(p, np.inf)], axis=1).ravel()

        assert grid.edges.tolist() == edges.tolist()
        same_cells(grid, np.array(current + reference))

    @given(FLOATS, FLOATS)
    def test_cells_of_float32_are_cut_in_float32(self, reference, current):
        """A float32 column is cut on float32 neighbours, and traffic is cast to float32 first."""
        with np.errstate(over="ignore"):
            past = np.array(reference, np.float32)
            seen = np.array(current + reference, np.float32)
        past, seen = past[np.isfinite(past)], seen[np.isfinite(seen)]
        grid = NumericGrid.fit(past)

        assert grid.edges.dtype == np.float32
        same_cells(grid, seen)
        assert grid.locate(seen.astype(np.float64)).tolist() == grid.locate(seen).tolist()

    @given(INTEGERS, INTEGERS)
    def test_cells_of_integers_are_those_of_searchsorted(self, reference, current):
        """An integer's cell is exact, however large, and the next edge is the next integer."""
        grid = NumericGrid.fit(np.array(reference, np.int64))
        p = np.unique(np.array(reference, np.int64))

        assert grid.edges.tolist() == np.stack([p, p + 1], axis=1).ravel().tolist()
        same_cells(grid, np.array(current + reference, np.int64))

    @given(INTEGERS, MIXED)
    def test_a_value_has_one_cell_whatever_stands_beside_it(self, reference, current):
        """Integers beyond 2**53 keep their cell among floats, None and text."""
        grid = NumericGrid.fit(reference)
        together = grid.locate(reference + current).tolist()
        alone = [int(grid.locate([value])[0]) for value in reference + current]

        assert together == alone

    @given(st.lists(NUMBERS, min_size=1, max_size=30))
    def test_order_of_cells_is_the_order_of_values(self, values):
        """Cells never contradict the exact order of the numbers, of any size and type."""
        finite = [value for value in values if math.isfinite(value) and abs(value) < 2**63]
        grid = NumericGrid.fit([0, 2**60, 2**60 + 1, -(2**60)])
        ordered = sorted(finite)
        cells = grid.locate(ordered).tolist()

        assert cells == sorted(cells)
        for value, cell in zip(ordered, cells, strict=True):
            assert (cell % 2 == 1) == (value in grid.points.tolist())

    def test_neighbours_beyond_two_to_the_53_are_told_apart(self):
        """2**60 and 2**60 + 1 have cells of their own in a list, an array and beside a half."""
        grid = NumericGrid.fit([2**60, 2**60 + 1, 2**60 + 2])

        assert grid.locate([2**60 + 1, 2**60]).tolist() == [3, 1]
        assert grid.locate([2**60 + 1, 0.5, None]).tolist() == [3, 0, MISSING]
        assert grid.locate(np.array([2**60 + 1, 2**64 - 1], np.uint64)).tolist() == [3, 6]
        assert grid.locate(pd.Series([2**60 + 1, None], dtype="Int64")).tolist() == [3, MISSING]

    def test_unsigned_reference_beyond_int64(self):
        """Unsigned 64-bit reference values, such as hashes, fall back to float64 points."""
        grid = NumericGrid.fit(np.array([1, 2**63, 2**64 - 1], np.uint64))

        assert grid.points.dtype == np.float64
        assert grid.locate([1, 2**63, 2**64 - 1, 2]).tolist() == [1, 3, 5, 2]

    @given(COLUMNS, COLUMNS)
    def test_one_search_finds_the_cells_of_each_value(self, reference, current):
        """A whole array has the cells that its values have one by one, of any dtype and size."""
        grid = NumericGrid.fit(reference)

        for values in (current, reference, np.concatenate([reference, current]), current[:0]):
            assert grid.locate(values).tolist() == grid.locate_each(values).tolist()
        assert grid.locate(current.tolist()).tolist() == grid.locate_each(current.tolist()).tolist()

    @given(st.lists(MOMENTS, max_size=20), st.lists(MOMENTS, max_size=20))
    def test_one_search_finds_the_cells_of_each_time(self, reference, current):
        """An array of times, NaT among them, has the cells that its values have one by one."""
        past, seen = (np.array(side, "datetime64[us]") for side in (reference, current))
        grid = NumericGrid.fit(past, time=True)

        assert grid.locate(seen).tolist() == grid.locate_each(seen).tolist()
        assert grid.locate(seen).tolist() == grid.locate(list(seen)).tolist()

    def test_the_largest_integer_has_no_edge_after_it(self):
        """The cells of the edges' search are right up to the largest and smallest integers."""
        least, most = np.iinfo(np.int64).min, np.iinfo(np.int64).max
        grid = NumericGrid.fit([least, 0, most - 1, most])

        same_cells(grid, np.array([least, least + 1, 0, most - 2, most - 1, most]))
        assert grid.locate([least, most]).tolist() == [1, grid.size - 2]

    def test_fractions_fall_between_integers(self):
        """A fraction in an integer column is neither of the integers beside it."""
        grid = NumericGrid.fit([1, 2, 4])

        assert grid.locate([0.5, 1.0, 1.5, 2.0, 3.0, 3.5, 4.0, 4.5]).tolist() == [
            0, 1, 2, 3, 4, 4, 5, 6,
        ]  # fmt: skip

    def test_negative_zero_is_zero(self):
        """-0.0 and 0.0 are one point."""
        grid = NumericGrid.fit(np.array([-0.0, 0.0, 1.0]))

        assert grid.size == 5
        assert grid.locate([0.0, -0.0, 0, False]).tolist() == [1, 1, 1, 1]

    def test_what_stands_apart(self):
        """NaN, infinities, None and text are counted apart, not in a cell."""
        grid = NumericGrid.fit([1.0, 2.0])

        assert grid.locate([math.nan, math.inf, -math.inf, None, "2", pd.NA, pd.NaT]).tolist() == [
            NAN, POSITIVE_INFINITY, NEGATIVE_INFINITY, MISSING, WRONG_KIND, MISSING, MISSING,
        ]  # fmt: skip

    @pytest.mark.parametrize("unit", ["ns", "us", "s"])
    def test_times_are_not_numbers(self, unit):
        """A time or a duration in a column of numbers is of a wrong kind, in any unit."""
        grid = NumericGrid.fit([1, 2, 3])
        moment = np.array([1, "NaT"], f"datetime64[{unit}]")

        assert grid.locate(moment).tolist() == [WRONG_KIND, MISSING]
        assert grid.locate(list(moment)).tolist() == [WRONG_KIND, MISSING]
        assert grid.locate([np.timedelta64(1, unit)]).tolist() == [WRONG_KIND]

    @pytest.mark.parametrize("value", ODD, ids=repr)
    def test_no_value_raises(self, value):
        """Whatever a service sends is counted somewhere."""
        for grid in (
            NumericGrid.fit([1.0, 2.0]),
            NumericGrid.fit([1, 2]),
            NumericGrid.fit([]),
            NumericGrid.fit([dt.datetime(2024, 1, 1, tzinfo=dt.UTC)], time=True),
            CategoricalGrid.fit(["a"] * 20),
        ):
            (cell,) = grid.locate([value])
            assert WRONG_KIND <= cell < grid.size


class TestNumericFit:
    def test_up_to_255_values_are_all_points(self):
        """With up to 255 distinct values every one is a point and every gap is empty."""
        values = np.repeat(np.random.default_rng(0).normal(size=255), 3)
        grid = NumericGrid.fit(values)

        assert grid.points.tolist() == sorted(set(values.tolist()))
        assert grid.mass[1::2].tolist() == [3] * 255
        assert grid.mass[::2].sum() == 0

    @given(st.integers(256, 3000), st.integers(0, 3))
    def test_beyond_points_are_quantiles_of_all_rows(self, n, kind):
        """Beyond 255 values, points are values of the reference, and gaps hold up to n/256 rows."""
        rng = np.random.default_rng(n)
        values = [
            rng.normal(size=n),
            np.where(rng.random(n) < 0.5, 0.0, rng.normal(size=n)),
            rng.standard_cauchy(n),
            rng.integers(0, 10 * n, n).astype(float),
        ][kind]
        grid = NumericGrid.fit(values)

        assert grid.mass.sum() == n
        assert len(grid.points) <= 255
        assert set(grid.points.tolist()) <= set(values.tolist())
        assert grid.mass[::2].max() <= math.ceil(n / 256)

    def test_only_finite_numbers_shape_the_grid(self):
        """NaN, infinities and None are no points and have no mass."""
        grid = NumericGrid.fit([1.0, math.nan, math.inf, -math.inf, None, 2.0])

        assert grid.points.tolist() == [1.0, 2.0]
        assert grid.mass.tolist() == [0, 1, 0, 1, 0]

    def test_order_of_rows_changes_nothing(self):
        """The grid of shuffled rows is the same grid."""
        rng = np.random.default_rng(1)
        values = rng.normal(size=5000)

        assert NumericGrid.fit(values).fingerprint == NumericGrid.fit(np.sort(values)).fingerprint

    def test_coarse_cells_have_equal_mass(self):
        """Sixteen coarse cells of 10,000 continuous rows hold about 625 each, in order."""
        grid = NumericGrid.fit(np.random.default_rng(0).normal(size=10_000))
        joined = grid.coarse(16)
        mass = np.bincount(joined, weights=grid.mass)

        assert len(mass) == 16
        assert (np.diff(joined) >= 0).all()
        assert np.abs(mass - 625).max() <= 10_000 / 256 + 1

    @pytest.mark.parametrize("values", [[], [None], [5.0] * 9, [math.inf], [1, 2]])
    def test_small_references_have_a_grid(self, values):
        """An empty, missing, constant or infinite reference still makes a grid that counts."""
        grid = NumericGrid.fit(values)

        assert grid.locate([0.0, 5.0, None]).max() < grid.size
        assert 1 <= grid.coarse(16).max() + 1 <= grid.size


class TestCategoricalGrid:
    def test_rare_categories_are_pooled_and_not_named(self):
        """A category seen 9 times is not in the vocabulary; one seen 10 times is."""
        grid = CategoricalGrid.fit(["often"] * 1000 + ["ten"] * 10 + ["nine"] * 9)

        assert grid.categories == ("often", "ten")
        assert grid.mass.tolist() == [1000, 10, 9]
        assert "nine" not in str(grid.to_plain())

    def test_one_and_true_are_one_category_and_the_text_another(self):
        """1, 1.0 and True are one category, as they are one dictionary key; "1" is another."""
        grid = CategoricalGrid.fit([1] * 20 + ["1"] * 30 + ["x"] * 40)
        one, text = grid.categories.index(1), grid.categories.index("1")

        assert one != text
        assert grid.locate([1, 1.0, True, np.int8(1), np.float32(1), Decimal(1)]).tolist() == (
            [one] * 6
        )
        assert grid.locate(["1", np.str_("1")]).tolist() == [text] * 2

    @given(st.lists(st.sampled_from(["a", "1", "new", 1, 0, True, None]), max_size=20))
    def test_plain_values_have_the_cells_of_any_others(self, values):
        """Texts, integers and None are located alike with and without a float beside them."""
        grid = CategoricalGrid.fit(["a"] * 20 + ["1"] * 20 + [1] * 20)

        assert grid.locate(values).tolist() == grid.locate([*values, 0.5])[:-1].tolist()

    def test_infinities_are_categories(self):
        """Infinities among categories are unseen values, not part of the most frequent category."""
        grid = CategoricalGrid.fit(["a"] * 20 + ["b"] * 30)

        assert grid.locate([math.inf, -math.inf, "b"]).tolist() == [2, 2, 0]

    def test_high_cardinality_is_counted_on_other_rows_than_it_was_chosen_on(self):
        """Where over 1% of rows are pooled, half of the rows choose and the others are counted."""
        rng = np.random.default_rng(0)
        values = [str(value) for value in rng.zipf(1.3, 4000)]
        grid = CategoricalGrid.fit(values)

        assert grid.mass.sum() == 2000
        assert grid.mass[-1] > 0
        assert all(values.count(name) >= 10 for name in grid.categories)

    @pytest.mark.parametrize("min_count", [1, 3, 10])
    def test_expected_rows_outside_are_those_of_fresh_traffic(self, min_count):
        """Good and Turing's figure is the share of fresh rows outside, and its variance holds."""
        rng = np.random.default_rng(min_count)
        p = np.append(np.full(30, 1 / 30) * 0.997, np.full(60, 0.003 / 60))
        truth, expected, variance = [], [], []
        for _ in range(400):
            values = rng.choice(90, 4000, p=p).tolist()
            grid = CategoricalGrid.fit(values, min_count=min_count)
            assert grid.mass.sum() == 4000
            kept = p[list(grid.categories)].sum()
            truth.append(4000 * (1 - kept))
            expected.append(grid.outside[0])
            variance.append(grid.outside[1])
        errors = np.subtract(expected, truth)

        assert abs(errors.mean()) <= 3 * errors.std() / 20
        assert np.mean(variance) == pytest.approx(np.var(errors), rel=0.25)

    def test_expected_rows_outside(self):
        """They are the rows of categories seen at most `min_count` times, and those of cut ones."""
        seen = {"often": 5000, "eleven": 11, "ten": 10, "nine": 9, "one": 1}
        values = [name for name, count in seen.items() for _ in range(count)]

        assert CategoricalGrid.fit(values).outside == (20, 20 + 110)
        assert CategoricalGrid.fit(values, min_count=1).outside == (1, 1)
        assert CategoricalGrid.fit(values, vocabulary=1).outside == (31, 31)
        assert CategoricalGrid.fit([*values, *"abcdefghijkl" * 9]).outside is None

    def test_vocabulary_is_bounded(self):
        """No more than a thousand categories are kept; the rest shares the last cell."""
        values = [str(i) for i in np.random.default_rng(0).integers(0, 1500, 60_000)]
        grid = CategoricalGrid.fit(values)

        assert len(grid.categories) == 1000
        assert grid.mass[-1] / grid.mass.sum() == pytest.approx(1 / 3, abs=0.02)

    def test_enums_dates_and_ids_count_by_what_they_say(self):
        """An enum counts as its value, a date as its ISO text, a missing value not at all."""

        class Colour(Enum):
            RED = "red"

        class Size(IntEnum):
            SMALL = 1

        grid = CategoricalGrid.fit(["red"] * 10 + ["2024-01-02"] * 10 + [1] * 10)
        cells = grid.locate([Colour.RED, dt.date(2024, 1, 2), Size.SMALL, None, pd.NA, math.nan])

        assert [grid.categories[cell] for cell in cells[:3]] == ["red", "2024-01-02", 1]
        assert cells[3:].tolist() == [MISSING, MISSING, NAN]

    def test_the_rarest_share_the_last_coarse_cell(self):
        """Of many categories the most frequent keep cells of their own and the rest share one."""
        values = [f"{i:02}" for i in range(30) for _ in range(100 - i)]
        joined = CategoricalGrid.fit(values).coarse(16)

        assert joined[:15].tolist() == list(range(15))
        assert set(joined[15:].tolist()) == {15}


class TestKinds:
    @pytest.mark.parametrize(
        ("column", "kind"),
        [
            ([1, 2, 3], "int64"),
            ([1, 2.5], "float64"),
            ([1, None, 3], "int64"),
            (np.array([1.5], np.float32), "float32"),
            (np.array([1.5], np.float16), "float64"),
            (pd.Series([1, None], dtype="Int64"), "int64"),
            (pd.Series([1.5, None]), "float64"),
            ([Decimal("0.1"), 2], "float64"),
            ([None, None], "int64"),
            (np.array(["2024-01-01"], "datetime64[s]"), "time"),
            (pd.Series(pd.to_datetime(["2024-01-01"], utc=True)), "time"),
            ([dt.date(2024, 1, 1), None], "time"),
            (["a", "b"], "categorical"),
            (pd.Series(["a", None]), "categorical"),
            (pd.Series([1, 2], dtype="category"), "categorical"),
            (np.array([True, False]), "categorical"),
            ([True, False, None], "categorical"),
            ([1, "a"], "categorical"),
            ([1, dt.datetime(2024, 1, 1, tzinfo=dt.UTC)], "categorical"),
        ],
    )
    def test_kind_of_a_column(self, column, kind):
        """Numbers and times are numeric, in their own dtype; all else is categorical."""
        grid = fit_grid("x", column)
        found = grid.kind if grid.kind == "categorical" else str(grid.points.dtype)

        assert ("time" if getattr(grid, "time", False) else found) == kind

    @pytest.mark.parametrize(
        "column",
        [[[1], [2]], [{"a": 1}], [b"x"], [1j], np.array([1], "timedelta64[ns]"), [object()]],
        ids=repr,
    )
    def test_a_column_that_cannot_be_counted_is_named(self, column):
        """Lists, mappings, bytes, complex numbers and durations are refused, the column named."""
        with pytest.raises(DataError, match=r"'age'.*leave the column out"):
            fit_grid("age", column)

    def test_times_have_one_cell_in_every_form(self):
        """A moment as numpy, pandas, datetime with or without zone, or ISO text is one point."""
        text = "2024-05-06T07:08:09.123456"
        moment = dt.datetime.fromisoformat(text)
        aware = moment.replace(tzinfo=dt.UTC)
        elsewhere = aware.astimezone(dt.timezone(dt.timedelta(hours=5)))
        grid = fit_grid("t", [aware, aware + dt.timedelta(microseconds=1)])

        forms = [moment, aware, elsewhere, text, pd.Timestamp(aware), np.datetime64(moment)]
        assert grid.locate(forms).tolist() == [1] * 6
        assert grid.locate(np.array([text], "datetime64[ns]")).tolist() == [1]
        assert grid.locate(pd.Series([aware, pd.NaT])).tolist()[1] in {MISSING, NAN}

    def test_a_moment_before_the_epoch_is_rounded_alike(self):
        """Nanoseconds before 1970 are rounded down in an array as in a list."""
        moments = np.array([-1, -999, -1001, 1], "datetime64[ns]")
        grid = NumericGrid.fit(moments, time=True)

        assert grid.points.tolist() == [-2, -1, 0]
        assert grid.locate([pd.Timestamp(moment) for moment in moments]).tolist() == (
            grid.locate(moments).tolist()
        )

    @pytest.mark.parametrize(
        "column",
        [
            [0.1, -0.0, 5e-324, 1e308],
            [2**60, 2**60 + 1],
            np.array([0.1, 3e38], np.float32),
            np.array(["2024-01-01"], "datetime64[us]"),
            ["a", "é", "1"] * 10,
            [*["a", "b"] * 1000, "rare", *["ten"] * 10],
            [True, False, "x", 0.1] * 10,
        ],
        ids=repr,
    )
    def test_plain_form_is_the_same_grid(self, column):
        """A grid read from its JSON-able form is the same, bit for bit."""
        grid = fit_grid("x", column)
        again = grid_from_plain(grid.to_plain())

        assert again.fingerprint == grid.fingerprint
        assert again.locate(list(column)).tolist() == grid.locate(list(column)).tolist()
