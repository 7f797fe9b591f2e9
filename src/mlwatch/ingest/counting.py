"""Joined rows become the counts of their panes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlwatch import buckets, endpoints
from mlwatch._guard import attempt
from mlwatch.ingest.arrivals import mark_late
from mlwatch.ingest.joined import Joined, Missed, PaneKey
from mlwatch.profile import CODES, PREFIX, RankCodes
from mlwatch.profile.codes import coded, encode
from mlwatch.profile.values import APART, WRONG_KIND
from mlwatch.records import Pending, Prediction, Tallies, add_tallies
from mlwatch.reference import FindReference, Reference
from mlwatch.scoring import Label, Score, Scoring
from mlwatch.spans import MINUTE, floor

_LONGEST_NAME = 100

Tally = Callable[[Sequence[Prediction]], Mapping[str, int]]


def count_predictions(
    joined: Joined, references: FindReference, tallies: Mapping[str, Tally], names: set[str]
) -> None:
    """Count the predictions that were joined, in the pane of their own time.

    Args:
        joined: What was joined; its panes grow.
        references: Gives the reference of a model version.
        tallies: Further counts, by collector.
        names: The features outside of references that were told apart so far; changed.
    """
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
            into = joined.panes.setdefault(key, {})
            _count_rows(group, scoring_of(reference), joined, into)
            if reference is not None:
                add_tallies(into, {"new_features": _new_features(group, reference, names)})
            _count_further(group, tallies, into, joined)
            if joined.arrivals is not None:
                mark_late(joined, (*key[:2], joined.arrivals), key[2], len(group))
            for segment, part in _by_segment(group, joined).items():
                into = joined.parts.setdefault((key, segment), {})
                _count_rows(part, scoring_of(reference), joined, into)


def count_missed(joined: Joined, missed: Missed, references: FindReference) -> None:
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


def _by_segment(rows: Sequence[Prediction], joined: Joined) -> dict[str, list[Prediction]]:
    parts: dict[str, list[Prediction]] = {}
    for row in rows:
        for segment in joined.pending[row.key].segments:
            parts.setdefault(segment, []).append(row)
    return parts


def _count_rows(
    rows: Sequence[Prediction],
    scoring: Scoring,
    joined: Joined,
    into: dict[str, dict[str, int]],
) -> None:
    pending = [joined.pending[row.key] for row in rows]
    scores: list[Score] = [row.score for row in pending]
    labels: list[Label] = [row.label for row in pending]
    add_tallies(into, scoring.tally_predictions(scores, labels))
    add_tallies(into, dict(_row_tallies(rows)))
    add_tallies(into, {"served": _served(scoring, rows, pending)})


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


def _new_features(
    rows: Sequence[Prediction], reference: Reference, names: set[str]
) -> Mapping[str, int]:
    """Count the rows of each feature that the reference does not have; `names` grows."""
    found: Counter[str] = Counter()
    for features, count in Counter(tuple(row.features) for row in rows).items():
        for name in set(features).difference(reference.profile.distributions):
            found[endpoints.named(str(name)[:_LONGEST_NAME], names)] += count
    return found


def _row_tallies(rows: Sequence[Prediction]) -> Iterator[tuple[str, Mapping[str, int]]]:
    errors = sum(row.error is not None for row in rows)
    yield "rows", {"recorded": len(rows), "counted": len(rows), "errors": errors}
    timed = [row.latency_ms for row in rows if row.latency_ms is not None]
    if timed:
        yield "latency_ms", Counter(map(buckets.bucket, timed))
        yield "latency_sum", buckets.sums(timed)


def _served(scoring: Scoring, rows: Sequence[Prediction], read: Sequence[Pending]) -> Counter[str]:
    """Count what was served by whether it is what the model may say; a failed call says nothing."""
    said: Counter[str] = Counter()
    for row, pending in zip(rows, read, strict=True):
        if scoring.is_expected(pending.score, pending.label):
            said["expected"] += 1
        elif row.error is None:
            said["unexpected"] += 1
    return said


def outcome_tallies(scoring: Scoring, pending: Pending, target: Any) -> Tallies:
    """Return what one outcome adds to the pane of its prediction."""
    counted = scoring.tally_outcomes([pending.score], [pending.label], [target])
    return counted | {"rows": {"labelled": 1}}


def scoring_of(reference: Reference | None) -> Scoring:
    """Return how predictions are read and counted, with or without a reference."""
    return Scoring.unknown() if reference is None else reference.scoring
