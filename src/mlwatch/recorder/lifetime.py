"""What happens to waiting records when the process forks and when it ends.

The one module state of the library is here: the live buffers, held weakly, by which one hook each
serves all monitors.
"""

from __future__ import annotations

import atexit
import functools
import os
import sys
import time
import weakref
from _thread import LockType
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from mlwatch import _threads
from mlwatch._guard import attempt
from mlwatch.recorder.buffer import Buffer

EXIT_SECONDS: Final = 2.0
"""How long a process that ends waits for all its buffers together."""

Finish = Callable[[], Callable[[], object] | None]
"""Gives what is still to be called at the end, or None when nobody is there any more."""

_LIVE: weakref.WeakKeyDictionary[Buffer, Finish | None] = weakref.WeakKeyDictionary()


def look_after(buffer: Buffer, finish: Finish | None = None) -> None:
    """See to it that the buffer of this process is written when the process ends.

    Args:
        buffer: The buffer.
        finish: What is called once it is written.
    """
    _LIVE[buffer] = finish
    _hook()
    # A child of multiprocessing leaves by os._exit, and before Python 3.13 without atexit.
    process, util = (sys.modules.get(f"multiprocessing.{name}") for name in ("process", "util"))
    if process is not None and util is not None and process.parent_process() is not None:
        util.Finalize(None, _finish, exitpriority=0)


@functools.cache
def _hook() -> None:
    atexit.register(_finish)
    os.register_at_fork(after_in_child=_leave_to_parent)


def _finish() -> None:
    """Write what waits in every buffer of this process, within one deadline."""
    deadline = time.monotonic() + EXIT_SECONDS
    own = {it: finish for it, finish in list(_LIVE.items()) if it.pid == os.getpid()}
    for buffer in own:
        buffer.stop(deadline)
    for buffer in own:
        attempt("capture", buffer.wait)
    calls = [call for finish in own.values() if finish and (call := finish()) is not None]
    done = _threads.new_lock()
    done.acquire()
    # In a thread, as a store may hang.
    if calls and _threads.start(partial(_call_all, calls, done)):
        done.acquire(timeout=max(deadline - time.monotonic(), 0))


def _call_all(calls: Iterable[Callable[[], object]], done: LockType) -> None:
    for call in calls:
        attempt("capture", call)
    done.release()


def _leave_to_parent() -> None:
    """Let go, in a forked child, of what the parent has waiting and open."""
    for buffer in list(_LIVE):
        buffer.pid = -1
        attempt("capture", buffer.spool.forget)
    _LIVE.clear()
