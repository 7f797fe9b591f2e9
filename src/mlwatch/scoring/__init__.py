"""How a model's predictions and their outcomes become integers that add."""

from mlwatch.scoring.counting import FIXED, SMALLEST, TASKS, Label, Score, Scoring, fixed_sum
from mlwatch.scoring.fit import fit_scoring, read_predictions

__all__ = [
    "FIXED",
    "SMALLEST",
    "TASKS",
    "Label",
    "Score",
    "Scoring",
    "fit_scoring",
    "fixed_sum",
    "read_predictions",
]
