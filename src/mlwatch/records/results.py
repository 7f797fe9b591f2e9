"""What a cycle finds: metrics, drift results, faults and alerts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from mlwatch.records.keys import join_key

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


IMMATURE = "immature"
"""The verdict on a figure of predictions most of whose labels are still to come."""

WITHIN = "something changed, by no more than the margin as far as is certain"
"""The caveat of a stable result whose p-value is within the budget."""


class Severity(StrEnum):
    """How much an alert matters, least first."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure about one window.

    `value` is None when there is not enough data, and `why` then says what is lacking. `low` and
    `high` bound the value (95% where nothing else is said), `n` is the number of rows behind it.
    `reference` is the same figure on the reference. `verdict` is set by a collector that has
    judged the figure: "drifted", "stable" or "not enough data"; or it is "immature": too few of its
    labels are known, and no rule changes an alert by it. The monitor fills in the model, the
    version and the window `[since, time)`, the latter where it is not another span.
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    verdict: str = ""
    why: str = ""
    model: str = ""
    model_version: str = ""
    since: datetime = EPOCH
    time: datetime = EPOCH
    reference: float | None = None

    @property
    def key(self) -> str:
        """A metric is known by its name, labels, version and window."""
        labels = [f"{name}={self.labels[name]}" for name in sorted(self.labels)]
        window = (self.since.isoformat(), self.time.isoformat())
        return join_key(self.model, self.model_version, self.name, *labels, *window)

    @property
    def bounded(self) -> tuple[float, float, float] | None:
        """The value with its low and its high end, if it has both."""
        if self.value is None or self.low is None or self.high is None:
            return None
        return self.value, self.low, self.high


@dataclass(frozen=True, slots=True)
class DriftResult:
    """The evidence of one detector about one feature, and the verdict once it is judged.

    `effect` is the share of the traffic that moved, between 0 and 1 (the Kolmogorov-Smirnov
    distance or the total variation), whatever the statistic; `effect_low` is a lower bound of it
    that holds with high confidence for any distributions. `drifted` is None when there is not
    enough data, or while nobody has judged; `band` names how large the bounded effect is:
    "", "notice", "warning" or "critical". `unseen` counts current values outside the reference's
    vocabulary, `missing` absent, null and NaN values, `infinite` infinities and `wrong_kind` others
    that are no values of the feature (a text among numbers), all of the current window.
    """

    feature: str
    detector: str
    statistic: float | None
    effect: float | None
    effect_low: float | None
    p_value: float | None
    n: int
    n_reference: int
    missing: int = 0
    unseen: int = 0
    infinite: int = 0
    wrong_kind: int = 0
    drifted: bool | None = None
    band: str = ""
    caveats: tuple[str, ...] = ()
    why: str = ""
    model: str = ""
    model_version: str = ""
    since: datetime = EPOCH
    time: datetime = EPOCH

    @property
    def key(self) -> str:
        """A drift result is known by its feature, detector, version and window."""
        window = (self.since.isoformat(), self.time.isoformat())
        return join_key(self.model, self.model_version, self.feature, self.detector, *window)

    @property
    def verdict(self) -> str:
        """Return the verdict in words."""
        return {True: "drifted", False: "stable", None: "not enough data"}[self.drifted]


@dataclass(frozen=True, slots=True)
class Revised:
    """Figures of a past span as they are now: they replace those in the store, and alert nobody.

    Args:
        metrics: Each with its own `since` and `time`.
    """

    metrics: tuple[Metric, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """One part of the monitoring raised; the rest of the cycle went on."""

    part: str
    error: str
    cause: BaseException | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One episode of something being wrong, as it stands at `time`.

    `fingerprint` names what is wrong (rule, model, version and labels) and stays the same over
    episodes; `id` names the episode. `state` is "firing" or "resolved".
    """

    id: str
    fingerprint: str
    rule: str
    severity: Severity
    state: str
    title: str
    why: str
    since: datetime
    time: datetime
    metric: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    threshold: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    model: str = ""
    model_version: str = ""

    @property
    def key(self) -> str:
        """An alert is known by its episode."""
        return self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One transition of an alert on its way to one notifier: "pending", "sent" or "failed".

    `time` is that of the last try (of the transition, before the first), `retry_at` the earliest
    of the next.
    """

    alert: Alert
    notifier: str
    status: str
    time: datetime
    attempts: int = 0
    error: str = ""
    retry_at: datetime = EPOCH

    @property
    def key(self) -> str:
        """A delivery is known by the episode, the transition and the notifier."""
        return join_key(self.alert.id, self.alert.state, self.notifier)

    @property
    def model(self) -> str:
        """Return the model the alert is about."""
        return self.alert.model

    @property
    def model_version(self) -> str:
        """Return the model version the alert is about."""
        return self.alert.model_version


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a channel gave back for a delivered alert, handed to later messages of the episode."""

    values: Mapping[str, str] = field(default_factory=dict)
