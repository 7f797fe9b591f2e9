"""Where values fall: the cells of one feature, cut once on the reference."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mlwatch.errors import DataError
from mlwatch.profile.values import (
    EXACT,
    MISSING,
    Values,
    as_array,
    as_floats,
    as_micros,
    as_points,
    category,
    kinds,
    listed,
    numbers,
    set_apart,
)
from mlwatch.records import digest

POINTS = 255
"""Most points of a numeric grid (equi-mass quantiles of the reference)."""

VOCABULARY = 1000
"""Most categories of a categorical grid; the rest is pooled."""

_POOLED_SHARE = 0.01

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class NumericGrid:
    """A cell for each point and each gap between points: gap, point, gap, ..., point, gap.

    Up to `POINTS` distinct values all are points and every rank statistic is exact; beyond, the
    points are equi-mass quantiles (type 1, so that they are values of the reference) and ALL
    reference rows are counted into the cells, which brackets the statistic.

    A point cell is the right-open interval from the point to the next number of the dtype, so
    that `numpy.searchsorted(side="right")` and SQL's `width_bucket` on the edges count alike.

    Args:
        points: Sorted and distinct, of the reference's own dtype (float64, float32 or int64),
            shape (m,). Values are cast to that dtype before they are placed.
        mass: Reference rows in each cell, shape (2m + 1,).
        time: The values are times, in microseconds since the epoch.
    """

    points: NDArray[Any]
    mass: Counts
    time: bool = False

    kind = "numeric"

    @classmethod
    def fit(
        cls,
        values: Values,
        *,
        time: bool = False,
        points: int = POINTS,
        more: NDArray[np.float64] | None = None,
    ) -> NumericGrid:
        """Cut a grid on reference values; what is not a finite number is left out.

        Args:
            values: The values, shape (n,).
            time: Whether they are times.
            points: The most points that are taken of them.
            more: Points beside these, where later values may lie and those of now do not.
        """
        found, codes = numbers(values, time=time)
        finite = found[codes == 0]
        finite = np.sort(finite if finite.dtype.kind in "fi" else finite.astype(np.float64))
        distinct = np.unique(finite)
        if len(distinct) > points:
            ranks = np.ceil(np.arange(1, points + 1) / (points + 1) * len(finite)).astype(int) - 1
            distinct = np.unique(finite[ranks])
        if more is not None:
            distinct = np.union1d(distinct, more)
        empty = cls(distinct, np.zeros(2 * len(distinct) + 1, np.int64), time)
        cells = empty.locate(values)
        return cls(distinct, np.bincount(cells[cells >= 0], minlength=empty.size), time)

    @property
    def size(self) -> int:
        """The number of cells."""
        return 2 * len(self.points) + 1

    @cached_property
    def edges(self) -> NDArray[Any]:
        """Each point and the next number of the dtype after it, shape (2m,).

        The cell of x is `numpy.searchsorted(edges, x, side="right")`, or SQL's `width_bucket`.
        After the largest integer of 64 bits there is none, and the last edge is left out.
        """
        return edges_of(self.points)

    @cached_property
    def _float_edges(self) -> NDArray[np.float64] | None:
        """The edges for floats among integer points; None where float64 cannot hold the points."""
        points = self.points
        exact = ((points >= -EXACT) & (points <= EXACT)).all()
        return edges_of(points.astype(np.float64)) if exact else None

    def locate(self, values: Values) -> Counts:
        """Return the cell of each value, or the negative code of the count it belongs to."""
        array = as_array(values)
        cells = None if array is None else self._search(array)
        return self.locate_each(values) if cells is None else cells

    def _search(self, array: NDArray[Any]) -> Counts | None:
        """Locate a whole array by one search; None where its values must be placed one by one."""
        kind, dtype = array.dtype.kind, self.points.dtype
        if self.time != (kind == "M") or kind not in "iufbM":
            return None
        if kind == "M":
            cells = np.searchsorted(self.edges, as_micros(array), side="right")
            cells[np.isnat(array)] = MISSING
            return cells
        if kind == "f":
            array = array if array.dtype == np.float32 else array.astype(np.float64, copy=False)
            edges = self._float_edges if dtype == np.int64 else self.edges
            if edges is None:
                return None
            cells = np.searchsorted(edges, as_floats(array, edges.dtype), side="right")
            return set_apart(cells, array)
        if dtype != np.int64:
            return np.searchsorted(self.edges, as_floats(array, dtype), side="right")
        if array.dtype == np.uint64:
            return None
        return np.searchsorted(self.edges, array.astype(np.int64, copy=False), side="right")

    def locate_each(self, values: Values) -> Counts:
        """Return what `locate` does, for values of any mixture: slower, and what defines it."""
        found, codes = numbers(values, time=self.time)
        points = self.points
        found, held = as_points(found, points.dtype)
        below = np.searchsorted(points, found, side="right")
        if len(points):
            on_point = (below > 0) & (points[below - 1] == found) & held
            below = 2 * below - on_point
        return np.where(codes == 0, below, codes)

    def coarse(self, k: int) -> NDArray[np.intp]:
        """Return which of at most `k` cells of about equal reference mass each cell joins."""
        total = self.mass.sum()
        if total == 0:
            return np.zeros(self.size, np.intp)
        middle = np.cumsum(self.mass) - self.mass / 2
        joined = np.minimum((middle / total * k).astype(int), k - 1)
        return np.unique(joined, return_inverse=True)[1]

    @cached_property
    def outside(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which cells lie below, and which above, all that the reference has, each (size,).

        The outermost cell is one of them, where few values of the reference lie, or none.
        """
        below, above = np.cumsum(self.mass) == 0, np.cumsum(self.mass[::-1])[::-1] == 0
        below[0] = above[-1] = True
        return below, above

    @cached_property
    def fingerprint(self) -> str:
        """A digest of what the cells are; counts of another fingerprint must not be added."""
        return digest(msgspec.json.encode(self.to_plain()))

    def to_plain(self) -> dict[str, Any]:
        """Return the grid as JSON-able values; `grid_from_plain` reads them bit for bit."""
        return {
            "kind": self.kind,
            "dtype": str(self.points.dtype),
            "time": self.time,
            "points": self.points.tolist(),
            "mass": self.mass.tolist(),
        }


