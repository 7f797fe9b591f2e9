"""Latencies as counts: logarithmic buckets, whose quantiles have a known relative error."""

from __future__ import annotations

import math

from mlwatch.records import Tally

RELATIVE_ERROR = 0.01
"""A quantile read from the buckets is within this share of the exact one (Masson et al., 2019)."""

_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_SMALLEST, _LARGEST = 1e-3, 1e12


def bucket(latency_ms: float) -> str:
    """Return the bucket of a latency, a finite number of milliseconds from 0 up.

    Latencies below a microsecond share the lowest bucket, those above 30 years the highest.
    """
    return str(math.ceil(math.log(min(max(latency_ms, _SMALLEST), _LARGEST), _GAMMA)))


def quantile(tally: Tally, share: float) -> float | None:
    """Return the latency in milliseconds that `share` of the calls do not exceed.

    None when nothing was counted. The rank is that of the lower quantile, `floor(share * (n - 1))`.
    """
    n = sum(tally.values())
    if n <= 0:
        return None
    rank = math.floor(share * (n - 1))
    for index in sorted(map(int, tally)):
        rank -= tally[str(index)]
        if rank < 0:
            return float(2 * _GAMMA**index / (_GAMMA + 1))
    raise AssertionError("the ranks of a tally of n values are below n")  # pragma: no cover
