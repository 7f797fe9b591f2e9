"""The Polya-urn e-detector: do the counts of a stream still come from where the reference came?

The masses of cells cut at fixed ranks of a reference are Dirichlet, with its counts as parameters,
whatever the distribution (Wilks, 1962). So the cells of the rows that follow are drawn from a
Polya urn: the next falls into cell i with probability (a_i + C_i) / (A + t), where C counts the t
rows so far. The null is one known law although the distribution is unknown and the reference
finite; this is the test of exchangeability of Vovk, Nouretdinov and Gammerman (2003), in counts.
Each pane is bet on by laws chosen before it is seen, and the Shiryaev-Roberts recursion sums over
the panes in which a change may have begun (Shin, Ramdas and Rinaldo, 2024).

The rows seen are absorbed into the urn. A detector that takes the reference for the truth spends
its budget many times over as soon as the stream has as many rows as the reference; the price is
that a change is one from the reference and the rows so far.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlwatch.errors import GridMismatchError
from mlwatch.sequential.shiryaev_roberts import (
    NOTHING,
    advance,
    log_from_plain,
    log_to_plain,
    weighted,
)

LEAST_MASS = 5
"""Reference rows that a merged cell has at least."""

HALF_LIVES = (3.0, 24.0)
"""Panes after which a row counts half in the two laws that follow the recent counts."""

_PRIOR = 50.0  # rows with which the urn's law is mixed into the recent counts
_RECENT_WEIGHT = 0.3

_NUMERIC = (0.05, 0.12, 0.3, 0.7)
_CATEGORICAL = (0.15, 0.5, 1.2)
_ERRORS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)


@dataclass(frozen=True, slots=True, eq=False)
class EState:
    """What an `EDetector` has seen.

    Args:
        absorbed: Rows by cell that the urn has absorbed, int64, shape (cells,).
        log_m: The log of M for each bet, shape (bets,).
        recent: Rows by cell, older panes counting less, shape (half-lives, cells).
    """

    absorbed: NDArray[np.int64]
    log_m: NDArray[np.float64]
    recent: NDArray[np.float64]

    def to_plain(self) -> dict[str, Any]:
        """Return the state as lists of numbers and None, for JSON."""
        return {
            "absorbed": self.absorbed.tolist(),
            "log_m": log_to_plain(self.log_m),
            "recent": self.recent.tolist(),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> EState:
        """Return the state that `to_plain` wrote, to the last bit."""
        absorbed = np.array(plain["absorbed"], np.int64)
        recent = np.array(plain["recent"], np.float64).reshape(-1, len(absorbed))
        return cls(absorbed, np.array(log_from_plain(plain["log_m"]), np.float64), recent)


@dataclass(frozen=True, slots=True, eq=False)
class EDetector:
    """Gather evidence, pane by pane, that the counts no longer follow the reference and the past.

    Make one by `numeric`, `categorical` or `errors`. With an alarm and a `reset` whenever the
    evidence reaches log(1 / alpha), the expected number of false alarms in T panes is at most
    alpha T, for rows that are independent of each other (exchangeable); with F detectors at
    log(F / alpha), that of all together.

    Args:
        mass: Rows of the reference by merged cell, at least 5 each (of errors, any number); one
            more for the last of ordered cells, since n points leave n + 1 gaps. Shape (cells,).
        joined: The merged cell that each coarse cell went to, shape (k,).
        tilts: Logs by which bets lean away from the urn's law, shape (T, cells).
        half_lives: Panes, one for each bet that follows the recent counts instead.
    """

    mass: NDArray[np.float64]
    joined: NDArray[np.intp]
    tilts: NDArray[np.float64]
    half_lives: tuple[float, ...] = HALF_LIVES

    @classmethod
    def numeric(cls, counts: ArrayLike) -> EDetector:
        """Watch cells in order, for changes of location and of spread.

        The tilts are the first two Legendre polynomials on the mid-ranks.

        Args:
            counts: Rows of the reference by coarse cell, in order, shape (k,).
        """
        rows = np.asarray(counts, np.int64)
        joined = _join_neighbours(rows)
        mass = _merge(rows, joined).astype(np.float64)
        mass[-1] += 1
        rank = (np.cumsum(mass) - mass / 2) / mass.sum()
        location = math.sqrt(3) * (2 * rank - 1)
        scale = math.sqrt(5) * (6 * rank**2 - 6 * rank + 1)
        return cls(mass, joined, _tilts([location, scale], _both_ways(_NUMERIC)))

    @classmethod
    def categorical(cls, counts: ArrayLike) -> EDetector:
        """Watch categories, for any one of them becoming more or less frequent.

        Args:
            counts: Rows of the reference by category, in any order, shape (k,).
        """
        rows = np.asarray(counts, np.int64)
        joined = _join_smallest(rows)
        mass = _merge(rows, joined).astype(np.float64)
        return cls(mass, joined, _tilts(list(np.eye(len(mass))), _both_ways(_CATEGORICAL)))

    @classmethod
    def errors(cls, right: int, wrong: int) -> EDetector:
        """Watch (right, wrong), for the share of wrong growing; that it falls is no evidence.

        Few wrong ones in the reference are not merged away, nor is none: with the one more that
        the last cell gets, the urn expects too many errors rather than too few, and a bet on more
        of them has a mean of at most 1.

        Args:
            right: Rows of the reference that were right.
            wrong: Rows of it that were wrong.
        """
        joined = np.array([0, 1 if right >= LEAST_MASS else 0], np.intp)
        mass = _merge(np.array([right, wrong], np.int64), joined).astype(np.float64)
        mass[-1] += 1
        more_wrong = np.eye(len(mass))[-1]
        return cls(mass, joined, _tilts([more_wrong], _ERRORS), half_lives=())

    @property
    def usable(self) -> bool:
        """Whether there are two cells to tell apart; without, the evidence stays -inf."""
        return len(self.mass) > 1

    def start(self) -> EState:
        """Return the state before the first pane."""
        cells = len(self.mass)
        return EState(
            absorbed=np.zeros(cells, np.int64),
            log_m=np.full(len(self.tilts) + len(self.half_lives), NOTHING),
            recent=np.zeros((len(self.half_lives), cells)),
        )

    def update(self, state: EState, counts: ArrayLike) -> tuple[EState, float]:
        """Bet on one closed pane, then absorb it.

        A pane is one step of the budget, with rows or without: skip those without. They would
        raise M by 1 each, and a long silence would end in an alarm about nothing.

        Args:
            state: What was seen before.
            counts: Rows of the pane by coarse cell, not merged, shape (k,).

        Returns:
            The new state, and the evidence: the log of the weighted mean of M over the bets.

        Raises:
            GridMismatchError: There are not as many counts as the reference has coarse cells.
        """
        rows = np.asarray(counts, np.int64)
        if rows.shape != self.joined.shape:
            raise GridMismatchError(
                f"a pane of {rows.size} coarse cells for a detector of {self.joined.size}: count "
                "both on the grid of one reference"
            )
        if not self.usable:
            return state, NOTHING
        merged = _merge(rows, self.joined)
        fading = 0.5 ** (1 / np.array(self.half_lives))
        after = EState(
            absorbed=state.absorbed + merged,
            log_m=advance(state.log_m, self._log_ratios(state, merged)),
            recent=state.recent * fading[:, None] + merged,
        )
        return after, float(weighted(after.log_m, self._log_weights()))

    def reset(self, state: EState) -> EState:
        """Return the state after an alarm: what was absorbed stays, the evidence is gone."""
        return EState(
            absorbed=state.absorbed,
            log_m=np.full_like(state.log_m, NOTHING),
            recent=np.zeros_like(state.recent),
        )

    def _log_ratios(self, state: EState, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the log of the chance that each bet gives the pane over that of the urn.

        All are Dirichlet-multinomial. The tilted ones are as concentrated as the urn, so that on
        both sides the reference counts as finite.
        """
        urn = self.mass + state.absorbed
        size, n = urn.sum(), counts.sum()
        leaning = urn * np.exp(self.tilts)
        leaning *= size / leaning.sum(axis=1, keepdims=True)
        following = state.recent + _PRIOR * urn / size
        bets = np.concatenate([leaning, following])
        by_cell = log_rising_ratio(bets, urn, counts)
        total: NDArray[np.float64] = log_rising_ratio(bets.sum(axis=1), size, n)
        ratios: NDArray[np.float64] = by_cell.sum(axis=1) - total
        return ratios

    def _log_weights(self) -> NDArray[np.float64]:
        tilted, following = len(self.tilts), len(self.half_lives)
        share = _RECENT_WEIGHT if following else 0.0
        weights = [(1 - share) / tilted] * tilted + [share / max(1, following)] * following
        return np.log(weights)


