"""One figure: a share, a mean, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping

from mlwatch import intervals
from mlwatch.records import Metric, Tally
from mlwatch.scoring import FIXED

FEWEST = intervals.FEWEST
"""With fewer labelled rows there is no figure, only "not enough data"."""


def share(
    name: str,
    k: int,
    n: int,
    z: float,
    *,
    of: str = "labelled predictions",
    rows: int | None = None,
    labels: Mapping[str, str] | None = None,
) -> Metric:
    """Return a share of k in n as a metric.

    Args:
        name: The metric's name.
        k: How many have it.
        n: Of how many.
        z: The normal point of the interval's level.
        of: What they are, in words.
        rows: The labelled rows behind it, where they are more than n.
        labels: The metric's labels.
    """
    rows = n if rows is None else rows
    if rows < FEWEST:
        return too_few(name, rows, labels)
    if not n:
        return undefined(name, f"there are no {of}", labels=labels)
    return Metric(name, k / n, *intervals.share(k, n, z), n, labels or {})


def mean(
    name: str, tally: Tally, z: float, *, scale: float = 1.0, center: float = 0.0, low: float
) -> Metric:
    """Return a mean as a metric from the sums of `scoring.losses.mean_sums`.

    Args:
        name: The metric's name.
        tally: The sums, of at least one value.
        z: The normal point of the interval's level.
        scale: The unit that values were counted in.
        center: What was taken off them.
        low: The least that the mean can be.
    """
    n = tally["n"]
    if n < FEWEST:
        return too_few(name, n)
    total, squares = tally.get("sum", 0) / FIXED, tally.get("squares", 0) / FIXED
    ends = [end * scale + center for end in intervals.mean(n, total, squares, z)]
    return Metric(name, total / n * scale + center, max(low, ends[0]), ends[1], n)


def too_few(name: str, n: int, labels: Mapping[str, str] | None = None) -> Metric:
    """Return the figure that n rows are not enough for."""
    why = f"not enough data: {n} of {FEWEST} labelled predictions"
    return Metric(name, None, n=n, labels=labels or {}, why=why)


def undefined(name: str, why: str, n: int = 0, labels: Mapping[str, str] | None = None) -> Metric:
    """Return the figure that there cannot be, and why."""
    return Metric(name, None, n=n, labels=labels or {}, why=f"undefined: {why}")
