"""The account of what was recorded, and the log of what was not."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

_LOG = logging.getLogger("mlwatch")
_QUIET_SECONDS = 60.0

MISSED: Final = "missed_predictions"
"""Under what it is noted how many of the records that were dropped are predictions."""

MISSED_REQUESTS: Final = "missed_requests"
"""The same of requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureStatistics:
    """What this process has recorded so far.

    Args:
        recorded: Records handed over: waiting, in the spool, or dropped.
        dropped: How many were dropped, by reason.
        noted: What else is worth knowing of them, by reason.
        queue_bytes: What waits in memory, with what each record costs there.
        last_error: The last failure to write, or "".
    """

    recorded: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    noted: Mapping[str, int] = field(default_factory=dict)
    queue_bytes: int = 0
    last_error: str = ""

    def since(self, before: CaptureStatistics) -> CaptureStatistics:
        """Return what was added since `before`."""
        return CaptureStatistics(
            recorded=self.recorded - before.recorded,
            dropped=_difference(self.dropped, before.dropped),
            noted=_difference(self.noted, before.noted),
            queue_bytes=self.queue_bytes,
            last_error=self.last_error,
        )


class Notices:
    """Tell the logger "mlwatch" what went wrong, each reason at most once a minute.

    Args:
        monotonic: Gives seconds.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._told: dict[str, int] = {}
        self._next: dict[str, float] = {}

    def tell(self, now: CaptureStatistics, failures: int) -> None:
        """Log the reasons that have grown, with by how much; and that the spool fails."""
        for reason, count in now.dropped.items():
            self._tell(f"dropped: {reason}", count, "%d records were dropped (%s)", reason)
        for reason in now.noted.keys() - {
            MISSED,
            MISSED_REQUESTS,
        }:  # which the reasons of the drops tell
            count = now.noted[reason]
            self._tell(f"noted: {reason}", count, "%d times in what was recorded: %s", reason)
        self._tell("spool", failures, "%d failures to write the spool: %s", now.last_error)

    def _tell(self, key: str, count: int, message: str, what: str) -> None:
        more = count - self._told.get(key, 0)
        if more <= 0 or self._monotonic() < self._next.get(key, 0.0):
            return
        self._told[key] = count
        self._next[key] = self._monotonic() + _QUIET_SECONDS
        _LOG.warning(message, more, what)


def _difference(now: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    return {
        reason: count - before.get(reason, 0)
        for reason, count in now.items()
        if count != before.get(reason, 0)
    }
