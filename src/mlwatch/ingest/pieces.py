"""Pieces of frames: how ingest gets past an event that cannot be stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlwatch.records import Account, Progress
from mlwatch.segments import Came
from mlwatch.spool import Frame

_MOST_VERSIONS = 20


@dataclass(frozen=True, slots=True)
class Piece:
    """Events of one frame that are written together: all of them, unless one is refused.

    Args:
        frame: The frame.
        start: The place of the first event.
        end: The place behind the last event.
    """

    frame: Frame
    start: int
    end: int

    @property
    def events(self) -> list[Any]:
        """The events of the piece."""
        return self.frame.records[self.start : self.end]

    @property
    def is_last(self) -> bool:
        """Whether the frame is done with it."""
        return self.end == len(self.frame.records)

    @property
    def account(self) -> Account:
        """What was handed over and dropped before it came here; the last piece tells the rest."""
        if not self.is_last:
            return Account(recorded=self.end - self.start)
        frame = self.frame
        left = frame.recorded - self.start
        return Account(recorded=left, dropped=frame.dropped, noted=frame.noted)


def whole(frames: Sequence[Frame]) -> list[Piece]:
    """Return frames as pieces."""
    return [Piece(frame, 0, len(frame.records)) for frame in frames]


def halved(pieces: Sequence[Piece]) -> tuple[Sequence[Piece], Sequence[Piece]] | None:
    """Return two parts of what was refused, or None when it is one event, or none."""
    if len(pieces) > 1:
        middle = len(pieces) // 2
        return pieces[:middle], pieces[middle:]
    piece = pieces[0]
    middle = (piece.start + piece.end) // 2
    if middle == piece.start:
        return None
    return [replace(piece, end=middle)], [replace(piece, start=middle)]


def fresh(pieces: Sequence[Piece], before: Progress, body: Mapping[str, Any]) -> Iterator[Piece]:
    """Return what of some pieces is not in the store.

    Args:
        pieces: Pieces of one segment.
        before: How far the segment is.
        body: What ingest's state says: in "begun" how many events are in of a frame that is not.
    """
    number, done = body.get("begun", {}).get(before.key, (0, 0))
    for piece in pieces:
        if piece.frame.number <= before.revision:
            continue
        if piece.frame.number != number:
            yield piece
        elif piece.end > done:
            yield replace(piece, start=max(piece.start, done))


def with_account(before: Progress, gained: Account, pieces: Sequence[Piece]) -> Progress:
    """Return how far a segment is once these pieces are in the store."""
    last = pieces[-1]
    return replace(
        before,
        revision=last.frame.number if last.is_last else before.revision,
        recorded=before.recorded + gained.recorded,
        stored=before.stored + gained.stored,
        dropped=dict(Counter(before.dropped) + Counter(gained.dropped)),
        noted=dict(Counter(before.noted) + Counter(gained.noted)),
    )


def body_after(
    body: Mapping[str, Any],
    gained: Account,
    key: str,
    pieces: Sequence[Piece],
    came: Mapping[str, Came] | None = None,
) -> dict[str, Any]:
    """Return the body of ingest's state once these pieces are in the store.

    Args:
        body: The body before.
        gained: What the pieces add to the account of the model.
        key: The key of the segment's progress.
        pieces: What is written.
        came: Which values of segments have a place, by model version, the one used last at the
            end. None: as before.
    """
    account = Account.of(body).plus(gained)
    begun = {other: at for other, at in body.get("begun", {}).items() if other != key}
    last = pieces[-1]
    if not last.is_last:
        begun[key] = [last.frame.number, last.end]
    after: dict[str, Any] = {name: getattr(account, name) for name in Account.__slots__}
    came = came_before(body) if came is None else came
    kept = dict(list(came.items())[-_MOST_VERSIONS:])  # anybody may make up versions
    return after | ({"begun": begun} if begun else {}) | ({"segments": kept} if kept else {})


def came_before(body: Mapping[str, Any]) -> dict[str, Came]:
    """Return which values of segments have a place, by model version, as ingest's state says."""
    return {
        version: {label: list(values) for label, values in came.items()}
        for version, came in body.get("segments", {}).items()
    }
