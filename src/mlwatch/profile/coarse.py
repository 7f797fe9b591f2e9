"""Coarse counts of hours: all that detectors with a memory look at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlwatch.profile.distribution import Distribution
from mlwatch.profile.grid import Grid, NumericGrid
from mlwatch.profile.values import NEGATIVE_INFINITY, POSITIVE_INFINITY, Values
from mlwatch.records import Pane, Tally
from mlwatch.spans import HOUR, floor

CELLS = 16
"""The most coarse cells of a feature; numbers have one more at either end, categories one more."""

_FEWEST_TO_COMPARE = 3  # days
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ABSENT = "absent"

Counts = NDArray[np.int64]


def condense(distribution: Distribution) -> Counts:
    """Return a distribution as coarse counts, shape (k + 1,): the last counts what is absent.

    Absent is what cannot be compared: missing values, NaN and values of a wrong kind.
    """
    absent = distribution.absent + distribution.wrong_kind
    return np.append(distribution.merged(coarse_cells(distribution.grid)), absent)


def coarse_cells(grid: Grid) -> NDArray[np.intp]:
    """Return which coarse cell each cell of a grid joins.

    What lies beyond all that the reference has of a number has a cell of its own at either end.
    Few reference rows lie there, or none, so that in cells of equal mass a window far outside of
    the reference would look like one at its edge. A grid of so few points that its cells are no
    more than that keeps them all.

    The last cell of categories holds what is outside of the vocabulary, and nothing else.
    """
    joined = grid.coarse(CELLS)
    if isinstance(grid, NumericGrid):
        if grid.size <= CELLS + 2:
            return np.arange(grid.size)
        below, above = grid.outside
        joined[below], joined[above] = -1, CELLS
    elif grid.size > CELLS:
        joined[-1] = CELLS
    return np.unique(joined, return_inverse=True)[1]


def place(grid: Grid, values: Values) -> tuple[NDArray[np.intp], int]:
    """Return the place of each value in the coarse counts of its feature, and their length."""
    joined = coarse_cells(grid)
    last = int(joined.max())
    cells = grid.locate(values)
    places = np.where(cells >= 0, joined[np.maximum(cells, 0)], last + 1)
    places[cells == NEGATIVE_INFINITY] = 0
    places[cells == POSITIVE_INFINITY] = last
    return places, last + 2


def to_tally(counts: Counts) -> dict[str, int]:
    """Return coarse counts as a pane keeps them."""
    tally = {str(cell): int(n) for cell, n in enumerate(counts[:-1]) if n}
    return tally | ({_ABSENT: int(counts[-1])} if counts[-1] else {})


def from_tally(tally: Tally, cells: int) -> Counts:
    """Read what `to_tally` gave, for a feature of so many coarse cells."""
    counts = np.zeros(cells + 1, np.int64)
    for cell, n in tally.items():
        counts[-1 if cell == _ABSENT else int(cell)] += n
    return counts


@dataclass(frozen=True, eq=False)
class History:
    """Coarse counts of panes of one span, in order of time.

    Args:
        span: The length of a pane.
        starts: When each pane starts, shape (panes,).
        counts: By feature, shape (panes, k + 1).
    """

    span: timedelta
    starts: tuple[datetime, ...]
    counts: Mapping[str, Counts]

    @classmethod
    def of_panes(cls, panes: Iterable[Pane], cells: Mapping[str, int]) -> History:
        """Read the panes that were kept, of features with so many coarse cells."""
        rows = sorted(panes, key=lambda pane: pane.time)
        return cls(
            HOUR,
            tuple(pane.time for pane in rows),
            {
                name: np.array(
                    [from_tally(pane.tallies.get(name, {}), k) for pane in rows], np.int64
                ).reshape(len(rows), k + 1)
                for name, k in cells.items()
            },
        )

    @classmethod
    def of_rows(
        cls, hours: NDArray[np.int64], columns: Mapping[str, tuple[NDArray[np.intp], int]]
    ) -> History:
        """Count rows by the hour.

        Args:
            hours: The hour of each row since the epoch, shape (n,).
            columns: By feature the place of each row in its coarse counts (negative: the row is
                not counted), shape (n,), and their length.
        """
        found, rows = np.unique(hours, return_inverse=True)
        counts = {}
        for name, (places, size) in columns.items():
            counted = places >= 0
            flat = rows[counted] * size + places[counted]
            counts[name] = np.bincount(flat, minlength=len(found) * size).reshape(-1, size)
        return cls(HOUR, tuple(_EPOCH + hour * HOUR for hour in found.tolist()), counts)

    def to_plain(self) -> dict[str, Any]:
        """Return the counts as JSON-able values: a line of text for each pane of a feature."""
        return {
            "starts": [start.isoformat() for start in self.starts],
            "counts": {
                name: [" ".join(map(str, row)) for row in rows.tolist()]
                for name, rows in self.counts.items()
            },
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> History:
        """Read what `to_plain` gave of hours."""
        counts = {
            name: np.array([row.split() for row in rows], dtype=np.int64)
            for name, rows in plain["counts"].items()
        }
        return cls(HOUR, tuple(map(datetime.fromisoformat, plain["starts"])), counts)

    def merged(self, span: timedelta) -> History:
        """Return the same counts in longer panes."""
        into = [floor(start, span) for start in self.starts]
        starts = sorted(set(into))
        index = {start: place for place, start in enumerate(starts)}
        places = [index[start] for start in into]
        counts = {}
        for name, rows in self.counts.items():
            counts[name] = np.zeros((len(starts), rows.shape[1]), np.int64)
            np.add.at(counts[name], places, rows)
        return History(span, tuple(starts), counts)

    def without(self, days: Iterable[str]) -> History:
        """Return the history without the days of these ISO dates."""
        bad = set(days)
        kept = [i for i, start in enumerate(self.starts) if day_of(start) not in bad]
        starts = tuple(self.starts[i] for i in kept)
        return History(self.span, starts, {name: n[kept] for name, n in self.counts.items()})

    def of_whole_days(self) -> History:
        """Return the history without a first and a last day that the data cut short.

        That is a first day that begins later in the day than every other, and a last day that
        ends earlier: a service that sleeps at night, or gives dates alone, has whole days too.
        """
        hours: dict[str, list[int]] = {}
        for day, start in zip(self.days, self.starts, strict=True):
            hours.setdefault(day, []).append(start.hour)
        days = list(hours)
        if len(days) < _FEWEST_TO_COMPARE:
            return self
        begins, ends = ([of(hours[day]) for day in days] for of in (min, max))
        cut = days[:1] * (begins[0] > max(begins[1:])) + days[-1:] * (ends[-1] < min(ends[:-1]))
        return self.without(cut)

    @property
    def days(self) -> tuple[str, ...]:
        """The ISO date of each pane."""
        return tuple(day_of(start) for start in self.starts)


def day_of(time: datetime) -> str:
    """Return the UTC day of a moment, as an ISO date."""
    return time.astimezone(UTC).date().isoformat()
