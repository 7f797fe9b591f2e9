"""Events become rows and panes: what was recorded, joined with what was known before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlwatch import endpoints, latency
from mlwatch._guard import attempt
from mlwatch._threads import breathing
from mlwatch.profile import CODES, PREFIX, RankCodes
from mlwatch.profile.codes import coded, encode
from mlwatch.profile.values import APART, WRONG_KIND
from mlwatch.records import (
    Fault,
    Outcome,
    Pane,
    Pending,
    Prediction,
    Record,
    Table,
    Tallies,
    add_tallies,
    join_key,
)
from mlwatch.reference import FindReference, Reference
from mlwatch.scoring import Label, Score, Scoring
from mlwatch.spans import MINUTE, floor

Tally = Callable[[Sequence[Prediction]], Mapping[str, int]]

_TEXT = str | None
_PREDICTION = (str, str, str, str, datetime, dict, object, object, float | None, _TEXT, _TEXT)
_OUTCOME = (str, str, str, datetime, object)
_REQUEST = (str, str, str, datetime, str, int, float | None)

PaneKey = tuple[str, str, datetime]
"""Version, fingerprint of the reference, start."""


@dataclass
class Known:
    """What the store knows of the request ids in hand, and which endpoints are told apart."""

    pending: dict[str, Pending] = field(default_factory=dict)
    early: dict[str, Outcome] = field(default_factory=dict)
    endpoints: set[str] = field(default_factory=set)


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
    """What a stretch of events adds to the store, and its account."""

    predictions: list[Prediction] = field(default_factory=list)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    pending: dict[str, Pending] = field(default_factory=dict)
    panes: dict[PaneKey, dict[str, dict[str, int]]] = field(default_factory=dict)
    stored: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)
    health: dict[str, Fault | None] = field(default_factory=dict)
    arrivals: datetime | None = None

    def rows(self, model: str) -> dict[Table, Sequence[Record]]:
        """Return the rows of a batch."""
        panes = [
            Pane(
                model=model,
                model_version=version,
                reference=reference,
                time=start,
                span=MINUTE,
                tallies=tallies,
            )
            for (version, reference, start), tallies in self.panes.items()
        ]
        return {
            Table.predictions: self.predictions,
            Table.outcomes: list(self.outcomes.values()),
            Table.pending: list(self.pending.values()),
            Table.panes: panes,
        }


def request_keys(events: Iterable[Any]) -> list[str]:
    """Return the keys of the predictions that the events are about."""
    keys: dict[str, None] = {}
    for event in events:
        if _is_prediction(event):
            keys[join_key(event[1], event[3])] = None
        elif _is_outcome(event):
            keys[join_key(event[1], event[2])] = None
    return list(keys)


def join(
    events: Iterable[Any],
    known: Known,
    references: FindReference,
    tallies: Mapping[str, Tally],
    *,
    arrivals: datetime | None = None,
    missed: Missed | None = None,
) -> Joined:
    """Join events with what is known.

    Args:
        events: As the recorder encoded them, in order.
        known: What the store knows of their request ids, and the endpoints that were told apart
            so far; changed as events join.
        references: Gives the reference of a model version.
        tallies: Further counts of the predictions of a pane, by collector. One that raises
            counts nothing and is a fault.
        arrivals: Count right and wrong labels at the time they arrive, too: at their own, but not
            before this one, since whoever watches them in order has passed by there.
        missed: What else came and found no room in memory.
    """
    joined = Joined(arrivals=arrivals)
    for event in breathing(events):
        if _is_prediction(event):
            _take_prediction(event, known, references, joined)
        elif _is_outcome(event):
            _take_outcome(event, known, references, joined)
        elif _is_event(event, "r", _REQUEST):
            _take_request(event, known, references, joined)
        else:
            joined.dropped["malformed"] += 1
    _count_predictions(joined, references, tallies)
    if missed is not None:
        _count_missed(joined, missed, references)
    return joined


def _is_prediction(event: Any) -> bool:
    return _is_event(event, "p", _PREDICTION)


def _is_outcome(event: Any) -> bool:
    return _is_event(event, "o", _OUTCOME)


def _is_event(event: Any, kind: str, types: Sequence[Any]) -> bool:
    fits = isinstance(event, list) and len(event) == len(types) and event[0] == kind
    return fits and all(map(isinstance, event, types))


def _take_prediction(
    event: list[Any], known: Known, references: FindReference, joined: Joined
) -> None:
    _, model, version, request_id, time, features, served, probability, took, error, segment = event
    prediction = Prediction(
        model=model,
        model_version=version,
        request_id=request_id,
        time=time,
        features=features,
        prediction=served,
        probability=probability,
        latency_ms=took,
        error=error,
        segment=segment,
    )
    key = prediction.key
    if key in known.pending:
        joined.dropped["duplicate"] += 1
        return
    reference = references(version)
    score, label = _scoring(reference).read(served, probability)
    if score is None and label is None and error is None:
        joined.noted["unreadable_prediction"] += 1
    known.pending[key] = joined.pending[key] = Pending(
        model=model,
        model_version=version,
        request_id=request_id,
        time=time,
        reference="" if reference is None else reference.fingerprint,
        segment=segment,
        score=score,
        label=label,
    )
    joined.predictions.append(prediction)
    joined.stored += 1
    early = known.early.pop(key, None)
    if early is not None:
        _join_outcome(early, known, references, joined)


def _take_outcome(
    event: list[Any], known: Known, references: FindReference, joined: Joined
) -> None:
    _, model, request_id, time, value = event
    outcome = Outcome(model=model, request_id=request_id, time=time, outcome=value)
    joined.stored += 1
    if outcome.key in known.pending:
        _join_outcome(outcome, known, references, joined)
    else:
        joined.noted["outcome_without_prediction"] += 1
        known.early[outcome.key] = joined.outcomes[outcome.key] = outcome


def _take_request(
    event: list[Any], known: Known, references: FindReference, joined: Joined
) -> None:
    """Count a request in the pane of its time; no row of it is kept."""
    _, _, version, time, endpoint, status, took = event
    reference = references(version)
    fingerprint = "" if reference is None else reference.fingerprint
    into = joined.panes.setdefault((version, fingerprint, floor(time, MINUTE)), {})
    name = endpoints.named(endpoint, known.endpoints)
    add_tallies(into, endpoints.tallies(name, status, took))
    joined.stored += 1


def _join_outcome(
    outcome: Outcome, known: Known, references: FindReference, joined: Joined
) -> None:
    """Count an outcome in the pane of its prediction's own time.

    Of two the one that is ingested last stands, whatever their times; one that cannot be read
    changes nothing once another was counted.
    """
    pending = known.pending[outcome.key]
    reference = references(pending.model_version)
    version = pending.model_version
    row = replace(outcome, model_version=version, joined=True)
    if pending.reference != ("" if reference is None else reference.fingerprint):
        joined.noted["outcome_of_old_reference"] += 1
        joined.outcomes[row.key] = row
        return
    scoring = _scoring(reference)
    target = scoring.target(outcome.outcome)
    if target is not None or pending.outcome is None:
        joined.outcomes[row.key] = row
    if target is None:
        joined.noted["unreadable_outcome"] += 1
        return
    into = joined.panes.setdefault((version, pending.reference, floor(pending.time, MINUTE)), {})
    if joined.arrivals and pending.outcome is None and pending.label is not None:
        # Only the first of each prediction: a correction comes too late there.
        when = floor(max(outcome.time, joined.arrivals), MINUTE)
        arrival = (version, pending.reference, when)
        verdict = "right" if target == pending.label else "wrong"
        add_tallies(joined.panes.setdefault(arrival, {}), {"arrived": {verdict: 1}})
    if pending.outcome is not None:
        joined.noted["outcome_repeated"] += 1
        add_tallies(into, _outcome_tallies(scoring, pending, pending.outcome), sign=-1)
    add_tallies(into, _outcome_tallies(scoring, pending, target))
    known.pending[outcome.key] = replace(pending, outcome=target)
    joined.pending[outcome.key] = known.pending[outcome.key]


def _outcome_tallies(scoring: Scoring, pending: Pending, target: Any) -> Tallies:
    counted = scoring.tally_outcomes([pending.score], [pending.label], [target])
    return counted | {"rows": {"labelled": 1}}


def _count_predictions(
    joined: Joined, references: FindReference, tallies: Mapping[str, Tally]
) -> None:
    by_version: dict[str, list[Prediction]] = {}
    for row in joined.predictions:
        by_version.setdefault(row.model_version, []).append(row)
    for version, rows in by_version.items():
        reference = references(version)
        keys = [_pane_key(row, reference) for row in rows]
        if reference is not None:
            _count_features(rows, keys, reference, joined)
        groups: dict[PaneKey, list[Prediction]] = {}
        for key, row in zip(keys, rows, strict=True):
            groups.setdefault(key, []).append(row)
        for key, group in groups.items():
            pending = [joined.pending[row.key] for row in group]
            scores: list[Score] = [row.score for row in pending]
            labels: list[Label] = [row.label for row in pending]
            into = joined.panes.setdefault(key, {})
            add_tallies(into, _scoring(reference).tally_predictions(scores, labels))
            add_tallies(into, dict(_row_tallies(group)))
            _count_further(group, tallies, into, joined)


def _count_missed(joined: Joined, missed: Missed, references: FindReference) -> None:
    """Count as traffic what found no room in memory: in the pane of the last prediction that did.

    Where none did, in that of the time and the version given.
    """
    rows = {"recorded": missed.predictions, "missed": missed.predictions}
    counts = {name: count for name, count in rows.items() if count}
    if missed.requests:
        counts["missed_requests"] = missed.requests
    if not counts:
        return
    last = joined.predictions[-1] if joined.predictions else missed
    reference = references(last.model_version)
    key = _pane_key(last, reference)
    add_tallies(joined.panes.setdefault(key, {}), {"rows": counts})


def _pane_key(row: Prediction | Missed, reference: Reference | None) -> PaneKey:
    fingerprint = "" if reference is None else reference.fingerprint
    return row.model_version, fingerprint, floor(row.time, MINUTE)


def _count_further(
    rows: Sequence[Prediction],
    tallies: Mapping[str, Tally],
    into: dict[str, dict[str, int]],
    joined: Joined,
) -> None:
    for name, tally in tallies.items():
        part = f"tally {name}"
        counts, fault = attempt(part, _counted, tally, rows)
        if counts is not None:
            add_tallies(into, {f"collector/{name}": counts})
        else:
            joined.noted["tally_failed"] += len(rows)
        joined.health[part] = fault or joined.health.get(part)


def _counted(tally: Tally, rows: Sequence[Prediction]) -> dict[str, int]:
    return {str(cell): index(count) for cell, count in tally(rows).items()}


def _count_features(
    rows: Sequence[Prediction], keys: Sequence[PaneKey], reference: Reference, joined: Joined
) -> None:
    """Place each feature's values all at once, and count them by pane."""
    number = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    panes = [joined.panes.setdefault(key, {}) for key in number]
    pane_of = np.array([number[key] for key in keys], np.int64)
    grids, cells = reference.profile.grids, {}
    for name, grid in grids.items():
        cells[name] = grid.locate([row.features.get(name) for row in rows])
        tallies = _tallies_by_pane(cells[name], pane_of, grid.size)
        for into, tally in zip(panes, tallies, strict=True):
            into[PREFIX + name] = tally
    features, codes = coded(grids), encode(grids, cells, len(rows))
    order = np.argsort(pane_of, kind="stable")
    ends = np.cumsum(np.bincount(pane_of))[:-1]
    for into, part in zip(panes, np.split(codes[order], ends), strict=True):
        add_tallies(into, {CODES: RankCodes.count(features, part).to_tally()})


