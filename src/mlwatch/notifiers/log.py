"""Alerts into the log."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from mlwatch.records import Alert, Severity
from mlwatch.records.words import clean

_LEVELS = {
    Severity.INFO: logging.INFO,
    Severity.WARNING: logging.WARNING,
    Severity.CRITICAL: logging.CRITICAL,
}


@dataclass(frozen=True, slots=True)
class LogNotifier:
    """Write each alert as one line to a logger, at the level of its severity.

    Args:
        logger: Where to write; `mlwatch.alerts` by default.
    """

    logger: logging.Logger = field(default_factory=lambda: logging.getLogger("mlwatch.alerts"))
    name: str = "log"

    def notify(self, alert: Alert) -> None:
        """Write one line; a resolved alert is information."""
        level = _LEVELS[alert.severity] if alert.state == "firing" else logging.INFO
        who = clean(f"{alert.model} {alert.model_version}".strip())
        self.logger.log(
            level,
            "%s: [%s] %s: %s: %s",
            alert.state,
            alert.severity,
            who,
            clean(alert.title),
            clean(alert.why),
        )
