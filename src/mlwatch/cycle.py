"""One cycle: windows to metrics, metrics to alerts, everything into the store, alerts delivered."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from mlwatch._guard import attempt
from mlwatch.alerting import AlertManager, Finding, MonitoringFault, Rule
from mlwatch.errors import ConflictError
from mlwatch.protocols import Collect, Collector, MetricStore, part_name
from mlwatch.records import (
    Alert,
    Batch,
    CycleReport,
    DriftResult,
    Fault,
    Metric,
    Retention,
    Severity,
    Table,
)
from mlwatch.rollup import roll_up
from mlwatch.spans import floor, kept_in
from mlwatch.window import Window

Item = TypeVar("Item", Metric, DriftResult)

_TRIES = 100


@dataclass(frozen=True)
class Cycle:
    """What a cycle runs through, assembled by the monitor.

    Args:
        model: The model's name.
        model_version: The monitor's own version, whose figures the report shows first.
        store: Where everything is kept.
        collectors: By name; a window in, metrics out.
        rules: By name; metrics in, findings out.
        manager: Tells transitions.
        retention: How long rows are kept.
    """

    model: str
    model_version: str
    store: MetricStore
    collectors: Mapping[str, Collector | Collect]
    rules: Mapping[str, Rule]
    manager: AlertManager
    retention: Retention

    def run(
        self,
        windows: Sequence[Window],
        now: datetime,
        health: Mapping[str, Fault | None] | None = None,
    ) -> CycleReport:
        """Judge the windows, one a model version, and return what was found.

        A collector, detector, rule or notifier that raises becomes a fault; the others still run.

        Args:
            windows: The windows, the monitor's own version first.
            now: The time.
            health: The parts that ran before the cycle: the fault of each, or None.

        Raises:
            StoreError: The store cannot be read or written; the next cycle judges anew.
        """
        found = [(window, self._collect(window)) for window in windows]
        metrics = [
            _stamp(item, w) for w, items in found for item in items if isinstance(item, Metric)
        ]
        drift = [_stamp(it, w) for w, items in found for it in items if isinstance(it, DriftResult)]
        faults = [fault for fault in (health or {}).values() if fault is not None]
        faults += [item for _, items in found for item in items if isinstance(item, Fault)]
        parts = [*(health or {}), *self._parts(windows)]
        metrics += _fault_metrics(parts, faults, windows[0])
        alerts, rule_faults = self._settle(metrics, drift, self.rules, now)
        used = self.manager.deliver(self.store, now)
        late = rule_faults + [fault for fault in used.values() if fault is not None]
        told = _fault_metrics([*(f"rule {name}" for name in self.rules), *used], late, windows[0])
        about_faults = {k: r for k, r in self.rules.items() if isinstance(r, MonitoringFault)}
        more, _ = self._settle(told, [], about_faults, now)
        if more:
            self.manager.deliver(self.store, now, only={alert.id for alert in more})
        self.store.prune(self._cut_offs(now))
        roll_up(self.store, self.model, now)
        return CycleReport(
            model=self.model,
            model_version=self.model_version,
            since=windows[0].since,
            time=windows[0].until,
            metrics=(*metrics, *told),
            drift=tuple(drift),
            alerts=(*alerts, *more),
            firing=self.manager.firing(self.store),
            faults=(*faults, *late),
        )

    def _collect(self, window: Window) -> list[Metric | DriftResult | Fault]:
        found: list[Metric | DriftResult | Fault] = []
        for name, collector in self.collectors.items():
            collect = collector.collect if isinstance(collector, Collector) else collector
            _, fault = attempt(f"collector {name}", _take, collect, window, found)
            if fault is not None:
                found.append(fault)
        return found

    def _parts(self, windows: Sequence[Window]) -> Iterator[str]:
        """Name what ran, and so is at fault or is not; detectors run where there is a reference."""
        for name, collector in self.collectors.items():
            yield f"collector {name}"
            detectors = getattr(collector, "detectors", None)
            if isinstance(detectors, Sequence) and any(window.reference for window in windows):
                yield from (f"detector {part_name(detector)}" for detector in detectors)

    def _settle(
        self,
        metrics: Sequence[Metric],
        drift: Sequence[DriftResult],
        rules: Mapping[str, Rule],
        now: datetime,
    ) -> tuple[tuple[Alert, ...], list[Fault]]:
        """Write metrics and drift results together with the transitions they cause."""
        findings, faults = _findings(rules, metrics)
        for _ in range(_TRIES):
            change = self.manager.transitions(self.store, findings, now)
            rows = {Table.metrics: metrics, Table.drift: drift, **change.rows}
            try:
                self.store.write(Batch(f"cycle/{uuid.uuid4().hex}", rows, change.expects))
            except ConflictError:
                continue
            return change.alerts, faults
        raise ConflictError(f"gave up on a cycle after {_TRIES} tries: others always wrote first")

    def _cut_offs(self, now: datetime) -> dict[Table, datetime]:
        keep = self.retention
        ages = {
            Table.predictions: keep.rows,
            Table.outcomes: keep.rows,
            Table.pending: keep.pending,
            Table.panes: keep.panes,
            Table.progress: keep.panes,
            Table.metrics: keep.results,
            Table.drift: keep.results,
            Table.alerts: keep.results,
            Table.deliveries: keep.results,
        }
        cuts = {table: now - age for table, age in ages.items()}
        # The pane of a day bears the time of its start, and holds what is younger.
        oldest = cuts[Table.panes]
        return cuts | {Table.panes: floor(oldest, kept_in(oldest, now))}


def _take(collect: Collect, window: Window, into: list[Metric | DriftResult | Fault]) -> None:
    """Add what a collector gives to `into`, one by one: what came before it raised is kept."""
    for item in collect(window):
        if not isinstance(item, Metric | DriftResult | Fault):
            raise TypeError(f"collected {type(item).__name__}; give Metric(name, value, ...)")
        into.append(_plain(item) if isinstance(item, Metric) else item)


def _plain(metric: Metric) -> Metric:
    """Return a metric in plain numbers and texts, which every store keeps; NaN is no figure."""
    value, low, high = (
        None if end is None or math.isnan(end) else float(end)
        for end in (metric.value, metric.low, metric.high)
    )
    lost = value is None and metric.value is not None
    return replace(
        metric,
        value=value,
        low=low,
        high=high,
        n=int(metric.n),
        labels={str(name): str(text) for name, text in metric.labels.items()},
        why=metric.why or ("undefined: the collector returned NaN" if lost else ""),
    )


def _findings(
    rules: Mapping[str, Rule], metrics: Sequence[Metric]
) -> tuple[list[Finding], list[Fault]]:
    findings: list[Finding] = []
    faults = []
    for name, rule in rules.items():
        found, fault = attempt(f"rule {name}", _found, rule, metrics)
        findings += found or []
        if fault is not None:
            faults.append(fault)
    return findings, faults


def _found(rule: Rule, metrics: Sequence[Metric]) -> list[Finding]:
    """Return what a rule found, in plain values that the alert manager can keep."""
    return [
        replace(
            finding,
            severity=Severity(finding.severity),
            firing=None if finding.firing is None else bool(finding.firing),
            threshold=None if finding.threshold is None else float(finding.threshold),
            metric=_plain(finding.metric),
        )
        for finding in rule(metrics)
    ]


def _fault_metrics(parts: Iterable[str], faults: Sequence[Fault], window: Window) -> list[Metric]:
    """Return `monitoring_fault` of every part that ran: 1 where it raised, else 0."""
    raised = {fault.part: fault.error for fault in faults}
    metrics = []
    for part in dict.fromkeys([*parts, *raised]):
        value = float(part in raised)
        metric = Metric(
            "monitoring_fault", value, n=1, labels={"part": part}, why=raised.get(part, "")
        )
        metrics.append(_stamp(metric, window))
    return metrics


def _stamp(item: Item, window: Window) -> Item:
    return replace(
        item,
        model=window.model,
        model_version=window.model_version,
        since=window.since,
        time=window.until,
    )
