"""Values from 0 up as counts: logarithmic buckets, whose quantiles have a known relative error."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mlwatch.records import Tally

RELATIVE_ERROR = 0.01
"""A quantile read from the buckets is within this share of the exact one (Masson et al., 2019)."""

SMALLEST, LARGEST = 1e-9, 1e12
"""Values up to the smallest are counted as 0, those from the largest on as the largest."""

MILLION = 10**6
"""Sums are kept in whole millionths: nanoseconds, where the values are milliseconds."""

_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)


def bucket(value: float) -> str:
    """Return the bucket of a finite value from 0 up."""
    return str(math.ceil(math.log(min(max(value, SMALLEST), LARGEST), _GAMMA)))


def sums(values: Sequence[float]) -> Tally:
    """Return how many values there are, their sum and that of their squares, as integers.

    Each value is rounded to a whole millionth first, so that means are exact to half of one.
    """
    whole = [round(min(value, LARGEST) * MILLION) for value in values]
    squares = sum(value * value for value in whole)
    return {"n": len(whole), "sum": sum(whole), "squares": squares}


_ZERO = int(bucket(0.0))


def quantile(tally: Tally, share: float) -> float | None:
    """Return the value that `share` of those that were counted do not exceed.

    None when nothing was counted. The rank is that of the lower quantile, `floor(share * (n - 1))`.
    """
    n = sum(tally.values())
    if n <= 0:
        return None
    rank = math.floor(share * (n - 1))
    for index in sorted(map(int, tally)):
        rank -= tally[str(index)]
        if rank < 0:
            return 0.0 if index == _ZERO else float(2 * _GAMMA**index / (_GAMMA + 1))
    raise AssertionError("the ranks of a tally of n values are below n")  # pragma: no cover


def bounded(tally: Tally, share: float, z: float) -> tuple[float, float, float | None]:
    """Return a quantile with the interval of its rank, widened by the buckets' error.

    With few values the upper end lies beyond the largest, and nothing is known of it: of ten calls
    the slowest is below the 99% point of all calls nine times in ten.

    Args:
        tally: Counts by bucket, of at least one value.
        share: The share of values that the quantile is not below.
        z: The normal point of the interval's level.

    Returns:
        The quantile, the low end, and the high end or None.
    """
    half = z * math.sqrt(share * (1 - share) / sum(tally.values()))
    value, low = (quantile(tally, max(0.0, end)) or 0.0 for end in (share, share - half))
    high = None
    if share + half < 1:
        high = (quantile(tally, share + half) or 0.0) * (1 + RELATIVE_ERROR)
    return value, low * (1 - RELATIVE_ERROR), high


def ends(tally: Tally) -> list[tuple[float, int]]:
    """Return the buckets that were filled, in order: the largest value of each, and its count."""
    filled = sorted((int(index), count) for index, count in tally.items() if count)
    return [(0.0 if index == _ZERO else _GAMMA**index, count) for index, count in filled]
