"""Real faults against a process that records: kills, forks, exits, signals, a full disk."""

import os
import random
import subprocess
import sys
import time
from collections import Counter

import pytest
from tests.processes import PRELUDE, QUIET, Account, run, start


def test_what_was_flushed_survives_a_kill(tmp_path):
    """What a flush confirmed is there after SIGKILL, once; a torn end costs nothing older."""
    moments = random.Random(1)
    for life in range(6):
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


ENDINGS = {
    "return": ("pass", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "in a thread": ("threading.Thread(target=lambda: (time.sleep(0.1), record(into))).start()", 0),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_normal_exit_stores_everything(tmp_path, ending):
    """Nobody flushes or closes: all records are stored, the exit code stays, stderr is silent."""
    statement, code = ENDINGS[ending]
    run(
        f"""
        into = recorder(flush_interval=timedelta(hours=1))
        for _ in range(20_000):
            record(into)
        {statement}
        """,
        tmp_path,
        code,
    )
    account = Account(tmp_path)

    assert len(account.records) == 20_000 + (ending == "in a thread")
    assert account.balanced
    assert not account.dropped


def test_an_unhandled_exception_stores_everything(tmp_path):
    """The traceback is the host's and nothing is added to it; the records are stored."""
    process = start(
        """
        into = recorder(flush_interval=timedelta(hours=1))
        record(into)
        raise ValueError("the host's own")
        """,
        tmp_path,
    )
    _, complaints = process.communicate()

    assert process.returncode == 1
    assert complaints.endswith("ValueError: the host's own\n")
    assert "mlwatch" not in complaints
    assert len(Account(tmp_path).records) == 1


def test_the_last_breath_is_recorded(tmp_path):
    """Records made by exit handlers and finalisers, after our own exit handler, are stored."""
    run(
        """
        import atexit

        into = recorder(flush_interval=timedelta(hours=1))

        class Last:
            def __del__(self):
                record(into, request_id="finaliser")

        last = Last()
        atexit.register(lambda: record(into, request_id="exit handler"))
        record(into, request_id="first")
        """,
        tmp_path,
    )

    assert Account(tmp_path).ids == ["first", "exit handler", "finaliser"]


HANGING = """
class Hanging:
    bytes = 0
    def append(self, *frame):
        while {hangs}:
            time.sleep(3600)
        raise SpoolError("down")
    def forget(self): pass

from mlwatch.errors import SpoolError
into = Recorder(Hanging(), CaptureOptions(), lambda: datetime.now(UTC))
record(into)
other = Recorder(Hanging(), CaptureOptions(), lambda: datetime.now(UTC))
record(other)
"""


def test_a_dead_spool_does_not_keep_the_process(tmp_path):
    """With spools that hang or fail for ever the process ends, all of them in one deadline."""
    begun = time.monotonic()
    dying = [start(HANGING.format(hangs=hangs), tmp_path) for hangs in (True, False)]
    codes = []
    for process in dying:
        process.communicate(timeout=30)
        codes.append(process.returncode)

    assert codes == [0, 0]
    assert time.monotonic() - begun < 3 * 2.5


def test_forks_beside_recording_threads_are_safe(tmp_path):
    """Children forked while threads record have ids and segments of their own; nothing is lost."""
    printed = run(
        """
        into = recorder(flush_interval=timedelta(milliseconds=1))
        stop = threading.Event()
        counts = [0, 0, 0]

        def work(mine):
            while not stop.is_set():
                record(into, request_id=f"parent-{mine}-{counts[mine]}")
                counts[mine] += 1
                time.sleep(0.0005)

        threads = [threading.Thread(target=work, args=(mine,)) for mine in range(3)]
        for thread in threads:
            thread.start()
        children = []
        for number in range(20):
            child = os.fork()
            if child == 0:
                made = [record(into) for _ in range(10)]
                os._exit(0 if into.flush(5) and len(set(made)) == 10 else 1)
            children.append(child)
        codes = [os.waitpid(child, 0)[1] for child in children]
        stop.set()
        for thread in threads:
            thread.join()
        print(sum(counts), *set(codes))
        """,
        tmp_path,
    )
    recorded, code = printed.split()
    account = Account(tmp_path)
    ids = Counter(account.ids)
    parents = [name for name in ids if name.startswith("parent-")]

    assert code == "0"
    assert len(parents) == int(recorded)
    assert len(ids) - len(parents) == 200
    assert max(ids.values()) == 1
    assert len(account.spool.segments()) == 21
    assert account.balanced
    assert account.torn == 0


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_store_everything(tmp_path, method):
    """A child that just returns, as children of multiprocessing do, leaves nothing behind."""
    script = tmp_path / "script.py"
    script.write_text(
        f"""{PRELUDE}
import multiprocessing
into = recorder(flush_interval=timedelta(hours=1))

def work():
    for _ in range(100):
        record(into)

if __name__ == "__main__":
    record(into, request_id="before")
    context = multiprocessing.get_context({method!r})
    children = [context.Process(target=work) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    print(*[child.exitcode for child in children])
"""
    )
    folder = tmp_path / "spool"
    done = subprocess.run(
        [sys.executable, *QUIET, script, folder], capture_output=True, text=True, check=False
    )
    account = Account(folder)

    assert (done.stdout, done.stderr) == ("0 0\n", "")
    assert len(account.ids) == len(set(account.ids)) == 201
    assert account.balanced


def test_a_signal_handler_may_record(tmp_path):
    """A handler that records, a thousand times a second, while the host records and flushes."""
    printed = run(
        """
        import itertools

        into = recorder(flush_interval=timedelta(milliseconds=1))
        numbers = itertools.count()  # a handler may itself be interrupted by the next signal

        def handle(*signal):
            record(into, request_id=f"signal-{next(numbers)}")

        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        end = time.monotonic() + 0.7
        made = 0
        while time.monotonic() < end:
            for _ in range(100):
                record(into)
                made += 1
            into.flush()
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(next(numbers), made)
        """,
        tmp_path,
    )
    seen, made = map(int, printed.split())
    account = Account(tmp_path)

    assert seen > 50
    assert len(account.ids) + account.dropped["full"] == seen + made
    assert len(set(account.ids)) == len(account.ids)
    assert account.balanced


def test_a_handler_that_ends_the_process_is_obeyed(tmp_path):
    """sys.exit in a SIGTERM handler ends a process that does nothing but record."""
    writer = start(
        """
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
        into = recorder(flush_interval=timedelta(milliseconds=1))
        print("ready", flush=True)
        while True:
            record(into, {"a": object()})
            record(into)
        """,
        tmp_path,
    )
    assert writer.stdout.readline() == "ready\n"
    codes = []
    for _ in range(20):  # one may strike where an object of the host is asked, and be taken for it
        writer.terminate()
        try:
            codes.append(writer.wait(6))  # a second one while it exits would meet no handler
            break
        except subprocess.TimeoutExpired:
            continue
    _, complaints = writer.communicate(timeout=30)

    assert codes == [7]
    assert "Traceback" not in complaints
    assert Account(tmp_path).balanced


def test_finalisers_may_record(tmp_path):
    """Two thousand objects that record when the collector takes them neither deadlock nor lose."""
    run(
        """
        import gc

        into = recorder(flush_interval=timedelta(milliseconds=1))

        class Node:
            def __init__(self):
                self.me = self
            def __del__(self):
                record(into)

        for _ in range(2000):
            Node()
            record(into)
        gc.collect()
        """,
        tmp_path,
    )

    assert len(Account(tmp_path).records) == 4000


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
        print(into.stats.queue_bytes > 0)
        print(sum(len(frame.records) for segment in DiskSpool(folder).segments()
                  for frame in DiskSpool(folder).read(segment, 0)))
        """,
        tmp_path,
    )

    assert printed.split("\n") == ["can't start new thread", "True", "2000", ""]
    assert len(Account(tmp_path).records) == 2500


@pytest.fixture
def small_disk(tmp_path):
    """A disk of three megabytes, where one may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a small disk")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_loses_nothing_that_memory_holds(small_disk):
    """A disk that is full and then has room again: no torn end, no duplicate, an exact account."""
    printed = run(
        """
        import logging

        logging.getLogger("mlwatch").addHandler(logging.NullHandler())
        filler = folder.parent / "filler"
        filler.write_bytes(bytes(2_700_000))
        into = recorder(max_bytes=1_000_000, flush_interval=timedelta(milliseconds=1))
        features = {"text": "x" * 1000}
        for count in (2000, 1000):
            for _ in range(count):
                record(into, features)
                time.sleep(0.0002)
            print(into.flush(5), into.stats.queue_bytes > 0)
            filler.unlink(missing_ok=True)
        print("No space left" in into.stats.last_error)
        print(into.stats.recorded, sum(into.stats.dropped.values()))
        """,
        small_disk / "spool",
    )
    *flushed, failed, counts = printed.splitlines()
    recorded, dropped = map(int, counts.split())
    account = Account(small_disk / "spool")

    assert flushed == ["False True", "True False"]
    assert failed == "True"
    assert recorded == 3000
    assert 0 < dropped < 3000
    assert len(account.ids) == len(set(account.ids)) == recorded - dropped
    assert account.torn == 0
    assert account.balanced