def log_rising_ratio(a: ArrayLike, b: ArrayLike, n: ArrayLike) -> NDArray[np.float64]:
    """Return the log of a (a + 1) ... (a + n - 1) over the same product from b.

    Four log-gammas would lose all digits below 1e-6 at n of 1e8. In Stirling's form their leading
    terms cancel on paper:
    (a - 1/2) log(1 + n/a) - (b - 1/2) log(1 + n/b) + n log((a + n) / (b + n)) + remainders.

    Args:
        a: Above 0, any shape that broadcasts with the others.
        b: Above 0.
        n: At least 0.
    """
    a, b, n = (np.asarray(value, np.float64) for value in (a, b, n))
    ratio: NDArray[np.float64] = n * np.log((a + n) / (b + n)) + _rising(a, n) - _rising(b, n)
    return ratio


def _rising(x: NDArray[np.float64], n: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log(x (x + 1) ... (x + n - 1)) - n log(x + n) + n."""
    rising: NDArray[np.float64] = (x - 0.5) * np.log1p(n / x) + _remainder(x + n) - _remainder(x)
    return rising


def _remainder(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log Gamma(x) less Stirling's (x - 1/2) log x - x + log(2 pi) / 2.

    From 12 up by the asymptotic series, whose next term is below 3e-15 there.
    """
    from scipy.special import gammaln

    square = 1 / x**2
    series = 1 / 1260 - square * (1 / 1680 - square / 1188)
    remainder = np.asarray((1 / 12 - square * (1 / 360 - square * series)) / x)
    small = x < 12
    if small.any():
        y = x[small]
        stirling = (y - 0.5) * np.log(y) - y + math.log(2 * math.pi) / 2
        remainder[small] = gammaln(y) - stirling
    return remainder


def _tilts(
    directions: Sequence[NDArray[np.float64]], steps: Sequence[float]
) -> NDArray[np.float64]:
    """Return every step in every direction, shape (directions x steps, cells)."""
    return np.array([step * direction for direction in directions for step in steps])


def _both_ways(steps: Sequence[float]) -> list[float]:
    return [sign * step for step in steps for sign in (1, -1)]


def _merge(counts: NDArray[np.int64], joined: NDArray[np.intp]) -> NDArray[np.int64]:
    merged = np.zeros(int(joined.max(initial=0)) + 1, np.int64)
    np.add.at(merged, joined, counts)
    return merged


def _join_neighbours(counts: NDArray[np.int64]) -> NDArray[np.intp]:
    """Join cells from the left until each has enough; what is left over goes to the last."""
    joined = np.zeros(len(counts), np.intp)
    cell, mass = 0, 0
    for index, count in enumerate(counts.tolist()):
        joined[index] = cell
        mass += count
        if mass >= LEAST_MASS:
            cell, mass = cell + 1, 0
    return np.minimum(joined, max(0, cell - 1))


def _join_smallest(counts: NDArray[np.int64]) -> NDArray[np.intp]:
    """Join all categories below the least, and the next smallest until together they reach it."""
    order = np.argsort(counts, kind="stable")
    rare = int((counts < LEAST_MASS).sum())
    if rare:
        rare = max(rare, 1 + int((np.cumsum(counts[order]) < LEAST_MASS).sum()))
    joined = np.zeros(len(counts), np.intp)
    kept = np.sort(order[rare:])
    joined[kept] = np.arange(len(kept)) + bool(rare)
    return joined
