"""Events become rows and panes, whatever order they come in."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.service import (
    DAY,
    MINUTE,
    MODEL,
    START,
    VERSION,
    outcome,
    prediction,
    reference,
)

from mlwatch import Profile, Reference, Table
from mlwatch.ingest.join import join, request_keys
from mlwatch.ingest.joined import Known, Missed
from mlwatch.records import Batch
from mlwatch.stores import MemoryStore
from mlwatch.window import Window


class Kept:
    """A store that events are joined into, a stretch at a time."""

    def __init__(self, task="binary", **tallies):
        self.store = MemoryStore()
        self.reference = reference(task) if task else None
        self.tallies = tallies
        self.dropped = {}
        self.noted = {}
        self.health = {}
        self._batches = 0

    def join(self, *events):
        keys = request_keys(events)
        early = self.store.read(Table.outcomes, keys=keys)
        known = Known(
            {row.key: row for row in self.store.read(Table.pending, keys=keys)},
            {row.key: row for row in early if not row.joined},
        )
        joined = join(events, known, lambda version: self.reference, self.tallies)
        self._batches += 1
        self.store.write(Batch(str(self._batches), joined.rows(MODEL)))
        for total, more in ((self.dropped, joined.dropped), (self.noted, joined.noted)):
            for reason, count in more.items():
                total[reason] = total.get(reason, 0) + count
        self.health |= joined.health
        return self

    @property
    def panes(self):
        return {row.key: row.tallies for row in self.store.read(Table.panes)}

    def rows(self, table):
        return {row.request_id: row for row in self.store.read(table)}


# Values that can be told of one prediction, by task.
TRUTHS = {"binary": [0, 1], "regression": [0.5, -3.25, 1e6], "multiclass": ["low", "mid", "high"]}
SERVED = {"binary": 0.7, "regression": 0.7, "multiclass": "mid"}


def test_a_pane_is_the_minute_of_the_prediction():
    """A pane starts at a whole minute and holds what was predicted in that minute."""
    events = [prediction(str(second), at=START + second * MINUTE / 60) for second in (0, 59, 60)]
    kept = Kept().join(*events)
    found = [
        (row.time, row.span, row.tallies["rows"]["recorded"])
        for row in kept.store.read(Table.panes)
    ]
    assert found == [(START, MINUTE, 2), (START + MINUTE, MINUTE, 1)]


def test_the_outcome_may_come_before_its_prediction():
    """An outcome that comes first waits for its prediction, in this batch or in a later one."""
    wanted = Kept().join(prediction("a"), outcome("a", 1)).panes
    assert Kept().join(outcome("a", 1), prediction("a")).panes == wanted
    late = Kept().join(outcome("a", 1))
    assert late.panes == {}
    assert late.noted == {"outcome_without_prediction": 1}
    assert not late.rows(Table.outcomes)["a"].joined
    assert late.join(prediction("a")).panes == wanted
    joined = late.rows(Table.outcomes)["a"]
    assert (joined.joined, joined.model_version) == (True, VERSION)


def test_a_late_outcome_counts_at_the_time_of_its_prediction():
    """An outcome that comes a hundred days late adds to the pane of the prediction's own minute."""
    kept = Kept().join(prediction("a")).join(outcome("a", 1, at=START + 100 * DAY))
    (pane,) = kept.store.read(Table.panes)
    assert pane.time == START
    assert pane.tallies["rows"] == {"recorded": 1, "counted": 1, "labelled": 1}


@given(
    task=st.sampled_from(sorted(TRUTHS)),
    data=st.data(),
    cuts=st.lists(st.booleans(), min_size=20, max_size=20),
)
def test_the_later_of_two_outcomes_stands(task, data, cuts):
    """However often an outcome is corrected, the panes are those of recording only the last."""
    told = data.draw(st.lists(st.sampled_from(TRUTHS[task]), min_size=1, max_size=6))
    before = data.draw(st.integers(0, len(told)))
    served = prediction("a", SERVED[task])
    events = [outcome("a", value) for value in told]
    events.insert(before, served)
    other = [prediction("b", SERVED[task]), outcome("b", TRUTHS[task][0])]
    once = Kept(task).join(served, outcome("a", told[-1]), *other)
    kept = Kept(task).join(*other)
    stretch = []
    for event, cut in zip(events, cuts, strict=False):
        stretch.append(event)
        if cut:
            kept.join(*stretch)
            stretch = []
    kept.join(*stretch)
    assert kept.panes == once.panes
    assert kept.rows(Table.outcomes)["a"].outcome == told[-1]
    assert kept.rows(Table.pending) == once.rows(Table.pending)
    repeated = len(told) - max(before, 1)
    assert kept.noted.get("outcome_repeated", 0) == repeated


