"""The Shiryaev-Roberts recursion on bets against the null, kept as logarithms."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NOTHING = -math.inf
"""The log of M before the first pane."""


def advance(log_m: NDArray[np.float64], log_ratios: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log of (M + 1) L for each bet: a change may have begun with this pane too.

    L is a ratio of probabilities with mean 1 under the null given the past, so that
    E[M_t | past] = M_(t-1) + 1 (Shin, Ramdas and Rinaldo, 2024). If M is put to 0 whenever it
    reaches 1 / alpha, the increments sum to T = E[M_T] + E[sum of M at alarms], so that the
    expected number of alarms in T panes is at most alpha T, whatever T.
    """
    return np.logaddexp(log_m, 0.0) + log_ratios


def weighted(log_m: NDArray[np.float64], log_weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log of the weighted mean of M over the last axis, with weights that sum to 1."""
    combined: NDArray[np.float64] = np.logaddexp.reduce(log_m + log_weights, axis=-1)
    return combined


def log_to_plain(log_m: NDArray[np.float64]) -> list[float | None]:
    """Return the logs of one row as JSON holds them: None for that of 0."""
    return [None if value == NOTHING else value for value in log_m.tolist()]


def log_from_plain(plain: Sequence[float | None]) -> list[float]:
    """Return the logs that `log_to_plain` wrote."""
    return [NOTHING if value is None else value for value in plain]
