"""Outcomes given what was predicted: did their relation change, whatever became of the inputs?"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mlwatch.detectors.evidence import CONFIDENCE
from mlwatch.detectors.g_test import likelihood_ratio
from mlwatch.detectors.pooling import pool_rare
from mlwatch.profile import Distribution
from mlwatch.records import Tallies
from mlwatch.scoring import Scoring

BINS, FINE = 16, 50
"""The most bins of scores that outcomes are compared in: one by one, and all together."""

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
        z: The calibration drift: more positives than the reference's fine bins let expect, normal
            (0, 1); None without scores, or where the reference's bins hold one class each.
        p_value: Of both together (Bonferroni); None where nothing can be tested.
        effect: The mean over the window's rows of the total variation of the outcomes given the
            bin; of two classes the mean absolute change of the outcome rate at the same score.
        effect_low: A lower bound of it.
        net: The mean change of the rate of the last outcome at the same score, with its sign.
        slack: How far below the effect, at most, the bound of a one-sided change lies.
        n: Rows of the window in bins that the reference has too.
        n_reference: Rows of the reference.
    """

    g: float
    df: int
    z: float | None
    p_value: float | None
    effect: float
    effect_low: float
    net: float
    slack: float
    n: int
    n_reference: int


def relate_scores(
    scoring: Scoring, reference: Tallies, current: Tallies, pool: float
) -> Relation | None:
    """Return what the outcomes say given the score; None without labelled scores of a binary task.

    Args:
        scoring: How both were counted.
        reference: The tallies of the reference.
        current: The tallies of the window.
        pool: Neighbouring bins are joined until each is expected to hold so many of each class.
    """
    past, now = (score_table(scoring, side, BINS) for side in (reference, current))
    if past is None or now is None or not past.any() or not now.any():
        return None
    joined = join_neighbours(past, now, pool)
    found = relate(merge(past, joined), merge(now, joined), turns, pool)
    fine = [score_table(scoring, side, FINE) for side in (reference, current)]
    if found is None or fine[0] is None or fine[1] is None:
        return found
    z = calibration_z(fine[0], fine[1])
    return replace(found, z=z, p_value=_both(found.g, found.df, z))


def relate(reference: Table, current: Table, moves: Moves, pool: float) -> Relation | None:
    """Return what two tables say of the outcomes given the bin; None without a common bin.

    The chain rule of the likelihood ratio (Kullback, 1959) splits the change of scores and
    outcomes into that of the scores and that of the outcomes given the score: G(bin x outcome) =
    G(bin) + sum over bins G(outcome | bin). A shift of the inputs alone changes the first only.

    Args:
        reference: Counts of the reference, shape (bins, outcomes).
        current: Counts of the window, the same shape.
        moves: The events that the bound of the effect looks at: `turns` or `answers`.
        pool: Outcomes that are expected less often in a bin are taken together in the G of it.
    """
    rows, past = current.sum(axis=1), reference.sum(axis=1)
    common = (rows > 0) & (past > 0)
    if not common.any():
        return None
    reference, current = reference * common[:, None], current * common[:, None]
    rows, past = rows * common, past * common
    g, df = conditional_g(reference, current, pool)
    effect, effect_low, slack = _size(reference, current, moves)
    change = current[:, -1] - rows * (reference[:, -1] / np.maximum(past, 1))
    return Relation(
        g,
        df,
        None,
        _both(g, df, None),
        effect,
        effect_low,
        float(change.sum() / rows.sum()),
        slack,
        int(rows.sum()),
        int(past.sum()),
    )


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


def join_neighbours(reference: Table, current: Table, least: float) -> NDArray[np.intp]:
    """Return which wider bin each bin joins, so that G of each has its distribution.

    Neighbours are joined until the smallest expected count of the bin's table of sample by outcome
    is at least `least`. That looks at sums over both samples, or over all outcomes, alone.
    """
    joined = np.zeros(len(current), np.intp)
    begin = place = 0
    for end in range(1, len(current) + 1):
        sides = np.array([reference[begin:end].sum(axis=0), current[begin:end].sum(axis=0)])
        joined[begin:end] = place
        total = int(sides.sum())
        if total and sides.sum(axis=1).min() * sides.sum(axis=0).min() / total >= least:
            begin, place = end, place + 1
    if place and begin < len(current):  # too few are left over: they join the last
        joined[begin:] = place - 1
    return joined


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


def _size(reference: Table, current: Table, moves: Moves) -> tuple[float, float, float]:
    """Return the mean total variation given the bin, a lower bound of it, and the bound's slack.

    Both tables are weighted by the window's bins. The share of any event moved by no more than
    the mean total variation did; Hoeffding's inequality (1963) holds for the event's share in
    each sample, given the scores, each at half of `CONFIDENCE` shared by the events.
    """
    rows, past = current.sum(axis=1), np.maximum(reference.sum(axis=1), 1)
    n = int(rows.sum())
    weights = rows / n
    now = current / n
    change = now - reference * (weights / past)[:, None]
    effect = float(np.abs(change).sum() / 2)
    moved = np.abs(moves(change))
    unsure = math.log(4 * len(moved) / CONFIDENCE) / 2
    slack = math.sqrt(unsure / n) + math.sqrt(unsure * float((weights**2 / past).sum()))
    return effect, min(effect, max(0.0, float(moved.max()) - slack)), slack
