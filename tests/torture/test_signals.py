"""Recording from where code runs unasked: signal handlers, finalisers, callbacks, log handlers."""

from tests.processes import Account, Settled, run, start


def test_a_signal_handler_may_record(tmp_path, scale):
    """A handler that records, a thousand times a second, while the host records and flushes."""
    printed = run(
        f"""
        import itertools

        into = recorder(flush_interval=timedelta(milliseconds=1))
        numbers = itertools.count()  # a handler may itself be interrupted by the next signal

        def handle(*signal):
            record(into, request_id=f"signal-{{next(numbers)}}")

        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        end = time.monotonic() + {scale(0.7, 20)}
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
    assert len(account.ids) + account.dropped.total() == seen + made
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
    writer.terminate()
    _, complaints = writer.communicate(timeout=30)

    assert writer.returncode == 7
    assert "Traceback" not in complaints
    assert Account(tmp_path).balanced


def test_finalisers_may_record(tmp_path, scale):
    """Two thousand objects that record when the collector takes them neither deadlock nor lose."""
    count = scale(2000, 50_000)
    run(
        f"""
        import gc

        watch = monitor(flush_interval=timedelta(milliseconds=1), max_bytes=2**28)
        one = lambda: watch.record_prediction({{"a": 1}}, 0.5)

        class Node:
            def __init__(self):
                self.me = self
            def __del__(self):
                one()

        for _ in range({count}):
            Node()
            one()
        gc.collect()
        """,
        tmp_path,
    )

    assert Settled(tmp_path).missing(2 * count) == 0


def test_weakref_callbacks_may_record(tmp_path, scale):
    """Callbacks of weak references that record, and outcomes too, while others do, lose nothing."""
    count = scale(1000, 20_000)
    run(
        f"""
        import gc, weakref

        watch = monitor(flush_interval=timedelta(milliseconds=1), max_bytes=2**28)
        one = lambda name=None: watch.record_prediction({{"a": 1}}, 0.5, request_id=name)

        class Node:
            def __init__(self):
                self.me = self

        def gone(name):
            one(name)
            watch.record_outcome(name, 1)

        def work(mine):
            for number in range({count}):
                weakref.finalize(Node(), gone, f"{{mine}}-{{number}}")
                one()
                if number % 100 == 0:
                    watch.flush()

        threads = [threading.Thread(target=work, args=(mine,)) for mine in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        gc.collect()
        """,
        tmp_path,
    )
    settled = Settled(tmp_path)

    assert settled.stored + sum(settled.dropped.values()) == 9 * count
    assert len(set(settled.ids)) == len(settled.ids) == 6 * count


def test_a_log_handler_may_record_every_line(tmp_path, scale):
    """A handler of the root logger that records each line, mlwatch's own too, feeds on nothing."""
    count = scale(1000, 50_000)
    printed = run(
        f"""
        import logging

        watch = monitor(flush_interval=timedelta(milliseconds=1), max_bytes=2**28)
        seen = []

        class Recording(logging.Handler):
            def emit(self, line):
                watch.record_prediction({{"line": line.getMessage()}}, 0.5, latency_ms=-1)
                seen.append(line.name)

        logging.basicConfig(handlers=[Recording()], level=logging.DEBUG)

        def work():
            for _ in range({count}):
                logging.getLogger("host").debug("a line")

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        watch.flush()
        end = time.monotonic() + 60
        while "mlwatch" not in seen and time.monotonic() < end:
            time.sleep(0.01)  # the thread that writes may still wait for the handler's lock
        print(len(seen), seen.count("mlwatch"))
        """,
        tmp_path,
    )
    lines, own = map(int, printed.split())

    assert lines - own == 3 * count
    assert own == 1  # the one reason, once
    settled = Settled(tmp_path)
    assert settled.missing(lines) == 0
    assert settled.noted["bad_latency"] == lines
