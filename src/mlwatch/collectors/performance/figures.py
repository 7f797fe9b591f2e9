"""How well the model does on what has been labelled so far."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mlwatch.collectors.performance import binary, multiclass, regression
from mlwatch.collectors.performance.figure import mean, share, undefined
from mlwatch.intervals import Z95
from mlwatch.records import Metric, Tallies, split_key
from mlwatch.scoring import Scoring

MOST_CELLS = 100
"""So many cells of the confusion matrix are told apart, the largest first; others are "other"."""


def figures(tallies: Tallies, scoring: Scoring, z: float = Z95) -> Iterator[Metric]:
    """Return the figures of labelled predictions, each with its interval.

    Args:
        tallies: The counts of a window, or those of a reference.
        scoring: How they were counted.
        z: The normal point of the intervals' level, 95% where not said.
    """
    if tallies.get("residual"):
        yield from regression.figures(tallies, scoring, z)
    elif tallies.get("outcome"):
        yield from _classification(tallies, scoring, z)


def _classification(tallies: Tallies, scoring: Scoring, z: float) -> Iterator[Metric]:
    pairs = {split_key(key): count for key, count in tallies.get("confusion", {}).items()}
    n = sum(pairs.values())
    right = sum(count for (predicted, actual), count in pairs.items() if predicted == actual)
    yield share("accuracy", right, n, z)
    if scoring.is_binary(tallies["outcome"]):
        yield from binary.figures(tallies, scoring, pairs, z)
        classes = [str(name) for name in scoring.classes]
    else:
        yield from multiclass.figures(pairs, z)
        classes = []
    loss = tallies.get("loss")
    if loss:
        yield mean("log_loss", loss, z, low=0.0)
    else:
        yield undefined("log_loss", "no probabilities are recorded")
    if n:
        yield from _confusion(pairs, classes, n)


def _confusion(
    pairs: dict[tuple[str, ...], int], classes: Sequence[str], n: int
) -> Iterator[Metric]:
    """Return the counts of the confusion matrix: all of two classes, else those that occur."""
    full = {(served, true): 0 for served in classes for true in classes} | pairs
    largest = sorted(full, key=lambda pair: (-full[pair], pair))
    told = set(largest[:MOST_CELLS])
    for predicted, actual in sorted(told):
        labels = {"predicted": predicted, "actual": actual}
        yield Metric("confusion", float(full[predicted, actual]), n=n, labels=labels)
    if rest := sum(full[pair] for pair in largest[MOST_CELLS:]):
        yield Metric(
            "confusion", float(rest), n=n, labels={"predicted": "other", "actual": "other"}
        )
