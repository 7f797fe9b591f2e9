"""The spool into the store, exactly once, whoever ingests and whenever they are interrupted."""

from __future__ import annotations

import itertools
import signal
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.service import (
    MODEL,
    Interrupted,
    append,
    content,
    finish,
    ingester,
    outcome,
    prediction,
    start,
    total,
)

from mlwatch import ConflictError, SpoolError, Table
from mlwatch.spool import DiskSpool, MemorySpool
from mlwatch.spool.frame import VERSION, opening
from mlwatch.stores import MemoryStore, SQLiteStore

WRITERS = 3
FRAMES = 80
"""Frames a writer: more than two batches."""


def fill(folder, *, frames=FRAMES, writers=WRITERS):
    """Record in several writers' segments; the outcome of a prediction lies with another writer."""
    spools = [DiskSpool(folder) for _ in range(writers)]
    for frame, (place, spool) in itertools.product(range(frames), enumerate(spools)):
        other = (place + 1) % writers
        ids = [f"{place}-{frame}-{number}" for number in range(3)]
        append(
            spool,
            *(prediction(name, number / 3) for number, name in enumerate(ids)),
            prediction(ids[0], 0.01),
            outcome(f"{other}-{frame}-1", frame % 2),
        )
    for spool in spools:
        spool.close()


def account(store):
    """Return what the store says was recorded, stored and dropped."""
    rows = list(store.read(Table.progress))
    dropped = {}
    for row in rows:
        for reason, count in row.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + count
    return sum(row.recorded for row in rows), sum(row.stored for row in rows), dropped


def check_all_is_stored_once(folder, store, tmp_path, *, frames=FRAMES, writers=WRITERS):
    """Compare a store with what one ingester alone makes of the same records."""
    alone = MemoryStore()
    fill(tmp_path / "again", frames=frames, writers=writers)
    ingester(tmp_path / "again", alone).run()
    assert content(store) == content(alone)
    events = frames * writers
    assert account(store) == (5 * events, 4 * events, {"duplicate": events})
    assert total(store) == {"recorded": 3 * events, "counted": 3 * events, "labelled": events}
    assert list(folder.glob("*.seg")) == []


def test_ingest_moves_everything_and_removes_what_is_done(tmp_path):
    """One run stores every record, removes finished segments, and a second run finds nothing."""
    folder, store = tmp_path / "spool", MemoryStore()
    fill(folder)
    assert ingester(folder, store).run() == 4 * FRAMES * WRITERS
    check_all_is_stored_once(folder, store, tmp_path)
    assert ingester(folder, store).run() == 0


def test_a_segment_that_is_written_to_is_read_and_stays(tmp_path):
    """What lies in an open segment is stored at once, and what comes later by the next run."""
    spool, store = DiskSpool(tmp_path), MemoryStore()
    worker = ingester(tmp_path, store)
    for name in "abc":
        append(spool, prediction(name))
        assert worker.run() == 1
    assert worker.run() == 0
    assert len(spool.segments()) == 1
    spool.close()
    worker.run()
    assert spool.segments() == []
    assert [row.request_id for row in store.read(Table.predictions)] == ["a", "b", "c"]


def test_threads_without_a_lease_store_everything_once(tmp_path):
    """Four threads that ingest one spool into one SQLite file, with no lease, store all once."""
    folder = tmp_path / "spool"
    fill(folder)
    barrier = threading.Barrier(4)
    failed = []

    def work():
        store = SQLiteStore(tmp_path / "store.db")
        barrier.wait()
        try:
            ingester(folder, store).run()
        except Exception as error:
            failed.append(error)
        store.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    check_all_is_stored_once(folder, SQLiteStore(tmp_path / "store.db"), tmp_path)


WORKER = """
    import sys, time
    from pathlib import Path
    from mlwatch.stores import SQLiteStore
    from tests.service import ingester

    folder, database, me = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    store = SQLiteStore(database)
    (folder / f"ready-{me}").touch()
    while len(list(folder.glob("ready-*"))) < 2:
        time.sleep(0.001)
    ingester(folder, store).run()
"""


def test_two_processes_without_a_lease_store_everything_once(tmp_path):
    """Two processes that ingest one spool at the same moment, with no lease, store all once."""
    folder, database = tmp_path / "spool", tmp_path / "store.db"
    fill(folder)
    workers = [start(WORKER, folder, database, me) for me in range(2)]
    for worker in workers:
        finish(worker)
    store = SQLiteStore(database)
    ingester(folder, store).run()
    check_all_is_stored_once(folder, store, tmp_path)


