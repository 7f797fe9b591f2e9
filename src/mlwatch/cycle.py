"""One cycle: windows to metrics, metrics to alerts, everything into the store, alerts delivered."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from types import UnionType
from typing import Any, TypeVar

from mlwatch._guard import attempt
from mlwatch.alerting import AlertManager, Finding, MonitoringFault, Rule, Threshold
from mlwatch.errors import ConflictError
from mlwatch.ingest.arrivals import is_arrival
from mlwatch.protocols import (
    Collect,
    Collector,
    Item,
    MetricStore,
    Scope,
    part_name,
    scope_of,
)
from mlwatch.records import (
    EPOCH,
    IMMATURE,
    Alert,
    Batch,
    CycleReport,
    DriftResult,
    Fault,
    Memory,
    Metric,
    Pane,
    Retention,
    Revised,
    Severity,
    State,
    Table,
)
from mlwatch.remembering import check_memory, kept, own_pane, recall
from mlwatch.retention import PART as RETENTION
from mlwatch.retention import prune
from mlwatch.rollup import roll_up
from mlwatch.selfwatch import watch
from mlwatch.status import Status
from mlwatch.versions import compare
from mlwatch.window import Window, share_sums

T = TypeVar("T")
Stamped = TypeVar("Stamped", Metric, DriftResult)

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
        status: Status | None = None,
    ) -> CycleReport:
        """Judge the windows, one a model version, and return what was found.

        A collector, detector, rule or notifier that raises becomes a fault, and so does a store
        that cannot remove what is too old; the others still run.

        Args:
            windows: The windows, the monitor's own version first.
            now: The time.
            health: The parts that ran before the cycle: the fault of each, or None.
            status: How the monitor itself does, which becomes metrics too.

        Raises:
            StoreError: The store cannot be read or written; the next cycle judges anew.
        """
        apart = _Found(windows[0], {})
        self._collect(apart, self._of_scope("machine"))
        judged = _insist(lambda: self._judge(windows, apart, now, health or {}, status or Status()))
        used = self.manager.deliver(self.store, now)
        late = [*judged.rule_faults, *(fault for fault in used.values() if fault is not None)]
        parts = [*(f"rule {name}" for name in self.rules), *used, RETENTION]
        pruned, failed = attempt(RETENTION, prune, self.store, self.retention, now)
        misfit = failed or (pruned.fault if pruned else None)
        late += [misfit] if misfit else []
        told = _fault_metrics(parts, late, windows[0])
        told += [_of_model(pruned.metric, windows[0])] if pruned else []
        about_faults = {k: r for k, r in self.rules.items() if isinstance(r, MonitoringFault)}
        more, _ = _insist(lambda: self._settle({Table.metrics: told}, {}, about_faults, told, now))
        if more:
            self.manager.deliver(self.store, now, only={alert.id for alert in more})
        roll_up(self.store, self.model, now)
        return CycleReport(
            model=self.model,
            model_version=self.model_version,
            since=windows[0].since,
            time=windows[0].until,
            metrics=(*judged.metrics, *told),
            drift=tuple(judged.drift),
            alerts=(*judged.alerts, *more),
            firing=self.manager.firing(self.store),
            faults=(*judged.faults, *late),
            revised=tuple(judged.revised),
            fixed=tuple(
                dict.fromkeys(part_name(r) for r in self.rules.values() if isinstance(r, Threshold))
            ),
        )

    def _judge(
        self,
        windows: Sequence[Window],
        apart: _Found,
        now: datetime,
        health: Mapping[str, Fault | None],
        status: Status,
    ) -> _Judged:
        """Collect and write what was found, together with the transitions it causes.

        Args:
            windows: The windows, the monitor's own version first.
            apart: What was found that is no traffic, however often this is tried.
            now: The time.
            health: The parts that ran before the cycle.
            status: How the monitor itself does.

        Raises:
            ConflictError: Another worker has judged in the meantime, so that what is remembered
                is no longer what this rests on.
        """
        found = [
            _Found(window, recall(self.store, window, names))
            for window, names in self._asked(windows)
        ]
        for each in found:
            self._collect(each, each.states)
        metrics = [_stamp(it, f.window) for f in found for it in f.of(Metric)]
        metrics += [_stamp(it, windows[0]) for it in compare(metrics, windows[0].model_version)]
        metrics += [_of_model(it, windows[0]) for it in apart.of(Metric)]
        drift = [_stamp(it, f.window) for f in found for it in f.of(DriftResult)]
        faults = [fault for fault in health.values() if fault is not None]
        faults += [fault for each in (*found, apart) for fault in each.of(Fault)]
        metrics += _fault_metrics([*health, *self._parts(windows)], faults, windows[0])
        figures, own = watch(self.store, self.model, status, now)
        metrics += [_of_model(it, windows[0]) for it in figures]
        revised = [
            _stamp(it, f.window) for f in found for past in f.of(Revised) for it in past.metrics
        ]
        rows: dict[Table, Sequence[Any]] = {
            Table.metrics: [*revised, *metrics],
            Table.drift: drift,
        }
        rows[Table.panes] = [pane for each in found for pane in each.panes()]
        rows[Table.state] = [own, *(state for each in found for state in each.changed(now))]
        expects = {(Table.state, state.key): state.revision - 1 for state in rows[Table.state]}
        alerts, rule_faults = self._settle(rows, expects, self.rules, metrics, now)
        return _Judged(metrics, drift, revised, alerts, faults, rule_faults)

    def _asked(self, windows: Sequence[Window]) -> Iterator[tuple[Window, list[str]]]:
        """Give each window with who is asked about it; some are asked of all versions together."""
        each = self._of_scope("version")
        yield from ((window, each) for window in windows)
        if together := self._of_scope("model"):
            yield windows[0].of_model, together

    def _of_scope(self, scope: Scope) -> list[str]:
        return [name for name, it in self.collectors.items() if scope_of(it) == scope]

    def _collect(self, found: _Found, names: Iterable[str]) -> None:
        for name in names:
            collector = self.collectors[name]
            collect = collector.collect if isinstance(collector, Collector) else collector
            kinds = Metric | Fault if scope_of(collector) == "machine" else Item
            view = replace(
                found.window,
                memory=found.states[name].body if name in found.states else {},
                kept=partial(kept, self.store, found.window, name),
            )
            share_sums(found.window, view)
            into = found.items.setdefault(name, [])
            _, fault = attempt(f"collector {name}", _take, collect, view, into, kinds)
            share_sums(view, found.window)
            if fault is not None:  # what it measured stands, what it meant to remember does not
                into[:] = [*(it for it in into if not isinstance(it, Memory)), fault]
            if self._is_retired(found.window):
                into[:] = [it for it in into if not isinstance(it, Metric | DriftResult)]

    def _is_retired(self, window: Window) -> bool:
        """Return whether of another version nothing was predicted, and only labels still come."""
        other = window.model_version not in {"", self.model_version}
        return other and all(map(is_arrival, window.tallies))

    def _parts(self, windows: Sequence[Window]) -> Iterator[str]:
        """Name what ran, and so is at fault or is not; detectors run where there is a reference."""
        for name, collector in self.collectors.items():
            yield f"collector {name}"
            detectors = getattr(collector, "detectors", None)
            if isinstance(detectors, Sequence) and any(window.reference for window in windows):
                yield from (f"detector {part_name(detector)}" for detector in detectors)

    def _settle(
        self,
        rows: Mapping[Table, Sequence[Any]],
        expects: Mapping[tuple[Table, str], int],
        rules: Mapping[str, Rule],
        metrics: Sequence[Metric],
        now: datetime,
    ) -> tuple[tuple[Alert, ...], list[Fault]]:
        """Write what was found together with the transitions that these metrics cause.

        Raises:
            ConflictError: Another worker wrote first; nothing was written.
        """
        findings, faults = _findings(rules, metrics)
        change = self.manager.transitions(self.store, findings, now)
        states = [*rows.get(Table.state, ()), *change.rows[Table.state]]
        together = {**rows, **change.rows, Table.state: states}
        batch_id = f"cycle/{uuid.uuid4().hex}"
        self.store.write(Batch(batch_id, together, {**expects, **change.expects}))
        return change.alerts, faults


@dataclass(frozen=True)
class _Found:
    """What the collectors give of one window, and what they remembered before."""

    window: Window
    states: Mapping[str, State]
    items: dict[str, list[Item]] = field(default_factory=dict)

    def of(self, kind: type[T]) -> list[T]:
        return [it for items in self.items.values() for it in items if isinstance(it, kind)]

    def changed(self, now: datetime) -> Iterator[State]:
        """Return what is to be remembered, where that is something new."""
        for name, memory in self._memories():
            state = self.states[name]
            if memory.body != state.body or memory.panes:  # panes add: no two workers' may
                yield replace(state, body=memory.body, revision=state.revision + 1, time=now)

    def panes(self) -> Iterator[Pane]:
        for name, memory in self._memories():
            for pane in memory.panes:
                yield own_pane(pane, self.window, name)

    def _memories(self) -> Iterator[tuple[str, Memory]]:
        for name, items in self.items.items():
            yield from ((name, item) for item in items if isinstance(item, Memory))


@dataclass(frozen=True)
class _Judged:
    """What one pass over the windows has found and written."""

    metrics: Sequence[Metric]
    drift: Sequence[DriftResult]
    revised: Sequence[Metric]
    alerts: Sequence[Alert]
    faults: Sequence[Fault]
    rule_faults: Sequence[Fault]


def _insist(write: Callable[[], T]) -> T:
    """Call what reads and writes until nobody else writes in between."""
    for _ in range(_TRIES):
        try:
            return write()
        except ConflictError:
            continue
    raise ConflictError(f"gave up on a cycle after {_TRIES} tries: others always wrote first")


def _take(collect: Collect, window: Window, into: list[Item], kinds: UnionType) -> None:
    """Add what a collector gives to `into`, one by one: what came before it raised is kept."""
    for item in given if isinstance(given := collect(window), Iterable) else [given]:
        if not isinstance(item, kinds):
            raise TypeError(f"collected {type(item).__name__}; give Metric(name, value, ...)")
        if isinstance(item, Memory):
            check_memory(item)  # raises here, where it ends no cycle
            if any(isinstance(known, Memory) for known in into):
                raise TypeError("collected two memories; give one Memory, as the last item")
        if isinstance(item, Revised):
            _check_revised(item)
            into.append(Revised(tuple(map(_plain, item.metrics))))
        else:
            into.append(_plain(item) if isinstance(item, Metric) else item)


def _check_revised(revised: Revised) -> None:
    """Raise where it is not said what span a figure is of: it would replace the window's own."""
    for metric in revised.metrics:
        if not isinstance(metric, Metric) or EPOCH in {metric.since, metric.time}:
            raise TypeError(f"Revised(...): {metric!r}; give Metric(..., since=..., time=...)")


def _plain(metric: Metric) -> Metric:
    """Return a metric in plain numbers and texts, which every store keeps; NaN is no figure."""
    if not isinstance(metric.name, str) or not metric.name:
        raise TypeError(f"collected a metric named {metric.name!r}; give a text as its name")
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
            firing=None if _is_open(finding) else bool(finding.firing),
            threshold=None if finding.threshold is None else float(finding.threshold),
            metric=_plain(finding.metric),
        )
        for finding in rule(metrics)
    ]


def _is_open(finding: Finding) -> bool:
    """Return whether nothing is decided: for want of data, or of labels that are to come."""
    return finding.firing is None or finding.metric.verdict == IMMATURE


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


def _of_model(metric: Metric, window: Window) -> Metric:
    """Say that a metric is about a model, and no version of it."""
    return replace(_stamp(metric, window), model_version="")


def _stamp(item: Stamped, window: Window) -> Stamped:
    """Say what an item is about; it may be about a span of its own."""
    told = item.since != EPOCH
    return replace(
        item,
        model=window.model,
        model_version=window.model_version,
        since=item.since if told else window.since,
        time=item.time if told else window.until,
    )
