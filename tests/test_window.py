"""A window: a span of panes, and of the rows behind them."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.traffic import HOUR, START, predicted, told, window

from mlwatch.errors import ConfigurationError
from mlwatch.records import Outcome, Prediction
from mlwatch.reference import Reference
from mlwatch.window import Window

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


@pytest.mark.parametrize("span", [timedelta(0), -MINUTE, 2 * HOUR])
def test_a_part_longer_than_the_whole(span):
    """A part of no length, or longer than the window, is refused."""
    with pytest.raises(ConfigurationError, match="at most 1:00:00"):
        window([]).last(span)


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
    frame = window(traffic(10)).frame()

    assert len(frame) == 0
    assert {"time", "prediction", "outcome"} <= set(frame.columns)
