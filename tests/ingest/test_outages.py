"""Stores that fail for real while a monitor flushes, judges and ends: nothing escapes or goes."""

from __future__ import annotations

import shutil
import time
from datetime import UTC, datetime, timedelta

import pytest
from tests.service import (
    MODEL,
    START,
    STORES,
    VERSION,
    append,
    finish,
    ingester,
    make_store,
    prediction,
    start,
    total,
)

from mlwatch import CaptureOptions, Monitor, SpoolError, StoreError, Table
from mlwatch.spool import DiskSpool
from mlwatch.spool.frame import VERSION as VERSIONS
from mlwatch.spool.frame import opening
from mlwatch.stores import MemoryStore, SQLiteStore
from mlwatch.testing import ManualClock

ERRORS = [OSError("no route to host"), RuntimeError("pool is closed"), KeyError("cursor")]


class Own:
    """A store of a user's own, over one of ours, which raises what its driver raises while down."""

    def __init__(self, inner, error):
        self.inner = inner
        self.error = error
        self.down = True

    def _reach(self):
        if self.down:
            raise self.error

    def write(self, batch):
        self._reach()
        self.inner.write(batch)

    def read(self, table, **asked):
        self._reach()
        return self.inner.read(table, **asked)

    def claim(self, key, now, ttl):
        self._reach()
        return self.inner.claim(key, now, ttl)

    def prune(self, before):
        self._reach()
        return self.inner.prune(before)

    def close(self):
        self._reach()


def watch(store, spool, **options):
    capture = CaptureOptions(spool=spool)
    return Monitor(
        store=store, model=MODEL, model_version=VERSION, notifiers=[], capture=capture, **options
    )


def serve(monitor, names):
    for name in names:
        monitor.record_prediction({"x": 1.0}, 0.5, request_id=name)


def check_all_is_there(store, count):
    """Check that so many predictions are in a store, each of them counted once."""
    assert len(list(store.read(Table.predictions))) == count
    assert total(store) == {"recorded": count, "counted": count}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_what_a_store_of_ones_own_raises_escapes_from_no_flush(tmp_path, error):
    """flush and close say False, the status says why, and the next process stores everything."""
    store = Own(MemoryStore(), error)
    monitor = watch(store, tmp_path)
    serve(monitor, "abc")
    assert monitor.flush()
    assert not monitor.flush(ingest=True)
    assert type(error).__name__ in monitor.status().last_error
    with pytest.raises(type(error)):
        monitor.run_cycle()
    serve(monitor, "de")
    assert not monitor.close()
    assert not monitor.close(), "asked again it says the same"
    store.down = False
    after = watch(store, tmp_path)
    assert after.flush(ingest=True)
    assert after.status().last_error == ""
    assert after.close()
    check_all_is_there(store, 5)


def test_the_background_outlives_a_store_that_raises_anything(tmp_path, caplog):
    """In the background, too, an outage costs nothing but time, and says so while it lasts."""
    store = Own(MemoryStore(), OSError("no route to host"))
    monitor = watch(store, tmp_path)
    monitor._background._pause = 0.01
    monitor.start()
    serve(monitor, "abc")
    deadline = time.monotonic() + 30
    while not monitor.status().last_error and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "no route to host" in monitor.status().last_error
    store.down = False
    while monitor.status().stored < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert monitor.status().running
    assert monitor.close()
    check_all_is_there(store, 3)


@pytest.mark.parametrize("kind", ["jsonl", "sqlite"])
def test_a_store_whose_folder_is_gone_stops_ingest_and_loses_nothing(tmp_path, kind):
    """While the folder of the store is away records wait in the spool, and go on from there."""
    (home := tmp_path / "home").mkdir()
    monitor = watch(make_store(kind, home), tmp_path / "spool")
    serve(monitor, "abc")
    assert monitor.flush(ingest=True)
    home.rename(tmp_path / "away")
    serve(monitor, "de")
    assert not monitor.flush(ingest=True)
    assert "home" in monitor.status().last_error
    with pytest.raises(StoreError):
        monitor.run_cycle()
    (tmp_path / "away").rename(home)
    assert monitor.run_cycle()["prediction_count"].value == 5
    check_all_is_there(monitor._store, 5)
    assert monitor.close()


def test_a_store_that_was_deleted_is_made_anew_by_the_next_process(tmp_path):
    """What waits in the spool when the store is deleted is in the next one."""
    (home := tmp_path / "home").mkdir()
    monitor = watch(SQLiteStore(home / "store.db"), tmp_path / "spool")
    serve(monitor, "abc")
    assert monitor.flush(ingest=True)
    shutil.rmtree(home)
    serve(monitor, "de")
    assert not monitor.close()
    home.mkdir()
    after = watch(SQLiteStore(home / "store.db"), tmp_path / "spool")
    assert after.flush(ingest=True)
    rows = {row.request_id for row in after._store.read(Table.predictions)}
    assert {"d", "e"} <= rows
    assert after.close()


