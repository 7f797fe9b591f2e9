"""What a monitor takes of its host: nothing before the first record, and never more and more."""

import subprocess
import sys
import textwrap

from tests.processes import QUIET, Settled, run

UNTOUCHED = """
import gc, logging, os, random, signal, sys, threading, time, warnings
from pathlib import Path

def taken():
    return {
        "threads": len(os.listdir("/proc/self/task")),
        "descriptors": sorted(os.listdir("/proc/self/fd")),
        "signals": [signal.getsignal(number) for number in sorted(signal.valid_signals())],
        "hooks": (sys.excepthook, sys.unraisablehook, threading.excepthook, sys.breakpointhook),
        "traces": (sys.gettrace(), sys.getprofile(), threading.gettrace()),
        "exits": (os._exit, sys.exit),
        "limits": (sys.getswitchinterval(), sys.getrecursionlimit()),
        "collector": (gc.isenabled(), gc.get_threshold(), len(gc.callbacks), gc.get_debug()),
        "loggers": (logging.root.handlers[:], logging.root.level, logging.root.filters[:]),
        "showing": (warnings.showwarning, warnings.formatwarning),
        "random": random.getstate(),
        "environment": dict(os.environ),
    }

import numpy, sqlite3  # what they add themselves is theirs
filters = list(warnings.filters)
before = taken()

def changed(but=()):
    after = taken()
    return [name for name in before if name not in but and before[name] != after[name]]

folder = Path(sys.argv[1])
import mlwatch
from mlwatch.stores import SQLiteStore
print("import", changed(), [one for one in warnings.filters if one not in filters])
watch = mlwatch.Monitor(store=SQLiteStore(folder / "mlwatch.db"), model="m")
print("construct", changed(), sorted(path.name for path in folder.iterdir()))
watch.record_prediction({"a": 1}, 0.5)
watch.flush()
print("record", changed(but=["threads", "descriptors"]))
while len(os.listdir("/proc/self/task")) - before["threads"] > 1:
    time.sleep(0.01)  # the thread in which flush waited ends a moment later
print(len(os.listdir("/proc/self/task")) - before["threads"])
"""


def test_nothing_of_the_host_is_touched(tmp_path):
    """Import and construction take no thread, descriptor or file; recording takes one thread."""
    done = subprocess.run(
        [sys.executable, *QUIET, "-c", textwrap.dedent(UNTOUCHED), tmp_path],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.stdout, done.stderr) == ("import [] []\nconstruct [] []\nrecord []\n1\n", "")


USED = """
import gc

def used():
    \"\"\"Threads, descriptors and resident kilobytes.\"\"\"
    gc.collect()
    status = Path("/proc/self/status").read_text()
    kilobytes = int(status.split("VmRSS:")[1].split()[0])
    return len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd")), kilobytes

def settled(bound):
    \"\"\"Threads and descriptors once those that end have ended, or 20 s have passed.\"\"\"
    end = time.monotonic() + 20
    while used()[:2] > bound and time.monotonic() < end:
        time.sleep(0.02)
    return used()
"""


def test_monitors_that_come_and_go_leave_nothing(tmp_path, scale):
    """After any number of monitors, closed or just dropped, all is as it was."""
    count = scale(200, 1000)
    printed = run(
        USED
        + f"""
def use(number):
    watch = monitor()
    watch.record_prediction({{"a": number}}, 0.5)
    watch.record_prediction({{"a": number}}, 0.5)
    if number % 2:
        watch.close()
    elif number % 4:
        watch.start()

for number in range(50):
    use(number)
first = settled((1, 4))
for number in range(50, {count}):
    use(number)
last = settled(first[:2])
print(*first, *last)
""",
        tmp_path,
    )
    *before, kilobytes, threads, descriptors, kilobytes_after = map(int, printed.split())

    assert threads <= before[0]
    assert descriptors <= before[1]
    assert kilobytes_after < kilobytes * 1.10 + 2000
    assert Settled(tmp_path).missing(2 * count) == 0


def test_memory_does_not_grow_with_what_was_recorded(tmp_path, scale):
    """Eight threads record without pause: memory after all is what it was after a fifth."""
    count = scale(200_000, 5_000_000)
    printed = run(
        USED
        + f"""
quiet()
from concurrent.futures import ThreadPoolExecutor

into = recorder(max_bytes=2**22)
features = {{f"f{{number}}": number / 7 for number in range(5)}}

def work(count):
    for number in range(count):
        record(into, features)

def fifth():
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, [{count} // 40] * 8))
    return used()[2]

sizes = [fifth() for _ in range(5)]
into.close()
stats = into.stats
print(sizes[0], max(sizes), stats.recorded, sum(stats.dropped.values()))
print(sum(frame.recorded for segment in DiskSpool(folder).segments()
          for frame in DiskSpool(folder).read(segment, 0)))
print(sum(len(frame.records) for segment in DiskSpool(folder).segments()
          for frame in DiskSpool(folder).read(segment, 0)))
""",
        tmp_path,
    )
    first, most, recorded, dropped, told, stored = map(int, printed.split())

    assert recorded == told == stored + dropped == count
    assert most <= first * 1.05 + 2000 + 2**12  # the queue may be empty at first, and full later
