"""Fakes to test monitoring with, and checks that a part keeps its protocol."""

from mlwatch.stores import MemoryStore
from mlwatch.testing.checks import check_collector, check_detector, check_notifier
from mlwatch.testing.fakes import (
    ManualClock,
    RecordingNotifier,
    ScriptedCollector,
    ScriptedDetector,
)
from mlwatch.testing.joint_checks import check_joint_detector
from mlwatch.testing.store_checks import check_store

__all__ = [
    "ManualClock",
    "MemoryStore",
    "RecordingNotifier",
    "ScriptedCollector",
    "ScriptedDetector",
    "check_collector",
    "check_detector",
    "check_joint_detector",
    "check_notifier",
    "check_store",
]
