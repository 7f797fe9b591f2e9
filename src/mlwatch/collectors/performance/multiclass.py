"""The figures of a model of more classes than two, or of classes that nobody has named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlwatch import intervals
from mlwatch.collectors.performance.figure import FEWEST, share, too_few, undefined
from mlwatch.records import Metric

MOST_CLASSES = 50
"""The recall of so many classes is told, of those with the most outcomes."""

_AVERAGED = ("precision", "recall", "f1")


def figures(pairs: Mapping[tuple[str, ...], int], z: float) -> Iterator[Metric]:
    """Return the figures of a multiclass task beyond those of every classification.

    Precision, recall and F1 are averaged over the classes as scikit-learn's "macro" does (a class
    without a predicted, or actual, row counts 0) and, under names with `_weighted`, as its
    "weighted": by the outcomes of each.

    Args:
        pairs: The rows by the label that was served and the outcome.
        z: The normal point of the intervals' level.
    """
    n = sum(pairs.values())
    if n < FEWEST:
        averaged = [*_AVERAGED, *(f"{name}_weighted" for name in _AVERAGED)]
        yield from (too_few(name, n) for name in ("balanced_accuracy", *averaged))
        return
    classes = sorted({name for pair in pairs for name in pair})
    place = {name: index for index, name in enumerate(classes)}
    table = np.zeros((len(classes), len(classes)))
    for (served, true), count in pairs.items():
        table[place[served], place[true]] = count
    yield _balanced(table, z)
    yield from _macro(table, z)
    yield from _weighted(table, z)
    yield from _recalls(table, classes, z)


def _balanced(table: NDArray[Any], z: float) -> Metric:
    """Return the mean recall of the classes that have outcomes."""
    n, actual = int(table.sum()), table.sum(axis=0)
    seen = actual > 0
    if seen.sum() < 2:
        return undefined("balanced_accuracy", "outcomes of one class only", n)
    hits = np.diag(table)
    parts = [_bounded(k, m, z) for k, m in zip(hits[seen], actual[seen], strict=True)]
    value, low, high = intervals.average(parts)
    return Metric("balanced_accuracy", value, max(0.0, low), min(1.0, high), n)


def _macro(table: NDArray[Any], z: float) -> Iterator[Metric]:
    """Return the plain averages; the intervals are put together of those of the classes (MOVER).

    The classes' precisions are independent, and so are their recalls. For F1 the variance grows by
    `_sharing`.
    """
    n, hits, predicted, actual = _margins(table)
    f1 = 2 * hits / (predicted + actual)
    shares = [
        intervals.f1(int(right), int(wrong), z)
        for right, wrong in zip(hits, predicted + actual - 2 * hits, strict=True)
    ]
    parts = {
        "precision": [_bounded(k, m, z) for k, m in zip(hits, predicted, strict=True)],
        "recall": [_bounded(k, m, z) for k, m in zip(hits, actual, strict=True)],
        "f1": [(float(value), *ends) for value, ends in zip(f1, shares, strict=True)],
    }
    for name, found in parts.items():
        spread = _sharing(table) if name == "f1" else 1.0
        value, low, high = intervals.average(found, spread)
        yield Metric(name, value, max(0.0, low), min(1.0, high), n)


def _sharing(table: NDArray[Any]) -> float:
    """Return by what factor macro F1 varies more as errors count in two classes (delta method).

    From 1, when there are no errors, to 2.
    """
    _, hits, predicted, actual = _margins(table)
    f1 = 2 * hits / (predicted + actual)
    weight = f1 / (predicted + actual)
    wrong = table - np.diag(hits)
    apart = (hits * (2 * (1 - f1) / (predicted + actual)) ** 2).sum()
    apart += (wrong * (weight[:, None] ** 2 + weight**2)).sum()
    together = (wrong * weight[:, None] * weight).sum()
    return float(1 + 2 * together / (apart or 1.0))


def _weighted(table: NDArray[Any], z: float) -> Iterator[Metric]:
    """Return the averages weighted by the outcomes of each class; that of recall is the accuracy.

    The variance of the others is that of the delta method over all cells of the table; the
    interval is that of a share of as many rows as have the same.
    """
    n, hits, predicted, actual = _margins(table)
    precision = np.divide(hits, predicted, out=np.zeros(len(hits)), where=predicted > 0)
    lost = np.divide(actual, predicted, out=np.zeros(len(hits)), where=predicted > 0)
    moved = precision - (precision * lost)[:, None] + np.diag(lost)
    yield _effective("precision_weighted", float(actual @ precision) / n, moved, table, z)
    yield share("recall_weighted", int(hits.sum()), n, z)
    f1 = 2 * hits / (predicted + actual)
    part = actual / (predicted + actual)
    moved = f1 * (1 - part) - (f1 * part)[:, None] + np.diag(2 * part)
    yield _effective("f1_weighted", float(actual @ f1) / n, moved, table, z)


def _effective(
    name: str, value: float, moved: NDArray[Any], table: NDArray[Any], z: float
) -> Metric:
    """Return a figure whose interval is that of a share with the same variance.

    Args:
        name: The metric's name.
        value: Its value.
        moved: By how much one more row of each cell moves n times the value, shape of `table`.
        table: The rows by the label that was served and the outcome.
        z: The normal point of the interval's level.
    """
    n = int(table.sum())
    mean = float((table * moved).sum()) / n
    variance = float((table * (moved - mean) ** 2).sum()) / n
    certain = value * (1 - value) <= 1e-12 or variance <= 1e-12
    effective = n if certain else n * value * (1 - value) / variance
    low, high = intervals.share(value * effective, effective, z)
    return Metric(name, value, min(low, value), max(high, value), n)


def _recalls(table: NDArray[Any], classes: Sequence[str], z: float) -> Iterator[Metric]:
    n, hits, _, actual = _margins(table)
    largest = np.argsort(-actual, kind="stable")[:MOST_CLASSES]
    for place in sorted(largest.tolist()):
        yield share(
            "class_recall",
            int(hits[place]),
            int(actual[place]),
            z,
            of="outcomes of this class",
            rows=n,
            labels={"class": classes[place]},
        )


def _margins(table: NDArray[Any]) -> tuple[int, NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return all rows, and for each class those that were right, predicted, and actual."""
    return int(table.sum()), np.diag(table), table.sum(axis=1), table.sum(axis=0)


def _bounded(k: float, n: float, z: float) -> intervals.Bounded:
    return (float(k / n), *intervals.share(float(k), float(n), z)) if n else (0.0, 0.0, 0.0)
