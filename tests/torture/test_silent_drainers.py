"""A thread that never runs, or has died: callers notice, and write in its place."""

import pytest
from tests.processes import Settled, run

# How a thread comes to write nothing, before the monitor is made and after its first record.
SILENT = {
    "never runs": ("_thread.start_new_thread = lambda *_: 0", ""),
    "dies": ("", "kill_others()"),
}

UNDRAINED = """
import _thread, ctypes

own = threading.get_ident()

def kill(thread):
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(SystemExit))
    while thread in sys._current_frames():
        time.sleep(0.01)

def kill_others():
    while len(sys._current_frames()) < 2:
        time.sleep(0.01)
    for thread in sys._current_frames():
        if thread != own:
            kill(thread)

{before}
watch = monitor(flush_interval=timedelta(milliseconds=10))
one = lambda: watch.record_prediction({{"a": 1}}, 0.5)
one()
{after}
made = 1
spooled = lambda: sum(path.stat().st_size for path in (folder / "spool").rglob("*.seg"))
before = spooled()
end = time.monotonic() + 30
while spooled() < before + 2000 and time.monotonic() < end:  # nobody flushes
    one()
    made += 1
    time.sleep(0.001)
print(made, spooled() >= before + 2000)
"""


@pytest.mark.parametrize("how", SILENT)
def test_a_host_whose_thread_is_silent_is_served(tmp_path, how):
    """A thread that never ran or has died is noticed: callers write in its place; all is stored."""
    before, after = SILENT[how]
    made, served = run(UNDRAINED.format(before=before, after=after), tmp_path).split()

    assert served == "True"
    settled = Settled(tmp_path)
    assert settled.missing(int(made)) == 0
    assert settled.dropped == {}
