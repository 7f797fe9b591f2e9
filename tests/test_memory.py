"""What a collector remembers is written with what it found, or neither is; and each pane once."""

from __future__ import annotations

import math
import shutil
import signal
import threading
from datetime import timedelta

import numpy as np
import pytest
from tests.hourly import (
    BEGIN,
    HOUR,
    Worker,
    left,
    own_panes,
    remembered,
)
from tests.service import STORES, Interrupted, finish, make_store, start

from mlwatch import Memory, Metric, StoreError, Table, Threshold
from mlwatch.records import Pane
from mlwatch.stores import JSONLStore, MemoryStore, SQLiteStore
from mlwatch.testing import RecordingNotifier

QUIET, LOUD = range(6), range(6, 12)
"""Hours like those of the reference, and hours of a shift that is told when its first closes."""


@pytest.fixture(params=STORES)
def store(request, tmp_path):
    return make_store(request.param, tmp_path)


def served(store, **options):
    """Return a worker on a store that holds all hours."""
    worker = Worker(store, **options)
    worker.serve(QUIET)
    worker.serve(LOUD, shift=3.0)
    return worker


def undisturbed(store, hours, **options):
    """Return what one worker leaves in a store after a cycle an hour, and what it told."""
    worker = served(store, **options)
    for hour in hours:
        worker.cycle(hour)
    return left(store), worker.titles


class Ledger:
    """A collector that adds up the hours that are closed, and keeps a pane of each."""

    name = "ledger"

    def collect(self, window):
        done = window.memory.get("done", [])
        closed = [
            pane
            for pane in window.panes(HOUR)
            if pane.time + HOUR <= window.until and pane.time.isoformat() not in done
        ]
        rows = [pane.tallies["rows"]["recorded"] for pane in closed]
        total = window.memory.get("rows", 0) + sum(rows)
        yield Metric("ledger", float(total), n=total)
        kept = [
            Pane(model="", time=pane.time, span=HOUR, tallies={"ledger": {"rows": n}})
            for pane, n in zip(closed, rows, strict=True)
        ]
        yield Memory({"done": done + [it.time.isoformat() for it in closed], "rows": total}, kept)


LEDGER = {"collectors": [Ledger()], "rules": [Threshold("ledger", above=1000)]}


class Failing:
    """A store that fails the next batch in which `wanted` finds something, as often as told."""

    def __init__(self, inner, wanted):
        self.inner, self.wanted = inner, wanted
        self.times = 1
        self.failed = []
        self.read, self.claim, self.prune, self.close = (
            inner.read,
            inner.claim,
            inner.prune,
            inner.close,
        )

    def write(self, batch):
        if self.times and self.wanted(batch):
            self.times -= 1
            self.failed.append(batch)
            raise StoreError("the disk is full; free some space")
        self.inner.write(batch)


def raises_an_alert(batch):
    return bool(batch.rows.get(Table.alerts))


