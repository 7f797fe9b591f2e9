"""A window: a span of panes, and of the rows behind them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.traffic import HOUR, START, predicted, told, window

from mlwatch.errors import ConfigurationError
from mlwatch.records import Outcome, Pane, Prediction
from mlwatch.reference import Reference
from mlwatch.window import Window, no_rows

MINUTE = timedelta(minutes=1)
RNG = np.random.default_rng(0)
REFERENCE = Reference.fit(
    {"x": RNG.normal(size=500), "c": RNG.choice(["a", "b"], 500)},
    predictions=RNG.random(500),
    outcomes=RNG.integers(0, 2, 500),
)


def traffic(n, seed=0):
    rng = np.random.default_rng(seed)
    rows = [
        predicted(
            i,
            float(rng.random()),
            {"x": float(rng.normal()), "c": "abz"[rng.integers(3)]},
            latency_ms=float(rng.exponential(9)),
        )
        for i in range(n)
    ]
    return [*rows, *(told(i, int(rng.integers(2))) for i in range(0, n, 3))]


def test_the_profile_is_that_of_the_rows():
    """The counts of a window equal those of its rows counted at once."""
    events = traffic(300)
    view = window(events, REFERENCE, parts=9)
    rows = [event[5] for event in events if event[0] == "p"]
    frame = {name: [row[name] for row in rows] for name in ("x", "c")}

    assert view.profile == REFERENCE.count(frame)


@given(st.integers(1, 200), st.integers(1, 30), st.integers(1, 40))
def test_panes_of_any_step_hold_the_same_counts(n, parts, minutes):
    """Merged into panes of any step, in order, a window counts the same."""
    view = window(traffic(n), REFERENCE, parts=parts)
    merged = view.panes(minutes * MINUTE)
    again = Window("m", "1", START, START + HOUR, tuple(merged), REFERENCE)

    assert again.tallies == view.tallies
    assert again.profile == view.profile
    assert [pane.time for pane in merged] == sorted({pane.time for pane in merged})
    for pane in merged:
        assert (pane.time - START) % (minutes * MINUTE) == (merged[0].time - START) % (
            minutes * MINUTE
        )
        assert (pane.span, pane.reference) == (minutes * MINUTE, REFERENCE.fingerprint)


def test_the_last_part_of_a_window():
    """`last` keeps the panes of the end, up to the whole."""
    view = window(traffic(600), REFERENCE)
    end = window(traffic(600), REFERENCE, span=10 * MINUTE)

    assert view.tally("rows")["recorded"] == 600
    assert end.last(4 * MINUTE).tally("rows")["recorded"] == 240
    assert end.last(4 * MINUTE).since == end.until - 4 * MINUTE
    assert end.last(10 * MINUTE).tallies == end.tallies


@pytest.mark.parametrize("span", [timedelta(0), -MINUTE])
def test_a_part_of_no_length(span):
    """A part of no length is refused."""
    with pytest.raises(ConfigurationError, match="must be above 0"):
        window([]).last(span)


def counts(start, span, n=1):
    return Pane(model="m", time=start, span=span, tallies={"rows": {"recorded": n}})


def test_a_part_longer_than_the_whole_reaches_back():
    """What lies before the window comes from where it was read, and is added to what is in hand."""
    asked = []

    def reach(since, until):
        asked.append((since, until))
        return [counts(since, HOUR, 5)]

    view = Window("m", "1", START, START + HOUR, (counts(START, MINUTE),), reach=reach)
    wide = view.last(4 * HOUR)
    assert asked == [(START - 3 * HOUR, START)]
    assert (wide.since, wide.until) == (START - 3 * HOUR, START + HOUR)
    assert wide.tally("rows") == {"recorded": 6}
    assert wide.last(HOUR).tallies == view.tallies
    assert view.last(HOUR).tallies == view.tallies
    assert len(asked) == 1


def test_a_part_longer_than_the_whole_without_a_store():
    """A window that knows of nothing but its own panes has no others to give."""
    view = window(traffic(60))
    assert view.last(2 * HOUR).tallies == view.tallies
    assert view.last(2 * HOUR).since == START - HOUR


def test_a_part_begins_where_a_pane_begins():
    """Of time that is kept by the hour, the part begins at a full hour; of recent, at a minute."""
    hours = tuple(counts(START + i * HOUR, HOUR) for i in range(20))
    until = START + 24 * HOUR
    view = Window("m", "1", START, until, hours, read_at=until)
    assert view.last(10.5 * HOUR).since == until - 11 * HOUR
    assert view.last(10.5 * HOUR).tally("rows") == {"recorded": 7}
    assert view.last(90 * MINUTE).since == until - 90 * MINUTE


def test_coarse_panes_are_given_as_they_are():
    """A pane that lies in none of the spans asked for cannot be split: it keeps its own span."""
    day, hour = timedelta(days=1), counts(START + 25 * HOUR, HOUR)
    late = counts(START + 25 * HOUR + 3 * MINUTE, MINUTE)
    view = Window("m", "1", START, START + 2 * day, (counts(START, day), hour, late, late))

    def shape(step):
        return [(row.time - START, row.span, row.tallies["rows"]) for row in view.panes(step)]

    one, two, three = ({"recorded": n} for n in (1, 2, 3))
    assert shape(day) == [(timedelta(0), day, one), (day, day, three)]
    assert shape(6 * HOUR) == [(timedelta(0), day, one), (24 * HOUR, 6 * HOUR, three)]
    assert shape(5 * MINUTE) == [
        (timedelta(0), day, one),
        (25 * HOUR, 5 * MINUTE, two),
        (25 * HOUR, HOUR, one),
    ]
    assert view.observed_seconds == 2 * 86_400


@pytest.mark.parametrize("step", [timedelta(0), -MINUTE, timedelta(seconds=90)])
def test_steps_are_multiples_of_a_minute(step):
    """Panes shorter than they are counted cannot be given."""
    with pytest.raises(ConfigurationError, match="multiple of a minute"):
        window([]).panes(step)


def test_an_empty_window():
    """Without traffic there are empty tallies, an empty profile and no panes."""
    view = window([], REFERENCE)

    assert (view.tallies, view.tally("rows"), view.panes(MINUTE)) == ({}, {}, [])
    assert view.profile.rows == 0
    assert view.seconds == 3600


def test_without_a_reference():
    """Without a reference there is no profile, and scores are counted on a fixed grid."""
    view = window(traffic(60))

    assert view.profile is None
    assert sum(view.tally("score").values()) == 60
    assert view.panes(HOUR)[0].reference == ""


def test_a_collectors_own_tally():
    """What a collector tallied at ingest is read by the collector's name."""
    pane = window(traffic(1)).panes_[0]
    own = type(pane)(model="m", time=START, span=MINUTE, tallies={"collector/orders": {"large": 3}})

    assert Window("m", "1", START, START + HOUR, (own, own)).tally("orders") == {"large": 6}


