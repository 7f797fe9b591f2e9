"""How often a score came true on the reference, and where the scores of a window fall."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mlwatch.profile import Distribution, NumericGrid
from mlwatch.records import Tallies, Tally
from mlwatch.scoring import Scoring

BINS = 50
"""The most bins of scores, of about equal mass on the reference."""

FEWEST = 30
"""A bin of fewer reference rows says little of the scores in it."""

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Calibration:
    """The rate of positives by bin of the score, as on the reference.

    Args:
        scoring: How scores are read; of a binary task, with a grid.
        known: Reference rows by cell of the grid and outcome, shape (cells, 2).
    """

    scoring: Scoring
    known: Counts

    @classmethod
    def of(cls, scoring: Scoring, tallies: Tallies) -> Calibration:
        """Read the outcomes of a reference by their scores."""
        return cls(scoring, by_outcome(scoring, tallies))

    @property
    def grid(self) -> NumericGrid:
        """The cells that scores are counted in."""
        assert self.scoring.grid is not None
        return self.scoring.grid

    @cached_property
    def joined(self) -> NDArray[np.intp]:
        """The bin of each cell, shape (cells,); bins hold about `FEWEST` reference rows or more."""
        rows = int(self.known.sum())
        return self.grid.coarse(max(1, min(BINS, rows // FEWEST)))

    @cached_property
    def rows(self) -> Counts:
        """Reference rows of each bin."""
        return self.binned(self.known.sum(axis=1))

    @cached_property
    def rates(self) -> NDArray[np.float64]:
        """The rate of positives in each bin, which never falls as scores rise (isotonic)."""
        from sklearn.isotonic import IsotonicRegression

        there = np.flatnonzero(self.rows)
        found = self.binned(self.known[:, 1])[there] / self.rows[there]
        fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
        fitted.fit(there, found, sample_weight=self.rows[there])
        rates: NDArray[np.float64] = fitted.predict(np.arange(len(self.rows)))
        return rates

    @cached_property
    def variances(self) -> NDArray[np.float64]:
        """The variance of an outcome in each bin, half a row of each class added (Jeffreys)."""
        smooth = (self.rates * self.rows + 0.5) / (self.rows + 1)
        return smooth * (1 - smooth)

    def binned(self, cells: Counts) -> Counts:
        """Return counts by cell as counts by bin; the last axes stay, shape (bins, ...)."""
        total = np.zeros((int(self.joined.max()) + 1, *cells.shape[1:]), np.int64)
        np.add.at(total, self.joined, cells)
        return total

    def served(self, scores: Tally, positives: int, unsure: int = 0) -> Counts | None:
        """Return predictions by bin and by class said, shape (bins, 2).

        The class follows from the score, but in the cell that holds the threshold, which the
        number of predicted positives divides: exactly, or but for the rows that are unsure.

        Args:
            scores: The scores by cell.
            positives: How many predictions were positive, ...
            unsure: ... of which so many may be without a score.

        Returns:
            The counts, or None where so many positives cannot be: the labels that were served do
            not follow from the threshold.
        """
        cells = Distribution.from_tally("score", self.grid, scores).counts
        edge = int(self.grid.locate([self.scoring.threshold])[0])
        within = positives - int(cells[edge + 1 :].sum())
        if not 0 <= within <= cells[edge] + unsure:
            return None
        within = min(within, int(cells[edge]))
        said = np.stack([cells, cells], axis=1)
        said[edge:, 0], said[:edge, 1] = 0, 0
        said[edge] = cells[edge] - within, within
        return self.binned(said)

    def strange(self, scores: Tally) -> float:
        """Return the share of scores in bins, or beyond ends, of too few reference rows."""
        cells = Distribution.from_tally("score", self.grid, scores).counts
        known = self.known.sum(axis=1)
        thin = (self.rows < FEWEST)[self.joined]
        below, above = self.grid.outside
        thin |= (below | above) & (known < FEWEST)
        return float(cells[thin].sum() / cells.sum())


def by_outcome(scoring: Scoring, tallies: Tallies) -> Counts:
    """Return labelled rows by cell of the score and by outcome, shape (cells, 2)."""
    assert scoring.grid is not None
    columns = [
        Distribution.from_tally("score", scoring.grid, tallies.get(f"given/{name}", {})).counts
        for name in scoring.classes
    ]
    return np.stack(columns, axis=1)
