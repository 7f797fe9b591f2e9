"""Coarse counts by the hour: they add, they are those of the grid, and they are kept exactly."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from mlwatch import DataError, Reference
from mlwatch.profile import Distribution, NumericGrid, fit_grid
from mlwatch.profile.coarse import (
    CELLS,
    History,
    condense,
    day_of,
    from_tally,
    place,
    to_tally,
)
from mlwatch.records import Pane
from mlwatch.sequential.baseline import SLOT
from mlwatch.spans import DAY, HOUR, floor

START = datetime(2024, 1, 1, tzinfo=UTC)
INFINITY = math.inf

COLUMNS = {
    "numbers": [*range(400), math.nan, INFINITY, -INFINITY, None],
    "floats": np.append(np.random.default_rng(0).normal(size=3000), [math.nan, INFINITY]),
    "constant": [7.0] * 50,
    "nothing": [math.nan] * 50,
    "classes": [*"aaabbc"] * 20 + [None, "z"],
    "many": [str(i % 40) for i in range(4000)],
    "flags": [True, False, None] * 30,
    "times": pd.date_range("2024-01-01", periods=300, freq="h"),
}


@pytest.mark.parametrize("column", COLUMNS)
def test_places_count_like_the_distribution(column):
    """Counting the place of each row gives the condensed counts of the whole column."""
    values = COLUMNS[column]
    grid = fit_grid(column, values)
    places, size = place(grid, values)
    counts = condense(Distribution.count(column, grid, values))

    assert size <= CELLS + 3
    assert np.bincount(places, minlength=size).tolist() == counts.tolist()
    assert counts.sum() == len(values)


def test_infinities_are_outermost_and_what_is_absent_is_last():
    """An infinity counts in the outer cell of its side; None, NaN and texts in the last."""
    grid = NumericGrid.fit(np.arange(1600.0))
    odd = [-INFINITY, -INFINITY, INFINITY, None, math.nan, "text"]
    counts = condense(Distribution.count("x", grid, odd))

    assert counts.tolist() == [2, *[0] * CELLS, 1, 3]


@pytest.mark.parametrize("values", [np.arange(1600.0), np.arange(40), np.array([1, 1, 2])])
def test_what_lies_beyond_the_reference_is_apart_from_its_edge(values):
    """The lowest and the highest value share no cell with what is lower or higher than all."""
    grid = fit_grid("x", values)
    low, high = grid.points[[0, -1]]
    (below, lowest, highest, above), size = place(grid, [low - 1, low, high, high + 1])

    assert (below, above) == (0, size - 2)
    assert 0 < lowest < highest < size - 2


@pytest.mark.parametrize("counts", [[0, 0, 0], [5, 0, 2, 0], [0, 1, 10**12]])
def test_a_tally_gives_back_its_counts(counts):
    """What a pane keeps of coarse counts is read back to the integer, and holds no zeros."""
    tally = to_tally(np.array(counts))

    assert from_tally(tally, len(counts) - 1).tolist() == counts
    assert 0 not in tally.values()


def by_hand(frame, times, reference):
    """Count each hour of a frame with the reference, and condense it."""
    hours = [floor(time, HOUR) for time in times]
    found = {}
    for hour in sorted(set(hours)):
        rows = [place for place, other in enumerate(hours) if other == hour]
        part = {name: [column[i] for i in rows] for name, column in frame.items()}
        counted = reference.count(part)
        found[hour] = {name: condense(it) for name, it in counted.distributions.items()}
    return found


def test_the_history_of_a_reference_is_that_of_its_hours():
    """Rows with timestamps give what counting each hour on the grids gives, in order of time."""
    rng = np.random.default_rng(1)
    frame = {
        "x": rng.normal(size=3000).tolist(),
        "c": rng.choice(list("abcd"), 3000).tolist(),
    }
    frame["x"][7], frame["c"][9] = None, None
    times = [START + timedelta(minutes=int(m)) for m in rng.integers(0, 20 * 1440, 3000)]
    history = Reference.fit(frame, timestamps=times).history
    expected = by_hand(frame, times, Reference.fit(frame))

    assert history.starts == tuple(expected)
    for name, rows in history.counts.items():
        assert rows.tolist() == [counts[name].tolist() for counts in expected.values()]
        assert rows.sum() == 3000


def test_predictions_take_part_where_there_is_one_a_row():
    """The history holds the predictions of the rows, and no others."""
    rng = np.random.default_rng(2)
    data, scores, truth = {"x": rng.normal(size=384)}, rng.random(384), rng.integers(0, 2, 384)
    times = [START + i * HOUR for i in range(384)]
    options = {"task": "binary", "timestamps": times}
    with_them = Reference.fit(data, predictions=scores, outcomes=truth, **options)
    of_others = Reference.fit(data, predictions=scores[:99], outcomes=truth[:99], **options)

    assert with_them.history.counts["prediction"].sum(axis=1).tolist() == [1] * 384
    total = with_them.history.counts["prediction"].sum(axis=0)
    assert total.tolist() == condense(with_them.predictions).tolist()
    assert set(of_others.history.counts) == {"x"}


def test_rows_that_chose_a_vocabulary_are_in_no_history():
    """A column of many rare categories is counted on half of its rows, by the hour too."""
    rng = np.random.default_rng(3)
    values = [f"id{i}" for i in rng.integers(0, 3000, 4000)] + ["common"] * 1000
    reference = Reference.fit({"c": values}, timestamps=[START + i * HOUR for i in range(5000)])
    recent = reference.history

    assert reference.distribution("c").total == 2500
    assert set(recent.counts["c"].sum(axis=1).tolist()) <= {0, 1}
    assert len(recent.starts) == 55 * 24  # the day that is not over is no example


@pytest.mark.parametrize(
    "odd", [datetime.max.replace(tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)]
)
def test_an_odd_time_costs_no_other_row_its_place(odd):
    """However far away a row is, the days that are kept are the last ones that have rows."""
    times = [START + i * HOUR for i in range(100 * 24)]
    kept = Reference.fit({"x": range(2401)}, timestamps=[*times, odd]).history
    usual = [day_of(START + day * DAY) for day in range(100)]

    expected = [*usual, "9999-12-31"] if odd.year > 2000 else usual
    assert sorted(set(kept.days)) == expected[-56:]
    few = Reference.fit({"x": range(481)}, timestamps=[*times[:480], odd]).history
    assert sorted(set(few.days)) == sorted([*usual[:20], day_of(odd)])
    assert few.counts["x"].sum() == 481


def test_days_that_are_weeks_apart_are_kept():
    """A batch a week is a day a week: 56 of them are kept."""
    times = [START + week * 7 * DAY for week in range(70) for _ in range(3)]
    kept = Reference.fit({"x": range(210)}, timestamps=times).history

    assert kept.starts == tuple(times[-3 * 56 :: 3])


@pytest.mark.parametrize(
    "odd",
    [
        None,
        math.nan,
        "soon",
        1_700_000_000,
        np.datetime64("NaT"),
        np.datetime64("10000-01-01T00", "h"),
        np.datetime64("0000-12-31T23", "h"),
    ],
)
def test_what_is_no_time_is_refused(odd):
    """What stands for no time, or for one of no year that a datetime has, is named."""
    times = [START, START + HOUR, odd]
    with pytest.raises(
        DataError, match=r"timestamps: .* in row 2 is no time of the years 1 to 999"
    ):
        Reference.fit({"x": [1, 2, 3]}, timestamps=times)


def fitted(hours):
    """Return the history of a reference with a row in each of these hours."""
    times = [START + hour * HOUR for hour in hours]
    return Reference.fit({"x": range(len(times))}, timestamps=times).history


DAYS = range(24 * 30)


@pytest.mark.parametrize(
    ("hours", "first", "last", "n"),
    [
        (DAYS, 1, 30, 30),
        (DAYS[15:-15], 2, 29, 28),
        (DAYS[15:], 2, 30, 29),
        (DAYS[:-15], 1, 29, 29),
        (range(0, 24 * 30, 24), 1, 30, 30),
        (range(0, 24 * 7 * 8, 24 * 7), 1, 50, 8),
        ([hour for hour in DAYS if 5 <= hour % 24 <= 23], 1, 30, 30),
        ([hour for hour in DAYS[15:-15] if 5 <= hour % 24 <= 23], 2, 29, 28),
        ([hour for hour in DAYS if hour >= 9 or hour % 24 < 3], 1, 30, 30),
        ([24 * day + 9 for day in range(30)], 1, 30, 30),
        ([*DAYS[9:], *DAYS[9:]], 2, 30, 29),
        (DAYS[15:33], 1, 2, 2),
        (DAYS[15:20], 1, 1, 1),
    ],
    ids=[
        "from midnight to midnight",
        "from 15:00 to 09:00",
        "from 15:00",
        "to 09:00",
        "dates alone",
        "a batch a week",
        "asleep at night",
        "asleep, from 15:00 to 09:00",
        "the first night is missing, not the morning",
        "a batch at nine",
        "two rows an hour",
        "two days",
        "one day",
    ],
)
def test_days_that_are_cut_short_are_no_example(hours, first, last, n):
    """A first and a last day are left out where every other begins earlier, or ends later."""
    found = fitted(hours).days
    days = [START + (day - 1) * DAY for day in (first, last)]

    assert [found[0], found[-1]] == [day_of(day) for day in days]
    assert len(set(found)) == n


def some_history(hours=100, seed=0, start=START):
    rng = np.random.default_rng(seed)
    places = np.sort(rng.choice(10 * hours, hours, replace=False))
    starts = tuple(start + int(place) * HOUR for place in places)
    sizes = {"x": 17, "c": 4}
    counts = {name: rng.integers(0, 10**13, (hours, size)) for name, size in sizes.items()}
    return History(HOUR, starts, counts)


@pytest.mark.parametrize("span", [HOUR, SLOT, DAY])
def test_merging_is_summing(span):
    """A longer pane holds the sum of the hours that start in it, in UTC."""
    history = some_history(start=START.astimezone(datetime.now(UTC).tzinfo))
    merged = history.merged(span)

    assert merged.span == span
    assert list(merged.starts) == sorted({floor(start, span) for start in history.starts})
    for name, rows in history.counts.items():
        for start, total in zip(merged.starts, merged.counts[name], strict=True):
            inside = [start <= hour < start + span for hour in history.starts]
            assert total.tolist() == rows[inside].sum(axis=0).tolist()


def test_a_day_is_merged_from_its_slots_as_from_its_hours():
    """Hours into slots into days give the same as hours into days."""
    history = some_history(seed=1)
    direct, through = history.merged(DAY), history.merged(SLOT).merged(DAY)

    assert through.starts == direct.starts
    for name in history.counts:
        assert through.counts[name].tolist() == direct.counts[name].tolist()


def test_the_plain_form_is_exact():
    """Through JSON and back nothing changes, to the integer."""
    history = some_history(seed=2)
    plain = history.to_plain()
    back = History.from_plain(json.loads(json.dumps(plain)))

    assert (back.span, back.starts) == (history.span, history.starts)
    assert back.to_plain() == plain
    for name, rows in history.counts.items():
        assert back.counts[name].dtype == np.int64
        assert back.counts[name].tolist() == rows.tolist()


def test_panes_that_were_kept_are_a_history():
    """Panes in any order give their history; what a pane does not hold is 0."""
    history = some_history(hours=20, seed=3)
    kept = [
        Pane(
            model="m",
            time=start,
            span=HOUR,
            tallies={name: to_tally(rows[i]) for name, rows in history.counts.items()},
        )
        for i, start in enumerate(history.starts)
    ]
    read = History.of_panes(kept[::-1], {"x": 16, "c": 3, "new": 2})

    assert read.starts == history.starts
    for name, rows in history.counts.items():
        assert read.counts[name].tolist() == rows.tolist()
    assert read.counts["new"].tolist() == [[0, 0, 0]] * 20
    assert History.of_panes([], {"x": 3}).counts["x"].shape == (0, 4)


def test_days_can_be_left_out():
    """A history without days holds the panes of all others, and an unknown day changes nothing."""
    history = some_history(seed=4)
    bad = {history.days[0], history.days[50], "1999-01-01"}
    kept = history.without(bad)
    places = [i for i, day in enumerate(history.days) if day not in bad]

    assert kept.starts == tuple(history.starts[i] for i in places)
    assert not bad & set(kept.days)
    for name, rows in history.counts.items():
        assert kept.counts[name].tolist() == rows[places].tolist()


def test_days_are_those_of_utc():
    """A moment belongs to its day in UTC, whatever zone it is told in."""
    east = datetime.fromisoformat("2024-01-02T05:00:00+09:00")

    assert day_of(east) == "2024-01-01"
    assert floor(east, DAY) == START
    assert floor(east, SLOT) == START + timedelta(hours=18)
