"""What stores keep: tables, panes of integer tallies, states, and the batch that is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from mlwatch.records.cells import Tallies
from mlwatch.records.events import Outcome, Pending, Prediction
from mlwatch.records.keys import join_key
from mlwatch.records.results import Alert, Delivery, DriftResult, Metric


class Table(StrEnum):
    """The tables of a store. Rows are replaced by key; rows of `panes` are added."""

    predictions = "predictions"
    outcomes = "outcomes"
    pending = "pending"
    panes = "panes"
    metrics = "metrics"
    drift = "drift"
    alerts = "alerts"
    deliveries = "deliveries"
    state = "state"
    progress = "progress"


RECORDER: Final = "recorder"
"""The source of panes that ingest counted; the roll-up makes no others coarser."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pane:
    """A short span of integer tallies of one model version.

    As written to a store a pane is a delta: what is read is the sum over all rows of a key.
    Counts may be negative in a delta (a corrected outcome takes the old one back).

    Args:
        model: The model's name.
        model_version: Its version.
        reference: Fingerprint of the reference whose grids the tallies are made on, or "".
        segment: A declared segment, or "" for all traffic.
        time: The start of the span, a multiple of `span` since the epoch, in UTC.
        span: The length of the span.
        source: Who counted: "recorder", or the name given to counts made elsewhere.
        tallies: The counts by name.
    """

    model: str
    time: datetime
    span: timedelta
    tallies: Tallies
    model_version: str = ""
    reference: str = ""
    segment: str = ""
    source: str = RECORDER

    @property
    def key(self) -> str:
        """A pane is known by everything but its tallies."""
        return join_key(
            self.model,
            self.model_version,
            self.reference,
            self.segment,
            self.time.isoformat(),
            int(self.span.total_seconds()),
            self.source,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A small piece of state with a revision, changed only by compare-and-set."""

    name: str
    time: datetime
    revision: int
    body: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""
    model_version: str = ""

    @property
    def key(self) -> str:
        """A state is known by its name."""
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far one segment of the spool has been ingested, and its writer's account up to there.

    `revision` is the number of the last frame ingested. `recorded` counts what the writer was
    handed since its first segment, `stored` what of it is in the store, `dropped` the rest by
    reason, and `noted` what was stored but is worth knowing (a repeated outcome, a timestamp in
    the future). So the row of a writer's newest segment tells all, and older ones may go.
    """

    writer: str
    segment: int
    time: datetime
    revision: int
    recorded: int = 0
    stored: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    noted: Mapping[str, int] = field(default_factory=dict)
    model: str = ""
    model_version: str = ""

    @property
    def key(self) -> str:
        """Progress is known by the writer and its segment."""
        return join_key(self.writer, self.segment)


@dataclass(frozen=True, slots=True)
class Memory:
    """What a collector keeps until its next cycle, written together with what it measured.

    Args:
        body: JSON-able values; the collector finds them in `window.memory` next time.
        panes: Counts of its own, which add. They are kept as long as all panes are, and read back
            with `window.kept`; model, version, reference and source are filled in by the cycle.
    """

    body: Mapping[str, Any]
    panes: Sequence[Pane] = ()


Record = (
    Prediction
    | Outcome
    | Pending
    | Pane
    | Metric
    | DriftResult
    | Alert
    | Delivery
    | State
    | Progress
)

RECORD_TYPES: Mapping[Table, type[Record]] = {
    Table.predictions: Prediction,
    Table.outcomes: Outcome,
    Table.pending: Pending,
    Table.panes: Pane,
    Table.metrics: Metric,
    Table.drift: DriftResult,
    Table.alerts: Alert,
    Table.deliveries: Delivery,
    Table.state: State,
    Table.progress: Progress,
}


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows that are written together or not at all.

    Args:
        id: A batch of an id that was written before is not written again.
        rows: The rows by table.
        expects: Revisions by table and key (of `state` or `progress`; 0 where there is no row
            yet) that must still hold, or nothing is written and `ConflictError` is raised.
    """

    id: str
    rows: Mapping[Table, Sequence[Record]]
    expects: Mapping[tuple[Table, str], int] = field(default_factory=dict)
