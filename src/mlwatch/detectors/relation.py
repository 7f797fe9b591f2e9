"""Outcomes given what was predicted: did their relation change, whatever became of the inputs?"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlwatch.detectors.evidence import CONFIDENCE
from mlwatch.detectors.g_test import likelihood_ratio
from mlwatch.detectors.pooling import pool_rare
from mlwatch.profile import Distribution
from mlwatch.records import Tallies, join_key
from mlwatch.scoring import Scoring

FINE, BINS = 50, 16
"""Scores are compared in so many bins together, and in about so many one by one, at most."""

Table = NDArray[np.int64]
"""Counts by bin of what was predicted and by outcome, shape (bins, outcomes)."""

Moves = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""From the change of each cell's share, shape (bins, outcomes), to that of some events."""


@dataclass(frozen=True, slots=True)
class Relation:
    """What two tables say of the outcomes given the bin.

    Args:
        g: The sum over bins of G (outcome given bin), chi-square distributed with `df`.
        df: Its degrees of freedom; 0 where no bin has enough rows.
        z: The calibration drift: more positives than the reference's rates let expect, normal
            (0, 1); None without scores, or where the reference's bins hold one class each.
        p_value: Of both together (Bonferroni); None where nothing can be tested.
        effect: The share of outcomes that differ where the same was predicted.
        effect_low: A lower bound of it.
        slack: How far the bound lies below the change that it is of.
        net: The mean change of the rate of the last outcome in the same bin, with its sign.
        n: Rows of the window in bins that the reference has too.
        n_reference: Rows of the reference in bins that the window has too.
    """

    g: float
    df: int
    z: float | None
    p_value: float | None
    effect: float
    effect_low: float
    slack: float
    net: float
    n: int
    n_reference: int


def relate_classes(reference: Table, current: Table, pool: float) -> Relation | None:
    """Return what came of the classes that were said; None without a common one.

    The chain rule of the likelihood ratio (Kullback, 1959) splits the change of bins and outcomes
    into that of the bins and that of the outcomes given the bin: G(bin x outcome) = G(bin) + sum
    over bins G(outcome | bin). A shift of the inputs alone changes the first only. The effect is
    the mean, over the window's rows, of the total variation of the outcomes given the bin.

    Args:
        reference: Counts of the reference by class said and class that came, shape (k, k).
        current: Counts of the window, the same shape.
        pool: Outcomes that are expected less often in a bin are taken together in the G of it.
    """
    sides = _common(reference, current)
    if sides is None:
        return None
    g, df = conditional_g(sides[0], sides[1], pool)
    return _relation(sides, g, df, None, _size(*sides, answers))


def relate_rates(reference: Table, current: Table, pool: float) -> Relation | None:
    """Return how rates of positives in bins of scores have changed; None without a common bin.

    As `relate_classes` does, with G over bins that were joined until each holds enough, and beside
    it the calibration z. The effect is the largest mean change of the rate over the window's rows
    that is of one sign up to some score and of one beyond it: the mean absolute change where the
    rates have moved one way, or have turned.

    Args:
        reference: Counts of the reference by bin, in the order of scores, and outcome, (bins, 2).
        current: Counts of the window, the same shape.
        pool: Neighbouring bins are joined until each class is expected so often in the smaller
            sample.
    """
    sides = _common(reference, current)
    if sides is None:
        return None
    joined = join_neighbours(*sides, pool)
    g, df = conditional_g(merge(sides[0], joined), merge(sides[1], joined), pool)
    _, moved, low, slack = _size(*sides, turns)
    return _relation(sides, g, df, calibration_z(*sides), (moved, moved, low, slack))


def relate_scores(
    scoring: Scoring, reference: Tallies, current: Tallies, pool: float
) -> Relation | None:
    """Return what outcomes say given the score; None without labelled scores of a binary task."""
    past, now = (score_table(scoring, tallies, FINE) for tallies in (reference, current))
    return None if past is None or now is None else relate_rates(past, now, pool)


def _common(reference: Table, current: Table) -> tuple[Table, Table] | None:
    """Return both tables without the rows of bins that only one of them has."""
    common = (reference.sum(axis=1) > 0) & (current.sum(axis=1) > 0)
    if not common.any():
        return None
    return reference * common[:, None], current * common[:, None]


def _relation(
    sides: tuple[Table, Table],
    g: float,
    df: int,
    z: float | None,
    size: tuple[float, float, float, float],
) -> Relation:
    reference, current = sides
    rows, past = current.sum(axis=1), np.maximum(reference.sum(axis=1), 1)
    net = float((current[:, -1] - rows * (reference[:, -1] / past)).sum() / rows.sum())
    effect, _, low, slack = size
    n, n_reference = int(rows.sum()), int(reference.sum())
    return Relation(g, df, z, _both(g, df, z), effect, low, slack, net, n, n_reference)


def score_table(scoring: Scoring, tallies: Tallies, bins: int) -> Table | None:
    """Return labelled rows by bin of the score and outcome, shape (bins, 2); None without scores.

    The bins are of about equal mass on the reference.
    """
    if scoring.grid is None or scoring.task != "binary":
        return None
    columns = [
        Distribution.from_tally("score", scoring.grid, tallies.get(f"given/{name}", {})).cells(bins)
        for name in scoring.classes
    ]
    return np.stack(columns, axis=1)


