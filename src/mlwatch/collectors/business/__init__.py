"""What the model is worth: figures of a business's own."""

from mlwatch.collectors.business.collector import BusinessCollector
from mlwatch.collectors.business.retention import RetentionValue

__all__ = ["BusinessCollector", "RetentionValue"]
