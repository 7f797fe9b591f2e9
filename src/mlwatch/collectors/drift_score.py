"""The plain average of drift over all features, for those who ask for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mlwatch.collectors.drift.comparison import ask, pairs_of
from mlwatch.detectors import ChiSquareDetector, KSDetector
from mlwatch.protocols import Detect, DriftDetector
from mlwatch.records import DriftResult, Fault, Metric
from mlwatch.training import PREDICTION
from mlwatch.window import Window


@dataclass(frozen=True)
class DriftScoreCollector:
    """Average the effects of all features into one number between 0 and 1.

    Not on by default, and outside the alarm budget: a mean hides what it averages. One feature of
    twenty that moves in 40% of the traffic gives a score of about 0.02, far below the usual lines
    of 0.3 and 0.5; a score of 0.3 takes a change of that size in all of them. `DriftCollector`
    names the feature instead.

    Args:
        detectors: The effect of a feature is that of the first of these that answers for it.
    """

    detectors: Sequence[DriftDetector | Detect] = field(
        default_factory=lambda: (KSDetector(), ChiSquareDetector())
    )
    name: str = "drift_score"

    def collect(self, window: Window) -> Iterator[Metric | Fault]:
        """Return the score, with the mean of the effects' lower bounds as its low end."""
        effects: list[float] = []
        lows: list[float] = []
        for reference, current in pairs_of(window):
            if current.name == PREDICTION:
                continue
            answers = (ask(detector, reference, current, window) for detector in self.detectors)
            found = next((answer for answer in answers if answer is not None), None)
            if isinstance(found, Fault):
                yield found
            elif isinstance(found, DriftResult) and found.effect is not None:
                effects.append(found.effect)
                lows.append(found.effect_low or 0.0)
        n = len(effects)
        if effects:
            why = f"the mean of {n} features, which hides the largest of {max(effects):.2f}"
            yield Metric("drift_score", sum(effects) / n, low=sum(lows) / n, n=n, why=why)
        elif window.reference is not None:
            why = "not enough data: no feature has values that can be compared"
            yield Metric("drift_score", None, why=why)
