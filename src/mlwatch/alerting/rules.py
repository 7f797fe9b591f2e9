"""Rules: a metric becomes a finding, that something is wrong or that it is not."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from mlwatch.catalogue import CATALOGUE
from mlwatch.errors import ConfigurationError
from mlwatch.records import EPOCH, IMMATURE, Metric, Severity, join_key
from mlwatch.records.words import number

_JUDGED = {"drifted": True, "stable": False}
_SUBJECTS = {
    "drift": "a feature",
    "prediction_drift": "the prediction",
    "outcome_drift": "the outcome",
    "concept_drift": "the relation of outcomes to predictions",
    "concept_drift/e_detector": "the error rate",
}
_ENDS = {"value": "value", "lower": "low", "upper": "high"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule says of one metric now: firing, not firing, or (None) that it stays as it is.

    It stays while there is not enough data, or a metric is "immature" (then whatever a rule
    says): an alert that cannot be judged is not over. A metric
    of which nothing is said at all leaves its alert as it is until `AlertPolicy.stale_after`.
    """

    rule: str
    severity: Severity
    firing: bool | None
    title: str
    why: str
    metric: Metric
    threshold: float | None = None

    @property
    def fingerprint(self) -> str:
        """Return what is wrong, in a form that is the same in every episode."""
        metric = self.metric
        labels = [f"{name}={metric.labels[name]}" for name in sorted(metric.labels)]
        return join_key(self.rule, metric.model, metric.model_version, metric.name, *labels)


