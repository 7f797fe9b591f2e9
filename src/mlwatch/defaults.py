"""The only file that picks concrete parts: what a monitor gets when nothing else is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mlwatch.alerting import (
    Drifted,
    MonitorHealth,
    MonitoringFault,
    NoTraffic,
    Rule,
    UnusualVolume,
    Violated,
)
from mlwatch.collectors import (
    ConceptDriftCollector,
    DriftCollector,
    ErrorRateCollector,
    EstimatedPerformanceCollector,
    PerformanceCollector,
    PredictionsCollector,
    QualityCollector,
    SegmentsCollector,
    ServiceCollector,
    SystemCollector,
    TrafficCollector,
    VolumeCollector,
)
from mlwatch.detectors import ChiSquareDetector, KSDetector, MissingDetector, NoveltyDetector
from mlwatch.errors import ConfigurationError
from mlwatch.notifiers import LogNotifier
from mlwatch.protocols import (
    Collect,
    Collector,
    Detect,
    DriftDetector,
    JointDetector,
    MetricStore,
    Notifier,
    Notify,
    part_name,
)
from mlwatch.records import CaptureOptions, DriftPolicy, file_name
from mlwatch.spool import DiskSpool, MemorySpool, Spool


def detectors() -> list[DriftDetector | JointDetector | Detect]:
    """Return detectors for numbers, categories, what is missing and what was never seen."""
    return [KSDetector(), ChiSquareDetector(), MissingDetector(), NoveltyDetector()]


def collectors(
    chosen: Sequence[DriftDetector | JointDetector | Detect] | None = None,
    policy: DriftPolicy = DriftPolicy(),  # noqa: B008  frozen
    own: Sequence[Collector | Collect] = (),
) -> list[Collector | Collect]:
    """Return the collectors that need nothing, and what the policy asks for.

    `collectors=[*defaults.collectors(), more]` adds one to what a monitor has anyway.

    Args:
        chosen: The drift detectors; None: `detectors()`.
        policy: When evidence becomes a verdict; where `Monitor(drift=...)` is given, the same.
        own: Collectors of your own, each in the place of the one that has its name, such as
            `ServiceCollector({"api": "http://localhost:8000/health"})`, or added.
    """
    found: list[Collector | Collect] = [
        TrafficCollector(),
        VolumeCollector(),
        PredictionsCollector(),
        PerformanceCollector(policy=policy),
        EstimatedPerformanceCollector(),
        QualityCollector(),
        DriftCollector(detectors() if chosen is None else list(chosen), policy),
        ConceptDriftCollector(policy),
        SystemCollector(),
        ServiceCollector(),
    ]
    if policy.segments:
        found.append(SegmentsCollector())
    if policy.independent_labels:
        found.append(ErrorRateCollector(policy))
    taken = set(map(part_name, own))
    return [*(it for it in found if part_name(it) not in taken), *own]


def rules() -> list[Rule]:
    """Return the rules that need no number of the user's."""
    return [
        Drifted(),
        NoTraffic(),
        UnusualVolume(),
        Violated(),
        MonitoringFault(),
        MonitorHealth(),
    ]


def notifiers() -> list[Notifier | Notify]:
    """Return the notifier that needs nothing."""
    return [LogNotifier()]


def spool(options: CaptureOptions, store: MetricStore, model: str) -> Spool:
    """Return the spool the options ask for; on disk each model has a folder of its own.

    Raises:
        ConfigurationError: Its folder cannot be written.
    """
    where = options.spool
    if where is None:
        path = getattr(store, "path", None)
        where = "memory" if path is None else f"{path}.spool"
    if where == "memory":
        return MemorySpool(options.max_spool_bytes)
    if not isinstance(where, str | Path):
        raise ConfigurationError(
            f'CaptureOptions(spool={where!r}): must be a folder, "memory" or None'
        )
    return DiskSpool(Path(where) / file_name(model), options.max_spool_bytes, options.durability)
