"""The options of a monitor, grouped: what belongs together is one frozen object."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal

from mlwatch.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long each kind of row is kept; the cycle removes what is older.

    Args:
        rows: Predictions and outcomes with their features.
        pending: What a late outcome needs (also the span in which a request id may not repeat).
        panes: Tallies, and the account of what was ingested.
        results: Metrics, drift results, alerts and deliveries.
    """

    rows: timedelta = timedelta(days=7)
    pending: timedelta = timedelta(days=180)
    panes: timedelta = timedelta(weeks=8)
    results: timedelta = timedelta(days=365)

    def __post_init__(self) -> None:
        for name in ("rows", "pending", "panes", "results"):
            _require_positive(f"Retention({name}=...)", getattr(self, name))


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
    """

    spool: str | Path | None = None
    max_bytes: int = 32 * 2**20
    max_record_bytes: int = 64 * 2**10
    max_spool_bytes: int = 2**30
    flush_interval: timedelta = timedelta(milliseconds=500)
    durability: Literal["process", "disk"] = "process"
    strict: bool = False
    retention: Retention = field(default_factory=Retention)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftPolicy:
    """When evidence of drift becomes a verdict.

    A feature has drifted when the lower bound of its effect (the share of traffic that moved) is
    above `margin`, so that a harmless shift stays silent at any amount of traffic.

    Args:
        margin: The share of traffic that may move without a verdict, between 0 and 1.
        min_rows: With fewer rows in the window the verdict is "not enough data".
        min_visible: The verdict is also "not enough data" while a change of this share of traffic
            could not be seen.
    """

    margin: float = 0.10
    min_rows: int = 50
    min_visible: float = 0.20

    def __post_init__(self) -> None:
        for name in ("margin", "min_visible"):
            share = getattr(self, name)
            if not isinstance(share, int | float) or not 0 <= share < 1:
                raise ConfigurationError(
                    f"DriftPolicy({name}={share!r}): must be a share from 0 up to 1"
                )
        if not self.min_visible:
            raise ConfigurationError("DriftPolicy(min_visible=0): no number of rows shows that")
        _require_count("DriftPolicy", "min_rows", self.min_rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertPolicy:
    """How alerts are told.

    Args:
        cooldown: After an alert has resolved, the same one is not told again for this long.
        give_up_after: A message that could not be delivered is tried again, less and less often,
            for this long, and as long as its alert fires; then it is kept as "failed".
        stale_after: An alert whose metric has not been measured for this long (a retired model
            version, say) resolves and says so.
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


def _require_positive(what: str, value: timedelta) -> None:
    if not isinstance(value, timedelta) or value <= timedelta(0):
        raise ConfigurationError(f"{what}: must be a timedelta above 0, not {value!r}")


def _require_count(options: str, name: str, value: int) -> None:
    if not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"{options}({name}={value!r}): must be a whole number from 1 up")
