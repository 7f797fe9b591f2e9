"""What every host does with a monitor: start it in each process, tell it of requests, close it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

from mlwatch._guard import attempt, salvage
from mlwatch.endpoints import OTHER
from mlwatch.monitor import Monitor

_LOG = logging.getLogger("mlwatch")
FAILED = 500


class Guest:
    """A monitor in a host, which it never breaks.

    Args:
        monitor: The monitor.
        start: Whether this process ingests and runs cycles.
        endpoint: Gives the endpoint of what the host knows of a request, where it tells of any.
    """

    def __init__(
        self, monitor: Monitor, start: bool, endpoint: Callable[[Any], str] = lambda _: OTHER
    ) -> None:
        self.monitor = monitor
        self._wanted = start
        self._name = endpoint
        self._pid = 0

    def start(self) -> None:
        """Start the monitor, once in each process: a worker may be a fork of one that has."""
        if not self._wanted or self._pid == os.getpid():
            return
        self._pid = os.getpid()
        _, fault = attempt("start", self.monitor.start)
        if fault is not None:
            _LOG.warning("the monitor does not run in this process: %s", fault.error)

    def close(self, timeout: float) -> None:
        """Close the monitor, for so many seconds at most."""
        _, fault = attempt("close", self.monitor.close, timeout)
        if fault is not None:
            _LOG.warning("the monitor was not closed: %s", fault.error)

    async def aclose(self, timeout: float) -> None:  # noqa: ASYNC109  as close
        """Do as `close`, while the event loop goes on."""
        import asyncio  # which WSGI has no need of

        closing, _ = attempt(
            "close",
            lambda: asyncio.get_running_loop().run_in_executor(None, self.close, timeout),
        )
        if closing is None:  # there can be no thread, or the loop is not that of asyncio
            self.close(timeout)
        else:
            await closing

    def endpoint(self, request: Any) -> str:
        """Return the endpoint of a request; "other" where it has none."""
        return salvage(self._name, request, OTHER)
