"""What a prediction was worth once its outcome is known, as integers that add."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, repeat
from operator import mul

from mlwatch import buckets
from mlwatch.intervals import MOMENTS

FIXED = 2.0**160
"""Means are kept as sums of integers in units of 1 / FIXED, so that panes add exactly.

Each value is rounded to the nearest unit: a mean is off by at most 2^-161, less than 1e-9 of any
from 1e-39 up. So even the fourth powers of errors a billion times smaller than the outcomes, which
the interval of their square mean needs, are not rounded away.
"""

SMALLEST = 2.0**-52
"""Probabilities are kept this far from 0 and 1 in the log loss (float64's epsilon)."""

_LARGEST = 1e300 / FIXED
"""A row with a larger term is left out, so that sums over panes stay within float64."""


def fixed_sum(values: Iterable[float]) -> int:
    """Return the sum of values in integer units of 1 / FIXED, each rounded to the nearest unit."""
    return sum([round(value * FIXED) for value in values])


def power_sums(values: Iterable[float], powers: Sequence[str]) -> dict[str, int]:
    """Return how many values there are, and the sum of each power from 1 up, by its name."""
    rows = [tuple(accumulate(repeat(value, len(powers)), mul)) for value in values]
    kept = [row for row in rows if abs(row[-1]) < _LARGEST]
    if not kept:
        return {}
    sums = map(fixed_sum, zip(*kept, strict=True))
    return {"n": len(kept)} | dict(zip(powers, sums, strict=True))


def mean_sums(values: Iterable[float]) -> dict[str, int]:
    """Return what a mean and its interval need: the count, the sum and the sum of squares."""
    return power_sums(values, ("sum", "squares"))


def log_loss(truth: float) -> float:
    """Return -log of the probability that was given to what came true."""
    return -math.log(min(max(truth, SMALLEST), 1 - SMALLEST))


def calibration(rows: Iterable[tuple[int, float, bool]]) -> dict[str, int]:
    """Return for each bin of scores the rows, the sum of their scores, and the positives.

    Args:
        rows: The bin, the probability of the positive class, and whether it came true.
    """
    bins: dict[int, list[tuple[float, bool]]] = {}
    for place, score, hit in rows:
        bins.setdefault(place, []).append((score, hit))
    tally: dict[str, int] = {}
    for place, members in bins.items():
        tally[f"{place}/n"] = len(members)
        tally[f"{place}/score"] = fixed_sum([score for score, _ in members])
        tally[f"{place}/positive"] = sum([hit for _, hit in members])
    return {name: count for name, count in tally.items() if count}


def residuals(
    pairs: Iterable[tuple[float, float]], center: float, scale: float
) -> Iterator[tuple[str, Mapping[str, int]]]:
    """Return the tallies of a regression's errors, in units of `scale`.

    `residual` holds the sums of `intervals.MOMENTS`, `percentage` those of |error / outcome| and
    under "zero" how many outcomes have none, `absolute_error` the buckets of |error|. A row whose
    terms are too large to be added is in none of them; `residual` counts it under "too_large".

    Args:
        pairs: The prediction and the outcome of each row.
        center: Outcomes y are kept as (y - center) / scale.
        scale: The unit.
    """
    errors, ratios, rows, too_large = [], [], [], 0
    for served, true in pairs:
        error = served - true
        row = _terms(error / scale, (true - center) / scale)
        if all(abs(term) < _LARGEST for term in row):
            rows.append(row)
            errors.append(row[1])
            ratios.append(abs(error / true) if true else math.inf)
        else:
            too_large += 1
    sums = dict(zip(MOMENTS, map(fixed_sum, zip(*rows, strict=True)), strict=False))
    counts = {"n": len(rows), "too_large": too_large} | sums
    yield "residual", {name: count for name, count in counts.items() if count}
    if rows:
        yield "absolute_error", Counter(map(buckets.bucket, errors))
        defined = mean_sums(ratios)
        undefined = len(rows) - defined.get("n", 0)
        yield "percentage", defined | ({"zero": undefined} if undefined else {})


def _terms(error: float, true: float) -> tuple[float, ...]:
    """Return the terms of `MOMENTS`; products, since powers raise where they overflow."""
    square, true2 = error * error, true * true
    return (
        error,
        abs(error),
        square,
        square * square,
        true,
        true2,
        true2 * true,
        true2 * true2,
        square * true,
        square * true2,
    )
