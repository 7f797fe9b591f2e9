"""A profile: the distributions of all features over the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from numbers import Real
from typing import Any

from mlwatch.errors import DataError, GridMismatchError
from mlwatch.profile.codes import CODES, RankCodes, coded, encode
from mlwatch.profile.distribution import Distribution, coerce_counts
from mlwatch.profile.grid import Grid, NumericGrid
from mlwatch.profile.values import APART, listed, require_column
from mlwatch.records import Tallies, Tally

PREFIX = "feature/"
"""The tally of a feature in a pane is named by this and the feature's name."""


@dataclass(frozen=True, eq=False)
class Profile:
    """The distributions of all features over the same rows; profiles of one reference add.

    `profile(a) + profile(b) == profile(a then b)`, to the integer.

    Args:
        rows: How many rows were counted.
        distributions: By feature name.
        codes: Sums of the numeric features' rank codes, for their correlations. Counts made
            elsewhere have none: then `codes.rows` is less than `rows`.
    """

    rows: int
    distributions: Mapping[str, Distribution]
    codes: RankCodes = field(default_factory=RankCodes)

    @classmethod
    def count(cls, grids: Mapping[str, Grid], frame: Mapping[str, Any] | Any) -> Profile:
        """Count a DataFrame, or a mapping of arrays of equal length, on `grids`.

        Columns that no grid is for are left out.

        Raises:
            DataError: A column is missing, or the columns are of unequal length.
        """
        if not hasattr(frame, "keys"):
            raise DataError(
                f"data of type {type(frame).__name__}: give a DataFrame or a mapping of arrays"
            )
        present = set(frame.keys())
        absent = [name for name in grids if name not in present]
        if absent:
            raise DataError(
                f"missing column(s) {', '.join(map(repr, absent))}: the reference was fitted on "
                f"{', '.join(map(repr, grids))}"
            )
        for name in grids:
            require_column(name, frame[name])
        lengths = {name: len(frame[name]) for name in grids}
        if len(set(lengths.values())) > 1:
            raise DataError(f"columns of unequal length: {lengths}")
        rows = next(iter(lengths.values()), 0)
        cells = {name: grid.locate(listed(frame[name])) for name, grid in grids.items()}
        found = {n: Distribution.from_cells(n, grid, cells[n]) for n, grid in grids.items()}
        return cls(rows, found, RankCodes.count(coded(grids), encode(grids, cells, rows)))

    @classmethod
    def from_counts(
        cls,
        like: Profile,
        counts: Mapping[str, Mapping[Any, int] | Sequence[int]],
        *,
        rows: int | None = None,
    ) -> Profile:
        """Make a profile of counts made elsewhere, such as by SQL or Spark.

        Args:
            like: A profile on the same grids, such as `reference.profile`.
            counts: By feature. For categories a mapping of category to count. For numbers the
                counts of all cells in order, or a mapping of cell number to count; cells are
                those of `numpy.searchsorted(grid.edges, x, side="right")`. None counts missing
                values, and for numbers "nan", "+inf", "-inf" and "wrong_kind" what they name.
            rows: How many rows were counted; taken from the largest feature when not given.

        Raises:
            DataError: A feature is unknown or has another number of cells, or a count is not a
                whole number from 0 up.
        """
        found = {}
        for name, distribution in like.distributions.items():
            if name not in counts:
                raise DataError(f"no counts of feature {name!r}: give them, or an empty mapping")
            found[name] = Distribution.from_tally(
                name, distribution.grid, _as_tally(name, distribution.grid, counts[name])
            )
        unknown = [name for name in counts if name not in like.distributions]
        if unknown:
            raise DataError(
                f"counts of unknown feature(s) {', '.join(map(repr, unknown))}: the reference has "
                f"{', '.join(map(repr, like.distributions))}"
            )
        totals = [distribution.total for distribution in found.values()]
        return cls(max(totals, default=0) if rows is None else rows, found)

    @classmethod
    def from_tallies(cls, grids: Mapping[str, Grid], tallies: Tallies, rows: int) -> Profile:
        """Read the features' tallies of panes."""
        return cls(
            rows,
            {
                name: Distribution.from_tally(name, grid, tallies.get(PREFIX + name, {}))
                for name, grid in grids.items()
            },
            RankCodes.from_tally(coded(grids), tallies.get(CODES, {})),
        )

    def to_tallies(self) -> dict[str, Tally]:
        """Return the features' tallies as panes keep them."""
        found: dict[str, Tally] = {
            PREFIX + name: each.to_tally() for name, each in self.distributions.items()
        }
        codes = self.codes.to_tally()
        return found | {CODES: codes} if codes else found

    @property
    def grids(self) -> dict[str, Grid]:
        """The grid of each feature."""
        return {name: distribution.grid for name, distribution in self.distributions.items()}

    def distribution(self, name: str) -> Distribution:
        """Return the distribution of one feature.

        Raises:
            DataError: There is no such feature.
        """
        if name not in self.distributions:
            known = ", ".join(map(repr, self.distributions))
            raise DataError(f"no feature {name!r}: there is {known}")
        return self.distributions[name]

    def __add__(self, other: Profile) -> Profile:
        self._require_same_features(other)
        return Profile(
            self.rows + other.rows,
            {name: mine + other.distributions[name] for name, mine in self.distributions.items()},
            self.codes + other.codes,
        )

    def __sub__(self, other: Profile) -> Profile:
        self._require_same_features(other)
        return Profile(
            self.rows - other.rows,
            {name: mine - other.distributions[name] for name, mine in self.distributions.items()},
            self.codes - other.codes,
        )

    def _require_same_features(self, other: Profile) -> None:
        if set(self.distributions) != set(other.distributions):
            differ = set(self.distributions) ^ set(other.distributions)
            raise GridMismatchError(
                f"profiles of different features cannot be combined: {sorted(differ)}"
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Profile):
            return NotImplemented
        same = self.rows == other.rows and self.codes == other.codes
        return same and dict(self.distributions) == dict(other.distributions)

    __hash__ = None  # type: ignore[assignment]


def _as_tally(name: str, grid: Grid, given: Mapping[Any, int] | Sequence[int]) -> dict[str, int]:
    counts = given.values() if isinstance(given, Mapping) else given
    wrong = [count for count in counts if not _is_count(count)]
    if wrong:
        raise DataError(f"a count of {wrong[0]!r} in feature {name!r}: counts are whole, from 0 up")
    if isinstance(given, Mapping):
        tally = coerce_counts(grid, given)
    elif isinstance(grid, NumericGrid):
        if len(given) != grid.size:
            raise DataError(
                f"{len(given)} counts of feature {name!r}, which has {grid.size} cells: count with "
                "numpy.bincount(..., minlength=grid.size), or give a mapping of cell to count"
            )
        tally = coerce_counts(grid, dict(enumerate(given)))
    else:
        raise DataError(f"counts of the categorical feature {name!r} must be a mapping by category")
    known = {str(cell) for cell in range(grid.size)} | set(APART.values())
    odd = sorted(set(tally) - known)
    if odd:
        raise DataError(
            f"feature {name!r} has cells 0 to {grid.size - 1}; there is no cell {odd[0]!r}"
        )
    return tally


def _is_count(value: object) -> bool:
    return isinstance(value, Real | Decimal) and float(value).is_integer() and float(value) >= 0
