"""The Student-t e-detector: is the score of a pane unusual beside the panes before it?

Rows of real traffic depend on each other, and the urn of `e_detector` knows nothing of sessions
and days. Here a whole pane is one observation and its score one number, such as a mean rank. The
null: the scores of the baseline and of the stream are independent draws of one normal
distribution with unknown mean and spread. Given n scores with mean m and standard deviation s,
z = (x - m) / (s sqrt(1 + 1/n)) of the next is Student-t with n - 1 degrees of freedom and
independent of the past z: bets on z, which no change of unit or origin alters, are exact (Robbins,
1970; Perez-Ortiz, Lardy, de Heide and Grunwald, 2022). They are that z is shifted by one of
`SHIFTS`, and the Shiryaev-Roberts recursion sums over the panes in which a change may have begun.

A t distribution has such tails that a score a thousand scales away says nothing about a shift of
eight. So z beyond `BEYOND` is only known to be beyond, and is bet on by the probability of that:
still exact, and a jump of any size is seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlwatch.errors import DataError
from mlwatch.sequential.shiryaev_roberts import (
    NOTHING,
    advance,
    log_from_plain,
    log_to_plain,
    weighted,
)

SHIFTS = (0.5, -0.5, 1.0, -1.0, 2.0, -2.0, 4.0, -4.0, 8.0, -8.0)
"""The bets, in scales of the predicted score."""

BEYOND = 8.0
"""Scales from which a score counts as far away, not by how much."""

FLOOR = 1e-9
"""The least scale, in units of the score.

