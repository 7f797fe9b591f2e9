"""Ingest and cycles in a thread of their own."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from mlwatch._guard import attempt
from mlwatch.records import Fault

_LOG = logging.getLogger("mlwatch")
_LONGEST_PAUSE = 30.0


class Background:
    """Call `ingest` every second or so and `cycle` every `every`, until stopped.

    An error is noted and logged, and the next try waits longer each time, up to half a minute.
    The thread is a daemon and belongs to the process that started it: after a fork the child has
    none, and may start its own.

    Args:
        ingest: Moves what was recorded into the store.
        cycle: Runs one cycle.
        every: The time between two cycles, by the monotonic clock.
        pause: Seconds between two calls of `ingest`.
    """

    def __init__(
        self,
        ingest: Callable[[], object],
        cycle: Callable[[], object],
        every: timedelta,
        pause: float = 1.0,
    ) -> None:
        self._ingest = ingest
        self._cycle = cycle
        self._every = every.total_seconds()
        self._pause = pause
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._pid = 0
        self.last_error = ""

    @property
    def running(self) -> bool:
        """Whether this process has a live thread."""
        alive = self._thread is not None and self._thread.is_alive()
        return alive and self._pid == os.getpid()

    def start(self) -> None:
        """Start the thread unless it runs."""
        if self.running:
            return
        self._stop = threading.Event()
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name="mlwatch", daemon=True)
        self._thread.start()

    def stop(self, timeout: float | None = None) -> bool:
        """Ask the thread to end and wait for it; True when it has."""
        self._stop.set()
        if not self.running or self._thread is None or self._thread is threading.current_thread():
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        due = time.monotonic() + self._every
        failures = 0
        while not self._stop.wait(self._wait(failures)):
            _, fault = attempt("ingest", self._ingest)
            begun = time.monotonic()
            if begun >= due:
                _, failed = attempt("cycle", self._cycle)
                due = begun + self._every if failed is None else due
                fault = failed or fault
            failures = 0 if fault is None else failures + 1
            if fault is not None:
                self._note(fault, failures)

    def _note(self, fault: Fault, failures: int) -> None:
        self.last_error = fault.error
        if failures & (failures - 1) == 0:  # 1, 2, 4, 8, ...: an outage is not a flood
            _LOG.warning("%s failed, %d times in a row: %s", fault.part, failures, fault.error)

    def _wait(self, failures: int) -> float:
        longest = min(_LONGEST_PAUSE, self._pause * 2 ** min(failures, 10))
        return random.uniform(self._pause, longest) if failures else self._pause  # noqa: S311  jitter
