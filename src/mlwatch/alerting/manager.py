"""The state machine of alerts: told once a transition, kept in the store."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from mlwatch._guard import attempt
from mlwatch.alerting.rules import Finding
from mlwatch.errors import NotificationError
from mlwatch.protocols import MetricStore, Notifier, Notify, part_name
from mlwatch.records import (
    Alert,
    AlertPolicy,
    Batch,
    Delivery,
    Fault,
    State,
    Table,
    join_key,
)

_LEASE = timedelta(minutes=1)
_FIRST_WAIT, _LONGEST_WAIT = timedelta(seconds=30), timedelta(hours=1)
_LOOK_BACK = timedelta(days=7)


@dataclass(frozen=True)
class Transitions:
    """What findings change: the alerts, the state to write, and what it was based on."""

    alerts: tuple[Alert, ...]
    state: State
    expects: Mapping[tuple[Table, str], int]
    deliveries: tuple[Delivery, ...] = ()

    @property
    def rows(self) -> dict[Table, Sequence[Any]]:
        """Return the rows of a batch that makes the transitions; none when nothing changes."""
        return {
            Table.alerts: self.alerts,
            Table.deliveries: self.deliveries,
            Table.state: (self.state,),
        }


@dataclass(frozen=True)
class AlertManager:
    """Turn findings into alerts that are told once, and deliver them.

    Args:
        model: The model whose alerts these are.
        notifiers: Objects with `notify`, or functions `(alert) -> None`.
        policy: Cooldown and number of tries.
    """

    model: str
    notifiers: Sequence[Notifier | Notify] = ()
    policy: AlertPolicy = field(default_factory=AlertPolicy)

    @property
    def key(self) -> str:
        """Return the name of the state in the store."""
        return join_key("alerts", self.model)

    def transitions(
        self, store: MetricStore, findings: Iterable[Finding], now: datetime
    ) -> Transitions:
        """Return what `findings` change of the alerts in the store, without writing it.

        An alert fires when its finding first does, and resolves when its finding no longer does.
        After it has resolved it does not fire again within the cooldown.
        """
        held: State | None = next(store.read(Table.state, keys=[self.key]), None)
        revision = 0 if held is None else held.revision
        known: dict[str, tuple[Alert, datetime]] = {}
        if held is not None:
            known = {name: _read(body) for name, body in held.body.items()}
        changed: list[Alert] = []
        for finding in findings:
            alert = known[finding.fingerprint][0] if finding.fingerprint in known else None
            after = self._next(alert, finding, now)
            if after is not None:
                changed.append(after)
            current = after or alert
            if current is not None:
                known[finding.fingerprint] = (current, now)
        for name, (alert, judged) in known.items():
            if alert.state == "firing" and now - judged >= self.policy.stale_after:
                why = f"not measured since {judged:%Y-%m-%d %H:%M} UTC: how it stands is not known"
                title = f"no longer measured: {alert.title}"
                gone = replace(alert, state="resolved", time=now, title=title, why=why)
                known[name] = (gone, judged)
                changed.append(gone)
        body = {name: _plain(*it) for name, it in known.items() if not self._is_over(*it, now)}
        deliveries = [
            Delivery(alert=alert, notifier=name, status="pending", time=now)
            for alert in changed
            for name in self.channels
        ]
        return Transitions(
            tuple(changed),
            State(name=self.key, time=now, revision=revision + 1, body=body, model=self.model),
            {(Table.state, self.key): revision},
            tuple(deliveries),
        )

    def _next(self, old: Alert | None, finding: Finding, now: datetime) -> Alert | None:
        """Return the alert as it becomes, or None when nothing changes."""
        firing = old is not None and old.state == "firing"
        if finding.firing in {None, firing}:
            return None
        if old is None:
            return _alert(finding, now)
        if not finding.firing:
            resolved = _alert(finding, now)
            return replace(resolved, id=old.id, since=old.since, state="resolved")
        return None if now - old.time < self.policy.cooldown else _alert(finding, now)

    def _is_over(self, alert: Alert, judged: datetime, now: datetime) -> bool:
        return alert.state == "resolved" and now - max(alert.time, judged) >= self.policy.cooldown

    @property
    def channels(self) -> dict[str, Notify]:
        """Return what delivers, by name."""
        named = [(part_name(notifier), notifier) for notifier in self.notifiers]
        return {
            name: notifier.notify if isinstance(notifier, Notifier) else notifier
            for name, notifier in named
        }

    def firing(self, store: MetricStore) -> tuple[Alert, ...]:
        """Return the alerts that fire now, oldest first."""
        held: State | None = next(store.read(Table.state, keys=[self.key]), None)
        alerts = [] if held is None else [_read(body)[0] for body in held.body.values()]
        firing = [alert for alert in alerts if alert.state == "firing"]
        return tuple(sorted(firing, key=lambda alert: (alert.since, alert.id)))

    def deliver(
        self, store: MetricStore, now: datetime, *, only: Collection[str] | None = None
    ) -> dict[str, Fault | None]:
        """Deliver what is due, and note in the store how it went.

        Args:
            store: Where deliveries are kept.
            now: The time.
            only: The ids of the alerts to deliver; all when not given.

        Returns:
            For each notifier that had something to deliver within a week, as "notifier <name>":
            the fault that keeps a message from being delivered, or None.
        """
        channels, since = self.channels, now - _LOOK_BACK
        found: Iterable[Delivery] = store.read(Table.deliveries, since=since, model=self.model)
        rows = {row.key: row for row in found if row.notifier in channels}
        held: set[tuple[str, str]] = set()
        for delivery in sorted(_pending(rows.values()), key=_place):
            # What is told of one thing keeps its order: the last word has to be the true one.
            thread = (delivery.notifier, delivery.alert.fingerprint)
            if thread in held:
                continue
            held.add(thread)
            if not (_is_due(delivery, now, only) and self._take(store, delivery, now)):
                continue
            part = f"notifier {delivery.notifier}"
            _, fault = attempt(part, channels[delivery.notifier], delivery.alert)
            done = rows[delivery.key] = self._after(store, delivery, fault, now)
            batch_id = join_key("delivery", done.key, done.attempts)
            store.write(Batch(batch_id, {Table.deliveries: [done]}))
            if done.status != "pending":
                held.discard(thread)
        return _health(rows.values())

    def _take(self, store: MetricStore, delivery: Delivery, now: datetime) -> bool:
        """Return whether this delivery is ours to make, and not another worker's."""
        if not store.claim(join_key("delivery", delivery.key, delivery.attempts), now, _LEASE):
            return False
        # While others were delivered, another worker may have taken, sent and noted this one.
        current: Delivery | None = next(store.read(Table.deliveries, keys=[delivery.key]), None)
        return current == delivery

    def _after(
        self, store: MetricStore, delivery: Delivery, fault: Fault | None, now: datetime
    ) -> Delivery:
        done = replace(delivery, attempts=delivery.attempts + 1, time=now)
        if fault is None:
            return replace(done, status="sent", error="")
        refused = fault.cause if isinstance(fault.cause, NotificationError) else None
        old = now - delivery.alert.time >= self.policy.give_up_after
        given_up = old and not self._still_fires(store, delivery.alert)
        if given_up or (refused is not None and refused.permanent):
            return replace(done, status="failed", error=fault.error)
        wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(delivery.attempts, 16))
        if refused is not None and refused.retry_after is not None:
            wait = max(wait, min(_LOOK_BACK / 2, timedelta(seconds=refused.retry_after)))
        return replace(done, error=fault.error, retry_at=now + wait)

    def _still_fires(self, store: MetricStore, alert: Alert) -> bool:
        current: Alert | None = next(store.read(Table.alerts, keys=[alert.key]), None)
        return alert.state == "firing" and current is not None and current.state == "firing"


