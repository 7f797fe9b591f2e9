"""How well the model does on what has been labelled so far."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mlwatch import intervals
from mlwatch.profile import Distribution, NumericGrid
from mlwatch.records import Metric, Tallies, Tally, split_key
from mlwatch.scoring import FIXED, Scoring

FEWEST = 30
"""With fewer labelled rows there is no figure, only "not enough data"."""

FEWEST_OF_A_CLASS = 10
"""With fewer positives or negatives there is no area under the curve."""

_Bounded = tuple[float, float, float]


def figures(tallies: Tallies, scoring: Scoring) -> Iterator[Metric]:
    """Return the figures of labelled predictions, each with its 95% interval.

    Args:
        tallies: The counts of a window, or those of a reference.
        scoring: How they were counted.
    """
    if tallies.get("residual"):
        yield from _regression(tallies, scoring)
    elif tallies.get("outcome"):
        yield from _classification(tallies, scoring)


def _regression(tallies: Tallies, scoring: Scoring) -> Iterator[Metric]:
    tally, scale = tallies["residual"], scoring.scale
    n = tally["n"]
    if n < FEWEST:
        for name in ("mae", "rmse", "r2"):
            yield _too_few(name, n)
        return
    sums = {name: tally.get(name, 0) / FIXED for name in intervals.MOMENTS}
    low, high = intervals.mean(n, sums["abs"], sums["e2"])
    yield Metric("mae", sums["abs"] / n * scale, low * scale, high * scale, n)
    low, high = (math.sqrt(max(0.0, end)) for end in intervals.mean(n, sums["e2"], sums["e4"]))
    yield Metric("rmse", math.sqrt(sums["e2"] / n) * scale, low * scale, high * scale, n)
    if not _outcomes_vary(n, tally):
        yield Metric("r2", None, n=n, why="undefined: all outcomes are equal")
    else:
        value, (low, high) = intervals.r_squared(n, sums)
        yield Metric("r2", value, low, high, n)
    mean = sums["y"] / n * scale + scoring.center
    low, high = intervals.mean(n, sums["y"], sums["y2"])
    center = scoring.center
    yield Metric("outcome_mean", mean, low * scale + center, high * scale + center, n)


def _outcomes_vary(n: int, tally: Tally) -> bool:
    """Return whether the outcomes' variance is above what the rounding of their sums can make."""
    total, squares = tally.get("y", 0), tally.get("y2", 0)
    return n * squares * int(FIXED) - total**2 > n * (n * int(FIXED) + 2 * abs(total))


def _classification(tallies: Tallies, scoring: Scoring) -> Iterator[Metric]:
    pairs = {split_key(key): count for key, count in tallies.get("confusion", {}).items()}
    n = sum(pairs.values())
    right = sum(count for (predicted, actual), count in pairs.items() if predicted == actual)
    yield _share("accuracy", right, n)
    known = tallies["outcome"]
    if scoring.is_binary(known):
        negative, positive = map(str, scoring.classes)
        yield from _binary(pairs, positive, n)
        yield _auc(tallies, scoring.grid, negative, positive)
        yield _share("outcome_rate", known.get(positive, 0), sum(known.values()))
    else:
        yield from _macro(pairs, n)
    yield _log_loss(tallies.get("loss", {}))


def _binary(pairs: dict[tuple[str, ...], int], positive: str, n: int) -> Iterator[Metric]:
    hits = pairs.get((positive, positive), 0)
    predicted = sum(count for (served, _), count in pairs.items() if served == positive)
    actual = sum(count for (_, true), count in pairs.items() if true == positive)
    yield _share("precision", hits, predicted, of="predicted positives", rows=n)
    yield _share("recall", hits, actual, of="actual positives", rows=n)
    errors = predicted + actual - 2 * hits
    if n < FEWEST:
        yield _too_few("f1", n)
    elif not hits + errors:
        yield Metric("f1", None, n=n, why="undefined: no positives, predicted or actual")
    else:
        low, high = intervals.f1(hits, errors)
        yield Metric("f1", 2 * hits / (2 * hits + errors), low, high, n)


