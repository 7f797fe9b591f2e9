"""Retention by size: what no longer fits goes, oldest first, in an order that costs least."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from tests.service import DAY, MINUTE, MODEL, START, STORES, VERSION, make_store, total

from mlwatch import (
    Alert,
    CaptureOptions,
    ConfigurationError,
    Metric,
    Monitor,
    Retention,
    Severity,
    StoreError,
    Table,
)
from mlwatch.catalogue import CATALOGUE
from mlwatch.records import Batch, Delivery, Pane, Pending, Prediction
from mlwatch.retention import prune
from mlwatch.stores import MemoryStore, SQLiteStore
from mlwatch.testing import ManualClock, RecordingNotifier

HOUR = timedelta(hours=1)


def monitor(store, clock, max_bytes, **options):
    keep = Retention(max_bytes=max_bytes)
    return Monitor(
        store=store,
        model=MODEL,
        model_version=VERSION,
        notifiers=[],
        clock=clock,
        capture=CaptureOptions(retention=keep),
        **options,
    )


def serve(watched, count, size=5000):
    for _ in range(count):
        watched.record_prediction({"x": 1.0, "text": "a" * size}, 0.5)


@pytest.mark.parametrize("kind", STORES)
def test_a_store_stays_below_its_bound(kind, tmp_path):
    """However much is recorded, each cycle leaves a store that fits, with the newest rows in it."""
    clock, store, most = ManualClock(START), make_store(kind, tmp_path), 4_000_000
    watched = monitor(store, clock, most)
    shortened = []
    for _ in range(12):
        serve(watched, 100)
        report = watched.run_cycle()
        rows = list(store.read(Table.predictions))
        size = report["monitor_store_bytes"]
        shortened.append("kept are predictions from" in size.why)
        assert report.faults == ()
        assert size.value <= most
        assert size.name in CATALOGUE
        assert rows[-1].time == clock()
        clock.advance(HOUR)
    assert shortened[0] is False
    assert shortened[-1] is True
    assert 200 < len(rows) < 800, "more was removed than had to be, or less"
    assert total(store)["recorded"] == 1200, "the counts of rows that are gone stay"
    assert len(list(store.read(Table.pending))) == 1200
    status = watched.status()
    assert (status.recorded, status.stored, status.dropped) == (1200, 1200, {})
    watched.close()


def test_a_sqlite_file_is_filled_again_and_its_log_stays_small(tmp_path):
    """Pages of removed rows are used again, so that the file ends to grow, and so does the log."""
    clock, store, most = ManualClock(START), SQLiteStore(tmp_path / "store.db"), 10_000_000
    watched = monitor(store, clock, most)
    data, log = [], []
    for _ in range(30):
        serve(watched, 300)
        watched.run_cycle()
        data.append((tmp_path / "store.db").stat().st_size)
        log.append((tmp_path / "store.db-wal").stat().st_size)
        clock.advance(HOUR)
    assert max(data) < 1.3 * most  # what an hour brings comes on top
    assert max(log) < 2 * 16 * 2**20
    watched.close()


def filled(store, days=20, size=1000):
    """Fill a store with a row of every kind a day."""
    text = "a" * size
    for day in range(days):
        time = START - DAY * (days - 1 - day)
        about = {"model": MODEL, "model_version": VERSION}
        name = str(day)
        rows = {
            Table.predictions: [
                Prediction(request_id=name, time=time, features={"x": text}, prediction=1, **about)
            ],
            Table.pending: [
                Pending(request_id=name, time=time, reference=text, score=0.5, label=None, **about)
            ],
            Table.metrics: [Metric("own", 1.0, why=text, since=time - HOUR, time=time, **about)],
            Table.panes: [
                Pane(time=time, span=DAY, tallies={text: {"a": 1}}, **about),
            ],
        }
        store.write(Batch(name, rows))
    return store


def days(store, table):
    """Return how many days ago the rows of a table are."""
    return [round((START - row.time) / DAY) for row in store.read(table)]


def test_what_can_best_be_missed_goes_first():
    """Rows first, then results, then what late outcomes need, and counts last; never the newest."""
    tables = (Table.predictions, Table.metrics, Table.pending, Table.panes)
    left = []
    whole = filled(MemoryStore()).bytes
    for percent in (99, 90, 70, 60, 40, 20, 1):
        store = filled(MemoryStore())
        for _ in range(10):
            kept = prune(store, Retention(max_bytes=whole * percent // 100), START + MINUTE)
        assert (store.bytes <= whole * percent // 100) == (percent > 10) == (kept.fault is None)
        left.append([len(days(store, table)) for table in tables])
        for table in tables[1:]:
            assert days(store, table) == list(range(len(days(store, table))))[::-1]
    for before, after in itertools.pairwise(left):
        assert all(more >= less for more, less in zip(before, after, strict=True))
    shortened = [[count < 20 for count in row] for row in left]
    assert shortened[0] == [True, False, False, False]
    assert all(row == sorted(row, reverse=True) for row in shortened), "a later kind went before"
    assert left[-1] == [1, 1, 1, 3]


def test_what_is_not_over_stays():
    """Alerts that fire, and messages on their way, outlive any bound; progress and state, too."""
    store = filled(MemoryStore())
    old, when = START - DAY * 15, START - DAY * 16
    alerts = [
        Alert(
            id=state + str(at), fingerprint="f", rule="r", severity=Severity.WARNING, state=state,
            title="t", why="w" * 1000, since=at, time=at, model=MODEL,
        )
        for state, at in (("resolved", when), ("firing", old), ("resolved", START - DAY * 3))
    ]  # fmt: skip
    messages = [
        Delivery(alert=alert, notifier="n", status=status, time=alert.time)
        for alert, status in zip(alerts, ("sent", "pending", "sent"), strict=True)
    ]
    store.write(Batch("alerts", {Table.alerts: alerts, Table.deliveries: messages}))
    for _ in range(10):
        prune(store, Retention(max_bytes=1000), START + MINUTE)
    assert days(store, Table.alerts) == days(store, Table.deliveries) == [15, 3]


def test_a_bound_that_is_too_small_is_told_and_loses_no_account():
    """Where not even the newest fits, a fault with the remedy alerts, until the bound is raised."""
    clock, store, told = ManualClock(START), MemoryStore(), RecordingNotifier()
    watched = monitor(store, clock, 10_000)
    watched._parts.cycle.manager.notifiers.append(told)
    serve(watched, 50)
    for _ in range(3):
        report = watched.run_cycle()
        clock.advance(5 * MINUTE)
    (fault,) = report.faults
    assert fault.part == "retention"
    assert "Retention(max_bytes=10,000) is too little" in fault.error
    assert [alert.title for alert in told.alerts] == ["monitoring fault in retention"]
    serve(watched, 50)
    watched.run_cycle()
    status = watched.status()
    assert (status.recorded, status.stored, status.dropped) == (100, 100, {})
    assert total(store)["recorded"] == 100


def test_a_cycle_takes_a_few_steps_at_most():
    """A store that never gets smaller ends no cycle: the next one goes on."""

    class Stuck(MemoryStore):
        prunes = 0
        bytes = 10**9

        def prune(self, before):
            self.prunes += 1
            return 0

    store = filled(Stuck())
    kept = prune(store, Retention(max_bytes=1), START + MINUTE)
    assert store.prunes == 1 + 8
    assert kept.metric.value == 10**9


def test_without_a_bound_only_age_counts():
    """By default nothing is removed for its size, and a store need not say how large it is."""
    store = filled(MemoryStore())
    assert prune(store, Retention(), START + MINUTE) is None
    assert days(store, Table.metrics) == list(range(20))[::-1]
    assert days(store, Table.predictions) == list(range(8))[::-1][1:]


def test_a_store_that_does_not_say_how_large_it_is_cannot_be_bounded():
    """A bound on a store without `bytes` is refused when the monitor is made."""

    class Bare:
        def __init__(self):
            inner = MemoryStore()
            self.write, self.read, self.claim = inner.write, inner.read, inner.claim
            self.prune, self.close = inner.prune, inner.close

    with pytest.raises(ConfigurationError, match="does not say how large it is"):
        monitor(Bare(), ManualClock(START), 1000)
    monitor(Bare(), ManualClock(START), None).close()


def test_a_store_may_say_how_large_it_is_in_any_way():
    """An attribute of the object is as good as a property; a bound is held by it."""

    class Bare:
        def __init__(self, inner, size):
            self.write, self.read, self.claim = inner.write, inner.read, inner.claim
            self.prune, self.close, self.bytes = inner.prune, inner.close, size

    watched = monitor(Bare(MemoryStore(), 1234), ManualClock(START), 10_000)
    report = watched.run_cycle()
    assert (report["monitor_store_bytes"].value, report.faults) == (1234.0, ())
    (fault,) = monitor(Bare(MemoryStore(), "1 GB"), ManualClock(START), 10_000).run_cycle().faults
    assert "bytes is '1 GB'" in fault.error


@pytest.mark.parametrize("broken", ["prune", "bytes"])
def test_a_store_that_cannot_be_shortened_silences_nothing(broken):
    """Where rows cannot be removed, or measured, the cycle tells that, and whatever else it finds.

    Once it works again, the alert resolves.
    """

    class Broken(MemoryStore):
        mended = False

        def prune(self, before):
            if broken == "prune" and not self.mended:
                raise StoreError("no DELETE")
            return super().prune(before)

        @property
        def bytes(self):
            if broken == "bytes" and not self.mended:
                raise RuntimeError("no size")
            return super().bytes

    def rule(metrics):
        raise ValueError("no rule")

    clock, store, told = ManualClock(START), Broken(), RecordingNotifier()
    watched = monitor(store, clock, 10**9, rules=[rule])
    watched._parts.cycle.manager.notifiers.append(told)
    report = watched.run_cycle()
    assert [fault.part for fault in report.faults] == ["rule rule 1", "retention"]
    assert sorted(alert.title for alert in told.alerts) == [
        "monitoring fault in retention",
        "monitoring fault in rule rule 1",
    ]
    store.mended = True
    clock.advance(5 * MINUTE)
    assert [fault.part for fault in watched.run_cycle().faults] == ["rule rule 1"]
    assert told.alerts[-1].state == "resolved"
    assert len(told.alerts) == 3


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "1 GB", True])
def test_a_bound_that_is_none_is_refused(wrong):
    """A bound is a whole number of bytes."""
    with pytest.raises(ConfigurationError, match="max_bytes"):
        Retention(max_bytes=wrong)
