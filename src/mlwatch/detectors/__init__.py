"""Drift detectors: two distributions of one feature in, the evidence out."""

from mlwatch.detectors.chi_square import ChiSquareDetector
from mlwatch.detectors.composition import PerFeature, PerKind, any_of
from mlwatch.detectors.correlation import CorrelationDetector
from mlwatch.detectors.cramer_von_mises import CramerVonMisesDetector
from mlwatch.detectors.domain_classifier import DomainClassifierDetector
from mlwatch.detectors.evidence import dkw_halfwidth, evidence, total_variation
from mlwatch.detectors.g_test import GTestDetector
from mlwatch.detectors.hellinger import HellingerDetector
from mlwatch.detectors.js import JSDetector
from mlwatch.detectors.kl import KLDetector
from mlwatch.detectors.ks import KSDetector
from mlwatch.detectors.mann_whitney import MannWhitneyDetector
from mlwatch.detectors.mean_shift import MeanShiftDetector
from mlwatch.detectors.missing import MissingDetector
from mlwatch.detectors.novelty import NoveltyDetector
from mlwatch.detectors.psi import PSIDetector
from mlwatch.detectors.tv import TotalVariationDetector
from mlwatch.detectors.wasserstein import WassersteinDetector

__all__ = [
    "ChiSquareDetector",
    "CorrelationDetector",
    "CramerVonMisesDetector",
    "DomainClassifierDetector",
    "GTestDetector",
    "HellingerDetector",
    "JSDetector",
    "KLDetector",
    "KSDetector",
    "MannWhitneyDetector",
    "MeanShiftDetector",
    "MissingDetector",
    "NoveltyDetector",
    "PSIDetector",
    "PerFeature",
    "PerKind",
    "TotalVariationDetector",
    "WassersteinDetector",
    "any_of",
    "dkw_halfwidth",
    "evidence",
    "total_variation",
]
