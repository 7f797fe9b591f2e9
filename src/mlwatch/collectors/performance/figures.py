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

STRAY = 0.01
"""Up to this share of the outcomes may be of another kind where no task is known."""


def figures(tallies: Tallies, scoring: Scoring, z: float = Z95) -> Iterator[Metric]:
    """Return the figures of labelled predictions, each with its interval.

    Args:
        tallies: The counts of a window, or those of a reference.
        scoring: How they were counted.
        z: The normal point of the intervals' level, 95% where not said.
    """
    numbers, classes = _numbers(tallies), sum(tallies.get("outcome", {}).values())
    if not scoring.task and (why := _of_two_kinds(tallies, max(numbers, classes))):
        yield undefined("mae" if numbers > classes else "accuracy", why, max(numbers, classes))
    elif numbers > classes:
        yield from regression.figures(tallies, scoring, z)
    elif classes:
        yield from _classification(tallies, scoring, z)


def _numbers(tallies: Tallies) -> int:
    tally = tallies.get("residual", {})
    return tally.get("n", 0) + tally.get("too_large", 0)


def _of_two_kinds(tallies: Tallies, largest: int) -> str:
    """Say so where each outcome was taken by its own type, and too many are not of one kind.

    Such are the classes 0, 1, 2 and 3, or counts of which many are 0 and 1: figures of either kind
    alone would be those of a choice of the rows. A failed prediction is of no kind.
    """
    rows = tallies.get("rows", {})
    labelled = rows.get("labelled", 0)
    left = labelled - largest - rows.get("errors", 0)
    if left <= STRAY * labelled:
        return ""
    return (
        f"without a reference an outcome of 0 or 1 is a class and another number is not, and "
        f"{left:,} of {labelled:,} are not like the rest: give Reference.fit(..., task=...)"
    )


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
