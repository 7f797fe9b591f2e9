"""What takes records in while mlwatch is switched off: nothing is kept, and ids still come back."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from typing import Any, Final

from mlwatch.recorder.arguments import as_text, is_absent
from mlwatch.recorder.batch import Columns, ids_of
from mlwatch.recorder.statistics import CaptureStatistics
from mlwatch.spool.frame import new_writer

SWITCH: Final = "MLWATCH_DISABLED"
"""The environment variable that switches mlwatch off, with any value but "" and "0"."""


def is_disabled() -> bool:
    """Whether mlwatch is switched off for this process."""
    return os.environ.get(SWITCH, "0") not in {"", "0"}


class NoRecorder:
    """Have the methods of a recorder and do nothing in them."""

    feature_names: Sequence[str] = ()
    stats = CaptureStatistics()

    def __init__(self) -> None:
        self._writer = new_writer()
        self._sequence = itertools.count()

    def prediction(self, features: Any, prediction: Any, *rest: Any) -> str:
        """Return the id that is given, or a new one."""
        _, request_id, *_ = rest
        if type(request_id) is str:
            return request_id
        return self._new_id() if is_absent(request_id) else as_text(request_id)

    def outcome(self, *given: Any) -> None:
        """Forget an outcome."""

    def request(self, *given: Any, timestamp: Any = None) -> None:
        """Forget how a request ended."""

    def log(self, *given: Any) -> None:
        """Forget a line of the log."""

    def batch(self, columns: Columns, *rest: Any) -> Sequence[str]:
        """Return the ids of the rows."""
        return ids_of(columns, self._new_id)

    def _new_id(self) -> str:
        return f"{self._writer}-{next(self._sequence)}"

    def refuse(self, reason: str, count: int = 1) -> None:
        """Forget what never came to be a record."""

    def finish_with(self, ingest: Callable[[], object]) -> None:
        """Forget what to do at the end."""

    def flush(self, timeout: float | None = None) -> bool:
        """Return True: nothing waits."""
        return True

    def close(self, timeout: float | None = None) -> bool:
        """Return True: nothing waits."""
        return True
