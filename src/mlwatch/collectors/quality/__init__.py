"""Whether the data is sound: what is missing, unknown, out of range, repeated or stale."""

from mlwatch.collectors.quality.collector import QualityCollector

__all__ = ["QualityCollector"]
