"""How a model's predictions and their outcomes become integers that add."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from mlwatch.profile import CategoricalGrid, Distribution, NumericGrid
from mlwatch.records import Tally, join_key
from mlwatch.scoring import losses

Score = float | list[float] | None
Label = Hashable

TASKS = ("binary", "multiclass", "regression")

_POWERS = ("sum", "squares", "cubes", "fourths")

BINS = 10
"""Calibration is measured in at most so many bins of about equal reference mass."""


@dataclass(frozen=True, eq=False)
class Scoring:
    """How predictions of one task are read and counted.

    Args:
        task: "binary", "multiclass" or "regression"; "" when nothing is known of the model, and
            each outcome then decides by its own type.
        classes: For "binary" the negative and the positive class, for "multiclass" all of them.
        threshold: A binary score from here up is a positive prediction.
        grid: The cells scores are counted in, or None where there are no scores to count.
        center: Regression targets and scores are kept as (value - center) / scale.
        scale: A power of two near the spread of the outcomes.
    """

    task: str = ""
    classes: tuple[Hashable, ...] = (0, 1)
    threshold: float = 0.5
    grid: NumericGrid | None = None
    center: float = 0.0
    scale: float = 1.0

    @classmethod
    @cache
    def unknown(cls) -> Scoring:
        """Return how predictions are counted without a reference: shares on a fixed grid."""
        points = np.arange(1, 100) / 100
        return cls(grid=NumericGrid(points, np.zeros(2 * len(points) + 1, np.int64)))

    def read(self, prediction: Any, probability: Any = None) -> tuple[Score, Label]:
        """Return the score and the label of what was served; None for what cannot be read."""
        if self.task == "regression":
            return _finite(prediction), None
        if self.task == "multiclass":
            return self._probabilities(probability), self.class_of(prediction)
        if self.task == "" and not _is_share(prediction) and probability is None:
            known = prediction if isinstance(prediction, str) else self.class_of(prediction)
            return _finite(prediction), known
        return self._read_binary(prediction, probability)

    def _read_binary(self, prediction: Any, probability: Any) -> tuple[Score, Label]:
        if probability is None and _is_share(prediction):
            return prediction, self.classes[prediction >= self.threshold]
        score: Score = None
        if isinstance(probability, Mapping):
            score = _finite(_of_class(probability, self.classes[1]))
        elif isinstance(probability, Sequence) and len(probability) == 2:
            score = _finite(probability[1])
        else:
            score = _finite(probability)
        if score is not None and not 0 <= score <= 1:
            score = None
        text = self.task == "" and isinstance(prediction, str)
        label = prediction if text else self.class_of(prediction)
        if label is None and score is not None and _is_share(prediction):
            label = self.classes[score >= self.threshold]
        return score, label

    def _probabilities(self, probability: Any) -> Score:
        if isinstance(probability, Mapping):
            probability = [_of_class(probability, name) or 0.0 for name in self.classes]
        if not isinstance(probability, Sequence) or len(probability) != len(self.classes):
            return None
        found = [_finite(value) for value in probability]
        return [value for value in found if value is not None] if None not in found else None

    def class_of(self, value: Any) -> Label:
        """Return which class a label or an outcome is, or None when it is none of them."""
        try:
            return next((name for name in self.classes if name == value), None)
        except (TypeError, ValueError):
            return None

    def is_expected(self, score: Score, label: Label) -> bool:
        """Return whether what was read of a prediction is what a model of this task serves.

        That is one of its classes, or a number; without a task whatever can be read.
        """
        if self.task in {"binary", "multiclass"}:
            return label is not None
        return score is not None or label is not None

    def is_binary(self, names: Iterable[str]) -> bool:
        """Return whether labels or outcomes, as tallies name them, are of two known classes."""
        return self.task == "binary" or (
            self.task == "" and set(names) <= {str(name) for name in self.classes}
        )

    def target(self, outcome: Any) -> Any:
        """Return an outcome as it is counted: a class or a finite number; None for neither."""
        if self.task == "regression":
            return _finite(outcome)
        if self.task:
            return self.class_of(outcome)
        if isinstance(outcome, str):
            return outcome
        known = self.class_of(outcome)
        return _finite(outcome) if known is None else known

    def tally_predictions(
        self, scores: Sequence[Score], labels: Sequence[Label]
    ) -> dict[str, Tally]:
        """Return the tallies of predictions: where scores fall, their moments, the labels."""
        plain = [score for score in scores if isinstance(score, int | float)]
        tallies: dict[str, Tally] = {
            "label": Counter(str(label) for label in labels if label is not None),
            "moments": losses.power_sums(
                [(score - self.center) / self.scale for score in plain], _POWERS
            ),
        }
        if not self.task:
            plain = [score for score in plain if _is_share(score)]
        if self.grid is not None and plain:
            tallies["score"] = Distribution.count("score", self.grid, plain).to_tally()
        return {name: tally for name, tally in tallies.items() if tally}

    def tally_outcomes(
        self, scores: Sequence[Score], labels: Sequence[Label], outcomes: Sequence[Any]
    ) -> dict[str, Tally]:
        """Return the tallies of predictions whose outcome is known, as `target` gave it."""
        if self._is_regression(scores, labels, outcomes):
            scored = _scored(scores, outcomes)
            return dict(losses.residuals(scored, self.center, self.scale)) if scored else {}
        pairs = [
            join_key(label, outcome)
            for label, outcome in zip(labels, outcomes, strict=True)
            if label is not None
        ]
        tallies: dict[str, Tally] = {
            "outcome": Counter(map(str, outcomes)),
            "confusion": Counter(pairs),
            "loss": losses.mean_sums(self._losses(scores, outcomes)),
            **self._tally_scores(scores, outcomes),
        }
        return {name: tally for name, tally in tallies.items() if tally}

    def _tally_scores(self, scores: Sequence[Score], outcomes: Sequence[Any]) -> dict[str, Tally]:
        """Return where the scores of each class fall, and what their calibration needs."""
        scored = _scored(scores, outcomes)
        if not scored:
            return {}
        found: dict[str, Tally] = {}
        cells = [0] * len(scored)
        if self.grid is not None:
            cells = self.grid.locate([score for score, _ in scored]).tolist()
            for name in self.classes:
                given = [
                    c for c, (_, outcome) in zip(cells, scored, strict=True) if outcome == name
                ]
                found[f"given/{name}"] = {str(c): n for c, n in Counter(given).items()}
        shares = [
            (cell, score, outcome == self.classes[1])
            for cell, (score, outcome) in zip(cells, scored, strict=True)
            if self._is_probability(score, outcome)
        ]
        found["brier"] = losses.mean_sums([(score - hit) ** 2 for _, score, hit in shares])
        if self.grid is not None:
            bins = self._bins
            found["calibration"] = losses.calibration(
                [(bins[cell], score, hit) for cell, score, hit in shares]
            )
        return found

    @cached_property
    def _bins(self) -> list[int]:
        """The bin of calibration that each cell of the grid belongs to, shape (cells,).

        Of about equal reference mass; of equal width where the grid was cut without a reference.
        """
        assert self.grid is not None
        size = self.grid.size
        if self.grid.mass.any():
            return list(map(int, self.grid.coarse(BINS)))
        return [cell * BINS // size for cell in range(size)]

    def _is_regression(
        self, scores: Sequence[Score], labels: Sequence[Label], outcomes: Sequence[Any]
    ) -> bool:
        if self.task:
            return self.task == "regression"
        return any(
            isinstance(outcome, float | int)
            and not (outcome in (0, 1) and (label is not None or _is_share(score)))
            for score, label, outcome in zip(scores, labels, outcomes, strict=True)
        )

    def _losses(self, scores: Sequence[Score], outcomes: Sequence[Any]) -> list[float]:
        found = []
        for score, outcome in zip(scores, outcomes, strict=True):
            if isinstance(score, list):
                truth = score[self.classes.index(outcome)] / (math.fsum(score) or 1.0)
            elif score is not None and self._is_probability(score, outcome):
                truth = score if outcome == self.classes[1] else 1 - score
            else:
                continue
            found.append(losses.log_loss(truth))
        return found

    def _is_probability(self, score: float, outcome: Any) -> bool:
        if self.task:
            return self.task == "binary"
        # Of a model nothing is known of, a served 0 or 1 is as likely a label.
        return 0 < score < 1 and outcome in self.classes

    def labels_grid(self, label_tally: Tally) -> CategoricalGrid:
        """Return the classes as a categorical grid, with `label_tally` as its mass."""
        mass = [label_tally.get(str(name), 0) for name in self.classes]
        return CategoricalGrid(self.classes, np.array([*mass, 0], dtype=np.int64))


def _scored(scores: Sequence[Score], outcomes: Sequence[Any]) -> list[tuple[float, Any]]:
    """Return the score and the outcome of each row that has a plain score."""
    return [
        (score, outcome)
        for score, outcome in zip(scores, outcomes, strict=True)
        if isinstance(score, int | float)
    ]


def _of_class(probability: Mapping[Any, Any], name: Hashable) -> Any:
    """Return the probability of a class; the recorder keeps the keys of mappings as text."""
    return probability.get(name, probability.get(str(name)))


def _is_share(value: object) -> bool:
    return isinstance(value, float) and 0.0 <= value <= 1.0


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None