def said_table(scoring: Scoring, tallies: Tallies) -> Table:
    """Return labelled rows by class said and class that came, shape (k, k)."""
    pairs, names = tallies.get("confusion", {}), scoring.classes
    return np.array(
        [[pairs.get(join_key(said, came), 0) for came in names] for said in names], np.int64
    )


def join_neighbours(reference: Table, current: Table, least: float) -> NDArray[np.intp]:
    """Return which wider bin each bin joins, so that G of each has its distribution.

    Neighbours are joined until the smallest expected count of the table of sample by outcome is
    at least `least`, and a part in `BINS` of all. That looks at sums over both samples, or over
    all outcomes, alone.
    """
    least = max(least, _expected(reference, current) / BINS)
    joined = np.zeros(len(current), np.intp)
    begin = place = 0
    for end in range(1, len(current) + 1):
        joined[begin:end] = place
        if _expected(reference[begin:end], current[begin:end]) >= least:
            begin, place = end, place + 1
    if place and begin < len(current):  # too few are left over: they join the last
        joined[begin:] = place - 1
    return joined


def _expected(reference: Table, current: Table) -> float:
    """Return the smallest expected count of sample by outcome."""
    sides = np.array([reference.sum(axis=0), current.sum(axis=0)])
    return float(sides.sum(axis=1).min() * sides.sum(axis=0).min() / max(1, sides.sum()))


def merge(table: Table, joined: NDArray[np.intp]) -> Table:
    """Return the counts of bins that were joined."""
    merged = np.zeros((joined.max(initial=0) + 1, table.shape[1]), np.int64)
    np.add.at(merged, joined, table)
    return merged


def conditional_g(reference: Table, current: Table, pool: float) -> tuple[float, int]:
    """Return the sum over bins of G (outcome given bin), and its degrees of freedom."""
    total, df = 0.0, 0
    for past, rows in zip(reference, current, strict=True):
        if not past.any() or not rows.any():
            continue
        used = (past + rows) > 0
        r, c = pool_rare(past[used], rows[used], pool)
        if len(r) > 1:
            total += likelihood_ratio(r, c)
            df += len(r) - 1
    return total, df


def calibration_z(reference: Table, current: Table) -> float | None:
    """Return by how many standard errors there are more positives than expected at their scores.

    sum(y - p) / sqrt(sum p (1 - p) (1 + n / N)) over the rows of the window, where p is the rate
    of the reference's bin, n the rows of the window in it and N those of the reference.
    """
    known = reference.sum(axis=1) > 0
    reference, current = reference[known], current[known]
    rows, past = current.sum(axis=1), reference.sum(axis=1)
    p = reference[:, 1] / past
    variance = float((rows * p * (1 - p) * (1 + rows / past)).sum())
    if not variance:
        return None
    return float((current[:, 1] - rows * p).sum()) / math.sqrt(variance)


def turns(change: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the change of "positive up to a bin, negative beyond it", of ordered bins.

    A rate that moves one way at all scores shows in one of them, and so does one that turns.
    """
    negative, positive = change.T
    found: NDArray[np.float64] = np.cumsum(positive) + negative.sum() - np.cumsum(negative)
    return found


def answers(change: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the change of each class, of the right class, and of that where each one was said.

    The bins are the classes that were said, the outcomes those that came.
    """
    right = np.diag(change)
    return np.concatenate([change.sum(axis=0), [right.sum()], right])


def _both(g: float, df: int, z: float | None) -> float | None:
    from scipy.special import chdtrc, ndtr

    found = [float(chdtrc(df, g))] if df else []
    if z is not None and df:
        found.append(2 * float(ndtr(-abs(z))))
    return min(1.0, len(found) * min(found)) if found else None


def _size(reference: Table, current: Table, moves: Moves) -> tuple[float, float, float, float]:
    """Return the mean total variation given the bin, and the event that certainly moved most.

    Of that, how far it moved, the lower bound of it, and how far that lies below. Both tables are
    weighted by the window's bins, so that the share of no event can have moved by more than the
    mean total variation. The bound of an event is that of the normal distribution, with variances
    of shares to which two rows were added (Agresti and Coull, 1998), at `CONFIDENCE` shared by the
    events; simulated, it lies above the truth no more often than that.
    """
    from scipy.special import ndtri

    rows, past = current.sum(axis=1, keepdims=True), reference.sum(axis=1, keepdims=True)
    weights = rows / rows.sum()
    change = weights * (current / np.maximum(rows, 1) - reference / np.maximum(past, 1))
    spread = weights**2 * (_variance(current, rows) + _variance(reference, past))
    moved, unsure = np.abs(moves(change)), np.sqrt(moves(spread))
    unsure *= -float(ndtri(CONFIDENCE / 2 / len(moved)))
    best = int(np.argmax(moved - unsure))
    slack = float(unsure[best])
    most = float(moved[best])
    return float(np.abs(change).sum() / 2), most, max(0.0, most - slack), slack


def _variance(table: Table, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the variance of the share of each outcome in each bin, shape (bins, outcomes)."""
    share = (table + 1) / (rows + 2)
    found: NDArray[np.float64] = share * (1 - share) / np.maximum(rows, 1)
    return found
