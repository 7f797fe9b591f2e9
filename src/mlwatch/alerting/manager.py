"""The state machine of alerts: told once a transition, kept in the store."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from mlwatch._guard import attempt
from mlwatch.alerting.rules import Finding
from mlwatch.errors import NotificationError
from mlwatch.protocols import MetricStore, Notifier, part_name
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

Notify = Callable[[Alert], object]
"""A plain function that delivers an alert; what it returns is not looked at."""

_LEASE = timedelta(minutes=1)
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
                why = f"not measured since {judged:%Y-%m-%d %H:%M} UTC"
                gone = replace(alert, state="resolved", time=now, why=why)
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

    def deliver(
        self, store: MetricStore, now: datetime, *, only: Collection[str] | None = None
    ) -> dict[str, Fault | None]:
        """Deliver what is pending, and note in the store how it went.

        Args:
            store: Where deliveries are kept.
            now: The time.
            only: The ids of the alerts to deliver; all when not given.

        Returns:
            For each notifier that was used, as "notifier <name>", its last fault, or None.
        """
        channels = self.channels
        used: dict[str, Fault | None] = {}
        for delivery in self._taken(store, now, channels, only):
            part = f"notifier {delivery.notifier}"
            _, fault = attempt(part, channels[delivery.notifier], delivery.alert)
            used[part] = fault
            done = self._after(delivery, fault, now)
            batch_id = join_key("delivery", done.key, done.attempts)
            store.write(Batch(batch_id, {Table.deliveries: [done]}))
        return used

    def _taken(
        self,
        store: MetricStore,
        now: datetime,
        channels: Collection[str],
        only: Collection[str] | None,
    ) -> Iterator[Delivery]:
        """Take the pending deliveries one by one, and leave those that another worker takes."""
        since = now - _LOOK_BACK
        waiting: Iterable[Delivery] = store.read(Table.deliveries, since=since, model=self.model)
        for delivery in [row for row in waiting if row.status == "pending"]:
            if delivery.notifier not in channels:
                continue
            if only is not None and delivery.alert.id not in only:
                continue
            if not store.claim(join_key("delivery", delivery.key, delivery.attempts), now, _LEASE):
                continue
            # While others were delivered, another worker may have taken, sent and noted this one.
            if next(store.read(Table.deliveries, keys=[delivery.key]), None) == delivery:
                yield delivery

    def _after(self, delivery: Delivery, fault: Fault | None, now: datetime) -> Delivery:
        attempts = delivery.attempts + 1
        if fault is None:
            return replace(delivery, status="sent", attempts=attempts, error="", time=now)
        permanent = isinstance(fault.cause, NotificationError) and fault.cause.permanent
        given_up = permanent or attempts >= self.policy.attempts
        status = "failed" if given_up else "pending"
        return replace(delivery, status=status, attempts=attempts, error=fault.error, time=now)


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
