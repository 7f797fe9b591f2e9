"""Figures of a binary task from calibrated scores, and the same from outcomes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlwatch import intervals
from mlwatch.collectors.estimated.calibration import Calibration, Counts

NAMES = ("accuracy", "precision", "recall", "f1", "roc_auc")

_UNDEFINED = {
    "precision": "no positives are predicted",
    "recall": "no positives are expected",
    "f1": "no positives, predicted or expected",
    "roc_auc": "one class alone is expected",
}

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """One figure without outcomes.

    Args:
        value: The figure, or None where it is undefined.
        error: Its standard error against the figure that the outcomes of these rows would give.
        why: Why it is undefined.
    """

    value: float | None
    error: float = 0.0
    why: str = ""

    @property
    def bounds(self) -> tuple[float, float] | tuple[None, None]:
        """The 95% interval."""
        if self.value is None:
            return None, None
        half = intervals.Z95 * self.error
        return max(0.0, self.value - half), min(1.0, self.value + half)


def estimate(calibration: Calibration, said: Counts) -> dict[str, Estimate]:
    """Return the figures to be expected of predictions, by name.

    Confidence-based estimation (CBPE; Bialek and others, arXiv 2407.08649) from counts: each
    figure with the rate of the bin in the place of each outcome. The error is, to first order in
    the outcomes, that of the outcomes themselves, p (1 - p) each, and that of the reference's
    rates, p (1 - p) / N each.

    Args:
        calibration: The rates of the reference.
        said: Predictions by bin and class said, shape (bins, 2).
    """
    p = calibration.rates
    rows = said.sum(axis=1)
    n, positives = float(rows.sum()), float(said[:, 1].sum())
    hits, actual = float(said[:, 1] @ p), float(rows @ p)
    right = float(said[:, 0] @ (1 - p)) + hits
    yes, no = np.array([0.0, 1.0]), np.array([1.0, 0.0])
    slopes: dict[str, tuple[float, Floats]] = {"accuracy": (right / n, (yes - no) / n)}
    if positives:
        slopes["precision"] = hits / positives, yes / positives
    if actual:
        slopes["recall"] = hits / actual, yes / actual - hits / actual**2
    if both := positives + actual:
        slopes["f1"] = 2 * hits / both, 2 * yes / both - 2 * hits / both**2
    if actual and actual < n:
        slopes["roc_auc"] = _area(rows, p)
    return {
        name: Estimate(slopes[name][0], _error(calibration, said, slopes[name][1]))
        if name in slopes
        else Estimate(None, why=f"undefined: {_UNDEFINED[name]}")
        for name in NAMES
    }


def realised(confusion: Counts, by_outcome: Counts) -> Mapping[str, float]:
    """Return the figures that outcomes give, by name; those that are undefined are left out.

    Args:
        confusion: Rows by class said and outcome, shape (2, 2).
        by_outcome: The same rows by cell of the score and outcome, shape (cells, 2).
    """
    n, hits = int(confusion.sum()), int(confusion[1, 1])
    said, actual = int(confusion[1].sum()), int(confusion[:, 1].sum())
    found = {"accuracy": (int(np.trace(confusion)), n), "precision": (hits, said)}
    found |= {"recall": (hits, actual), "f1": (2 * hits, said + actual)}
    figures = {name: part / whole for name, (part, whole) in found.items() if whole}
    negative, positive = by_outcome.T
    if min(negative.sum(), positive.sum()) > 1:
        figures["roc_auc"] = intervals.auc(positive, negative)[0]
    return figures


def _area(rows: Counts, p: Floats) -> tuple[float, Floats]:
    """Return the area under the ROC curve of weighted bins, and its slope in each outcome.

    A row that turns positive wins against the negatives below it, and no longer loses against the
    positives above.
    """
    positive, negative = rows * p, rows * (1 - p)
    below = np.cumsum(negative) - negative / 2
    above = positive.sum() - np.cumsum(positive) + positive / 2
    total, others = positive.sum(), negative.sum()
    area = float((positive @ below) / (total * others))
    slope = (below - above) / (total * others) - area / total + area / others
    return area, slope[:, None]


def _error(calibration: Calibration, said: Counts, slope: Floats) -> float:
    v = calibration.variances
    sampling = float(((said * slope**2).sum(axis=1) * v).sum())
    of_rates = (said * slope).sum(axis=1) ** 2 * v / np.maximum(calibration.rows, 1)
    return math.sqrt(sampling + float(of_rates.sum()))
