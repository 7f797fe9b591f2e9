"""The public API as a type checker sees it; run by `make types`, never by Python.

Each function is a use that must type-check; `assert_type` holds what comes back. Parts are written
without inheritance, so that accepting them proves the protocols.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, assert_type

import mlwatch
from mlwatch import (
    AlarmBudget,
    Alert,
    AlertPolicy,
    Batch,
    CaptureOptions,
    Collector,
    CycleReport,
    Distribution,
    DriftDetector,
    DriftPolicy,
    DriftResult,
    Fault,
    JointDetector,
    Memory,
    Metric,
    MetricStore,
    Monitor,
    NotificationError,
    Notifier,
    Observation,
    Profile,
    Receipt,
    Reference,
    Retention,
    Segment,
    Severity,
    Status,
    Table,
    Threshold,
    Window,
)
from mlwatch.alerting import Drifted, Finding, MonitoringFault, Rule
from mlwatch.collectors import (
    BusinessCollector,
    DriftCollector,
    DriftScoreCollector,
    ErrorRateCollector,
    PerformanceCollector,
    PredictionsCollector,
    RetentionValue,
    ServiceCollector,
    SystemCollector,
    TrafficCollector,
)
from mlwatch.detectors import (
    ChiSquareDetector,
    CorrelationDetector,
    CramerVonMisesDetector,
    DomainClassifierDetector,
    GTestDetector,
    HellingerDetector,
    JSDetector,
    KLDetector,
    KSDetector,
    MannWhitneyDetector,
    MeanShiftDetector,
    MissingDetector,
    NoveltyDetector,
    PerFeature,
    PerKind,
    PSIDetector,
    TotalVariationDetector,
    WassersteinDetector,
    any_of,
)
from mlwatch.notifiers import LogNotifier
from mlwatch.records import Pane
from mlwatch.sequential.backtest import Backtest
from mlwatch.stores import JSONLStore, MemoryStore, SQLiteStore
from mlwatch.testing import (
    ManualClock,
    RecordingNotifier,
    ScriptedCollector,
    ScriptedDetector,
    check_collector,
    check_detector,
    check_joint_detector,
    check_notifier,
    check_store,
)

NOW = datetime(2024, 1, 1, tzinfo=UTC)


# Parts of a user's own, without inheritance


class OwnCollector:
    """A collector with a tally of its own."""

    name = "own"

    def tally(self, rows: Sequence[Any]) -> Mapping[str, int]:
        return {"all": len(rows)}

    def collect(self, window: Window) -> Iterator[Metric]:
        yield Metric("own", float(window.tally("own").get("all", 0)), labels={"a": "b"})


class OwnMemory:
    """A collector that remembers, and keeps panes of its own."""

    name = "memory"

    def collect(self, window: Window) -> Iterator[Metric | Memory]:
        assert_type(window.memory, Mapping[str, Any])
        assert_type(window.kept(window.since, window.until), Iterable[Pane])
        seen = int(window.memory.get("seen", 0)) + 1
        yield Metric("seen", float(seen))
        pane = Pane(model="", time=NOW, span=timedelta(hours=1), tallies={"own": {"seen": 1}})
        yield Memory({"seen": seen}, [pane]) if seen > 1 else Memory({"seen": seen})


class OwnDetector:
    """A detector whose name is a property."""

    @property
    def name(self) -> str:
        return "own"

    def detect(self, reference: Distribution, current: Distribution) -> DriftResult | None:
        if not current.n:
            return None
        return DriftResult("x", self.name, 0.1, 0.1, 0.0, None, current.n, reference.n)


class OwnJointDetector:
    name = "mine"
    joint = True

    def detect(self, reference: Profile, current: Profile) -> DriftResult | None:
        return CorrelationDetector().detect(reference, current)


class OwnNotifier:
    """A notifier that gives a receipt."""

    def __init__(self, name: str) -> None:
        self.name = name

    def notify(self, alert: Alert) -> Receipt:
        if alert.severity is Severity.CRITICAL:
            raise NotificationError("busy", retry_after=30, permanent=False)
        return Receipt({"message": alert.id})


class OwnStore:
    """A store that keeps nothing."""

    def write(self, batch: Batch) -> None:
        assert_type(batch.id, str)

    def read(
        self,
        table: Table,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        keys: Collection[str] | None = None,
        model: str | None = None,
        model_version: str | None = None,
    ) -> Iterator[Any]:
        return iter(())

    def claim(self, key: str, now: datetime, ttl: timedelta) -> bool:
        return True

    def prune(self, before: Mapping[Table, datetime]) -> int:
        return 0

    def close(self) -> None:
        """Nothing is held."""


def collect(window: Window) -> list[Metric]:
    """Stand for a collector."""
    return [Metric("rows", float(window.tally("rows").get("recorded", 0)))]


def detect(reference: Distribution, current: Distribution) -> DriftResult:
    """Stand for a detector."""
    return DriftResult(
        current.name, "mine", None, None, None, None, current.n, reference.n, drifted=None
    )


def page(alert: Alert) -> None:
    """Stand for a notifier."""
    assert_type(alert.labels, Mapping[str, str])


def judge(metrics: Sequence[Metric]) -> Iterable[Finding]:
    """Stand for a rule."""
    for metric in metrics:
        yield Finding("mine", Severity.INFO, metric.value is None, "title", "why", metric)


COLLECTORS: list[Collector] = [
    OwnCollector(),
    OwnMemory(),
    ScriptedCollector(),
    TrafficCollector(),
    PredictionsCollector(),
    PerformanceCollector(),
    DriftCollector([OwnDetector(), detect, CorrelationDetector()]),
    DriftScoreCollector([KSDetector(), detect]),
    ErrorRateCollector(DriftPolicy(independent_labels=True)),
    SystemCollector(mounts=["/", Path("/data")]),
    ServiceCollector({"api": "http://localhost/health", "db": lambda: True}, timeout=2),
    BusinessCollector({"profit": "10 * true_positives"}),
    BusinessCollector(
        lambda counts: {"pace": counts["predictions"] / counts["hours"]}, name="pace"
    ),
    RetentionValue(customer_value=600, contact_cost=20, success_rate=0.3),
]
DETECTORS: list[DriftDetector] = [
    OwnDetector(),
    ScriptedDetector({"x": True}),
    KSDetector(),
    CramerVonMisesDetector(),
    MannWhitneyDetector(),
    ChiSquareDetector(pool=20),
    GTestDetector(),
    KLDetector(cells=5),
    JSDetector(),
    PSIDetector(),
    HellingerDetector(),
    TotalVariationDetector(),
    WassersteinDetector(),
    MeanShiftDetector(of="std"),
    MissingDetector(),
    NoveltyDetector(),
    PerKind(numeric=KSDetector(alternative="less"), categorical=detect),
    PerFeature({"x": detect}, default=any_of(PSIDetector(), detect)),
]
BUDGET = AlarmBudget(alarms=1, per="month", drift=0.6, performance=0.2, quality=0.2)
POLICIES = [
    DriftPolicy(),
    DriftPolicy(
        budget=BUDGET,
        margin=None,
        windows=(timedelta(hours=24), timedelta(days=7)),
        assume_iid=True,
        independent_labels=True,
        min_rows=100,
        min_visible=0.1,
    ),
]
JOINT: list[JointDetector] = [OwnJointDetector(), CorrelationDetector()]
NOTIFIERS: list[Notifier] = [OwnNotifier("a"), RecordingNotifier(), LogNotifier()]
STORES: list[MetricStore] = [
    OwnStore(),
    MemoryStore(),
    SQLiteStore("mlwatch.db", read_only=True),
    JSONLStore("folder"),
]
RULES: list[Rule] = [judge, Threshold("accuracy", below=0.7), Drifted(), MonitoringFault()]


def make(reference: Reference) -> Monitor:
    """Pass every argument, functions beside objects."""
    told: list[Alert] = []
    Monitor(store=MemoryStore())
    Monitor({"1": reference, "2": reference}, store=OwnStore())
    Monitor(reference, store=MemoryStore(), detectors=[OwnDetector(), detect, KSDetector()])
    return Monitor(
        reference,
        store=SQLiteStore("mlwatch.db"),
        model="churn",
        model_version="2.1",
        detectors=None,
        collectors=[OwnCollector(), collect],
        rules=[judge, Threshold("latency_ms", above=500, labels={"quantile": "0.95"})],
        notifiers=[OwnNotifier("a"), page, told.append],
        window=timedelta(hours=1),
        every=timedelta(minutes=1),
        capture=CaptureOptions(spool="memory", strict=True, retention=Retention()),
        drift=DriftPolicy(margin=0.2, segments=("x", Segment("y", bins=[1, 2.5]), Segment())),
        alerts=AlertPolicy(cooldown=timedelta(0)),
        clock=ManualClock(NOW),
    )


def record(monitor: Monitor) -> None:
    """Record in every way."""
    assert_type(monitor.record_prediction({"x": 1.0}, 0.5), str)
    assert_type(
        monitor.record_prediction(
            [1.0],
            "yes",
            probability={"yes": 0.7, "no": 0.3},
            request_id="a",
            model_version="2",
            latency_ms=12.5,
            outcome="no",
            error="ValueError",
            segment="web",
            timestamp=NOW,
        ),
        str,
    )
    monitor.record_outcome("a", 1, timestamp=NOW)
    monitor.record_request("/predict", 200, 3.0, timestamp=NOW)
    monitor.record_log("ERROR")
    with monitor.observe({"x": 1.0}, segment="web") as seen:
        assert_type(seen, Observation)
        seen.prediction, seen.probability, seen.outcome = "yes", 0.7, "no"
    ids = monitor.record_batch({"x": [1.0]}, [0.5], request_ids=["a"], timestamp=NOW)
    monitor.record_batch({"x": [1.0]}, [0.5], segments=["web"])
    monitor.record_batch({"x": [1.0]}, [0.5], segments="web")
    assert_type(ids, Sequence[str])
    monitor.record_outcomes(ids, [1])


def usual(monitor: Monitor) -> None:
    """Look back on what is usual, begin anew, leave days out."""
    found = monitor.backtest()
    assert_type(found, Backtest)
    assert_type(found.days, int)
    assert_type(found.alarms, int)
    assert_type(found.allowed, float)
    assert_type(found.raised, Mapping[str, int])
    assert_type(str(monitor.backtest(BUDGET, model_version="2")), str)
    assert_type(BUDGET.weekly, float)
    monitor.rebaseline()
    monitor.rebaseline(model_version="2")
    monitor.mark_bad(NOW, NOW + timedelta(days=1))
    monitor.mark_bad(since=NOW, until=NOW + timedelta(days=1), model_version="2")


async def observe(monitor: Monitor) -> None:
    """Observe in a coroutine."""
    async with monitor.observe({"x": 1.0}) as seen:
        seen.prediction = 0.5
    assert_type(seen, Observation)


def run(monitor: Monitor) -> None:
    """Run cycles and read what they found."""
    with monitor as same:
        assert_type(same, Monitor)
        monitor.start()
    report = monitor.run_cycle()
    assert_type(report, CycleReport)
    assert_type(report["accuracy"], Metric)
    assert_type(report["accuracy"].value, float | None)
    assert_type(report.find("latency_ms", quantile="0.95"), tuple[Metric, ...])
    assert_type(report.drift, tuple[DriftResult, ...])
    assert_type(report.drift[0].drifted, bool | None)
    assert_type(report.alerts, tuple[Alert, ...])
    assert_type(report.firing, tuple[Alert, ...])
    assert_type(report.faults, tuple[Fault, ...])
    assert_type(report.to_row(), dict[str, Any])
    assert_type(str(report), str)
    status = monitor.status()
    assert_type(status, Status)
    assert_type(status.dropped, Mapping[str, int])
    assert_type(status.ingest_lag, timedelta)
    assert_type(monitor.flush(1.0, ingest=True), bool)
    assert_type(monitor.close(), bool)


def look(monitor: Monitor, reference: Reference) -> None:
    """Read windows, profiles and references."""
    window = monitor.window(NOW, NOW + timedelta(hours=1), model_version="2")
    assert_type(window, Window)
    assert_type(window.last(timedelta(minutes=5)), Window)
    assert_type(window.tally("rows"), Mapping[str, int])
    assert_type(window.profile, Profile | None)
    assert_type(Reference.from_window(window, task="binary"), Reference)
    profile = reference.count({"x": [1.0]})
    assert_type(profile + profile, Profile)
    assert_type(profile.distribution("x"), Distribution)
    monitor.record_profile(profile, NOW, NOW + timedelta(hours=1), source="spark")
    assert_type(Reference.fit({"x": [1.0]}, task="binary", meta={"run": 1}), Reference)
    assert_type(Reference.fit({"x": [1.0]}, timestamps=[NOW]), Reference)
    redact: Mapping[str, str | Callable[[Any], Any]] = {"email": "drop", "note": len}
    assert_type(Reference.fit({"x": [1.0]}, redact=redact, redact_key=b"x" * 32), Reference)
    CaptureOptions(redact=redact, redact_key="x" * 32)
    CaptureOptions(redact=lambda features: {"x": features["x"]})
    of_rows = DomainClassifierDetector().detect({"x": [1.0]}, {"x": [1.0]})
    assert_type(of_rows, DriftResult)
    reference.save("reference.json")
    assert_type(Reference.load("reference.json", features=["x"]), Reference)
    assert_type(reference.features, tuple[str, ...])


def check() -> None:
    """Check parts of one's own."""
    check_collector(OwnCollector())
    check_detector(OwnDetector())
    check_joint_detector(OwnJointDetector())
    check_notifier(lambda: OwnNotifier("a"), failing=lambda: OwnNotifier("b"))
    check_store(OwnStore)
    assert_type(RecordingNotifier().alerts, list[Alert])
    assert_type(ManualClock().advance(timedelta(1)), datetime)


def catch() -> None:
    """Catch each error by the parent that fits."""
    try:
        SQLiteStore("mlwatch.db")
    except mlwatch.ConflictError as error:
        assert_type(error, mlwatch.ConflictError)
    except mlwatch.StoreError:
        return
    except mlwatch.MLWatchError:
        return
    except (ValueError, sqlite3.Error):
        return
    assert_type(mlwatch.__version__, str)
    assert_type(mlwatch.CATALOGUE["accuracy"], mlwatch.MetricSpec)
