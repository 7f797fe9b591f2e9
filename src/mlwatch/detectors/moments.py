"""Means and spreads of counts, read as a weighted sample."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlwatch.profile import Distribution

_ROUNDING = 64 * float(np.finfo(np.float64).eps)
"""A smaller spread, beside the largest value, is what rounding makes of the values."""


class Moments(NamedTuple):
    """What a weighted sample amounts to; the standard deviation is that of a sample (n - 1)."""

    n: int
    mean: float
    sd: float


def standardised(
    reference: Distribution, current: Distribution
) -> tuple[NDArray[np.float64], Moments, Moments] | str:
    """Return the values of the cells and both samples' moments in units of the reference.

    The units are such that the reference has mean 0 and standard deviation 1, so that no value
    overflows. Where that is undefined, say why.
    """
    for side, counts in (("window", current.weights), ("reference", reference.weights)):
        if not counts.any():
            return f"undefined: the {side} holds no finite value"
    there = reference.weights > 0
    if there.sum() == 1:
        return "undefined: the reference holds one value only, so that it has no spread"
    values = reference.values
    size = float(np.abs(values[there | (current.weights > 0)]).max())
    scaled = np.ldexp(values, -int(np.frexp(size)[1]))  # exact, also of the smallest numbers
    past = _moments(scaled, reference)
    if not past.sd > _ROUNDING:
        return "undefined: the spread of the reference is lost to rounding beside its values"
    units = (scaled - past.mean) / past.sd
    return units, _moments(units, reference), _moments(units, current)


def _moments(values: NDArray[np.float64], sample: Distribution) -> Moments:
    weights = sample.weights
    n = int(weights.sum())
    mean = float((weights / n * values).sum())
    squares = float((weights / n * (values - mean) ** 2).sum())
    return Moments(n, mean, float(np.sqrt(squares * n / max(1, n - 1))))
