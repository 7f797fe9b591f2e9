"""Collectors: a window in, metrics out."""

from mlwatch.collectors.business import BusinessCollector, RetentionValue
from mlwatch.collectors.concept import ConceptDriftCollector
from mlwatch.collectors.drift import DriftCollector
from mlwatch.collectors.drift_score import DriftScoreCollector
from mlwatch.collectors.error_rate import ErrorRateCollector
from mlwatch.collectors.estimated import EstimatedPerformanceCollector
from mlwatch.collectors.performance import PerformanceCollector
from mlwatch.collectors.predictions import PredictionsCollector
from mlwatch.collectors.quality import QualityCollector
from mlwatch.collectors.schema import NotMissing, OneOf, Pattern, Range, Schema
from mlwatch.collectors.segments import SegmentsCollector
from mlwatch.collectors.services import ServiceCollector
from mlwatch.collectors.system import SystemCollector
from mlwatch.collectors.traffic import TrafficCollector
from mlwatch.collectors.volume import VolumeCollector

__all__ = [
    "BusinessCollector",
    "ConceptDriftCollector",
    "DriftCollector",
    "DriftScoreCollector",
    "ErrorRateCollector",
    "EstimatedPerformanceCollector",
    "NotMissing",
    "OneOf",
    "Pattern",
    "PerformanceCollector",
    "PredictionsCollector",
    "QualityCollector",
    "Range",
    "RetentionValue",
    "Schema",
    "SegmentsCollector",
    "ServiceCollector",
    "SystemCollector",
    "TrafficCollector",
    "VolumeCollector",
]
