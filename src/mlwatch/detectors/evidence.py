"""What detectors share: the result with the counts that belong to it, and bounds of the effect."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mlwatch.profile import Distribution
from mlwatch.records import DriftResult

CONFIDENCE = 1e-3
"""Chance that a lower bound of an effect is too high."""


def evidence(
    detector: str,
    reference: Distribution,
    current: Distribution,
    *,
    statistic: float | None = None,
    effect: float | None = None,
    effect_low: float | None = None,
    p_value: float | None = None,
    drifted: bool | None = None,
    why: str = "",
    caveats: Sequence[str] = (),
    rows: bool = False,
) -> DriftResult:
    """Return a detector's result, with the feature's name and all counts filled in.

    Without a statistic it says which side has no values.

    Args:
        detector: The detector's name.
        reference: The reference's distribution.
        current: The window's distribution.
        statistic: The detector's own figure.
        effect: The share of traffic that moved, between 0 and 1.
        effect_low: A lower bound of it.
        p_value: Of the hypothesis that nothing changed.
        drifted: Leave it at None, and the drift policy judges by the lower bound.
        why: In words.
        caveats: What else to know.
        rows: The sample sizes are those of all rows, not of the values that can be compared.
    """
    if statistic is None and not why:
        side, empty = ("the window", current) if reference.n else ("the reference", reference)
        why = f"not enough data: {side} holds no values of this feature"
        if empty.total:
            why += f" ({empty.absent:,} missing, {empty.wrong_kind:,} of a wrong kind)"
    return DriftResult(
        feature=current.name,
        detector=detector,
        statistic=statistic,
        effect=effect,
        effect_low=effect_low,
        p_value=p_value,
        n=current.total if rows else current.n,
        n_reference=reference.total if rows else reference.n,
        missing=current.absent,
        unseen=current.unseen,
        infinite=current.infinite,
        wrong_kind=current.wrong_kind,
        drifted=drifted,
        caveats=tuple(caveats),
        why=why,
    )


def comparable(reference: Distribution, current: Distribution) -> bool:
    """Return whether both have values.

    Raises:
        GridMismatchError: They were not counted on one grid.
    """
    return bool((reference + current).n and reference.n and current.n)


def dkw_halfwidth(n: int, n_reference: int, alpha: float = CONFIDENCE) -> float:
    """Return how far the distance of two samples may lie above that of their distributions.

    The Dvoretzky-Kiefer-Wolfowitz bound with Massart's constant (1990) for each sample, each at
    half of `alpha`, so that it holds for any two distributions.
    """
    return sum(math.sqrt(math.log(4 / alpha) / (2 * size)) for size in (n, n_reference))


def total_variation(
    current: NDArray[np.int64], reference: NDArray[np.int64]
) -> tuple[float, float]:
    """Return the share of rows that moved between cells, and a lower bound of it.

    Total variation, half of the sum of |p - q|. The bound is that of Weissman et al. (2003) for
    each sample, each at half of `CONFIDENCE`; of two cells that of Clopper and Pearson (1934).

    Args:
        current: Counts by cell, shape (cells,).
        reference: Counts in the same cells, shape (cells,).
    """
    n, n_reference = int(current.sum()), int(reference.sum())
    moved = float(np.abs(current / n - reference / n_reference).sum() / 2)
    if len(current) == 2:
        tail = CONFIDENCE / 4
        low, high = share_bounds(int(current[1]), n, tail)
        low_reference, high_reference = share_bounds(int(reference[1]), n_reference, tail)
        return moved, max(0.0, low - high_reference, low_reference - high)
    slack = len(current) * math.log(2) + math.log(2 / CONFIDENCE)
    width = sum(math.sqrt(slack / (2 * size)) for size in (n, n_reference))
    return moved, max(0.0, moved - width)


def share_bounds(k: float, n: float, tail: float) -> tuple[float, float]:
    """Return bounds of a share of k in n, each wrong with the chance `tail` at most.

    The exact interval of Clopper and Pearson (1934).
    """
    from scipy.special import betaincinv

    low = float(betaincinv(k, n - k + 1, tail)) if k else 0.0
    high = float(betaincinv(k + 1, n - k, 1 - tail)) if k < n else 1.0
    return low, high
