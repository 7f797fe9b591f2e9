"""Sums of rank codes: correlations that add."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mlwatch.errors import GridMismatchError
from mlwatch.profile import Profile, RankCodes, fit_grid
from mlwatch.profile.codes import coded

RNG = np.random.default_rng(0)
TRAIN = {
    "amount": RNG.lognormal(size=2000),
    "few": RNG.integers(0, 3, 2000),
    "city": RNG.choice(["Bonn", "Ulm"], 2000),
    "hours": RNG.gamma(2.0, size=2000),
    "when": np.datetime64("2024-01-01", "s") + RNG.integers(0, 10**6, 2000),
}
GRIDS = {name: fit_grid(name, column) for name, column in TRAIN.items()}
FEATURES = ("amount", "few", "hours")
VALUES = st.floats(0, 9) | st.sampled_from([None, np.nan, np.inf, -np.inf, "text"])
ROWS = st.lists(st.tuples(VALUES, st.integers(-1, 4) | st.none(), VALUES), max_size=40)


def columns(rows: list[tuple]) -> dict[str, list]:
    named = {name: [row[i] for row in rows] for i, name in enumerate(FEATURES)}
    return {**named, "city": ["Ulm"] * len(rows), "when": [None] * len(rows)}


def counted(rows: list[tuple]) -> RankCodes:
    return Profile.count(GRIDS, columns(rows)).codes


def by_hand(rows: list[tuple]) -> np.ndarray:
    """Return the code of each value, one by one; NaN where there is none."""
    codes = np.full((len(rows), len(FEATURES)), np.nan)
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            joined = GRIDS[FEATURES[j]].coarse(16)
            last = joined.max()
            cell = int(GRIDS[FEATURES[j]].locate([value])[0])
            if cell >= 0:
                codes[i, j] = 2 * joined[cell] - last
            elif value in (np.inf, -np.inf):
                codes[i, j] = np.sign(value) * last
    return codes


def test_features_with_codes():
    """Numbers have codes, the first hundred of them; categories and times have none."""
    many = {f"x{i}": GRIDS["amount"] for i in range(150)}

    assert counted([]).features == coded(GRIDS) == FEATURES
    assert coded(many) == tuple(many)[:100]


@given(ROWS)
def test_correlations_are_those_of_the_codes(rows):
    """Each r is numpy's corrcoef of the codes over the rows that hold both, to 1e-12."""
    codes = by_hand(rows)
    r, n = counted(rows).correlations()

    for j in range(len(FEATURES)):
        for k in range(len(FEATURES)):
            both = codes[~np.isnan(codes[:, [j, k]]).any(axis=1)]
            assert n[j, k] == len(both)
            if not len(both) or np.ptp(both[:, j]) == 0 or np.ptp(both[:, k]) == 0:
                assert np.isnan(r[j, k])
            else:
                expected = np.corrcoef(both[:, j], both[:, k])[0, 1]
                assert r[j, k] == pytest.approx(expected, abs=1e-12)


def test_correlations_are_close_to_spearmans():
    """On sixteen cells r is Spearman's rank correlation to a hundredth."""
    x, e = RNG.normal(size=(2, 20_000))
    frame = {"x": np.exp(3 * x), "y": (x + e) ** 3}
    grids = {name: fit_grid(name, column) for name, column in frame.items()}
    r, _ = Profile.count(grids, frame).codes.correlations()

    assert r[0, 1] == pytest.approx(stats.spearmanr(frame["x"], frame["y"]).statistic, abs=0.01)


@given(ROWS, ROWS)
def test_codes_add(a, b):
    """Sums of two parts add to those of the whole, in any order, and can be taken away again."""
    both = counted(a) + counted(b)

    assert both == counted(a + b) == counted(b + a)
    assert both.rows == len(a) + len(b)
    assert both - counted(b) == counted(a)


@given(ROWS)
def test_a_tally_is_the_sums(rows):
    """What a pane keeps of the sums reads back as the same, through JSON."""
    found = counted(rows)

    assert RankCodes.from_tally(FEATURES, json.loads(json.dumps(found.to_tally()))) == found


def test_complete_rows_cost_one_integer_a_pair():
    """Without missing values a tally holds rows, sums and products, and no more."""
    rng = np.random.default_rng(1)
    frame = {f"x{i}": rng.normal(size=500) for i in range(20)}
    grids = {name: fit_grid(name, column) for name, column in frame.items()}
    keys = Profile.count(grids, {name: column[:301] for name, column in frame.items()}).to_tallies()

    assert len(keys["codes"]) <= 20 * 21 // 2 + 20 + 1
    assert {key.split("/")[0] for key in keys["codes"]} == {"rows", "s", "c"}


def test_sums_of_many_rows_are_exact():
    """Sums over more rows than one block holds, or than 64 bits would square, are exact."""
    codes = np.full((200_000, 2), 15, np.int8)
    codes[::3, 1] = -15
    found = RankCodes.count(("a", "b"), codes)
    for _ in range(12):
        found += found
    r, n = found.correlations()

    assert found.products[0].tolist() == [4096 * 200_000 * 225, 4096 * 225 * (200_000 - 2 * 66_667)]
    assert n[0, 1] == 4096 * 200_000
    assert np.isnan(r[0, 1])
    assert r[1, 1] == pytest.approx(1, abs=1e-12)


def test_counts_made_elsewhere_have_no_codes():
    """Nobody saw their rows: their codes are of no rows, and add to any others."""
    profile = Profile.count(GRIDS, TRAIN)
    empty = {name: {} for name in GRIDS}
    elsewhere = Profile.from_counts(profile, {**empty, "few": {1: 10}})
    both = profile + elsewhere

    assert (elsewhere.rows, elsewhere.codes.rows) == (10, 0)
    assert (both.rows, both.codes) == (2010, profile.codes)
    assert elsewhere + profile == both
    assert both - profile == elsewhere
    assert "codes" not in elsewhere.to_tallies()


def test_codes_of_other_features_do_not_add():
    """Sums over other features are refused, and the message names both."""
    with pytest.raises(GridMismatchError, match=r"'few'.*'age'.*count both with one reference"):
        counted([]) + RankCodes.empty(("age",))
