"""The thread that writes: where there is none, where it dies, hangs or is stopped with all."""

import os
import signal
import time

from tests.processes import Account, Settled, run, start


def test_a_host_that_can_start_no_thread_is_served(tmp_path):
    """Where no thread can be started, callers write each full batch, and the rest at exit."""
    printed = run(
        """
        import resource

        threading.stack_size(2**30)
        resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
        try:
            threading.Thread(target=print).start()
        except RuntimeError as error:
            print(error)
        into = recorder()
        for _ in range(2500):
            record(into)
        print(sum(len(frame.records) for segment in DiskSpool(folder).segments()
                  for frame in DiskSpool(folder).read(segment, 0)) >= 2000)
        """,
        tmp_path,
    )

    assert printed == "can't start new thread\nTrue\n"
    assert len(Account(tmp_path).records) == 2500


HANG = """
from mlwatch.spool.segment import OpenSegment

write = OpenSegment._write

def hung_write(self, data):
    if hang:
        hanging.set()
        gate.wait()
    write(self, data)

OpenSegment._write = hung_write
quiet()
hang, gate, hanging = False, threading.Event(), threading.Event()
"""

HUNG = (
    HANG
    + """
into = Recorder(DiskSpool(folder), CaptureOptions(max_bytes=200_000, flush_interval=timedelta(
    milliseconds=10)), lambda: datetime.now(UTC))
record(into)
into.flush()
hang = True
record(into)
hanging.wait()
begun = time.monotonic()
made = 2
while time.monotonic() < begun + {seconds}:
    for made in range(made + 1, made + 101):
        record(into)
    time.sleep(0.01)
print(made, into.stats.queue_bytes <= 250_000, sum(into.stats.dropped.values()) > 0)
"""
)


def test_a_hung_disk_hangs_no_caller(tmp_path, scale):
    """While a write hangs, callers go on, memory is bounded; when it returns, all is accounted."""
    printed = run(
        HUNG.format(seconds=scale(3, 60))
        + """
hang = False
gate.set()
record(into)
print(into.flush())
""",
        tmp_path,
    )
    made, bounded, dropped, flushed = printed.split()
    account = Account(tmp_path)

    assert (bounded, dropped, flushed) == ("True", "True", "True")
    assert len(account.ids) == len(set(account.ids))
    assert account.balanced
    assert account.recorded == int(made) + 1


def test_a_disk_that_hangs_for_ever_lets_the_process_go(tmp_path):
    """A process whose disk never answers again ends all the same, within the deadline."""
    process = start(
        HUNG.format(seconds=1) + "print(time.monotonic(), flush=True)\nsys.exit(5)\n", tmp_path
    )
    *_, word = process.stdout.readline(), process.stdout.readline()
    code = process.wait(60)
    seconds = time.monotonic() - float(word)
    _, complaints = process.communicate()

    assert (code, complaints) == (5, "")
    assert seconds < 3 * 2.5


def test_a_process_that_is_stopped_goes_on(tmp_path, scale):
    """SIGSTOP and SIGCONT, again and again: no record is lost, comes twice or changes places."""
    count = scale(5000, 100_000)
    process = start(
        f"""
        watch = monitor(flush_interval=timedelta(milliseconds=5))
        print("ready", flush=True)
        for number in range({count}):
            watch.record_prediction({{"a": 1}}, 0.5, request_id=str(number))
            if number % 5 == 0:
                time.sleep(0.001)
        """,
        tmp_path,
    )
    assert process.stdout.readline() == "ready\n"
    stops = 0
    while process.poll() is None:
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(0.3)
        os.kill(process.pid, signal.SIGCONT)
        stops += 1
        time.sleep(0.2)
    assert process.communicate()[1] == ""
    account = Account(tmp_path / "spool" / "m")

    assert stops >= 3
    assert process.returncode == 0
    assert list(map(int, account.ids)) == list(range(count))
    assert Settled(tmp_path).missing(count) == 0


def test_flush_and_close_keep_to_their_timeout_while_a_disk_hangs(tmp_path):
    """Inside a write that does not return, whoever asks gets his answer in time: False."""
    printed = run(
        HANG
        + """
import asyncio
watch = monitor(flush_interval=timedelta(milliseconds=10))
watch.record_prediction({"a": 1}, 0.5)
watch.flush()
hang = True
watch.record_prediction({"a": 2}, 0.5)
hanging.wait()
begun = time.monotonic()
print(watch.flush(0.2), watch.flush(0.2, ingest=True), asyncio.run(watch.aflush(0.2)))
print(asyncio.run(watch.aclose(0.2)), watch.close(0.2), time.monotonic() - begun < 3 * 3)
""",
        tmp_path,
    )

    assert printed.split() == ["False", "False", "False", "False", "False", "True"]


def test_a_signal_handler_may_flush_and_close(tmp_path):
    """A handler that flushes or closes while the main thread flushes waits for nobody for ever."""
    printed = run(
        """
        watch = monitor(flush_interval=timedelta(hours=1))
        asked = []

        def handle(*_):
            asked.append(watch.flush(10))

        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.02)
        end = time.monotonic() + 0.4
        made = 0
        while time.monotonic() < end:
            for _ in range(20):
                watch.record_prediction({"a": 1}, 0.5)
                made += 1
            watch.flush()
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(all(asked), len(asked) > 5, watch.close(), made)
        """,
        tmp_path,
    )
    *answers, made = printed.split()

    assert answers == ["True", "True", "True"]
    assert Settled(tmp_path).missing(int(made)) == 0


def test_a_with_block_that_a_signal_ends_waits_for_no_store(tmp_path):
    """sys.exit in a handler ends a process whose store hangs, within the deadline."""
    process = start(
        """
        from mlwatch import Monitor
        from mlwatch.stores import MemoryStore

        class Hanging(MemoryStore):
            def write(self, batch):
                time.sleep(3600)

        signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))
        with Monitor(store=Hanging()) as watch:
            watch.record_prediction({"a": 1}, 0.5)
            print("ready", flush=True)
            while True:
                time.sleep(0.05)  # a signal just before one long sleep would wait for its end
        """,
        tmp_path,
    )
    assert process.stdout.readline() == "ready\n"
    begun = time.monotonic()
    process.terminate()
    code = process.wait(60)
    seconds = time.monotonic() - begun
    _, complaints = process.communicate()

    assert (code, complaints) == (4, "")
    assert seconds < 3 * 2.5 + 2
