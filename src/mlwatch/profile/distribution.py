"""One feature's tallies: counts on a grid, which add."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from operator import add, sub
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlwatch.errors import GridMismatchError
from mlwatch.profile.grid import Counts, Grid, NumericGrid
from mlwatch.profile.values import APART, WRONG_KIND, listed
from mlwatch.records import Cells, Tally

_LARGEST = float(np.finfo(np.float64).max)

_FIELDS = {
    "missing": "missing",
    "nan": "nan",
    "+inf": "positive_infinity",
    "-inf": "negative_infinity",
    "wrong_kind": "wrong_kind",
}


@dataclass(frozen=True, eq=False)
class Distribution:
    """How the values of one feature are spread over its grid.

    Args:
        name: The feature.
        grid: Its cells, cut on the reference.
        counts: Values in each cell, shape (grid.size,).
        missing: Absent values and nulls; `nan` counts NaN apart.
        positive_infinity: Values of +inf; `negative_infinity` those of -inf.
        wrong_kind: Values that are not of the feature's kind, such as a text among numbers.
    """

    name: str
    grid: Grid
    counts: Counts
    missing: int = 0
    nan: int = 0
    positive_infinity: int = 0
    negative_infinity: int = 0
    wrong_kind: int = 0

    @classmethod
    def count(cls, name: str, grid: Grid, values: Any) -> Distribution:
        """Count values, shape (n,), on `grid`."""
        return cls.from_cells(name, grid, grid.locate(listed(values)))

    @classmethod
    def from_cells(cls, name: str, grid: Grid, cells: NDArray[np.int64]) -> Distribution:
        """Count what `grid.locate` gave, shape (n,)."""
        counts = np.bincount(cells - WRONG_KIND, minlength=grid.size - WRONG_KIND)
        apart = {_FIELDS[APART[code]]: int(counts[code - WRONG_KIND]) for code in APART}
        return cls(name, grid, counts[-WRONG_KIND:], **apart)

    @classmethod
    def from_tally(cls, name: str, grid: Grid, tally: Tally) -> Distribution:
        """Read what `to_tally` gave, or the sum of several."""
        counts = np.zeros(grid.size, np.int64)
        apart = {}
        if isinstance(tally, Cells):
            counts[: len(tally.counts)] = tally.counts
            tally = tally.apart
        for cell, count in tally.items():
            if cell in _FIELDS:
                apart[_FIELDS[cell]] = count
            else:
                counts[int(cell)] += count
        return cls(name, grid, counts, **apart)

    def to_tally(self) -> dict[str, int]:
        """Return the counts by cell number, and those that stand apart by name; zeros left out."""
        tally = {str(cell): int(self.counts[cell]) for cell in np.flatnonzero(self.counts)}
        apart = {name: getattr(self, field) for name, field in _FIELDS.items()}
        return tally | {name: count for name, count in apart.items() if count}

    @property
    def kind(self) -> str:
        """The kind of the feature: "numeric" or "categorical"."""
        return self.grid.kind

    @property
    def n(self) -> int:
        """Values that can be compared: all but missing, NaN and those of a wrong kind."""
        return int(self.counts.sum()) + self.infinite

    @property
    def infinite(self) -> int:
        """Infinite values of either sign."""
        return self.positive_infinity + self.negative_infinity

    @property
    def unseen(self) -> int:
        """Values outside the reference's vocabulary: never seen there, or too rare to be kept."""
        return 0 if isinstance(self.grid, NumericGrid) else int(self.counts[-1])

    @property
    def absent(self) -> int:
        """Missing values and NaN."""
        return self.missing + self.nan

    @property
    def total(self) -> int:
        """All values that were counted, whatever they were."""
        return self.n + self.absent + self.wrong_kind

    @property
    def ordered(self) -> Counts:
        """Counts in the order of the values, infinities at the ends, shape (grid.size + 2,).

        For categories the order is that of the vocabulary and there are no infinities.
        """
        if not isinstance(self.grid, NumericGrid):
            return self.counts
        return np.concatenate(([self.negative_infinity], self.counts, [self.positive_infinity]))

    @property
    def values(self) -> NDArray[Any]:
        """The value that stands for each cell of `weights`: the point, or the middle of the gap.

        With `weights` this is the distribution as a weighted sample, shape (grid.size,): finite
        numbers (infinities are in `infinite` alone), or the categories and None for the rest.
        """
        if not isinstance(self.grid, NumericGrid):
            return np.array([*self.grid.categories, None], dtype=object)
        points = self.grid.points.astype(np.float64)
        cells = np.zeros(self.grid.size)
        if len(points):
            cells[1::2] = points
            cells[2:-1:2] = points[:-1] / 2 + points[1:] / 2
            cells[0] = max(math.nextafter(points[0], -math.inf), -_LARGEST)
            cells[-1] = min(math.nextafter(points[-1], math.inf), _LARGEST)
        return cells

    @property
    def weights(self) -> Counts:
        """How many values each of `values` stands for."""
        return self.counts

    def cells(self, k: int) -> Counts:
        """Return the counts of at most `k` coarse cells of about equal reference mass.

        The cells are cut on the reference alone, so they are the same for every window.
        """
        return self.merged(self.grid.coarse(k))

    def merged(self, joined: NDArray[np.intp]) -> Counts:
        """Return the counts of merged cells; infinities join the outermost.

        Args:
            joined: The merged cell that each cell of the grid goes to, shape (grid.size,).
        """
        counts = np.zeros(joined.max() + 1, np.int64)
        np.add.at(counts, joined, self.counts)
        counts[0] += self.negative_infinity
        counts[-1] += self.positive_infinity
        return counts

    def __add__(self, other: Distribution) -> Distribution:
        return self._combine(other, add)

    def __sub__(self, other: Distribution) -> Distribution:
        return self._combine(other, sub)

    def _combine(self, other: Distribution, how: Callable[[Any, Any], Any]) -> Distribution:
        if self.name != other.name or self.grid.fingerprint != other.grid.fingerprint:
            raise GridMismatchError(
                f"counts of {self.name!r} on grid {self.grid.fingerprint} and of {other.name!r} on "
                f"grid {other.grid.fingerprint} cannot be combined: count both with one reference"
            )
        apart = {name: how(getattr(self, name), getattr(other, name)) for name in _FIELDS.values()}
        return replace(self, counts=how(self.counts, other.counts), **apart)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Distribution):
            return NotImplemented
        return (
            self.name == other.name
            and self.grid.fingerprint == other.grid.fingerprint
            and self.to_tally() == other.to_tally()
        )

    __hash__ = None  # type: ignore[assignment]


def coerce_counts(grid: Grid, given: Mapping[Any, int]) -> dict[str, int]:
    """Return counts made elsewhere as a tally of `grid`.

    Args:
        grid: The cells counted on.
        given: For categories the count of each, for numbers the count of each cell number; None
            counts missing values, and for numbers "nan", "+inf", "-inf" and "wrong_kind" theirs.
    """
    tally: dict[str, int] = {}
    for key, count in given.items():
        if key is None:
            name = "missing"
        elif isinstance(grid, NumericGrid):
            name = str(key)
        else:
            cell = int(grid.locate([key])[0])
            name = APART.get(cell, str(cell))
        tally[name] = tally.get(name, 0) + int(count)
    return tally
