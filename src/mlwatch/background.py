"""Ingest and cycles in a thread of their own, a real one also under gevent."""

from __future__ import annotations

import logging
import os
import random
import time
import weakref
from _thread import get_ident
from collections.abc import Callable
from datetime import datetime, timedelta

from mlwatch import _threads
from mlwatch._guard import attempt
from mlwatch.records import Fault

_LOG = logging.getLogger("mlwatch")
_LONGEST_PAUSE = 30.0


class Background:
    """Call `ingest` every second or so and `cycle` every `every`, until stopped.

    An error is noted and logged, and the next try waits longer each time, up to half a minute.
    The thread is a daemon and belongs to the process that started it: after a fork the child has
    none, and may start its own. It holds the owner of the two methods weakly, and ends when the
    owner is gone.

    Args:
        ingest: Moves what was recorded into the store.
        cycle: Runs one cycle.
        every: The time between two cycles, by the monotonic clock.
        clock: Gives the time that an error is noted with.
        pause: Seconds between two calls of `ingest`.
    """

    def __init__(
        self,
        ingest: Callable[[], object],
        cycle: Callable[[], object],
        every: timedelta,
        clock: Callable[[], datetime],
        pause: float = 1.0,
    ) -> None:
        self._ingest = weakref.WeakMethod(ingest)
        self._cycle = weakref.WeakMethod(cycle)
        self._every = every.total_seconds()
        self._clock = clock
        self._pause = pause
        self._stopping = False
        self._bell = _threads.new_lock()
        self._busy = _threads.new_lock()
        self._pid = 0
        self._thread = 0
        self.last_error = ""

    @property
    def running(self) -> bool:
        """Whether this process has a live thread."""
        return self._pid == os.getpid() and self._busy.locked()

    def start(self) -> None:
        """Start the thread unless it runs.

        Raises:
            RuntimeError: This process can start no more threads.
        """
        if self.running:
            return
        self._stopping = False
        self._bell, self._busy = _threads.new_lock(), _threads.new_lock()
        self._bell.acquire()
        self._busy.acquire()
        self._pid = os.getpid()
        if not _threads.start(self._run):
            self._busy.release()
            raise RuntimeError("can't start new thread: ingest and cycles need one")

    def stop(self, timeout: float | None = None) -> bool:
        """Ask the thread to end and wait for it; True when it has."""
        self._stopping = True
        if not self.running or self._thread == get_ident():
            return True
        _threads.release(self._bell)
        ended = self._busy.acquire(timeout=-1 if timeout is None else max(timeout, 0))
        if ended:
            self._busy.release()
        return ended

    def _run(self) -> None:
        self._thread = get_ident()
        try:
            self._repeat()
        finally:
            self._busy.release()

    def _repeat(self) -> None:
        due = time.monotonic() + self._every
        failures = 0
        while not self._stopping:
            self._bell.acquire(timeout=self._wait(failures))
            if self._stopping:
                return
            begun = time.monotonic()
            fault = self._turn(due=begun >= due)
            if begun >= due and fault is None:
                due = begun + self._every
            failures = 0 if fault is None else failures + 1
            self._note(fault, failures)

    def _turn(self, *, due: bool) -> Fault | None:
        """Ingest, and run a cycle when one is due; return what failed."""
        ingest, cycle = self._ingest(), self._cycle()
        if ingest is None or cycle is None:
            self._stopping = True
            return None
        _, fault = attempt("ingest", ingest)
        if due:
            _, failed = attempt("cycle", cycle)
            fault = failed or fault
        return fault

    def _note(self, fault: Fault | None, failures: int) -> None:
        if fault is None:
            self.last_error = ""
            return
        self.last_error = f"{self._clock():%Y-%m-%d %H:%M:%S}: {fault.error}"
        if failures & (failures - 1) == 0:  # the 1st, 2nd, 4th, 8th: an outage is not a flood
            _LOG.warning("%s failed, %d times in a row: %s", fault.part, failures, fault.error)

    def _wait(self, failures: int) -> float:
        longest = min(_LONGEST_PAUSE, self._pause * 2 ** min(failures, 10))
        return random.uniform(self._pause, longest) if failures else self._pause  # noqa: S311  jitter
