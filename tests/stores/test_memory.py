"""The memory store beyond the contract."""

from __future__ import annotations

from tests.stores import processes
from tests.stores.rows import state

from mlwatch.records import Batch, Table
from mlwatch.stores import MemoryStore


def test_a_child_is_not_held_up_by_its_parents_lock():
    """A child forked while a thread was in the store has a copy of its own that works."""
    store = MemoryStore()

    def child():
        store.write(Batch("1", {Table.state: [state(1)]}))
        return len(list(store.read(Table.state)))

    with store._lock:
        text = processes.fork(child)
    assert text == "1"
    assert list(store.read(Table.state)) == []
