"""Scores: what one pane of coarse counts says of a feature, in a few numbers near 0."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlwatch.profile import CategoricalGrid, Distribution, NumericGrid
from mlwatch.profile.coarse import Counts, coarse_cells, condense
from mlwatch.records import join_key

Scores = NDArray[np.float64]

VALUES, ABSENT, UNSEEN = "values", "absent", "unseen"
"""What is watched of a feature: how its values are spread, how many are absent or unseen."""

_NEARLY_ALL = 0.9
_FEW = 2  # so few values of a number are watched one by one, as categories are


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """One thing that is watched of one feature.

    Args:
        feature: The feature, or "prediction".
        group: "values", "absent" or "unseen".
        names: What each score speaks of, m of them.
        score: Coarse counts of panes, shape (panes, k + 1), in; scores, shape (panes, m), out.
            Each has a mean near 0 and, were rows independent, a variance near 1 / rows.
        rows: Coarse counts of panes in; how many rows the scores of each rest on.
        ordered: Whether the cells have an order, as those of numbers do.
    """

    feature: str
    group: str
    names: tuple[str, ...]
    score: Callable[[Counts], Scores]
    rows: Callable[[Counts], Counts]
    ordered: bool = False

    @property
    def key(self) -> str:
        """Return what the stream is known by."""
        return join_key(self.group, self.feature)

    def beyond(self, panes: Counts) -> NDArray[np.bool_]:
        """Return of which panes nearly all rows lie beyond the outermost points of the reference.

        Ranks end where the reference does: they cannot tell its edge from what lies far beyond.
        """
        if not self.ordered:
            return np.zeros(len(panes), np.bool_)
        found: NDArray[np.bool_] = panes[:, 0] + panes[:, -2] > _NEARLY_ALL * self.rows(panes)
        return found


def streams(reference: Distribution) -> Iterator[Stream]:
    """Return what is to be watched of a feature."""
    counts = condense(reference)
    yield _values(reference, counts)
    yield Stream(
        reference.name,
        ABSENT,
        ("missing values",),
        lambda panes: _arcsine(panes[:, -1:], _total(panes), counts[-1:] / max(1, counts.sum())),
        _total,
    )
    if isinstance(reference.grid, CategoricalGrid):
        yield Stream(
            reference.name,
            UNSEEN,
            ("unknown values",),
            lambda panes: _arcsine(
                panes[:, -2:-1], _present(panes), counts[-2:-1] / max(1, counts[:-1].sum())
            ),
            _present,
        )


def _values(reference: Distribution, counts: Counts) -> Stream:
    mass = counts[:-1].astype(np.float64)
    if isinstance(reference.grid, NumericGrid) and len(reference.grid.points) > _FEW:
        weights = rank_weights(mass)
        return Stream(
            reference.name,
            VALUES,
            ("higher", "wider")[: weights.shape[1]],
            lambda panes: panes[:, :-1] @ weights / _present(panes)[:, None],
            _present,
            ordered=True,
        )
    shares = mass / max(1.0, mass.sum())
    return Stream(
        reference.name,
        VALUES,
        tuple(_names(reference, len(mass))),
        lambda panes: _arcsine(panes[:, :-1], _present(panes), shares),
        _present,
    )


def rank_weights(mass: Scores) -> Scores:
    """Return the weights of cells in the scores of location and scale, shape (k, 2 or 1).

    The Legendre polynomials sqrt(3)(2u - 1) and sqrt(5)(6u^2 - 6u + 1) of the mid-ranks u of the
    reference (Neyman's smooth test, 1937), centred and scaled so that on the reference each has a
    mean of 0 and a variance of 1. Two cells have no scale beside their location.
    """
    share = mass / mass.sum()
    u = np.cumsum(share) - share / 2
    weights: list[Scores] = []
    for wave in (2 * u - 1, 6 * u * u - 6 * u + 1):
        centred = wave - (share * wave).sum()
        for other in weights:
            centred = centred - other * (share * centred * other).sum()
        spread = np.sqrt((share * centred**2).sum())
        if spread > 1e-9:
            weights.append(centred / spread)
    return np.column_stack(weights)


def _arcsine(k: Counts, rows: Counts, shares: Scores) -> Scores:
    """Return how far shares lie from those of the reference, on the scale where they vary alike.

    2 arcsin(sqrt(p)) has a variance of 1 / rows whatever p is (Anscombe, 1948).
    """
    found = np.sqrt(k / np.maximum(rows, 1)[:, None])
    return 2 * (np.arcsin(np.minimum(found, 1.0)) - np.arcsin(np.sqrt(shares)))


def _total(panes: Counts) -> Counts:
    total: Counts = panes.sum(axis=1)
    return total


def _present(panes: Counts) -> Counts:
    present: Counts = panes[:, :-1].sum(axis=1)
    return present


def _names(reference: Distribution, cells: int) -> list[str]:
    """Name coarse cells: frequent categories, rare ones and others, or the values of a number."""
    grid = reference.grid
    if isinstance(grid, NumericGrid):
        return _around(grid)
    names = [*["rare values"] * (cells - 1), "other values"]
    joined = coarse_cells(grid)
    for category, cell in zip(grid.categories, joined, strict=False):
        if (joined == cell).sum() == 1:
            names[cell] = f"rows of {category!r}"
    return names


def _around(grid: NumericGrid) -> list[str]:
    """Name each cell of a grid of few points."""
    if not len(grid.points):
        return ["values"]
    shown = [_shown(point, time=grid.time) for point in grid.points.tolist()]
    names = ["values in between"] * grid.size
    names[0], names[-1] = f"values below {shown[0]}", f"values above {shown[-1]}"
    names[1::2] = [f"rows of {value}" for value in shown]
    return names


def _shown(point: float, *, time: bool) -> str:
    """Return a point so that no other is shown alike."""
    if time:
        return str(np.datetime64(int(point), "us")).removesuffix(".000000")
    return str(int(point)) if point == int(point) else repr(point)