Rule = Callable[[Sequence[Metric]], Iterable[Finding]]
"""The metrics of a cycle in, findings out. A plain function will do."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """Fire while a metric is above, or below, a fixed value.

    Args:
        metric: The metric's name.
        above: Fire while the value is above this.
        below: Fire while the value is below this.
        clear: Resolve only once the value is back at this, on the good side of the limit; in
            between an alert stays as it is. The limit itself when not given.
        use: "value", or "lower" or "upper" for that end of the metric's interval:
            `below=0.8, use="upper"` fires only when even the optimistic end is too low.
        severity: "info", "warning" or "critical".
        labels: Only metrics with these labels.

    Raises:
        ConfigurationError: An argument cannot be right.
    """

    metric: str
    above: float | None = None
    below: float | None = None
    clear: float | None = None
    use: Literal["value", "lower", "upper"] = "value"
    severity: str = Severity.WARNING
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.above is None) == (self.below is None):
            raise ConfigurationError(f"Threshold({self.metric!r}): give either above= or below=")
        for name in ("above", "below", "clear"):
            limit = getattr(self, name)
            if limit is not None and not _is_finite(limit):
                raise ConfigurationError(
                    f"Threshold({self.metric!r}, {name}={limit!r}): must be a finite number"
                )
        if self._is_beyond(self.limit if self.clear is None else self.clear):
            raise ConfigurationError(
                f"Threshold({self.metric!r}, clear={self.clear!r}): is on the wrong side of the "
                f"limit {self.limit!r}; an alert could never resolve there"
            )
        if self.use not in _ENDS:
            raise ConfigurationError(
                f"Threshold({self.metric!r}, use={self.use!r}): must be one of {', '.join(_ENDS)}"
            )
        check_severity(f"Threshold({self.metric!r}, ", self.severity)

    @property
    def name(self) -> str:
        """Return the rule in words."""
        end = "" if self.use == "value" else f"{self.use} end of "
        word = "above" if self.above is not None else "below"
        return f"{end}{self.metric} {word} {self.limit:g}"

    @property
    def limit(self) -> float:
        """Return the value that must not be crossed."""
        return self.above if self.above is not None else self.below or 0.0

    def __call__(self, metrics: Sequence[Metric]) -> Iterator[Finding]:
        """Return a finding for each metric of this name; of one that is not known it stays.

        Raises:
            ConfigurationError: It could never fire: there is no such metric, or it has no interval.
        """
        self._require_metric(metrics)
        for metric in metrics:
            if metric.name != self.metric or not self.labels.items() <= metric.labels.items():
                continue
            firing = self._judge(metric)
            yield Finding(
                self.name,
                Severity(self.severity),
                firing,
                title=f"{_subject(metric)} is {_shown(metric.value)} "
                f"({'' if firing else 'no longer: '}{self.name})",
                why=_described(metric),
                metric=metric,
                threshold=self.limit,
            )

    def _require_metric(self, metrics: Sequence[Metric]) -> None:
        measured = {metric.name for metric in metrics}
        if self.metric not in measured | CATALOGUE.keys():
            near = difflib.get_close_matches(self.metric, measured | CATALOGUE.keys(), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigurationError(f"{self.name}: no metric {self.metric!r} is measured{hint}")

    def _judge(self, metric: Metric) -> bool | None:
        if metric.value is None or metric.verdict == IMMATURE:
            return None
        value = getattr(metric, _ENDS[self.use])
        if value is None:
            raise ConfigurationError(f"{self.name}: {self.metric} has no {self.use} end")
        return None if self._is_between(value) else self._is_beyond(value)

    def _is_beyond(self, value: float) -> bool:
        return value > self.limit if self.above is not None else value < self.limit

    def _is_between(self, value: float) -> bool:
        if self.clear is None or self._is_beyond(value):
            return False
        return value > self.clear if self.above is not None else value < self.clear


@dataclass(frozen=True, slots=True)
class Drifted:
    """Fire while features, predictions, outcomes or their relation are judged to have drifted.

    Args:
        severity: "info", "warning" or "critical".
    """

    severity: str = Severity.WARNING
    name: str = "drift"

    def __post_init__(self) -> None:
        check_severity("Drifted(", self.severity)

    def __call__(self, metrics: Sequence[Metric]) -> Iterator[Finding]:
        """Return a finding for each feature; where it could not be judged its alert stays."""
        for metric in metrics:
            if metric.name in _SUBJECTS:
                drifted = _JUDGED.get(metric.verdict)
                detector = metric.labels.get("detector", "")
                subject = metric.labels.get("feature") or _SUBJECTS.get(
                    f"{metric.name}/{detector}", _SUBJECTS[metric.name]
                )
                state = "has drifted" if drifted else "no longer drifts"
                yield Finding(
                    self.name,
                    Severity(self.severity),
                    drifted,
                    title=f"{subject} {state} ({detector})",
                    why=metric.why or _moved(metric),
                    metric=metric,
                )


def _moved(metric: Metric) -> str:
    low, moved = metric.low or 0.0, metric.value or 0.0
    if not low:
        return f"no difference from the reference is certain (measured {moved:.3f})"
    return f"at least {low:.3f} of the traffic differs from the reference (measured {moved:.3f})"


@dataclass(frozen=True, slots=True)
class MonitoringFault:
    """Fire while a part of the monitoring itself raises.

    Args:
        severity: "info", "warning" or "critical".
    """

    severity: str = Severity.WARNING
    name: str = "monitoring fault"

    def __post_init__(self) -> None:
        check_severity("MonitoringFault(", self.severity)

    def __call__(self, metrics: Sequence[Metric]) -> Iterator[Finding]:
        """Return a finding for each part that was run."""
        for metric in metrics:
            if metric.name == "monitoring_fault":
                part = metric.labels.get("part", "")
                yield Finding(
                    self.name,
                    Severity(self.severity),
                    bool(metric.value),
                    title=f"monitoring fault in {part}",
                    why=metric.why or "it works again",
                    metric=metric,
                )


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def check_severity(what: str, severity: str) -> None:
    """Raise `ConfigurationError` unless it is one; `what` begins the message."""
    if severity not in set(Severity):
        raise ConfigurationError(
            f"{what}severity={severity!r}): must be one of {', '.join(Severity)}"
        )


def _subject(metric: Metric) -> str:
    labels = ", ".join(f"{name} {metric.labels[name]}" for name in sorted(metric.labels))
    return f"{metric.name} ({labels})" if labels else metric.name


def _shown(value: float | None) -> str:
    return "none" if value is None else number(value)


def _described(metric: Metric) -> str:
    spec = CATALOGUE.get(metric.name)
    text = "" if spec is None else spec.text
    bounds = ""
    if metric.low is not None and metric.high is not None:
        bounds = f" (95%: {number(metric.low)} to {number(metric.high)})"
    rows = f" from {metric.n:,} rows" if metric.n > 1 else ""
    span = ""
    if EPOCH not in {metric.since, metric.time}:
        span = f" of {metric.since:%Y-%m-%d %H:%M} to {metric.time:%Y-%m-%d %H:%M}"
    why = f": {metric.why}" if metric.why else ""
    return f"{text} {_shown(metric.value)}{bounds}{rows}{span}{why}".strip()
