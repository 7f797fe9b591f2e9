"""Each prediction is counted once in one part of every segment, and so is its outcome."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from tests.service import STORES, append, ingester, make_store, outcome, prediction, reference
from tests.traffic import START, predicted, told, window

from mlwatch import DriftPolicy, Monitor, Segment, Table
from mlwatch.profile import CODES, PREFIX
from mlwatch.records import as_segments, sum_tallies
from mlwatch.segments import read_key
from mlwatch.spool import DiskSpool
from mlwatch.stores import MemoryStore, SQLiteStore
from mlwatch.testing import ManualClock
from mlwatch.window import DELAY

SEGMENTS = ("c", Segment("x", bins=(-1, 0.5)), Segment())
ARRIVING = {"arrived", "late", "changed", "unmatched"}
ROWS = 400
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def traffic():
    """Return the events of predictions, and by division the name of the part each belongs to."""
    rng = np.random.default_rng(4)
    rows, names = [], {"c": [], "x": [], "segment": []}
    for i in range(ROWS):
        c = rng.choice(["a", "b", None])
        x = rng.choice([-1.5, -1.0, 0.4999, 0.5, float("nan")])
        own = rng.choice(["eu", "us", None])
        options = {"segment": own, "error": "late" if i % 9 == 0 else None, "latency_ms": i / 7}
        rows.append(predicted(i, rng.random(), {"c": c, "x": float(x)}, **options))
        names["c"].append(f"c={c or 'missing'}")
        low, high = x < -1, x >= 0.5
        named = "x<-1" if low else "0.5<=x" if high else "-1<=x<0.5"
        names["x"].append("x=missing" if np.isnan(x) else named)
        names["segment"].append(f"segment={own or 'missing'}")
    return rows, names


def outcomes(rng):
    return [told(i, int(value)) for i, value in enumerate(rng.integers(0, 2, ROWS))]


def story():
    """Tell outcomes early, late and again; the last one of each stands."""
    rng = np.random.default_rng(5)
    rows, names = traffic()
    early, late, last = (outcomes(rng) for _ in range(3))
    between = rng.permutation(ROWS)
    events = [*early[:100], *rows, *(late[i] for i in between[:300]), *last[:350]]
    stands = {**{event[2]: event for event in early[:100]}}
    stands |= {late[i][2]: late[i] for i in between[:300]}
    stands |= {event[2]: event for event in last[:350]}
    return events, rows, names, list(stands.values())


def counted(tallies):
    """Return tallies without what segments do not have: features, and labels as they arrive."""
    return {
        name: dict(tally)
        for name, tally in tallies.items()
        if not name.startswith((PREFIX, DELAY)) and name not in {CODES, *ARRIVING}
    }


@pytest.mark.parametrize("parts", [1, 2, 7, ROWS])
def test_a_segment_is_as_if_nothing_else_had_come(parts):
    """Split and corrected in any way, its counts are those of its rows alone, to the integer."""
    events, rows, names, stands = story()
    found = window(events, reference(), parts=parts, segments=SEGMENTS).segments

    assert list(found) == ["c", "segment", "x"]
    for label, of_row in names.items():
        assert set(found[label]) == set(of_row)
        for name, tallies in found[label].items():
            own = {row[3] for row, it in zip(rows, of_row, strict=True) if it == name}
            alone = [row for row in rows if row[3] in own]
            alone += [event for event in stands if event[2] in own]
            assert tallies == counted(window(alone, reference()).tallies), name


@pytest.mark.parametrize("given", [None, reference()], ids=["no reference", "reference"])
def test_the_parts_add_up_to_the_whole(given):
    """The counts of the parts of each division add up to those of all traffic."""
    events, *_ = story()
    view = window(events, given, segments=SEGMENTS)

    assert len(view.segments) == len(SEGMENTS)
    for parts in view.segments.values():
        assert sum_tallies(parts.values()) == counted(view.tallies)


def test_without_segments_nothing_is_counted_apart():
    """There is no pane more, no name in what waits for outcomes, and no word in the state."""
    store = MemoryStore()
    events, *_ = story()
    assert window(events, reference()).parts == ()
    monitor = Monitor(reference(), store=store, notifiers=[])
    monitor.record_prediction({"x": 1.0, "c": "a"}, 0.5, segment="eu")
    monitor.flush(ingest=True)

    assert {pane.segment for pane in store.read(Table.panes)} == {""}
    assert [row.segments for row in store.read(Table.pending)] == [()]
    assert not any("segments" in row.body for row in store.read(Table.state))


def named(store):
    """Return the names of the parts that have panes."""
    keys = {pane.segment for pane in store.read(Table.panes)} - {""}
    return {read_key(key)[1] for key in keys}


@pytest.mark.parametrize("kind", STORES)
def test_all_workers_tell_the_same_values_apart(kind, tmp_path):
    """Of a thousand values, in turn by workers and their successors, fifty are told apart."""
    store = make_store(kind, tmp_path)
    segments = as_segments((Segment(),))
    for start in range(0, 1000, 100):
        spool = DiskSpool(tmp_path / "spool")
        values = range(start, start + 100)
        append(spool, *(prediction(f"{i}", segment=f"{i}") for i in values))
        append(spool, *(prediction(f"again {i}", segment=f"{i % 60}") for i in values))
        ingester(tmp_path / "spool", store, spool=spool, segments=segments).run()
        spool.close()

    assert named(store) == {f"segment={i}" for i in range(50)} | {"segment=other"}
    store.close()


def test_values_have_places_for_each_version_but_not_for_every_made_up_one(tmp_path):
    """Each model version has fifty of its own; the state keeps those of the last twenty."""
    store, spool = MemoryStore(), DiskSpool(tmp_path / "spool")
    worker = ingester(tmp_path, store, spool=spool, segments=as_segments((Segment(),)))
    for version in range(30):
        append(spool, prediction(f"{version}", version=f"{version}", segment=f"s{version}"))
        append(spool, prediction(f"{version}+", version="main", segment="eu"))
        worker.run()
    (body,) = (row.body for row in store.read(Table.state))

    assert len(body["segments"]) == 20
    assert body["segments"]["main"] == {"segment": ["segment=eu"]}
    assert body["segments"]["29"] == {"segment": ["segment=s29"]}


@pytest.mark.parametrize("kind", STORES)
def test_a_late_outcome_finds_the_segments_of_its_prediction(kind, tmp_path):
    """Told, and corrected, by another worker, of another policy, it joins where that counted."""
    store = make_store(kind, tmp_path)
    before, after = (as_segments(it) for it in ((Segment(), "c"), ("c",)))
    for segments, event in (
        (before, prediction("a", 0.9, segment="eu")),
        (after, outcome("a", 0)),
        ((), outcome("a", 1)),
    ):
        spool = DiskSpool(tmp_path / "spool")
        append(spool, event)
        ingester(tmp_path / "spool", store, spool=spool, segments=segments).run()
        spool.close()
    panes = {pane.segment: pane.tallies for pane in store.read(Table.panes)}

    assert {read_key(key)[1] for key in panes if key} == {"segment=eu", "c=a"}
    assert [tallies["confusion"] for tallies in panes.values()] == [{"1/1": 1}] * 3
    assert [tallies["rows"]["labelled"] for tallies in panes.values()] == [1] * 3
    store.close()


def test_segments_are_cut_and_reached_like_the_traffic(tmp_path):
    """Over days, roll-ups and late outcomes, any window's parts add up to the whole of it."""
    clock = ManualClock(START)
    store = SQLiteStore(tmp_path / "m.db")
    policy = DriftPolicy(segments=("c",))
    monitor = Monitor(reference(), store=store, notifiers=[], clock=clock, drift=policy)
    ids = []
    for hour in range(100):
        clock.advance(HOUR)
        ids += [monitor.record_prediction({"x": 0.1, "c": "ab"[hour % 2]}, 0.7) for _ in range(3)]
        if hour % 20 == 0:
            monitor.record_outcomes(ids[::2], [hour // 20 % 2] * len(ids[::2]))
            monitor.run_cycle()
    monitor.run_cycle()
    now = clock()
    view = monitor.window(now - DAY, now + HOUR)

    for span in (HOUR, 6 * HOUR, DAY, 3 * DAY, 5 * DAY):
        cut = view.last(span)
        assert sum_tallies(cut.segments["c"].values()) == counted(cut.tallies)
        assert len(cut.segments["c"]) == 2 or span == HOUR
    assert view.last(5 * DAY).tally("rows")["recorded"] == 300
    assert view.last(5 * DAY).tally("rows")["labelled"] == len(ids[: 81 * 3 : 2])
    assert all(not pane.segment for pane in view.panes(HOUR))
    monitor.close()


def test_under_a_new_reference_the_traffic_of_segments_goes_on():
    """As of all traffic, rows and errors are kept of each part, and scores begin anew."""
    store, clock = MemoryStore(), ManualClock(START)
    options = {"store": store, "notifiers": [], "clock": clock}
    policy = DriftPolicy(segments=("c",))
    for seed, rows in ((0, 30), (5, 10)):
        monitor = Monitor(reference(seed=seed), drift=policy, **options)
        for _ in range(rows):
            monitor.record_prediction({"x": 0.1, "c": "a"}, 0.7, error="late")
        monitor.flush(ingest=True)
    (found,) = monitor.window(START - HOUR, START + HOUR).segments["c"].values()

    assert (found["rows"]["recorded"], found["rows"]["errors"]) == (40, 40)
    assert sum(found["score"].values()) == 10
