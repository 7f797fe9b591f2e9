"""Scores of coarse counts: near 0 while nothing changes, and named in plain words."""

from __future__ import annotations

import numpy as np
import pytest

from mlwatch.profile import Distribution, fit_grid
from mlwatch.profile.coarse import condense
from mlwatch.sequential.scores import rank_weights, streams


def of(values, **options):
    """Return the streams of a feature, by group, and its coarse counts."""
    grid = fit_grid("x", values, **options)
    reference = Distribution.count("x", grid, values)
    return {stream.group: stream for stream in streams(reference)}, condense(reference)


MASSES = {
    "equal": [100] * 16,
    "skewed": [1, 5, 900, 30, 2, 7, 400, 3, 1, 1],
    "with empty cells": [0, 300, 0, 200, 0, 100, 0],
    "three": [10, 5, 3],
    "two": [70, 30],
    "two among empty": [0, 70, 0, 30, 0],
}


@pytest.mark.parametrize("mass", MASSES.values(), ids=MASSES)
def test_location_and_scale_are_standardized_on_the_reference(mass):
    """By the exact weighted sums each score has mean 0 and variance 1, and they do not overlap."""
    share = np.array(mass) / np.sum(mass)
    weights = rank_weights(np.array(mass, float))

    assert weights.shape[1] == (2 if np.count_nonzero(mass) > 2 else 1)
    assert share @ weights == pytest.approx(0, abs=1e-12)
    assert (weights.T * share) @ weights == pytest.approx(np.eye(weights.shape[1]), abs=1e-12)


def test_location_grows_upwards_and_scale_outwards():
    """Rows that move up make "higher" larger, rows that move outwards make "wider" larger."""
    found, mass = of(np.arange(3200.0))
    stream = found["values"]
    up, out = np.zeros((2, len(mass)), np.int64)
    up[-3], out[[1, -3]] = 9, 9
    higher, wider = stream.score(np.array([mass, up, out])).T

    assert stream.names == ("higher", "wider")
    assert stream.ordered
    assert (higher[0], wider[0]) == pytest.approx((0, 0), abs=1e-12)
    assert higher[1] > 1.5
    assert higher[2] == pytest.approx(0, abs=1e-9)
    assert wider[2] > 1.5


@pytest.mark.parametrize("values", [np.arange(3200.0), np.arange(40.0)])
def test_what_lies_beyond_the_reference_is_told_from_its_edge(values):
    """To the ranks they are one; nearly all rows of a pane have to lie beyond, on either side."""
    found, mass = of(values)
    edge, below, both, fewer = np.zeros((4, len(mass)), np.int64)
    edge[1], below[0] = 10, 10
    both[[0, -2, 5]] = 60, 32, 8
    fewer[[0, -2, 5]] = 60, 29, 11
    stream = found["values"]
    panes = np.array([edge, below, both, fewer, 0 * edge])

    assert stream.score(panes[:2])[:, 0] == pytest.approx(-1.7, abs=0.1)
    assert stream.beyond(panes).tolist() == [False, True, True, False, False]


def test_the_variance_is_one_over_the_rows():
    """Of independent rows the variance of every score is that of chance alone, 1 / rows."""
    rng = np.random.default_rng(0)
    rows = 400
    ordered, mass = of(rng.normal(size=20_000))
    classes, shares = of(list("aaaaaabbbc") * 400)
    for found, counts in ((ordered, mass), (classes, shares)):
        panes = rng.multinomial(rows, counts / counts.sum(), size=4000)
        scores = found["values"].score(panes)
        used = (
            [i for i, n in enumerate(counts[: scores.shape[1]]) if n]
            if not found["values"].ordered
            else [0, 1]
        )
        assert scores[:, used].var(axis=0) * rows == pytest.approx(1, abs=0.12)


def test_shares_are_on_the_arcsine_scale():
    """The score of a category is 2 arcsin(sqrt(p)) less that of the reference."""
    found, counts = of(list("aaabbc") * 50)
    pane = np.array([[6, 3, 1, 0, 0]])
    expected = 2 * np.arcsin(np.sqrt([0.6, 0.3, 0.1, 0.0]))
    expected -= 2 * np.arcsin(np.sqrt(counts[:-1] / 300))

    assert found["values"].score(pane)[0] == pytest.approx(expected, abs=1e-12)
    assert found["values"].names == ("rows of 'a'", "rows of 'b'", "rows of 'c'", "other values")


