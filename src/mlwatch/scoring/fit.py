"""What a reference learns of its model: the task, the classes, where scores fall."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mlwatch.errors import ConfigurationError, DataError
from mlwatch.profile import NumericGrid
from mlwatch.profile.values import is_missing
from mlwatch.records import Tally
from mlwatch.scoring.counting import TASKS, Label, Score, Scoring

_SHARES = 1 / (1 + np.exp(-np.arange(-62, 63) / 8))
"""Evenly spaced log-odds, from 0.0004 to 0.9996.

A model is surer, or less sure, of other traffic than of that of its reference; where all of it fell
into a few gaps between the quantiles of that, little could be said of its ranking.
"""


def fit_scoring(
    predictions: Any,
    outcomes: Any,
    task: str | None,
    classes: Any,
    threshold: float,
) -> tuple[Scoring, dict[str, Tally]]:
    """Return how to read what a model serves, and the tallies of what it served.

    Raises:
        ConfigurationError: The task or the classes cannot be right, or have to be said.
        DataError: A prediction or an outcome cannot be read.
    """
    served, true = _plain_list("predictions", predictions), _plain_list("outcomes", outcomes)
    if served and true and len(served) != len(true):
        raise DataError(f"{len(served)} predictions and {len(true)} outcomes: give one a row")
    _require_outcomes(true)
    task = _chosen_task(task, served, true)
    if not task:
        return Scoring.unknown(), {}
    scoring = Scoring(task, _chosen_classes(_plain_list("classes", classes), true, task), threshold)
    targets = [scoring.target(value) for value in true]
    if None in targets:
        odd = true[targets.index(None)]
        raise DataError(f"outcome {odd!r} {_unreadable(scoring)}")
    pairs = [_read_served(scoring, value) for value in served]
    if (None, None) in pairs:
        odd = served[pairs.index((None, None))]
        raise DataError(f"prediction {odd!r} {_unreadable(scoring)}")
    scores, labels = [score for score, _ in pairs], [label for _, label in pairs]
    if task == "regression":
        center, scale = _spread(targets or scores)
        scoring = replace(scoring, center=center, scale=scale)
    plain = [score for score in scores if isinstance(score, float)]
    if plain:
        more = _SHARES if task == "binary" else None
        scoring = replace(scoring, grid=NumericGrid.fit(plain, more=more))
    tallies = scoring.tally_predictions(scores, labels)
    if served and true:
        tallies |= scoring.tally_outcomes(scores, labels, targets)
    return scoring, tallies


def read_predictions(scoring: Scoring, served: Any, *, scores: bool) -> list[Any]:
    """Return the scores, or else the labels, of the predictions of a batch."""
    pairs = [_read_served(scoring, value) for value in _plain_list("predictions", served)]
    return [pair[0 if scores else 1] for pair in pairs]


def _plain_list(what: str, values: Any) -> list[Any]:
    """Return an array, a Series, a DataFrame or a sequence as a list of Python values."""
    if values is None:
        return []
    if hasattr(values, "to_numpy"):
        values = values.to_numpy()
    try:
        found = list(values.tolist() if hasattr(values, "tolist") else values)
    except TypeError as error:
        raise DataError(f"{what}={values!r}: give one a row") from error
    plain = [value.item() if isinstance(value, np.generic) else value for value in found]
    return [value[0] if isinstance(value, list) and len(value) == 1 else value for value in plain]


def _require_outcomes(true: Sequence[Any]) -> None:
    for value in true:
        if is_missing(value) or (isinstance(value, float) and math.isnan(value)):
            raise DataError("outcomes hold missing values: leave those rows out of both")
        if not isinstance(value, Hashable):
            raise DataError(f"outcome {value!r}: give one value a row")


def _chosen_task(task: str | None, served: Sequence[Any], true: Sequence[Any]) -> str:
    if task is not None and task not in TASKS:
        raise ConfigurationError(f"task={task!r}: must be one of {', '.join(TASKS)}")
    if served and not task and not true:
        raise ConfigurationError(
            f"predictions without outcomes: say task=, one of {', '.join(TASKS)}"
        )
    return task or _infer_task(true, rows_of_shares=any(isinstance(row, list) for row in served))


def _infer_task(outcomes: Sequence[Any], *, rows_of_shares: bool) -> str:
    """Return the task that outcomes speak of: two classes, more classes, or numbers."""
    distinct = set(outcomes)
    if not distinct:
        return ""
    if len(distinct) == 2 or distinct <= {0, 1}:
        return "binary"
    if rows_of_shares or all(isinstance(value, str | bool) for value in distinct):
        return "multiclass"
    return "regression"


def _chosen_classes(given: list[Any], outcomes: Sequence[Any], task: str) -> tuple[Hashable, ...]:
    if task == "regression":
        return ()
    classes = given or _found_classes(set(outcomes), task)
    if task == "binary" and len(classes) != 2:
        raise ConfigurationError(
            f"a binary task with classes {classes!r}: name both with classes=(negative, positive), "
            "or say task='multiclass'"
        )
    if min(len(set(classes)), len({*map(str, classes)})) < max(len(classes), 2):
        raise ConfigurationError(
            f"classes {classes!r}: name each class once with classes=(...), at least two, and no "
            "two that print alike"
        )
    return tuple(classes)


def _found_classes(distinct: set[Any], task: str) -> list[Any]:
    if task == "binary" and distinct <= {0, 1}:
        are_bool = distinct and all(isinstance(value, bool) for value in distinct)
        return [False, True] if are_bool else [0, 1]
    try:
        return sorted(distinct)
    except TypeError as error:
        raise DataError("outcomes of mixed types: name the classes with classes=(...)") from error


def _read_served(scoring: Scoring, value: Any) -> tuple[Score, Label]:
    """Read a prediction as it comes from a batch; a row may be what `predict_proba` gives."""
    if isinstance(value, list) and len(value) == len(scoring.classes):
        if scoring.task == "binary":
            return scoring.read(value[1])
        return scoring.read(scoring.classes[int(np.argmax(value))], value)
    return scoring.read(value)


def _unreadable(scoring: Scoring) -> str:
    kinds = f"classes {list(scoring.classes)!r}" if scoring.classes else "finite numbers"
    return f"cannot be read for a {scoring.task} task with {kinds}"


def _spread(values: Sequence[Any]) -> tuple[float, float]:
    """Return a center and a power of two near the spread."""
    if not values:
        return 0.0, 1.0
    numbers = np.array(values, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        center, spread = float(np.mean(numbers)), float(np.std(numbers))
    if not math.isfinite(center + spread):
        raise DataError("outcomes too large to be squared: scale them down")
    return center, 2.0 ** min(round(math.log2(spread or max(abs(center), 1.0))), 1023)
