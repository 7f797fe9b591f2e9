"""Tallies that add: a dict of counts where it is small, an array of cells where it is not."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, Mapping, ValuesView
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tally = Mapping[str, int]
"""Named integer counts, such as one per cell of a feature. A name that is absent counts 0."""

Tallies = Mapping[str, Tally]
"""The tallies of a pane by name: `feature/<name>`, `score`, `confusion`, `latency_ms`, ..."""

FEWEST = 32
"""A tally of fewer cells is smaller and faster as a dict."""

_SPARSEST = 8
"""One cell in so many has to be filled at least."""

_LARGEST = 2**40
"""With a larger count a tally stays a dict, so that no sum of arrays leaves 64 bits."""

_NUMBERS = {str(cell): cell for cell in range(1000)}
"""The names that are numbers of cells; what has another name is counted apart."""


class Cells(Mapping[str, int]):
    """A tally whose names are mostly numbers of cells; it reads like the dict of the same counts.

    Args:
        counts: The count of each cell, shape (cells,), of integers of any width; not changed.
        apart: The counts under names that are not numbers below 1000.
    """

    __slots__ = ("apart", "counts")

    def __init__(self, counts: NDArray[Any], apart: Tally) -> None:
        self.counts = counts
        self.apart = apart

    def _as_dict(self) -> dict[str, int]:
        filled = np.flatnonzero(self.counts)
        numbers = zip(map(str, filled.tolist()), self.counts[filled].tolist(), strict=True)
        return dict(numbers) | dict(self.apart)

    def __getitem__(self, name: str) -> int:
        cell = _NUMBERS.get(name)
        if cell is None:
            return self.apart[name]
        count = int(self.counts[cell]) if cell < len(self.counts) else 0
        if not count:
            raise KeyError(name)
        return count

    def __iter__(self) -> Iterator[str]:
        return iter(self._as_dict())

    def __len__(self) -> int:
        return int(np.count_nonzero(self.counts)) + len(self.apart)

    def __bool__(self) -> bool:
        return bool(self.apart) or bool(self.counts.any())

    def __repr__(self) -> str:
        return repr(self._as_dict())

    def items(self) -> ItemsView[str, int]:
        """Return the names with their counts."""
        return self._as_dict().items()

    def values(self) -> ValuesView[int]:
        """Return the counts that are not 0."""
        return self._as_dict().values()


def pack(tally: Tally) -> Tally:
    """Return a tally as `Cells` where it has many cells, otherwise as it is."""
    if len(tally) < FEWEST or isinstance(tally, Cells):
        return tally
    cells = _cells(tally)
    if cells is None:
        return tally
    filled = len(tally) - len(cells.apart)
    return cells if filled >= FEWEST and len(cells.counts) <= _SPARSEST * filled else tally


def add_tallies(total: dict[str, Any], tallies: Tallies, sign: int = 1) -> None:
    """Add `tallies` to `total` in place, `sign` times; counts that come to 0 are left out."""
    for name, tally in tallies.items():
        into = total.setdefault(name, {})
        if isinstance(tally, Cells) or isinstance(into, Cells):
            into = total[name] = _summed(into, tally, sign)
        else:
            _add(into, tally, sign)
        if not into:
            del total[name]


def sum_tallies(many: Iterable[Tallies]) -> dict[str, Tally]:
    """Return the sum of many tallies; what `add_tallies` gives, faster."""
    small: dict[str, dict[str, int]] = {}
    large: dict[str, list[Cells]] = {}
    for tallies in many:
        for name, tally in tallies.items():
            if isinstance(tally, Cells):
                large.setdefault(name, []).append(tally)
                continue
            into = small.setdefault(name, {})
            for cell, count in tally.items():
                into[cell] = into.get(cell, 0) + count
    total: dict[str, Tally] = {}
    add_tallies(total, small)
    add_tallies(total, {name: _joined(parts) for name, parts in large.items()})
    return total


def _joined(parts: list[Cells]) -> Cells:
    counts = np.zeros(max(len(part.counts) for part in parts), np.int64)
    apart: dict[str, int] = {}
    for part in parts:
        counts[: len(part.counts)] += part.counts
        _add(apart, part.apart, 1)
    return Cells(counts, apart)


def _add(into: dict[str, int], tally: Tally, sign: int) -> None:
    for cell, count in tally.items():
        value = into.get(cell, 0) + sign * count
        if value:
            into[cell] = value
        else:
            into.pop(cell, None)


def _summed(one: Tally, other: Tally, sign: int) -> Tally:
    """Return `one` plus `sign` times `other`, of which at least one is `Cells`."""
    if sign == 1 and not one:
        return other
    first, second = _cells(one), _cells(other)
    apart = dict(one if first is None or second is None else first.apart)
    if first is None or second is None:
        _add(apart, other, sign)
        return apart
    _add(apart, second.apart, sign)
    counts = np.zeros(max(len(first.counts), len(second.counts)), np.int64)
    counts[: len(first.counts)] = first.counts
    counts[: len(second.counts)] += sign * second.counts
    return Cells(counts, apart)


def _cells(tally: Tally) -> Cells | None:
    """Return any tally as `Cells`, but for one with a count too large for an array."""
    if isinstance(tally, Cells):
        return tally
    apart = {name: tally[name] for name in tally.keys() - _NUMBERS.keys()}
    if apart:
        tally = {name: count for name, count in tally.items() if name not in apart}
    numbers = [_NUMBERS[name] for name in tally]
    values = list(tally.values())
    if values and not -_LARGEST < min(values) <= max(values) < _LARGEST:
        return None
    counts = np.zeros(max(numbers, default=-1) + 1, np.int64)
    counts[numbers] = values
    return Cells(counts, apart)
