"""The figures of a model that predicts numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from mlwatch import buckets, intervals
from mlwatch.collectors.performance.figure import FEWEST, mean, too_few, undefined
from mlwatch.records import Metric, Tallies, Tally
from mlwatch.scoring import FIXED, Scoring

QUANTILES = (0.5, 0.9, 0.95, 0.99)
"""The shares of rows at which the absolute error is given."""

_NAMES = ("mae", "rmse", "mape", "r2", "mean_error")


def figures(tallies: Tallies, scoring: Scoring, z: float) -> Iterator[Metric]:
    """Return the figures of a regression.

    Args:
        tallies: The counts of a window, or those of a reference.
        scoring: How they were counted.
        z: The normal point of the intervals' level.
    """
    tally = tallies["residual"]
    n, too_large = tally.get("n", 0), tally.get("too_large", 0)
    if n < FEWEST:
        yield from (too_few(name, n) for name in _NAMES)
        return
    why = f"errors too large to be squared are left out: {too_large:,} of {n + too_large:,}"
    for metric in _figures(tallies, scoring, z):
        notes = (metric.why, why if too_large else "")
        yield replace(metric, why="; ".join(filter(None, notes)))


def _figures(tallies: Tallies, scoring: Scoring, z: float) -> Iterator[Metric]:
    tally, scale = tallies["residual"], scoring.scale
    n = tally["n"]
    sums = {name: tally.get(name, 0) / FIXED for name in intervals.MOMENTS}
    yield mean("mae", _sums(tally, "abs", "e2"), z, scale=scale, low=0.0)
    ends = [math.sqrt(max(0.0, end)) for end in intervals.mean(n, sums["e2"], sums["e4"], z)]
    low, high = (end * scale for end in ends)
    yield Metric("rmse", math.sqrt(sums["e2"] / n) * scale, low, high, n)
    yield _percentage(tallies.get("percentage", {}), n, z)
    if _outcomes_vary(n, tally):
        value, ends_of_r2 = intervals.r_squared(n, sums, z)
        yield Metric("r2", value, *ends_of_r2, n)
    else:
        yield undefined("r2", "all outcomes are equal, as far as their sums tell", n)
    yield mean("mean_error", _sums(tally, "e", "e2"), z, scale=scale, low=-math.inf)
    for share in QUANTILES:
        yield _error(tallies.get("absolute_error", {}), share, scale, z)
    center = scoring.center
    outcomes = _sums(tally, "y", "y2")
    yield mean("outcome_mean", outcomes, z, scale=scale, center=center, low=-math.inf)


def _sums(tally: Tally, total: str, squares: str) -> Tally:
    return {"n": tally["n"], "sum": tally.get(total, 0), "squares": tally.get(squares, 0)}


def _percentage(tally: Tally, n: int, z: float) -> Metric:
    """Return the mean of |error / outcome| over the outcomes that are not 0."""
    defined = tally.get("n", 0)
    if not defined:
        return undefined("mape", "all outcomes are 0", n)
    found = mean("mape", tally, z, low=0.0)
    if defined == n or found.value is None:
        return found
    why = f"outcomes of 0 have none and are left out: {n - defined:,} of {n:,}"
    return Metric("mape", found.value, found.low, found.high, defined, why=why)


def _outcomes_vary(n: int, tally: Tally) -> bool:
    """Return whether the outcomes' variance is above what rounding can make.

    That of their sums, and that of float64 in each of their squares.
    """
    total, squares = tally.get("y", 0), tally.get("y2", 0)
    rounding = n * (n * int(FIXED) + 2 * abs(total)) + (n * squares * int(FIXED) >> 50)
    return n * squares * int(FIXED) - total**2 > rounding


def _error(tally: Tally, share: float, scale: float, z: float) -> Metric:
    """Return a quantile of the absolute error with the interval of its rank.

    Widened by the error of the buckets. With too few rows the upper end would lie beyond the
    largest error, and nothing is known of it.
    """
    n, labels = sum(tally.values()), {"quantile": f"{share:g}"}
    needed = max(FEWEST, math.ceil(z**2 * share / (1 - share)))
    if n < needed:
        why = f"not enough data: {n} of {needed} labelled predictions"
        return Metric("absolute_error", None, n=n, labels=labels, why=why)
    value, low, high = buckets.bounded(tally, share, z)
    high = None if high is None else high * scale
    return Metric("absolute_error", value * scale, low * scale, high, n, labels)
