"""The figures of a model of two classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlwatch import intervals
from mlwatch.collectors.performance.figure import FEWEST, mean, share, too_few, undefined
from mlwatch.profile import Distribution, NumericGrid
from mlwatch.records import Metric, Tallies, Tally
from mlwatch.scoring import BINS, FIXED, Scoring

FEWEST_OF_A_CLASS = 10
"""With fewer positives or negatives there is no area under a curve."""

_UNCOUNTED = "the reference has no scores, by which those of the traffic could be counted"

_CURVES = {"roc_auc": intervals.auc, "average_precision": intervals.average_precision}


def figures(
    tallies: Tallies, scoring: Scoring, pairs: Mapping[tuple[str, ...], int], z: float
) -> Iterator[Metric]:
    """Return the figures of a binary task beyond those of every classification.

    Args:
        tallies: The counts of a window, or those of a reference.
        scoring: How they were counted.
        pairs: The rows by the label that was served and the outcome.
        z: The normal point of the intervals' level.
    """
    negative, positive = map(str, scoring.classes)
    yield from _of_labels(pairs, positive, z)
    yield from _curves(tallies, scoring.grid, negative, positive, z)
    if tallies.get("brier"):
        yield mean("brier_score", tallies["brier"], z, low=0.0)
    else:
        yield undefined("brier_score", "no probabilities are recorded")
    if scoring.grid is None and tallies.get("brier"):
        yield undefined("calibration_error", _UNCOUNTED)
    else:
        yield _calibration(tallies.get("calibration", {}), z)
    known = tallies["outcome"]
    yield share("outcome_rate", known.get(positive, 0), sum(known.values()), z)


def _of_labels(pairs: Mapping[tuple[str, ...], int], positive: str, z: float) -> Iterator[Metric]:
    n = sum(pairs.values())
    hits = pairs.get((positive, positive), 0)
    predicted = sum(count for (served, _), count in pairs.items() if served == positive)
    actual = sum(count for (_, true), count in pairs.items() if true == positive)
    yield _balanced(hits, actual, n - predicted - actual + hits, n - actual, z)
    yield share("precision", hits, predicted, z, of="predicted positives", rows=n)
    yield share("recall", hits, actual, z, of="actual positives", rows=n)
    errors = predicted + actual - 2 * hits
    if n < FEWEST:
        yield too_few("f1", n)
    elif not hits + errors:
        yield undefined("f1", "no positives, predicted or actual", n)
    else:
        value = 2 * hits / (2 * hits + errors)
        yield Metric("f1", value, *intervals.f1(hits, errors, z), n)


def _balanced(hits: int, positives: int, refused: int, negatives: int, z: float) -> Metric:
    """Return the mean of the share of positives and of that of negatives that were recognised."""
    n = positives + negatives
    if n < FEWEST:
        return too_few("balanced_accuracy", n)
    if not positives or not negatives:
        return undefined("balanced_accuracy", "outcomes of one class only", n)
    value, low, high = intervals.average(
        [
            (hits / positives, *intervals.share(hits, positives, z)),
            (refused / negatives, *intervals.share(refused, negatives, z)),
        ]
    )
    return Metric("balanced_accuracy", value, max(0.0, low), min(1.0, high), n)


def _curves(
    tallies: Tallies, grid: NumericGrid | None, negative: str, positive: str, z: float
) -> Iterator[Metric]:
    """Return the areas under the ROC curve and under that of precision over recall."""
    if grid is None:
        for name in _CURVES:
            yield undefined(name, _UNCOUNTED if tallies.get("brier") else "no scores are recorded")
        return
    counts = [_cells(grid, tallies.get(f"given/{name}", {})) for name in (positive, negative)]
    few = min(int(count.sum()) for count in counts)
    n = int(sum(count.sum() for count in counts))
    why = (
        f"not enough data: {n} of {FEWEST} labelled scores, {few} of {FEWEST_OF_A_CLASS} of the "
        "rarer class"
    )
    for name, area in _CURVES.items():
        if few == 0:
            yield undefined(name, "scored outcomes of one class only", n)
        elif few < FEWEST_OF_A_CLASS or n < FEWEST:
            yield Metric(name, None, n=n, why=why)
        else:
            value, ends = area(counts[0], counts[1], z)
            yield Metric(name, value, *ends, n)


def _cells(grid: NumericGrid, tally: Tally) -> NDArray[np.int64]:
    return Distribution.from_tally("score", grid, tally).counts


def _calibration(tally: Tally, z: float) -> Metric:
    """Return by how much scores and shares of positives differ, on average over bins of scores."""
    n = sum(tally.get(f"{place}/n", 0) for place in range(BINS))
    if not n:
        return undefined("calibration_error", "no probabilities are recorded")
    if n < FEWEST:
        return too_few("calibration_error", n)
    filled = [place for place in range(BINS) if tally.get(f"{place}/n", 0)]

    def column(name: str, unit: float = 1.0) -> NDArray[Any]:
        return np.array([tally.get(f"{place}/{name}", 0) / unit for place in filled])

    value, ends = intervals.calibration_error(
        column("n"), column("score", FIXED), column("positive"), z
    )
    return Metric("calibration_error", value, *ends, n)
