"""What the model says: its mean, its spread, its classes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from mlwatch import intervals
from mlwatch.records import Metric, Tally
from mlwatch.scoring import FIXED
from mlwatch.window import Window

_FEWEST = 30
_MOST_CLASSES = 20


@dataclass(frozen=True, slots=True)
class PredictionsCollector:
    """Measure the predictions themselves, which needs no outcome."""

    name: str = "predictions"

    def collect(self, window: Window) -> Iterator[Metric]:
        """Return mean and spread of the scores, and the share of positives or of each class."""
        yield from _moments(window)
        labels, scoring = window.tally("label"), window.scoring
        n = sum(labels.values())
        if not n or n < window.tally("moments").get("n", 0):  # numbers, some of which are 0 or 1
            return
        if scoring.is_binary(labels):
            k = labels.get(str(scoring.classes[1]), 0)
            low, high = intervals.share(k, n)
            yield Metric("positive_rate", k / n, low, high, n)
            return
        known = [str(name) for name in scoring.classes] if scoring.task else _most(labels)
        for name in known:
            low, high = intervals.share(labels.get(name, 0), n)
            yield Metric("class_share", labels.get(name, 0) / n, low, high, n, {"class": name})


def _most(labels: Tally) -> list[str]:
    """Return the most frequent labels of a model whose classes nobody has named."""
    return sorted(labels, key=lambda name: (-labels[name], name))[:_MOST_CLASSES]


def _moments(window: Window) -> Iterator[Metric]:
    tally, scoring = window.tally("moments"), window.scoring
    n = tally.get("n", 0)
    if not n:
        return
    if n < _FEWEST:
        for name in ("prediction_mean", "prediction_std"):
            yield Metric(name, None, n=n, why=f"not enough data: {n} of {_FEWEST} scores")
        return
    powers = [tally.get(name, 0) / FIXED for name in ("sum", "squares", "cubes", "fourths")]
    total, squares = powers[:2]
    low, high = (end * scoring.scale + scoring.center for end in intervals.mean(n, total, squares))
    yield Metric("prediction_mean", total / n * scoring.scale + scoring.center, low, high, n)
    variance = max(0.0, squares / n - (total / n) ** 2)
    low, high = (end * scoring.scale for end in intervals.spread(n, *powers))
    yield Metric("prediction_std", math.sqrt(variance) * scoring.scale, low, high, n)