class TestOneBatch:
    """State, kept panes and alerts are of one batch."""

    def test_what_was_remembered_kept_and_told_came_together(self, store):
        """The batch that opens the alert holds the state, the pane and the metric it rests on."""
        spying = Failing(store, raises_an_alert)
        worker = served(spying)
        for hour in range(1, 7):
            worker.cycle(hour)
        with pytest.raises(StoreError):
            worker.cycle(7)
        (batch,) = spying.failed
        (alert,) = batch.rows[Table.alerts]
        keys = {row.key for row in batch.rows[Table.state]}

        assert alert.metric == "drift"
        assert "collector/m/1/drift" in keys
        assert [pane.time for pane in batch.rows[Table.panes]] == [BEGIN + 6 * HOUR]
        assert any(metric.verdict == "drifted" for metric in batch.rows[Table.metrics])
        assert batch.expects[Table.state, "collector/m/1/drift"] == 6

    @pytest.mark.parametrize("options", [{}, LEDGER], ids=["drift", "own"])
    def test_a_store_that_fails_it_leaves_none_of_the_three(self, store, options):
        """After a batch that failed all is as before; the next cycle consumes the same, once."""
        failing = Failing(store, raises_an_alert)
        worker = served(failing, **options)
        hour = 0
        before = left(store)
        while failing.times:
            before = left(store)
            hour += 1
            try:
                worker.cycle(hour)
            except StoreError:
                break
        collector = "ledger" if options else "drift"

        assert failing.failed
        assert left(store) == before
        assert remembered(store, collector) is not None
        assert own_panes(store)
        assert worker.titles == []
        for later in range(hour, 13):
            worker.cycle(later)
        whole, told = undisturbed(MemoryStore(), range(1, 13), **options)
        assert left(store)["own"] == whole["own"]
        assert remembered(store, collector) == remembered_in(whole, options)
        assert worker.titles == told
        assert [state for state, _ in told] == ["firing"]

    def test_a_cycle_that_failed_for_hours_makes_up_for_all(self, store):
        """Hours that no cycle could write are consumed by the first that can, in order, once."""
        failing = Failing(store, lambda batch: batch.id.startswith("cycle"))
        failing.times = 4
        worker = served(failing, **LEDGER)
        for hour in (1, 2, 3, 4):
            with pytest.raises(StoreError):
                worker.cycle(hour)
        assert own_panes(store) == {}
        worker.cycle(5)
        body, revision = remembered(store, "ledger")

        assert body["rows"] == 1000
        assert body["done"] == [(BEGIN + hour * HOUR).isoformat() for hour in range(5)]
        assert revision == 1
        assert [tallies["ledger"] for tallies in own_panes(store).values()] == [{"rows": 200}] * 5


def remembered_in(whole, options):
    """Return what a collector remembers at the end of an undisturbed run."""
    if not options:
        return whole["memory"]
    fresh = MemoryStore()
    undisturbed(fresh, range(1, 13), **options)
    return remembered(fresh, "ledger")


def test_a_collector_that_raises_remembers_nothing_new(store):
    """What was measured before it raised stands; the hours it took in come again next time."""

    class Fragile(Ledger):
        broken = True

        def collect(self, window):
            yield from super().collect(window)
            if self.broken:
                raise RuntimeError("out of order")

    fragile = Fragile()
    worker = served(store, collectors=[fragile])
    report = worker.cycle(3)
    assert report["ledger"].value == 600
    assert [fault.part for fault in report.faults] == ["collector ledger"]
    assert remembered(store, "ledger") is None
    assert own_panes(store) == {}
    fragile.broken = False
    assert worker.cycle(4)["ledger"].value == 800
    assert len(own_panes(store)) == 4


def test_what_has_not_changed_is_not_written_again(store):
    """A second cycle in the same hour leaves the revision of what is remembered."""
    worker = served(store, **LEDGER)
    worker.cycle(2)
    first = remembered(store, "ledger")
    worker.cycle(2)
    assert remembered(store, "ledger") == first
    assert first[1] == 1


def test_versions_and_collectors_remember_apart(store):
    """Each collector has its memory of each version, and sees only the panes it kept itself."""
    seen = {}

    class Other(Ledger):
        name = "other"

        def collect(self, window):
            kept = list(window.kept(BEGIN, window.until))
            seen[window.model_version] = len(kept), dict(window.memory)
            yield Memory({"version": window.model_version})

    worker = served(store, collectors=[Ledger(), Other()])
    profile = worker.reference.count({"x": [1.0]})
    worker.monitor.record_profile(profile, BEGIN, BEGIN + HOUR, model_version="2")
    worker.cycle(2)
    worker.cycle(3)
    assert seen == {"1": (0, {"version": "1"}), "2": (0, {"version": "2"})}
    rows = {row.name: row.body for row in store.read(Table.state)}
    assert rows["collector/m/1/ledger"]["rows"] == 600
    assert rows["collector/m/2/ledger"]["rows"] == 1


def test_kept_panes_are_no_traffic(store):
    """What a collector keeps is not counted as traffic, in no window and after no roll-up."""
    worker = served(store)
    before = worker.monitor.window(BEGIN, BEGIN + 12 * HOUR).tallies
    for hour in (6, 12, 24, 60, 100):
        worker.cycle(hour)
    after = worker.monitor.window(BEGIN, BEGIN + 12 * HOUR)
    assert len(own_panes(store)) == 12
    assert after.tallies == before


