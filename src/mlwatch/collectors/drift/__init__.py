"""Drift of the features and of the predictions, judged by one policy."""

from mlwatch.collectors.drift.collector import DriftCollector
from mlwatch.collectors.drift.verdict import judge, smallest_visible

__all__ = ["DriftCollector", "judge", "smallest_visible"]
