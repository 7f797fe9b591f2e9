"""The JSONL store as files: who can read them, and what faults leave behind."""

from __future__ import annotations

import functools
import json
import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.stores import processes
from tests.stores.rows import NOON, pane, prediction, state

from mlwatch.errors import StoreError
from mlwatch.records import Batch, Outcome, Table
from mlwatch.stores import JSONLStore

DAY = timedelta(days=1)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def store(path):
    return JSONLStore(path)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def drop_last_commit(path):
    """Leave the files as if the last writer had been killed before its commit."""
    commits = path / "commits.jsonl"
    commits.write_bytes(b"".join(commits.read_bytes().splitlines(keepends=True)[:-1]))


def names(path):
    return sorted(entry.name for entry in path.glob("*_*.jsonl"))


def test_making_a_store_makes_no_file(tmp_path, path):
    """Construction only looks: no folder is there until the first use."""
    JSONLStore(path)
    assert list(tmp_path.iterdir()) == []


def test_any_tool_can_read_the_files(path, store):
    """A table has a file a day; each line is a JSON object with its batch, key and fields."""
    rows = [prediction("a"), prediction("b", time=NOON + DAY, features={"age": 41, "city": None})]
    store.write(Batch("first", {Table.predictions: rows, Table.state: [state(1, n=1)]}))
    assert names(path) == [
        "predictions_20130301.jsonl",
        "predictions_20130302.jsonl",
        "state_20130301.jsonl",
    ]
    (line,) = lines(path / "predictions_20130302.jsonl")
    assert line == {
        "batch": "first",
        "seq": 1,
        "key": "m/b",
        "model": "m",
        "model_version": "1",
        "request_id": "b",
        "time": "2013-03-02T12:00:00.000000Z",
        "features": {"age": 41, "city": None},
        "prediction": 0.5,
        "probability": None,
        "latency_ms": None,
        "error": None,
        "segment": None,
    }
    assert [line["batch"] for line in lines(path / "commits.jsonl")] == ["first"]
    assert repr(store) == f"JSONLStore({str(path)!r})"


def foreign_folder(path):
    path.mkdir()
    (path / "notes.txt").write_text("mine")


def foreign_store(path):
    path.mkdir()
    (path / "store.json").write_text('{"format": "a shop", "version": 1}')


def unreadable_store(path):
    path.mkdir()
    (path / "store.json").write_text("{")


def newer_version(path):
    JSONLStore(path).write(Batch("1", {Table.state: [state(1)]}))
    (path / "store.json").write_text('{"format": "mlwatch JSONL store", "version": 99}')


def a_file(path):
    path.write_text("")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (foreign_folder, "is not an mlwatch store: name another folder"),
        (foreign_store, "is not of an mlwatch store; name another folder"),
        (unreadable_store, "cannot be read .*; name another folder"),
        (newer_version, "version 99.*upgrade mlwatch-monitor"),
        (a_file, "is a file; a JSONLStore is a folder"),
    ],
)
def test_refuses_what_is_no_store(path, make, message):
    """A path that holds something else is refused at construction, with path and remedy."""
    make(path)
    with pytest.raises(StoreError, match=message) as caught:
        JSONLStore(path)
    assert str(path) in str(caught.value)


def test_refuses_a_folder_that_cannot_be_made(tmp_path):
    """A folder whose parent does not exist, or is a file, is refused at construction."""
    (tmp_path / "file").write_text("")
    for parent in ("nowhere", "file"):
        with pytest.raises(StoreError, match=f"{parent} is not a folder; make it"):
            JSONLStore(tmp_path / parent / "store")


