"""Threads of the operating system: a host that replaces, starves or refuses them loses nothing."""

import pytest
from tests.processes import Account, run

GEVENT = """
from gevent import monkey
monkey.patch_all()
import gevent

into = recorder(flush_interval=timedelta(milliseconds=20))

def work(mine):
    for number in range(500):
        record(into, request_id=f"{mine}-{number}")
        gevent.sleep(0)

"""


def test_under_gevent_the_drainer_is_a_real_thread(tmp_path):
    """Greenlets record while a real thread writes, and the loop is never held up by it."""
    printed = run(
        GEVENT
        + """
ticks = 0

def tick():
    global ticks
    while True:
        gevent.sleep(0.001)
        ticks += 1

gevent.spawn(tick)
gevent.joinall([gevent.spawn(work, mine) for mine in range(4)])
end = time.monotonic() + 30
while into.stats.queue_bytes and time.monotonic() < end:
    gevent.sleep(0.01)
print(into.stats.queue_bytes, ticks > 0)
""",
        tmp_path,
    )
    account = Account(tmp_path)

    assert printed == "0 True\n"
    assert len(set(account.ids)) == 2000
    assert account.balanced


def test_a_patch_that_comes_late_freezes_nothing(tmp_path):
    """A recorder of before the patch goes on, and one of after it works beside it."""
    run(
        """
        early = recorder(flush_interval=timedelta(milliseconds=5))
        record(early, request_id="early 1")
        assert early.flush()
        import warnings
        warnings.simplefilter("ignore")
        from gevent import monkey
        monkey.patch_all()
        import gevent

        late = recorder(flush_interval=timedelta(milliseconds=5))

        def work():
            record(early, request_id="early 2")
            record(late, request_id="late")
            assert early.flush(5) and late.flush(5)

        gevent.joinall([gevent.spawn(work)], raise_error=True)
        """,
        tmp_path,
    )

    assert sorted(Account(tmp_path).ids) == ["early 1", "early 2", "late"]


SILENT = {
    "never runs": "threads.start = lambda call: True",
    "cannot be started": "threads.start = lambda call: False",
    "dies at once": "threads.start = lambda call: bool(_thread.start_new_thread(int, ())) or True",
}


@pytest.mark.parametrize("how", SILENT)
def test_a_thread_that_is_not_there_is_replaced(tmp_path, how):
    """A caller writes when the thread is overdue, and the end of the process writes the rest."""
    printed = run(
        f"""
        import _thread
        from mlwatch import _threads as threads
        from mlwatch.recorder import buffer
        buffer._SILENCE = 0.05
        {SILENT[how]}

        into = recorder(flush_interval=timedelta(milliseconds=20))
        record(into, request_id="first")
        end = time.monotonic() + 30
        beats = 0
        while not DiskSpool(folder).segments() and time.monotonic() < end:
            time.sleep(0.01)
            record(into)
            beats += 1
        print(bool(DiskSpool(folder).segments()), beats + 2)
        record(into, request_id="last")
        """,
        tmp_path,
    )
    written, count = printed.split()
    account = Account(tmp_path)

    assert written == "True"
    assert len(account.ids) == int(count)
    assert {account.ids[0], account.ids[-1]} == {"first", "last"}
    assert account.balanced


def test_a_caller_never_writes_behind_a_write_that_hangs(tmp_path):
    """While the thread is inside a disk that hangs, callers go on without touching it."""
    printed = run(
        """
        from mlwatch.recorder import buffer
        buffer._SILENCE = 0.05
        inside = threading.Event()
        names = []

        class Hanging(MemorySpool):
            def append(self, *frame):
                names.append(threading.get_ident())
                inside.set()
                time.sleep(3600)

        into = Recorder(Hanging(), CaptureOptions(flush_interval=timedelta(milliseconds=5)),
                        lambda: datetime.now(UTC))
        record(into)
        assert inside.wait(30)
        time.sleep(0.2)
        for _ in range(5000):
            record(into)
        print(len(names), into.stats.recorded, not into.flush(0.1))
        """,
        tmp_path,
    )

    assert printed == "1 5001 True\n"
