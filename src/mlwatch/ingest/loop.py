"""The spool into the store, exactly once."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from mlwatch import _threads
from mlwatch._guard import attempt, explain
from mlwatch.errors import ConflictError, DataError, SpoolError
from mlwatch.ingest.counting import Tally
from mlwatch.ingest.join import join, request_keys
from mlwatch.ingest.joined import Joined, Known, Missed
from mlwatch.ingest.pieces import Piece, body_after, came_before, fresh, halved, whole, with_account
from mlwatch.protocols import MetricStore
from mlwatch.recorder import MISSED, MISSED_REQUESTS
from mlwatch.records import (
    Account,
    Batch,
    Fault,
    Progress,
    Segment,
    State,
    Table,
    ingest_key,
    join_key,
)
from mlwatch.reference import FindReference
from mlwatch.spans import HOUR, floor
from mlwatch.spool import Frame, SegmentId, Spool

_FRAMES_A_BATCH = 32
_ROWS_A_BATCH = 1000
_OPEN = timedelta(minutes=2)  # so long after its end an hour takes labels: before it is judged
_TRIES = 100


@dataclass(frozen=True)
class Ingest:
    """Move what was recorded from the spool into the store.

    Each batch of frames is written together with the number of the last one, and only if the
    store still stands where the batch began: whoever ingests, and how often, each frame counts
    once. All batches of a model also expect one another in turn, so that an outcome and its
    prediction, ingested at the same moment from two spools, cannot miss each other.

    Args:
        model: The model whose events are in the spool.
        spool: Where the events are.
        store: Where they go.
        references: Gives the reference of a model version.
        clock: Gives the time that progress is noted with.
        tallies: Further counts of the predictions of a pane, by collector.
        health: How the parts fared that ran since `take_health` was last called.
        endpoints: Those whose requests are told apart from others.
        names: The features outside of references that are told apart from others.
        model_version: The version of what came and was not kept, or has no prediction.
        segments: The parts of the traffic to count apart.
    """

    model: str
    spool: Spool
    store: MetricStore
    references: FindReference
    clock: Callable[[], datetime]
    tallies: Mapping[str, Tally] = field(default_factory=dict)
    health: dict[str, Fault | None] = field(default_factory=dict)
    endpoints: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    model_version: str = ""
    segments: Sequence[Segment] = ()

    def run(self, rest: float = 0.0) -> int:
        """Ingest what is in the spool now, and remove segments that are done; return the rows.

        What is damaged in the spool is counted as dropped and is a fault of the part "spool";
        an event that the store refuses, or that cannot be joined, is counted as "poisonous" and
        is a fault of the part "ingest". Whatever lies behind is ingested.

        Args:
            rest: Sleep so many times as long as each batch of about a thousand rows took, so that
                nobody else in the process feels it.

        Raises:
            StoreError: The store cannot be written; what was committed before stays.
            SpoolError: A segment cannot be read or removed; those of other writers are done.
            DataError: The store refuses what holds no event at all.
        """
        stored = 0
        self._note("ingest", None)
        failed: dict[str, SpoolError] = {}
        for segment in self._segments(failed):
            if segment.writer in failed:
                continue
            try:
                finished = self.spool.finished(segment)
                stored += self._segment(segment, rest, to_end=finished)
                if finished:
                    self.spool.remove(segment)
            except SpoolError as error:
                failed[segment.writer] = error
        first = next(iter(failed.values()), None)
        self._note("spool", None if first is None else Fault("spool", explain(first), first))
        if first is not None:
            raise first
        return stored

    def _segments(self, failed: dict[str, SpoolError]) -> list[SegmentId]:
        """Return all segments; where not even these can be seen, note it for every writer."""
        try:
            return self.spool.segments()
        except SpoolError as error:
            failed[""] = error
            return []

    def take_health(self) -> dict[str, Fault | None]:
        """Return the parts that ran since this was last asked: the last fault of each, or None."""
        taken = dict(self.health)
        self.health.clear()
        return taken

    def _note(self, part: str, fault: Fault | None) -> None:
        """Note how a part fared; a fault stays until it was taken."""
        self.health[part] = fault or self.health.get(part)

    def _segment(self, segment: SegmentId, rest: float, *, to_end: bool) -> int:
        stored = 0
        frames = self.spool.read(segment, self._progress(segment).revision, to_end=to_end)
        while batch := _some(frames):
            begun = time.monotonic()
            stored += self._commit(segment, whole(batch))
            if rest:
                _threads.sleep(rest * (time.monotonic() - begun))
        return stored

    def _progress(self, segment: SegmentId) -> Progress:
        """Return how far a segment is; a new one goes on with the account of the one before."""
        new = Progress(
            writer=segment.writer,
            segment=segment.segment,
            time=self.clock(),
            revision=0,
            model=self.model,
        )
        last = replace(new, segment=segment.segment - 1)
        found: Iterable[Progress] = self.store.read(Table.progress, keys=[new.key, last.key])
        known = {row.key: row for row in found}
        if new.key in known:
            return known[new.key]
        return replace(known.get(last.key, new), segment=new.segment, time=new.time, revision=0)

    def _commit(self, segment: SegmentId, pieces: Sequence[Piece]) -> int:
        """Write pieces of frames; of what is refused, all but the events at fault.

        Raises:
            DataError: The store refuses a batch without any event.
        """
        written = self._write(segment, pieces)
        if not isinstance(written, Fault):
            return written
        halves = halved(pieces)
        if halves is not None:
            return sum(self._commit(segment, half) for half in halves)
        if not pieces[0].events:
            raise DataError(written.error) from written.cause
        self._note("ingest", _poison(segment, written))
        if isinstance(self._write(segment, pieces, drop=True), Fault):
            raise DataError(written.error) from written.cause
        return 0

    def _write(
        self, segment: SegmentId, pieces: Sequence[Piece], *, drop: bool = False
    ) -> int | Fault:
        """Write pieces, or that their events were dropped; return the rows, or who refused what."""
        for _ in range(_TRIES):
            before, turn = self._progress(segment), self._turn()
            new = list(fresh(pieces, before, turn.body))
            if not new:
                return 0
            joined, fault = self._joined(new, turn, drop=drop)
            if joined is None:
                return fault or Fault("ingest", "nothing was joined")
            try:
                self.store.write(self._batch(before, turn, new, joined))
            except ConflictError:
                continue
            except DataError as error:
                return Fault("ingest", explain(error), error)
            for part, failed in joined.health.items():
                self._note(part, failed)
            lost = sum(piece.account.dropped.get("damaged", 0) for piece in new)
            if lost:
                self._note("spool", _damage(segment, lost))
            return joined.stored
        raise ConflictError(f"gave up on {segment} after {_TRIES} tries: others always wrote first")

    def _joined(
        self, pieces: Sequence[Piece], turn: State, *, drop: bool
    ) -> tuple[Joined | None, Fault | None]:
        """Return what the events of pieces add to the store, or the fault that one of them is."""
        events = [event for piece in pieces for event in piece.events]
        if drop:
            return Joined(dropped=Counter(poisonous=len(events))), None
        known = self._known(events, turn)
        noted = [piece.account.noted for piece in pieces]
        missed = Missed(
            pieces[-1].frame.time.astimezone(UTC),
            self.model_version,
            predictions=sum(it.get(MISSED, 0) for it in noted),
            requests=sum(it.get(MISSED_REQUESTS, 0) for it in noted),
        )
        call = partial(
            join,
            arrivals=floor(self.clock() - _OPEN, HOUR),
            missed=missed,
            segments=self.segments,
            model_version=self.model_version,
        )
        joined, fault = attempt("ingest", call, events, known, self.references, self.tallies)
        if fault is not None and isinstance(fault.cause, MemoryError):
            raise fault.cause  # no event's fault: it may go well next time
        return joined, fault

    def _batch(
        self, before: Progress, turn: State, pieces: Sequence[Piece], joined: Joined
    ) -> Batch:
        gained = Account(stored=joined.stored, dropped=joined.dropped, noted=joined.noted)
        for piece in pieces:
            gained = gained.plus(piece.account)
        after = replace(with_account(before, gained, pieces), time=self.clock())
        body = body_after(turn.body, gained, before.key, pieces, joined.came)
        rows: dict[Table, Sequence[Any]] = {
            **joined.rows(self.model),
            Table.progress: [after],
            Table.state: [replace(turn, body=body, revision=turn.revision + 1, time=self.clock())],
        }
        expects = {
            (Table.progress, before.key): before.revision,
            (Table.state, turn.key): turn.revision,
        }
        last = pieces[-1]
        place = [last.frame.number] if last.is_last else [last.frame.number, last.end]
        return Batch(join_key("ingest", before.key, *place), rows, expects)

    def _turn(self) -> State:
        nothing = State(
            name=ingest_key(self.model), time=self.clock(), revision=0, model=self.model
        )
        return next(self.store.read(Table.state, keys=[nothing.key]), nothing)

    def _known(self, events: Sequence[Any], turn: State) -> Known:
        keys = request_keys(events)
        early = self.store.read(Table.outcomes, keys=keys)
        return Known(
            {row.key: row for row in self.store.read(Table.pending, keys=keys)},
            {row.key: row for row in early if not row.joined},
            self.endpoints,
            came_before(turn.body),
            self.names,
        )


def _some(frames: Iterator[Frame]) -> list[Frame]:
    """Take frames that are ingested together."""
    taken: list[Frame] = []
    rows = 0
    for frame in itertools.islice(frames, _FRAMES_A_BATCH):
        taken.append(frame)
        rows += len(frame.records)
        if rows >= _ROWS_A_BATCH:
            break
    return taken


def _damage(segment: SegmentId, lost: int) -> Fault:
    error = SpoolError(
        f"segment {segment.segment} of writer {segment.writer} is damaged: {lost:,} records are "
        "lost; see whether the disk is well (the file is kept as *.seg.bad once it is done)"
    )
    return Fault("spool", explain(error), error)


def _poison(segment: SegmentId, fault: Fault) -> Fault:
    return replace(
        fault,
        error=f"an event of segment {segment.segment} of writer {segment.writer} cannot be stored "
        f'and was dropped as "poisonous", all others are kept: {fault.error}',
    )