def test_frame_of_the_rows():
    """The rows come as a DataFrame with their features, outcomes joined by request id."""
    rows = [
        Prediction(
            model="m",
            request_id=str(i),
            time=START + timedelta(seconds=i),
            features={"x": i, "c": "a"} if i else {"x": 0},
            prediction=0.5,
            latency_ms=3.0,
            segment="eu",
        )
        for i in range(3)
    ]
    outcomes = [Outcome(model="m", request_id="1", time=START, outcome=1, joined=True)]
    view = Window("m", "1", START, START + HOUR, rows=lambda *_: (rows, outcomes))
    frame = view.frame()

    assert frame.index.tolist() == ["0", "1", "2"]
    assert frame["feature/x"].tolist() == [0, 1, 2]
    assert pd.isna(frame["feature/c"].iloc[0])
    assert frame["outcome"].isna().tolist() == [True, False, True]
    assert frame.loc["1", "outcome"] == 1
    assert set(frame.columns) >= {"time", "prediction", "probability", "error", "segment"}


def test_frame_without_rows():
    """A window whose rows are gone gives an empty frame with the same columns."""
    frame = replace(window(traffic(10)), rows=no_rows).frame()

    assert len(frame) == 0
    assert {"time", "prediction", "outcome"} <= set(frame.columns)