@pytest.mark.parametrize("moment", range(1, 12))
def test_a_competing_writer_only_causes_another_try(tmp_path, moment):
    """Whenever another ingester comes in between, the one that wrote second tries again."""
    folder, inner = tmp_path / "spool", MemoryStore()
    fill(folder, frames=3)
    store = Interrupted(inner, moment, lambda: ingester(folder, inner).run())
    ingester(folder, store).run()
    assert store.left <= 0, "the other never came"
    check_all_is_stored_once(folder, inner, tmp_path, frames=3)


class Behind(DiskSpool):
    """A spool as it was seen a moment ago, when fewer frames were there."""

    def read(self, segment, after, *, to_end=False):
        frames = super().read(segment, after, to_end=to_end)
        return (frame for frame in frames if frame.number <= 3)


@pytest.mark.parametrize("moment", range(1, 7))
def test_one_who_saw_more_adds_only_what_is_new(tmp_path, moment):
    """A batch that another ingester has written a part of is cut to the part that is left."""
    spool, inner = DiskSpool(tmp_path), MemoryStore()
    for number in range(5):
        append(spool, prediction(str(number)), prediction("0"))
    behind = ingester(tmp_path, inner, spool=Behind(tmp_path))
    ingester(tmp_path, Interrupted(inner, moment, behind.run)).run()
    assert account(inner) == (10, 5, {"duplicate": 5})


def test_one_who_is_always_second_gives_up_and_says_so(tmp_path):
    """A hundred conflicts in a row end with a ConflictError that names the segment."""

    class AlwaysSecond(MemoryStore):
        def write(self, batch):
            raise ConflictError("someone else wrote first")

    spool = DiskSpool(tmp_path)
    append(spool, prediction("a"))
    with pytest.raises(ConflictError, match=spool.writer):
        ingester(tmp_path, AlwaysSecond()).run()


@pytest.mark.parametrize("first", ["prediction", "outcome"])
def test_a_prediction_and_its_outcome_never_miss_each_other(tmp_path, first):
    """Ingested at the same moment from two writers, by two, in whatever order, the two join."""
    for moment in itertools.count(1):
        folders = {kind: tmp_path / f"{moment}-{kind}" for kind in ("prediction", "outcome")}
        append(DiskSpool(folders["prediction"]), prediction("a", 0.7))
        append(DiskSpool(folders["outcome"]), outcome("a", 1))
        inner = MemoryStore()
        second = ({"prediction", "outcome"} - {first}).pop()
        other = ingester(folders[second], inner)
        store = Interrupted(inner, moment, other.run)
        ingester(folders[first], store).run()
        if store.left > 0:
            assert moment > 5, "there were too few moments to come in between"
            return
        assert total(inner) == {"recorded": 1, "counted": 1, "labelled": 1}, f"at moment {moment}"
        (row,) = inner.read(Table.outcomes)
        assert row.joined, f"at moment {moment}"


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_two_ingesters_join_everything_however_they_interleave(tmp_path_factory, data):
    """Whatever two writers recorded of one set of ids, two interleaved ingesters join it all."""
    folder = tmp_path_factory.mktemp("interleaved")
    spools = [DiskSpool(folder / str(number)) for number in range(2)]
    ids = [str(number) for number in range(data.draw(st.integers(1, 6)))]
    events = [prediction(name, 0.3) for name in ids] + [outcome(name, 1) for name in ids]
    events = data.draw(st.permutations(events))
    for event in events:
        append(data.draw(st.sampled_from(spools)), event)
    inner = MemoryStore()
    workers = [ingester(folder / str(number), inner) for number in range(2)]
    for _ in range(data.draw(st.integers(0, 3))):
        moment = data.draw(st.integers(1, 8))
        chosen = data.draw(st.integers(0, 1))
        store = Interrupted(inner, moment, workers[1 - chosen].run)
        ingester(folder / str(chosen), store).run()
    for worker in workers:
        worker.run()
    alone = MemoryStore()
    append(spool := DiskSpool(folder / "alone"), *events)
    ingester(folder / "alone", alone, spool=spool).run()
    assert content(inner) == content(alone)


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from mlwatch.stores import SQLiteStore
    from tests.service import ingester

    folder, database, when, moment = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])

    class Deadly(SQLiteStore):
        writes = 0

        def write(self, batch):
            self.writes += 1
            if when == "after":
                super().write(batch)
            if self.writes == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            if when == "before":
                super().write(batch)

    ingester(folder, Deadly(database)).run()
