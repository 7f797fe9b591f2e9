"""How a model's predictions and their outcomes become integers that add."""

from mlwatch.scoring.counting import BINS, TASKS, Label, Score, Scoring
from mlwatch.scoring.fit import fit_scoring, read_predictions
from mlwatch.scoring.losses import FIXED, SMALLEST, fixed_sum

__all__ = [
    "BINS",
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
