"""Old panes, made coarser: minutes become hours, and hours become days."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby, islice

from mlwatch.errors import ConflictError
from mlwatch.protocols import MetricStore
from mlwatch.records import (
    RECORDER,
    Batch,
    Pane,
    Record,
    State,
    Table,
    Tally,
    add_tallies,
    join_key,
)
from mlwatch.spans import HOUR, HOURLY_AFTER, floor, kept_in

SLACK = timedelta(minutes=5)
"""Panes are rolled up this much later than readers take them for coarse.

So no window is read by a clock that is behind, or was begun a moment before, and finds less.
"""

_PANES_A_BATCH = 60


def roll_up(store: MetricStore, model: str, now: datetime) -> int:
    """Move panes of hours and days that lie behind into the pane of their hour or day.

    Panes add, so a move takes back from the one what it gives to the other, whatever is counted
    meanwhile: outcomes that come late stand in minute panes of old hours until a later pass. A
    pass is made once an hour. That no two workers move the same is what each batch expects; who
    comes second leaves it to the other. Counts made elsewhere stay as they are.

    Returns:
        How many panes were moved.

    Raises:
        StoreError: The store cannot be read or written; what was moved stays moved.
    """
    turn = _turn(store, model, now)
    end = floor(now - SLACK - HOURLY_AFTER, HOUR)
    if turn.body.get("until") == end.isoformat():
        return 0
    moved = 0
    try:
        for panes in _chunks(store.read(Table.panes, until=end, model=model), now):
            turn = _write(store, turn, _moves(panes, now))
            moved += len(panes)
        _write(store, replace(turn, time=now, body={"until": end.isoformat()}), [])
    except ConflictError:
        return moved
    return moved


def _turn(store: MetricStore, model: str, now: datetime) -> State:
    nothing = State(name=join_key("rollup", model), time=now, revision=0, model=model)
    return next(store.read(Table.state, keys=[nothing.key]), nothing)


def _write(store: MetricStore, turn: State, panes: Sequence[Pane]) -> State:
    """Write panes, if nobody else rolled up since `turn` was read; return the next turn."""
    after = replace(turn, revision=turn.revision + 1)
    rows: dict[Table, Sequence[Record]] = {Table.panes: panes, Table.state: [after]}
    expects = {(Table.state, turn.key): turn.revision}
    store.write(Batch(f"rollup/{uuid.uuid4().hex}", rows, expects))
    return after


def _chunks(panes: Iterable[Pane], now: datetime) -> Iterator[list[Pane]]:
    """Return the panes that are to be moved, so many at a time and never of two targets' spans."""
    fine = (pane for pane in panes if pane.source == RECORDER and pane.span < _target(pane, now))
    for _, group in groupby(fine, lambda pane: floor(pane.time, _target(pane, now))):
        while chunk := list(islice(group, _PANES_A_BATCH)):
            yield chunk


def _target(pane: Pane, now: datetime) -> timedelta:
    return kept_in(pane.time, now - SLACK)


def _moves(panes: Sequence[Pane], now: datetime) -> list[Pane]:
    """Return what moves `panes`: each taken back, and the sums in the coarser panes."""
    sums: dict[str, tuple[Pane, dict[str, Tally]]] = {}
    back = []
    for pane in panes:
        taken: dict[str, Tally] = {}
        add_tallies(taken, pane.tallies, sign=-1)
        back.append(replace(pane, tallies=taken))
        span = _target(pane, now)
        coarse = replace(pane, time=floor(pane.time, span), span=span, tallies={})
        add_tallies(sums.setdefault(coarse.key, (coarse, {}))[1], pane.tallies)
    return back + [replace(coarse, tallies=total) for coarse, total in sums.values()]
