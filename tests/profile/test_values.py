"""What a raw value is."""

from __future__ import annotations

import math
from decimal import Decimal
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.profile.columns import MIXED, ODD

from mlwatch.errors import DataError
from mlwatch.profile.values import (
    MISSING,
    NAN,
    NEGATIVE_INFINITY,
    POSITIVE_INFINITY,
    WRONG_KIND,
    category,
    is_missing,
    kinds,
    listed,
    numbers,
    require_column,
)


@pytest.mark.parametrize("value", [None, pd.NA, pd.NaT])
def test_missing_values(value):
    """None, pandas.NA and NaT are missing."""
    assert is_missing(value)


@pytest.mark.parametrize("value", [math.nan, 0, "", False, "NaT"])
def test_values_that_are_there(value):
    """NaN, zero, the empty text and False are values, not missing ones."""
    assert not is_missing(value)


@given(MIXED)
def test_numbers_of_a_list_are_those_of_its_values(values):
    """A number and its code do not depend on what else the list holds."""
    found, codes = numbers(values, time=False)

    for value, number, code in zip(values, found.tolist(), codes, strict=True):
        (alone,), (its_code,) = numbers([value], time=False)
        assert code == its_code
        if code == 0:
            assert number == alone == min(max(float(value), -1.8e308), 1.8e308) or number == value


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (math.nan, NAN),
        (Decimal("NaN"), NAN),
        (Decimal("sNaN"), NAN),
        (np.float32("nan"), NAN),
        (math.inf, POSITIVE_INFINITY),
        (-math.inf, NEGATIVE_INFINITY),
        (Decimal("-Infinity"), NEGATIVE_INFINITY),
        (None, MISSING),
        (pd.NaT, MISSING),
        (np.datetime64("NaT", "ns"), MISSING),
        ("1", WRONG_KIND),
        (np.datetime64(1, "ns"), WRONG_KIND),
        (np.timedelta64(1, "ns"), WRONG_KIND),
        (1j, WRONG_KIND),
    ],
    ids=repr,
)
def test_codes_of_numbers(value, code):
    """What is no finite number is told apart by its kind."""
    assert numbers([value], time=False)[1].tolist() == [code]


def test_integers_too_large_for_float64_are_the_largest_numbers():
    """An integer of a thousand digits counts as the largest number of its sign, not as infinite."""
    found, codes = numbers([10**1000, -(10**1000), 0.5], time=False)

    assert codes.tolist() == [0, 0, 0]
    assert found.tolist() == [1.7976931348623157e308, -1.7976931348623157e308, 0.5]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", ("a", 0)),
        (np.str_("a"), ("a", 0)),
        (True, (True, 0)),
        (np.int64(3), (3, 0)),
        (2.5, (2.5, 0)),
        (math.inf, ("inf", 0)),
        (Decimal("-Infinity"), ("-inf", 0)),
        (math.nan, (0, NAN)),
        (None, (None, MISSING)),
        (UUID(int=1), ("00000000-0000-0000-0000-000000000001", 0)),
        (np.datetime64("2024-01-01", "ns"), ("2024-01-01T00:00:00", 0)),
        (np.timedelta64(1, "ns"), (None, WRONG_KIND)),
        ([1], (None, WRONG_KIND)),
        (b"x", (None, WRONG_KIND)),
    ],
    ids=repr,
)
def test_categories(value, expected):
    """A category is a text, a number or a boolean; other values count by what they say."""
    assert category(value) == expected


@pytest.mark.parametrize("value", ODD, ids=repr)
def test_any_value_has_a_category_or_a_code(value):
    """Every value is a category that can be a dictionary key, or counted apart."""
    name, code = category(value)

    assert code < 0 or hash(name) is not None


def test_kinds_of_values():
    """Numbers, times, categories and the rest are told apart; missing values are of no kind."""
    assert kinds([1, 2.5, Decimal(1), np.int8(1)]) == {"number"}
    assert kinds([True, "a"]) == {"category"}
    assert kinds([np.datetime64("2024-01-01")]) == {"time"}
    assert kinds([np.timedelta64(1, "s"), [1]]) == {"other"}
    assert kinds([None, math.nan, pd.NA]) == set()


@given(st.lists(st.floats() | st.none() | st.text(max_size=3), max_size=10))
def test_listed_keeps_python_objects(values):
    """A list, a tuple, an object array and a Series of objects give the same Python values."""
    column = pd.Series(values, dtype=object)

    for form in (values, tuple(values), column, column.to_numpy()):
        assert repr(list(listed(form))) == repr(values)


@pytest.mark.parametrize(
    "column", ["text", 5, None, np.zeros((2, 2)), np.float64(1), pd.DataFrame({"a": [1]})], ids=str
)
def test_what_is_no_column_is_named(column):
    """A scalar, a text or a table in place of a column is refused with the column's name."""
    with pytest.raises(DataError, match="'age'"):
        require_column("age", column)
