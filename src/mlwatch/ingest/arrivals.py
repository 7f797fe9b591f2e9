"""What is counted at the time at which labels arrive, beside the time of their predictions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from mlwatch import buckets
from mlwatch.ingest.joined import Joined, PaneKey
from mlwatch.records import Outcome, Pending, Tally, add_tallies
from mlwatch.scoring import Scoring
from mlwatch.spans import MINUTE, floor
from mlwatch.window import DELAY

_ARRIVALS = frozenset({"arrived", "changed", "late", "unmatched"})

_MOST_CLASSES = 10
"""With more classes it is not told apart of which a label is that is late."""


def is_arrival(tally: str) -> bool:
    """Return whether a tally is of labels that arrive: of predictions it says nothing."""
    return tally in _ARRIVALS or tally.startswith(DELAY)


def count_arrival(
    outcome: Outcome, pending: Pending, target: Any, scoring: Scoring, joined: Joined
) -> None:
    """Count a label that joins its prediction: how late it is, and whether it is right.

    Only the first of each prediction; a later one counts as `changed` where it says another thing.
    The day that it changes is marked, where that is a day of the past.
    """
    if joined.arrivals is None or pending.outcome == target:
        return
    tallies: dict[str, Tally] = {"changed": {"labels": 1}}
    if pending.outcome is None:
        seconds = max(0.0, (outcome.time - pending.time).total_seconds())
        known = scoring.class_of(target) if len(scoring.classes) <= _MOST_CLASSES else None
        name = DELAY if known is None or scoring.task == "regression" else f"{DELAY}/{known}"
        tallies = {name: {buckets.bucket(seconds): 1}}
        if pending.label is not None:
            tallies["arrived"] = {"right" if target == pending.label else "wrong": 1}
    when = floor(max(outcome.time, joined.arrivals), MINUTE)
    arrival = (pending.model_version, pending.reference, when)
    add_tallies(joined.panes.setdefault(arrival, {}), tallies)
    mark_late(joined, arrival, pending.time, 1)


def mark_late(joined: Joined, arrival: PaneKey, time: datetime, count: int) -> None:
    """Note in the pane of an arrival that it changes the counts of a day before its own."""
    day = floor(time, MINUTE).date()
    if day < arrival[2].date():
        add_tallies(joined.panes.setdefault(arrival, {}), {"late": {day.isoformat(): count}})
