"""Segments: the figures of each declared part of the traffic, and which parts do worse."""

from mlwatch.collectors.segments.collector import SegmentsCollector

__all__ = ["SegmentsCollector"]
