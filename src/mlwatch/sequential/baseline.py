"""What is usual for a service: how its own days, slots and hours have varied."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np

from mlwatch.profile.coarse import Counts, History
from mlwatch.sequential import t_detector
from mlwatch.sequential.scores import Scores, Stream
from mlwatch.spans import DAY, HOUR

FEWEST_DAYS = 14
"""With fewer days nobody can say what is usual."""

SLOT = timedelta(hours=6)

_MOST_BEND = math.sqrt(5) / 2
"""Where all rows of a pane have one rank u: from sqrt(3)(2u - 1) to sqrt(5)(6u^2 - 6u + 1)."""

SPANS: Mapping[str, timedelta] = {"hour": HOUR, "slot": SLOT, "day": DAY}


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """How the scores of panes of one span have varied.

    Args:
        rows: The usual number of rows in a pane.
        scale: The root of the mean squared deviation of each score, shape (m,); never below
            `floor`.
        square: The mean of the squared score of location.
        bend: By how much that of scale grows with it; 0 where there are not these two.
    """

    rows: float
    scale: Scores
    square: float = 0.0
    bend: float = 0.0

    @property
    def floor(self) -> float:
        """What chance alone makes of so many rows: nothing that varies less is known to."""
        return 1 / math.sqrt(self.rows)


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """What is usual for one stream.

    Args:
        days: How many days it was learnt from.
        center: The usual score, over all rows of these days, shape (m,).
        spreads: By the name of the span.
        beyond: On how many of these days nearly all rows lay beyond the reference.
    """

    days: int
    center: Scores
    spreads: Mapping[str, Spread]
    beyond: int = 0

    def deviations(self, span: str, scores: Scores, rows: Counts) -> Scores:
        """Return by how much panes deviate, shape (panes, m), small ones counting for less.

        A pane of fewer rows than usual varies more; it is shrunk as if all of that were chance.
        What a shift makes of the score of scale is taken off: where days have levels of their
        own, it goes by the square of the level, whose tail is far heavier than that of a t.
        """
        spread = self.spreads[span]
        deviations = scores - self.center
        if spread.bend:
            deviations[:, 1] -= spread.bend * (scores[:, 0] ** 2 - spread.square)
        weight = np.sqrt(np.minimum(1.0, rows / spread.rows))
        shrunk: Scores = deviations * weight[:, None]
        return shrunk

    def chance_of_run(self, days: int) -> float:
        """Return the chance that the last `days` days lie beyond the reference, as they do.

        Were all days alike, any of them might be those that do, as in Fisher's exact test; and
        the reference may hold these very days, so that beyond it is above or below all of them.
        """
        held, new = self.days, days
        chance = math.comb(held, self.beyond) / math.comb(held + new, self.beyond + new)
        return min(1.0, (new + 1) * chance)

    def excess(self, span: str, scores: Scores, rows: Counts, level: float) -> Scores:
        """Return by what factor panes deviate more than Student's t allows at `level`.

        The degrees of freedom are those of the days: the hours of a day are not independent.
        """
        limit = t_limit(level, self.days) * self.spreads[span].scale
        found: Scores = np.abs(self.deviations(span, scores, rows)) / limit
        return found

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return {
            "days": self.days,
            "center": self.center.tolist(),
            "spreads": {
                name: [spread.rows, spread.scale.tolist(), spread.square, spread.bend]
                for name, spread in self.spreads.items()
            },
            "beyond": self.beyond,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Baseline:
        """Read what `to_plain` gave, bit for bit."""
        spreads = {
            name: Spread(rows, np.array(scale, np.float64), square, bend)
            for name, (rows, scale, square, bend) in plain["spreads"].items()
        }
        center = np.array(plain["center"], np.float64)
        return cls(plain["days"], center, spreads, plain["beyond"])


def t_limit(level: float, days: int) -> float:
    """Return the two-sided limit of a deviation in units of its scale, learnt from `days` days."""
    from scipy.special import stdtrit

    return float(-stdtrit(days - 1, level / 2) * np.sqrt(1 + 1 / days))


def learn(stream: Stream, history: History) -> Baseline | None:
    """Return what is usual for a stream, or None while the history holds too few days of it."""
    counts = history.counts[stream.feature]
    rows = stream.rows(counts)
    used = rows > 0
    days = sorted({day for day, use in zip(history.days, used, strict=True) if use})
    if len(days) < FEWEST_DAYS or not stream.names:
        return None
    center = stream.score(counts.sum(axis=0, keepdims=True))[0]
    spans = {
        name: history if span == HOUR else history.merged(span) for name, span in SPANS.items()
    }
    spreads = {name: _spread(center, stream, panes) for name, panes in spans.items()}
    beyond = int(stream.beyond(spans["day"].counts[stream.feature]).sum())
    return Baseline(len(days), center, spreads, beyond)


def _spread(center: Scores, stream: Stream, history: History) -> Spread:
    scores, rows = scored(stream, history)
    usual = float(rows.mean())
    square = bend = 0.0
    if stream.ordered and len(center) > 1:
        squares = scores[:, 0] ** 2
        square = float((squares * rows).sum() / rows.sum())
        bend = _bend(squares - square, scores[:, 1] - center[1], rows)
    unscaled = Baseline(0, center, {"": Spread(usual, np.ones(1), square, bend)})
    deviations = unscaled.deviations("", scores, rows)
    scale = np.sqrt((deviations**2).mean(axis=0))
    return Spread(usual, np.maximum(scale, 1 / math.sqrt(usual)), square, bend)


def _bend(squares: Scores, scales: Scores, rows: Counts) -> float:
    """Return the slope of the score of scale on the squared score of location, by least squares.

    Of normal rows, and of any that a monotone function makes normal, a shift makes one between
    0.65, while panes differ little beside how rows vary, and `_MOST_BEND`, where they differ in
    nothing else. Where most rows have one value there may be none.
    """
    spread = (rows * squares**2).sum()
    slope = float((rows * squares * scales).sum() / spread) if spread else 0.0
    return min(max(slope, 0.0), _MOST_BEND)


def scored(stream: Stream, history: History) -> tuple[Scores, Counts]:
    """Return the scores and the rows of the panes that hold any of a stream."""
    counts = history.counts[stream.feature]
    rows = stream.rows(counts)
    return stream.score(counts[rows > 0]), rows[rows > 0]


def day_state(usual: Baseline, stream: Stream, history: History) -> t_detector.TState:
    """Return the detector of days as it stands after the days of the baseline."""
    scores, rows = scored(stream, history.merged(DAY))
    return t_detector.start(usual.deviations("day", scores, rows))
