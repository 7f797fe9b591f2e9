"""What is counted where labels arrive: how late they are, and what of the past they change."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from tests.service import DAY, START, outcome, prediction, reference

from mlwatch import Reference, buckets
from mlwatch.ingest.join import join
from mlwatch.ingest.joined import Known
from mlwatch.records import Table, sum_tallies

NOW = START + 40 * DAY
HOURS = [timedelta(hours=hours) for hours in range(30)]


def counted(*events, found=None, now=NOW, known=None):
    """Return all tallies of events that arrive, and of which pane each is, by name."""
    joined = join(
        events,
        known or Known(),
        lambda version: found or reference(),
        {},
        arrivals=now,
        model_version="2.1",
    )
    panes = joined.rows("churn")[Table.panes]
    return sum_tallies(pane.tallies for pane in panes), {
        name: pane.time for pane in panes for name in pane.tallies
    }


def test_the_delay_is_that_between_the_two_times():
    """Each class has its own delays, in buckets within 1%, where the label arrives."""
    events = [prediction(f"{i}", 0.3) for i in range(30)]
    events += [outcome(f"{i}", i % 2, at=START + HOURS[i]) for i in range(30)]
    tallies, places = counted(*events)
    for value in (0, 1):
        seconds = [wait.total_seconds() for wait in HOURS[value::2]]
        assert sum(tallies[f"delay/{value}"].values()) == 15
        for share in (0.0, 0.5, 0.9, 1.0):
            exact = np.quantile(seconds, share, method="lower")
            found = buckets.quantile(tallies[f"delay/{value}"], share)
            assert found == pytest.approx(exact, rel=0.01)
    assert places["delay/0"] == NOW
    assert tallies["late"] == {"2024-01-01": 60}  # the predictions, too, are told 40 days late


def test_a_label_that_comes_at_once_is_not_late():
    """Labels of the same day mark no day, and a label before its prediction has no delay."""
    tallies, places = counted(
        outcome("a", 1, at=START), prediction("a", at=START + HOURS[1]), now=START
    )
    assert tallies["delay/1"] == {buckets.bucket(0.0): 1}
    assert "late" not in tallies
    assert places["delay/1"] == START


@pytest.mark.parametrize(
    ("told", "changed", "late"),
    [((1, 1), None, 1), ((1, 0), 1, 2), ((1, 0, 1), 2, 3), ((1, None), None, 1)],
    ids=str,
)
def test_corrections(told, changed, late):
    """One that says another thing is counted and marks its day; the same again, or nothing, not."""
    early = START + DAY
    known = Known()
    counted(prediction("a"), now=START, known=known)
    tallies, _ = counted(*(outcome("a", value, at=early) for value in told), known=known)
    assert tallies.get("changed", {}).get("labels") == changed
    assert tallies["late"] == {"2024-01-01": late}
    assert sum(tallies["delay/1"].values()) == 1


def test_predictions_that_are_told_late_mark_their_day():
    """A prediction that is recorded days after it was made changes the figures of its day."""
    tallies, places = counted(prediction("a"), prediction("b"), prediction("c", at=NOW))
    assert tallies["late"] == {"2024-01-01": 2}
    assert places["late"] == NOW


def test_an_unknown_id_counts_until_its_prediction_comes():
    """Once, however often it is told, at the time of the last; and no more when it is known."""
    known = Known()
    tallies, places = counted(outcome("a", 1), outcome("b", 0), outcome("a", 0), known=known)
    assert tallies == {"unmatched": {"outcomes": 2}}
    assert places["unmatched"] == START
    tallies, _ = counted(prediction("a"), prediction("c"), known=known)
    assert tallies["unmatched"] == {"outcomes": -1}


@pytest.mark.parametrize(
    ("found", "value", "names"),
    [
        (reference("multiclass"), "mid", {"delay/mid"}),
        (reference("regression"), 0.0, {"delay"}),
        (
            Reference.fit(
                {"x": np.zeros(400)},
                predictions=[f"c{i % 40}" for i in range(400)],
                outcomes=[f"c{i % 40}" for i in range(400)],
            ),
            "c7",
            {"delay"},
        ),
    ],
    ids=["multiclass", "regression", "40 classes"],
)
def test_of_which_labels_delays_are_told_apart(found, value, names):
    """Of each class of a few; of numbers, and of many classes, they are taken together."""
    tallies, _ = counted(prediction("a", "c7"), outcome("a", value, at=NOW), found=found)
    assert {name for name in tallies if name.startswith("delay")} == names