"""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("moment", [1, 4])
def test_a_kill_around_a_commit_neither_loses_nor_repeats(tmp_path, when, moment):
    """Killed just before or just after a commit, while segments are there, all is stored once."""
    folder, database = tmp_path / "spool", tmp_path / "store.db"
    fill(folder)
    finish(start(KILLED, folder, database, when, moment), code=-signal.SIGKILL)
    assert list(folder.glob("*.seg")), "the segments went before their rows were safe"
    store = SQLiteStore(database)
    ingester(folder, store).run()
    check_all_is_stored_once(folder, store, tmp_path)


def test_a_foreign_file_stops_no_other_segment(tmp_path):
    """A file that is no segment is named in the error, and what lies beside it is stored."""
    foreign = tmp_path / f"{0:012x}{'f' * 16}-000001.seg"
    foreign.write_bytes(b"not a segment at all")
    append(DiskSpool(tmp_path), prediction("a"))
    store = MemoryStore()
    worker = ingester(tmp_path, store)
    with pytest.raises(SpoolError, match=foreign.name):
        worker.run()
    assert [row.request_id for row in store.read(Table.predictions)] == ["a"]
    assert foreign.name in worker.take_health()["spool"].error
    foreign.unlink()
    worker.run()
    assert worker.take_health() == {"ingest": None, "spool": None}
    assert worker.take_health() == {}


def test_after_a_segment_that_fails_its_writer_waits(tmp_path):
    """Later segments of a writer wait for one that cannot be read: the account stays whole."""
    spool, store = DiskSpool(tmp_path, segment_bytes=1), MemoryStore()
    for number in range(3):
        append(spool, prediction(str(number)))
    first = min(tmp_path.glob("*.seg"))
    content = first.read_bytes()
    first.write_bytes(opening(version=VERSION + 1) + content[len(opening()) :])
    with pytest.raises(SpoolError, match=first.name):
        ingester(tmp_path, store).run()
    assert list(store.read(Table.progress)) == []
    first.write_bytes(content)
    ingester(tmp_path, store).run()
    assert max((row.segment, row.stored) for row in store.read(Table.progress)) == (3, 3)


def test_the_account_goes_on_from_segment_to_segment(tmp_path):
    """The newest segment's progress holds its writer's whole account; older rows may be pruned."""
    spool = DiskSpool(tmp_path, segment_bytes=1)
    store = MemoryStore()
    for number in range(5):
        append(spool, prediction(str(number)), prediction("0"), None)
        if number % 2:
            ingester(tmp_path, store).run()
    spool.close()
    ingester(tmp_path, store).run()
    rows = sorted(store.read(Table.progress), key=lambda row: row.segment)
    assert [row.segment for row in rows] == [1, 2, 3, 4, 5]
    last = rows[-1]
    assert (last.recorded, last.stored) == (15, 5)
    assert last.dropped == {"duplicate": 5, "malformed": 5}


def test_what_was_dropped_before_the_spool_is_in_the_account(tmp_path):
    """Counts that a frame carries of dropped and noted records reach the store with it."""
    spool, store = DiskSpool(tmp_path), MemoryStore()
    spool.append([], 7, {"full": 7}, {"naive_timestamp": 2})
    spool.append([], 1, {"full": 1}, {})
    ingester(tmp_path, store).run()
    (row,) = store.read(Table.progress)
    assert (row.recorded, row.stored, row.model) == (8, 0, MODEL)
    assert row.dropped == {"full": 8}
    assert row.noted == {"naive_timestamp": 2}


def test_ingest_goes_in_slices_and_rests_between_them(tmp_path):
    """No batch holds more than a thousand rows or a frame of more, and in between others run."""
    spool, store = MemorySpool(), MemoryStore()
    for place in range(60):
        append(spool, *(prediction(f"{place}-{row}") for row in range(300)))
    sizes = []

    class Watched:
        read, claim, prune, close = store.read, store.claim, store.prune, store.close

        def write(self, batch):
            sizes.append(len(batch.rows[Table.predictions]))
            store.write(batch)

    ingester(tmp_path, Watched(), spool=spool).run(rest=0.5)
    assert sum(sizes) == 18_000
    assert max(sizes) == 1200  # four frames
