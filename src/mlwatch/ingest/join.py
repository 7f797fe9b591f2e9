"""Events become rows and panes: what was recorded, joined with what was known before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

from mlwatch import endpoints, log_levels
from mlwatch._threads import breathing
from mlwatch.ingest.arrivals import count_arrival
from mlwatch.ingest.counting import (
    Tally,
    count_missed,
    count_predictions,
    outcome_tallies,
    scoring_of,
)
from mlwatch.ingest.joined import Joined, Known, Missed
from mlwatch.records import Outcome, Pending, Prediction, Segment, Tallies, add_tallies, join_key
from mlwatch.reference import FindReference, Reference
from mlwatch.segments import Keys, divide
from mlwatch.spans import MINUTE, floor

_TEXT = str | None
_PREDICTION = (str, str, str, str, datetime, dict, object, object, float | None, _TEXT, _TEXT)
_OUTCOME = (str, str, str, datetime, object)
_REQUEST = (str, str, str, datetime, str, int, float | None)
_LINES = (str, str, str, datetime, dict)


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
    segments: Sequence[Segment] = (),
    model_version: str = "",
) -> Joined:
    """Join events with what is known.

    Args:
        events: As the recorder encoded them, in order.
        known: What the store knows of their request ids, and the endpoints and segments that were
            told apart so far; changed as events join.
        references: Gives the reference of a model version.
        tallies: Further counts of the predictions of a pane, by collector. One that raises
            counts nothing and is a fault.
        arrivals: Count labels at the time they arrive, too: at their own, but not before this
            one, since whoever watches them in order has passed by there. None: only at the time
            of their predictions.
        missed: What else came and found no room in memory.
        segments: The parts of the traffic to count apart.
        model_version: The version under which outcomes count whose prediction is not known.
    """
    joined = Joined(arrivals=arrivals, came=known.came, model_version=model_version)
    keys_of = _divided(segments, references, known)
    for event in breathing(events):
        if _is_prediction(event):
            _take_prediction(event, known, references, joined, keys_of)
        elif _is_outcome(event):
            _take_outcome(event, known, references, joined)
        elif _is_event(event, "r", _REQUEST):
            _take_request(event, known, references, joined)
        elif _is_event(event, "l", _LINES):
            _take_lines(event, references, joined)
        else:
            joined.dropped["malformed"] += 1
    count_predictions(joined, references, tallies, known.names)
    if missed is not None:
        count_missed(joined, missed, references)
    return joined


def _divided(
    segments: Sequence[Segment], references: FindReference, known: Known
) -> Callable[[str], Keys]:
    """Return what divides the predictions of a model version; the one used last stands last."""

    @cache
    def keys_of(version: str) -> Keys:
        came = known.came.pop(version, {})
        keys = divide(segments, references(version), came)
        if came:
            known.came[version] = came
        return keys

    return keys_of


def _is_prediction(event: Any) -> bool:
    return _is_event(event, "p", _PREDICTION)


def _is_outcome(event: Any) -> bool:
    return _is_event(event, "o", _OUTCOME)


def _is_event(event: Any, kind: str, types: Sequence[Any]) -> bool:
    fits = isinstance(event, list) and len(event) == len(types) and event[0] == kind
    return fits and all(map(isinstance, event, types))


def _take_prediction(
    event: list[Any],
    known: Known,
    references: FindReference,
    joined: Joined,
    keys_of: Callable[[str], Keys],
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
    score, label = scoring_of(reference).read(served, probability)
    if score is None and label is None and error is None:
        joined.noted["unreadable_prediction"] += 1
    known.pending[key] = joined.pending[key] = Pending(
        model=model,
        model_version=version,
        request_id=request_id,
        time=time,
        reference=_fingerprint(reference),
        segments=keys_of(version)(features, segment),
        score=score,
        label=label,
    )
    joined.predictions.append(prediction)
    joined.stored += 1
    early = known.early.pop(key, None)
    if early is not None:
        _count_unmatched(early, references, joined, sign=-1)
        _join_outcome(early, known, references, joined)


def _take_outcome(
    event: list[Any], known: Known, references: FindReference, joined: Joined
) -> None:
    _, model, request_id, time, value = event
    outcome = Outcome(model=model, request_id=request_id, time=time, outcome=value)
    joined.stored += 1
    if outcome.key in known.pending:
        _join_outcome(outcome, known, references, joined)
        return
    joined.noted["outcome_without_prediction"] += 1
    if outcome.key in known.early:
        _count_unmatched(known.early[outcome.key], references, joined, sign=-1)
    outcome = replace(outcome, model_version=joined.model_version)
    _count_unmatched(outcome, references, joined)
    known.early[outcome.key] = joined.outcomes[outcome.key] = outcome


def _count_unmatched(
    outcome: Outcome, references: FindReference, joined: Joined, sign: int = 1
) -> None:
    """Count an outcome whose prediction is not known at its own time, or take that back.

    It counts for the version of whoever ingested it.
    """
    if joined.arrivals is None:
        return
    into = _pane(outcome.model_version, outcome.time, references, joined)
    add_tallies(into, {"unmatched": {"outcomes": 1}}, sign=sign)


def _take_request(
    event: list[Any], known: Known, references: FindReference, joined: Joined
) -> None:
    """Count a request in the pane of its time; no row of it is kept."""
    _, _, version, time, endpoint, status, took = event
    name = endpoints.named(endpoint, known.endpoints)
    into = _pane(version, time, references, joined)
    add_tallies(into, endpoints.tallies(name, status, took))
    joined.stored += 1


def _take_lines(event: list[Any], references: FindReference, joined: Joined) -> None:
    """Count lines of the log in the pane of their time."""
    _, _, version, time, counts = event
    counted = log_levels.tallies(counts)
    if counted is None:
        joined.dropped["malformed"] += 1
        return
    add_tallies(_pane(version, time, references, joined), counted)
    joined.stored += 1


def _pane(
    version: str, time: datetime, references: FindReference, joined: Joined
) -> dict[str, dict[str, int]]:
    key = (version, _fingerprint(references(version)), floor(time, MINUTE))
    return joined.panes.setdefault(key, {})


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
    if pending.reference != _fingerprint(reference):
        joined.noted["outcome_of_old_reference"] += 1
        joined.outcomes[row.key] = row
        return
    scoring = scoring_of(reference)
    target = scoring.target(outcome.outcome)
    if target is not None or pending.outcome is None:
        joined.outcomes[row.key] = row
    if target is None:
        joined.noted["unreadable_outcome"] += 1
        return
    count_arrival(outcome, pending, target, scoring, joined)
    pane = (version, pending.reference, floor(pending.time, MINUTE))
    into = [joined.panes.setdefault(pane, {})]
    into += [joined.parts.setdefault((pane, segment), {}) for segment in pending.segments]
    if pending.outcome is not None:
        joined.noted["outcome_repeated"] += 1
        _add(into, outcome_tallies(scoring, pending, pending.outcome), sign=-1)
    _add(into, outcome_tallies(scoring, pending, target))
    known.pending[outcome.key] = replace(pending, outcome=target)
    joined.pending[outcome.key] = known.pending[outcome.key]


def _add(into: Iterable[dict[str, dict[str, int]]], tallies: Tallies, *, sign: int = 1) -> None:
    for pane in into:
        add_tallies(pane, tallies, sign)


def _fingerprint(reference: Reference | None) -> str:
    return "" if reference is None else reference.fingerprint
