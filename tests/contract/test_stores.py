"""Every store keeps the contract."""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from dataclasses import replace

import pytest
from tests.stores.rows import NOON, prediction

from mlwatch.errors import DataError, StoreError
from mlwatch.protocols import MetricStore
from mlwatch.records import Batch, Table
from mlwatch.stores import JSONLStore, MemoryStore, SQLiteStore
from mlwatch.testing.store_checks import check_store


@pytest.fixture(params=["memory", "sqlite", "jsonl"])
def kind(request):
    return request.param


@pytest.fixture
def make(kind, tmp_path):
    numbers = itertools.count()
    make_one = {
        "memory": MemoryStore,
        "sqlite": lambda: SQLiteStore(tmp_path / f"{next(numbers)} ?#%20é.db"),
        "jsonl": lambda: JSONLStore(tmp_path / f"{next(numbers)} ?#%20é"),
    }[kind]
    with ExitStack() as stack:

        def make():
            store = make_one()
            stack.callback(store.close)
            return store

        yield make


def test_keeps_the_contract(make, kind):
    """Each of our stores keeps every promise that `check_store` checks."""
    again = None if kind == "memory" else lambda store: type(store)(store.path)
    check_store(make, reopen=again)


def test_is_a_metric_store(make):
    """Each of our stores is a `MetricStore` without inheriting from it."""
    assert isinstance(make(), MetricStore)


def test_a_closed_store_says_so(make):
    """A closed store raises a StoreError on every use instead of losing what it is given."""
    store = make()
    store.write(Batch("1", {Table.predictions: [prediction("a")]}))
    store.close()
    for use in (
        lambda: store.write(Batch("2", {})),
        lambda: store.read(Table.predictions),
        lambda: store.claim("lease", NOON, NOON - NOON),
        lambda: store.prune({}),
    ):
        with pytest.raises(StoreError, match="closed"):
            use()


def test_a_read_sees_one_moment(make):
    """A read that has begun does not see what is written after."""
    store = make()
    rows = [prediction(f"{number:04}") for number in range(1_200)]
    store.write(Batch("1", {Table.predictions: rows}))
    reading = store.read(Table.predictions)
    first = next(reading)
    changed = [replace(row, prediction="changed") for row in rows]
    store.write(Batch("2", {Table.predictions: changed}))
    assert [first, *reading] == rows
    assert list(store.read(Table.predictions)) == changed


def test_batch_ids_are_forgotten_with_the_panes(make):
    """The id of a batch is remembered as long as panes of its time are kept, and no longer."""
    store = make()
    batch = Batch("1", {Table.predictions: [prediction("a")]})
    store.write(batch)
    store.prune({Table.predictions: NOON.replace(year=2014), Table.panes: NOON})
    store.write(batch)
    assert list(store.read(Table.predictions)) == []
    store.prune({Table.panes: NOON.replace(year=2014)})
    store.write(batch)
    assert list(store.read(Table.predictions)) == [prediction("a")]


def test_a_wrong_batch_is_refused(make):
    """Rows in the wrong table, and what is expected of rows without revision, are refused."""
    store = make()
    with pytest.raises(DataError, match="metrics holds rows of type Metric, not Prediction"):
        store.write(Batch("1", {Table.metrics: [prediction("a")]}))
    with pytest.raises(DataError, match="only rows of state and progress have one"):
        store.write(Batch("1", {}, {(Table.alerts, "a"): 1}))
