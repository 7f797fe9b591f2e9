"""The service's log: a handler of `logging` that counts lines by level, and keeps none of them.

`logging.getLogger().addHandler(LogCounter(monitor))`, or in the dictionary of
`logging.config.dictConfig`:

    "handlers": {
        "mlwatch": {
            "class": "mlwatch.integrations.logs.LogCounter",
            "monitor": "ext://service.monitoring.monitor",
        },
    }
"""

from __future__ import annotations

import logging
import threading
import weakref

from mlwatch._guard import attempt
from mlwatch.errors import ConfigurationError
from mlwatch.monitor import Monitor

_OWN = "mlwatch"


class LogCounter(logging.Handler):
    """Count the lines of the log by level, for `log_count` and `log_error_share`.

    It takes no lock, waits for nothing and raises nothing; a line costs a microsecond or two. The
    counts are handed on as all records are, so processes add up, and what was counted is safe once
    `flush` or `close` of the monitor has returned. Lines of mlwatch itself are left out, and a
    line that reaches the handler twice, by a logger and the one above it, counts once.

    Args:
        monitor: The monitor.
        level: Lines below it are not counted; then the share of errors is one of those above.

    Raises:
        ConfigurationError: `monitor` is none, such as its name.
    """

    def __init__(self, monitor: Monitor, level: int | str = logging.NOTSET) -> None:
        if not isinstance(monitor, Monitor):
            raise ConfigurationError(
                f"LogCounter(monitor={monitor!r}): give the monitor itself; in a dictConfig its "
                'name is "ext://service.monitoring.monitor"'
            )
        super().__init__(level)
        self._monitor: Monitor | None = monitor
        self._seen = threading.local()

    def handle(self, record: logging.LogRecord) -> bool:
        """Count a line that passes the filters, without the handler's lock."""
        passes = bool(self.filter(record))
        if passes:
            self.emit(record)
        return passes

    def emit(self, record: logging.LogRecord) -> None:
        """Count a line."""
        attempt("log", self._count, record)

    def close(self) -> None:
        """Count no more, and let go of the monitor, as `logging` asks when the process ends."""
        self._monitor = None
        super().close()

    def _count(self, record: logging.LogRecord) -> None:
        monitor = self._monitor
        if monitor is None or record.name == _OWN or record.name.startswith(f"{_OWN}."):
            return
        last = getattr(self._seen, "last", None)
        if last is None or last() is not record:
            self._seen.last = weakref.ref(record)
            monitor.record_log(record.levelno)
