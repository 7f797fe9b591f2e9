"""How a process ends: whatever it does last, what it recorded is stored or counted."""

import time

import pytest
from tests.processes import Account, Settled, run, start

EXIT_SECONDS = 2.0  # what all monitors of a process share
SLACK = 3  # exit deadlines are the one thing that is timed


ENDINGS = {
    "return": ("pass", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "in a thread": ("threading.Thread(target=lambda: (time.sleep(0.1), one())).start()", 0),
}

RECORDING = """
watch = monitor(flush_interval=timedelta(hours=1), max_bytes=2**28)
one = lambda: watch.record_prediction({{"a": 1, "b": "x"}}, 0.5)
for _ in range({count}):
    one()
"""


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_normal_exit_stores_everything(tmp_path, scale, ending):
    """Nobody flushes or closes: all records are stored, the exit code stays, stderr is silent."""
    statement, code = ENDINGS[ending]
    count = scale(20_000, 200_000)
    run(RECORDING.format(count=count) + statement, tmp_path, code)
    settled = Settled(tmp_path)

    assert settled.missing(count + (ending == "in a thread")) == 0
    assert settled.dropped == {}


def test_an_unhandled_exception_stores_everything(tmp_path, scale):
    """The traceback is the host's and nothing is added to it; the records are stored."""
    count = scale(20_000, 200_000)
    script = RECORDING.format(count=count) + 'raise ValueError("the host\'s own")'
    process = start(script, tmp_path)
    _, complaints = process.communicate()

    assert process.returncode == 1
    assert complaints.endswith("ValueError: the host's own\n")
    assert "mlwatch" not in complaints
    settled = Settled(tmp_path)
    assert settled.missing(count) == 0
    assert settled.dropped == {}


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


def test_whatever_is_called_at_the_very_end_raises_nothing(tmp_path):
    """A host that records, flushes and closes from finalisers, in a cycle, ends in silence."""
    run(
        """
        import atexit

        watch = monitor(flush_interval=timedelta(hours=1))

        class Last:
            def __init__(self, name):
                self.name, self.me = name, self
            def __del__(self):
                watch.record_prediction({"a": 1}, 0.5, request_id=self.name)
                watch.record_outcome(self.name, 1)
                watch.flush(0.1)

        sys.last_of_all = Last("outlives the modules")
        last = Last("in a module")
        atexit.register(watch.close)
        atexit.register(lambda: (watch.flush(), watch.record_prediction({"a": 1}, 0.5)))
        watch.record_prediction({"a": 1}, 0.5)
        """,
        tmp_path,
    )
    settled = Settled(tmp_path)

    # What comes after close() is not taken; the process has gone before it could be counted.
    assert settled.stored == 2
    assert set(settled.dropped) <= {"shutdown"}


def test_after_close_an_id_comes_back_and_the_record_is_counted(tmp_path):
    """A record that comes after close() is dropped and counted, here and in the store."""
    printed = run(
        """
        watch = monitor(flush_interval=timedelta(hours=1))
        for _ in range(10):
            watch.record_prediction({"a": 1}, 0.5)
        watch.close()
        ids = {watch.record_prediction({"a": 1}, 0.5) for _ in range(5)}
        print(len(ids), watch.flush(), watch.status().dropped["shutdown"])
        """,
        tmp_path,
    )

    assert printed.split()[::2] == ["5", "5"]
    assert Settled(tmp_path).missing(15) == 0


HANGING = """
from mlwatch.errors import SpoolError

class Hanging:
    bytes = 0
    def append(self, *frame):
        while {hangs}:
            time.sleep(3600)
        raise SpoolError("down")
    def forget(self): pass

kept = []
for _ in range({count}):
    kept.append(Recorder(Hanging(), CaptureOptions(), lambda: datetime.now(UTC)))
    record(kept[-1])
print(time.monotonic(), flush=True)
"""


def ended(script, folder):
    """Run a script whose last word is the time; return its exit code and how long it took to go."""
    process = start(script, folder)
    word = process.stdout.readline()
    code = process.wait(60)
    seconds = time.monotonic() - float(word)
    _, complaints = process.communicate()
    assert complaints == ""
    return code, seconds


@pytest.mark.parametrize("hangs", [True, False])
def test_a_dead_spool_does_not_keep_the_process(tmp_path, hangs):
    """With spools that hang or fail for ever the process ends, all of them in one deadline."""
    code, seconds = ended(HANGING.format(hangs=hangs, count=20), tmp_path)

    assert code == 0
    assert seconds < SLACK * (EXIT_SECONDS + 0.5)


DEAD_STORE = """
from mlwatch.errors import StoreError
from mlwatch.stores import MemoryStore

quiet()
tried = threading.Event()

class Dead(MemoryStore):
    def write(self, batch):
        tried.set()
        while {hangs}:
            time.sleep(3600)
        raise StoreError("down")

watch = monitor(store=Dead())
watch.start()
for _ in range({count}):
    watch.record_prediction({{"a": 1}}, 0.5)
tried.wait()
print(time.monotonic(), flush=True)
sys.exit(4)
"""


@pytest.mark.parametrize("hangs", [True, False])
def test_a_dead_store_does_not_keep_the_process(tmp_path, scale, hangs):
    """With a store that hangs or fails for ever, the process ends and the spool has it all."""
    count = scale(2000, 200_000)
    code, seconds = ended(DEAD_STORE.format(hangs=hangs, count=count), tmp_path)

    assert code == 4
    assert seconds < SLACK * (EXIT_SECONDS + 0.5)
    settled = Settled(tmp_path)
    assert settled.missing(count) == 0
    assert set(settled.dropped) <= {"full", "thinned"}
