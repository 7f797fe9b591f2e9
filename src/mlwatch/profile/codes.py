"""How numeric features go together: sums of rank codes, which add."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import add, sub
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlwatch.errors import GridMismatchError
from mlwatch.profile.grid import Counts, Grid, NumericGrid
from mlwatch.profile.values import NEGATIVE_INFINITY, POSITIVE_INFINITY, WRONG_KIND
from mlwatch.records import Tally

CODES = "codes"
"""The name of the sums among the tallies of a pane."""

CELLS = 16
"""A code is the place of a value among so many cells of equal reference mass."""

MOST_FEATURES = 100
"""Features beyond have no codes: their pairs would be too many to keep."""

ABSENT = -128
"""In the place of the code of a value that is missing, NaN or of a wrong kind."""

# The largest square of a code is (CELLS - 1)**2 = 225, and float32 holds integers up to 2**24: the
# sums of so many rows are exact in it, whatever the order of the additions.
_BLOCK = 65_536

_LARGEST_EXACT = math.isqrt((2**63 - 1) // (CELLS - 1) ** 2)
"""With so many rows the products of sums still fit 64 bits."""

Codes = NDArray[np.int8]
"""The codes of rows, shape (rows, features)."""


def _nothing(*shape: int) -> Counts:
    return np.zeros(shape, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class RankCodes:
    """Sums over rows of the features' rank codes, from which their correlations follow.

    The code of a value is 2 * cell - (k - 1), with the k <= 16 coarse cells of about equal
    reference mass numbered from 0: an integer, so that the sums add exactly, and a rank, so that
    a few huge values do not decide. The correlation of codes is close to Spearman's.

    Each pair is counted over the rows that hold both. What the sums over all rows have too much
    for that is kept apart, and is zero where nothing is missing.

    Args:
        features: The features, in the order of the arrays; none for counts made elsewhere, of
            which nobody saw the rows. Such codes add to any others.
        rows: How many rows were seen.
        sums: Of each feature's codes, shape (features,).
        products: Of the codes of each pair, shape (features, features).
        absent: Rows in which both of a pair are absent, shape (features, features).
        lost: Sums of the second's codes where the first is absent, shape (features, features).
        lost_squares: The same of the second's squared codes, shape (features, features).
    """

    features: tuple[str, ...] = ()
    rows: int = 0
    sums: Counts = field(default_factory=lambda: _nothing(0))
    products: Counts = field(default_factory=lambda: _nothing(0, 0))
    absent: Counts = field(default_factory=lambda: _nothing(0, 0))
    lost: Counts = field(default_factory=lambda: _nothing(0, 0))
    lost_squares: Counts = field(default_factory=lambda: _nothing(0, 0))

    @classmethod
    def empty(cls, features: tuple[str, ...]) -> RankCodes:
        """Return the codes of no rows."""
        k = len(features)
        return cls(features, 0, _nothing(k), *(_nothing(k, k) for _ in range(4)))

    @classmethod
    def count(cls, features: tuple[str, ...], codes: Codes) -> RankCodes:
        """Sum what `encode` gave, shape (rows, features)."""
        if not features:
            return cls()
        total = cls.empty(features)
        for start in range(0, len(codes), _BLOCK):
            total += cls._block(features, codes[start : start + _BLOCK])
        return total

    @classmethod
    def _block(cls, features: tuple[str, ...], codes: Codes) -> RankCodes:
        absent = codes == ABSENT
        here = codes.astype(np.float32)
        pairs = [(here, here)]
        if absent.any():
            here[absent] = 0
            gone = absent.astype(np.float32)
            pairs += [(gone, gone), (gone, here), (gone, here**2)]
        found = [(one.T @ other).astype(np.int64) for one, other in pairs]
        nothing = [_nothing(len(features), len(features))] * (4 - len(found))
        return cls(features, len(codes), here.sum(axis=0).astype(np.int64), *found, *nothing)

    @classmethod
    def from_tally(cls, features: tuple[str, ...], tally: Tally) -> RankCodes:
        """Read what `to_tally` gave, or the sum of several."""
        found = cls.empty(features)
        arrays = {prefix: array for prefix, array, _ in found._arrays()}
        for key, count in tally.items():
            prefix, *place = key.split("/")
            if prefix != "rows":
                at = tuple(map(int, place))
                arrays[prefix][at] = count
                if prefix in _SYMMETRIC:
                    arrays[prefix][at[::-1]] = count
        return cls(features, tally.get("rows", 0), *arrays.values())

    def to_tally(self) -> dict[str, int]:
        """Return the sums by name and number of the features; zeros left out."""
        tally = {"rows": self.rows} if self.rows else {}
        for prefix, array, kept in self._arrays():
            for at in np.argwhere(kept).tolist():
                tally["/".join(map(str, (prefix, *at)))] = int(array[tuple(at)])
        return tally

    def _arrays(self) -> Iterator[tuple[str, Counts, Counts]]:
        """Give each array with the prefix of its keys, and with zeros where it is not kept."""
        arrays = (self.sums, self.products, self.absent, self.lost, self.lost_squares)
        for prefix, array in zip("scmab", arrays, strict=True):
            yield prefix, array, np.triu(array) if prefix in _SYMMETRIC else array

    def correlations(self) -> tuple[NDArray[np.float64], Counts]:
        """Return the correlation of each pair, and of how many rows, both (features, features).

        NaN where one of the two does not vary over the rows that hold both.
        """
        here = np.diag(self.absent)
        n = self.rows - here[:, None] - here[None, :] + self.absent
        first = self.sums[:, None] - self.lost.T
        squares = np.diag(self.products)[:, None] - self.lost_squares.T
        parts: list[NDArray[Any]] = [n, first, squares, self.products]
        if self.rows > _LARGEST_EXACT:
            parts = [part.astype(object) for part in parts]
        rows, first, squares, products = parts
        covariance = (rows * products - first * first.T).astype(np.float64)
        spread = np.sqrt((rows * squares - first**2).astype(np.float64))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.clip(covariance / spread / spread.T, -1, 1), n

    def __add__(self, other: RankCodes) -> RankCodes:
        return self._combine(other, add)

    def __sub__(self, other: RankCodes) -> RankCodes:
        return self._combine(other, sub)

    def _combine(self, other: RankCodes, how: Callable[[Any, Any], Any]) -> RankCodes:
        features = self.features or other.features
        one, two = (side if side.features else RankCodes.empty(features) for side in (self, other))
        if one.features != two.features:
            raise GridMismatchError(
                f"rank codes of the features {one.features} and {two.features} cannot be combined: "
                "count both with one reference"
            )
        pairs = zip(one._arrays(), two._arrays(), strict=True)
        arrays = [how(mine, theirs) for (_, mine, _), (_, theirs, _) in pairs]
        return RankCodes(features, how(one.rows, two.rows), *arrays)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RankCodes):
            return NotImplemented
        mine, theirs = self.to_tally(), other.to_tally()
        return mine == theirs and (self.features == other.features or not mine)

    __hash__ = None  # type: ignore[assignment]


_SYMMETRIC = frozenset("cm")


def coded(grids: Mapping[str, Grid]) -> tuple[str, ...]:
    """Return the features that have codes: the first hundred of numbers; times have none."""
    numeric = [n for n, grid in grids.items() if isinstance(grid, NumericGrid) and not grid.time]
    return tuple(numeric[:MOST_FEATURES])


def encode(grids: Mapping[str, Grid], cells: Mapping[str, Counts], rows: int) -> Codes:
    """Return the codes of rows, shape (rows, features), a column for each of `coded(grids)`.

    Args:
        grids: The grids of all features.
        cells: What each grid's `locate` gave for the rows.
        rows: How many rows there are.
    """
    features = coded(grids)
    codes = np.empty((rows, len(features)), np.int8, order="F")
    for column, name in enumerate(features):
        codes[:, column] = _table(grids[name])[cells[name] - WRONG_KIND]
    return codes


def _table(grid: Grid) -> Codes:
    """Return the code of each cell, after those of the counts that stand apart."""
    joined = grid.coarse(CELLS)
    last = int(joined.max())
    table = np.full(grid.size - WRONG_KIND, ABSENT, np.int8)
    table[-WRONG_KIND:] = 2 * joined - last
    table[NEGATIVE_INFINITY - WRONG_KIND] = -last
    table[POSITIVE_INFINITY - WRONG_KIND] = last
    return table
