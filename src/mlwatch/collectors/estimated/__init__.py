"""How well the model does, as far as its own scores tell."""

from mlwatch.collectors.estimated.collector import EstimatedPerformanceCollector

__all__ = ["EstimatedPerformanceCollector"]
