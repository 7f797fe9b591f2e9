"""Drift detectors: two distributions of one feature in, the evidence out."""

from mlwatch.detectors.chi_square import ChiSquareDetector
from mlwatch.detectors.evidence import dkw_halfwidth, evidence, total_variation
from mlwatch.detectors.kl import KLDetector
from mlwatch.detectors.ks import KSDetector
from mlwatch.detectors.missing import MissingDetector

__all__ = [
    "ChiSquareDetector",
    "KLDetector",
    "KSDetector",
    "MissingDetector",
    "dkw_halfwidth",
    "evidence",
    "total_variation",
]
