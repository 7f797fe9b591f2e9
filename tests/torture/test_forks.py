"""Forks: a child has records, ids and files of its own, and leaves its parent's alone."""

import subprocess
import sys
from collections import Counter

import pytest
from tests.processes import PRELUDE, QUIET, Account, Settled, run


def test_forks_beside_recording_threads_are_safe(tmp_path, scale):
    """Children forked while threads record have ids and segments of their own; nothing is lost."""
    forks = scale(20, 60)
    printed = run(
        f"""
        watch = monitor(flush_interval=timedelta(milliseconds=1))
        one = lambda name=None: watch.record_prediction({{"a": 1}}, 0.5, request_id=name)
        stop = threading.Event()
        counts = [0, 0, 0]

        def work(mine):
            while not stop.is_set():
                one(f"parent-{{mine}}-{{counts[mine]}}")
                counts[mine] += 1
                time.sleep(0.0005)

        threads = [threading.Thread(target=work, args=(mine,)) for mine in range(3)]
        for thread in threads:
            thread.start()
        children = []
        for number in range({forks}):
            child = os.fork()
            if child == 0:
                made = [one() for _ in range(10)]
                os._exit(0 if watch.flush(5) and len(set(made)) == 10 else 1)
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
    account = Account(tmp_path / "spool" / "m")
    ids = Counter(account.ids)
    parents = [name for name in ids if name.startswith("parent-")]

    assert code == "0"
    assert len(parents) == int(recorded)
    assert len(ids) - len(parents) == 10 * forks
    assert max(ids.values()) == 1
    assert len(account.spool.segments()) == forks + 1
    assert account.balanced
    assert account.torn == 0
    assert Settled(tmp_path).missing(int(recorded) + 10 * forks) == 0


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


@pytest.mark.parametrize("fork", ["os.fork()", "ctypes.PyDLL(None).fork()"])
def test_a_fork_takes_over_nothing_that_waits(tmp_path, fork):
    """What the parent has waiting is stored once, by the parent, were fork hooks run or not."""
    run(
        f"""
        import ctypes

        watch = monitor(flush_interval=timedelta(hours=1))
        one = lambda name: watch.record_prediction({{"a": 1}}, 0.5, request_id=name)
        for number in range(100):
            one(f"before-{{number}}")
        time.sleep(0.2)  # no thread of Python survives a fork in C while it waits for the GIL
        child = {fork}
        for number in range(100):
            one(f"{{'parent' if child else 'child'}}-{{number}}")
        if child == 0:
            os._exit(0 if watch.flush(5) else 1)
        assert os.waitpid(child, 0)[1] == 0
        """,
        tmp_path,
    )
    settled = Settled(tmp_path)

    assert settled.missing(300) == 0
    assert Counter(name.split("-")[0] for name in settled.ids) == {
        "before": 100,
        "parent": 100,
        "child": 100,
    }


def test_a_child_may_close_or_collect_what_its_parent_uses(tmp_path):
    """A child that closes the monitor, or drops it, takes nothing from its parent."""
    run(
        """
        import gc

        watch = monitor(flush_interval=timedelta(milliseconds=1))
        one = lambda: watch.record_prediction({"a": 1}, 0.5)
        for turn in range(10):
            for _ in range(100):
                one()
            child = os.fork()
            if child == 0:
                if turn % 2:
                    watch.close()
                del watch
                gc.collect()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        one()
        """,
        tmp_path,
    )

    assert Settled(tmp_path).missing(1001) == 0


def test_two_monitors_on_one_path_keep_apart(tmp_path, scale):
    """Monitors of one path, two a process and two processes, lose nothing and repeat no id."""
    count = scale(2000, 50_000)
    script = f"""
        child = os.fork()
        watches = [monitor(flush_interval=timedelta(milliseconds=1)) for _ in range(2)]
        for number in range({count}):
            watches[number % 2].record_prediction({{"a": 1}}, 0.5)
            if number % 500 == 0:
                watches[0].flush(ingest=True)
        print(all(watch.close() for watch in watches), flush=True)
        if child:
            assert os.waitpid(child, 0)[1] == 0
        """
    printed = run(script, tmp_path)

    assert printed == "True\nTrue\n"
    assert Settled(tmp_path).missing(2 * count) == 0


def test_a_pid_that_comes_again_is_another_process(tmp_path):
    """A grandchild with the pid of its dead grandparent takes over neither ids nor records."""
    space = ["unshare", "--user", "--map-root-user", "--pid", "--fork"]
    if subprocess.run([*space, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no right to a space of process ids")
    printed = run(
        """
        import contextlib

        if os.fork() == 0:
            watch = monitor(flush_interval=timedelta(hours=1))
            one = lambda: watch.record_prediction({"a": 1}, 0.5)
            made = [one() for _ in range(10)]
            first = os.getpid()
            if os.fork():
                sys.exit()
            with contextlib.suppress(ProcessLookupError):
                while True:
                    os.kill(first, 0)
                    time.sleep(0.01)
            Path("/proc/sys/kernel/ns_last_pid").write_text(str(first - 1))
            again = os.fork()
            if again == 0:
                made += [one() for _ in range(10)]
                print(os.getpid() == first, len(set(made)), flush=True)
                sys.exit()
            os.waitpid(again, 0)
            os._exit(0)
        while True:  # the first process of the space waits for all orphans
            try:
                os.wait()
            except ChildProcessError:
                break
        """,
        tmp_path,
        under=space,
    )

    assert printed == "True 20\n"
    assert Settled(tmp_path).missing(20) == 0
