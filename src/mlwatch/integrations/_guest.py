"""What every host does with a monitor: start it once in each process, and tell it of requests."""

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
        endpoint: Gives the endpoint of what the host knows of a request.
    """

    def __init__(self, monitor: Monitor, start: bool, endpoint: Callable[[Any], str]) -> None:
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

    def endpoint(self, request: Any) -> str:
        """Return the endpoint of a request; "other" where it has none."""
        return salvage(self._name, request, OTHER)
