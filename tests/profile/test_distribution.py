"""Distributions: counts that add."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp
from tests.profile.columns import MIXED, NUMBERS

from mlwatch.detectors import KSDetector
from mlwatch.errors import GridMismatchError
from mlwatch.profile import CategoricalGrid, Distribution, NumericGrid, fit_grid

GRIDS = {
    "float64": NumericGrid.fit([0.1, 0.5, -2.0, 1e300]),
    "int64": NumericGrid.fit([-3, 0, 2, 2**53 + 1]),
    "float32": NumericGrid.fit(np.array([0.1, 0.5], np.float32)),
    "empty": NumericGrid.fit([]),
    "category": CategoricalGrid.fit(["a"] * 20 + ["1"] * 20 + [1] * 20 + ["rare"]),
}
KINDS = st.sampled_from(sorted(GRIDS))


def count(kind: str, values: list) -> Distribution:
    return Distribution.count("x", GRIDS[kind], values)


@given(KINDS, st.lists(MIXED, min_size=2, max_size=4), st.randoms(use_true_random=False))
def test_counts_of_parts_add_to_those_of_the_whole(kind, parts, random):
    """Counts add to the integer, in any split, order and permutation, through save and load."""
    whole = count(kind, [value for part in parts for value in part])
    random.shuffle(parts)
    total = count(kind, [])
    for part in parts:
        random.shuffle(part)
        stored = json.loads(json.dumps(count(kind, part).to_tally()))
        total += Distribution.from_tally("x", GRIDS[kind], stored)

    assert total == whole
    assert total.to_tally() == whole.to_tally()
    assert total.total == sum(map(len, parts))


@given(KINDS, MIXED, MIXED)
def test_subtraction_takes_back_what_was_added(kind, a, b):
    """What was added can be taken away again, to the integer."""
    assert count(kind, a + b) - count(kind, b) == count(kind, a)


@given(KINDS, MIXED)
def test_every_value_is_counted_once(kind, values):
    """Comparable, absent and wrong values add up to all of them."""
    found = count(kind, values)

    assert found.total == len(values) == found.n + found.absent + found.wrong_kind
    assert (
        found.ordered.sum()
        == found.cells(4).sum()
        == found.n
        == found.weights.sum() + found.infinite
    )


@given(KINDS, MIXED, MIXED, st.integers(1, 20))
def test_coarse_cells_add(kind, a, b, k):
    """Coarse cells of merged counts are the merged coarse cells, at most k of them."""
    merged = count(kind, a) + count(kind, b)

    assert merged.cells(k).tolist() == (count(kind, a).cells(k) + count(kind, b).cells(k)).tolist()
    assert len(merged.cells(k)) <= k


def test_counts_of_other_grids_do_not_add():
    """Counts made on another grid, or of another feature, are refused, and the message says why."""
    one = Distribution.count("x", NumericGrid.fit([1.0, 2.0]), [1.0])
    for other in (
        Distribution.count("x", NumericGrid.fit([1.0, 2.5]), [1.0]),
        Distribution.count("x", NumericGrid.fit(np.array([1, 2])), [1]),
        Distribution.count("x", NumericGrid.fit([1.0, 1.0, 2.0]), [1.0]),
        Distribution.count("x", GRIDS["category"], ["a"]),
        Distribution.count("y", NumericGrid.fit([1.0, 2.0]), [1.0]),
    ):
        assert one != other
        with pytest.raises(GridMismatchError, match="count both with one reference"):
            one + other
        with pytest.raises(GridMismatchError):
            one - other


def test_kinds_of_absence():
    """Missing, NaN, infinite, unseen and wrong values have figures of their own."""
    numbers = count("float64", [0.1, None, math.nan, math.nan, math.inf, -math.inf, "x", [1]])
    names = count("category", ["a", None, math.nan, "new", "rare", math.inf, b"x"])

    assert (numbers.n, numbers.missing, numbers.nan, numbers.absent) == (3, 1, 2, 3)
    assert (numbers.infinite, numbers.unseen, numbers.wrong_kind) == (2, 0, 2)
    assert (names.n, names.missing, names.nan) == (4, 1, 1)
    assert (names.infinite, names.unseen, names.wrong_kind) == (0, 3, 1)


@given(st.lists(st.floats(allow_nan=False) | st.integers(-(2**62), 2**62), min_size=1, max_size=30))
def test_values_and_weights_are_the_sample_where_all_values_are_points(values):
    """Repeating `values` by `weights` gives the sample back, in order, when each is a point."""
    grid = fit_grid("x", values)
    found = Distribution.count("x", grid, values)

    assert found.values.tolist() == sorted(found.values.tolist())
    if grid.points.dtype == np.float64:
        finite = sorted(float(value) for value in values if math.isfinite(value))
        assert np.repeat(found.values, found.weights).tolist() == finite


def test_middles_of_gaps_do_not_overflow():
    """The middle between the smallest and the largest float is finite and warns of nothing."""
    found = Distribution.count("x", NumericGrid.fit([-1.7e308, 1.7e308]), [0.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert found.values[2] == 0.0


def test_weighted_sample_has_the_mean_of_the_rows():
    """On 255 points the weighted sample of 20,000 rows has their mean to a hundredth of an sd."""
    rng = np.random.default_rng(0)
    grid = NumericGrid.fit(rng.normal(size=20_000))
    current = rng.normal(0.3, 1, 5000)
    found = Distribution.count("x", grid, current)

    assert np.average(found.values, weights=found.weights) == pytest.approx(
        current.mean(), abs=0.01
    )


def test_infinities_join_the_outermost_cells_of_numbers():
    """In coarse cells -inf counts as the smallest number and +inf as the largest."""
    grid = NumericGrid.fit(np.random.default_rng(0).normal(size=1000))
    found = Distribution.count("x", grid, [math.inf, math.inf, -math.inf])

    assert found.cells(4).tolist() == [1, 0, 0, 2]


@given(st.lists(NUMBERS, max_size=20))
def test_monotone_transforms_change_no_count(values):
    """Doubling both samples, exactly, leaves all counts, and so all ranks, as they are."""
    reference = [float(value) for value in range(-20, 20)]
    finite = [float(value) for value in values if abs(value) < 1e150 and abs(value) > 1e-150]
    plain = Distribution.count("x", NumericGrid.fit(reference), finite)
    doubled = Distribution.count(
        "x", NumericGrid.fit([2 * value for value in reference]), [2 * value for value in finite]
    )

    assert plain.to_tally() == doubled.to_tally()


def test_traffic_is_cast_to_the_dtype_of_the_reference():
    """Values rounded to a tenth, float32 in the reference and float64 in traffic, show no drift."""
    rng = np.random.default_rng(0)
    past, seen = (np.round(rng.normal(size=n), 1) for n in (20_000, 5000))
    grid = NumericGrid.fit(past.astype(np.float32))
    current = Distribution.count("x", grid, seen)

    assert current == Distribution.count("x", grid, seen.astype(np.float32))
    assert current.counts[::2].sum() <= 5  # all but new extremes fall on points
    raw = ks_2samp(past.astype(np.float32).astype(np.float64), seen).statistic
    found = KSDetector().detect(Distribution("x", grid, grid.mass), current)
    assert found.statistic < 0.02
    assert raw > 0.03


@pytest.mark.parametrize("k", [10, 16])
def test_coarse_cells_are_merged_cells(k):
    """Each coarse cell is the sum of the neighbouring cells it joins, about 1/k of the rows."""
    grid = NumericGrid.fit(np.random.default_rng(0).normal(size=10_000))
    found = Distribution("x", grid, grid.mass)
    cuts = np.flatnonzero(np.diff(grid.coarse(k))) + 1

    assert found.cells(k).tolist() == [int(part.sum()) for part in np.split(found.counts, cuts)]
    assert np.abs(found.cells(k) - 10_000 / k).max() < 80
