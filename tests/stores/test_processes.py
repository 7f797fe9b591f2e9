"""The file stores under several processes, kills and full disks."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading

import pytest
from tests.stores import processes
from tests.stores.rows import NOON, pane, prediction, state

from mlwatch.errors import StoreError
from mlwatch.records import Batch, Table


@pytest.fixture(params=["jsonl", "sqlite"])
def kind(request):
    return request.param


@pytest.fixture
def path(kind, tmp_path):
    return tmp_path / f"store.{kind}"


@pytest.fixture
def open_store(kind, path, keep):
    return lambda: keep(processes.STORES[kind](path))


def test_two_processes_lose_no_update(kind, path, open_store):
    """Processes that begin at once on a new store and count up together count every step."""
    names = ["a", "b", "c"]
    processes.join(*[processes.start(processes.count_up, kind, path, name, 25) for name in names])
    store = open_store()
    (held,) = store.read(Table.state)
    (counts,) = store.read(Table.panes)
    assert (held.revision, held.body["n"], counts.tallies["n"]["n"]) == (75, 75, 75)


def test_many_may_make_a_store_at_once(kind, tmp_path, keep):
    """Of several that use a new store at the same moment none takes it for something else."""
    failed = []

    def use(path, barrier):
        barrier.wait()
        try:
            store = processes.STORES[kind](path)
            store.claim(str(threading.get_ident()), NOON, NOON - NOON)
            list(store.read(Table.state))
            store.close()
        except StoreError as error:
            failed.append(error)

    for number in range(60):
        asked = (tmp_path / f"{number}.{kind}", threading.Barrier(5))
        threads = [threading.Thread(target=use, args=asked) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failed == []


def test_threads_lose_no_update(open_store):
    """Threads on one store, writing, reading and taking leases, lose nothing."""
    store = open_store()
    given = []

    def work(name):
        for number in range(20):
            batch = Batch(f"{name}-{number}", {Table.panes: [pane(1)]})
            store.write(batch)
            list(store.read(Table.panes))
            if store.claim(f"lease-{number}", NOON, NOON.replace(year=2014) - NOON):
                given.append(number)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (counts,) = store.read(Table.panes)
    assert counts.tallies == {"n": {"n": 80}}
    assert sorted(given) == list(range(20))


def test_a_kill_leaves_whole_batches(kind, path, open_store):
    """SIGKILL at any moment loses no batch that was written and leaves none in part."""
    last = 0
    for wait_for in (1, 4, 9, 2, 6):
        ours, theirs = multiprocessing.Pipe(duplex=False)
        writer = processes.start(processes.write_for_ever, kind, path, last + 1, theirs)
        theirs.close()
        said = [ours.recv() for _ in range(wait_for)]
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        while ours.poll():
            try:
                said.append(ours.recv())
            except EOFError:
                break
        found = processes.numbers_found(open_store())
        assert found == list(range(1, found[-1] + 1))
        assert said[-1] <= found[-1] <= said[-1] + 1
        last = found[-1]


def test_a_full_disk_refuses_whole_batches(kind, path, open_store):
    """A disk that is full raises a StoreError, leaves nothing in part, and heals."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    writer = processes.start(processes.fill_the_disk, kind, path, theirs)
    written, failures = ours.recv()
    processes.join(writer)
    assert written > 1
    assert len(failures) == 3
    assert all(str(path) in failure for failure in failures)
    assert all("make room on the disk" in failure for failure in failures)
    assert processes.numbers_found(open_store()) == list(range(1, written + 2))


def test_a_forked_child_uses_the_store_on(open_store):
    """A store that the parent has used works in a forked child, and loses no one's rows."""
    store = open_store()
    store.write(Batch("1", {Table.predictions: [prediction("parent")]}))
    to_child, from_parent = os.pipe()
    to_parent, from_child = os.pipe()

    def child():
        store.write(Batch("2", {Table.predictions: [prediction("child 1")]}))
        os.write(from_child, b"x")
        os.read(to_child, 1)
        store.write(Batch("3", {Table.predictions: [prediction("child 2")]}))
        return len(list(store.read(Table.predictions)))

    def parent():
        os.read(to_parent, 1)
        store.close()
        open_store().write(Batch("4", {Table.predictions: [prediction("parent 2")]}))
        os.write(from_parent, b"x")

    other = threading.Thread(target=parent)
    other.start()
    text = processes.fork(child)
    other.join()
    assert text == "4"
    names = [row.request_id for row in open_store().read(Table.predictions)]
    assert names == ["child 1", "child 2", "parent", "parent 2"]


def test_a_forked_childs_close_is_its_own(open_store):
    """A child that closes the store, or just exits, leaves the parent's store open."""
    store = open_store()
    store.write(Batch("1", {Table.state: [state(1)]}))
    assert processes.fork(store.close) == "None"
    assert processes.fork(lambda: 0) == "0"
    store.write(Batch("2", {Table.state: [state(2)]}, {(Table.state, "counter"): 1}))
    assert next(store.read(Table.state)).revision == 2


def test_a_store_is_gone(kind, path, open_store):
    """A folder that vanishes while the store is in use is an error, not silence."""
    store = open_store()
    store.write(Batch("1", {Table.state: [state(1)]}))
    path.rename(path.with_name("elsewhere"))
    with pytest.raises(StoreError, match=str(path)):
        list(store.read(Table.state))