Scores that never varied are equal up to rounding, some 1e-16 of a score: they stay far below, and
what changes in more than a billionth lies far above.
"""


@dataclass(frozen=True, slots=True, eq=False)
class TState:
    """What m t-detectors have seen.

    Args:
        n: Panes absorbed, those of the baseline included.
        mean: Of their scores, shape (m,).
        squares: Sums of the squared deviations from it, shape (m,).
        log_m: The log of M for each bet, shape (m, 10).
    """

    n: int
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]
    log_m: NDArray[np.float64]

    def to_plain(self) -> dict[str, Any]:
        """Return the state as lists of numbers and None, for JSON."""
        return {
            "n": self.n,
            "mean": self.mean.tolist(),
            "squares": self.squares.tolist(),
            "log_m": [log_to_plain(row) for row in self.log_m],
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> TState:
        """Return the state that `to_plain` wrote, to the last bit."""
        rows = [log_from_plain(row) for row in plain["log_m"]]
        return cls(
            n=plain["n"],
            mean=np.array(plain["mean"], np.float64),
            squares=np.array(plain["squares"], np.float64),
            log_m=np.array(rows, np.float64).reshape(-1, len(SHIFTS)),
        )


def start(scores: ArrayLike) -> TState:
    """Return the state after the baseline.

    Args:
        scores: Of its panes, finite, shape (B, m), B at least 2.

    Raises:
        DataError: There are fewer than two panes, or a score is not finite.
    """
    panes = _finite(scores)
    if len(panes) < 2:
        raise DataError(f"a baseline of {len(panes)} pane(s): it takes two to see how they vary")
    mean = panes.mean(axis=0)
    squares = ((panes - mean) ** 2).sum(axis=0)
    return TState(len(panes), mean, squares, np.full((len(mean), len(SHIFTS)), NOTHING))


def update(
    state: TState, scores: ArrayLike, *, floor: float = FLOOR
) -> tuple[TState, NDArray[np.float64]]:
    """Bet on one closed pane, then absorb it.

    Args:
        state: What was seen before.
        scores: Of the pane, finite, shape (m,).
        floor: The least scale, in units of the score.

    Returns:
        The new state, and the evidence of each score: the log of the mean of M over the bets,
        shape (m,). With an alarm and a `reset` where it reaches log(1 / alpha), the expected
        number of false alarms of a score in T panes is at most alpha T.

    Raises:
        DataError: A score is not finite.
    """
    pane = _finite(scores)
    z = _standardized(state, pane, floor)
    log_m = advance(state.log_m, log_ratios(z, state.n - 1))
    n, deviation = state.n + 1, pane - state.mean
    mean = state.mean + deviation / n
    squares = state.squares + deviation * (pane - mean)
    return TState(n, mean, squares, log_m), _evidence(log_m)


def reset(state: TState, where: NDArray[np.bool_]) -> TState:
    """Return the state after alarms: what was absorbed stays, the evidence is gone.

    Args:
        state: What was seen.
        where: The scores that alarmed, shape (m,).
    """
    log_m = np.where(where[:, None], NOTHING, state.log_m)
    return TState(state.n, state.mean, state.squares, log_m)


def leave_one_out(scores: ArrayLike, *, floor: float = FLOOR) -> NDArray[np.float64]:
    """Return the t statistic of each pane of a baseline against all the others.

    Args:
        scores: Finite, shape (B, m), B at least 3; the t statistics have B - 2 degrees of freedom.
        floor: The least scale, in units of the score.

    Returns:
        (x - mean) / (s sqrt(1 + 1 / (B - 1))) with mean and s of the others, shape (B, m).

    Raises:
        DataError: There are fewer than three panes, or a score is not finite.
    """
    panes = _finite(scores)
    return np.array(
        [
            _standardized(start(np.delete(panes, index, axis=0)), pane, floor)
            for index, pane in enumerate(panes)
        ]
    )


def replay(scores: ArrayLike, log_threshold: float, *, floor: float = FLOOR) -> NDArray[np.bool_]:
    """Run the detector forward over its own baseline: where would it have alarmed?

    Each pane is judged against all others, before and after it, and none is absorbed.

    Args:
        scores: Finite, shape (B, m), B at least 3.
        log_threshold: Evidence at which it alarms and starts anew.
        floor: The least scale, in units of the score.

    Returns:
        True where it alarmed, shape (B, m).

    Raises:
        DataError: There are fewer than three panes, or a score is not finite.
    """
    statistics = leave_one_out(scores, floor=floor)
    alarms = np.zeros(statistics.shape, np.bool_)
    log_m = np.full((statistics.shape[1], len(SHIFTS)), NOTHING)
    for alarm, z in zip(alarms, statistics, strict=True):
        log_m = advance(log_m, log_ratios(z, len(alarms) - 2))
        alarm[:] = _evidence(log_m) >= log_threshold
        log_m[alarm] = NOTHING
    return alarms


def log_ratios(z: NDArray[np.float64], freedom: int) -> NDArray[np.float64]:
    """Return the log of the probability of z under each of `SHIFTS` over that without a shift.

    Args:
        z: Student-t under the null, shape (m,).
        freedom: Its degrees of freedom.

    Returns:
        Ratios of densities within `BEYOND`, of tail probabilities outside. Shape (m, 10).
    """
    from scipy.special import stdtr

    shifts = np.array(SHIFTS)
    near = np.clip(z, -BEYOND, BEYOND)[:, None]
    heights = np.log1p((near - shifts) ** 2 / freedom) - np.log1p(near**2 / freedom)
    tails = stdtr(freedom, np.sign(near) * shifts - BEYOND) / stdtr(freedom, -BEYOND)
    outside = np.abs(z)[:, None] >= BEYOND
    found: NDArray[np.float64] = np.where(outside, np.log(tails), -(freedom + 1) / 2 * heights)
    return found


def _standardized(state: TState, scores: NDArray[np.float64], floor: float) -> NDArray[np.float64]:
    """Return how many scales each score lies from the mean of those absorbed."""
    scale = np.sqrt(state.squares / (state.n - 1) * (1 + 1 / state.n))
    distance: NDArray[np.float64] = (scores - state.mean) / np.maximum(scale, floor)
    return distance


def _evidence(log_m: NDArray[np.float64]) -> NDArray[np.float64]:
    return weighted(log_m, np.full(len(SHIFTS), -math.log(len(SHIFTS))))


def _finite(scores: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(scores, np.float64)
    if not np.isfinite(array).all():
        raise DataError("a score that is not finite: leave out panes and features without rows")
    return array
