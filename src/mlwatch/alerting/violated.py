"""The rule on rules of the user's own: values that break the schema."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mlwatch.alerting.rules import Finding, check_severity
from mlwatch.errors import ConfigurationError
from mlwatch.records import Metric, Severity


@dataclass(frozen=True, slots=True)
class Violated:
    """Fire while values break a rule of a `Schema`.

    Args:
        share: How much of them may; the lower end of the interval has to be above it. 0: any
            value that breaks a rule fires.
        severity: "info", "warning" or "critical".

    Raises:
        ConfigurationError: An argument cannot be right.
    """

    share: float = 0.0
    severity: str = Severity.WARNING
    name: str = "schema"

    def __post_init__(self) -> None:
        check_severity("Violated(", self.severity)
        if not isinstance(self.share, int | float) or not 0 <= self.share < 1:
            raise ConfigurationError(
                f"Violated(share={self.share!r}): must be a share from 0 up to below 1"
            )

    def __call__(self, metrics: Sequence[Metric]) -> Iterator[Finding]:
        """Return a finding for each rule; where no value was asked about its alert stays."""
        counts = {_about(it): it for it in metrics if it.name == "schema_violations"}
        for metric in metrics:
            if metric.name != "schema_violation_share":
                continue
            counted = counts.get(_about(metric), metric)
            firing = None if metric.value is None else (metric.low or 0.0) > self.share
            verb = "breaks" if firing else "no longer breaks"
            if firing and self.share:
                verb = f"breaks, in more than {self.share:.1%} of its values,"
            yield Finding(
                self.name,
                Severity(self.severity),
                firing,
                title=f"{metric.labels.get('feature', '')} {verb} {metric.labels.get('rule', '')}",
                why=_told(metric, counted),
                metric=metric,
                threshold=self.share,
            )


def _about(metric: Metric) -> tuple[str, ...]:
    labels = metric.labels
    return metric.model_version, labels.get("feature", ""), labels.get("rule", "")


def _told(metric: Metric, counted: Metric) -> str:
    broken = f"{counted.value or 0.0:,.0f} of {metric.n:,} values"
    return f"{broken}: {counted.why}" if counted.value and counted.why else broken