def _pending(deliveries: Iterable[Delivery]) -> list[Delivery]:
    return [delivery for delivery in deliveries if delivery.status == "pending"]


def _place(delivery: Delivery) -> tuple[datetime, bool]:
    return delivery.alert.since, delivery.alert.state == "resolved"


def _is_due(delivery: Delivery, now: datetime, only: Collection[str] | None) -> bool:
    return delivery.retry_at <= now and (only is None or delivery.alert.id in only)


def _health(deliveries: Iterable[Delivery]) -> dict[str, Fault | None]:
    """Return how each notifier fares: at fault while a message waits, or its last one failed."""
    health: dict[str, Fault | None] = {}
    for delivery in sorted(deliveries, key=lambda row: (row.status == "pending", row.time)):
        part = f"notifier {delivery.notifier}"
        waits = delivery.status == "pending" and delivery.error
        if waits or delivery.status == "failed":
            health[part] = Fault(part, delivery.error)
        elif delivery.status == "sent":
            health[part] = None
    return health


def _read(body: Mapping[str, Any]) -> tuple[Alert, datetime]:
    return msgspec.convert(body["alert"], Alert), datetime.fromisoformat(body["judged"])


def _plain(alert: Alert, judged: datetime) -> dict[str, Any]:
    return {"alert": msgspec.to_builtins(alert), "judged": judged.isoformat()}


def _alert(finding: Finding, now: datetime) -> Alert:
    metric = finding.metric
    return Alert(
        id=join_key(finding.fingerprint, now.isoformat()),
        fingerprint=finding.fingerprint,
        rule=finding.rule,
        severity=finding.severity,
        state="firing",
        title=finding.title,
        why=finding.why,
        since=now,
        time=now,
        metric=metric.name,
        value=metric.value,
        low=metric.low,
        high=metric.high,
        threshold=finding.threshold,
        labels=dict(metric.labels),
        model=metric.model,
        model_version=metric.model_version,
    )
