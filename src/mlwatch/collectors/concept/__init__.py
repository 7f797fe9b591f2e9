"""Whether outcomes, and their relation to what was predicted, are those of the reference."""

from mlwatch.collectors.concept.collector import ConceptDriftCollector

__all__ = ["ConceptDriftCollector"]
