"""A store of version 1 is brought up to date by its first use, with all that is in it."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.service import MODEL, append, ingester, outcome
from tests.stores import processes

from mlwatch.errors import StoreError
from mlwatch.records import Batch, Metric, Pending, Table
from mlwatch.spool import DiskSpool
from mlwatch.stores import SQLiteStore
from mlwatch.stores._sqlite_schema import APPLICATION_ID, VERSION

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
TIME = "2024-01-01T12:00:00.000000Z"

TABLES = """
CREATE TABLE "predictions" ("key" TEXT PRIMARY KEY NOT NULL, "model" TEXT, "request_id" TEXT,
    "time" TEXT, "features" TEXT, "prediction", "model_version" TEXT, "probability",
    "latency_ms" REAL, "error" TEXT, "segment" TEXT);
CREATE TABLE "outcomes" ("key" TEXT PRIMARY KEY NOT NULL, "model" TEXT, "request_id" TEXT,
    "time" TEXT, "outcome", "model_version" TEXT, "joined" INTEGER);
CREATE TABLE "pending" ("key" TEXT PRIMARY KEY NOT NULL, "model" TEXT, "request_id" TEXT,
    "time" TEXT, "model_version" TEXT, "reference" TEXT, "segment" TEXT, "score", "label",
    "outcome");
CREATE TABLE "panes" ("key" TEXT PRIMARY KEY NOT NULL, "model" TEXT, "time" TEXT, "span" NUMERIC,
    "tallies" TEXT, "model_version" TEXT, "reference" TEXT, "segment" TEXT, "source" TEXT);
CREATE TABLE "metrics" ("key" TEXT PRIMARY KEY NOT NULL, "name" TEXT, "value" REAL, "low" REAL,
    "high" REAL, "n" INTEGER, "labels" TEXT, "verdict" TEXT, "why" TEXT, "model" TEXT,
    "model_version" TEXT, "since" TEXT, "time" TEXT);
CREATE TABLE "drift" ("key" TEXT PRIMARY KEY NOT NULL, "feature" TEXT, "detector" TEXT,
    "statistic" REAL, "effect" REAL, "effect_low" REAL, "p_value" REAL, "n" INTEGER,
    "n_reference" INTEGER, "missing" INTEGER, "unseen" INTEGER, "infinite" INTEGER,
    "wrong_kind" INTEGER, "drifted" INTEGER, "band" TEXT, "caveats" TEXT, "why" TEXT,
    "model" TEXT, "model_version" TEXT, "since" TEXT, "time" TEXT);
CREATE TABLE "alerts" ("key" TEXT PRIMARY KEY NOT NULL, "id" TEXT, "fingerprint" TEXT,
    "rule" TEXT, "severity" TEXT, "state" TEXT, "title" TEXT, "why" TEXT, "since" TEXT,
    "time" TEXT, "metric" TEXT, "value" REAL, "low" REAL, "high" REAL, "threshold" REAL,
    "labels" TEXT, "model" TEXT, "model_version" TEXT);
CREATE TABLE "deliveries" ("key" TEXT PRIMARY KEY NOT NULL, "alert" TEXT, "notifier" TEXT,
    "status" TEXT, "time" TEXT, "attempts" INTEGER, "error" TEXT, "retry_at" TEXT, "model" TEXT,
    "model_version" TEXT);
CREATE TABLE "state" ("key" TEXT PRIMARY KEY NOT NULL, "name" TEXT, "time" TEXT,
    "revision" INTEGER, "body" TEXT, "model" TEXT, "model_version" TEXT);
CREATE TABLE "progress" ("key" TEXT PRIMARY KEY NOT NULL, "writer" TEXT, "segment" INTEGER,
    "time" TEXT, "revision" INTEGER, "recorded" INTEGER, "stored" INTEGER, "dropped" TEXT,
    "noted" TEXT, "model" TEXT, "model_version" TEXT);
