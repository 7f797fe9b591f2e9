"""Clocks that jump an hour either way: nothing stops, nothing comes twice, the order stays."""

import pytest
from tests.processes import Account, Settled, run

JUMPING = """
import random

class Clock:
    \"\"\"The real time, and {jump} hours with it from when it jumps.\"\"\"
    hours = 0
    def __call__(self):
        return datetime.now(UTC) + timedelta(hours=self.hours)

clock = Clock()
"""


@pytest.mark.parametrize("jump", [-1, 1])
def test_a_jump_of_the_clock_stops_no_flush(tmp_path, jump):
    """The thread goes on writing in the old order, whatever times the records and frames bear."""
    printed = run(
        JUMPING.format(jump=jump)
        + f"""
spool = DiskSpool(folder, clock=clock)
into = Recorder(spool, CaptureOptions(flush_interval=timedelta(milliseconds=5)), clock)
made = 0
for turn in range(6):
    clock.hours = {jump} * (turn % 2)
    for made in range(made + 1, made + 501):
        record(into, request_id=str(made))
    while into.stats.queue_bytes:  # nobody flushes
        time.sleep(0.005)
print(made, len(spool.segments()))
""",
        tmp_path,
    )
    made, segments = map(int, printed.split())
    account = Account(tmp_path)

    assert list(map(int, account.ids)) == list(range(1, made + 1))
    assert segments == 1  # nor does a segment grow old by it
    assert account.balanced


@pytest.mark.parametrize("jump", [-1, 1])
def test_a_jump_of_the_clock_stops_no_ingest_and_no_cycle(tmp_path, jump):
    """In the background all goes on into the store, and cycles go on, after the jump as before."""
    printed = run(
        JUMPING.format(jump=jump)
        + f"""
from mlwatch import Monitor
from mlwatch.stores import SQLiteStore

watch = Monitor(
    store=SQLiteStore(folder / STORE),
    model="m",
    every=timedelta(seconds=0.1),
    capture=CaptureOptions(spool=folder / "spool"),
    clock=clock,
)
watch.start()
made = 0
for hours in (0, {jump}, 0):
    clock.hours = hours
    for made in range(made + 1, made + 101):
        watch.record_prediction({{"a": 1}}, 0.5)
    last = watch.status().last_cycle
    end = time.monotonic() + 20
    while time.monotonic() < end:
        status = watch.status()
        if status.stored == made and status.last_cycle != last:
            break
        time.sleep(0.02)
    print(status.stored == made, status.last_cycle != last)
""",
        tmp_path,
    )

    assert printed == "True True\n" * 3
    assert Settled(tmp_path).missing(300) == 0
