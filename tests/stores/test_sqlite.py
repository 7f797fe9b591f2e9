"""The SQLite store as a file: what it refuses, what people can ask of it by hand."""

from __future__ import annotations

import functools
import math
import re
import sqlite3
import tempfile
import threading
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from tests.stores import processes
from tests.stores.rows import NOON, pane, prediction, state

from mlwatch.errors import StoreError
from mlwatch.records import Batch, Metric, Outcome, Table
from mlwatch.stores import JSONLStore, SQLiteStore
from mlwatch.testing._store_samples import one_of_each


@pytest.fixture
def path(tmp_path):
    return tmp_path / "mlwatch.db"


@pytest.fixture
def store(path, keep):
    return keep(SQLiteStore(path))


def ask(path, statement, *values):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement, values).fetchall()


def test_making_a_store_makes_no_file(tmp_path, path):
    """Construction only looks: no file is there until the first use."""
    SQLiteStore(path)
    assert list(tmp_path.iterdir()) == []


def test_making_a_store_leaves_a_file_as_it_is(path, store):
    """Construction on a store that is there changes nothing and leaves nothing beside it."""
    store.write(Batch("1", {Table.state: [state(1)]}))
    store.close()
    before = path.read_bytes()
    SQLiteStore(path)
    SQLiteStore(path, read_only=True)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_the_path_is_absolute(tmp_path, monkeypatch, keep):
    """A relative path is of the folder at construction, whatever the host does later."""
    monkeypatch.chdir(tmp_path)
    store = keep(SQLiteStore("own.db"))
    monkeypatch.chdir("/")
    store.write(Batch("1", {Table.state: [state(1)]}))
    assert store.path == tmp_path / "own.db"
    assert repr(store) == f"SQLiteStore({str(store.path)!r}, read_only=False)"
    assert store.path.exists()


def foreign_text(path):
    path.write_text("this is no database\n" * 100)


def foreign_database(path):
    ask(path, "CREATE TABLE mine (x)")


def newer_version(path):
    with closing(SQLiteStore(path)) as store:
        store.write(Batch("1", {Table.state: [state(1)]}))
    ask(path, "PRAGMA user_version = 99")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (foreign_text, "file is not a database; name another file"),
        (foreign_database, "not an mlwatch store: name another file"),
        (newer_version, "version 99.*upgrade mlwatch-monitor"),
        (Path.mkdir, "is a folder; name a file in it"),
    ],
)
@pytest.mark.parametrize("read_only", [True, False])
def test_refuses_what_is_no_store(path, make, message, read_only):
    """A path that holds something else is refused at construction, with path and remedy."""
    make(path)
    with pytest.raises(StoreError, match=message) as caught:
        SQLiteStore(path, read_only=read_only)
    assert str(path) in str(caught.value)


