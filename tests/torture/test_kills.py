"""SIGKILL at random moments: what is lost is the newest, and little of it."""

import random
import time
from collections import Counter

import numpy as np
from tests.processes import STORE, Account, Settled, start

from mlwatch import Table
from mlwatch.stores import SQLiteStore


def test_what_was_flushed_survives_a_kill(tmp_path, scale):
    """What a flush confirmed is there after SIGKILL, once; a torn end costs nothing older."""
    moments = random.Random(1)
    for life in range(scale(6, 24)):
        writer = start(
            """
            into = recorder(flush_interval=timedelta(milliseconds=1))
            features = {"text": "x" * 20_000}
            while True:
                ids = [record(into, features) for _ in range(20)]
                if into.flush():
                    print(*ids, flush=True)
            """,
            tmp_path / str(life),
        )
        lines = [writer.stdout.readline() for _ in range(3)]
        time.sleep(moments.uniform(0, 0.05))
        writer.kill()
        rest = writer.stdout.read()  # communicate() would lose what readline() read ahead
        writer.communicate()
        confirmed = set("".join([*lines, *rest.splitlines(keepends=True)[:-1]]).split())
        account = Account(tmp_path / str(life))

        assert len(confirmed) >= 60
        assert confirmed <= set(account.ids)
        assert max(Counter(account.ids).values()) == 1
        assert account.spool.finished(account.spool.segments()[0])


SECONDS = 0.25  # the flush interval
RATES = (600, 8000)  # records a second: the interval ends a batch, or a thousand records do
BATCH = 1000


MOST = 2**17  # records that a child may make

COUNTING = """
import mmap, struct

with open(sys.argv[1] + ".times", "r+b") as file:
    times = mmap.mmap(file.fileno(), 0)  # shared memory, where a kill takes nothing back
watch = monitor(flush_interval=timedelta(seconds={seconds}))
print("ready", flush=True)
begun, count = time.monotonic(), 0
while True:
    due = int((time.monotonic() - begun) * {rate})
    for count in range(count + 1, due + 1):
        watch.record_prediction({{"a": 1, "b": "x"}}, 0.5, request_id=str(count))
        times[8 * count - 8 : 8 * count] = struct.pack("<d", time.monotonic())
    time.sleep(0.001)
"""


def test_a_kill_takes_the_newest_and_no_more_than_promised(tmp_path, scale):
    """Of what was acknowledged, one flush interval and one batch are lost at most, all newest."""
    moments = random.Random(2)
    lost, beyond, ages = [], [], []
    for life in range(scale(6, 24)):
        folder, shared = tmp_path / str(life), tmp_path / f"{life}.times"
        shared.write_bytes(bytes(8 * MOST))
        writer = start(COUNTING.format(seconds=SECONDS, rate=RATES[life % 2]), folder)
        assert writer.stdout.readline() == "ready\n"
        time.sleep(moments.uniform(0.1, 1.5))
        killed = time.monotonic()
        writer.kill()
        writer.communicate()
        settled, times = Settled(folder), np.fromfile(shared)
        # A busy machine makes them in bursts: what counts is how many there were in the interval.
        newest = np.count_nonzero(times > killed - SECONDS)
        lost.append(settled.missing(np.count_nonzero(times)))
        beyond.append(lost[-1] - newest)
        ages.append(killed - times[settled.stored] if lost[-1] > 0 else 0.0)

        assert settled.dropped == {}
        assert sorted(map(int, settled.ids)) == list(range(1, settled.stored + 1))
    assert max(beyond) <= BATCH
    assert min(lost) >= -1  # one may be written before the host hears that it was taken
    assert max(lost) > 0  # some struck in the middle
    assert np.median(ages[::2]) < 2 * SECONDS  # of the slow ones


def test_a_worker_that_is_killed_while_it_ingests_costs_nothing(tmp_path, scale):
    """Killed again and again while it moves records into the store, all arrive there once."""
    count = scale(20_000, 100_000)
    writer = start(
        f"""
        watch = monitor(flush_interval=timedelta(hours=1), max_bytes=2**28)
        for number in range({count}):
            watch.record_prediction({{"a": 1, "b": "x"}}, 0.5)
            watch.flush() if number % 50 == 0 else None
        """,
        tmp_path,
    )
    assert writer.communicate()[1] == ""
    moments = random.Random(3)
    stored = [0]
    for _ in range(scale(6, 24)):
        worker = start(
            """
            from mlwatch.stores import SQLiteStore

            class Told(SQLiteStore):
                def write(self, batch):
                    print("writing", flush=True)
                    super().write(batch)

            monitor(store=Told(folder / STORE)).flush(ingest=True)
            """,
            tmp_path,
        )
        for _ in range(moments.randrange(1, 3)):  # before a first commit, or behind it
            worker.stdout.readline()
        time.sleep(moments.uniform(0, 0.1))
        worker.kill()
        worker.communicate()
        stored.append(sum(1 for _ in SQLiteStore(tmp_path / STORE).read(Table.predictions)))
    settled = Settled(tmp_path)

    assert 0 < max(stored) < count  # some struck in the middle
    assert stored == sorted(stored)
    assert settled.missing(count) == 0
    assert settled.dropped == {}