def _macro(pairs: dict[tuple[str, ...], int], n: int) -> Iterator[Metric]:
    """Return precision, recall and F1 averaged over the classes, as scikit-learn's "macro" does.

    A class without a predicted (or actual) row counts 0. The interval is put together of those of
    the classes (MOVER; Zou and Donner, 2008), which are independent for precision and recall.
    For F1 the variance grows by `_sharing`.
    """
    if n < FEWEST:
        for name in ("precision", "recall", "f1"):
            yield _too_few(name, n)
        return
    classes = sorted({name for pair in pairs for name in pair})
    sharing = _sharing(pairs, classes)
    parts: dict[str, list[_Bounded]] = {"precision": [], "recall": [], "f1": []}
    for name in classes:
        hits = pairs.get((name, name), 0)
        predicted = sum(count for (served, _), count in pairs.items() if served == name)
        actual = sum(count for (_, true), count in pairs.items() if true == name)
        errors = predicted + actual - 2 * hits
        parts["precision"].append(_bounded(hits, predicted))
        parts["recall"].append(_bounded(hits, actual))
        parts["f1"].append((2 * hits / (predicted + actual), *intervals.f1(hits, errors)))
    for metric, found in parts.items():
        value = sum(part[0] for part in found) / len(found)
        spread = (sharing if metric == "f1" else 1.0) / len(found) ** 2
        below = math.sqrt(spread * sum((part[0] - part[1]) ** 2 for part in found))
        above = math.sqrt(spread * sum((part[2] - part[0]) ** 2 for part in found))
        yield Metric(metric, value, max(0.0, value - below), min(1.0, value + above), n)


def _sharing(pairs: dict[tuple[str, ...], int], classes: list[str]) -> float:
    """Return by what factor macro F1 varies more as errors count in two classes (delta method).

    From 1, when there are no errors, to 2.
    """
    weight, apart = {}, 0.0
    for name in classes:
        hits = pairs.get((name, name), 0)
        total = sum(count * pair.count(name) for pair, count in pairs.items())
        f1 = 2 * hits / total
        weight[name] = f1 / total
        apart += hits * (2 * (1 - f1) / total) ** 2
    errors = [(a, b, count) for (a, b), count in pairs.items() if a != b]
    apart += sum(count * (weight[a] ** 2 + weight[b] ** 2) for a, b, count in errors)
    return 1 + 2 * sum(count * weight[a] * weight[b] for a, b, count in errors) / (apart or 1.0)


def _bounded(k: int, n: int) -> _Bounded:
    return (k / n, *intervals.share(k, n)) if n else (0.0, 0.0, 0.0)


def _auc(tallies: Tallies, grid: NumericGrid | None, negative: str, positive: str) -> Metric:
    if grid is None:
        return Metric("roc_auc", None, why="undefined: no scores are recorded, only labels")
    counts = [_cells(grid, tallies.get(f"given/{name}", {})) for name in (positive, negative)]
    few = min(int(count.sum()) for count in counts)
    n = int(sum(count.sum() for count in counts))
    if few == 0:
        return Metric("roc_auc", None, n=n, why="undefined: scored outcomes of one class only")
    if few < FEWEST_OF_A_CLASS or n < FEWEST:
        return Metric(
            "roc_auc",
            None,
            n=n,
            why=f"not enough data: {n} of {FEWEST} labelled scores, {few} of "
            f"{FEWEST_OF_A_CLASS} of the rarer class",
        )
    value, (low, high) = intervals.auc(*counts)
    return Metric("roc_auc", value, low, high, n)


def _cells(grid: NumericGrid, tally: Tally) -> NDArray[np.int64]:
    return Distribution.from_tally("score", grid, tally).counts


def _log_loss(tally: Tally) -> Metric:
    n = tally.get("n", 0)
    if not n:
        return Metric("log_loss", None, why="undefined: no probabilities are recorded")
    if n < FEWEST:
        return _too_few("log_loss", n)
    total, squares = tally.get("sum", 0) / FIXED, tally.get("squares", 0) / FIXED
    low, high = intervals.mean(n, total, squares)
    return Metric("log_loss", total / n, max(0.0, low), high, n)


def _share(
    name: str, k: int, n: int, *, of: str = "labelled predictions", rows: int | None = None
) -> Metric:
    if (n if rows is None else rows) < FEWEST:
        return _too_few(name, n if rows is None else rows)
    if not n:
        return Metric(name, None, n=0, why=f"undefined: there are no {of}")
    low, high = intervals.share(k, n)
    return Metric(name, k / n, low, high, n)


def _too_few(name: str, n: int) -> Metric:
    return Metric(name, None, n=n, why=f"not enough data: {n} of {FEWEST} labelled predictions")
