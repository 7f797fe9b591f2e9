"""The alarms that past days would have raised, each judged against the other days."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mlwatch.profile.coarse import History
from mlwatch.records import AlarmBudget
from mlwatch.sequential import baseline, t_detector
from mlwatch.sequential.baseline import FEWEST_DAYS, SLOT, Baseline
from mlwatch.sequential.budget import Levels, share_out
from mlwatch.sequential.scores import Stream
from mlwatch.spans import DAY, HOUR

LOOK_BACK = 28
"""The most days that are looked back on."""

_EPISODE = timedelta(hours=24)
_STRICTEST = 60
_NAMED = 3
_FINEST = ((HOUR, "hour"), (SLOT, "slot"))


@dataclass(frozen=True, slots=True)
class Backtest:
    """What the detectors would have told on past days, each judged against the others.

    Every span that is unusual counts, whether or not it would have mattered, so that there would
    have been no more alarms than this. `print` shows it in one line.

    Attributes:
        days: How many days were looked back on; 0 where there are too few.
        alarms: Episodes that would have been opened, of all features.
        allowed: The budget of these days.
        raised: The features that would have alarmed too often, and how many times their part of
            the budget was halved, which raises their limits, until all alarms were within it.
    """

    days: int
    alarms: int
    allowed: float
    raised: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        if not self.days:
            return f"no backtest yet: it needs {FEWEST_DAYS} whole days"
        found = "1 alarm" if self.alarms == 1 else f"{self.alarms} alarms"
        line = f"your last {self.days} days: {found}, budget {self.allowed:.2g}"
        if not self.raised:
            return line
        most = sorted(self.raised.items(), key=lambda it: -it[1])
        parts = [f"{name} to 1/{2**times}" for name, times in most[:_NAMED]]
        more = [f"{len(most) - _NAMED} more"] if len(most) > _NAMED else []
        return f"{line} (limits raised, part of the budget cut: {', '.join(parts + more)})"


def backtest(streams: Iterable[Stream], history: History, budget: AlarmBudget) -> Backtest:
    """Replay the detectors over past days, and raise their limits until the budget holds.

    Args:
        streams: What is watched.
        history: Coarse counts by hour; the last `LOOK_BACK` days of it are replayed.
        budget: What the team will bear.
    """
    recent = _last_days(history)
    days = sorted(set(recent.days))
    found = {stream: baseline.learn(stream, recent) for stream in streams}
    known = {stream: usual for stream, usual in found.items() if usual is not None}
    if not known:
        return Backtest(0, 0, 0.0)
    weeks = len(days) / 7
    allowed = budget.weekly * weeks
    spans = {span: recent if span == HOUR else recent.merged(span) for span in (HOUR, SLOT, DAY)}
    raised: Counter[str] = Counter()
    levels = share_out(budget, list(known))
    alarms = _alarming(known, spans, levels)
    while alarms.total() > allowed and max(raised.values(), default=0) < _STRICTEST:
        raised.update(alarms.keys())
        levels = share_out(budget, list(known), raised)
        loud = {stream: usual for stream, usual in known.items() if stream.feature in alarms}
        alarms = _alarming(loud, spans, levels)
    return Backtest(len(days), alarms.total(), allowed, dict(sorted(raised.items())))


def _alarming(
    known: Mapping[Stream, Baseline],
    spans: Mapping[timedelta, History],
    levels: Mapping[str, Levels],
) -> Counter[str]:
    """Return how many episodes each feature would have opened."""
    found: Counter[str] = Counter()
    for stream, usual in known.items():
        found[stream.feature] += _episodes(_alarms(stream, usual, spans, levels[stream.key]))
    return +found


def _last_days(history: History) -> History:
    days = sorted(set(history.days))
    return history.without(days[:-LOOK_BACK])


def _alarms(
    stream: Stream, usual: Baseline, spans: Mapping[timedelta, History], levels: Levels
) -> list[datetime]:
    """Return when a stream would have been unusual."""
    scores, rows = baseline.scored(stream, spans[DAY])
    deviations = usual.deviations("day", scores, rows)
    floor = usual.spreads["day"].floor
    days = t_detector.replay(deviations, levels.day, floor=floor)
    times = _times(stream, spans[DAY], days)
    for span, name in _FINEST:
        excess = _excess_without_own_day(stream, usual, spans[span], name, levels)
        times += _times(stream, spans[span], excess > 1)
    return times


def _excess_without_own_day(
    stream: Stream, usual: Baseline, history: History, name: str, levels: Levels
) -> NDArray[np.float64]:
    """Return the excess of each pane over the limits that all days but its own would set."""
    scores, rows = baseline.scored(stream, history)
    deviations = usual.deviations(name, scores, rows)
    days = np.array(_used(stream, history))
    squares = deviations**2
    own = np.zeros_like(squares)
    sizes = np.zeros(len(days))
    for day in set(days.tolist()):
        there = days == day
        own[there], sizes[there] = squares[there].sum(axis=0), there.sum()
    others = (squares.sum(axis=0) - own) / (len(days) - sizes)[:, None]
    scale = np.maximum(np.sqrt(others), usual.spreads[name].floor)
    found: NDArray[np.float64] = np.abs(deviations) / (
        baseline.t_limit(levels.slot, usual.days - 1) * scale
    )
    return found


def _used(stream: Stream, history: History) -> list[str]:
    rows = stream.rows(history.counts[stream.feature])
    return [day for day, n in zip(history.days, rows, strict=True) if n]


def _times(stream: Stream, history: History, alarming: NDArray[np.bool_]) -> list[datetime]:
    """Return when the panes start in which any score, shape (panes, m), alarms."""
    rows = stream.rows(history.counts[stream.feature])
    starts = [start for start, n in zip(history.starts, rows, strict=True) if n]
    return [start for start, scores in zip(starts, alarming, strict=True) if scores.any()]


def _episodes(times: Iterable[datetime]) -> int:
    """Count stretches of alarms no more than a day apart."""
    ordered = sorted(times)
    gaps = [later - earlier for earlier, later in pairwise(ordered)]
    return len(ordered[:1]) + sum(gap > _EPISODE for gap in gaps)
