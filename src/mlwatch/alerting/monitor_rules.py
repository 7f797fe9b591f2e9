"""Rules on the monitor itself: what is lost, lags behind, fills up, fails or was not run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mlwatch.alerting.rules import Finding
from mlwatch.errors import ConfigurationError
from mlwatch.records import Metric, Severity

_OWN = "monitor_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What a figure of the monitor itself may reach.

    Args:
        metric: The figure's name, such as "monitor_spool_fill".
        above: Fire while the value is above this.
        clear: Resolve once it is at this or below; the limit itself when not given.
        severity: "info", "warning" or "critical".
        name: What is wrong, in words.
        remedy: What it means and what to do, for the person on call.

    Raises:
        ConfigurationError: An argument cannot be right.
    """

    metric: str
    above: float
    name: str
    remedy: str
    clear: float | None = None
    severity: str = Severity.WARNING

    def __post_init__(self) -> None:
        clear = self.above if self.clear is None else self.clear
        if not math.isfinite(self.above) or not clear <= self.above:
            raise ConfigurationError(
                f"Limit({self.metric!r}, above={self.above!r}, clear={self.clear!r}): must be "
                "numbers, the second no larger than the first"
            )
        if not self.metric.startswith(_OWN) or self.severity not in set(Severity):
            raise ConfigurationError(
                f"Limit({self.metric!r}, severity={self.severity!r}): must be a metric of the "
                f"monitor itself, and one of {', '.join(Severity)}"
            )

    def judge(self, value: float | None) -> bool | None:
        """Return whether a value is beyond it; None where it stays as it was."""
        if value is None:
            return None
        if value > self.above:
            return True
        return None if self.clear is not None and value > self.clear else False


LIMITS = (
    Limit(
        metric="monitor_lost_share",
        above=0.0,
        name="records are lost",
        remedy='by reason: "full" and "thinned" are floods (raise CaptureOptions(max_bytes=...)), '
        '"spool_full" is ingest that lags, "store_error" a spool that cannot be written, '
        '"damaged" a disk, "poisonous" what the store refused; resolves an hour after the last',
    ),
    Limit(
        metric="monitor_lost_share",
        above=0.01,
        severity=Severity.CRITICAL,
        name="more than 1% of the records are lost",
        remedy="figures of this time rest on what is left of the traffic, and outcomes that were "
        "lost cannot come again; see the reasons, the commonest first",
    ),
    Limit(
        metric="monitor_ingest_lag_seconds",
        above=900.0,
        name="ingest lags behind",
        remedy="the oldest record that waits in the spool; until it is in the store it is in no "
        "figure. See monitor.status().last_error, and whether ingest keeps up: start() it in "
        "fewer and stronger workers, or run it as a sidecar",
    ),
    Limit(
        metric="monitor_spool_fill",
        above=0.5,
        clear=0.4,
        name="the spool is half full",
        remedy="records wait there while the store is down or slow; when it is full the newest "
        'are dropped ("spool_full"). Mend the store, or raise CaptureOptions(max_spool_bytes=...)',
    ),
    Limit(
        metric="monitor_spool_fill",
        above=0.9,
        clear=0.8,
        severity=Severity.CRITICAL,
        name="the spool is nearly full",
        remedy='the newest records are about to be dropped ("spool_full"). Mend the store, or '
        "raise CaptureOptions(max_spool_bytes=...)",
    ),
    Limit(
        metric="monitor_queue_fill",
        above=0.5,
        clear=0.4,
        name="the queue in memory is half full",
        remedy="it could not be written to the spool: see whether the disk is full or read-only, "
        "and monitor.status().last_error; when it is full the newest records are dropped",
    ),
    Limit(
        metric="monitor_cycle_share",
        above=1.0,
        clear=0.8,
        name="cycles take longer than the time between them",
        remedy="the median of the last three; what they judge is late. Raise Monitor(every=...), "
        "shorten window=, or leave out a collector",
    ),
    Limit(
        metric="monitor_error",
        above=0.0,
        name="the monitor itself fails at something",
        remedy="what it says (monitor.status().last_error) failed when it was last tried; resolves "
        "with the first cycle that finds it working",
    ),
    Limit(
        metric="monitor_last_cycle_age_seconds",
        above=8 * 86_400.0,  # nights and holidays are no fault, nor is a job that runs weekly
        severity=Severity.INFO,
        name="no cycle was run for more than a week",
        remedy="told by the first cycle after the gap, since it is cycles that tell: in the gap "
        "nothing could alert. All is well where that was meant. Otherwise watch "
        "monitor.status().last_cycle from outside, which sees a gap while it lasts",
    ),
)
"""What the monitor itself may reach, when nothing else is said."""


@dataclass(frozen=True, slots=True)
class MonitorHealth:
    """Fire while a figure of the monitor itself is beyond a limit.

    Args:
        limits: The limits; they replace the default ones.
    """

    limits: Sequence[Limit] = LIMITS
    name: str = "monitor health"

    def __call__(self, metrics: Sequence[Metric]) -> Iterator[Finding]:
        """Return a finding for each limit of a figure; without a value its alert stays."""
        by_name = {metric.name: metric for metric in metrics if metric.name.startswith(_OWN)}
        for limit in self.limits:
            metric = by_name.get(limit.metric)
            if metric is not None:
                firing = limit.judge(metric.value)
                state = "" if firing else "no longer: "
                yield Finding(
                    limit.name,
                    Severity(limit.severity),
                    firing,
                    title=f"{state}{limit.name} ({metric.name} {_shown(metric.value)})",
                    why="; ".join(filter(None, (metric.why, limit.remedy if firing else ""))),
                    metric=metric,
                    threshold=limit.above,
                )


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"