def _tallies_by_pane(
    cells: NDArray[np.int64], pane_of: NDArray[np.int64], size: int
) -> Iterator[dict[str, int]]:
    """Give for each pane in turn how many values fell into each cell.

    Args:
        cells: What a grid's `locate` gave, shape (rows,).
        pane_of: The number of each row's pane, shape (rows,).
        size: The number of the grid's cells.
    """
    names = [*(APART[code] for code in sorted(APART)), *map(str, range(size))]
    width = len(names)
    found, counts = np.unique(pane_of * width + cells - WRONG_KIND, return_counts=True)
    pane, cell = np.divmod(found, width)
    ends = np.searchsorted(pane, np.arange(1, pane_of.max() + 1))
    for places, numbers in zip(np.split(cell, ends), np.split(counts, ends), strict=True):
        yield dict(zip(map(names.__getitem__, places.tolist()), numbers.tolist(), strict=True))


def _row_tallies(rows: Sequence[Prediction]) -> Iterator[tuple[str, Mapping[str, int]]]:
    errors = sum(row.error is not None for row in rows)
    yield "rows", {"recorded": len(rows), "counted": len(rows), "errors": errors}
    timed = [row.latency_ms for row in rows if row.latency_ms is not None]
    if timed:
        yield "latency_ms", Counter(map(latency.bucket, timed))


def _scoring(reference: Reference | None) -> Scoring:
    return Scoring.unknown() if reference is None else reference.scoring
