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

SPANS: Mapping[str, timedelta] = {"hour": HOUR, "slot": SLOT, "day": DAY}


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """How the scores of panes of one span have varied.

    Args:
        rows: The usual number of rows in a pane.
        scale: The root of the mean squared deviation of each score, shape (m,); never below
            `floor`.
    """

    rows: float
    scale: Scores

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
    """

    days: int
    center: Scores
    spreads: Mapping[str, Spread]

    def deviations(self, span: str, scores: Scores, rows: Counts) -> Scores:
        """Return by how much panes deviate, shape (panes, m), small ones counting for less.

        A pane of fewer rows than usual varies more; it is shrunk as if all of that were chance.
        """
        weight = np.sqrt(np.minimum(1.0, rows / self.spreads[span].rows))
        shrunk: Scores = (scores - self.center) * weight[:, None]
        return shrunk

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
                name: {"rows": spread.rows, "scale": spread.scale.tolist()}
                for name, spread in self.spreads.items()
            },
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Baseline:
        """Read what `to_plain` gave, bit for bit."""
        spreads = {
            name: Spread(spread["rows"], np.array(spread["scale"], np.float64))
            for name, spread in plain["spreads"].items()
        }
        return cls(plain["days"], np.array(plain["center"], np.float64), spreads)


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
    blank = Baseline(len(days), center, {})
    spreads = {
        name: _spread(blank, stream, history if span == HOUR else history.merged(span))
        for name, span in SPANS.items()
    }
    return Baseline(len(days), center, spreads)


def _spread(blank: Baseline, stream: Stream, history: History) -> Spread:
    scores, rows = scored(stream, history)
    usual = float(rows.mean())
    shaped = Baseline(blank.days, blank.center, {"": Spread(usual, np.ones(1))})
    deviations = shaped.deviations("", scores, rows)
    scale = np.sqrt((deviations**2).mean(axis=0))
    return Spread(usual, np.maximum(scale, 1 / math.sqrt(usual)))


def scored(stream: Stream, history: History) -> tuple[Scores, Counts]:
    """Return the scores and the rows of the panes that hold any of a stream."""
    counts = history.counts[stream.feature]
    rows = stream.rows(counts)
    return stream.score(counts[rows > 0]), rows[rows > 0]


def day_state(usual: Baseline, stream: Stream, history: History) -> t_detector.TState:
    """Return the detector of days as it stands after the days of the baseline."""
    scores, rows = scored(stream, history.merged(DAY))
    return t_detector.start(usual.deviations("day", scores, rows))