@dataclass(frozen=True, eq=False)
class CategoricalGrid:
    """A cell for each category of the vocabulary, and a last one for everything else.

    Args:
        categories: The vocabulary, most frequent first: texts, numbers or booleans.
        mass: Reference rows in each cell, shape (k + 1,). The last counts rows of categories that
            were too rare for the vocabulary.
        outside: How many of as many fresh rows are expected in the last cell, and the variance
            of that estimate; None where `mass` was counted on other rows than those that chose
            the vocabulary, so that its last cell says it.
    """

    categories: tuple[Hashable, ...]
    mass: Counts
    outside: tuple[int, int] | None = None

    kind = "categorical"

    @classmethod
    def fit(
        cls, values: Values, *, min_count: int = 10, vocabulary: int = VOCABULARY
    ) -> CategoricalGrid:
        """Choose the vocabulary from reference values and count them.

        Categories seen fewer than `min_count` times are pooled and never written down. Where
        more than 1% of the rows are pooled, the vocabulary is chosen on one half of the rows and
        counted on the other: counted on the rows it was chosen on, the pooled cell would be too
        small and every window would seem to hold too much of it.
        """
        pairs = _as_categories(values)
        counts = _seen(pairs)
        categories = _vocabulary(counts, min_count, vocabulary)
        outside: tuple[int, int] | None = _expected_outside(counts, categories, min_count)
        seen = sum(counts.values())
        if seen - sum(counts[name] for name in categories) > _POOLED_SHARE * seen:
            choosing, counted = halves(len(pairs))
            categories = _vocabulary(_seen([pairs[i] for i in choosing]), min_count, vocabulary)
            pairs, outside = [pairs[i] for i in counted], None
        empty = cls(categories, np.zeros(len(categories) + 1, np.int64))
        cells = empty.locate([name for name, code in pairs if code == 0])
        return cls(categories, np.bincount(cells, minlength=empty.size), outside)

    @property
    def size(self) -> int:
        """The number of cells."""
        return len(self.categories) + 1

    @cached_property
    def _index(self) -> dict[Hashable, int]:
        cells: dict[Hashable, int] = {name: index for index, name in enumerate(self.categories)}
        return cells | {None: MISSING}

    def locate(self, values: Values) -> Counts:
        """Return the cell of each value, or the negative code of the count it belongs to."""
        index, other = self._index, len(self.categories)
        values = _as_objects(values)
        if _are_plain(values):
            return np.fromiter(map(index.get, values, repeat(other)), np.int64, len(values))
        pairs = map(category, values)
        return np.array([code or index.get(name, other) for name, code in pairs], dtype=np.int64)

    def coarse(self, k: int) -> NDArray[np.intp]:
        """Return for each cell which of at most `k` cells it joins: the rarest share the last."""
        cells = np.arange(self.size)
        if self.size <= k:
            return cells
        rank = np.empty(self.size, np.intp)
        rank[np.argsort(-self.mass[:-1], kind="stable")] = cells[:-1]
        rank[-1] = k - 1
        return np.minimum(rank, k - 1)

    @cached_property
    def fingerprint(self) -> str:
        """A digest of what the cells are; counts of another fingerprint must not be added."""
        return digest(msgspec.json.encode(self.to_plain()))

    def to_plain(self) -> dict[str, Any]:
        """Return the grid as JSON-able values; `grid_from_plain` reads them bit for bit."""
        return {
            "kind": self.kind,
            "categories": list(self.categories),
            "mass": self.mass.tolist(),
            "outside": self.outside,
        }


