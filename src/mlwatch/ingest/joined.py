"""What is known before events are joined, and what joining them adds to the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mlwatch.records import Fault, Outcome, Pane, Pending, Prediction, Record, Table
from mlwatch.segments import Came
from mlwatch.spans import MINUTE

PaneKey = tuple[str, str, datetime]
"""Version, fingerprint of the reference, start."""


@dataclass
class Known:
    """What the store knows of the request ids in hand, and what is told apart so far.

    `came` says by model version which values of segments are, `endpoints` which endpoints, and
    `names` which features outside of references.
    """

    pending: dict[str, Pending] = field(default_factory=dict)
    early: dict[str, Outcome] = field(default_factory=dict)
    endpoints: set[str] = field(default_factory=set)
    came: dict[str, Came] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Missed:
    """What came and found no room in memory, of which nothing else is known.

    Args:
        time: When that was told.
        model_version: The monitor's own.
        predictions: How many predictions.
        requests: How many requests.
    """

    time: datetime
    model_version: str
    predictions: int
    requests: int


@dataclass
class Joined:
    """What a stretch of events adds to the store, and its account.

    `panes` are of all traffic, `parts` of its segments; `came` says which of them have a place.
    """

    predictions: list[Prediction] = field(default_factory=list)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    pending: dict[str, Pending] = field(default_factory=dict)
    panes: dict[PaneKey, dict[str, dict[str, int]]] = field(default_factory=dict)
    parts: dict[tuple[PaneKey, str], dict[str, dict[str, int]]] = field(default_factory=dict)
    stored: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)
    health: dict[str, Fault | None] = field(default_factory=dict)
    arrivals: datetime | None = None
    came: dict[str, Came] | None = None
    model_version: str = ""

    def rows(self, model: str) -> dict[Table, Sequence[Record]]:
        """Return the rows of a batch."""
        whole = [((key, ""), tallies) for key, tallies in self.panes.items()]
        panes = [
            Pane(
                model=model,
                model_version=version,
                reference=reference,
                segment=segment,
                time=start,
                span=MINUTE,
                tallies=tallies,
            )
            for ((version, reference, start), segment), tallies in (*whole, *self.parts.items())
        ]
        return {
            Table.predictions: self.predictions,
            Table.outcomes: list(self.outcomes.values()),
            Table.pending: list(self.pending.values()),
            Table.panes: panes,
        }
