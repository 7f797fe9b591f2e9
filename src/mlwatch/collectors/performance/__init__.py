"""How well the model does, by the outcomes that have come."""

from mlwatch.collectors.performance.collector import PerformanceCollector
from mlwatch.collectors.performance.figures import figures

__all__ = ["PerformanceCollector", "figures"]