def _pane(**changed):
    fields = {"model": "", "time": BEGIN, "span": HOUR, "tallies": {"own": {"a": 1}}}
    return Pane(**fields | changed)


LOOP: dict = {}
LOOP["itself"] = LOOP

HOSTILE = {
    "a list": Memory([1]),
    "no body": Memory(None),
    "a set": Memory({"a": {1}}),
    "a time": Memory({"a": BEGIN}),
    "an array": Memory({"a": np.zeros(2)}),
    "an object": Memory({"a": object()}),
    "itself": Memory(LOOP),
    "no panes": Memory({}, None),
    "panes that are read once": Memory({}, iter([])),
    "a number for a pane": Memory({}, [5]),
    "a naive time": Memory({}, [_pane(time=BEGIN.replace(tzinfo=None))]),
    "a span of seconds": Memory({}, [_pane(span=3600)]),
    "half a row": Memory({}, [_pane(tallies={"own": {"a": 1.5}})]),
    "text for a count": Memory({}, [_pane(tallies={"own": {"a": "x"}})]),
    "no tallies": Memory({}, [_pane(tallies=None)]),
    "a tally of numbers": Memory({}, [_pane(tallies={"own": 5})]),
}


@pytest.mark.parametrize("memory", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("kind", STORES)
def test_what_no_store_can_keep_is_a_fault_and_no_lost_cycle(kind, memory, tmp_path):
    """A memory that cannot be kept is the collector's fault; the others go on, and so does it."""
    script = [memory, Memory({"a": 1}, [_pane()])]

    def own(window):
        yield Metric("own", 1.0)
        yield script[0]

    store = make_store(kind, tmp_path)
    worker = served(store, collectors=[own, Ledger()])
    report = worker.cycle(3)
    assert [fault.part for fault in report.faults] == ["collector own"]
    assert report["own"].value == 1.0
    assert report["ledger"].value == 600
    assert remembered(store, "own") is None
    del script[0]
    assert worker.cycle(4).faults == ()
    assert remembered(store, "own") == ({"a": 1}, 1)


def test_two_memories_of_one_collector_are_a_fault(store):
    """Which of two were to stand, nobody could say."""
    worker = served(store, collectors=[lambda window: [Memory({"a": 1}), Memory({"a": 2})]])
    (fault,) = worker.cycle(1).faults
    assert "give one Memory" in fault.error
    assert remembered(store, "<lambda>") is None


@pytest.mark.parametrize(
    "body", [{"a": [1, None, True, "$text", 2**70, 0.1, {"b": {}}]}, {"a": math.inf}, {}]
)
def test_a_body_comes_back_as_it_went_in(store, body):
    """What JSON can say comes back equal at the next cycle."""
    seen = []

    def own(window):
        seen.append(window.memory)
        return [Memory(body, [_pane()])]

    worker = served(store, collectors=[own])
    worker.cycle(1)
    worker.cycle(2)
    assert seen == [{}, body]


# Several workers


@pytest.mark.parametrize(
    ("kind", "options"),
    [("memory", {}), ("sqlite", {}), ("jsonl", LEDGER), ("sqlite", LEDGER)],
    ids=["drift-memory", "drift-sqlite", "own-jsonl", "own-sqlite"],
)
def test_wherever_another_worker_comes_in_between_each_pane_is_consumed_once(
    kind, options, tmp_path
):
    """State, kept panes and alerts are those of one worker, whatever the moment of the other."""
    hours = range(6, 9)
    whole, titles = undisturbed(MemoryStore(), hours, **options)
    for moment in range(1, 60):
        (folder := tmp_path / str(moment)).mkdir()
        inner, told = make_store(kind, folder), RecordingNotifier()
        other = served(inner, told=told, **options)
        store = Interrupted(inner, -1, lambda: None)
        worker = Worker(store, told=told, **options)
        for hour in hours:
            other.at(hour)
            if hour == 7:  # the cycle that tells of the shift, or of the thousandth row
                store.left, store.interrupt = moment, other.monitor.run_cycle
            worker.cycle(hour)
        assert left(inner)["own"] == whole["own"]
        assert left(inner)["memory"] == whole["memory"]
        assert left(inner)[Table.alerts] == whole[Table.alerts]
        assert [(alert.state, alert.id) for alert in told.alerts] == titles
        inner.close()
        if store.left > 0:
            assert moment > 8, "there were too few moments to come in between"
            return
    raise AssertionError("there was always one more moment")


def test_two_workers_at_once_leave_what_one_leaves(tmp_path):
    """Two threads with a handle each, whose cycles meet every hour, on one SQLite file."""
    hours = range(1, 31)
    whole, titles = undisturbed(MemoryStore(), hours)
    told = RecordingNotifier()
    path = tmp_path / "store.db"
    workers = [served(SQLiteStore(path), told=told), Worker(SQLiteStore(path), told=told)]
    meet = threading.Barrier(2, timeout=60)
    failed = []

    def work(worker):
        try:
            for hour in hours:
                worker.at(hour)
                meet.wait()
                worker.monitor.run_cycle()
        except BaseException as error:
            meet.abort()
            failed.append(error)

    threads = [threading.Thread(target=work, args=[worker]) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert left(workers[0].store) == whole
    assert [(alert.state, alert.id) for alert in told.alerts] == titles
    assert titles


# Kills

KILLED = """
    import os, signal, sys
    from pathlib import Path
    from mlwatch import stores
    from tests.hourly import Worker

    kind, path, pages, when, moment = sys.argv[1:]
    pages, moment = Path(pages), int(moment)

    class Deadly(getattr(stores, kind)):
        writes = 0

        def write(self, batch):
            self.writes += 1
            if (when, self.writes) == ("before", moment):
                os.kill(os.getpid(), signal.SIGKILL)
            super().write(batch)
            if (when, self.writes) == ("after", moment):
                os.kill(os.getpid(), signal.SIGKILL)

    def page(alert):
        with pages.open("a") as file:
            file.write(f"{alert.state} {alert.id}\\n")

    worker = Worker(Deadly(path), notifiers=[page])
    for hour in (7, 8, 9):
        worker.cycle(hour)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def until_then(tmp_path_factory):
    """Return a folder of stores of all hours, with the cycles of the quiet ones."""
    folder = tmp_path_factory.mktemp("kill")
    for kind in (SQLiteStore, JSONLStore):
        worker = served(kind(folder / kind.__name__))
        for hour in range(1, 7):
            worker.cycle(hour)
        worker.monitor.close()
    return folder


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("kind", "moment"),
    [*((SQLiteStore, moment) for moment in (1, 2, 3, 99)), (JSONLStore, 1), (JSONLStore, 2)],
)
def test_a_kill_neither_loses_nor_repeats_what_was_found(tmp_path, until_then, kind, when, moment):
    """Killed around any write of the cycle that tells, the next process goes on as if nothing.

    The state, the kept panes and the alerts are those of a run that nobody disturbed; a message
    may be repeated, with the same id, where the kill came before its note.
    """
    folder, pages = tmp_path / "stores", tmp_path / "pages"
    shutil.copytree(until_then, folder)
    path = folder / kind.__name__
    finish(start(KILLED, kind.__name__, path, pages, when, moment), code=-signal.SIGKILL)
    told = pages.read_text().splitlines() if pages.exists() else []
    worker = Worker(kind(path), told=RecordingNotifier("page"))
    for hour in range(7, 13):
        worker.cycle(hour)
    told += [f"{state} {alert}" for state, alert in worker.titles]
    whole, titles = undisturbed(MemoryStore(), range(1, 13))

    assert remembered(worker.store) == whole["memory"]
    assert own_panes(worker.store) == whole["own"]
    assert left(worker.store)[Table.alerts] == whole[Table.alerts]
    assert set(told) == {f"{state} {alert}" for state, alert in titles}
    assert len(told) - len(titles) <= 1


# Retention


def test_kept_panes_go_with_all_others(store):
    """What a collector kept is removed with the panes of that time, and not before."""
    worker = served(store, **LEDGER)
    worker.cycle(12)
    worker.at(24 * 55)
    worker.monitor.run_cycle()
    assert len(own_panes(store)) == 12
    worker.clock.advance(timedelta(days=3))
    worker.monitor.run_cycle()
    assert own_panes(store) == {}
