"""What the model says: its mean, its spread, its classes, beside the reference."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from mlwatch import intervals
from mlwatch.records import Metric, Tallies, Tally
from mlwatch.scoring import FIXED, Scoring
from mlwatch.window import Window

_MOST_CLASSES = 20


@dataclass(frozen=True, slots=True)
class PredictionsCollector:
    """Measure the predictions themselves, which needs no outcome.

    Each figure stands beside the same one on the reference, where that was fitted with predictions.
    """

    name: str = "predictions"

    def collect(self, window: Window) -> Iterator[Metric]:
        """Return mean and spread of the scores, and the share of positives or of each class."""
        scoring = window.scoring
        known = {} if window.reference is None else window.reference.tallies
        yield from _moments(scoring, window.tally("moments"), known.get("moments", {}))
        yield from _unexpected(window.tally("served"))
        labels = window.tally("label")
        if not labels or _are_numbers(window.tallies):
            return
        of_reference = known.get("label", {})
        if scoring.is_binary(labels):
            yield _share("positive_rate", str(scoring.classes[1]), labels, of_reference)
            return
        for name in [str(it) for it in scoring.classes] if scoring.task else _most(labels):
            yield _share("class_share", name, labels, of_reference)


def _are_numbers(tallies: Tallies) -> bool:
    """Return whether labels are no more than those of the numbers served that are 0 or 1."""
    return sum(tallies["label"].values()) < tallies.get("moments", {}).get("n", 0)


def _most(labels: Tally) -> list[str]:
    """Return the most frequent labels of a model whose classes nobody has named."""
    return sorted(labels, key=lambda name: (-labels[name], name))[:_MOST_CLASSES]


def _share(what: str, label: str, labels: Tally, of_reference: Tally) -> Metric:
    k, n = labels.get(label, 0), sum(labels.values())
    known = sum(of_reference.values())
    return Metric(
        what,
        k / n,
        *intervals.share(k, n),
        n,
        {"class": label} if what == "class_share" else {},
        reference=of_reference.get(label, 0) / known if known else None,
    )


def _unexpected(served: Tally) -> Iterator[Metric]:
    """Return the share of what was served that is none of the classes, or no number."""
    k = served.get("unexpected", 0)
    n = k + served.get("expected", 0)
    if n:
        why = f"{k:,} that are none of the model's classes, or no number" if k else ""
        yield Metric("unexpected_share", k / n, *intervals.share(k, n), n, why=why)


def _moments(scoring: Scoring, tally: Tally, of_reference: Tally) -> Iterator[Metric]:
    n = tally.get("n", 0)
    if not n:
        return
    if n < intervals.FEWEST:
        for name in ("prediction_mean", "prediction_std"):
            yield Metric(name, None, n=n, why=f"not enough data: {n} of {intervals.FEWEST} scores")
        return
    powers = _powers(tally)
    known = _mean_and_std(scoring, of_reference) if of_reference else (None, None)
    mean, std = _mean_and_std(scoring, tally)
    low, high = (it * scoring.scale + scoring.center for it in intervals.mean(n, *powers[:2]))
    yield Metric("prediction_mean", mean, low, high, n, reference=known[0])
    low, high = (it * scoring.scale for it in intervals.spread(n, *powers))
    yield Metric("prediction_std", std, low, high, n, reference=known[1])


def _powers(tally: Tally) -> list[float]:
    """Return the sums of the scores, their squares, cubes and fourth powers, on their own scale."""
    return [tally.get(name, 0) / FIXED for name in ("sum", "squares", "cubes", "fourths")]


def _mean_and_std(scoring: Scoring, tally: Tally) -> tuple[float, float]:
    """Return mean and standard deviation in the unit in which the model serves."""
    n, powers = tally["n"], _powers(tally)
    mean = powers[0] / n
    std = math.sqrt(max(0.0, powers[1] / n - mean**2))
    return mean * scoring.scale + scoring.center, std * scoring.scale