@pytest.mark.parametrize("cut", [True, False])
def test_an_unreadable_outcome_takes_no_others_place(cut):
    """After an outcome that was counted, one that cannot be read is noted and nothing else."""
    events = [prediction("a"), outcome("a", 1), outcome("a", "1")]
    kept = Kept()
    for stretch in (events[:2], events[2:]) if cut else (events,):
        kept.join(*stretch)
    once = Kept().join(*events[:2])
    assert kept.panes == once.panes
    assert kept.rows(Table.outcomes) == once.rows(Table.outcomes)
    assert kept.noted == {"unreadable_outcome": 1}
    first = Kept().join(prediction("a"), outcome("a", "1"))
    assert first.rows(Table.outcomes)["a"].outcome == "1"
    assert first.join(outcome("a", 1)).panes == once.panes
    assert first.rows(Table.outcomes) == once.rows(Table.outcomes)


def test_the_outcome_that_arrives_last_stands_whatever_its_time():
    """The order is that of ingestion, not that of the timestamps."""
    kept = Kept().join(prediction("a"), outcome("a", 0, at=START + DAY), outcome("a", 1))
    assert kept.panes == Kept().join(prediction("a"), outcome("a", 1)).panes
    assert kept.rows(Table.outcomes)["a"].outcome == 1


def test_an_outcome_of_an_unknown_id_waits_and_changes_no_pane():
    """The outcome of an id that nobody predicted is kept, noted, and counted nowhere."""
    kept = Kept().join(prediction("a"))
    before = kept.panes
    kept.join(outcome("nobody", 1))
    assert kept.panes == before
    assert kept.rows(Table.outcomes)["nobody"].outcome == 1
    assert kept.noted == {"outcome_without_prediction": 1}


@pytest.mark.parametrize("apart", [False, True], ids=["one batch", "two batches"])
def test_a_duplicate_id_changes_nothing(apart):
    """A second prediction of an id is a duplicate; an outcome of it belongs to the first."""
    first, again = prediction("a", 0.9), prediction("a", 0.1, at=START + 5 * MINUTE)
    kept = Kept().join(first)
    wanted = Kept().join(first, outcome("a", 1))
    if apart:
        kept.join(again).join(outcome("a", 1)).join(again)
    else:
        kept.join(again, outcome("a", 1), again)
    assert kept.dropped == {"duplicate": 2}
    assert kept.panes == wanted.panes
    assert kept.rows(Table.predictions) == wanted.rows(Table.predictions)


def test_an_outcome_under_an_old_reference_is_noted_and_not_counted():
    """Counts of two references are never mixed: an outcome across the change is only kept."""
    kept = Kept().join(prediction("a"))
    before = kept.panes
    kept.reference = reference(seed=9)
    kept.join(outcome("a", 1), prediction("b"), outcome("b", 1))
    assert kept.noted == {"outcome_of_old_reference": 1}
    assert kept.rows(Table.outcomes)["a"].joined
    old = {key: tallies for key, tallies in kept.panes.items() if key in before}
    assert old == before
    assert (
        sum(tallies["rows"]["labelled"] for key, tallies in kept.panes.items() if key not in old)
        == 1
    )


def test_an_outcome_that_says_nothing_is_noted():
    """An outcome that is no class of the task is kept and noted, and takes nothing back."""
    kept = Kept().join(prediction("a"), outcome("a", 1))
    before = kept.panes
    kept.join(outcome("a", "perhaps"))
    assert kept.noted == {"unreadable_outcome": 1}
    assert kept.panes == before


def test_a_prediction_that_says_nothing_is_noted_unless_it_is_an_error():
    """What cannot be read as a prediction is noted; one that failed needs no prediction."""
    kept = Kept().join(prediction("a", ["?"]), prediction("b", None, error="ValueError"))
    assert kept.noted == {"unreadable_prediction": 1}
    (pane,) = kept.store.read(Table.panes)
    assert pane.tallies["rows"] == {"recorded": 2, "counted": 2, "errors": 1}


MALFORMED = [
    None,
    7,
    "p",
    [],
    ["p"],
    ["x", MODEL, "a", START, 1],
    prediction(5),
    prediction("a", at="2024-01-01"),
    prediction("a", features=[1, 2]),
    prediction("a", version=None),
    prediction("a", latency_ms="fast"),
    prediction("a", error=5),
    prediction("a", segment=["x"]),
    [*prediction("a"), "more"],
    outcome(5, 1),
    outcome("a", 1, at=None),
    outcome("a", 1)[:-1],
]


def test_malformed_events_are_counted_and_cost_nothing_else():
    """What is no event, for whatever reason, is counted as malformed and the rest is kept."""
    kept = Kept().join(prediction("good"), *MALFORMED, outcome("good", 1))
    assert kept.dropped == {"malformed": len(MALFORMED)}
    assert kept.panes == Kept().join(prediction("good"), outcome("good", 1)).panes
    assert request_keys(MALFORMED) == []


