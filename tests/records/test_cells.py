"""Tallies of many cells: arrays that read and add like dicts."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlwatch.profile import Distribution, fit_grid
from mlwatch.records import Cells, add_tallies, pack, sum_tallies

NAMES = st.one_of(
    st.integers(0, 120).map(str), st.sampled_from(["missing", "nan", "01", "-3", "1000", "٣", ""])
)
COUNTS = st.one_of(st.integers(-20, 300), st.sampled_from([2**39, -(2**41), 2**70]))
TALLY = st.dictionaries(NAMES, COUNTS.filter(bool), max_size=110)
DENSE = st.integers(32, 90).flatmap(
    lambda n: st.lists(st.integers(1, 900), min_size=n, max_size=n).map(
        lambda counts: {str(cell): count for cell, count in enumerate(counts)}
    )
)
MIXED = st.lists(st.one_of(TALLY, DENSE), max_size=6)


def summed(several):
    """Count by hand."""
    total = Counter()
    for tally in several:
        for name, count in tally.items():
            total[name] += count
    return {name: count for name, count in total.items() if count}


@given(st.one_of(TALLY, DENSE))
def test_packed_a_tally_reads_as_before(tally):
    """Whatever form it is kept in, names, counts, length and equality are those of the dict."""
    packed = pack(tally)
    assert packed == tally
    assert (len(packed), sorted(packed), bool(packed)) == (len(tally), sorted(tally), bool(tally))
    assert sorted(packed.values()) == sorted(tally.values())
    assert {name: packed[name] for name in packed} == tally
    assert all(type(count) is int for count in packed.values())
    assert packed.get("no such cell") is None
    assert packed.get("999") is None


@given(MIXED)
def test_any_forms_add_to_the_same_sum(several):
    """Dicts and arrays add up to what counting by hand gives, and leave no zero."""
    for forms in (several, [pack(tally) for tally in several]):
        total: dict = {}
        for tally in forms:
            add_tallies(total, {"x": tally})
        found = total.get("x", {})
        assert found == summed(several)
        assert all(found.values())
        assert sum_tallies([{"x": tally} for tally in forms]) == total
        for tally in forms:
            add_tallies(total, {"x": tally}, sign=-1)
        assert total == {}


def test_only_what_is_large_and_dense_is_an_array():
    """Few cells, cells far apart and counts beyond 2**40 stay a dict."""
    many = {str(cell): 1 for cell in range(64)}
    assert type(pack(many)) is Cells
    assert type(pack({str(cell): 1 for cell in range(31)})) is dict
    assert type(pack({str(9 * cell): 1 for cell in range(64)})) is dict
    assert type(pack({f"label {cell}": 1 for cell in range(64)})) is dict
    assert type(pack(many | {"3": 2**40})) is dict


def test_an_array_is_not_changed_by_a_sum():
    """A sum is a new array: what was added to is still what it was."""
    packed = pack({str(cell): 1 for cell in range(64)})
    total: dict = {}
    for _ in range(3):
        add_tallies(total, {"x": packed})
    assert packed == {str(cell): 1 for cell in range(64)}
    assert total["x"]["63"] == 3


def test_an_unknown_cell_is_a_key_error():
    """A cell that counts 0 is not there, as in a dict."""
    packed = pack({str(2 * cell): 1 for cell in range(64)} | {"missing": 2})
    assert packed["missing"] == 2
    for name in ("1", "400", "nan"):
        with pytest.raises(KeyError, match=name):
            packed[name]
    assert repr(packed).startswith("{'0': 1, '2': 1")


def test_a_distribution_is_read_from_either_form():
    """The distribution of an array of cells is that of the dict."""
    values = np.random.default_rng(0).normal(size=3000)
    grid = fit_grid("x", values)
    tally = Distribution.count("x", grid, [*values[:900], None, "a", np.inf]).to_tally()
    assert type(pack(tally)) is Cells
    packed = Distribution.from_tally("x", grid, pack(tally))
    assert packed == Distribution.from_tally("x", grid, tally)
    assert (packed.missing, packed.wrong_kind, packed.positive_infinity) == (1, 1, 1)