CREATE TABLE batches (id TEXT PRIMARY KEY NOT NULL, time TEXT);
CREATE TABLE leases (key TEXT PRIMARY KEY NOT NULL, until TEXT);
"""
"""As the first version made them; what it did not know of is not here."""

PENDING = {
    "key": f"{MODEL}/a",
    "model": MODEL,
    "request_id": "a",
    "time": TIME,
    "model_version": "2.1",
    "reference": "f",
    "segment": "eu",
    "score": 0.75,
    "label": 1,
    "outcome": None,
}
METRIC = {
    "key": "k",
    "name": "accuracy",
    "value": 0.5,
    "low": 0.25,
    "high": 0.75,
    "n": 9,
    "labels": {},
    "verdict": "",
    "why": "",
    "model": MODEL,
    "model_version": "2.1",
    "since": TIME,
    "time": TIME,
}
ROWS = {"pending": PENDING, "metrics": METRIC}


def old_sqlite(path):
    """Make a SQLite file as version 1 left it, with a row in two tables."""
    with closing(sqlite3.connect(path)) as file:
        file.executescript(TABLES)
        for table in Table:
            file.execute(f'CREATE INDEX "{table}_time" ON "{table}" ("time", "key")')
        for table, row in ROWS.items():
            cells = [json.dumps(it) if isinstance(it, dict) else it for it in row.values()]
            places = ", ".join("?" * len(cells))
            file.execute(f'INSERT INTO "{table}" ({", ".join(row)}) VALUES ({places})', cells)
        file.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        file.execute("PRAGMA user_version = 1")
        file.execute("PRAGMA journal_mode = WAL")
        file.commit()


def old_jsonl(path):
    """Make a folder of JSON lines as version 1 left it."""
    path.mkdir()
    (path / "store.json").write_text('{"format": "mlwatch JSONL store", "version": 1}')
    sizes = {}
    for table, row in ROWS.items():
        line = json.dumps({"batch": "b", "seq": 1, **row}) + "\n"
        (path / f"{table}_20240101.jsonl").write_text(line)
        sizes[f"{table}_20240101.jsonl"] = len(line)
    commit = {"seq": 1, "batch": "b", "time": TIME, "files": sizes}
    (path / "commits.jsonl").write_text(json.dumps(commit) + "\n")


OLD = {"jsonl": old_jsonl, "sqlite": old_sqlite}


@pytest.fixture(params=OLD)
def kind(request):
    return request.param


@pytest.fixture
def path(kind, tmp_path):
    path = tmp_path / f"store.{kind}"
    OLD[kind](path)
    return path


def version(kind, path):
    if kind == "jsonl":
        return json.loads((path / "store.json").read_text())["version"]
    with closing(sqlite3.connect(path)) as file:
        return file.execute("PRAGMA user_version").fetchone()[0]


def test_old_rows_are_read_and_new_ones_written(kind, path, keep):
    """What a row of version 1 lacks has its default; making a store changes nothing yet."""
    store = keep(processes.STORES[kind](path))
    assert version(kind, path) == 1

    (pending,) = store.read(Table.pending)
    (metric,) = store.read(Table.metrics)
    assert version(kind, path) == VERSION
    assert (pending.request_id, pending.score, pending.segments) == ("a", 0.75, ())
    assert (metric.value, metric.reference) == (0.5, None)

    about = {"model": MODEL, "time": NOON}
    new = Pending(**about, request_id="b", segments=("c/c=a",))
    told = Metric("accuracy", 0.5, reference=0.625, **about)
    store.write(Batch("1", {Table.pending: [new], Table.metrics: [told]}))
    again = keep(processes.STORES[kind](path))
    assert new in list(again.read(Table.pending))
    assert told in list(again.read(Table.metrics))


def test_an_outcome_joins_a_prediction_of_version_1(kind, path, tmp_path, keep):
    """It is counted in all traffic, and in no segment."""
    store = keep(processes.STORES[kind](path))
    (pending,) = store.read(Table.pending)
    spool = DiskSpool(tmp_path / "spool")
    append(spool, outcome("a", 1))
    worker = ingester(tmp_path / "spool", store, spool=spool, references=lambda version: None)
    store.write(Batch("0", {Table.pending: [replace(pending, reference="")]}))
    worker.run()

    (pane,) = store.read(Table.panes)
    assert (pane.segment, pane.tallies["confusion"]) == ("", {"1/1": 1})


def test_several_that_begin_at_once_migrate_once(kind, path, keep):
    """Threads and processes that meet an old store at the same moment all find all of it."""
    failed, barrier = [], threading.Barrier(5)

    def use():
        barrier.wait()
        try:
            store = keep(processes.STORES[kind](path))
            assert len(list(store.read(Table.pending))) == 1
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=use) for _ in range(5)]
    others = [processes.start(processes.count_up, kind, path, name, 5) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    processes.join(*others)

    assert not failed
    store = keep(processes.STORES[kind](path))
    (counter,) = store.read(Table.state)
    assert (version(kind, path), counter.body["n"]) == (VERSION, 10)


def test_an_old_process_goes_on_writing_to_a_migrated_file(tmp_path, keep):
    """A worker that was not restarted yet writes its own columns; they are read with defaults."""
    path = tmp_path / "store.sqlite"
    old_sqlite(path)
    store = keep(SQLiteStore(path))
    list(store.read(Table.pending))
    with closing(sqlite3.connect(path)) as file:
        row = PENDING | {"key": f"{MODEL}/z", "request_id": "z"}
        places = ", ".join("?" * len(row))
        insert = f"INSERT OR REPLACE INTO pending ({', '.join(row)}) VALUES ({places})"
        file.execute(insert, list(row.values()))
        file.commit()

    assert [row.segments for row in store.read(Table.pending)] == [(), ()]


def test_a_store_that_may_only_be_read_is_not_migrated(tmp_path):
    """Reading an old file with read_only=True says what to do, and leaves it as it is."""
    path = tmp_path / "store.sqlite"
    old_sqlite(path)
    store = SQLiteStore(path, read_only=True)
    with pytest.raises(StoreError, match=r"version 1, .*use it once without read_only=True"):
        list(store.read(Table.pending))
    store.close()
    assert version("sqlite", path) == 1


def test_a_migrated_store_has_the_tables_of_a_new_one(tmp_path, keep):
    """Each column of a new store is in a migrated one, of the same type."""

    def columns(path):
        with closing(sqlite3.connect(path)) as file:
            return {
                (table, row[1], row[2])
                for table in Table
                for row in file.execute(f'PRAGMA table_info("{table}")')
            }

    old, new = tmp_path / "old", tmp_path / "new"
    old_sqlite(old)
    for path in (old, new):
        keep(SQLiteStore(path)).claim("a", NOON, timedelta(seconds=1))
    assert columns(old) - columns(new) == {("pending", "segment", "TEXT")}
    assert columns(new) <= columns(old)
