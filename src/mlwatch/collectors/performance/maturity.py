"""How many of the labels of a span have come, and the newest span of which they all have."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from mlwatch.collectors.performance.delays import MATURE, Delays
from mlwatch.records import IMMATURE, Metric, Pane
from mlwatch.spans import KEPT, MINUTE, floor, kept_in
from mlwatch.window import Window

RAREST = 0.8
"""What has no label yet may be no more than the rest of any class."""

_PARTS = 4
"""A pane is looked at in so many parts: its predictions are not all as old as its end."""


@dataclass(frozen=True, slots=True)
class Maturity:
    """How many of the labels of a span have come.

    Args:
        labelled: Predictions with a label.
        counted: Predictions that may get one.
        rarest: At least this share of the labels of each class has come, were all predictions
            without a label of that class.
        expected: Of the labels that will come, the share that has come by the time that labels
            take; None where that is not known.
        is_known: Whether the service has labels at all.
    """

    labelled: int
    counted: int
    rarest: float
    expected: float | None
    is_known: bool

    @property
    def coverage(self) -> float:
        """The share of the predictions that have a label."""
        return min(1.0, self.labelled / self.counted) if self.counted else 0.0

    @property
    def share(self) -> float:
        """The share of the labels that has come, as far as is known.

        No more labels can come than there are predictions without one; but where labels take
        longer, those few may be all that there are of a class.
        """
        if self.expected is None:
            return self.coverage
        return max(self.coverage, self.expected) if self.rarest >= RAREST else self.expected

    @property
    def is_mature(self) -> bool:
        """Whether figures of the span may be judged."""
        return self.share >= MATURE

    @property
    def why(self) -> str:
        """What is known, in words."""
        told = f"{_percent(self.coverage)} of the predictions have their label"
        if self.expected is None:
            return f"{told}; how late labels come is not known yet"
        return f"{told}, of the labels that will come {_percent(self.expected)} are expected by now"

    def mark(self, metric: Metric) -> Metric:
        """Return a figure of the span, marked where it may not be judged."""
        if self.is_mature or not self.is_known:
            return metric
        return replace(metric, verdict=IMMATURE, why=metric.why or f"{IMMATURE}: {self.why}")

    def metrics(self) -> Iterator[Metric]:
        """Return the share of the labels that has come, with a verdict."""
        if self.is_known and self.counted:
            verdict = "mature" if self.is_mature else IMMATURE
            yield Metric(
                "label_maturity", self.share, n=self.counted, verdict=verdict, why=self.why
            )


def maturity(window: Window, delays: Delays, now: datetime) -> Maturity:
    """Return how many of the labels of a window have come by `now`."""
    rows = window.tally("rows")
    counted, labelled = rows.get("counted", 0), rows.get("labelled", 0)
    expected = None
    if delays.lag is not None and counted:
        expected = sum(
            pane.tallies["rows"].get("counted", 0) * _within(delays, now, pane)
            for pane in window.row_panes
        )
        expected /= counted
    rarest = _rarest(window, counted - labelled)
    return Maturity(labelled, counted, rarest, expected, bool(labelled or delays.n))


def _within(delays: Delays, now: datetime, pane: Pane) -> float:
    """Return the share of labels that take no longer, of predictions spread over a pane."""
    ages = (now - pane.time - pane.span * (part + 0.5) / _PARTS for part in range(_PARTS))
    return sum(map(delays.within, ages)) / _PARTS


def _rarest(window: Window, missing: int) -> float:
    """Return it for a binary task; among many classes a few labels change little."""
    known = window.tally("outcome")
    if missing <= 0 or not known or not window.scoring.is_binary(known):
        return 1.0
    counts = [known.get(str(name), 0) for name in window.scoring.classes]
    return min(n / (n + missing) for n in counts)


def _percent(share: float) -> str:
    """Return a share in percent, rounded down: 100% are all."""
    return f"{math.floor(100 * share)}%"


def newest_mature(window: Window, delays: Delays) -> Window | None:
    """Return the newest span as long as the window whose labels have come.

    It is made of whole panes, as coarse as they are there: of days where it lies days back. None
    where it is not known, or lies further back than is kept.
    """
    if delays.lag is None:
        return None
    until, span = window.until - delays.lag, window.until - window.since
    read_at = window.read_at
    pane = MINUTE if read_at is None else kept_in(until - span, read_at)
    until = floor(until, pane)
    since = until - max(span // pane, 1) * pane
    return window.between(since, until) if since >= window.until - KEPT else None


def settled(window: Window, delays: Delays) -> tuple[Window, Maturity]:
    """Return the window or, while labels of it are to come, the newest span whose labels have.

    That is as long as the window. Where there is none with labels it is the window.
    """
    state = maturity(window, delays, window.until)
    older = None if state.is_mature else newest_mature(window, delays)
    if older is not None and older.tally("rows").get("labelled"):
        known = maturity(older, delays, window.until)
        if known.is_mature:
            return older, known
    return window, state
