"""What counts know only within bounds, exactly, from the rows that are still kept."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlwatch.collectors.performance.figures import figures
from mlwatch.profile import NumericGrid
from mlwatch.records import Metric, Tallies
from mlwatch.scoring import Scoring
from mlwatch.window import Window

_OF_ROWS = {"roc_auc", "average_precision", "absolute_error"}


@dataclass(frozen=True, slots=True)
class RowFigures:
    """The figures of a window whose areas under curves and quantiles are those of its rows.

    Args:
        tallies: The counts of the window; where scores fall, on a grid of all of them.
        scoring: How they were counted, on that grid.
        errors: The absolute errors of a regression, sorted, shape (n,).
        why: Why they are from counts after all.
    """

    tallies: Tallies
    scoring: Scoring
    errors: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    why: str = ""

    @classmethod
    def of(cls, window: Window) -> RowFigures:
        """Read the rows of a window, or say that they are no longer all kept."""
        scoring, labelled = window.scoring, window.tally("rows").get("labelled", 0)
        predictions, outcomes = window.rows(window.since, window.until)
        told = {row.request_id: scoring.target(row.outcome) for row in outcomes}
        rows = [
            (*scoring.read(row.prediction, row.probability), told[row.request_id])
            for row in predictions
            if told.get(row.request_id) is not None
        ]
        if len(rows) != labelled:
            why = f"from counts: {len(rows):,} rows are kept of {labelled:,} labelled predictions"
            return cls(window.tallies, scoring, why=why)
        if window.tally("residual"):
            pairs = [(score, true) for score, _, true in rows if isinstance(score, float)]
            errors = np.sort([abs(score - true) for score, true in pairs])
            return cls(window.tallies, scoring, errors)
        return cls._of_scores(window.tallies, scoring, rows)

    @classmethod
    def _of_scores(cls, tallies: Tallies, scoring: Scoring, rows: list[Any]) -> RowFigures:
        """Count where scores fall on a grid that has each of them as a point."""
        plain = [score for score, _, _ in rows if isinstance(score, float)]
        if not plain:
            return cls(tallies, scoring)
        exact = replace(scoring, grid=NumericGrid.fit(plain, points=len(plain)))
        scores, labels, true = zip(*rows, strict=True)
        counted = exact.tally_outcomes(scores, labels, true)
        given = {name: tally for name, tally in counted.items() if name.startswith("given/")}
        return cls({**tallies, **given}, exact)

    def __call__(self, z: float) -> Iterator[Metric]:
        """Return the figures with intervals at the level of the normal point z."""
        for metric in figures(self.tallies, self.scoring, z):
            if metric.name not in _OF_ROWS or metric.value is None:
                yield metric
            elif self.why:
                yield replace(metric, why=self.why)
            elif metric.name == "absolute_error":
                yield self._quantile(metric, z)
            else:
                yield metric

    def _quantile(self, metric: Metric, z: float) -> Metric:
        share, n = float(metric.labels["quantile"]), len(self.errors)
        half = z * math.sqrt(share * (1 - share) / n)
        ends = np.clip([share, share - half, share + half], 0, 1)
        value, low, high = (float(end) for end in np.quantile(self.errors, ends))
        return replace(metric, value=value, low=low, high=high, n=n, why="")