def test_refuses_what_may_not_be_written():
    """A folder that this user may not write or reach is refused at construction."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store"
        path.mkdir()
        for mode, name, message in (
            (0o555, "store", "store cannot be written by this user; name another folder"),
            (0o555, "other", f"{folder} cannot be written by this user; name another folder"),
            (0o000, "store", "store cannot be reached: "),
        ):
            path.chmod(0o555)
            Path(folder).chmod(mode)
            text = processes.fork_as_guest(functools.partial(JSONLStore, path.with_name(name)))
            assert text.startswith("StoreError: ")
            assert message in text
            Path(folder).chmod(0o700)


def test_a_path_that_has_become_a_file_is_an_error(path, store):
    """What has appeared at the path since construction is an error at the first use."""
    path.write_text("")
    with pytest.raises(StoreError, match="cannot write batch '1'"):
        store.write(Batch("1", {Table.state: [state(1)]}))


def test_what_was_not_committed_is_not_read(path, store):
    """Lines of a batch whose commit is missing are ignored, and gone after the next write."""
    store.write(processes.numbered(1))
    store.write(processes.numbered(2))
    drop_last_commit(path)
    store = JSONLStore(path)
    assert processes.numbers_found(store) == [1]
    store.write(processes.numbered(2))
    assert processes.numbers_found(store) == [1, 2]
    assert processes.numbers_found(JSONLStore(path)) == [1, 2]
    found = [line["batch"] for name in names(path) for line in lines(path / name)]
    assert found.count("batch-2") == found.count("batch-1")


def test_what_was_not_committed_is_cut_off_by_a_shorter_batch(path, store):
    """A short batch written over a long one that was killed leaves only whole lines."""
    store.write(Batch("1", {Table.predictions: [prediction("a")]}))
    file, commits = path / "predictions_20130301.jsonl", path / "commits.jsonl"
    for torn in (file, commits):
        with torn.open("ab") as tail:
            tail.write(b'{"torn": "' + b"x" * 3_000 + b'"}\n' if torn is file else b"x" * 3_000)
    store.write(Batch("2", {Table.predictions: [prediction("b")]}))
    assert [line["batch"] for line in lines(file)] == ["1", "2"]
    assert [line["batch"] for line in lines(commits)] == ["1", "2"]


@pytest.mark.parametrize("keep", [1, 20, -1])
def test_a_torn_line_does_no_harm(path, store, keep):
    """A line torn by a kill, in a table or in the commits, is skipped and not appended to."""
    store.write(processes.numbered(1))
    for name in ("commits.jsonl", "predictions_20130301.jsonl", "panes_20130302.jsonl"):
        with (path / name).open("ab") as file:
            file.write((path / name).read_bytes().splitlines()[0][:keep])
    for handle in (store, JSONLStore(path)):
        assert processes.numbers_found(handle) == [1]
    store.write(processes.numbered(2))
    assert processes.numbers_found(JSONLStore(path)) == [1, 2]
    assert all(lines(path / name) for name in (*names(path), "commits.jsonl"))


def test_a_prune_that_was_killed_does_no_harm(path, store):
    """A kill between pruning the files and saying so leaves a store that works."""
    for number in (1, 2):
        store.write(processes.numbered(number))
    half = NOON + timedelta(hours=1)
    late = [prediction(f"late-{n}", time=NOON + timedelta(hours=2)) for n in range(3)]
    store.write(Batch("late", {Table.predictions: late}))
    commits = (path / "commits.jsonl").read_bytes()
    before = {Table.predictions: half, Table.panes: half}
    removed = store.prune(before)
    left = list(store.read(Table.predictions))
    (path / "commits.jsonl").write_bytes(commits)
    for handle in (store, JSONLStore(path)):
        assert list(handle.read(Table.predictions)) == left
    assert removed == 2 * processes.ROWS // 4 + 1
    other, last = (prediction(name, time=NOON + 3 * DAY / 24) for name in ("other", "third"))
    store.write(Batch("other", {Table.predictions: [other]}))
    drop_last_commit(path)
    assert list(JSONLStore(path).read(Table.predictions)) == left
    JSONLStore(path).write(Batch("other", {Table.predictions: [other]}))
    with (path / "predictions_20130301.jsonl").open("ab") as file:
        file.write(b'{"batch": "half')
    JSONLStore(path).write(Batch("last", {Table.predictions: [last]}))
    everything = sorted([*left, other, last], key=lambda row: (row.time, row.key))
    for handle in (store, JSONLStore(path)):
        assert list(handle.read(Table.predictions)) == everything
    assert store.prune(before) == 0


def test_a_prune_that_was_killed_after_adding_panes_up_does_no_harm(path, store):
    """A kill between adding the lines of a pane up and saying so changes no sum, and is made up."""
    gone, kept = pane(1), replace(pane(1), time=NOON + DAY / 24)
    for number in range(20):
        store.write(Batch(str(number), {Table.panes: [gone, kept]}))
    store.write(Batch("back", {Table.panes: [pane(-20)]}))
    commits = (path / "commits.jsonl").read_bytes()
    assert store.prune({}) == 0
    (line,) = lines(path / "panes_20130301.jsonl")
    assert line["tallies"] == {"n": {"n": 20}}
    (path / "commits.jsonl").write_bytes(commits)
    for handle in (store, JSONLStore(path)):
        assert [row.tallies for row in handle.read(Table.panes)] == [{"n": {"n": 20}}]
    store.write(Batch("more", {Table.panes: [kept, kept]}))
    store.write(Batch("19", {Table.panes: [kept]}))
    JSONLStore(path).prune({})
    assert len(lines(path / "panes_20130301.jsonl")) == 1
    for handle in (store, JSONLStore(path)):
        assert [row.tallies for row in handle.read(Table.panes)] == [{"n": {"n": 22}}]


def test_a_garbled_pane_is_an_error(path, store):
    """A line whose counts somebody changed into nonsense is a StoreError that shows the line."""
    store.write(Batch("1", {Table.panes: [pane(1)]}))
    file = path / "panes_20130301.jsonl"
    text = file.read_text()
    for counts in ('{"n":"x"}', '["i9","AA==",{}]', '["i1","?",{}]', "17"):
        file.write_text(text.replace('{"n":1}', counts))
        (path / "commits.jsonl").write_text(
            (path / "commits.jsonl").read_text().replace(str(len(text)), "99999")
        )
        with pytest.raises(StoreError, match="a line is no pane"):
            list(JSONLStore(path).read(Table.panes))


def test_prune_removes_files_of_whole_days_and_leaves_the_others(path, store):
    """Pruning removes the files of whole days, rewrites one day, and touches no other file."""
    days = [NOON + number * DAY for number in range(4)]
    rows = [prediction(f"{time:%d}-{n}", time=time + n * DAY / 24) for time in days for n in (0, 1)]
    store.write(Batch("1", {Table.predictions: rows}))
    later = path / "predictions_20130304.jsonl"
    inode = later.stat().st_ino
    assert store.prune({Table.predictions: days[2] + DAY / 48}) == 5
    assert names(path) == ["predictions_20130303.jsonl", "predictions_20130304.jsonl"]
    assert later.stat().st_ino == inode
    assert list(store.read(Table.predictions)) == rows[5:]


def test_prune_drops_what_was_replaced_in_the_state(path, store):
    """States are written at every cycle: pruning leaves one line of each."""
    for number in range(1, 30):
        expects = {(Table.state, "counter"): number - 1}
        store.write(Batch(str(number), {Table.state: [state(number)]}, expects))
    assert store.prune({}) == 0
    assert len(lines(path / "state_20130301.jsonl")) == 1
    assert list(JSONLStore(path).read(Table.state)) == [state(29)]
    store.write(Batch("30", {Table.state: [state(30)]}, {(Table.state, "counter"): 29}))


def test_handles_see_a_prune_by_another(path, store):
    """A second process goes on rightly after the first has pruned and rewritten the commits."""
    other = JSONLStore(path)
    for number in range(1, 6):
        store.write(Batch(f"{number}", {Table.panes: [pane(number)], Table.state: [state(number)]}))
        assert next(other.read(Table.state)).revision == number
        store.prune({Table.predictions: NOON})
        other.write(Batch(f"{number}", {Table.panes: [pane(99)]}))
        other.write(
            Batch(f"o{number}", {Table.panes: [pane(1)]}, {(Table.state, "counter"): number})
        )
        other.prune({Table.outcomes: NOON})
    (counts,) = store.read(Table.panes)
    assert counts.tallies == {"n": {"n": 1 + 2 + 3 + 4 + 5 + 5}}


def test_a_damaged_file_of_leases_is_named(path, store):
    """A lease that nobody can read is a StoreError that names the file and the remedy."""
    store.claim("a", NOON, timedelta(minutes=1))
    (path / "leases.json").write_text("{")
    with pytest.raises(StoreError, match=r"leases\.json is damaged .*; delete it"):
        store.claim("b", NOON, timedelta(minutes=1))


def test_a_damaged_line_is_named(path, store):
    """A line that somebody changed by hand into nonsense is a StoreError with file and line."""
    store.write(Batch("1", {Table.predictions: [prediction("a"), prediction("b")]}))
    file = path / "predictions_20130301.jsonl"
    file.write_bytes(file.read_bytes().replace(b'{"batch"', b'["batch"'))
    with pytest.raises(StoreError, match=f"{file} line 1: the line is damaged"):
        list(store.read(Table.predictions))


def test_missing_commits_are_told(path, store):
    """Without commits.jsonl nothing would count: that is an error, and nothing is overwritten."""
    store.write(processes.numbered(1))
    (path / "commits.jsonl").rename(path / "kept")
    for use in (lambda: list(store.read(Table.state)), lambda: store.write(processes.numbered(2))):
        with pytest.raises(StoreError, match=r"commits\.jsonl is gone; restore it"):
            use()
    (path / "kept").rename(path / "commits.jsonl")
    assert processes.numbers_found(store) == [1]


def test_a_failed_write_is_as_if_it_had_not_been(path, store):
    """A file that cannot be written leaves no line of the batch in the others."""
    store.write(processes.numbered(1))
    before = {name: (path / name).read_bytes() for name in names(path)}
    blocked = path / "outcomes_20130301.jsonl"
    blocked.mkdir()
    batch = processes.numbered(2)
    outcome = Outcome(model="m", request_id="2-0", time=NOON, outcome=1)
    batch = replace(batch, rows={**batch.rows, Table.outcomes: [outcome]})
    with pytest.raises(StoreError, match="cannot write batch 'batch-2'"):
        store.write(batch)
    blocked.rmdir()
    assert {name: (path / name).read_bytes() for name in names(path)} == before
    store.write(batch)
    assert processes.numbers_found(store) == [1, 2]
    assert list(store.read(Table.outcomes)) == [outcome]


def test_a_child_does_not_trust_what_its_parent_was_reading(path, store):
    """A fork in the middle of another thread's work leaves the child no half-read commits."""
    store.write(Batch("1", {Table.panes: [pane(1)]}))
    store._journal[1].batches["2"] = ""
    child = functools.partial(store.write, Batch("2", {Table.panes: [pane(1)]}))
    assert processes.fork(child) == "None"
    (counts,) = JSONLStore(path).read(Table.panes)
    assert counts.tallies == {"n": {"n": 2}}
