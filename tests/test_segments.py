"""Which segment a value belongs to, and what it is called."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest

from mlwatch import Reference, Segment
from mlwatch.records import as_segments
from mlwatch.segments import divide, places, read_key

RNG = np.random.default_rng(0)


def names(values, *segments, reference=None, came=None):
    """Return the name of the first segment that each value of feature "f" belongs to."""
    keys = divide(as_segments(segments), reference, {} if came is None else came)
    return [read_key(keys({"f": value}, value)[0])[1] for value in values]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (-5, "f<12"),
        (11.999, "f<12"),
        (12, "12<=f<24.5"),
        (12.0, "12<=f<24.5"),
        (24.5, "24.5<=f"),
        (2**80, "24.5<=f"),
        (10**400, "24.5<=f"),
        (-(10**400), "f<12"),
        (float("inf"), "24.5<=f"),
        (float("-inf"), "f<12"),
        (True, "f<12"),
        (Decimal(13), "12<=f<24.5"),
        (np.float32(13), "12<=f<24.5"),
        (None, "f=missing"),
        (float("nan"), "f=missing"),
        ("13", "f=other"),
        ([13], "f=other"),
        ({}, "f=other"),
        (datetime(2024, 1, 1, tzinfo=UTC), "f=other"),
    ],
)
def test_bins(value, name):
    """A number is in the bin that begins at or below it; what is no number is apart."""
    assert names([value], Segment("f", bins=(12, 24.5))) == [name]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("Month-to-month", "f=Month-to-month"),
        ("", "f="),
        ("a/b%2F", "f=a/b%2F"),
        (3, "f=3"),
        (3.0, "f=3"),
        (2.5, "f=2.5"),
        (True, "f=True"),
        (None, "f=missing"),
        (float("nan"), "f=missing"),
        (float("inf"), "f=inf"),
        ([1], "f=other"),
        pytest.param(10**5000, "f=other", id="too long to be shown"),
    ],
)
def test_values(value, name):
    """A value is called by itself; one that is missing, or no value, is apart."""
    assert names([value], "f") == [name]


def test_a_name_is_short_and_on_one_line():
    """Texts of any length and any characters get names of their own that cannot break out."""
    hostile = ["x" * 10_000, "x" * 10_001, "a\nb", "a\\nb", "\x1b[31m", "\ud800", "é", "\u202e"]
    found = names(hostile, "f")

    assert len(set(found)) == len(hostile)
    assert all(len(name) < 70 and name.isprintable() for name in found)
    assert found[6] == "f=é"


def test_at_most_fifty_values_are_told_apart():
    """Of a thousand values the fifty that came first have a name, and stay those."""
    came = {}
    first = names(map(str, range(1000)), "f", came=came)
    again = names(map(str, range(999, -1, -1)), "f", came=came)

    assert first == [f"f={i}" for i in range(50)] + ["f=other"] * 950
    assert again[::-1] == first
    assert came == {"f": [f"f={i}" for i in range(50)]}


def test_places_are_shared_out():
    """Bins and values take theirs, and what is open takes equal parts of the rest."""
    segments = as_segments(("a", "b", Segment("c", bins=(1, 2)), Segment("d", values=("x", "y"))))
    keys = divide(segments, None, {})
    found = [keys(dict.fromkeys("abcd", str(i)), None) for i in range(100)]
    counted = {label: {key[place] for key in found} for place, label in enumerate("abcd")}

    assert places(segments) == (50 - 3 - 2) // 2 == 22
    assert [len(names) for names in counted.values()] == [23, 23, 1, 1]


def test_the_values_of_the_reference_have_their_places():
    """They are told apart whatever comes first, the most frequent where there are too many."""
    many = Reference.fit({"f": np.repeat([f"v{i:02}" for i in range(60)], range(100, 40, -1))})
    few = Reference.fit({"f": np.repeat(["yes", "no"], 50)})
    strangers = [f"new {i}" for i in range(60)]

    assert names([*strangers, "v00", "v49", "v50"], "f", reference=many) == (
        ["f=other"] * 60 + ["f=v00", "f=v49", "f=other"]
    )
    found = names([*strangers, "yes", "no"], "f", reference=few)
    assert found[:48] == [f"f=new {i}" for i in range(48)]
    assert found[48:] == ["f=other"] * 12 + ["f=yes", "f=no"]


def test_one_value_has_one_name():
    """1, 1.0 and True are one value, called as the reference or the declaration calls it."""
    flags = Reference.fit({"f": RNG.random(100) < 0.5})
    numbers = Reference.fit({"f": RNG.integers(0, 3, 100)})

    assert names([1, 1.0, True], "f", reference=flags) == ["f=True"] * 3
    assert names([1, 1.0, True], "f", reference=numbers) == ["f=1"] * 3
    assert names([1, 1.0, True, 7], Segment("f", values=(1,))) == ["f=1"] * 3 + ["f=other"]


def test_the_segment_of_the_record():
    """It is no feature: a reference with a feature of that name has no part in it."""
    reference = Reference.fit({"segment": ["x"] * 50})
    keys = divide(as_segments((Segment(),)), reference, {})

    assert read_key(keys({"segment": "x"}, "eu")[0]) == ("segment", "segment=eu")
    assert read_key(keys({}, None)[0]) == ("segment", "segment=missing")
