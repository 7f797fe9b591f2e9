"""Threads of the operating system, where gevent has put its own in their place."""

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