def test_a_collectors_tally_is_read_back_from_the_window():
    """What a collector's `tally` counts at ingest is added up and read with `window.tally`."""

    def sizes(predictions):
        return {"big": sum(row.features["x"] > 1 for row in predictions), "all": len(predictions)}

    kept = Kept(sizes=sizes)
    for number in range(6):
        kept.join(prediction(str(number), features={"x": number}, at=START + number * MINUTE))
    panes = tuple(kept.store.read(Table.panes))
    window = Window(MODEL, VERSION, START, START + DAY, panes, kept.reference)
    assert window.tally("sizes") == {"big": 4, "all": 6}
    assert window.last(DAY - 4 * MINUTE).tally("sizes") == {"big": 2, "all": 2}
    assert kept.health == {"tally sizes": None}


@pytest.mark.parametrize(
    "tally",
    [lambda rows: 1 / 0, lambda rows: {"a": 0.5}, lambda rows: None, lambda rows: {"a": "1"}],
    ids=["raises", "no count", "nothing", "text"],
)
def test_a_tally_that_fails_costs_only_itself(tally):
    """A collector's `tally` that raises, or gives no counts, is noted; all else is counted."""
    kept = Kept(wrong=tally, right=lambda rows: {"n": len(rows)}).join(prediction("a"))
    ((_, tallies),) = kept.panes.items()
    assert tallies["collector/right"] == {"n": 1}
    assert "collector/wrong" not in tallies
    assert tallies["rows"]["recorded"] == 1
    assert kept.noted == {"tally_failed": 1}
    assert kept.health["tally right"] is None
    assert kept.health["tally wrong"].part == "tally wrong"


def test_without_a_reference_events_are_counted_on_a_fixed_grid():
    """Without a reference there are scores, labels and losses, and no features."""
    kept = Kept(task="").join(prediction("a", 0.7), outcome("a", True))
    ((_, tallies),) = kept.panes.items()
    assert tallies["rows"] == {"recorded": 1, "counted": 1, "labelled": 1}
    assert tallies["score"]
    assert tallies["confusion"]
    assert not any(name.startswith("feature/") for name in tallies)


def test_the_same_traffic_in_any_stretches_gives_the_same_panes():
    """Panes do not depend on where the stretches of events that are joined begin and end."""
    events = [
        prediction(
            str(n), n / 50, at=START + n * MINUTE / 7, features={"x": n / 9 - 3, "c": "abd"[n % 3]}
        )
        for n in range(50)
    ]
    events += [outcome(str(n), n % 2) for n in range(0, 50, 3)]
    whole = Kept().join(*events)
    parts = Kept()
    for at in range(0, len(events), 7):
        parts.join(*events[at : at + 7])
    assert parts.panes == whole.panes


def test_panes_hold_what_their_rows_count():
    """Each pane has the counts and code sums of its own rows, whatever order they come in."""
    rng = np.random.default_rng(0)
    data = {
        "x": rng.normal(size=500),
        "y": rng.integers(0, 9, 500),
        "c": rng.choice(["a", "b"], 500),
    }
    fitted = Reference.fit(data)
    odd = [None, math.nan, math.inf, -math.inf, "text", 0.5]
    rows = [
        {"x": odd[n % 6] if n % 4 else float(n), "y": n % 11, "c": "abz"[n % 3]} for n in range(90)
    ]
    minutes = [n * 7 % 4 for n in range(90)]
    events = [
        prediction(str(n), at=START + minutes[n] * MINUTE, features=row)
        for n, row in enumerate(rows)
    ]
    joined = join(events, Known(), lambda version: fitted, {})

    assert len(joined.panes) == 4
    for (_, _, start), tallies in joined.panes.items():
        own = [row for row, m in zip(rows, minutes, strict=True) if START + m * MINUTE == start]
        wanted = fitted.count({name: [row[name] for row in own] for name in data})
        assert {name: tallies[name] for name in wanted.to_tallies()} == wanted.to_tallies()
        assert Profile.from_tallies(fitted.profile.grids, tallies, len(own)) == wanted


def test_what_was_missed_alone_is_traffic_of_its_time():
    """Where nothing found room, how many came is in the pane of that time and version."""
    joined = join([], Known(), lambda _: reference(), {}, missed=Missed(START, VERSION, 10, 3))
    ((key, tallies),) = joined.panes.items()

    assert key == (VERSION, reference().fingerprint, START)
    assert tallies == {"rows": {"recorded": 10, "missed": 10, "missed_requests": 3}}


def test_nothing_missed_makes_no_pane():
    """An ordinary stretch without a prediction leaves no empty pane behind."""
    assert join([], Known(), lambda _: None, {}, missed=Missed(START, VERSION, 0, 0)).panes == {}
