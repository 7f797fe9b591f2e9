"""Collectors: a window in, metrics out."""

from mlwatch.collectors.drift import DriftCollector
from mlwatch.collectors.performance import PerformanceCollector
from mlwatch.collectors.predictions import PredictionsCollector
from mlwatch.collectors.traffic import TrafficCollector

__all__ = ["DriftCollector", "PerformanceCollector", "PredictionsCollector", "TrafficCollector"]