def test_the_absent_are_a_share_of_all_rows():
    """Missing values are scored against all rows, values among those that are there."""
    found, _ = of([1.0] * 50 + [2.0] * 40 + [None] * 10)
    pane = np.array([[0, 30, 30, 0, 40]])[:, : len(of([1.0] * 50 + [2.0] * 40)[1])]
    pane[0, -1] = 40
    total, present = pane.sum(), pane[0, :-1].sum()
    expected = 2 * (np.arcsin(np.sqrt(40 / total)) - np.arcsin(np.sqrt(0.1)))

    assert found["absent"].names == ("missing values",)
    assert found["absent"].score(pane)[0] == pytest.approx([expected], abs=1e-12)
    assert (found["absent"].rows(pane)[0], found["values"].rows(pane)[0]) == (total, present)


def test_a_constant_that_comes_alive_has_a_score():
    """A feature that never varied is scored by where its values go, and says so in words."""
    found, counts = of([7.0] * 300)
    stream = found["values"]
    below, same, above = np.eye(len(counts), dtype=np.int64)[:3] * 50
    scores = stream.score(np.array([below, same, above]))

    assert not stream.ordered
    assert stream.names == ("values below 7", "rows of 7", "values above 7")
    assert scores[1] == pytest.approx(0, abs=1e-12)
    assert scores[0] == pytest.approx([np.pi, -np.pi, 0])
    assert scores[2] == pytest.approx([0, -np.pi, np.pi])


@pytest.mark.parametrize("ones", [1, 50, 99])
def test_two_values_are_watched_like_categories(ones):
    """What is neither of a flag's two values has a score, below, above and in between."""
    values = [0] * (100 - ones) + [1] * ones
    found, counts = of(values)
    stream = found["values"]
    half = condense(Distribution.count("x", fit_grid("x", values), [0.5] * 10))

    assert not stream.ordered
    assert stream.names == (
        "values below 0", "rows of 0", "values in between", "rows of 1", "values above 1",
    )  # fmt: skip
    assert stream.score(counts[None, :])[0] == pytest.approx(np.zeros(5), abs=1e-12)
    assert stream.score(half[None, :])[0, 2] == pytest.approx(np.pi)


@pytest.mark.parametrize("time", ["2024-05-01T12:00:00", "20000-01-01T00:00:00"])
def test_a_time_is_told_as_a_time(time):
    """A time that never varied is named as it is written, not in microseconds."""
    found, _ = of(np.full(50, np.datetime64(time, "us")))

    assert found["values"].names[1] == f"rows of {time}"


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([2**62 + 1, 2**62 + 2], ["rows of 4611686018427387905", "rows of 4611686018427387906"]),
        ([0.1, 1e300], ["rows of 0.1", f"rows of {10**300:.0f}"]),
        ([-1.0, 1.0000001], ["rows of -1", "rows of 1.0000001"]),
    ],
)
def test_no_two_values_are_named_alike(values, names):
    """A value is named by all of its digits."""
    found, _ = of(np.array(values * 20))

    assert list(found["values"].names[1::2]) == names


def test_a_feature_without_values_has_nothing_but_its_absence():
    """Of a column that was never there its coming back is seen, as fewer missing values."""
    found, counts = of([None] * 50)

    assert counts.tolist() == [*[0] * (len(counts) - 1), 50]
    assert len(found["values"].names) == len(counts) - 1
    assert found["absent"].score(counts[None, :])[0] == pytest.approx([0])


def test_of_many_categories_the_most_frequent_are_named():
    """The rarest categories go together, apart from what is of no category of the reference."""
    found, counts = of([f"c{i}" for i in range(40) for _ in range(100 - i)])
    names = found["values"].names

    assert len(names) == len(counts) - 1 == 17
    assert names[0] == "rows of 'c0'"
    assert names[-2:] == ("rare values", "other values")
    assert len(set(names)) == 17


@pytest.mark.parametrize("categories", [3, 40])
def test_the_unseen_are_a_share_of_the_values_that_are_there(categories):
    """On the scale of arcsines, whatever the vocabulary; of numbers nothing is unseen."""
    values = [f"c{i}" for i in range(categories) for _ in range(50)]
    found, mass = of(values)
    reference = Distribution.count("x", fit_grid("x", values), values)
    now = [*values, *["new", "newer"] * 200, *[None] * 100]
    pane = condense(Distribution.count("x", reference.grid, now))[None, :]
    expected = 2 * np.arcsin(np.sqrt(400 / (len(values) + 400)))

    assert found["unseen"].score(mass[None, :])[0] == pytest.approx([0], abs=1e-12)
    assert found["unseen"].score(pane)[0] == pytest.approx([expected], abs=1e-12)
    assert found["unseen"].rows(pane)[0] == len(values) + 400
    assert "unseen" not in of([1, 2, 3])[0]


def test_streams_are_known_by_what_is_watched():
    """Each feature has two streams, of unlike keys; a slash in a name confuses nothing."""
    keys = [
        stream.key
        for name in ("x", "absent/x", "values")
        for stream in streams(Distribution.count(name, fit_grid(name, [1, 2]), [1, 2]))
    ]
    assert len(set(keys)) == 6
