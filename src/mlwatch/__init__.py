"""mlwatch: watch a machine-learning model from inside the service that runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

# First, where the stack is shallow. At some depths each of the thousands of calls that make numpy's
# types crosses the end of a chunk of the stack, which CPython then maps and unmaps every time
# (python/cpython#142183): 50 ms, as much as the whole of numpy.
import numpy as np  # noqa: F401

from mlwatch.alerting import Drifted, MonitoringFault, Threshold
from mlwatch.catalogue import CATALOGUE, MetricSpec
from mlwatch.errors import (
    ConfigurationError,
    ConflictError,
    DataError,
    GridMismatchError,
    MLWatchError,
    NotificationError,
    ReferenceFileError,
    SpoolError,
    StoreError,
)
from mlwatch.monitor import Monitor
from mlwatch.observation import Observation
from mlwatch.profile import Distribution, Profile
from mlwatch.protocols import Collector, DriftDetector, JointDetector, MetricStore, Notifier
from mlwatch.records import (
    AlarmBudget,
    Alert,
    AlertPolicy,
    Batch,
    CaptureOptions,
    CycleReport,
    DriftPolicy,
    DriftResult,
    Fault,
    Memory,
    Metric,
    Receipt,
    Retention,
    Revised,
    Segment,
    Severity,
    Table,
)
from mlwatch.reference import Reference
from mlwatch.status import Status
from mlwatch.window import Window

if TYPE_CHECKING:
    __version__: str

__all__ = [
    "CATALOGUE",
    "AlarmBudget",
    "Alert",
    "AlertPolicy",
    "Batch",
    "CaptureOptions",
    "Collector",
    "ConfigurationError",
    "ConflictError",
    "CycleReport",
    "DataError",
    "Distribution",
    "DriftDetector",
    "DriftPolicy",
    "DriftResult",
    "Drifted",
    "Fault",
    "GridMismatchError",
    "JointDetector",
    "MLWatchError",
    "Memory",
    "Metric",
    "MetricSpec",
    "MetricStore",
    "Monitor",
    "MonitoringFault",
    "NotificationError",
    "Notifier",
    "Observation",
    "Profile",
    "Receipt",
    "Reference",
    "ReferenceFileError",
    "Retention",
    "Revised",
    "Segment",
    "Severity",
    "SpoolError",
    "Status",
    "StoreError",
    "Table",
    "Threshold",
    "Window",
]


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib.metadata import version

        return version("mlwatch-monitor")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
