"""The alarm budget, shared out: how strict each single test has to be."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from mlwatch.records import AlarmBudget
from mlwatch.sequential.scores import VALUES, Stream

HOURS_A_WEEK, SLOTS_A_WEEK, DAYS_A_WEEK = 168, 28, 7


@dataclass(frozen=True, slots=True)
class Levels:
    """What false alarms one stream may raise: in a week, and so in each of its tests.

    The expected number of false alarms is the sum over all tests, whatever depends on whatever;
    so each stream gets its part, half of it for the days and half for the hours and slots.

    Args:
        weekly: Expected false alarms of the stream in a week.
        scores: How many scores share it.
        runs: Whether runs of days beyond the reference are tested as well.
    """

    weekly: float
    scores: int
    runs: bool = False

    @property
    def day(self) -> float:
        """The log of the evidence at which a day is an alarm."""
        return evidence_needed(self.run)

    @property
    def run(self) -> float:
        """The level of each test of a day: that of a run of them, and those of its scores."""
        return self.weekly / 2 / DAYS_A_WEEK / (self.scores + self.runs)

    @property
    def slot(self) -> float:
        """The level of the test of one hour, or of one slot of six."""
        return self.weekly / 2 / (HOURS_A_WEEK + SLOTS_A_WEEK) / self.scores

    @property
    def hour(self) -> float:
        """The log of the evidence at which an hour of independent rows is an alarm."""
        return evidence_needed(self.weekly / HOURS_A_WEEK)


def weekly_of_labels(budget: AlarmBudget) -> float:
    """Return the false alarms a week of each of three watches over outcomes.

    They are the figures of performance, the outcomes and their relation to what was predicted, and
    the error rate label by label.
    """
    return budget.weekly * budget.performance / 3


def evidence_needed(level: float) -> float:
    """Return the log of the evidence at which a pane is an alarm.

    A Shiryaev-Roberts statistic grows by 1 a pane on average while nothing changes; with an alarm
    and a new beginning at 1 / level there are at most level * T alarms in T panes, on average, for
    every T (Shin, Ramdas and Rinaldo, 2024).
    """
    return -math.log(level)


def share_out(
    budget: AlarmBudget,
    streams: Sequence[Stream],
    raised: Mapping[str, int] = MappingProxyType({}),
) -> dict[str, Levels]:
    """Return the levels of each stream, by its key.

    Args:
        budget: What the team will bear.
        streams: All that is watched of one model version.
        raised: Features whose part is halved, and how many times; see `backtest`.
    """
    groups = Counter(stream.group == VALUES for stream in streams)
    shares = {True: budget.drift, False: budget.quality}
    parts = {of_values: budget.weekly * shares[of_values] / n for of_values, n in groups.items()}
    return {
        stream.key: Levels(
            parts[stream.group == VALUES] / 2 ** raised.get(stream.feature, 0),
            max(1, len(stream.names)),
            stream.ordered,
        )
        for stream in streams
    }
