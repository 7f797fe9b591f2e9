"""Traffic as the recorder hands it over, and the windows that ingest makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from mlwatch.ingest.counting import Tally
from mlwatch.ingest.join import join
from mlwatch.ingest.joined import Known, Missed
from mlwatch.records import Segment, Table, as_segments
from mlwatch.reference import Reference
from mlwatch.window import Rows, Window

START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def predicted(
    i: int,
    served: Any,
    features: Mapping[str, Any] | None = None,
    *,
    probability: Any = None,
    latency_ms: float | None = None,
    error: str | None = None,
    segment: str | None = None,
    time: datetime | None = None,
) -> list[Any]:
    """Return the event of prediction number `i`, one a second from `START` where not said."""
    when = START + timedelta(seconds=i) if time is None else time
    known = dict(features or {})
    return ["p", "m", "1", str(i), when, known, served, probability, latency_ms, error, segment]


def told(i: int, outcome: Any) -> list[Any]:
    """Return the event of the outcome of prediction number `i`."""
    return ["o", "m", str(i), START, outcome]


def requested(
    i: int, endpoint: str = "/predict", status: int = 200, latency_ms: float | None = 5.0
) -> list[Any]:
    """Return the event of request number `i`, one a second from `START`."""
    return ["r", "m", "1", START + timedelta(seconds=i), endpoint, status, latency_ms]


def window(
    events: Sequence[Any],
    reference: Reference | None = None,
    *,
    parts: int = 1,
    span: timedelta = HOUR,
    arrivals: datetime | None = None,
    missed: int = 0,
    segments: Sequence[str | Segment] = (),
    tallies: Mapping[str, Tally] | None = None,
) -> Window:
    """Ingest events in so many stretches, as from a store, and return the window they make.

    Of each stretch, so many more predictions were missed. Collectors' own counts are `tallies`.
    """
    known, panes, kept = Known(), [], []
    for places in np.array_split(np.arange(len(events)), parts):
        stretch = [events[place] for place in places]
        joined = join(
            stretch,
            known,
            lambda _: reference,
            tallies or {},
            arrivals=arrivals,
            missed=Missed(START, "1", missed, 0),
            segments=as_segments(segments),
        )
        panes += joined.rows("m")[Table.panes]
        kept += joined.predictions

    def rows(since: datetime, until: datetime) -> Rows:
        return sorted((it for it in kept if since <= it.time < until), key=lambda it: it.time), ()

    whole = tuple(pane for pane in panes if not pane.segment)
    parts = tuple(pane for pane in panes if pane.segment)
    return Window("m", "1", START, START + span, whole, reference, rows, parts=parts)