Grid = NumericGrid | CategoricalGrid


def fit_grid(name: str, column: Any, *, min_count: int = 10) -> Grid:
    """Cut the grid of one column by its kind.

    Numbers and times become numeric grids; texts, booleans, pandas categories and mixtures
    become categorical ones.

    Raises:
        DataError: The column holds values that cannot be compared, such as lists.
    """
    values = listed(column)
    if isinstance(values, np.ndarray) and values.dtype.kind != "b":
        return NumericGrid.fit(values, time=values.dtype.kind == "M")
    found = {"category"} if isinstance(values, np.ndarray) else kinds(values)
    if "other" in found:
        odd = next(value for value in values if kinds([value]) == {"other"})
        raise DataError(
            f"feature {name!r} holds values of type {type(odd).__name__}, which cannot be counted: "
            "leave the column out, or turn it into numbers, texts, booleans or times"
        )
    is_category_dtype = type(getattr(column, "dtype", None)).__name__ == "CategoricalDtype"
    if not is_category_dtype and found <= {"number"}:
        return NumericGrid.fit(values)
    if not is_category_dtype and found == {"time"}:
        return NumericGrid.fit(values, time=True)
    return CategoricalGrid.fit(values, min_count=min_count)


def grid_from_plain(plain: Mapping[str, Any]) -> Grid:
    """Read what `to_plain` gave."""
    mass = np.array(plain["mass"], dtype=np.int64)
    if plain["kind"] == "numeric":
        points = np.array(plain["points"], dtype=np.dtype(plain["dtype"]))
        return NumericGrid(points, mass, bool(plain["time"]))
    given = plain["outside"]
    outside = None if given is None else (int(given[0]), int(given[1]))
    return CategoricalGrid(tuple(plain["categories"]), mass, outside)


def edges_of(points: NDArray[Any]) -> NDArray[Any]:
    """Return each point and the next number of its dtype; no edge after the largest integer."""
    if points.dtype == np.int64:
        after = points + (points < np.iinfo(np.int64).max)
    else:
        with np.errstate(over="ignore"):
            after = np.nextafter(points, np.array(np.inf, points.dtype))
    edges = np.column_stack([points, after]).ravel()
    return edges[:-1] if len(points) and after[-1] == points[-1] else edges


def halves(rows: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows that choose the vocabulary of many rare categories, and those counted."""
    shuffled = np.random.default_rng(0).permutation(rows)
    return shuffled[: rows // 2], shuffled[rows // 2 :]


def _as_objects(values: Values) -> Sequence[Any]:
    if isinstance(values, np.ndarray):
        return list(values) if values.dtype.kind == "M" else values.tolist()
    return values


def _are_plain(values: Sequence[Any]) -> bool:
    """Return True for values of which each but None is its own category."""
    return set(map(type, values)) <= {str, bool, int, type(None)}


def _as_categories(values: Values) -> list[tuple[Hashable, int]]:
    values = _as_objects(values)
    if _are_plain(values):
        return [(value, 0 if value is not None else MISSING) for value in values]
    return [category(value) for value in values]


def _seen(pairs: Sequence[tuple[Hashable, int]]) -> dict[Hashable, int]:
    counts: dict[Hashable, int] = {}
    for name in (name for name, code in pairs if code == 0):
        counts[name] = counts.get(name, 0) + 1
    return counts


def _vocabulary(counts: Mapping[Hashable, int], min_count: int, most: int) -> tuple[Hashable, ...]:
    """Return the categories that are frequent enough, most frequent first."""
    frequent = [name for name, count in counts.items() if count >= min_count]
    frequent.sort(key=lambda name: (-counts[name], str(name)))
    return tuple(frequent[:most])


def _expected_outside(
    counts: Mapping[Hashable, int], chosen: Collection[Hashable], min_count: int
) -> tuple[int, int]:
    """Return how many of as many fresh rows no chosen category will hold, and the variance of it.

    Good and Turing (Good, 1953): a category seen j times holds (j + 1) f(j + 1) / f(j) of as many
    fresh rows, where f(j) is how many were seen j times. For those seen fewer than m times this
    adds up to the rows of those seen at most m times. Its error has the variance of that sum and
    m (m + 1) f(m + 1) more; with m = 1 this is f(1) + 2 f(2) (Esty, 1983).
    """
    left_out = counts.keys() - set(chosen)
    m = max(min_count, 1 + max((counts[name] for name in left_out), default=0))
    rows = sum(count for count in counts.values() if count <= m)
    return rows, rows + m * (m + 1) * sum(count == m + 1 for count in counts.values())
