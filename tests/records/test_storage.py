"""What stores keep: tallies that add, and rows with keys."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from tests.traffic import START

from mlwatch.records import (
    RECORD_TYPES,
    Delivery,
    DriftResult,
    Metric,
    Outcome,
    Pane,
    Pending,
    Prediction,
    Table,
    add_tallies,
)
from mlwatch.testing.checks import sample_alert

TALLIES = st.dictionaries(
    st.sampled_from("abc"),
    st.dictionaries(st.sampled_from("xyz"), st.integers(-5, 2**70), max_size=3),
    max_size=3,
)


@given(st.lists(TALLIES, max_size=5), st.randoms(use_true_random=False))
def test_tallies_add_in_any_order(several, random):
    """The sum is that of every count, in any order, with no empty tally and no zero in it."""
    expected = Counter()
    for tallies in several:
        for name, tally in tallies.items():
            for cell, count in tally.items():
                expected[name, cell] += count
    random.shuffle(several)
    total: dict = {}
    for tallies in several:
        add_tallies(total, tallies)

    found = {(name, cell): n for name, tally in total.items() for cell, n in tally.items()}
    assert found == {key: n for key, n in expected.items() if n}
    assert all(total.values())


@given(TALLIES, TALLIES)
def test_what_is_taken_back_leaves_nothing(a, b):
    """Adding and taking back leaves what was there."""
    total: dict = {}
    add_tallies(total, a)
    before = {name: dict(tally) for name, tally in total.items()}
    add_tallies(total, b)
    add_tallies(total, b, sign=-1)

    assert total == before


def test_adding_changes_nothing_else():
    """The tallies that are added stay as they are, and are not shared with the sum."""
    given_ = {"a": {"x": 1}}
    total: dict = {}
    add_tallies(total, given_)
    add_tallies(total, given_)

    assert given_ == {"a": {"x": 1}}
    assert total == {"a": {"x": 2}}


def test_every_table_has_its_record_type():
    """Each table keeps one type of record."""
    assert set(RECORD_TYPES) == set(Table)
    assert len(set(RECORD_TYPES.values())) == len(Table)


def test_keys_follow_what_a_record_is_and_not_what_it_says():
    """A changed figure keeps the key; another model, name or window has another key."""
    metric = Metric("accuracy", 0.5, model="m", model_version="1")
    for other in (
        replace(metric, name="recall"),
        replace(metric, model="n"),
        replace(metric, model_version="2"),
        replace(metric, labels={"class": "a"}),
        replace(metric, since=START),
        replace(metric, time=START),
    ):
        assert other.key != metric.key
    assert replace(metric, value=0.9, low=0.1, n=5, why="x", verdict="stable").key == metric.key

    result = DriftResult("x", "ks", 0.5, 0.5, 0.5, 0.5, 1, 1, model="m")
    for other in (
        replace(result, feature="y"),
        replace(result, detector="kl"),
        replace(result, model="n"),
        replace(result, time=START),
    ):
        assert other.key != result.key
    assert replace(result, effect=0.1, drifted=True).key == result.key

    pane = Pane(model="m", time=START, span=timedelta(minutes=1), tallies={})
    for other in (
        replace(pane, model_version="2"),
        replace(pane, reference="abc"),
        replace(pane, segment="eu"),
        replace(pane, time=START + timedelta(minutes=1)),
        replace(pane, span=timedelta(hours=1)),
        replace(pane, source="spark"),
    ):
        assert other.key != pane.key
    assert replace(pane, tallies={"a": {"x": 1}}).key == pane.key


def test_an_outcome_has_the_key_of_its_prediction():
    """Prediction, pending and outcome of one request share a key; parts cannot run together."""
    prediction = Prediction(model="m/a", request_id="1", time=START, features={}, prediction=0)
    outcome = Outcome(model="m/a", request_id="1", time=START, outcome=1)

    assert prediction.key == outcome.key == Pending(model="m/a", request_id="1", time=START).key
    assert outcome.key != Outcome(model="m", request_id="a/1", time=START, outcome=1).key


def test_an_alert_told_in_two_states_has_two_deliveries():
    """A delivery belongs to one transition of one episode at one notifier."""
    firing, resolved = sample_alert(state="firing"), sample_alert(state="resolved")
    pending = Delivery(alert=firing, notifier="log", status="pending", time=START)

    assert pending.key != Delivery(alert=resolved, notifier="log", status="x", time=START).key
    assert pending.key != replace(pending, notifier="slack").key
    assert pending.key == replace(pending, status="sent", attempts=3).key
    assert (pending.model, pending.model_version) == (firing.model, firing.model_version)
