"""Stores that stall, fail or are full while the host records: it costs disk, and no record."""

import pytest
from tests.processes import STORE, Settled, run


def test_a_store_that_stalls_keeps_nobody_waiting(tmp_path, scale):
    """While another holds the store's lock all is recorded into the spool; then all is stored."""
    printed = run(
        f"""
import sqlite3

quiet()
watch = monitor()
watch.flush(ingest=True)
watch.start()
lock = sqlite3.connect(folder / STORE, isolation_level=None)
lock.execute("BEGIN EXCLUSIVE")
end = time.monotonic() + {scale(3, 60)}
made = 0
while time.monotonic() < end:
    for made in range(made + 1, made + 101):
        watch.record_prediction({{"a": 1, "b": "x"}}, 0.5)
    time.sleep(0.02)
safe = watch.flush()
lock.rollback()
lock.close()
print(made, safe, watch.close(), watch.status().queue_bytes)
""",
        tmp_path,
    )
    made, *told = printed.split()

    assert told == ["True", "True", "0"]
    settled = Settled(tmp_path)
    assert settled.missing(int(made)) == 0
    assert settled.dropped == {}


DOWN = """
from mlwatch.errors import StoreError
from mlwatch.stores import SQLiteStore

class Gone(SQLiteStore):
    def write(self, batch):
        if down:
            raise StoreError("the server is gone")
        super().write(batch)

quiet()
down = True
folder.mkdir(exist_ok=True)
watch = monitor(store=Gone(folder / STORE), max_bytes={cap} // 2, max_spool_bytes={cap})
for number in range({count}):
    watch.record_prediction({{"a": 1, "b": "x"}}, 0.5)
    if number % 1000 == 0:
        watch.flush()
    if number % 10_000 == 0:
        assert not watch.flush(ingest=True)
print("server is gone" in watch.status().last_error)
down = False
while not watch.flush(ingest=True):  # each turn makes room in the spool
    pass
print(watch.close())
"""


@pytest.mark.parametrize("cap", [2**30, 300_000])
def test_a_store_that_was_down_gets_it_all(tmp_path, scale, cap):
    """All that came meanwhile is stored, once; beyond the spool's cap it is counted."""
    count = scale(20_000, 300_000)
    printed = run(DOWN.format(count=count, cap=cap), tmp_path)
    settled = Settled(tmp_path)

    assert printed == "True\nTrue\n"
    assert settled.missing(count) == 0
    assert ("spool_full" in settled.dropped) is (cap < 2**30)
    assert settled.stored == count if cap == 2**30 else settled.stored > 1000


def test_a_store_whose_disk_is_full_gets_it_all_later(tmp_path, small_disk, scale):
    """With room again the store takes what waits in the spool: nothing torn, nothing twice."""
    count = scale(20_000, 100_000)
    printed = run(
        f"""
import subprocess
from mlwatch.stores import SQLiteStore

quiet()
disk = Path({str(small_disk)!r})
watch = monitor(store=SQLiteStore(disk / STORE), max_bytes=2**28)
for number in range({count}):
    watch.record_prediction({{"a": 1, "text": f"x{{number}}" * 20}}, 0.5)
print(watch.flush(), watch.flush(ingest=True), "full" in watch.status().last_error)
subprocess.run(["mount", "-o", "remount,size=500m", str(disk)], check=True)
print(watch.flush(ingest=True), watch.close())
""",
        tmp_path,
    )
    (tmp_path / STORE).symlink_to(small_disk / STORE)
    settled = Settled(tmp_path)

    assert printed == "True False True\nTrue True\n"
    assert settled.missing(count) == 0
    assert settled.dropped == {}


def test_a_store_that_is_killed_with_its_process_is_whole(tmp_path, scale):
    """A worker killed inside a transaction leaves a store that takes the rest from the spool."""
    count = scale(5000, 50_000)
    script = f"""
        from mlwatch.stores import SQLiteStore

        class Deadly(SQLiteStore):
            def write(self, batch):
                super().write(batch)
                self.writes = getattr(self, "writes", 0) + 1
                if self.writes == 2:
                    os.kill(os.getpid(), signal.SIGKILL)

        folder.mkdir(exist_ok=True)
        watch = monitor(store=Deadly(folder / STORE), max_bytes=2**28)
        for number in range({count}):
            watch.record_prediction({{"a": 1}}, 0.5)
            watch.flush() if number % 20 == 0 else None
        watch.flush(ingest=True)
        """
    run(script, tmp_path, -9)

    assert Settled(tmp_path).missing(count) == 0
