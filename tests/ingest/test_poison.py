"""Ingest that cannot be stuck: an event that no store takes, a store that fails in its own way."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ingest.test_loop import account
from tests.service import (
    MODEL,
    append,
    content,
    finish,
    ingester,
    outcome,
    prediction,
    start,
    total,
)

from mlwatch import DataError, Table
from mlwatch.records import Account, ingest_key
from mlwatch.spool import DiskSpool
from mlwatch.stores import MemoryStore, SQLiteStore


class Picky(MemoryStore):
    """A store that refuses rows of predictions whose id begins with "bad", as a database may."""

    def write(self, batch):
        if any(row.request_id.startswith("bad") for row in batch.rows.get(Table.predictions, ())):
            raise DataError("a text holds what this database cannot keep")
        super().write(batch)


def kept(store):
    """Return the account that ingest keeps of the model, which only grows."""
    return Account.of(next(store.read(Table.state, keys=[ingest_key(MODEL)])).body)


def check_account(store, recorded, poisonous):
    """Check that all is accounted for, by writer and in all."""
    dropped = {"poisonous": poisonous} if poisonous else {}
    assert account(store) == (recorded, recorded - poisonous, dropped)
    found = kept(store)
    assert (found.recorded, found.stored, found.dropped) == account(store)


@given(data=st.data())
def test_all_but_the_refused_events_are_stored_once(tmp_path_factory, data):
    """Wherever the refused events lie, all others are stored as if they had never been."""
    folder = tmp_path_factory.mktemp("poison")
    sizes = data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=6))
    bad = data.draw(st.sets(st.integers(0, max(sum(sizes) - 1, 0)), max_size=4))
    numbers = itertools.count()
    frames = [[next(numbers) for _ in range(size)] for size in sizes]
    bad = bad & set(range(sum(sizes)))
    spool, sound = DiskSpool(folder / "all"), DiskSpool(folder / "sound")
    for frame in frames:
        append(spool, *(prediction(f"{'bad' * (n in bad)}{n}", n / 40) for n in frame))
        append(sound, *(prediction(str(n), n / 40) for n in frame if n not in bad))
    store, other = Picky(), MemoryStore()
    worker = ingester(folder, store, spool=spool)
    assert worker.run() == sum(sizes) - len(bad)
    ingester(folder, other, spool=sound).run()
    assert content(store) == content(other)
    check_account(store, sum(sizes), len(bad))
    fault = worker.take_health()["ingest"]
    assert (fault is None) == (not bad)
    assert fault is None or "this database cannot keep" in fault.error
    assert worker.run() == 0
    assert worker.take_health()["ingest"] is None
    spool.close()
    worker.run()
    assert spool.segments() == []


def test_an_event_that_cannot_be_joined_is_dropped_alone(tmp_path):
    """Whatever joining raises, it costs the one event at fault, and is told with its cause."""

    def references(version):
        if version == "odd":
            raise ArithmeticError("this version cannot be read")

    spool = DiskSpool(tmp_path)
    append(spool, prediction("a"), prediction("b", version="odd"), prediction("c"))
    append(spool, outcome("a", 1))
    store = MemoryStore()
    worker = ingester(tmp_path, store, references=references)
    assert worker.run() == 3
    assert [row.request_id for row in store.read(Table.predictions)] == ["a", "c"]
    assert total(store) == {"recorded": 2, "counted": 2, "labelled": 1}
    check_account(store, 4, 1)
    assert "ArithmeticError: this version cannot be read" in worker.take_health()["ingest"].error


def test_memory_that_ran_out_is_no_events_fault(tmp_path):
    """Where joining found no memory nothing is dropped, and the next run stores all."""
    left = [1]

    def references(version):
        if left:
            left.pop()
            raise MemoryError

    append(DiskSpool(tmp_path), prediction("a"), prediction("b"))
    worker = ingester(tmp_path, MemoryStore(), references=references)
    with pytest.raises(MemoryError):
        worker.run()
    assert worker.run() == 2
    check_account(worker.store, 2, 0)


def test_a_store_that_refuses_everything_costs_nothing(tmp_path):
    """A store that refuses a batch without events is broken: ingest stops, and goes on later."""

    class Broken(MemoryStore):
        broken = True

        def write(self, batch):
            if self.broken:
                raise DataError("the table is not there")
            super().write(batch)

    store = Broken()
    append(DiskSpool(tmp_path), prediction("a"), prediction("b"))
    worker = ingester(tmp_path, store)
    with pytest.raises(DataError, match="the table is not there"):
        worker.run()
    store.broken = False
    assert worker.run() == 2
    check_account(store, 2, 0)


@pytest.mark.parametrize("error", [OSError("gone"), RuntimeError("no connection"), KeyError("x")])
@pytest.mark.parametrize("moment", range(1, 7))
def test_a_store_of_ones_own_may_raise_anything(tmp_path, error, moment):
    """Whatever a store raises, and when, nothing is dropped and the next run stores the rest."""

    class Own(MemoryStore):
        left = moment

        def write(self, batch):
            self._step()
            super().write(batch)

        def read(self, table, **asked):
            self._step()
            return super().read(table, **asked)

        def _step(self):
            self.left -= 1
            if self.left == 0:
                raise error

    spool, store = DiskSpool(tmp_path), Own()
    for frame in range(3):
        append(spool, *(prediction(f"{frame}-{place}") for place in range(2)))
    worker = ingester(tmp_path, store)
    with pytest.raises(type(error)):
        worker.run()
    assert worker.run() == 6
    check_account(store, 6, 0)
    assert total(store) == {"recorded": 6, "counted": 6}


KILLED = """
    import os, signal, sys
    from mlwatch import DataError, Table
    from mlwatch.stores import SQLiteStore
    from tests.service import ingester

    folder, database, moment = sys.argv[1], sys.argv[2], int(sys.argv[3])

    class Deadly(SQLiteStore):
        writes = 0

        def write(self, batch):
            if any(row.request_id == "bad" for row in batch.rows.get(Table.predictions, ())):
                raise DataError("no")
            super().write(batch)
            self.writes += 1
            if self.writes == moment:
                os.kill(os.getpid(), signal.SIGKILL)

    ingester(folder, Deadly(database)).run()
"""


@pytest.mark.parametrize("moment", [1, 2, 3])
def test_a_kill_between_the_pieces_of_a_frame_repeats_nothing(tmp_path, moment):
    """Killed with half a frame in the store, the next ingester goes on in the middle of it.

    So it does where it is a newer version, which no longer refuses what the first one did.
    """
    folder, database = tmp_path / "spool", tmp_path / "store.db"
    names = ["a", "b", "c", "bad", "d", "e", "f", "g"]
    spool = DiskSpool(folder)
    append(spool, *map(prediction, names))
    spool.close()
    finish(start(KILLED, folder, database, moment), code=-9)
    store = SQLiteStore(database)
    between = [row.request_id for row in store.read(Table.predictions)]
    assert 0 < len(between) < len(names) - 1
    ingester(folder, store).run()
    found = [row.request_id for row in store.read(Table.predictions)]
    lost = account(store)[2].get("poisonous", 0)
    assert sorted(found) == sorted(set(found)) == sorted(set(names) - ({"bad"} if lost else set()))
    check_account(store, len(names), lost)
    assert total(store) == {"recorded": len(found), "counted": len(found)}
    store.close()
