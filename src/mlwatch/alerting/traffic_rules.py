"""Rules on how much comes in: unusually much or little, and nothing at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from mlwatch.alerting.rules import Finding, check_severity
from mlwatch.errors import ConfigurationError
from mlwatch.records import Metric, Severity

_AGE, _VOLUME = "seconds_since_prediction", "volume_ratio"
_JUDGED = {"unusual": True, "usual": False}
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class UnusualVolume:
    """Fire while the last closed hour had unusually many, or few, predictions.

    An hour without any is left to `NoTraffic`.

    Args:
        severity: "info", "warning" or "critical".
    """

    severity: str = Severity.INFO
    name: str = "unusual volume"

    def __post_init__(self) -> None:
        check_severity("UnusualVolume(", self.severity)

    def __call__(self, metrics: Sequence[Metric]) -> Iterator[Finding]:
        """Return a finding; its alert stays where the hour could not be judged or had none."""
        for metric in (it for it in metrics if it.name == _VOLUME):
            firing = None if metric.value == 0 else _JUDGED.get(metric.verdict)
            state = "unusual" if firing else "usual again"
            yield Finding(
                self.name,
                Severity(self.severity),
                firing,
                title=f"the volume of predictions is {state}{_times(metric)}",
                why=metric.why,
                metric=metric,
            )


@dataclass(frozen=True, slots=True)
class NoTraffic:
    """Fire while a service that had predictions has none any more.

    Args:
        after: For how long there have to be none. None: for a whole hour that usually has some,
            which needs past days; until these are known it stays silent, and `volume_ratio` says
            so.
        severity: "info", "warning" or "critical".

    Raises:
        ConfigurationError: `after` is no span above 0, or the severity is none.
    """

    after: timedelta | None = None
    severity: str = Severity.WARNING
    name: str = "no traffic"

    def __post_init__(self) -> None:
        check_severity("NoTraffic(", self.severity)
        if self.after is not None and (
            not isinstance(self.after, timedelta) or self.after <= timedelta(0)
        ):
            raise ConfigurationError(f"NoTraffic(after={self.after!r}): must be a span above 0")

    def __call__(self, metrics: Sequence[Metric]) -> Iterator[Finding]:
        """Return a finding; without a prediction ever its alert stays, as none can be missed."""
        volume = next((it for it in metrics if it.name == _VOLUME), None)
        for metric in (it for it in metrics if it.name == _AGE):
            firing = self._judge(metric, volume)
            since = timedelta(seconds=metric.value or 0)
            why = f"the last one came {since} ago" if firing else "predictions come in again"
            usual = volume.why if firing and volume is not None else ""
            yield Finding(
                self.name,
                Severity(self.severity),
                firing,
                title="no predictions come in" if firing else "predictions come in",
                why="; ".join(filter(None, (why, usual))),
                metric=metric,
                threshold=None if self.after is None else self.after.total_seconds(),
            )

    def _judge(self, age: Metric, volume: Metric | None) -> bool | None:
        if age.value is None:
            return None
        if self.after is not None:
            return age.value > self.after.total_seconds()
        if age.value < _HOUR.total_seconds():
            return False
        none = volume is not None and volume.value == 0 and volume.verdict == "unusual"
        return True if none else None  # a night after it does not end an outage


def _times(metric: Metric) -> str:
    return "" if metric.value is None else f": {metric.value:.3g} times what is usual"
