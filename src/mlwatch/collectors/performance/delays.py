"""How late labels come."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from itertools import accumulate

from mlwatch import buckets, intervals
from mlwatch.collectors.performance.binary import FEWEST_OF_A_CLASS
from mlwatch.collectors.performance.figure import FEWEST
from mlwatch.records import Metric, Tallies, Tally, sum_tallies
from mlwatch.window import DELAY, Window

MATURE = 0.95
"""A span is mature once this share of its labels has come."""

QUANTILES = (0.5, 0.9)
"""The shares of labels at which the delay is given."""


@dataclass(frozen=True)
class Delays:
    """How late the labels of the last days came.

    Where the labels of one class come later than those of another, the slowest class decides:
    else all of the few that are missing might be positives.

    Args:
        tallies: Their delays in seconds, in `mlwatch.buckets`, by class.
        longest: So late a label may be and would have been seen: a service of two days has none
            that is three days late. While most labels are not well within it, nothing is known.
        usual: The share of each class among the outcomes of the reference, named as in `tallies`.
            While a class is missing of which there should be some by now, nothing is known either.
    """

    tallies: Tallies
    longest: timedelta
    usual: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def n(self) -> int:
        """How many labels came."""
        return _size(self._all)

    @cached_property
    def _all(self) -> Tally:
        return sum_tallies({"": tally} for tally in self.tallies.values()).get("", {})

    @cached_property
    def _curves(self) -> list[_Curve]:
        known = (it for it in self.tallies.values() if _size(it) >= FEWEST_OF_A_CLASS)
        return [_Curve.of(tally) for tally in (self._all, *known)]

    @cached_property
    def lag(self) -> timedelta | None:
        """After so long a label has come with 95%, of any class; None where that is not known."""
        if self.n < FEWEST or self._is_awaiting:
            return None
        lag = timedelta(seconds=max(curve.reaches(MATURE) for curve in self._curves))
        return lag if lag <= self.longest else None

    @property
    def _is_awaiting(self) -> bool:
        """Whether a class is to come: positives that are told first are all that there is."""
        return any(
            _size(self.tallies.get(name, {})) < FEWEST_OF_A_CLASS <= share * self.n
            for name, share in self.usual.items()
        )

    def within(self, age: timedelta) -> float:
        """Return the share of labels that are certainly no later than `age`, of any class."""
        return min(curve.within(max(0.0, age.total_seconds())) for curve in self._curves)

    def metrics(self) -> Iterator[Metric]:
        """Return the delay at two quantiles."""
        for share in QUANTILES if self.n else ():
            labels = {"quantile": f"{share:g}"}
            if self.n < FEWEST:
                why = f"not enough data: {self.n} of {FEWEST} labels"
                yield Metric("label_delay_seconds", None, n=self.n, labels=labels, why=why)
                continue
            value, low, high = buckets.bounded(self._all, share, intervals.Z95)
            yield Metric("label_delay_seconds", value, low, high, self.n, labels)


@dataclass(frozen=True, slots=True)
class _Curve:
    """The share of labels that have come, by their age: the ends of buckets and their ranks."""

    ends: Sequence[float]
    ranks: Sequence[int]

    @classmethod
    def of(cls, tally: Tally) -> _Curve:
        found = buckets.ends(tally)
        return cls([end for end, _ in found], list(accumulate(count for _, count in found)))

    def reaches(self, share: float) -> float:
        return self.ends[bisect_left(self.ranks, share * self.ranks[-1])]

    def within(self, seconds: float) -> float:
        place = bisect_right(self.ends, seconds)
        return self.ranks[place - 1] / self.ranks[-1] if place else 0.0


def delays_in(window: Window) -> Tallies:
    """Return how late the labels were that came in a window, by class."""
    return sum_tallies(
        {name: tally for name, tally in pane.tallies.items() if name.startswith(DELAY)}
        for pane in window.panes_
    )


def chosen(*candidates: Tallies) -> Tallies:
    """Return the delays of each class from the first that has enough of them, or from the first."""
    names = dict.fromkeys(name for tallies in candidates for name in tallies)
    found = {}
    for name in names:
        tallies = [it[name] for it in candidates if name in it]
        enough = (it for it in tallies if _size(it) >= FEWEST_OF_A_CLASS)
        found[name] = dict(next(enough, tallies[0]))
    return found


def _size(tally: Tally) -> int:
    return sum(tally.values())