def test_refuses_a_newer_version_that_is_only_in_the_log(path, store):
    """A version that another process has just written, and not yet into the file, is seen."""
    store.write(Batch("1", {Table.state: [state(1)]}))
    ask(path, "PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="version 99"):
        SQLiteStore(path)


def test_refuses_what_has_become_something_else(path, store):
    """What has appeared at the path since construction is refused at the first use, untouched."""
    foreign_database(path)
    with pytest.raises(StoreError, match="not an mlwatch store"):
        store.write(Batch("1", {Table.state: [state(1)]}))
    assert ask(path, "SELECT name FROM sqlite_master") == [("mine",)]


def test_refuses_a_folder_that_is_not_there(tmp_path):
    """A folder that does not exist, or is a file, is refused at construction."""
    (tmp_path / "file").write_text("")
    for folder in ("nowhere", "file"):
        with pytest.raises(StoreError, match=f"{folder} is not a folder; make it"):
            SQLiteStore(tmp_path / folder / "mlwatch.db")


def test_refuses_what_may_not_be_written():
    """What this user may not write, read or reach is refused at construction, with a remedy."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mlwatch.db"
        with closing(SQLiteStore(path)) as store:
            store.write(Batch("1", {Table.state: [state(1)]}))
        for folder_mode, file_mode, name, read_only, message in (
            (0o777, 0o444, "mlwatch.db", False, "mlwatch.db cannot be written by this user"),
            (0o777, 0o000, "mlwatch.db", True, "mlwatch.db cannot be read by this user"),
            (0o555, 0o666, "mlwatch.db", False, f"{folder} cannot be written by this user"),
            (0o555, 0o666, "other.db", False, f"{folder} cannot be written by this user"),
            (0o000, 0o666, "mlwatch.db", False, "mlwatch.db cannot be reached: "),
        ):
            Path(folder).chmod(folder_mode)
            if folder_mode:
                path.chmod(file_mode)
            asked = functools.partial(SQLiteStore, path.with_name(name), read_only=read_only)
            text = processes.fork_as_guest(asked)
            assert text.startswith("StoreError: ")
            assert message in text
        Path(folder).chmod(0o700)


def test_refuses_memory():
    """ ":memory:" is refused, and MemoryStore named instead."""
    with pytest.raises(StoreError, match=r"MemoryStore\(\)"):
        SQLiteStore(":memory:")


def test_an_empty_file_becomes_a_store(path, store, keep):
    """A file without a byte, as tempfile makes it, is used."""
    path.touch()
    store.write(Batch("1", {Table.state: [state(1)]}))
    assert next(keep(SQLiteStore(path)).read(Table.state)) == state(1)


def test_read_only_reads_and_nothing_else(path, store):
    """A read-only store follows what is written and refuses to write, claim or prune."""
    with pytest.raises(StoreError, match="does not exist"):
        SQLiteStore(path, read_only=True)
    store.write(Batch("1", {Table.state: [state(1)]}))
    reader = SQLiteStore(path, read_only=True)
    assert next(reader.read(Table.state)) == state(1)
    store.write(Batch("2", {Table.state: [state(2)]}))
    assert next(reader.read(Table.state)) == state(2)
    for use in (
        lambda: reader.write(Batch("3", {Table.state: [state(3)]})),
        lambda: reader.claim("lease", NOON, timedelta(1)),
        lambda: reader.prune({Table.state: NOON + timedelta(1)}),
    ):
        with pytest.raises(StoreError, match=r"cannot .*: the store was opened read_only=True"):
            use()
    store.close()
    assert next(reader.read(Table.state)) == state(2)


def test_figures_can_be_asked_for_by_hand(path, store):
    """Numbers are numbers and times sort, so that plain SQL gives the answers."""
    rows = [prediction(str(n), features={"age": n}, prediction=n / 4) for n in range(4)]
    outcomes = [Outcome(model="m", request_id=str(n), time=NOON, outcome=n % 2) for n in range(4)]
    later = Metric("roc_auc", 0.75, labels={"segment": "west"}, time=NOON + timedelta(1))
    store.write(
        Batch(
            "1",
            {
                Table.predictions: rows,
                Table.outcomes: outcomes,
                Table.metrics: [Metric("roc_auc", 0.5, time=NOON), later],
            },
        )
    )
    assert ask(path, "SELECT avg(prediction) FROM predictions") == [(0.375,)]
    joined = "SELECT avg(prediction - outcome) FROM predictions JOIN outcomes USING (key)"
    assert ask(path, joined) == [(-0.125,)]
    old = "SELECT request_id FROM predictions WHERE json_extract(features, '$.age') > 2"
    assert ask(path, old) == [("3",)]
    latest = "SELECT time, value, json_extract(labels, '$.segment') FROM metrics ORDER BY time DESC"
    assert ask(path, latest)[0] == ("2013-03-02T12:00:00.000000Z", 0.75, "west")


def test_special_values_can_be_told_by_hand(path, store):
    """What SQL has no word for is text that begins with "$", and text stays text."""
    values = [True, math.nan, 2**63, [0.5, 0.5], "$x", "1", 1, 1.0, None]
    rows = [prediction(str(place), prediction=value) for place, value in enumerate(values)]
    store.write(Batch("1", {Table.predictions: rows}))
    assert ask(path, "SELECT prediction, typeof(prediction) FROM predictions ORDER BY key") == [
        ("$true", "text"),
        ("$nan", "text"),
        ("$int:9223372036854775808", "text"),
        ("$json:[0.5,0.5]", "text"),
        ("$$x", "text"),
        ("1", "text"),
        (1, "integer"),
        (1.0, "real"),
        (None, "null"),
    ]


def test_every_field_has_a_column(path, store):
    """Each table has a column for every field of its record, and is there before its first row."""
    store.write(Batch("1", {}))
    for table, row in one_of_each().items():
        columns = [name for _, name, *_ in ask(path, f"PRAGMA table_info({table})")]
        assert set(row.__dataclass_fields__) | {"key", "model", "model_version"} == set(columns)


def test_one_row_a_pane(path, store):
    """A pane is one row however often it was added to, and none when its sum is empty."""
    for number in range(5):
        store.write(Batch(str(number), {Table.panes: [pane(2)]}))
    assert ask(path, "SELECT tallies, span FROM panes") == [('{"n":{"n":10}}', 60)]
    store.write(Batch("empty", {Table.panes: [pane(-10)]}))
    assert ask(path, "SELECT * FROM panes") == []


def test_a_name_is_never_sql(path, store):
    """Names, keys and values go in as values, whatever they hold."""
    row = prediction('"; DROP TABLE predictions; --', prediction="'); DROP TABLE state; --")
    store.write(Batch("'", {Table.predictions: [row]}))
    assert list(store.read(Table.predictions, keys=[row.key], model="m")) == [row]
    assert list(store.read(Table.predictions, model="' OR 1 --")) == []
    assert ask(path, "SELECT count(*) FROM state") == [(0,)]


def test_any_number_of_keys(store):
    """More keys than SQLite takes values can be asked for at once."""
    rows = [prediction(f"{number:06}") for number in range(3_000)]
    store.write(Batch("1", {Table.predictions: rows}))
    keys = [f"m/{number:06}" for number in range(1_000, 300_000)]
    assert list(store.read(Table.predictions, keys=keys)) == rows[1_000:]


def test_a_look_up_by_key_uses_the_key(store):
    """A read by key goes through the index of keys, also where a time is asked for."""
    store.write(Batch("1", {}))
    statement = """EXPLAIN QUERY PLAN SELECT * FROM asked CROSS JOIN predictions USING (key)
                   WHERE time >= '2013' ORDER BY time, key"""
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("CREATE TEMP TABLE asked (key TEXT PRIMARY KEY) WITHOUT ROWID")
        plan = " ".join(row[-1] for row in connection.execute(statement))
    assert "SCAN asked" in plan
    assert "SEARCH predictions USING INDEX sqlite_autoindex_predictions_1 (key=?)" in plan


def test_reading_holds_up_no_writer(store):
    """While reads are under way on one thread, batches are written on the same store."""
    rows = [prediction(f"{number:04}") for number in range(2_000)]
    store.write(Batch("rows", {Table.predictions: rows}))
    reading = store.read(Table.predictions)
    next(reading)
    for number in range(20):
        store.write(Batch(str(number), {Table.panes: [pane(1)]}))
    store.prune({Table.predictions: NOON + timedelta(1)})
    assert sum(1 for _ in reading) == 1_999
    assert list(store.read(Table.predictions)) == []


def test_a_read_left_half_done_lets_go(store):
    """A read that is not finished closes its connection as soon as it is dropped."""
    rows = [prediction(f"{number:04}") for number in range(2_000)]
    store.write(Batch("rows", {Table.predictions: rows}))
    store.close()
    before = len(list(Path("/proc/self/fd").iterdir()))
    store = SQLiteStore(store.path)
    for _ in range(20):
        assert next(store.read(Table.predictions)) == rows[0]
    store.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_another_writer_that_does_not_let_go_is_an_error(path, store, monkeypatch, keep):
    """A file that another process holds is a StoreError with the path, once waiting is over."""
    monkeypatch.setattr("mlwatch.stores.sqlite._BUSY_SECONDS", 0.01)
    store.write(Batch("1", {Table.state: [state(1)]}))
    store.close()
    store = keep(SQLiteStore(path))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="cannot write batch '2': database is locked; another"):
            store.write(Batch("2", {Table.state: [state(2)]}))
        assert next(store.read(Table.state)) == state(1)
    store.write(Batch("2", {Table.state: [state(2)]}))


def test_a_damaged_row_is_an_error(path, store, keep):
    """A cell that somebody changed by hand into nonsense is a StoreError, not a wrong row."""
    store.write(Batch("1", {Table.metrics: [Metric("a", 1.0, time=NOON)]}))
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE metrics SET value = '$what'")
        connection.commit()
    with pytest.raises(StoreError, match="not a Metric"):
        list(keep(SQLiteStore(path)).read(Table.metrics))


GARBLED = [
    "{",
    "5",
    '{"rows": 1}',
    '{"rows": {"n": "x"}}',
    '{"rows": ["i9", "AA==", {}]}',
    '{"rows": ["i2", "AA==", {}]}',
    None,
]


@pytest.mark.parametrize("cell", GARBLED)
def test_a_garbled_pane_is_named_and_not_added_to(path, store, cell):
    """Writing to a pane of which nobody can tell the counts is a StoreError that names the row."""
    add = pane(1)
    store.write(Batch("1", {Table.panes: [add]}))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE panes SET tallies = ?", (cell,))
        connection.commit()
    named = re.escape(f"{path}: the row {add.key!r} of table panes is damaged")
    with pytest.raises(StoreError, match=f"{named}.*delete that row"):
        store.write(Batch("2", {Table.panes: [add]}))


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("features", "{"),
        ("features", ""),
        ("features", None),
        ("prediction", "$json:{"),
        ("prediction", "$int:many"),
        ("prediction", "$what"),
        ("time", "noon"),
        ("time", 5),
    ],
)
def test_a_garbled_cell_is_named(path, store, column, cell):
    """Reading a cell that nobody can decode is a StoreError that names file, table and row."""
    store.write(Batch("1", {Table.predictions: [prediction("a")]}))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"UPDATE predictions SET {column} = ?", (cell,))
        connection.commit()
    named = re.escape(f"{path}: the row {prediction('a').key!r} of table predictions is damaged")
    with pytest.raises(StoreError, match=f"{named}.*delete that row"):
        list(store.read(Table.predictions))


@pytest.mark.parametrize("store", [SQLiteStore, JSONLStore])
@pytest.mark.parametrize("path", [None, 5, b"bytes"])
def test_what_is_no_path_is_refused(store, path):
    """A path of the wrong type is a StoreError that names the store and the remedy."""
    with pytest.raises(StoreError, match=rf"{store.__name__}\({path!r}\): a .* is no path; give"):
        store(path)


def test_a_read_does_not_cross_a_fork(store):
    """A read that the parent has begun is a StoreError in the child and goes on in the parent."""
    rows = [prediction(f"{number:04}") for number in range(1_200)]
    store.write(Batch("rows", {Table.predictions: rows}))
    reading = store.read(Table.predictions)
    next(reading)
    assert "does not cross a fork" in processes.fork(lambda: sum(1 for _ in reading))
    assert processes.fork(lambda: reading.close() or len(list(store.read(Table.state)))) == "0"
    assert sum(1 for _ in reading) == 1_199


def test_a_fork_in_the_middle_of_a_write_is_told(path, store):
    """A child forked while a thread was inside SQLite gets a StoreError with the remedy."""
    store.write(Batch("1", {Table.state: [state(1)]}))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writer = threading.Thread(target=store.write, args=(Batch("2", {Table.state: [state(2)]}),))
        writer.start()
        while not store._process.inside:
            time.sleep(0.001)
        text = processes.fork(lambda: list(store.read(Table.state)))
        other.execute("ROLLBACK")
    writer.join()
    assert text.startswith("StoreError: ")
    assert "use it first after the fork, or start processes by spawn" in text
    assert next(store.read(Table.state)) == state(2)
