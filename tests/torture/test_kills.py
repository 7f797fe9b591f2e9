"""SIGKILL at random moments: what is lost is the newest, and little of it."""

import mmap
import random
import struct
import time
from collections import Counter

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
RATE = 2000  # records a second
BATCH = 1000


class Tally:
    """A number that a child counts up in shared memory, where a kill cannot take it back."""

    def __init__(self, path):
        path.write_bytes(bytes(8))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), 8)

    @property
    def value(self):
        return struct.unpack("<q", self._shared)[0]


COUNTING = """
import mmap, struct

with open(sys.argv[1] + ".tally", "r+b") as file:
    shared = mmap.mmap(file.fileno(), 8)
watch = monitor(flush_interval=timedelta(seconds={seconds}))
print("ready", flush=True)
begun, count = time.monotonic(), 0
while True:
    due = int((time.monotonic() - begun) * {rate})
    for count in range(count + 1, due + 1):
        watch.record_prediction({{"a": 1, "b": "x"}}, 0.5, request_id=str(count))
        shared[:] = struct.pack("<q", count)
    time.sleep(0.001)
"""


def test_a_kill_takes_the_newest_and_no_more_than_promised(tmp_path, scale):
    """Of what was acknowledged, one flush interval and one batch are lost at most, all newest."""
    moments = random.Random(2)
    lost = []
    for life in range(scale(6, 24)):
        folder = tmp_path / str(life)
        tally = Tally(tmp_path / f"{life}.tally")
        writer = start(COUNTING.format(seconds=SECONDS, rate=RATE), folder)
        assert writer.stdout.readline() == "ready\n"
        time.sleep(moments.uniform(0.1, 1.5))
        writer.kill()
        writer.communicate()
        settled = Settled(folder)
        # A record may be written before the host hears that it was taken.
        lost.append(settled.missing(tally.value))

        assert settled.dropped == {}
        assert sorted(map(int, settled.ids)) == list(range(1, settled.stored + 1))
    assert min(lost) >= -BATCH
    assert max(lost) <= RATE * SECONDS + BATCH


def test_a_worker_that_is_killed_while_it_ingests_costs_nothing(tmp_path, scale):
    """Killed again and again while it moves records into the store, all arrive there once."""
    count = scale(10_000, 100_000)
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
