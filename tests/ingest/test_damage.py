"""Damage in the spool costs what it hit, is counted and told, and stops nothing."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.service import START, append, ingester, prediction, reference, total

from mlwatch import Monitor, SpoolError, Table
from mlwatch.records import CaptureOptions
from mlwatch.spool import DiskSpool
from mlwatch.spool.frame import OPENING
from mlwatch.stores import MemoryStore
from mlwatch.testing import ManualClock, RecordingNotifier

SEEDS = range(30)


def only_file(folder):
    (path,) = folder.glob("*.seg")
    return path


def write_over(path, at, data):
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def flip(path, at):
    write_over(path, at, bytes([path.read_bytes()[at] ^ 0x55]))


def account(store):
    """Return what the newest progress says: recorded, stored, dropped, noted."""
    row = max(store.read(Table.progress), key=lambda row: row.segment)
    return row.recorded, row.stored, row.dropped, row.noted


def fill(spool, frames, size=10, start=0):
    """Append frames; return where each begins in the file, and where the last ends."""
    ends = [len(OPENING)]
    for number in range(start, start + frames):
        append(spool, *(prediction(f"{number}-{event}") for event in range(size)))
        ends.append(only_file(spool.path).stat().st_size)
    return ends


def test_what_is_recorded_after_the_damage_is_in_the_next_cycle(tmp_path):
    """One damaged byte is a fault and an alert of one cycle; all later records count at once."""
    told, clock = RecordingNotifier(), ManualClock(START)
    monitor = Monitor(
        reference(),
        store=MemoryStore(),
        notifiers=[told],
        clock=clock,
        capture=CaptureOptions(spool=tmp_path),
    )

    def record():
        for _ in range(100):
            monitor.record_prediction({"x": 0.1, "c": "a"}, 0.7)
        assert monitor.flush()

    record()
    (folder,) = tmp_path.iterdir()
    flip(only_file(folder), only_file(folder).stat().st_size - 20)
    reports = []
    for _ in range(20):
        record()
        reports.append(monitor.run_cycle())
    status = monitor.status()
    lost = status.dropped["damaged"]
    assert [report["prediction_count"].value for report in reports] == [
        100 * number - lost + 100 for number in range(1, 21)
    ]
    assert [[fault.part for fault in report.faults] for report in reports] == [
        ["spool"],
        *[[]] * 19,
    ]
    assert f"{lost} records are lost" in reports[0].faults[0].error
    spoken = [alert.state for alert in told.alerts if alert.title == "monitoring fault in spool"]
    assert spoken == ["firing", "resolved"]
    assert 0 < lost <= 100
    assert status.recorded == 2100 == status.stored + lost
    assert status.ingest_lag.total_seconds() == 0
    monitor.close()
    ingester(folder, MemoryStore()).run()
    assert [path.suffix for path in folder.iterdir()] == [".bad"]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_flip_anywhere_costs_one_frame(tmp_path, seed):
    """Whichever byte is flipped, the rest is stored, the loss is exact, and the file is kept."""
    spool, store = DiskSpool(tmp_path), MemoryStore()
    ends = fill(spool, 9)
    path = only_file(tmp_path)
    at = random.Random(seed).randrange(ends[-2])
    flip(path, at)
    worker = ingester(tmp_path, store)
    worker.run()
    lost = 10 if at >= len(OPENING) else 0
    assert account(store) == (90, 90 - lost, {"damaged": 10} if lost else {}, {})
    assert total(store)["recorded"] == 90 - lost
    fault = worker.take_health()["spool"]
    assert (fault is not None) == bool(lost)
    spool.close()
    ingester(tmp_path, store).run()
    assert account(store) == (90, 90 - lost, {"damaged": 10} if lost else {}, {})
    assert [file.name for file in tmp_path.iterdir()] == [f"{path.name}.bad"]
    assert ingester(tmp_path, store).run() == 0


@pytest.mark.parametrize("where", ["mark", "length", "checksum", "head"])
@pytest.mark.parametrize("data", [bytes(4), b"\xff" * 4, b"\x40\0\0\0"])
def test_a_damaged_head_of_a_frame_costs_that_frame(tmp_path, where, data):
    """Without a length to go by the next frame is found all the same."""
    spool, store = DiskSpool(tmp_path), MemoryStore()
    ends = fill(spool, 5)
    offset = {"mark": 0, "length": 4, "checksum": 8, "head": 12}[where]
    write_over(only_file(tmp_path), ends[2] + offset, data)
    ingester(tmp_path, store).run()
    assert account(store) == (50, 40, {"damaged": 10}, {})


def test_zeros_in_the_middle_cost_the_frames_they_hit(tmp_path):
    """A lost page costs the frames that lie in it, wherever it begins."""
    spool, store = DiskSpool(tmp_path), MemoryStore()
    ends = fill(spool, 9)
    write_over(only_file(tmp_path), ends[3] - 5, bytes(ends[5] - ends[3] + 10))
    ingester(tmp_path, store).run()
    assert account(store) == (90, 50, {"damaged": 40}, {})


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_the_account_balances_whatever_is_damaged(tmp_path_factory, data):
    """Recorded is stored plus dropped, and no sound frame is missed, however bytes change."""
    folder = tmp_path_factory.mktemp("damaged")
    spool, store = DiskSpool(folder), MemoryStore()
    worker = ingester(folder, store)
    written, expected = b"", set()
    frames = []
    for _ in range(data.draw(st.integers(1, 4))):
        for _ in range(data.draw(st.integers(1, 4))):
            ids = [f"{len(frames)}-{event}" for event in range(data.draw(st.integers(1, 4)))]
            append(spool, *map(prediction, ids))
            content = only_file(folder).read_bytes()
            frames.append((content[len(written) or len(OPENING) :], ids))
            written = content
        for _ in range(data.draw(st.integers(0, 3))):
            at = data.draw(st.integers(0, len(written) - 1))
            change = data.draw(st.binary(min_size=1, max_size=60))
            write_over(only_file(folder), at, change[: len(written) - at])
        written = only_file(folder).read_bytes()
        if data.draw(st.booleans()):
            worker = ingester(folder, store)
        with suppress(SpoolError):  # all that there is may be damaged, so that nothing is known
            worker.run()
            expected |= {id_ for frame, ids in frames for id_ in ids if frame in written}
    append(spool, prediction("last"))
    spool.close()
    worker.run()
    recorded, stored, dropped, noted = account(store)
    rows = {row.request_id for row in store.read(Table.predictions)}
    assert recorded == stored + sum(dropped.values())
    assert recorded <= 1 + sum(len(ids) for _, ids in frames)
    assert stored == len(rows) == total(store)["recorded"]
    assert rows >= expected | {"last"}
    assert noted == {}
    assert list(folder.glob("*.seg")) == []


@pytest.mark.parametrize("moment", ["finished", "open"])
def test_a_damaged_last_frame_is_counted_when_nothing_more_can_come(tmp_path, moment):
    """Damage at the end waits, as an unfinished write would, for a later frame or the close."""
    spool, store = DiskSpool(tmp_path), MemoryStore()
    ends = fill(spool, 3)
    flip(only_file(tmp_path), ends[-1] - 3)
    worker = ingester(tmp_path, store)
    worker.run()
    assert account(store) == (20, 20, {}, {})
    assert worker.take_health() == {"ingest": None, "spool": None}
    if moment == "finished":
        spool.close()
    else:
        fill(spool, 1, start=3)
    worker.run()
    stored = 20 if moment == "finished" else 30
    assert account(store) == (stored + 10, stored, {"damaged": 10}, {})
    assert "10 records are lost" in worker.take_health()["spool"].error
    worker.run()
    assert account(store) == (stored + 10, stored, {"damaged": 10}, {})


def test_the_torn_end_of_a_dead_writer_is_noted_once(tmp_path):
    """What a kill tore is no fault: it is noted, by whoever comes first, and the file goes."""
    spool, store = DiskSpool(tmp_path), MemoryStore()
    ends = fill(spool, 3)
    path = only_file(tmp_path)
    spool.close()
    with path.open("r+b") as file:
        file.truncate(ends[-1] - 7)
    content = path.read_bytes()
    noted = {"torn_bytes": ends[-1] - 7 - ends[-2], "torn_segments": 1}
    worker = ingester(tmp_path, store)
    for _ in range(2):
        worker.run()
        assert account(store) == (20, 20, {}, noted)
        assert worker.take_health() == {"ingest": None, "spool": None}
        assert list(tmp_path.iterdir()) == []
        path.write_bytes(content)  # as if its remover had been killed before
        worker = ingester(tmp_path, store)


def test_damage_to_what_is_stored_is_no_loss(tmp_path):
    """After a restart, damage to frames that were ingested long ago changes no account."""
    spool, store = DiskSpool(tmp_path), MemoryStore()
    ends = fill(spool, 6)
    ingester(tmp_path, store).run()
    flip(only_file(tmp_path), ends[2] + 40)
    flip(only_file(tmp_path), ends[5] + 40)
    fill(spool, 2, start=6)
    worker = ingester(tmp_path, store)
    worker.run()
    assert account(store) == (80, 80, {}, {})
    assert worker.take_health() == {"ingest": None, "spool": None}
