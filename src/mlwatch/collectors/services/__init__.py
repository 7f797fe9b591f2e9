"""The services that a model needs: whether they answer, and how fast."""

from mlwatch.collectors.services.collector import ServiceCollector

__all__ = ["ServiceCollector"]
