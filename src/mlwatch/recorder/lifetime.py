"""What happens to waiting records when the process forks and when it ends.

The one module state of the library is here: the weak set of live buffers, by which one hook each
serves all monitors.
"""

from __future__ import annotations

import atexit
import functools
import os
import sys
import time
import weakref
from typing import Final

from mlwatch._guard import attempt
from mlwatch.recorder.buffer import Buffer

EXIT_SECONDS: Final = 2.0
"""How long a process that ends waits for all its buffers together."""

_LIVE: weakref.WeakSet[Buffer] = weakref.WeakSet()


def look_after(buffer: Buffer) -> None:
    """See to it that the buffer of this process is written when the process ends."""
    _LIVE.add(buffer)
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
    own = [buffer for buffer in list(_LIVE) if buffer.pid == os.getpid()]
    for buffer in own:
        buffer.stop(deadline)
    for buffer in own:
        attempt("capture", buffer.wait)


def _leave_to_parent() -> None:
    """Let go, in a forked child, of what the parent has waiting and open."""
    for buffer in list(_LIVE):
        buffer.pid = -1
        attempt("capture", buffer.spool.forget)
    _LIVE.clear()