FULL = """
    import resource, sys
    from pathlib import Path
    from mlwatch import StoreError, Table
    from tests.ingest.test_outages import serve, watch
    from tests.service import make_store

    kind, folder = sys.argv[1], Path(sys.argv[2])
    monitor = watch(make_store(kind, folder), "memory")
    serve(monitor, map(str, range(100)))
    assert monitor.flush(ingest=True)
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    resource.setrlimit(resource.RLIMIT_FSIZE, (max(sizes) // 2, resource.RLIM_INFINITY))
    serve(monitor, map(str, range(100, 400)))
    full = [monitor.flush(ingest=True)]
    try:
        monitor.run_cycle()
    except StoreError as error:
        full.append("room on the disk" in str(error))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    monitor.flush()
    while not monitor.flush(ingest=True):
        pass
    print(full, monitor.status().recorded, monitor.status().stored, monitor.close())
"""


@pytest.mark.parametrize("kind", ["jsonl", "sqlite"])
def test_a_full_disk_stops_ingest_and_loses_nothing(tmp_path, kind):
    """With no room for the store (a limit on files) all waits; with room again all is stored."""
    printed = finish(start(FULL, kind, tmp_path))
    assert printed == "[False, True] 400 400 True\n"
    check_all_is_there(make_store(kind, tmp_path), 400)


HOLDER = """
    import sqlite3, sys
    held = sqlite3.connect(sys.argv[1], isolation_level=None)
    held.execute("BEGIN IMMEDIATE")
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
def test_a_file_that_another_process_locks_is_waited_for_and_loses_nothing(tmp_path):
    """While somebody else holds the file ingest says so; once it is free all is stored."""
    monitor = watch(SQLiteStore(tmp_path / "store.db"), tmp_path / "spool")
    serve(monitor, "abc")
    assert monitor.flush(ingest=True)
    holder = start(HOLDER, tmp_path / "store.db", stdin=True)
    assert holder.stdout.readline() == "held\n"
    serve(monitor, "de")
    assert not monitor.flush(ingest=True)
    assert "another process holds the file" in monitor.status().last_error
    holder.communicate("", timeout=60)
    assert monitor.flush(ingest=True)
    check_all_is_there(monitor._store, 5)
    assert monitor.close()


@pytest.mark.parametrize("what", ["folder", "newer", "foreign"])
def test_what_is_no_segment_of_ours_holds_up_nobody(tmp_path, what):
    """A folder, a newer version's segment and a foreign file are named; all else is ingested."""
    odd = tmp_path / f"{0:012x}{'f' * 16}-000001.seg"
    append(spool := DiskSpool(tmp_path), prediction("a"))
    if what == "folder":
        odd.mkdir()
    else:
        odd.write_bytes(opening(VERSIONS + 1) if what == "newer" else b"something else entirely")
    worker = ingester(tmp_path, MemoryStore(), spool=spool)
    for name in "bc":
        with pytest.raises(SpoolError, match=odd.name):
            worker.run()
        append(spool, prediction(name))
    with pytest.raises(SpoolError, match=odd.name):
        worker.run()
    check_all_is_there(worker.store, 3)


def test_a_spool_that_cannot_be_seen_is_told_and_goes_on_later(tmp_path):
    """Where the spool's folder has become a file, nothing escapes, and nothing of it is lost."""
    monitor = watch(MemoryStore(), tmp_path)
    folder = tmp_path / MODEL
    serve(monitor, "abc")
    assert monitor.flush()
    folder.rename(tmp_path / "away")
    folder.touch()
    serve(monitor, "de")
    assert not monitor.flush(ingest=True)
    assert "cannot be" in monitor.status().last_error
    parts = {fault.part for fault in monitor.run_cycle().faults}
    assert parts == {"capture", "spool"}
    folder.unlink()
    (tmp_path / "away").rename(folder)
    while not monitor.flush():
        time.sleep(0.01)
    assert monitor.run_cycle().faults == ()
    check_all_is_there(monitor._store, 5)
    assert monitor.close()


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("jump", [timedelta(days=400), timedelta(hours=-1), timedelta(days=-400)])
def test_a_clock_that_jumps_holds_up_nobody(tmp_path, kind, jump):
    """While the clock is wrong, and once it is right again, ingest and cycles go on alone."""
    clock, store = ManualClock(START), make_store(kind, tmp_path)
    monitor = watch(store, tmp_path / "spool", clock=clock)
    for step in (jump, -jump, timedelta(minutes=6)):
        for _ in range(2):
            serve(monitor, [f"{clock().isoformat()}-{step}"])
            monitor._ingest_turn()
            monitor._cycle_turn()
            assert monitor.status().last_cycle == clock()
            clock.advance(timedelta(minutes=10))
        clock.advance(step)
    status = monitor.status()
    assert (status.recorded, status.stored, status.dropped) == (6, 6, {})
    assert monitor.run_cycle().faults == ()
    assert monitor.close()


@pytest.mark.parametrize("when", [datetime(1, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)])
def test_a_time_of_long_ago_is_kept_and_holds_up_nobody(tmp_path, when):
    """A record of the year 1 is stored like any other, and the next cycle lets it go."""
    store, clock = SQLiteStore(tmp_path / "store.db"), ManualClock(START)
    monitor = watch(store, tmp_path / "spool", clock=clock)
    monitor.record_prediction({"x": 1.0}, 0.5, request_id="old", timestamp=when)
    monitor.record_outcome("old", 1, timestamp=when)
    serve(monitor, "a")
    assert monitor.flush(ingest=True)
    assert [row.time for row in store.read(Table.predictions)] == [when, START]
    assert monitor.run_cycle().faults == ()
    assert [row.time for row in store.read(Table.predictions)] == [START]
    assert (monitor.status().recorded, monitor.status().stored) == (3, 3)
    assert monitor.close()
