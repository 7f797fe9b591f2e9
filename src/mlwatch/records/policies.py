"""The options of a monitor, grouped: what belongs together is one frozen object."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal, TypeGuard

from mlwatch.errors import ConfigurationError
from mlwatch.records.redact import Redact, check_redaction
from mlwatch.records.segments import Segment, as_segments

_DAYS = {"day": 1, "week": 7, "month": 30}
_WHOLE = 1 + 1e-9
"""Shares may come to 1 and what floats add to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long each kind of row is kept; the cycle removes what is older.

    Where the store is larger than `max_bytes` after that, the cycle goes on removing the oldest
    rows until it fits: predictions and outcomes first, then results older than a day (not alerts
    that fire), then what late outcomes need of more than a day ago, and counts of more than 2 days
    ago last.

    Args:
        rows: Predictions and outcomes with their features.
        pending: What a late outcome needs (also the span in which a request id may not repeat).
        panes: Tallies, and the account of what was ingested.
        metrics: Metrics and drift results, some 100 kB a cycle with twenty features.
        alerts: Alerts and deliveries.
        max_bytes: The store's rows may take so many bytes. None: as many as these ages need, since
            nothing is removed that was not asked for.
    """

    rows: timedelta = timedelta(days=7)
    pending: timedelta = timedelta(days=180)
    panes: timedelta = timedelta(weeks=8)
    metrics: timedelta = timedelta(weeks=8)
    alerts: timedelta = timedelta(days=365)
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        for name in ("rows", "pending", "panes", "metrics", "alerts"):
            _require_positive(f"Retention({name}=...)", getattr(self, name))
        if self.max_bytes is not None:
            _require_count("Retention", "max_bytes", self.max_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureOptions:
    """How records are taken in.

    Args:
        spool: The folder of the spool, in which each model has a folder of its own, or "memory".
            None: `<store.path>.spool` when the store has a path, else memory.
        max_bytes: Records waiting in memory may take this many bytes; what comes beyond is dropped
            and counted as "full". Outcomes may take a quarter more.
        max_record_bytes: A larger record is dropped and counted as "too_large".
        max_spool_bytes: The spool may take this many bytes; what comes beyond is dropped and
            counted as "spool_full".
        flush_interval: The longest time a record waits in memory.
        durability: "process": what was flushed survives the death of the process; "disk": also a
            loss of power, at the price of a sync of the disk for every batch.
        strict: Raise in `record_*` instead of counting; for tests.
        retention: How long rows are kept.
        redact: What to do to features before any byte of them exists: "drop", "hash", "mask" or a
            function of the value, by name; or a function of the whole mapping of features. The
            reference has to be fitted with the same.
        redact_key: The secret for "hash", at least 16 bytes; it is shown and written nowhere.
    """

    spool: str | Path | None = None
    max_bytes: int = 32 * 2**20
    max_record_bytes: int = 64 * 2**10
    max_spool_bytes: int = 2**30
    flush_interval: timedelta = timedelta(milliseconds=500)
    durability: Literal["process", "disk"] = "process"
    strict: bool = False
    retention: Retention = field(default_factory=Retention)
    redact: Redact | None = field(default=None, hash=False)
    redact_key: bytes | str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in ("max_bytes", "max_record_bytes", "max_spool_bytes"):
            _require_count("CaptureOptions", name, getattr(self, name))
        _require_positive("CaptureOptions(flush_interval=...)", self.flush_interval)
        if not isinstance(self.retention, Retention):
            raise ConfigurationError(
                f"CaptureOptions(retention={self.retention!r}): must be a Retention(...)"
            )
        if self.durability not in {"process", "disk"}:
            raise ConfigurationError(
                f'CaptureOptions(durability={self.durability!r}): must be "process" or "disk"'
            )
        check_redaction("CaptureOptions", self.redact, self.redact_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmBudget:
    """How many false alarms of the statistical verdicts a team will bear, of one model version.

    The budget is shared out to every test that is made, so that the expected number of false
    alarms, summed over all of them, stays below it whatever depends on whatever. An alarm is a
    feature that is taken for unusual; two detectors of it may both tell of the same one. Fixed
    thresholds lie outside.

    Args:
        alarms: So many false alarms ...
        per: ... a "day", "week" or "month" (of 30 days); at most one an hour.
        drift: The share for drift of features and predictions; `performance` that for the error
            rate, `quality` that for missing values. Together they are at most 1.
    """

    alarms: float = 0.25
    per: Literal["day", "week", "month"] = "week"
    drift: float = 0.50
    performance: float = 0.25
    quality: float = 0.25

    def __post_init__(self) -> None:
        if not _is_number(self.alarms) or self.alarms <= 0:
            raise ConfigurationError(
                f"AlarmBudget(alarms={self.alarms!r}): must be a number above 0; with none at all "
                "no alarm could ever be raised"
            )
        if not isinstance(self.per, str) or self.per not in _DAYS:
            raise ConfigurationError(
                f"AlarmBudget(per={self.per!r}): must be one of {', '.join(_DAYS)}"
            )
        most = 24 * _DAYS[self.per]
        if self.alarms > most:
            raise ConfigurationError(
                f"AlarmBudget(alarms={self.alarms!r}, per={self.per!r}): must be at most {most}, "
                "one an hour; nothing is judged more often than that"
            )
        shares = (self.drift, self.performance, self.quality)
        if not all(_is_number(share) and share > 0 for share in shares) or sum(shares) > _WHOLE:
            raise ConfigurationError(
                f"AlarmBudget(drift={self.drift!r}, performance={self.performance!r}, "
                f"quality={self.quality!r}): must be shares above 0 that come to at most 1"
            )

    @property
    def weekly(self) -> float:
        """The budget as false alarms a week."""
        return self.alarms * 7 / _DAYS[self.per]


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftPolicy:
    """When evidence of drift becomes a verdict.

    A feature has drifted when what came is unusual for this service, judged within the alarm
    budget, and matters: the lower bound of its effect (the share of traffic that moved) is above
    `margin`. So a harmless shift stays silent at any amount of traffic, and so does the ordinary
    difference between one day and the next. What is usual is learnt from the days of the reference
    (`Reference.fit(timestamps=...)`), or from the first 14 days of traffic; until then a verdict
    rests on the margin alone and is marked "uncalibrated".

    Args:
        budget: How many false alarms may be raised.
        margin: The share of traffic that may move without a verdict, from 0 up to 1. None: 0.05,
            and 0.10 while a verdict is uncalibrated. With 0 every change counts that is unusual.
        windows: The spans that are compared with the reference, each a multiple of an hour. None:
            a day and a week, or the monitor's own window in the place of those that are shorter.
        assume_iid: The rows of the features are independent of each other: no sessions, no
            seasons. What is unusual is then judged against the reference alone, without days.
        independent_labels: The same of outcomes; a growing share of errors is then an alarm.
        min_rows: With fewer rows in the window the verdict is "not enough data".
        min_visible: The verdict is also "not enough data" while a change of this share of traffic
            could not be seen.
        segments: The parts of the traffic to count apart from now on, such as
            `("contract", Segment("tenure", bins=(12, 24, 48)), Segment())`; a text is short for
            `Segment(text)`.
    """

    budget: AlarmBudget = field(default_factory=AlarmBudget)
    margin: float | None = None
    windows: tuple[timedelta, ...] | None = None
    assume_iid: bool = False
    independent_labels: bool = False
    min_rows: int = 50
    min_visible: float = 0.20
    segments: Sequence[str | Segment] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "segments", as_segments(self.segments))
        if not isinstance(self.budget, AlarmBudget):
            raise ConfigurationError(
                f"DriftPolicy(budget={self.budget!r}): give AlarmBudget(alarms=0.25, per='week')"
            )
        for name in ("margin", "min_visible"):
            share = getattr(self, name)
            if (share is not None or name != "margin") and not _is_share(share):
                raise ConfigurationError(
                    f"DriftPolicy({name}={share!r}): must be a share from 0 up to 1"
                )
        if not self.min_visible:
            raise ConfigurationError("DriftPolicy(min_visible=0): no number of rows shows that")
        _require_count("DriftPolicy", "min_rows", self.min_rows)
        for name in ("assume_iid", "independent_labels"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigurationError(
                    f"DriftPolicy({name}={getattr(self, name)!r}): must be True or False"
                )
        if self.windows is not None:
            _require_windows(self.windows)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertPolicy:
    """How alerts are told.

    Args:
        cooldown: After an alert has resolved, the same one is not told again for this long.
        give_up_after: A message that could not be delivered is tried again, less and less often,
            for this long, and as long as its alert fires; then it is kept as "failed".
        stale_after: An alert whose metric has been gone for this long (with a retired model
            version, say) resolves and says so. Not enough data is not gone: it goes on firing.
    """

    cooldown: timedelta = timedelta(seconds=300)
    give_up_after: timedelta = timedelta(days=1)
    stale_after: timedelta = timedelta(days=7)

    def __post_init__(self) -> None:
        if not isinstance(self.cooldown, timedelta) or self.cooldown < timedelta(0):
            raise ConfigurationError(
                f"AlertPolicy(cooldown={self.cooldown!r}): must be a timedelta from 0 up"
            )
        _require_positive("AlertPolicy(stale_after=...)", self.stale_after)
        _require_positive("AlertPolicy(give_up_after=...)", self.give_up_after)


def _is_number(value: object) -> TypeGuard[float]:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return -math.inf < value < math.inf


def _is_share(value: object) -> bool:
    return _is_number(value) and 0 <= value < 1


def _require_windows(windows: tuple[timedelta, ...]) -> None:
    fits = isinstance(windows, tuple) and bool(windows)
    hour = timedelta(hours=1)
    if not fits or not all(
        isinstance(span, timedelta) and span >= hour and not span % hour for span in windows
    ):
        raise ConfigurationError(
            f"DriftPolicy(windows={windows!r}): must be a tuple of timedeltas of whole hours, such "
            "as (timedelta(hours=24), timedelta(days=7))"
        )


def _require_positive(what: str, value: timedelta) -> None:
    if not isinstance(value, timedelta) or value <= timedelta(0):
        raise ConfigurationError(f"{what}: must be a timedelta above 0, not {value!r}")


def _require_count(options: str, name: str, value: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(f"{options}({name}={value!r}): must be a whole number from 1 up")
