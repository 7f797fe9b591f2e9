"""Old panes become coarser, and nothing is counted twice or lost by it."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.service import STORES, Interrupted, finish, make_store, start

from mlwatch import ConflictError, Monitor
from mlwatch.history import read_windows
from mlwatch.records import Batch, CaptureOptions, Pane, Retention, Table
from mlwatch.rollup import SLACK, roll_up
from mlwatch.spans import DAY, HOUR, MINUTE
from mlwatch.stores import MemoryStore, SQLiteStore
from mlwatch.testing import ManualClock

NOW = datetime(2024, 3, 8, 12, 30, tzinfo=UTC)
NUMBERS = itertools.count()
AGE = "seconds_since_prediction"


def pane(minutes_ago, tallies=None, **other):
    """Return a minute pane of so long ago."""
    time = NOW - minutes_ago * MINUTE
    tallies = {"rows": {"recorded": 1}} if tallies is None else tallies
    return Pane(**{"model": "m", "time": time, "span": MINUTE, "tallies": tallies} | other)


def put(store, *panes):
    """Write panes as a batch of their own."""
    store.write(Batch(f"test/{next(NUMBERS)}", {Table.panes: panes}))


def spans(store):
    """Return the time and span of each pane in a store."""
    return [(row.time, row.span) for row in store.read(Table.panes)]


def counted(store):
    """Return the sum of all counts by model version, reference, segment, source and cell."""
    total = Counter()
    for row in store.read(Table.panes):
        for name, tally in row.tallies.items():
            for cell, count in tally.items():
                place = row.model, row.model_version, row.reference, row.segment, row.source
                total[place, name, cell] += count
    return {place: count for place, count in total.items() if count}


def negative(store):
    """Say whether a count of any pane is below 0."""
    tallies = [tally for row in store.read(Table.panes) for tally in row.tallies.values()]
    return any(count < 0 for tally in tallies for count in tally.values())


def filled(store, days=4):
    """Fill a store with a pane every 7 minutes, of two versions; return it."""
    rng = random.Random(3)
    wide = [{"feature/x": {str(cell): rng.randint(1, 9) for cell in range(60)}} for _ in range(5)]
    ages = range(0, days * 1440, 7)
    panes = [pane(age, {"rows": {"recorded": age + 1}} | wide[age % 5]) for age in ages]
    put(store, *panes, *(replace(row, model_version="2") for row in panes[::9]))
    return store


@pytest.mark.parametrize("kind", STORES)
def test_hours_after_two_hours_and_days_after_two_days(kind, tmp_path):
    """Recent panes stay, older ones are of an hour, the oldest of a day; the sums are the same."""
    store = filled(make_store(kind, tmp_path))
    before = counted(store)
    assert roll_up(store, "m", NOW) > 800
    assert counted(store) == before
    for time, span in spans(store):
        age = NOW - SLACK - time
        assert time.minute == 0 or span == MINUTE
        assert time.hour == 0 or span < DAY
        assert span == (DAY if age > 72 * HOUR else HOUR if age > 3 * HOUR else span)
    assert {span for _, span in spans(store)} == {MINUTE, HOUR, DAY}
    store.close()


def test_only_whole_hours_and_days_that_lie_behind():
    """An hour, or a day, is rolled up once all of it is old enough, and not a minute before."""
    store = MemoryStore()
    hour = NOW.replace(minute=0) - 3 * HOUR
    put(store, pane((NOW - hour) / MINUTE), pane((NOW - hour) / MINUTE - 59))
    end = hour + HOUR
    assert roll_up(store, "m", end + 2 * HOUR + SLACK - timedelta(seconds=1)) == 0
    assert roll_up(store, "m", end + 2 * HOUR + SLACK) == 2
    assert spans(store) == [(hour, HOUR)]
    day = hour.replace(hour=0)
    assert roll_up(store, "m", day + 72 * HOUR + SLACK - timedelta(seconds=1)) == 0
    assert roll_up(store, "m", day + 72 * HOUR + SLACK) == 1
    assert spans(store) == [(day, DAY)]


def test_panes_of_others_stay_apart():
    """Counts made elsewhere and other models stay; versions, references, segments are not mixed."""
    store = MemoryStore()
    own = pane(600)
    others = [
        replace(own, model_version="2"),
        replace(own, reference="f"),
        replace(own, segment="eu"),
        replace(own, source="spark", span=5 * MINUTE),
        replace(own, model="other"),
    ]
    put(store, own, *others)
    before = counted(store)
    assert roll_up(store, "m", NOW) == 4
    assert counted(store) == before
    left = {row.source if row.model == "m" else row.model for row in others[3:]}
    fine = [row for row in store.read(Table.panes) if row.span != HOUR]
    assert (
        {row.source if row.model == "m" else row.model for row in fine}
        == left
        == {
            "spark",
            "other",
        }
    )


def test_late_outcomes_are_rolled_up_by_a_later_pass():
    """What comes late to an old minute joins its hour, within the hour, with what it takes back."""
    store = MemoryStore()
    put(store, pane(600, {"outcome": {"a": 1}, "rows": {"labelled": 1}}))
    roll_up(store, "m", NOW)
    put(store, pane(600, {"outcome": {"a": -1, "b": 1}}))
    assert roll_up(store, "m", NOW + MINUTE) == 0
    assert roll_up(store, "m", NOW + HOUR) == 1
    (row,) = store.read(Table.panes)
    assert (row.span, row.tallies) == (HOUR, {"outcome": {"b": 1}, "rows": {"labelled": 1}})


def test_a_pass_is_made_once_an_hour():
    """Between two full hours a cycle reads one row of state and no pane."""
    store = filled(MemoryStore())
    roll_up(store, "m", NOW)
    seen = Interrupted(store, 2, lambda: pytest.fail("there was more than one read"))
    assert roll_up(seen, "m", NOW + 20 * MINUTE) == 0


def test_batches_are_small():
    """However much there is to roll up, a batch moves at most 60 panes into few."""
    sizes = []

    class Measured(MemoryStore):
        def write(self, batch):
            sizes.append(len(batch.rows[Table.panes]))
            super().write(batch)

    store = filled(Measured(), days=9)
    sizes.clear()
    assert roll_up(store, "m", NOW) > 1500
    assert max(sizes) <= 60 + 2


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("step", [*range(1, 9), 60])
def test_two_workers_at_once(kind, step, tmp_path):
    """Whenever a second worker rolls up while the first does, nothing is moved twice."""
    store = filled(make_store(kind, tmp_path), days=3)
    before = counted(store)
    roll_up(Interrupted(store, step, lambda: roll_up(store, "m", NOW)), "m", NOW)
    assert counted(store) == before
    assert not negative(store)
    assert roll_up(store, "m", NOW) == 0
    assert min(span for time, span in spans(store) if time < NOW - 4 * HOUR) == HOUR
    store.close()


def test_without_what_the_batch_expects_it_would_be_doubled():
    """The compare-and-set is what keeps two workers apart: without it the same panes move twice."""

    class Careless(MemoryStore):
        def write(self, batch):
            super().write(replace(batch, expects={}))

    store = filled(Careless(), days=3)
    before = counted(store)
    roll_up(Interrupted(store, 3, lambda: roll_up(store, "m", NOW)), "m", NOW)
    assert counted(store) == before  # what was given twice was also taken twice
    assert negative(store)


@pytest.mark.parametrize("step", range(2, 8))
def test_what_is_counted_meanwhile_is_kept(step):
    """Outcomes that are ingested while a minute is moved stay in it, for the next pass."""
    store = filled(MemoryStore(), days=3)
    before = counted(store)
    late = [pane(age, {"outcome": {"late": 1}}) for age in range(0, 4000, 7)]
    roll_up(Interrupted(store, step, lambda: put(store, *late)), "m", NOW)
    after = counted(store)
    assert after.pop((("m", "", "", "", "recorder"), "outcome", "late")) == len(late)
    assert after == before


TRAFFIC = st.lists(
    st.tuples(st.integers(0, 5 * 1440), st.sampled_from("12"), st.integers(-3, 9), st.booleans()),
    max_size=60,
)
WINDOW = st.tuples(st.integers(-30, 5 * 1440), st.integers(1, 4 * 1440))


@pytest.mark.parametrize("kind", STORES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    st.lists(st.tuples(TRAFFIC, st.integers(0, 700)), min_size=1, max_size=4),
    st.lists(WINDOW, min_size=1, max_size=4),
)
def test_any_window_is_that_without_any_roll_up(kind, tmp_path, rounds, windows):
    """For any traffic, roll-ups and windows the counts are those of a store without roll-ups."""
    folder = tmp_path / str(next(NUMBERS))
    folder.mkdir()
    rolled, plain = make_store(kind, folder), MemoryStore()
    now = NOW - DAY
    for traffic, wait in rounds:
        for ago, version, count, wide in traffic:
            cells = {str(c): count for c in range(50 if wide else 1)}
            row = pane(ago, {"feature/x": cells, "rows": {"recorded": 1}}, model_version=version)
            put(rolled, row)
            put(plain, row)
        rolled.prune({})
        roll_up(rolled, "m", now)
        now += wait * MINUTE
    for ago, length in windows:
        until = now - ago * MINUTE
        asked = {"model": "m", "model_version": "1", "references": lambda version: None}
        asked |= {"since": until - length * MINUTE, "until": until, "now": now}
        ours = {window.model_version: window for window in read_windows(rolled, **asked)}
        theirs = {window.model_version: window for window in read_windows(plain, **asked)}
        for version, window in theirs.items():
            same = ours.get(version, replace(window, panes_=()))
            assert same.tallies == window.tallies
            assert same.row_panes == window.row_panes
            assert (same.since, same.until) == (window.since, window.until)
            for back in (10 * MINUTE, 5 * HOUR, 3 * DAY):
                assert same.last(back).tallies == window.last(back).tallies
                assert same.last(back).since == window.last(back).since
    rolled.close()


class Left(MemoryStore):
    """A store as workers leave it that die at the end of each cycle: nothing is tidied up."""

    def write(self, batch):
        if batch.id.startswith("rollup/"):
            raise ConflictError("somebody was faster")
        super().write(batch)

    def prune(self, before):
        return 0


def measured(store):
    """Return every figure of the model that cycles over three days find, a cycle each 6 hours."""
    rng, clock, figures = random.Random(1), ManualClock(NOW.replace(hour=0, minute=0)), []
    unlabelled = []
    capture = CaptureOptions(retention=Retention(rows=36 * HOUR))
    about = {"model_version": "1", "notifiers": [], "window": 3 * DAY, "capture": capture}
    with Monitor(store=store, clock=clock, **about) as it:
        for busy in [True] * 10 + [False] * 2:
            begin, now = clock(), clock.advance(6 * HOUR)
            for number in range(190 * busy):
                when = begin + 6 * HOUR * number / 190
                known = it.record_prediction(
                    {"x": rng.randint(1, 2000)}, rng.random(), timestamp=when
                )
                unlabelled.append((when + rng.random() * 9 * HOUR, known))
            for when, known in [row for row in unlabelled if row[0] <= now]:
                it.record_outcome(known, rng.randint(0, 1), timestamp=when)
                unlabelled.remove((when, known))
            found = it.run_cycle().metrics
            figures.append({row.key: row for row in found if row.model_version or row.name == AGE})
    return figures


def test_figures_do_not_depend_on_how_the_last_cycle_ended():
    """A worker that dies before its roll-up and prune leaves no trace in what is measured later."""
    rolled, plain = measured(MemoryStore()), measured(Left())

    assert {"duplicate_share", "label_maturity", AGE} <= {row.name for row in plain[-1].values()}
    assert rolled == plain


@pytest.mark.parametrize("step", [2, 9])
def test_a_process_that_is_killed_loses_nothing(step, tmp_path):
    """Killed in the middle of a roll-up, all counts are there, and the next pass does the rest."""
    path = tmp_path / "store.db"
    store = filled(SQLiteStore(path))
    before, fine = counted(store), len(spans(store))
    script = """
        import os, signal, sys
        from mlwatch.rollup import roll_up
        from mlwatch.stores import SQLiteStore
        from tests.service import Interrupted
        from tests.test_rollup import NOW

        def die():
            os.kill(os.getpid(), signal.SIGKILL)

        roll_up(Interrupted(SQLiteStore(sys.argv[1]), int(sys.argv[2]) + 2, die), "m", NOW)
    """
    finish(start(script, path, step), -9)
    assert counted(store) == before
    halfway = len(spans(store))
    assert halfway < fine
    assert roll_up(store, "m", NOW) > 0
    assert len(spans(store)) < halfway
    assert counted(store) == before
    store.close()


def test_a_jsonl_store_does_not_grow_by_it(tmp_path):
    """What cancels out goes with the next prune, and each pane is one line again."""
    store = make_store("jsonl", tmp_path)
    for age in range(0, 4000, 7):
        put(store, pane(age), pane(age, {"rows": {"recorded": 2}}))
    before = counted(store)

    def lines():
        files = Path(store.path).glob("panes_*.jsonl")
        return sum(len(file.read_text().splitlines()) for file in files)

    most = lines()
    roll_up(store, "m", NOW)
    assert lines() > most
    assert store.prune({}) == 0
    assert counted(store) == before
    assert lines() < most / 4
    untouched = [row.time for row in store.read(Table.panes) if row.span == MINUTE]
    assert lines() == len(spans(store))
    assert len(untouched) > 10
    again = make_store("jsonl", tmp_path)
    assert counted(again) == before
    kept = {file: file.stat().st_mtime_ns for file in Path(store.path).glob("*.jsonl")}
    again.prune({})
    assert kept == {file: file.stat().st_mtime_ns for file in Path(store.path).glob("*.jsonl")}
