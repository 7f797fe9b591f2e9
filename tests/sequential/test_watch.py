"""The watch: closed panes in, once each and in order, whoever hands them over and how often."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sequential.simulated import MASS, START, draw, history, names, panes, stream

from mlwatch.profile import Distribution, fit_grid
from mlwatch.records import AlarmBudget
from mlwatch.sequential.baseline import SLOT
from mlwatch.sequential.budget import share_out
from mlwatch.sequential.scores import ABSENT, VALUES, streams
from mlwatch.sequential.watch import (
    LATCH,
    Plan,
    Watch,
    calibrate,
    consume,
    independent,
    settle,
)
from mlwatch.spans import DAY, HOUR

DAYS = 20
PAST = draw("season", DAYS * 24, 2)
NOW = START + DAYS * DAY


def plan(features=2, **options):
    found = {it.key: it for it in map(stream, names(features))}
    return Plan(found, share_out(AlarmBudget(alarms=1), list(found.values())), **options)


PLAN = plan()


def calibrated():
    """Return a watch that has seen the past and knows what is usual."""
    watch = Watch()
    calibrate(watch, PLAN.streams.values(), history(PAST))
    return watch


def feed(watch, counts, start=NOW, what=PLAN, *, upto=None):
    """Hand over hours, one after the other; return what was unusual."""
    found = []
    for time, pane in panes(counts, start):
        found += consume(watch, time, HOUR, pane, what)
    return found + settle(watch, upto or start + len(counts) * HOUR, what)


def plain(watch):
    """Return the state as it is kept; in text, so that equal means bit for bit."""
    return json.dumps(watch.to_plain(), sort_keys=True)


def restarted(watch):
    return Watch.from_plain(json.loads(plain(watch)))


STREAM = draw("season", 6 * 24, 2, seed=9, shift=0.8, since=70)


@settings(max_examples=30)
@given(st.lists(st.integers(0, len(STREAM)), max_size=8), st.booleans())
def test_any_split_gives_the_same(cuts, restart):
    """One by one, many at once, with settling or restarts in between: one state, bit for bit."""
    whole, parted = calibrated(), calibrated()
    expected = feed(whole, STREAM)
    found = []
    edges = [0, *sorted(cuts), len(STREAM)]
    for first, last in itertools.pairwise(edges):
        found += feed(parted, STREAM[first:last], NOW + first * HOUR, upto=NOW + last * HOUR)
        parted = restarted(parted) if restart else parted

    assert plain(parted) == plain(whole)
    assert found == expected
    assert {it.span for it in expected} == {"hour", "slot", "day"}


def test_a_quiet_hour_before_a_restart_changes_nothing():
    """Settling again and again, with nothing new, leaves the state as it is."""
    watch = calibrated()
    feed(watch, STREAM[:31])
    before = plain(watch)
    for minutes in (0, 5, 59):
        assert settle(watch, NOW + 31 * HOUR + timedelta(minutes=minutes), PLAN) == []
    assert plain(watch) == before


def test_what_is_unusual_is_told_with_its_span_and_in_words():
    """A jump is told by the hour, by the six hours and by the day it falls into, each once."""
    watch = calibrated()
    found = feed(watch, draw("season", 3 * 24, 2, seed=4, shift=2.0, since=30))
    mine = [it for it in found if it.stream == "values/x0"]
    first = {span: next(it for it in mine if it.span == span) for span in ("hour", "slot", "day")}

    assert not [it for it in found if it.stream == "values/x1"]
    assert first["hour"].since == NOW + 30 * HOUR
    assert first["hour"].until - first["hour"].since == HOUR
    assert first["slot"].until - first["slot"].since == SLOT
    assert first["day"].since == NOW + DAY
    assert first["hour"].why == "higher than in any hour that is usual for this service"
    assert first["slot"].why == "higher than in any six hours that is usual for this service"
    assert first["day"].why == "higher than is usual for this service's days"
    assert len({(it.stream, it.span, it.since) for it in found}) == len(found)


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda cells: np.r_[np.zeros(9), 2 * cells[9:]], "higher"),
        (lambda cells: np.r_[2 * cells[:9], np.zeros(9)], "lower"),
        (lambda cells: np.r_[0, 4 * cells[1:3], np.zeros(12), 4 * cells[15:17], 0], "wider"),
        (lambda cells: np.r_[np.zeros(8), 8 * cells[8:10], np.zeros(8)], "narrower"),
    ],
)
def test_each_direction_has_its_word(spoil, word):
    """Higher, lower, wider and narrower are told apart."""
    pane = np.append(spoil(MASS // 64), 0).astype(np.int64)
    counts = np.stack([[pane, PAST[0, 1]]])
    watch = Watch()
    calibrate(watch, PLAN.streams.values(), history(draw("iid", DAYS * 24, 2)))
    (first, *_) = feed(watch, counts)

    assert first.why.startswith(f"{word} than")


@pytest.mark.parametrize("beyond", [0, 1])
def test_a_run_of_days_beyond_the_reference_is_unusual(beyond):
    """However far days have swung, after as many as the level of runs asks for; a break undoes it.

    The more of the days that were learnt from lay beyond, the longer the run has to be.
    """
    watch, key = calibrated(), "values/x0"
    usual = watch.baselines[key]
    wide = {
        name: replace(spread, scale=100 * spread.scale) for name, spread in usual.spreads.items()
    }
    watch.baselines[key] = replace(usual, spreads=wide, beyond=beyond)
    watch.days[key] = replace(watch.days[key], squares=1e6 * watch.days[key].squares)
    edge, below = np.zeros((2, 24, 2, len(MASS) + 1), np.int64)
    edge[:, :, 1], below[:, :, 0] = 9, 9
    days = [below, below, edge, *[below] * 12]
    found = feed(watch, np.concatenate(days))
    mine = [it for it in found if it.stream == key]
    level = PLAN.levels[key].run
    needed = next(n for n in range(1, 12) if watch.baselines[key].chance_of_run(n) <= level)

    assert needed > 2
    assert mine[0].since == NOW + (2 + needed) * DAY
    assert mine[0].why == f"on {needed} days nearly all values were beyond those of the reference"
    assert {it.span for it in mine} == {"day"}
    assert len(mine) == 12 - needed + 1


def test_a_gap_closes_the_slot_and_the_day():
    """Hours without traffic are no panes; what comes after them closes what was open."""
    watch, apart = calibrated(), calibrated()
    feed(watch, STREAM[:30], upto=NOW + 40 * DAY)
    feed(apart, STREAM[:30])
    consume(apart, NOW + 39 * DAY, HOUR, dict(zip(("x0", "x1"), STREAM[0], strict=True)), PLAN)

    assert watch.sums == {"slot": {}, "day": {}}
    assert watch.days["values/x0"].to_plain() == apart.days["values/x0"].to_plain()
    assert watch.known_days == apart.known_days == 2
    assert apart.sums["day"]["x0"].tolist() == STREAM[0, 0].tolist()
    assert apart.cursor == NOW + 39 * DAY + HOUR


def test_a_day_pane_after_a_long_pause_is_a_day():
    """A pane of a whole day counts as the hours it is made of, as far as days are judged."""
    hours, days = calibrated(), calibrated()
    feed(hours, STREAM)
    for day in range(6):
        total = STREAM[24 * day : 24 * (day + 1)].sum(axis=0)
        pane = dict(zip(("x0", "x1"), total, strict=True))
        consume(days, NOW + day * DAY, DAY, pane, PLAN)
    found = settle(days, NOW + 6 * DAY, PLAN)

    assert days.cursor == hours.cursor
    assert days.days["values/x0"].to_plain() == hours.days["values/x0"].to_plain()
    assert days.latches == hours.latches
    assert {it.span for it in found} <= {"day"}


def test_days_of_another_zone_are_days():
    """Panes of a day that begin at another hour than 0 UTC are judged too, one after the other."""
    watch = calibrated()
    begin = NOW + timedelta(hours=5)
    total = STREAM[:24].sum(axis=0)
    for day in range(3):
        pane = dict(zip(("x0", "x1"), total, strict=True))
        consume(watch, begin + day * DAY, DAY, pane, PLAN)
    settle(watch, begin + 3 * DAY, PLAN)

    assert watch.days["values/x0"].n == DAYS + 3


def test_the_first_day_counts_only_when_it_was_seen_whole():
    """A service that starts at noon has half a first day, which is no example of what is usual."""
    noon, midnight = Watch(), Watch()
    feed(noon, PAST[12 : 3 * 24], START + 12 * HOUR)
    feed(midnight, PAST[: 3 * 24], START)

    assert (noon.bad, noon.known_days) == (["2024-01-01"], 2)
    assert (midnight.bad, midnight.known_days) == ([], 3)


def test_bad_days_teach_nothing_and_move_no_evidence():
    """What is usual, and the evidence of days, are as if the marked days had not been."""
    watch = Watch(bad=["2024-01-03", "2024-01-22"])
    calibrate(watch, PLAN.streams.values(), history(PAST))
    shifted = STREAM.copy()
    shifted[24:48] = STREAM[::-1][:24]
    clean = history(PAST).without(["2024-01-03"])
    expected = Watch()
    calibrate(expected, PLAN.streams.values(), clean)
    feed(watch, shifted[:48])
    feed(expected, shifted[:24])

    assert watch.baselines["values/x0"].days == DAYS - 1
    assert watch.days["values/x0"].to_plain() == expected.days["values/x0"].to_plain()
    assert watch.known_days == 1


def test_a_baseline_is_learnt_once():
    """What is usual stays what it was; a later history changes nothing."""
    watch = calibrated()
    before = plain(watch)
    calibrate(watch, PLAN.streams.values(), history(draw("iid", 30 * 24, 2, seed=3)))

    assert plain(watch) == before


def test_without_a_baseline_nothing_is_unusual():
    """With fewer than 14 days nothing is judged, and the days are counted."""
    watch = Watch()
    calibrate(watch, PLAN.streams.values(), history(PAST[: 13 * 24]))
    found = feed(watch, draw("iid", 48, 2, shift=3.0))

    assert (watch.baselines, found, watch.known_days) == ({}, [], 2)


def test_what_a_history_does_not_hold_is_learnt_later():
    """A feature that the first history lacks gets its baseline later; others keep theirs."""
    watch = Watch()
    calibrate(watch, PLAN.streams.values(), history(PAST[:, :1]))
    before = watch.baselines["values/x0"]
    calibrate(watch, PLAN.streams.values(), history(PAST))

    assert set(watch.baselines) == set(watch.days) == {"values/x0", "values/x1"}
    assert watch.baselines["values/x0"] is before


def test_a_latch_ends_after_seven_days():
    """An unusual day is remembered for a week from its end, and then no longer."""
    watch = calibrated()
    feed(watch, draw("season", 24, 2, seed=4, shift=2.0))
    until = NOW + DAY + LATCH

    assert watch.latches["values/x0"].until == until
    settle(watch, until - timedelta(minutes=1), PLAN)
    assert "values/x0" in watch.latches
    settle(watch, until, PLAN)
    assert watch.latches == {}


class TestIndependentRows:
    """Rows that are independent of each other are judged against the reference alone."""

    FOUND: ClassVar = [
        it
        for name, values in {"x": np.arange(1600.0), "c": list("aab") * 400}.items()
        for it in streams(Distribution.count(name, fit_grid(name, values), values))
    ]
    MASSES: ClassVar = {
        "x": np.array([6, 94, *[100] * 14, 94, 6, 0]),
        "c": np.array([800, 400, 0, 0]),
    }

    def plan(self):
        found = {it.key: it for it in self.FOUND}
        detectors = independent(self.FOUND, self.MASSES)
        return Plan(found, share_out(AlarmBudget(), self.FOUND), detectors)

    def hours(self, n, x, c, *, seed=0, rows=100):
        rng = np.random.default_rng(seed)
        return [{"x": rng.multinomial(rows, x), "c": rng.multinomial(rows, c)} for _ in range(n)]

    EVEN, SHARES = MASSES["x"] / 1600, [2 / 3, 1 / 3, 0, 0]

    def run(self, hours, *, restart=False):
        watch, found = Watch(), []
        for place, pane in enumerate(hours):
            found += consume(watch, NOW + place * HOUR, HOUR, pane, self.plan())
            watch = restarted(watch) if restart else watch
        return watch, found

    def test_no_baseline_is_needed(self):
        """Without a day of history a change is found in hours, told as such and remembered."""
        tilted = np.r_[0, np.full(8, 0.04), np.full(8, 0.085), 0, 0]
        watch, found = self.run(self.hours(12, tilted, self.SHARES))

        assert {it.stream for it in found} == {"values/x"}
        assert found[0].why == "higher than chance explains"
        assert found[0].span == "hour"
        assert watch.latches["values/x"].until == found[-1].until + LATCH

    def test_what_goes_missing_is_found(self):
        """A growing share of missing values is an alarm of its own stream."""
        holes = np.array([0, *[0.9 / 16] * 16, 0, 0.1])
        _, found = self.run(self.hours(6, holes, self.SHARES))

        assert {it.stream for it in found} == {"absent/x"}
        assert found[0].why == "more missing values than chance explains"

    def test_no_change_is_silent(self):
        """Two weeks of the reference's own law raise no alarm."""
        watch, found = self.run(self.hours(14 * 24, self.EVEN, self.SHARES))

        assert found == []
        assert watch.known_days == 13

    def test_a_restart_changes_nothing(self):
        """The evidence goes through JSON bit for bit."""
        hours = self.hours(40, self.EVEN, [0.6, 0.4, 0, 0], seed=3)
        assert plain(self.run(hours)[0]) == plain(self.run(hours, restart=True)[0])

    def test_hours_without_rows_are_no_evidence(self):
        """A pane in which a feature has no value moves nothing of it."""
        nothing = {"x": np.zeros(19, np.int64), "c": np.zeros(4, np.int64)}
        watch, found = self.run([nothing] * 30)

        assert (watch.evidence, found) == ({}, [])

    def test_a_constant_and_a_single_class_are_watched_without_fault(self):
        """A detector with nothing to tell apart is left out; the feature's absence is watched."""
        constant = streams(Distribution.count("k", fit_grid("k", [7] * 50), [7] * 50))
        found = independent(constant, {"k": np.array([0, 50, 0, 0])})

        assert {key.split("/")[0] for key in found} <= {VALUES, ABSENT}
        assert f"{ABSENT}/k" in found


def test_evidence_is_finite_or_nothing():
    """Everything that is kept is a finite number or None, as JSON can say it."""
    watch = calibrated()
    feed(watch, STREAM)

    def leaves(value):
        if isinstance(value, dict):
            value = list(value.values())
        return [leaf for it in value for leaf in leaves(it)] if isinstance(value, list) else [value]

    assert all(
        not isinstance(leaf, float) or math.isfinite(leaf) for leaf in leaves(watch.to_plain())
    )
